"""What Sentinel-2 sees of a painted surface in one look.

The same code paints scenes of the archive and chips for training. Whatever is random in a pixel is
keyed by its place on the zone's lattice and by the overpass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from mapper.imagery.bands import OPTICAL_BANDS
from mapper.simulated.cover import WATER
from mapper.simulated.noise import GAUSS, hash3
from mapper.simulated.painting import MARGIN_PX, Surface
from mapper.simulated.patches import share_of
from mapper.simulated.sky import Sky, classify, clouds
from mapper.simulated.texture import deviation

Singles = npt.NDArray[np.float32]
Shorts = npt.NDArray[np.uint16]

FINE = tuple(i for i, band in enumerate(OPTICAL_BANDS) if band.resolution_m == 10)
"""Indices of the 10 m bands in OPTICAL_BANDS."""
COARSE = tuple(i for i, band in enumerate(OPTICAL_BANDS) if band.resolution_m == 20)
POINT_SPREAD = 0.13
"""Share of a pixel's light that comes from the next pixel on either side, per axis: a modulation
transfer of 0.24 to 0.48 at Nyquist, where the instrument has 0.2 to 0.3."""
_CLOUD = np.array([0.66, 0.64, 0.63, 0.64, 0.65, 0.65, 0.65, 0.64, 0.42, 0.30], np.float32)
"""Reflectance of thick cloud by band (10 bands); ice and water absorb in the last two."""
_HAZE = np.array([1.0, 0.72, 0.5, 0.44, 0.38, 0.33, 0.3, 0.28, 0.1, 0.05], np.float32)
"""Haze by band, relative to blue: about the inverse square of the wavelength."""
_SHADOW = np.array([0.5, 0.56, 0.6, 0.62, 0.64, 0.65, 0.66, 0.66, 0.7, 0.72], np.float32)
"""Share of a band's light that a cloud's shadow takes: the sky still lights the blue."""
RELIEF_LEFT = 0.55
"""Share of the topographic shading that the atmospheric correction leaves in."""
NOISE_DN = 6.0
NOISE_SHARE = 0.006
"""Sensor noise: a floor in digital numbers, and a share of the signal. Together with the steps
below no more than single looks at even dark fields and woods have in real images."""
DN_STEP = 8
"""Digital numbers come in steps, which adds 2.3 of noise: the archive is smaller for it."""


@dataclass(frozen=True, slots=True)
class OpticalLook:
    """One look of Sentinel-2 at a region."""

    fine: Shorts
    """(4, y, x) digital numbers of the 10 m bands, in the order of FINE; 0 is nodata."""
    coarse: Shorts
    """(6, y/2, x/2) digital numbers of the 20 m bands, in the order of COARSE."""
    classes: npt.NDArray[np.uint8]
    """(y/2, x/2) scene classification."""


def optical_look(
    surface: Surface,
    sky: Sky,
    day_of_year: int,
    offset_dn: int = 0,
    seen: npt.NDArray[np.bool_] | None = None,
) -> OpticalLook:
    """One look of Sentinel-2.

    Args:
        offset_dn: added to every digital number, as processing baselines from 04.00 on do.
        seen: (y, x) True inside the swath; everywhere where None.
    """
    components, mixture = surface.components(day_of_year), surface.mixture
    at = surface.landscape.ground
    east_m, north_m = sky.shadow_m
    cloud, shadow = clouds(at.x, at.y, at.z, sky.seed, sky.threshold, east_m, north_m)
    light = _light(surface, sky)
    planes = np.empty((len(OPTICAL_BANDS), *light.shape), np.float32)
    for band in range(len(OPTICAL_BANDS)):
        planes[band] = _band(
            components,
            np.ascontiguousarray(mixture.mean[:, band]),
            np.ascontiguousarray(mixture.factors[:, band]),
            surface.spread,
            surface.part,
            light,
            cloud,
            shadow,
            np.array([_CLOUD[band], _HAZE[band] * sky.haze, _SHADOW[band], sky.gain], np.float32),
        )
    region = surface.region
    origin = np.array([region.left, region.top, region.zone.epsg, sky.seed])
    red, nir, swir, green = (_halved(planes[band]) for band in (2, 6, 8, 1))
    classes = classify(cloud, shadow, red, nir, swir, green, at.x, at.y, at.z, sky.seed)
    edge = MARGIN_PX // 2
    classes = np.ascontiguousarray(classes[edge:-edge, edge:-edge])
    fine = np.stack([_digital(planes[b], origin, b, offset_dn, MARGIN_PX) for b in FINE])
    coarse = np.stack([_digital(_halved(planes[b]), origin, b, offset_dn, edge) for b in COARSE])
    if seen is not None:
        fine[:, ~seen] = 0
        whole = seen[::2, ::2] & seen[1::2, ::2] & seen[::2, 1::2] & seen[1::2, 1::2]
        coarse[:, ~whole] = 0
        classes[~whole] = 0
    return OpticalLook(fine, coarse, classes)


def _light(surface: Surface, sky: Sky) -> Singles:
    """(y, x) brightness of sloping and shaded ground relative to flat ground; water lies flat."""
    relief = surface.landscape.terrain
    zenith, azimuth = math.radians(min(sky.sun_zenith_deg, 75)), math.radians(sky.sun_azimuth_deg)
    toward_east = math.sin(zenith) * math.sin(azimuth)
    toward_north = math.sin(zenith) * math.cos(azimuth)
    upright = math.cos(zenith)
    facing = upright - relief.east_rise * toward_east - relief.north_rise * toward_north
    facing = facing / np.sqrt(1 + relief.slope * relief.slope) / upright
    light = np.clip(1 + RELIEF_LEFT * (facing - 1), 0.3, 1.4)
    light = np.where(surface.landscape.truth == WATER, 1, light) * surface.shade
    return light.astype(np.float32)


@numba.njit(cache=True)
def _band(
    components: npt.NDArray[np.int16],
    mean: Singles,
    factors: Singles,
    spread: Singles,
    part: Singles,
    light: Singles,
    cloud: Singles,
    shadow: Singles,
    air: Singles,
) -> Singles:
    """Reflectance of one band as it reaches the instrument, (y, x) with the margin."""
    ground = np.empty(light.shape, np.float32)
    for row in range(light.shape[0]):
        for column in range(light.shape[1]):
            lit = 0.0
            for layer in range(2):
                share = share_of(part[row, column], layer)
                if share > 0:
                    kind = components[layer, row, column]
                    root = mean[kind] + deviation(factors[kind], spread[layer, :, row, column])
                    lit += share * max(root, 0.01) ** 2
            lit *= light[row, column]
            dark = np.float32(1) - air[2] * shadow[row // 2, column // 2]
            opaque = cloud[row // 2, column // 2]
            lit = lit * dark * (np.float32(1) - opaque) + air[0] * opaque
            ground[row, column] = lit * air[3] + air[1]
    return _softened(ground)


@numba.njit(cache=True)
def _softened(plane: Singles) -> Singles:
    """A plane through the point spread; its outermost pixels stay as they are."""
    side, middle = np.float32(POINT_SPREAD), np.float32(1 - 2 * POINT_SPREAD)
    half, out = plane.copy(), plane.copy()
    for row in range(plane.shape[0]):
        for column in range(1, plane.shape[1] - 1):
            both = plane[row, column - 1] + plane[row, column + 1]
            half[row, column] = middle * plane[row, column] + side * both
    for row in range(1, plane.shape[0] - 1):
        for column in range(plane.shape[1]):
            both = half[row - 1, column] + half[row + 1, column]
            out[row, column] = middle * half[row, column] + side * both
    return out


@numba.njit(cache=True)
def _halved(plane: Singles) -> Singles:
    """Means of 2 x 2 pixels."""
    out = np.empty((plane.shape[0] // 2, plane.shape[1] // 2), np.float32)
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            upper = plane[2 * row, 2 * column] + plane[2 * row, 2 * column + 1]
            lower = plane[2 * row + 1, 2 * column] + plane[2 * row + 1, 2 * column + 1]
            out[row, column] = np.float32(0.25) * (upper + lower)
    return out


def _digital(
    plane: Singles, origin: npt.NDArray[np.int64], band: int, offset_dn: int, margin: int
) -> Shorts:
    """Digital numbers of a plane without its margin, with sensor noise."""
    step = MARGIN_PX // margin
    corner = origin // np.array([step, step, 1, 1])
    return _numbers(plane, corner, band, offset_dn, margin, GAUSS)


@numba.njit(cache=True)
def _numbers(
    plane: Singles,
    origin: npt.NDArray[np.int64],
    band: int,
    offset_dn: int,
    margin: int,
    gauss: Singles,
) -> Shorts:
    """Reflectance to digital numbers; never 0, which is nodata."""
    height, width = plane.shape[0] - 2 * margin, plane.shape[1] - 2 * margin
    out = np.empty((height, width), np.uint16)
    steps = np.uint32(gauss.size - 1)
    for row in range(height):
        for column in range(width):
            value = plane[row + margin, column + margin] * 10_000.0
            draw = hash3(origin[0] + column, origin[1] + row, origin[2] + 64 * band, origin[3])
            value += (NOISE_DN + NOISE_SHARE * value) * gauss[draw & steps]
            value = math.floor((value + offset_dn) / DN_STEP + 0.5) * DN_STEP
            out[row, column] = min(max(value, float(DN_STEP)), 65_000.0)
    return out
