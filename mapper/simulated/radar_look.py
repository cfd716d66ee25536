"""What Sentinel-1 sees of a painted surface in one look.

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

from mapper.simulated.cover import BARE, CROPS, FLOODED, GRASS, SHRUB, SNOW, WATER
from mapper.simulated.noise import GAUSS, fractal_at, hash3
from mapper.simulated.painting import MARGIN_PX, Surface
from mapper.simulated.patches import share_of
from mapper.simulated.spectra import RADAR
from mapper.simulated.texture import deviation

Singles = npt.NDArray[np.float32]

_SEED = 20000
RADAR_NODATA = -32768.0
"""As in Planetary Computer's terrain-corrected radar."""
EQUIVALENT_LOOKS = 4.4
"""Of Sentinel-1 IW ground range data in high resolution (`sar:looks_equivalent_number`)."""
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
_MOISTURE_DB = np.full(9, 1.0, np.float32)
"""What one standard deviation of a region's moisture adds for good, by class, most where soil is
tilled. Two classes of land within half a degree deviate alike from what they are elsewhere in that
month: covariances of 0.4 (VV), 0.6 (VH) and 0.4 dB² (one and the other) within one source of
points, most of them of one country, and 4.3, 4.0 and 4.0 over all of the United States
(tests/bench/bench_backscatter.py). These give 1.3 (woods and meadows) to 2.6 (meadows and
fields)."""
_MOISTURE_DB[[WATER, GRASS, CROPS, SHRUB, BARE]] = (0.0, 1.3, 2.0, 1.2, 1.4)
_MOISTURE_M = 60_000.0
"""Size of such a region."""
_MOISTURE_SEED = _SEED - 1
"""Overpasses have seeds of their own, from _SEED on."""
_SPECKLE_STEPS = 4096
SPECKLE_DEVIATIONS = 4.0
"""Normal numbers beyond these, one in 16,000, get the speckle of these."""


@dataclass(frozen=True, slots=True)
class Beam:
    """One overpass of Sentinel-1."""

    seed: int
    ascending: bool
    """True when the satellite flies north, in the evening, and looks east."""


def radar_look(
    surface: Surface, beam: Beam, day_of_year: int, across: Singles | None = None
) -> Singles:
    """One look of Sentinel-1: (2, y, x) float32 gamma nought of VV and VH, linear power.

    Args:
        across: (y, x) place in the swath, -1 near to 1 far; NaN outside, which becomes nodata.
            The middle of the swath where None.
    """
    mixture = surface.mixture
    region, wide = surface.region, surface.landscape
    origin = np.array(
        [region.left, region.top, region.zone.epsg, beam.seed, 1 if beam.ascending else -1]
    )
    sent = _sent_back(
        surface.components(day_of_year),
        np.ascontiguousarray(mixture.mean[:, RADAR]),
        np.ascontiguousarray(mixture.factors[:, RADAR]),
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
            moisture = fractal_at(x[i, j], y[i, j], z[i, j], _MOISTURE_M, 2, 0.5, _MOISTURE_SEED)
            slope = min(0.6, max(-0.6, east_rise[i, j] * side))
            for layer in range(2):
                share = share_of(part[i, j], layer)
                if share <= 0:
                    continue
                kind, cover = components[layer, i, j], covers[layer, i, j]
                wet = _WEATHER_DB[cover] * weather + _MOISTURE_DB[cover] * moisture
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
