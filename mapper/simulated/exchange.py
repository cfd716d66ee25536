"""Ground on which classes have changed places, to learn from; never for an archive.

A simulated landscape has habits that real ones need not share: where fields lie there are villages,
where it is steep there is forest. A network that learns them mistakes real ground that has others.
Where anything may stand beside anything, only colour, texture and shape tell what it is. And where
snow falls on the plains in winter, snow is not a thing of summits; where banks are dry, what lies
beside a river need not be flooded.
"""

from __future__ import annotations

from dataclasses import replace

import numba
import numpy as np
import numpy.typing as npt

from mapper.simulated.cover import BARE, BUILT, CROPS, FLOODED, GRASS, SHRUB, SNOW, TREES, WATER
from mapper.simulated.landscape import FIELD, Landscape
from mapper.simulated.noise import mix, unit

_CHANCES = {TREES: 0.22, GRASS: 0.22, CROPS: 0.22, SHRUB: 0.14, BUILT: 0.1, BARE: 0.1}
"""How likely a class is drawn first as one of those that come to ground of others. Not flooded
vegetation: little but its place tells it from woods and meadows, and where it had come to hillsides
real woods were taken for it."""
_COMING = 3
"""Classes that come to a landscape."""
_SHARE = (0.2, 0.9)
"""Least and largest share of the fields, blocks and stands that a coming class is drawn for."""
_DRY = np.array([TREES, TREES, GRASS, CROPS, GRASS, SHRUB], np.uint8)
"""What grows on drained ground."""
_EXCHANGE_SEED, _DRAIN_SEED, _SNOW_SEED = 733, 577, 881
"""Numbers that keep the draws of the three apart."""
_OPEN = (GRASS, FLOODED, CROPS, SHRUB, BARE)
"""What snow hides; woods, towns and roads stand out of it."""
_SNOW_SHARE = (0.7, 1.7)
"""Least and largest share of open units that snow lies on; from 1 on it lies on all."""
_DEEP_CHANCE, _FROZEN_CHANCE = 0.6, 0.5
"""How often snow is alike on all fields, and how often water is frozen and under snow, too."""


def exchange(seed: int, ground: Landscape) -> Landscape:
    """The same fields, blocks and stands, some of them with another class than their own.

    Water, snow and roads stay. No field becomes bare ground: tilled soil is both, and nothing but
    the shape of fields tells that it is theirs. A stand may become crops, for the fields of many
    countries have no straight edges; one that becomes built-up is a block, with gardens. What
    becomes of a unit follows from it and the seed, so regions that overlap agree.
    """
    random = np.random.default_rng((seed, _EXCHANGE_SEED))
    codes, chances = np.array(list(_CHANCES), np.uint8), np.array(list(_CHANCES.values()))
    coming = random.choice(codes, _COMING, replace=False, p=chances)
    share, parts = random.uniform(*_SHARE), random.dirichlet(np.ones(_COMING))
    changes, which = _draws(ground.unit, np.uint32(seed & 0xFFFFFFFF))
    becomes = coming[np.searchsorted(np.cumsum(parts)[:-1], which)]
    becomes[(becomes == BARE) & (ground.unit >= FIELD)] = CROPS

    roads = (ground.truth == BUILT) & (ground.unit < FIELD)
    moves = (changes < share) & ~roads & ~np.isin(ground.truth, (WATER, SNOW))
    blocks = moves & (becomes == BUILT)
    return replace(
        ground,
        truth=np.where(moves, becomes, ground.truth),
        unit=np.where(blocks, ground.unit | FIELD, ground.unit),
    )


def drain(seed: int, ground: Landscape) -> Landscape:
    """The same ground without flooded vegetation: woods, meadows and fields reach its waters.

    A marsh is of few units, so most become one class as a whole.
    """
    _, which = _draws(ground.unit, np.uint32((seed + _DRAIN_SEED) & 0xFFFFFFFF))
    grown = _DRY[(which * len(_DRY)).astype(np.int64)]
    return replace(ground, truth=np.where(ground.truth == FLOODED, grown, ground.truth))


def snowfall(seed: int, ground: Landscape) -> Landscape:
    """The same ground with snow on open fields and stands; for some seeds on water, too, where the
    same trees and bushes stand out of it as elsewhere."""
    random = np.random.default_rng((seed, _SNOW_SEED))
    share = random.uniform(*_SNOW_SHARE)
    deep, frozen = random.random(2) < (_DEEP_CHANCE, _FROZEN_CHANCE)
    lies, _ = _draws(ground.unit, np.uint32((seed + _SNOW_SEED) & 0xFFFFFFFF))
    covered = np.isin(ground.truth, _OPEN) & (lies < share)
    if frozen:
        covered |= ground.truth == WATER
    one_unit = ground.province & ~FIELD
    return replace(
        ground,
        truth=np.where(covered, np.uint8(SNOW), ground.truth),
        unit=np.where(covered & deep, one_unit, ground.unit),
    )


@numba.njit(cache=True)
def _draws(
    units: npt.NDArray[np.uint32], seed: np.uint32
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(y, x) two numbers from 0 to 1 of every unit."""
    one, two = np.empty(units.shape), np.empty(units.shape)
    for row in range(units.shape[0]):
        for column in range(units.shape[1]):
            own = mix(units[row, column] ^ mix(seed))
            one[row, column], two[row, column] = unit(own), unit(mix(own))
    return one, two
