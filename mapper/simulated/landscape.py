"""The simulated ground of a region: relief, the true class of every pixel, and what it is made of.

Everything is a function of place: two regions that overlap agree on every pixel they share.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from mapper.land.grid import Region
from mapper.simulated import cover as rules
from mapper.simulated.cover import BARE, BUILT, DESERT, WATER
from mapper.simulated.ground import (
    DRIFT,
    DRY,
    FARMING,
    METRES_PER_DEGREE,
    PEOPLE,
    PLAIN,
    RELIEF,
    RIVERS,
    WARMTH,
    WOODS,
    Ground,
    ground,
)
from mapper.simulated.noise import fractal_at, hash3, nearest_cell
from mapper.simulated.terrain import FLOOR, Terrain, terrain

Codes = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint32]

FIELD = np.uint32(0x80000000)
"""This bit of a unit tells fields and blocks from ground whose character drifts."""
_MARGIN_PX = 2
"""Neighbours that slopes and the smoothing of specks look at."""
_NOTHING = 255
_SEED = 9000


@dataclass(frozen=True, slots=True)
class Landscape:
    """The ground of a region; every array is (y, x)."""

    ground: Ground
    terrain: Terrain
    truth: Codes
    """Class codes 0..8 of the legend; no pixel is without a class."""
    unit: Hashes
    """The field, block or stand a pixel belongs to; the top bit is set for fields and blocks."""
    province: Hashes
    """The stretch of country, some 40 km, whose fields and forests are of the same kinds."""

    @property
    def region(self) -> Region:
        """The pixels described."""
        return self.ground.region


def landscape(region: Region) -> Landscape:
    """The simulated ground of a region, about 1.5 microseconds per pixel."""
    wide = ground(region.widened(_MARGIN_PX))
    relief = terrain(wide)
    truth, unit, province, lines = _cover(
        wide.x,
        wide.y,
        wide.z,
        wide.lat,
        wide.lon,
        wide.slow,
        np.stack([relief.elevation_m, relief.slope, relief.valley, relief.river_m]),
    )
    truth, unit = _smoothed(truth, unit, province, lines)
    inner = (slice(_MARGIN_PX, -_MARGIN_PX), slice(_MARGIN_PX, -_MARGIN_PX))
    return Landscape(
        wide.cut(region),
        relief.cut(inner),
        np.ascontiguousarray(truth[inner]),
        np.ascontiguousarray(unit[inner]),
        np.ascontiguousarray(province[inner]),
    )


@numba.njit(cache=True, inline="always")
def belt_latitude(lat: float, drift: float) -> float:
    """Latitude whose whole degrees bound provinces: bent, so that no border is a parallel."""
    return lat + np.float64(0.05) * np.float64(drift)


@numba.njit(cache=True)
def _cover(
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    z: npt.NDArray[np.float64],
    lat: npt.NDArray[np.float64],
    lon: npt.NDArray[np.float64],
    slow: npt.NDArray[np.float32],
    relief: npt.NDArray[np.float32],
) -> tuple[Codes, Hashes, Hashes, Codes]:
    """Class, unit and province of every pixel, and the rivers and roads that lie over them."""
    truth, lines = np.empty(x.shape, np.uint8), np.empty(x.shape, np.uint8)
    unit, province = np.empty(x.shape, np.uint32), np.empty(x.shape, np.uint32)
    for row in range(x.shape[0]):
        for column in range(x.shape[1]):
            at = (x[row, column], y[row, column], z[row, column])
            found = _pixel(
                at,
                lat[row, column],
                lon[row, column],
                slow[:, row, column],
                relief[:, row, column],
            )
            truth[row, column], unit[row, column] = found[0], found[1]
            province[row, column], lines[row, column] = found[2], found[3]
    return truth, unit, province, lines


@numba.njit(cache=True)
def _pixel(
    at: tuple[float, float, float],
    lat: float,
    lon: float,
    slow: npt.NDArray[np.float32],
    relief: npt.NDArray[np.float32],
) -> tuple[int, np.uint32, np.uint32, int]:
    """Class, unit, province and line (255: none) of one pixel."""
    elevation, slope, valley, river = relief[0], relief[1], relief[2], relief[3]
    dry, warmth = slow[DRY], slow[WARMTH] - rules.LAPSE_PER_M * elevation
    ragged = 40.0 * fractal_at(at[0], at[1], at[2], 240.0, 2, 0.5, _SEED)
    jagged = 40.0 * fractal_at(at[0], at[1], at[2], 240.0, 2, 0.5, _SEED + 9)
    a, b, c = at[0] + ragged, at[1] + jagged, at[2] - ragged
    band = int(np.floor(lat))
    u = lon * np.cos(np.radians(band + 0.5)) * METRES_PER_DEGREE
    v = lat * METRES_PER_DEGREE
    far = 4000.0 * slow[DRIFT]
    belt = int(np.floor(belt_latitude(lat, slow[DRIFT])))
    along = lon * np.cos(np.radians(belt + 0.5)) * METRES_PER_DEGREE
    province = nearest_cell(along + far, v - far, 38_000.0, 0.9, _SEED + 2 + belt)[0]

    lake = rules.lake_excess(a, b, c, dry, slow[RIVERS], slope, valley)
    width = rules.river_width(dry, slow[RIVERS])
    flows = width >= 20.0 and slope < 0.5
    line = _NOTHING
    if flows and river + 0.12 * ragged < 0.5 * width:
        line = WATER if dry < DESERT else BARE
    if lake > 0:
        return WATER, _wild(province, WATER, 0.0), province, line

    crowded = 2.0 if slow[RELIEF] > 500.0 and abs(valley) < 1.5 * FLOOR else 0.0
    people = slow[PEOPLE] - 1.5 * max(0.0, dry - 0.6) + crowded
    depth, town = rules.town_depth(u, v, band, people, ragged / 40.0)
    settled = slope < 0.22 and warmth > 0.5
    if settled and depth > 0:
        code, block = rules.town_block(u, v, town, depth)
        return code, block | FIELD, province, line
    road = nearest_cell(u + 0.09 * far, v + 0.05 * far, 5200.0, 0.8, _SEED + 5 + band)[4]
    if line == _NOTHING and road < 12.0 and slope < 0.3 and warmth > 0.0 and dry < 0.9:
        line = BUILT

    tilled = 0.45 + 0.5 * slow[FARMING] + 0.5 * slow[PLAIN] - 16.0 * max(0.0, slope - 0.06)
    tilled -= 7.0 * max(0.0, dry - 0.6) + 6.0 * max(0.0, 0.26 - dry) + 0.6 * max(0.0, 4.5 - warmth)
    tilled += 0.75 * fractal_at(a, b, c, 3600.0, 4, 0.5, _SEED + 6)
    if tilled > 0:
        parcel, block = rules.farm_parcel(u, v, band, province, 0.7 + 0.3 * slow[PLAIN])
        return (
            rules.farm_class(parcel, block, warmth, slow[PLAIN], slow[RELIEF], province),
            parcel | FIELD,
            province,
            line,
        )
    near = np.exp(-((river / 320.0) ** 2)) if flows else 0.0
    code = rules.natural_class((a, b, c), warmth, dry, slow[WOODS], slope, near, lake)
    kind = fractal_at(a, b, c, 2200.0, 3, 0.5, _SEED + 20 + code)
    return code, _wild(province, code, kind), province, line


@numba.njit(cache=True, inline="always")
def _wild(province: np.uint32, code: int, kind: float) -> np.uint32:
    """The unit of ground that nobody cut into fields: one of a few kinds of its class."""
    step = 0 if kind < -0.8 else 1 if kind < 0.0 else 2 if kind < 0.8 else 3
    return hash3(int(province), code, step, _SEED + 8) & np.uint32(0x7FFFFFFF)


@numba.njit(cache=True)
def _smoothed(truth: Codes, unit: Hashes, province: Hashes, lines: Codes) -> tuple[Codes, Hashes]:
    """Specks give way to what surrounds them; then rivers and roads are laid on top.

    A pixel with fewer than three of its eight neighbours in its own class takes the commonest
    class around it, and the unit of the first neighbour of that class.
    """
    out, owner = truth.copy(), unit.copy()
    height, width = truth.shape
    counts = np.zeros(9, np.int64)
    for row in range(1, height - 1):
        for column in range(1, width - 1):
            own = truth[row, column]
            counts[:] = 0
            for b in range(-1, 2):
                for a in range(-1, 2):
                    counts[truth[row + b, column + a]] += 1
            if counts[own] >= 4:
                continue
            most = np.argmax(counts)
            done = False
            for b in range(-1, 2):
                for a in range(-1, 2):
                    if not done and truth[row + b, column + a] == most:
                        out[row, column], owner[row, column] = most, unit[row + b, column + a]
                        done = True
    for row in range(height):
        for column in range(width):
            if lines[row, column] != _NOTHING:
                out[row, column] = lines[row, column]
                owner[row, column] = _wild(province[row, column], lines[row, column], 0.0)
    return out, owner
