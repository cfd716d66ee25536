"""Ground on which classes have changed places: for training only, never for an archive.

A simulated landscape has habits that real ones need not share: where fields lie there are villages,
where it is steep there is forest. A network that learns them mistakes real ground that has others.
Where anything may stand beside anything, only colour, texture and shape tell what it is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mapper.simulated.cover import BARE, BUILT, CROPS, FLOODED, GRASS, SHRUB, SNOW, TREES, WATER
from mapper.simulated.landscape import FIELD, Landscape

_COMING = {TREES: 0.2, GRASS: 0.2, FLOODED: 0.05, CROPS: 0.2, SHRUB: 0.15, BUILT: 0.1, BARE: 0.1}
"""How often a class is one of those that come to ground of others."""
_SOME = 3
"""Classes that come to a region."""
_SHARE = (0.2, 0.9)
"""Least and largest share of the fields, blocks and stands of a region that change."""


def exchange(seed: int, ground: Landscape) -> Landscape:
    """The same fields, blocks and stands, some of them with another class than their own.

    Water, snow and roads stay. No field becomes bare ground: tilled soil is both, and nothing but
    the shape of fields tells that it is theirs.
    """
    random = np.random.default_rng((seed, 733))
    codes, chances = np.array(list(_COMING), np.uint8), np.array(list(_COMING.values()))
    coming = random.choice(codes, _SOME, replace=False, p=chances / chances.sum())
    share = random.uniform(*_SHARE)

    units, of_unit = np.unique(ground.unit, return_inverse=True)
    becomes = random.choice(coming, len(units), p=random.dirichlet(np.ones(_SOME)))
    becomes[(becomes == BARE) & (units >= FIELD)] = CROPS
    changes = (random.random(len(units)) < share)[of_unit.reshape(ground.unit.shape)]
    stays = np.isin(ground.truth, (WATER, SNOW))
    stays |= (ground.truth == BUILT) & (ground.unit < FIELD)
    new = becomes[of_unit.reshape(ground.unit.shape)]
    return replace(ground, truth=np.where(changes & ~stays, new, ground.truth))
