"""How the pixels of one cover differ: from their component's mean, and by shadows in all bands."""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from mapper.simulated.cover import BARE, BUILT, CROPS, FLOODED, GRASS, SHRUB, SNOW, TREES, WATER
from mapper.simulated.landscape import FIELD, Landscape
from mapper.simulated.noise import GAUSS, NOISE_SPREAD, gradient, hash3, mix
from mapper.simulated.spectra import RANK

Singles = npt.NDArray[np.float32]

SHARED_PART = 0.8
"""Part of the spread inside a place that a whole field shares."""
_TEXTURE_M = np.ones(9, np.float32) * 60
_TEXTURE_M[[WATER, TREES, GRASS, FLOODED, CROPS]] = (160, 34, 70, 45, 65)
_TEXTURE_M[[SHRUB, BUILT, BARE, SNOW]] = (38, 36, 55, 140)
"""Wavelength of the texture inside a field or stand, by class: crowns and houses are small."""
_RANK_STRETCH = np.array([0.7, 1.0, 1.5, 2.4], np.float32)
"""Wavelengths of the ranks relative to the class's, so that no single one shows."""
_ROUGH = np.ones(9, np.float32)
_ROUGH[[WATER, TREES, GRASS, FLOODED, CROPS]] = (0.48, 0.9, 0.5, 0.9, 0.33)
_ROUGH[[SHRUB, BUILT, BARE, SNOW]] = (0.9, 2.2, 0.9, 1.2)
"""How much of the spread inside a place every pixel has for itself, by class: the median. Set so
that pixels differ from those around as much as in real images (tests/bench/bench_texture.py):
measured places are mostly picked where ground is even, and the point spread evens what is painted
once more."""
_ROUGH_SPREAD = np.ones(9, np.float32) * 0.7
_ROUGH_SPREAD[[WATER, TREES, BUILT, SNOW]] = (0.4, 0.8, 0.4, 0.8)
"""Standard deviation of that part's logarithm, three quarters of it (squared) between provinces and
the rest between fields or stands. What is rough is so by country more than by class: real fields
and meadows are as rough as each other, 0.004 to 0.006 in Flanders and 0.010 to 0.014 in Chile and
Tanzania (roots of red reflectance)."""
_SHADOWS = np.ones(9, np.float32)
_SHADOWS[[WATER, TREES, GRASS, FLOODED, CROPS]] = (0.015, 0.04, 0.015, 0.02, 0.015)
_SHADOWS[[SHRUB, BUILT, BARE, SNOW]] = (0.03, 0.09, 0.03, 0.08)
"""How much pixels are brighter or darker in all bands alike, by the shadows of crowns, walls and
clods: deviation of the logarithm of the root of reflectance, by class; the median, which varies as
roughness does. In real woods, towns and snow red and infrared rise and fall together (correlation
of 0.4 to 0.9 between what they differ by from 5 x 5 pixels), in measured places hardly."""
_SHADOWS_M = 30.0
_SMOOTH_SHADOWS, _WHITE_SHADOWS = 0.6, 0.8
"""Parts of them, squares summing to 1: of that wavelength, and of each pixel its own."""
_DEEPEST = 0.4
"""Largest logarithm of the root of reflectance by which they darken or brighten."""
_DRIFT_M = 900.0
"""Wavelength at which ground that nobody cut into fields changes its character."""
_SEED = 12000
_STEPS = np.uint32(GAUSS.size - 1)


def spread(wide: Landscape, cover: npt.NDArray[np.uint8], part: Singles) -> Singles:
    """(2 RANK, y, x) normal numbers of every pixel's cover, where it has a part in the pixel: of
    its place, and of the pixel within it.

    Args:
        cover: (y, x) class code.
        part: (y, x) share of a pixel that looks like it.
    """
    at = wide.ground
    return _spread(
        cover,
        part,
        wide.unit,
        wide.province,
        at.x,
        at.y,
        at.z,
        _origin(wide),
    )


def shade(wide: Landscape, cover: npt.NDArray[np.uint8]) -> Singles:
    """(y, x) what the reflectance of a pixel is multiplied by, the same in every band: 1 on the
    average, lognormal.

    Args:
        cover: (y, x) class code of what casts the shadows.
    """
    at = wide.ground
    return _shade(
        cover,
        wide.unit,
        wide.province,
        at.x,
        at.y,
        at.z,
        _origin(wide),
    )


