"""What the two instruments see of a painted surface: one look each of Sentinel-2 and Sentinel-1.

The same code paints scenes of the archive and chips for training. Whatever is random in a pixel is
keyed by its place on the zone's lattice and by the overpass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numba
import numpy as np
import numpy.typing as npt

from mapper.imagery.bands import OPTICAL_BANDS
from mapper.simulated.cover import BARE, CROPS, FLOODED, GRASS, SHRUB, SNOW, WATER
from mapper.simulated.noise import GAUSS, fractal_at, hash3
from mapper.simulated.painting import MARGIN_PX, Surface
from mapper.simulated.sky import Sky, classify, clouds
from mapper.simulated.texture import deviation

Singles = npt.NDArray[np.float32]
Shorts = npt.NDArray[np.uint16]

RADAR_NODATA = -32768.0
"""As in Planetary Computer's terrain-corrected radar."""
EQUIVALENT_LOOKS = 4.4
"""Of Sentinel-1 IW ground range data in high resolution (`sar:looks_equivalent_number`)."""
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
RADAR_SPREAD = np.array([0.038, 0.24, 0.444, 0.24, 0.038], np.float32)
"""Share of a radar pixel's power that comes from each of five in a row, per axis: a normal curve of
0.9 pixels. Pixels are 10 m, the instrument resolves 20 by 22 m, so neighbours share most of what
they show: speckle in real chips correlates by 0.72 to 0.80 from pixel to pixel and by 0.29 to 0.44
over two (tests/bench/bench_texture.py). Noise that is white averages out over a field as real
speckle never does."""
_REACH = len(RADAR_SPREAD) // 2
_WEATHER_DB = np.full(9, 0.3, np.float32)
"""What one standard deviation of an overpass's weather adds, by class: wind on water, moisture of
soil elsewhere. Medians of measured crops of one country vary by 1.1 dB from one ten days to the
next (WorldCereal's points in France); what covers the soil hides it."""
_WEATHER_DB[[WATER, GRASS, FLOODED, CROPS]] = (1.1, 1.0, 0.6, 1.2)
_WEATHER_DB[[SHRUB, BARE, SNOW]] = (0.6, 1.0, 0.8)
_SPECKLE_STEPS = 4096
SPECKLE_DEVIATIONS = 4.0
"""Normal numbers beyond these, one in 16,000, get the speckle of these."""
_SEED = 20000


@dataclass(frozen=True, slots=True)
class OpticalLook:
    """One look of Sentinel-2 at a region."""

    fine: Shorts
    """(4, y, x) digital numbers of the 10 m bands, in the order of FINE; 0 is nodata."""
    coarse: Shorts
    """(6, y/2, x/2) digital numbers of the 20 m bands, in the order of COARSE."""
    classes: npt.NDArray[np.uint8]
    """(y/2, x/2) scene classification."""


@dataclass(frozen=True, slots=True)
class Beam:
    """One overpass of Sentinel-1."""

    seed: int
    ascending: bool
    """True when the satellite flies north, in the evening, and looks east."""


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
                share = _share(part[row, column], layer)
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


@numba.njit(cache=True, inline="always")
def _share(part: float, layer: int) -> float:
    """The share of a pixel that looks like one of its two covers."""
    return part if layer == 0 else 1.0 - part


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


def radar_look(
    surface: Surface, beam: Beam, day_of_year: int, across: Singles | None = None
) -> Singles:
    """One look of Sentinel-1: (2, y, x) float32 gamma nought of VV and VH, linear power.

    Args:
        across: (y, x) place in the swath, -1 near to 1 far; NaN outside, which becomes nodata.
            The middle of the swath where None.
    """
    mixture, radar = surface.mixture, slice(len(OPTICAL_BANDS), None)
    region, wide = surface.region, surface.landscape
    origin = np.array(
        [region.left, region.top, region.zone.epsg, beam.seed, 1 if beam.ascending else -1]
    )
    sent = _sent_back(
        surface.components(day_of_year),
        np.ascontiguousarray(mixture.mean[:, radar]),
        np.ascontiguousarray(mixture.factors[:, radar]),
        surface.spread,
        surface.part,
        surface.covers,
        wide.terrain.east_rise,
        wide.ground.x,
        wide.ground.y,
        wide.ground.z,
        origin,
    )
    place = np.zeros(region.shape, np.float32) if across is None else across
    return _backscatter(sent, place, origin, GAUSS, SPECKLE)


