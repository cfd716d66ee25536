"""Relief: valleys, ridges and the rivers in them, as a function of place.

A valley runs where a slow noise field is zero, and the ground rises with the field's absolute
value, so that valleys join, wind and have a floor, and a river can follow the zero line itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from mapper.land.grid import PIXEL_M
from mapper.simulated.ground import BASE, PLAIN, RELIEF, Ground
from mapper.simulated.noise import fractal_at

Singles = npt.NDArray[np.float32]

VALLEY_M = 15_000.0
"""Wavelength of the valleys: one every eight to ten kilometres."""
SIDE_VALLEY_M = 3_600.0
FLOOR = 0.16
"""Absolute value of the valley field below which the ground is valley floor."""
_SEED = 1000


@dataclass(frozen=True, slots=True)
class Terrain:
    """The shape of the ground; every array is (y, x) float32."""

    elevation_m: Singles
    """Metres above the sea."""
    slope: Singles
    """Rise over run."""
    east_rise: Singles
    """Change of elevation per metre eastwards."""
    north_rise: Singles
    """Change of elevation per metre northwards."""
    valley: Singles
    """The valley field: zero along rivers, about -3..3."""
    river_m: Singles
    """Distance to the line where the valley field is zero, in metres (near the line)."""

    def cut(self, part: tuple[slice, slice]) -> Terrain:
        """The part of it in (y, x) slices."""
        planes = (self.elevation_m, self.slope, self.east_rise, self.north_rise, self.valley)
        elevation, slope, east, north, valley = (np.ascontiguousarray(p[part]) for p in planes)
        river = np.ascontiguousarray(self.river_m[part])
        return Terrain(elevation, slope, east, north, valley, river)


def terrain(ground: Ground) -> Terrain:
    """The relief of a region; its outermost pixels have one-sided slopes, so ask for one more."""
    elevation, valley = _relief(ground.x, ground.y, ground.z, ground.slow)
    north, east = _rise(elevation)
    down, across = _rise(valley)
    steep = np.sqrt(down * down + across * across)
    return Terrain(
        elevation,
        np.sqrt(north * north + east * east),
        east,
        north,
        valley,
        (np.abs(valley) / np.maximum(steep, np.float32(2e-4))).astype(np.float32),
    )


@numba.njit(cache=True)
def _relief(
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    z: npt.NDArray[np.float64],
    slow: Singles,
) -> tuple[Singles, Singles]:
    """(elevation in metres, valley field), float32."""
    elevation, valley = np.empty(x.shape, np.float32), np.empty(x.shape, np.float32)
    for row in range(x.shape[0]):
        for column in range(x.shape[1]):
            a, b, c = x[row, column], y[row, column], z[row, column]
            bend = 900.0 * fractal_at(a, b, c, 7000.0, 2, 0.5, _SEED)
            turn = 900.0 * fractal_at(a, b, c, 7000.0, 2, 0.5, _SEED + 50)
            main = fractal_at(a + bend, b + turn, c - bend, VALLEY_M, 3, 0.42, _SEED + 1)
            side = fractal_at(a + turn, b - bend, c + turn, SIDE_VALLEY_M, 2, 0.45, _SEED + 2)
            above = max(0.0, abs(main) - FLOOR)
            rise = above * above / (above * above + 0.12 + 0.75 * above)
            ridge = min(1.0, above * 1.6)
            detail = fractal_at(a, b, c, 700.0, 4, 0.5, _SEED + 3)
            relief = slow[RELIEF, row, column]
            shape = 1.5 * rise + ridge * (0.17 * abs(side) + 0.014 * detail)
            lowland = (
                60.0 + 130.0 * (1.0 - slow[PLAIN, row, column]) + 45.0 * slow[BASE, row, column]
            )
            elevation[row, column] = max(0.0, lowland + relief * (0.2 + shape))
            valley[row, column] = main
    return elevation, valley


@numba.njit(cache=True)
def _rise(field: Singles) -> tuple[Singles, Singles]:
    """Change of a field per metre northwards and eastwards, by central differences."""
    north, east = np.empty_like(field), np.empty_like(field)
    height, width = field.shape
    for row in range(height):
        up, down = max(row - 1, 0), min(row + 1, height - 1)
        for column in range(width):
            left, right = max(column - 1, 0), min(column + 1, width - 1)
            run = np.float32(max(1, down - up) * PIXEL_M)
            north[row, column] = (field[up, column] - field[down, column]) / run
            run = np.float32(max(1, right - left) * PIXEL_M)
            east[row, column] = (field[row, right] - field[row, left]) / run
    return north, east