def _origin(wide: Landscape) -> npt.NDArray[np.int64]:
    """The corner on the zone's lattice, and the zone: what white noise is keyed by."""
    region = wide.region
    return np.array([region.left, region.top, region.zone.epsg])


@numba.njit(cache=True)
def _spread(
    cover: npt.NDArray[np.uint8],
    part: Singles,
    unit: npt.NDArray[np.uint32],
    province: npt.NDArray[np.uint32],
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    z: npt.NDArray[np.float64],
    origin: npt.NDArray[np.int64],
) -> Singles:
    """See `spread`."""
    out = np.zeros((2 * RANK, *unit.shape), np.float32)
    place = np.empty(RANK)
    for row in range(unit.shape[0]):
        for column in range(unit.shape[1]):
            if part[row, column] <= 0:
                continue
            a, b, c = x[row, column], y[row, column], z[row, column]
            code = cover[row, column]
            field = unit[row, column] >= FIELD
            own = mix(unit[row, column] + np.uint32(code))
            white = hash3(origin[0] + column, origin[1] + row, origin[2], _SEED + int(code))
            scale = 1.0 / _TEXTURE_M[code]
            for rank in range(RANK):
                own = mix(own + np.uint32(1))
                place[rank] = GAUSS[own & _STEPS]
                if not field:
                    drift = gradient(
                        a / _DRIFT_M, b / _DRIFT_M, c / _DRIFT_M, _SEED + 20 + 7 * rank + code
                    )
                    place[rank] = 0.35 * place[rank] + 0.93 * drift / NOISE_SPREAD
                out[rank, row, column] = place[rank]
            pixel_part = _ROUGH[code] * _roughness(unit[row, column], province[row, column], code)
            for rank in range(RANK):
                white = mix(white + np.uint32(1))
                fine = scale / _RANK_STRETCH[rank]
                smooth = gradient(a * fine, b * fine, c * fine, _SEED + 100 + rank)
                within = 0.72 * smooth / NOISE_SPREAD + 0.69 * GAUSS[white & _STEPS]
                shared = place[(rank + 1) % RANK]
                out[RANK + rank, row, column] = SHARED_PART * shared + pixel_part * within
    return out


@numba.njit(cache=True, inline="always")
def _roughness(unit: np.uint32, province: np.uint32, code: int) -> float:
    """How rough the ground of a class is in a field or stand, relative to the class's median:
    lognormal, mostly as all of its province is."""
    own = float(GAUSS[mix(mix(unit + np.uint32(code)) + np.uint32(70)) & _STEPS])
    around = float(GAUSS[mix(province + np.uint32(70)) & _STEPS])
    return math.exp(_ROUGH_SPREAD[code] * (0.5 * own + math.sqrt(0.75) * around))


@numba.njit(cache=True)
def _shade(
    cover: npt.NDArray[np.uint8],
    unit: npt.NDArray[np.uint32],
    province: npt.NDArray[np.uint32],
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    z: npt.NDArray[np.float64],
    origin: npt.NDArray[np.int64],
) -> Singles:
    """See `shade`."""
    out = np.empty(unit.shape, np.float32)
    fine = 1.0 / _SHADOWS_M
    for row in range(unit.shape[0]):
        for column in range(unit.shape[1]):
            code = cover[row, column]
            spread = _SHADOWS[code] * _roughness(unit[row, column], province[row, column], code)
            a, b, c = x[row, column], y[row, column], z[row, column]
            smooth = gradient(a * fine, b * fine, c * fine, _SEED + 200) / NOISE_SPREAD
            white = hash3(origin[0] + column, origin[1] + row, origin[2], _SEED + 1)
            number = _SMOOTH_SHADOWS * smooth + _WHITE_SHADOWS * GAUSS[white & _STEPS]
            root = min(max(spread * number - spread * spread, -_DEEPEST), _DEEPEST)
            out[row, column] = math.exp(2.0 * root)
    return out


@numba.njit(cache=True, inline="always")
def deviation(factor: Singles, spread: Singles) -> float:
    """How far a pixel's value lies from its component's mean.

    Args:
        factor: (2 RANK,) of the component and channel: for the place, then for the pixel.
        spread: (2 RANK,) of the pixel.
    """
    total = 0.0
    for rank in range(2 * RANK):
        total += factor[rank] * spread[rank]
    return total
