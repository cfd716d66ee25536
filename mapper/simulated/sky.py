"""Clouds, their shadows, and the scene classification that tries to find them.

Cloud is a fractal field over the ground, of its own for every overpass, thick where it exceeds what
the overpass's cover asks for and thin around that. Its shadow is the same field seen along the sun.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numba
import numpy as np
import numpy.typing as npt

from mapper.simulated.noise import fractal_at, hash3, unit

Singles = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

SCL_NODATA, SCL_DARK, SCL_SHADOW, SCL_VEGETATION, SCL_BARE, SCL_WATER = 0, 2, 3, 4, 5, 6
SCL_UNCLASSIFIED, SCL_MEDIUM, SCL_HIGH, SCL_CIRRUS, SCL_SNOW = 7, 8, 9, 10, 11
"""Codes of Sentinel-2's scene classification (Level-2A product specification, table 3)."""
CLOUD_M = 14_000.0
"""Wavelength of the largest clouds."""
FRONT_M = 110_000.0
"""Wavelength of fronts: a swath is seldom evenly cloudy."""
OVERPASS_HOUR = 10.5
"""Local solar time at which Sentinel-2 passes."""
SOFTNESS = 0.55
"""Standard deviations of the field over which a cloud thickens from nothing to full."""
HIGH_OPACITY, MEDIUM_OPACITY, CIRRUS_OPACITY = 0.75, 0.42, 0.17
"""Opacities from which the classifier calls a pixel cloud of each kind, give or take its doubt."""
_FRONT_SHARE = 0.8
_SEED = 15000


@dataclass(frozen=True, slots=True)
class Sky:
    """The air over a tile at one overpass."""

    seed: int
    """Of the overpass: the same for all its tiles."""
    cover: float
    """Share of the swath under cloud, 0 to 1."""
    cloud_height_m: float
    haze: float
    """Reflectance that the air adds to the blue band, after an imperfect correction."""
    gain: float
    """What calibration and correction leave as a factor, near 1."""
    sun_zenith_deg: float
    sun_azimuth_deg: float
    """Clockwise from north."""

    @property
    def threshold(self) -> float:
        """Value of the cloud field at which a cloud is half opaque."""
        share = min(max(self.cover, 0.001), 0.999)
        return NormalDist().inv_cdf(1 - share)

    @property
    def shadow_m(self) -> tuple[float, float]:
        """(east, north) from a shadow to the cloud that casts it, in metres."""
        reach = self.cloud_height_m * math.tan(math.radians(min(self.sun_zenith_deg, 80)))
        azimuth = math.radians(self.sun_azimuth_deg)
        return reach * math.sin(azimuth), reach * math.cos(azimuth)


def sky_of(seed: int, sun_at: tuple[float, float]) -> Sky:
    """The weather of an overpass, drawn from its seed, under a sun at (zenith, azimuth) degrees.

    Two overpasses in five are nearly clear and one in four mostly cloudy, as in temperate summers.
    """
    draws = [float(unit(hash3(seed, number, 0, _SEED + 7))) for number in range(5)]
    if draws[0] < 0.4:
        cover = 0.08 * draws[1]
    elif draws[0] < 0.75:
        cover = 0.08 + 0.32 * draws[1]
    else:
        cover = 0.4 + 0.55 * draws[1]
    haze = 0.012 * draws[3] * draws[3]
    return Sky(seed, cover, 700.0 + 2600.0 * draws[2], haze, 0.97 + 0.06 * draws[4], *sun_at)


@numba.njit(cache=True)
def cloud_at(x: float, y: float, z: float, seed: int, threshold: float) -> float:
    """Opacity of the cloud over a point, 0 to 1."""
    drift = 1.0e5 * (seed & 1023)
    field = fractal_at(x + drift, y - drift, z, CLOUD_M, 6, 0.56, _SEED + seed)
    front = fractal_at(x - drift, y, z + drift, FRONT_M, 2, 0.5, _SEED + seed + 1)
    field = (field + _FRONT_SHARE * front) / math.sqrt(1 + _FRONT_SHARE**2)
    rise = (field - threshold) / SOFTNESS + 0.5
    rise = min(1.0, max(0.0, rise))
    return rise * rise * (3 - 2 * rise)


@numba.njit(cache=True)
def opacities(x: Doubles, y: Doubles, z: Doubles, seed: int, threshold: float) -> Singles:
    """`cloud_at` over arrays of positions, (y, x) float32."""
    out = np.empty(x.shape, np.float32)
    for row in range(x.shape[0]):
        for column in range(x.shape[1]):
            a, b, c = x[row, column], y[row, column], z[row, column]
            out[row, column] = cloud_at(a, b, c, seed, threshold)
    return out


