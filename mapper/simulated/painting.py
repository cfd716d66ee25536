"""The landscape painted: which measured places a pixel looks like, and how it differs from them.

A field, block or stand draws components of its province (kinds of places, one for each quarter of
the year) and a deviation within them (one place of that kind); its pixels then differ by the spread
inside one place, more where ground is rough, part of it smooth over some tens of metres and part
white. Patches of other cover may fill less than a pixel, and shadows darken all bands alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from mapper.land.grid import Region
from mapper.land.legend import NODATA
from mapper.simulated.cover import BARE, BUILT, CROPS, FLOODED, GRASS, SHRUB, SNOW, TREES, WATER
from mapper.simulated.ground import DRIFT
from mapper.simulated.landscape import FIELD, Landscape, belt_latitude, landscape
from mapper.simulated.noise import GAUSS, NOISE_SPREAD, gradient, hash3, mix, unit
from mapper.simulated.spectra import (
    RANK,
    Places,
    Spectra,
    components_on,
    palette,
    season_of,
    spectra,
)

Singles = npt.NDArray[np.float32]

VERSION = 13
"""Raised whenever the same ground looks other than before: archives and chips that were made of it
are not mixed with new ones."""
MARGIN_PX = 4
"""Pixels painted around what is asked for: the point spread and 20 m pixels look at neighbours."""
CHANNELS = 12
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


@dataclass(frozen=True, slots=True)
class Surface:
    """The painted ground of a region and its margin."""

    region: Region
    """What was asked for; the arrays reach MARGIN_PX farther on every side."""
    landscape: Landscape
    """The ground under it, with the margin."""
    mixture: Spectra
    covers: npt.NDArray[np.uint8]
    """(2, y, x) classes that a pixel looks like: one that may not be its own, and its own."""
    part: Singles
    """(y, x) share of a pixel that looks like the first of its covers."""
    shade: Singles
    """(y, x) what reflectance is multiplied by, 1 on the average: shadows smaller than a pixel."""
    provinces: npt.NDArray[np.uint32]
    """Sorted."""
    palettes: npt.NDArray[np.int16]
    """(province, quarter, class, kind) index into the mixture."""
    spread: Singles
    """(2, 2 RANK, y, x) normal numbers of each cover: times the factors of a component, how a pixel
    differs from its mean; RANK for the place, standard, and RANK for the pixel, the larger the
    rougher its ground is. 0 where the cover has no part in the pixel."""

    def components(self, day_of_year: int) -> npt.NDArray[np.int16]:
        """(2, y, x) index into the mixture, of each cover on a day."""
        season, wide = season_of(day_of_year, self.region.zone.south), self.landscape
        return np.stack(
            [
                components_on(
                    season, cover, wide.unit, wide.province, self.provinces, self.palettes
                )
                for cover in self.covers
            ]
        )


def surface(
    region: Region,
    places: Places = Places.TRAINING,
    change: Callable[[Landscape], Landscape] | None = None,
) -> Surface:
    """Paints a region.

    Args:
        region: its corner lies on even columns and rows, and its sides are even, so that it is
            made of whole 20 m pixels.
        places: the measured places to paint with.
        change: what is done to the ground before it is painted.
    """
    if region.left % 2 or region.top % 2 or region.width % 2 or region.height % 2:
        raise ValueError(f"a painted region is made of whole 20 m pixels, got {region}")
    wide = landscape(region.widened(MARGIN_PX))
    if change is not None:
        wide = change(wide)
    mixture = spectra(places)
    at = wide.ground
    shown, part = _shown(wide.truth, wide.unit, wide.province, at.x, at.y, at.z)
    covers = np.stack([shown, wide.truth])
    origin = np.array([wide.region.left, wide.region.top, region.zone.epsg])
    spread = [
        _spread(
            cover,
            share,
            wide.unit,
            wide.province,
            at.x,
            at.y,
            at.z,
            origin,
            _TEXTURE_M,
            _ROUGH,
            _ROUGH_SPREAD,
            _RANK_STRETCH,
            GAUSS,
        )
        for cover, share in zip(covers, (part, 1 - part), strict=True)
    ]
    shade = _shade(
        np.where(part > 0.5, shown, wide.truth),  # what fills most of a pixel casts its shadows
        wide.unit,
        wide.province,
        at.x,
        at.y,
        at.z,
        origin,
        _SHADOWS,
        _ROUGH_SPREAD,
        GAUSS,
    )
    return Surface(
        region,
        wide,
        mixture,
        covers,
        part,
        shade,
        *_palettes(wide, mixture),
        np.stack(spread),
    )


@numba.njit(cache=True)
def _shown(
    truth: npt.NDArray[np.uint8],
    unit: npt.NDArray[np.uint32],
    province: npt.NDArray[np.uint32],
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    z: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.uint8], Singles]:
    """(y, x) class that a pixel looks like: its own, or that of a patch of something else; and
    (y, x) how much of it does.

    No ground of 10 m labels is pure: gardens lie between houses, trees and farms stand in fields,
    hedges part them, woods have clearings, and labels follow none of these. Roads, whose unit is no
    block, have no patches.
    """
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


def _palettes(
    wide: Landscape, mixture: Spectra
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int16]]:
    """The provinces, sorted, and the palette of each.

    A province lies inside one degree of latitude, so any of its pixels tells its climate.
    """
    provinces, first = np.unique(wide.province, return_index=True)
    lat, drift = wide.ground.lat.ravel()[first], wide.ground.slow[DRIFT].ravel()[first]
    palettes = [
        palette(mixture, int(p), float(np.floor(belt_latitude(a, d)) + 0.5))
        for p, a, d in zip(provinces, lat, drift, strict=True)
    ]
    return provinces, np.stack(palettes)


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
    texture_m: Singles,
    rough: Singles,
    rough_spread: Singles,
    stretch: Singles,
    gauss: Singles,
) -> Singles:
    """(2 RANK, y, x) normal numbers of every pixel's cover, where it has a part in the pixel: of
    its place, and of the pixel within it."""
    out = np.zeros((2 * RANK, *unit.shape), np.float32)
    steps = np.uint32(gauss.size - 1)
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
            scale = 1.0 / texture_m[code]
            for rank in range(RANK):
                own = mix(own + np.uint32(1))
                place[rank] = gauss[own & steps]
                if not field:
                    drift = gradient(
                        a / _DRIFT_M, b / _DRIFT_M, c / _DRIFT_M, _SEED + 20 + 7 * rank + code
                    )
                    place[rank] = 0.35 * place[rank] + 0.93 * drift / NOISE_SPREAD
                out[rank, row, column] = place[rank]
            numbers = _roughness(unit[row, column], province[row, column], code, gauss)
            pixel_part = rough[code] * math.exp(rough_spread[code] * numbers)
            for rank in range(RANK):
                white = mix(white + np.uint32(1))
                fine = scale / stretch[rank]
                smooth = gradient(a * fine, b * fine, c * fine, _SEED + 100 + rank)
                within = 0.72 * smooth / NOISE_SPREAD + 0.69 * gauss[white & steps]
                shared = place[(rank + 1) % RANK]
                out[RANK + rank, row, column] = SHARED_PART * shared + pixel_part * within
    return out


@numba.njit(cache=True, inline="always")
def _roughness(unit: np.uint32, province: np.uint32, code: int, gauss: Singles) -> float:
    """A standard normal number: how rough the ground of a class is in a field or stand, mostly as
    all of its province is."""
    steps = np.uint32(gauss.size - 1)
    own = float(gauss[mix(mix(unit + np.uint32(code)) + np.uint32(70)) & steps])
    around = float(gauss[mix(province + np.uint32(70)) & steps])
    return 0.5 * own + math.sqrt(0.75) * around


@numba.njit(cache=True)
def _shade(
    cover: npt.NDArray[np.uint8],
    unit: npt.NDArray[np.uint32],
    province: npt.NDArray[np.uint32],
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    z: npt.NDArray[np.float64],
    origin: npt.NDArray[np.int64],
    size: Singles,
    rough_spread: Singles,
    gauss: Singles,
) -> Singles:
    """(y, x) what the reflectance of a pixel is multiplied by, the same in every band: 1 on the
    average, lognormal."""
    out = np.empty(unit.shape, np.float32)
    steps = np.uint32(gauss.size - 1)
    fine = 1.0 / _SHADOWS_M
    for row in range(unit.shape[0]):
        for column in range(unit.shape[1]):
            code = cover[row, column]
            rough = _roughness(unit[row, column], province[row, column], code, gauss)
            a, b, c = x[row, column], y[row, column], z[row, column]
            smooth = gradient(a * fine, b * fine, c * fine, _SEED + 200) / NOISE_SPREAD
            white = hash3(origin[0] + column, origin[1] + row, origin[2], _SEED + 1)
            number = _SMOOTH_SHADOWS * smooth + _WHITE_SHADOWS * gauss[white & steps]
            spread = size[code] * math.exp(rough_spread[code] * rough)
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
