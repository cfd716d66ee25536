"""Where the pixels of a region are on the Earth, and the slow facts of climate and relief there.

Positions and slow fields are computed at nodes every 32 pixels of the zone's lattice and
interpolated between them (bilinear, 2 mm of error), so a pixel's value does not depend on the
region that asks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
import pyproj

from mapper.land.grid import LATTICE_TOP_M, PIXEL_M, Region
from mapper.simulated.noise import fractal
from mapper.simulated.world import (
    DRYNESS,
    EARTH_RADIUS_M,
    FLATNESS,
    RANGES,
    belt_field,
    on_sphere,
)

Doubles = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

NODE_PX = 32
METRES_PER_DEGREE = 111_320.0
_TURN = np.array([[0.36, 0.48, -0.80], [-0.80, 0.60, 0.0], [0.48, 0.64, 0.60]])
"""A rotation, so that no plane of the noise's lattice lies along the equator or a meridian."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Positions and slow fields of a region's pixels; every array is (y, x)."""

    region: Region
    x: Doubles
    """Metres in a frame turned against the Earth's axis; x, y, z are where noise is evaluated."""
    y: Doubles
    z: Doubles
    lat: Doubles
    """Degrees."""
    lon: Doubles
    """Degrees, -180 to 180."""
    slow: Singles
    """(field, y, x): the fields of `SLOW`, in that order."""

    def cut(self, region: Region) -> Ground:
        """The part of it over a region inside."""
        y, x = region.slices_in(self.region)
        planes = (self.x, self.y, self.z, self.lat, self.lon)
        a, b, c, lat, lon = (np.ascontiguousarray(plane[y, x]) for plane in planes)
        return Ground(region, a, b, c, lat, lon, np.ascontiguousarray(self.slow[:, y, x]))


SLOW = (
    "relief",
    "dryness",
    "plain",
    "warmth",
    "farming",
    "woods",
    "rivers",
    "people",
    "base",
    "drift",
)
"""relief: metres from valley to crest. dryness 0..1. plain 0..1: how much hills are flattened.
warmth: mean annual temperature at sea level, degrees Celsius. farming, woods, rivers, people: slow
standard normal noise for the share of fields, of forest, of water and of settlement.
base: slow rise and fall of the lowland. drift: bends borders of provinces and roads."""
RELIEF, DRY, PLAIN, WARMTH, FARMING, WOODS, RIVERS, PEOPLE, BASE, DRIFT = range(len(SLOW))


def ground(region: Region) -> Ground:
    """Positions and slow fields of every pixel of a region."""
    columns = np.arange(region.left // NODE_PX, (region.right - 1) // NODE_PX + 2) * NODE_PX
    rows = np.arange(region.top // NODE_PX, (region.bottom - 1) // NODE_PX + 2) * NODE_PX
    lon, lat = _lonlat(region, columns, rows)
    sphere = on_sphere(lon, lat)
    place = _turned(sphere)
    nodes = np.concatenate(
        [np.moveaxis(place, -1, 0), lat[None], lon[None], _slow(sphere, place, lat)]
    )
    origin = (region.left - int(columns[0]), region.top - int(rows[0]))
    fine = _between(nodes[:5], *origin, *region.shape)
    slow = _between(nodes[5:], *origin, *region.shape).astype(np.float32)
    wrapped = (fine[4] + 180) % 360 - 180
    return Ground(region, fine[0], fine[1], fine[2], fine[3], wrapped, slow)


def positions(region: Region, step_px: int) -> tuple[Doubles, Doubles, Doubles]:
    """x, y, z as in `Ground` of every so many pixels of a region, (y, x)."""
    columns = np.arange(region.left, region.right, step_px)
    rows = np.arange(region.top, region.bottom, step_px)
    place = _turned(on_sphere(*_lonlat(region, columns, rows)))
    x, y, z = (np.ascontiguousarray(place[..., axis]) for axis in range(3))
    return x, y, z


def _turned(sphere: Doubles) -> Doubles:
    """Unit vectors to metres in the turned frame; sums in one order, for BLAS has several."""
    parts = [
        sphere[..., 0] * row[0] + sphere[..., 1] * row[1] + sphere[..., 2] * row[2] for row in _TURN
    ]
    return np.stack(parts, axis=-1) * EARTH_RADIUS_M


def _lonlat(
    region: Region, columns: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]
) -> tuple[Doubles, Doubles]:
    """Longitude (without a jump at 180) and latitude of lattice corners, (row, column) degrees."""
    back = pyproj.Transformer.from_crs(region.zone.epsg, 4326, always_xy=True)
    east, north = np.meshgrid(columns * float(PIXEL_M), LATTICE_TOP_M - rows * float(PIXEL_M))
    lon, lat = back.transform(east, north)
    middle = region.zone.number * 6 - 183
    return (lon - middle + 180) % 360 - 180 + middle, np.asarray(lat)


def _slow(sphere: Doubles, place: Doubles, lat: Doubles) -> Doubles:
    """(field, y, x) of SLOW at the nodes."""

    def noise(wavelength_km: float, octaves: int, seed: int) -> Doubles:
        x, y, z = (np.ascontiguousarray(place[..., axis]) for axis in range(3))
        return fractal(x, y, z, wavelength_km * 1000, octaves, 0.55, seed).astype(np.float64)

    plain = np.clip(belt_field(sphere, FLATNESS).max(axis=0), 0, 1)
    hills = 130 * np.exp(0.7 * noise(260, 4, 11)) * (1 - 0.9 * plain)
    relief = belt_field(sphere, RANGES).max(axis=0) * np.clip(1 + 0.25 * noise(70, 3, 12), 0.3, 2)
    dry = 0.37 + belt_field(sphere, DRYNESS).sum(axis=0) * 0.55 + 0.13 * noise(350, 4, 13)
    dry = dry + 0.12 * np.exp(-np.square((np.abs(lat) - 25) / 9))
    warmth = 27 - 0.5 * np.maximum(np.abs(lat) - 15, 0) + 0.8 * noise(300, 3, 14)
    return np.stack(
        [
            hills + relief,
            np.clip(dry, 0, 1),
            plain,
            warmth,
            noise(38, 4, 15),
            noise(30, 4, 16),
            noise(28, 3, 17),
            noise(60, 4, 18),
            noise(90, 3, 19),
            noise(15, 2, 20),
        ]
    )


@numba.njit(cache=True)
def _between(nodes: Doubles, left: int, top: int, height: int, width: int) -> Doubles:
    """(field, y, x) values at pixel centres, bilinear between nodes every NODE_PX corners."""
    out = np.empty((nodes.shape[0], height, width))
    for field in range(nodes.shape[0]):
        for row in range(height):
            j = (top + row) // NODE_PX
            v = ((top + row) % NODE_PX + 0.5) / NODE_PX
            for column in range(width):
                i = (left + column) // NODE_PX
                u = ((left + column) % NODE_PX + 0.5) / NODE_PX
                upper = nodes[field, j, i] + u * (nodes[field, j, i + 1] - nodes[field, j, i])
                lower = nodes[field, j + 1, i] + u * (
                    nodes[field, j + 1, i + 1] - nodes[field, j + 1, i]
                )
                out[field, row, column] = upper + v * (lower - upper)
    return out
