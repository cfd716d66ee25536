"""Which looks may show a region, by their stated outlines. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import shapely

from mapper.imagery.footprints import grid_outline
from mapper.imagery.scenes import Look
from mapper.land.grid import Region

_MARGIN_DEG = 0.05
"""Stated outlines of scenes may be this coarse (5 km); who is farther away is not opened."""


def looks_over(looks: Iterable[Look], region: Region) -> list[Look]:
    """The looks that may show a region, without the scenes that cannot."""
    ground = grid_outline(region.zone.epsg, list(region.geobox.transform), region.shape)
    near = shapely.buffer(ground, _MARGIN_DEG)
    shapely.prepare(near)
    cut = [(look, [s for s in look.scenes if near.intersects(s.extent)]) for look in looks]
    return [Look(look.sensor, look.time, tuple(scenes)) for look, scenes in cut if scenes]
