"""Sentinel-2's tiles: squares of 109.8 km that overlap, named by the Military Grid. Pure.

Rules of NGA.STND.0037 for the letters; corners as in the products: the 100 km corner moved to a
multiple of 60 m from the equator, so that pixels of 10, 20 and 60 m all begin there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pyproj
import shapely
from shapely.geometry.base import BaseGeometry

from mapper.land.grid import LATTICE_TOP_M, PIXEL_M, Region, Zone

TILE_PX = 10_980
_SQUARE_M = 100_000
_SNAP_M = 60
_COLUMNS = ("ABCDEFGH", "JKLMNPQR", "STUVWXYZ")
_ROWS = "ABCDEFGHJKLMNPQRSTUV"
_BANDS = "CDEFGHJKLMNPQRSTUVWX"
_EVEN_ZONE_SHIFT = 5
"""Rows of even zones begin at F."""
_FALSE_NORTHING_M = 10_000_000


@dataclass(frozen=True, slots=True, order=True)
class MgrsTile:
    """A tile of Sentinel-2 in one zone."""

    zone: Zone
    column: int
    """Easting of its 100 km square, in hundreds of kilometres: 1 to 8."""
    row: int
    """Northing of its 100 km square, in hundreds of kilometres."""

    @property
    def region(self) -> Region:
        """Its pixels on the zone's lattice."""
        left_m = self.column * _SQUARE_M // _SNAP_M * _SNAP_M
        equator_m = _FALSE_NORTHING_M if self.zone.south else 0
        north_m = (self.row + 1) * _SQUARE_M - equator_m
        top_m = equator_m - (-north_m // _SNAP_M) * _SNAP_M
        top_px = (LATTICE_TOP_M - top_m) // PIXEL_M
        return Region(self.zone, left_m // PIXEL_M, top_px, TILE_PX, TILE_PX)

    @property
    def name(self) -> str:
        """Such as 32TNT: zone, band of latitude, column, row."""
        column = _COLUMNS[(self.zone.number - 1) % 3][self.column - 1]
        shift = 0 if self.zone.number % 2 else _EVEN_ZONE_SHIFT
        row = _ROWS[(self.row + shift) % len(_ROWS)]
        return f"{self.zone.number:02d}{self._band}{column}{row}"

    @property
    def _band(self) -> str:
        """Letter of eight degrees of latitude that hold the middle of the square."""
        north = (self.row + 0.5) * _SQUARE_M - (_FALSE_NORTHING_M if self.zone.south else 0)
        back = pyproj.Transformer.from_crs(32600 + self.zone.number, 4326, always_xy=True)
        _, lat = back.transform((self.column + 0.5) * _SQUARE_M, north)
        return _BANDS[min(max(math.floor((lat + 80) / 8), 0), len(_BANDS) - 1)]


def tiles_over(zone: Zone, ground: BaseGeometry) -> list[MgrsTile]:
    """The zone's tiles that show some of the ground, by column and row.

    Args:
        ground: in the zone's lattice pixels (column, row).
    """
    left, top, right, bottom = ground.bounds
    columns = range(
        max(1, math.floor(left * PIXEL_M / _SQUARE_M) - 1),
        min(8, math.floor(right * PIXEL_M / _SQUARE_M)) + 1,
    )
    highest = (LATTICE_TOP_M - top * PIXEL_M) / _SQUARE_M
    lowest = (LATTICE_TOP_M - bottom * PIXEL_M) / _SQUARE_M
    rows = range(max(0, math.floor(lowest) - 1), math.floor(highest) + 2)
    candidates = [MgrsTile(zone, column, row) for column in columns for row in rows]
    return [tile for tile in candidates if shapely.intersects(box_of(tile.region), ground)]


def box_of(region: Region) -> BaseGeometry:
    """A region as a polygon in lattice pixels (column, row)."""
    return shapely.box(region.left, region.top, region.right, region.bottom)
