"""What stands in other ground: which class a pixel looks like beside its own, and how much of it.

No ground of 10 m labels is pure: gardens lie between houses, trees and farms stand in fields,
hedges part them, woods have clearings, and labels follow none of these.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from mapper.land.legend import NODATA
from mapper.simulated.cover import BARE, BUILT, CROPS, FLOODED, GRASS, SHRUB, SNOW, TREES, WATER
from mapper.simulated.landscape import FIELD, Landscape
from mapper.simulated.noise import GAUSS, NOISE_SPREAD, gradient, mix, unit

Singles = npt.NDArray[np.float32]

_PATCH_M = 46.0
"""Wavelength of what stands in other ground: houses and gardens, lone trees, clearings."""
_DENSITY_M = 700.0
"""Wavelength at which such patches are few or many."""
_PATCHES = {
    TREES: (0.08, 0.08, (SHRUB, GRASS, GRASS, BARE)),
    GRASS: (0.08, 0.08, (TREES, SHRUB, BARE, CROPS)),
    FLOODED: (0.08, 0.08, (WATER, GRASS, TREES, SHRUB)),
    CROPS: (0.06, 0.08, (GRASS, TREES, BUILT, BARE)),
    SHRUB: (0.12, 0.10, (TREES, GRASS, BARE, BARE)),
    BUILT: (0.40, 0.28, (GRASS, GRASS, TREES, BARE)),
    BARE: (0.05, 0.05, (SHRUB, GRASS, GRASS, TREES)),
    SNOW: (0.10, 0.13, (TREES, BARE, SHRUB, TREES)),
}
"""By class the share of its pixels in which another shows, how much that share varies from place to
place, and what shows there, in about 31, 40, 18 and 11 % of them. Built-up ground shows almost
nothing else in a dense town, and two thirds in a village of scattered houses; if a third of
that is trees, woods beside a house are taken for a village."""
_PATCH_SHARE, _PATCH_SPREAD = np.zeros((2, 9), np.float32)
_PATCH_COVER = np.zeros((9, 4), np.uint8)
for _code, (_share, _varies, _covers) in _PATCHES.items():
    _PATCH_SHARE[_code], _PATCH_SPREAD[_code], _PATCH_COVER[_code] = _share, _varies, _covers
_ONE_SIDED = 0.9
"""How much provinces differ in which of these prevails, in deviations of the noise that chooses:
farms stand in the fields of one, and trees in those of the next."""
_HEDGED_M = 3000.0
"""Wavelength at which land with hedges and open fields change."""
_HEDGED, _HEDGED_SPREAD = 0.20, 0.25
"""Share of the borders between fields that are no mere line: its mean, and how much it varies."""
_LEAST_PART, _FILLING = 0.15, 0.1
"""What a patch fills of a pixel at its rim, and how far, in probability, its noise must pass the
threshold before it fills the pixel: lone trees and houses are smaller than that."""
_NARROWEST_HEDGE = 0.35
"""Of a pixel's width: hedges are 3.5 to 10 m wide."""
_SEED = 12000


def shown(wide: Landscape) -> tuple[npt.NDArray[np.uint8], Singles]:
    """(y, x) class that a pixel looks like: its own, or that of a patch of something else; and
    (y, x) how much of it does."""
    at = wide.ground
    return _shown(wide.truth, wide.unit, wide.province, at.x, at.y, at.z)


@numba.njit(cache=True)
def _shown(
    truth: npt.NDArray[np.uint8],
    unit: npt.NDArray[np.uint32],
    province: npt.NDArray[np.uint32],
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    z: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.uint8], Singles]:
    """See `shown`. Roads, whose unit is no block, have no patches."""
    shown, part = truth.copy(), np.ones(truth.shape, np.float32)
    normal = NOISE_SPREAD
    for row in range(truth.shape[0]):
        for column in range(truth.shape[1]):
            code = truth[row, column]
            is_road = code == BUILT and unit[row, column] < FIELD
            if is_road or _PATCH_SHARE[code] == 0:
                continue
            a, b, c = x[row, column], y[row, column], z[row, column]
            if code in (CROPS, GRASS):
                border = _border(unit, row, column)
                hedge = _hedge(border, a, b, c)
                if hedge != NODATA:
                    if hedge != code:
                        shown[row, column] = hedge
                        part[row, column] = _width(border)
                    continue
            far = 1.0 / _DENSITY_M
            dense = gradient(a * far, b * far, c * far, _SEED + 31) / normal
            near = 1.0 / _PATCH_M
            patch = gradient(a * near, b * near, c * near, _SEED + 32) / normal
            # A logistic curve stands for the normal distribution's, to 0.01.
            share = _PATCH_SHARE[code] + _PATCH_SPREAD[code] * dense
            inside = share - 1.0 / (1.0 + math.exp(1.702 * patch))
            if inside <= 0:
                continue
            part[row, column] = min(1.0, _LEAST_PART + (1.0 - _LEAST_PART) * inside / _FILLING)
            wide = 0.4 * near
            kind = gradient(a * wide, b * wide, c * wide, _SEED + 33) / normal
            custom = mix(province[row, column] + np.uint32(50 + code))
            kind += _ONE_SIDED * GAUSS[custom & np.uint32(GAUSS.size - 1)]
            kind /= math.sqrt(1.0 + _ONE_SIDED * _ONE_SIDED)
            if kind < -0.5:
                shown[row, column] = _PATCH_COVER[code, 0]
            elif kind < 0.55:
                shown[row, column] = _PATCH_COVER[code, 1]
            else:
                shown[row, column] = _PATCH_COVER[code, 2 if kind < 1.2 else 3]
    return shown, part


@numba.njit(cache=True, inline="always")
def _border(unit: npt.NDArray[np.uint32], row: int, column: int) -> np.uint32:
    """The hash of the border between a field and the one east or south of its pixel, or 0."""
    own = unit[row, column]
    if own < FIELD:
        return np.uint32(0)
    for down, right in ((0, 1), (1, 0)):
        if row + down < unit.shape[0] and column + right < unit.shape[1]:
            other = unit[row + down, column + right]
            if other >= FIELD and other != own:
                return mix(own ^ other)
    return np.uint32(0)


@numba.njit(cache=True, inline="always")
def _hedge(border: np.uint32, x: float, y: float, z: float) -> int:
    """The class that the border of two fields looks like, NODATA where it is a mere line."""
    if border == 0:
        return NODATA
    far = 1.0 / _HEDGED_M
    closed = gradient(x * far, y * far, z * far, _SEED + 34) / NOISE_SPREAD
    if unit(border) >= _HEDGED + _HEDGED_SPREAD * closed:
        return NODATA
    kind = unit(mix(border))
    return TREES if kind < 0.55 else SHRUB if kind < 0.75 else GRASS


@numba.njit(cache=True, inline="always")
def _width(border: np.uint32) -> float:
    """The share of a pixel that the hedge of a border fills."""
    return _NARROWEST_HEDGE + (1.0 - _NARROWEST_HEDGE) * unit(mix(border + np.uint32(1)))


@numba.njit(cache=True, inline="always")
def share_of(part: float, layer: int) -> float:
    """The share of a pixel that looks like one of its two covers."""
    return part if layer == 0 else 1.0 - part