@numba.njit(cache=True)
def _backscatter(
    sent: Singles,
    across: Singles,
    origin: npt.NDArray[np.int64],
    gauss: Singles,
    speckle: Singles,
) -> Singles:
    """What the ground sends back, as the radar resolves it, by angle and times speckle; rounded."""
    height, width = across.shape
    out = np.empty((2, height, width), np.float32)
    both_axes = np.square(RADAR_SPREAD).sum()  # the deviation that spreading leaves
    for band in range(2):
        power = _resolved(sent[band])
        noise = _resolved(_white(height, width, origin, band, gauss))
        for row in range(height):
            for column in range(width):
                if math.isnan(across[row, column]):
                    out[band, row, column] = RADAR_NODATA
                    continue
                deviations = noise[row, column] / both_axes
                step = int((deviations / SPECKLE_DEVIATIONS + 1.0) * 0.5 * speckle.size)
                grain = speckle[min(max(step, 0), speckle.size - 1)]
                tilt = 10.0 ** (-0.035 * across[row, column])
                out[band, row, column] = _rounded(power[row, column] * tilt * grain)
    return out


@numba.njit(cache=True)
def _sent_back(
    components: npt.NDArray[np.int16],
    mean: Singles,
    factors: Singles,
    spread: Singles,
    part: Singles,
    covers: npt.NDArray[np.uint8],
    east_rise: Singles,
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    z: npt.NDArray[np.float64],
    origin: npt.NDArray[np.int64],
) -> Singles:
    """(2, y, x) power that the ground of each pixel sends back at the middle of the swath, by date
    and slope, as far as `_resolved` looks."""
    edge = MARGIN_PX - _REACH
    height, width = part.shape[0] - 2 * edge, part.shape[1] - 2 * edge
    out = np.zeros((2, height, width), np.float32)
    seed, side = origin[3], origin[4]
    for row in range(height):
        for column in range(width):
            i, j = row + edge, column + edge
            weather = fractal_at(x[i, j], y[i, j], z[i, j], 25_000.0, 2, 0.5, _SEED + seed)
            slope = min(0.6, max(-0.6, east_rise[i, j] * side))
            for layer in range(2):
                share = _share(part[i, j], layer)
                if share <= 0:
                    continue
                kind = components[layer, i, j]
                wet = _WEATHER_DB[covers[layer, i, j]] * weather
                for band in range(2):
                    own = mean[kind, band] + deviation(factors[kind, band], spread[layer, :, i, j])
                    out[band, row, column] += share * 10.0 ** (0.1 * (own + 1.6 * slope + wet))
    return out


@numba.njit(cache=True)
def _white(
    height: int, width: int, origin: npt.NDArray[np.int64], band: int, gauss: Singles
) -> Singles:
    """Standard normal numbers of an overpass, each pixel its own, as far as `_resolved` looks."""
    out = np.empty((height + 2 * _REACH, width + 2 * _REACH), np.float32)
    steps = np.uint32(gauss.size - 1)
    left, top = origin[0] - _REACH, origin[1] - _REACH
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            draw = hash3(left + column, top + row, origin[2] + 64 * band, origin[3])
            out[row, column] = gauss[draw & steps]
    return out


@numba.njit(cache=True)
def _resolved(plane: Singles) -> Singles:
    """A plane as the radar resolves it, without the pixels at its edge that this looks at."""
    height, width = plane.shape[0] - 2 * _REACH, plane.shape[1] - 2 * _REACH
    half = np.zeros((plane.shape[0], width), np.float32)
    out = np.zeros((height, width), np.float32)
    for row in range(plane.shape[0]):
        for column in range(width):
            for tap in range(2 * _REACH + 1):
                half[row, column] += RADAR_SPREAD[tap] * plane[row, column + tap]
    for row in range(height):
        for column in range(width):
            for tap in range(2 * _REACH + 1):
                out[row, column] += RADAR_SPREAD[tap] * half[row + tap, column]
    return out


@numba.njit(cache=True, inline="always")
def _rounded(power: float) -> float:
    """A power kept to seven binary digits (0.05 dB), so that the archive stays small."""
    fraction, exponent = math.frexp(power)
    return math.ldexp(math.floor(fraction * 128.0 + 0.5), exponent - 7)


def _speckle_table() -> Singles:
    """Quantiles of the gamma distribution of mean 1 and EQUIVALENT_LOOKS, by standard normal
    number: from -SPECKLE_DEVIATIONS to as many above, at the middles of equal steps."""
    power = np.linspace(0, 8, 200_001)[1:]
    shape = EQUIVALENT_LOOKS
    logarithm = (shape - 1) * np.log(power) - shape * power
    share = np.cumsum(np.exp(logarithm))
    share /= share[-1]
    # Every edge of a step and, between them, its middle.
    numbers = SPECKLE_DEVIATIONS * np.linspace(-1, 1, 2 * _SPECKLE_STEPS + 1)
    below = np.array([NormalDist().cdf(float(number)) for number in numbers])
    quantiles = np.interp(below[1::2], share, power)
    below[0], below[-1] = 0, 1
    mean = (np.diff(below[::2]) * quantiles).sum()
    table: Singles = (quantiles / mean).astype(np.float32)
    return table


SPECKLE: Singles = _speckle_table()