@numba.njit(cache=True)
def clouds(
    x: Doubles, y: Doubles, z: Doubles, seed: int, threshold: float, east_m: float, north_m: float
) -> tuple[Singles, Singles]:
    """Opacity of cloud and of cloud shadow of every 20 m pixel, 0 to 1.

    Args:
        x, y, z: positions of 10 m pixels; sides are even.
        seed, threshold: of the overpass, see `Sky`.
        east_m, north_m: from a shadow to its cloud.
    """
    height, width = x.shape[0] // 2, x.shape[1] // 2
    cloud, shadow = np.empty((height, width), np.float32), np.empty((height, width), np.float32)
    for row in range(height):
        for column in range(width):
            i, j = 2 * row, 2 * column
            a, b, c = x[i, j], y[i, j], z[i, j]
            e, n = east_m / 10.0, north_m / 10.0
            cloud[row, column] = cloud_at(a, b, c, seed, threshold)
            a += e * (x[i, j + 1] - x[i, j]) + n * (x[i, j] - x[i + 1, j])
            b += e * (y[i, j + 1] - y[i, j]) + n * (y[i, j] - y[i + 1, j])
            c += e * (z[i, j + 1] - z[i, j]) + n * (z[i, j] - z[i + 1, j])
            shadow[row, column] = cloud_at(a, b, c, seed, threshold)
    return cloud, shadow


@numba.njit(cache=True)
def classify(
    cloud: Singles,
    shadow: Singles,
    red: Singles,
    nir: Singles,
    swir: Singles,
    green: Singles,
    x: Doubles,
    y: Doubles,
    z: Doubles,
    seed: int,
) -> npt.NDArray[np.uint8]:
    """The scene classification of every 20 m pixel, with its usual mistakes.

    Bands are reflectances at 20 m as the instrument sees them. Thin cloud is missed below about a
    fifth of full opacity, edges are ragged, some shadow is missed, some bright ground is taken for
    cloud.
    """
    out = np.empty(cloud.shape, np.uint8)
    for row in range(cloud.shape[0]):
        for column in range(cloud.shape[1]):
            a, b, c = x[2 * row, 2 * column], y[2 * row, 2 * column], z[2 * row, 2 * column]
            doubt = 0.07 * fractal_at(a, b, c, 220.0, 2, 0.6, _SEED + seed + 5)
            opacity, dark = cloud[row, column] + doubt, shadow[row, column] + 1.5 * doubt
            r, n = red[row, column], nir[row, column]
            snow = (green[row, column] - swir[row, column]) / (
                green[row, column] + swir[row, column] + 1e-4
            )
            bright = r > 0.33 and snow < 0.3 and doubt > 0.11
            if opacity > HIGH_OPACITY:
                code = SCL_HIGH
            elif opacity > MEDIUM_OPACITY or bright:
                code = SCL_MEDIUM
            elif opacity > CIRRUS_OPACITY and cloud[row, column] > 0.02:
                code = SCL_CIRRUS
            elif dark > 0.45 and n < 0.3 and snow < 0.6:
                code = SCL_SHADOW
            elif snow > 0.42 and green[row, column] > 0.2:
                code = SCL_SNOW
            elif n < 0.1 and n < 1.15 * green[row, column]:
                code = SCL_WATER
            elif n < 0.07:
                code = SCL_DARK
            elif (n - r) / (n + r + 1e-4) > 0.33:
                code = SCL_VEGETATION
            elif doubt > 0.16 and r > 0.15:
                code = SCL_UNCLASSIFIED
            else:
                code = SCL_BARE
            out[row, column] = code
    return out


def sun(day_of_year: int, hour_utc: float, lon: float, lat: float) -> tuple[float, float]:
    """(zenith, azimuth) of the sun in degrees, to about half a degree.

    Cooper 1969, "The absorption of radiation in solar stills", for the declination; the equation of
    time is left out (4 degrees of azimuth at most).
    """
    declination = math.radians(23.45) * math.sin(2 * math.pi * (284 + day_of_year) / 365)
    angle = math.radians(15 * (hour_utc - 12) + lon)
    place = math.radians(lat)
    rise = math.sin(place) * math.sin(declination)
    rise += math.cos(place) * math.cos(declination) * math.cos(angle)
    zenith = math.acos(max(-1.0, min(1.0, rise)))
    east = -math.cos(declination) * math.sin(angle)
    north = math.sin(declination) * math.cos(place)
    north -= math.cos(declination) * math.sin(place) * math.cos(angle)
    return math.degrees(zenith), math.degrees(math.atan2(east, north)) % 360
