"""The lattice: one fixed grid of 10 m pixels for each UTM zone, and what is cut out of it. Pure.

A pixel is named by its zone, column and row. Columns count eastwards from easting 0, rows count
southwards from northing 10,000,000 m, in both hemispheres, so both are never negative, and pixel
edges are multiples of 10 m: Sentinel-2's 10 m bands are read without resampling, and its 20 m
pixels are exactly 2 x 2 lattice pixels. Tiles, windows and blocks are cut from that origin, never
from the corner of an area.

A pixel belongs to the zone in whose strip its centre lies (see zones.py), so neighbouring zones
never count a piece of ground twice.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import pyproj
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from mapper.errors import RequestError
from mapper.land.burn import MAX_EDGE_PX, burn, longest_edge, rings_of, squares_inside
from mapper.land.frame import Frame
from mapper.land.zones import NORTH_LIMIT_DEG as NORTH_LIMIT_DEG
from mapper.land.zones import SOUTH_LIMIT_DEG as SOUTH_LIMIT_DEG
from mapper.land.zones import Zone as Zone

PIXEL_M = 10
LATTICE_TOP_M = 10_000_000
"""Northing of the upper edge of row 0: the false northing of the southern zones."""
DEFAULT_TILE_PX = 4096
TILE_STEP_PX = 512
"""Tile sizes are multiples of this, so that overviews and blocks of a tile are whole."""

_SNAP_PER_PIXEL = 256
"""Projected outlines are snapped to 1/256 pixel (4 cm): shifting them by whole pixels is then
exact in float64."""
_STRAIGHT_PX = 500
"""A straight line of the lattice bends in degrees; over 5 km by a few metres."""
_DENSIFY_DEG = 0.01
"""Longest outline edge before projection, some 110 pixels; it leaves the true line by less than
3 cm."""


@dataclass(frozen=True, slots=True, order=True)
class Region:
    """A rectangle of lattice pixels in one zone."""

    zone: Zone
    left: int
    """Column of the first pixel."""
    top: int
    """Row of the first pixel."""
    width: int
    """Pixels from west to east; positive."""
    height: int
    """Pixels from north to south; positive."""

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise ValueError(f"a region has a positive width and height, got {self}")

    @property
    def right(self) -> int:
        """Column after the last pixel."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """Row after the last pixel."""
        return self.top + self.height

    @property
    def shape(self) -> tuple[int, int]:
        """(y, x), in pixels."""
        return (self.height, self.width)

    @property
    def geobox(self) -> GeoBox:
        """The same rectangle with its coordinates, for reading and writing rasters."""
        west, north = self.left * PIXEL_M, LATTICE_TOP_M - self.top * PIXEL_M
        to_metres = Affine(PIXEL_M, 0, west, 0, -PIXEL_M, north)
        return GeoBox(self.shape, to_metres, f"EPSG:{self.zone.epsg}")

    def intersection(self, other: Region) -> Region | None:
        """The pixels in both, or None; regions of two zones share none."""
        left, top = max(self.left, other.left), max(self.top, other.top)
        right, bottom = min(self.right, other.right), min(self.bottom, other.bottom)
        if self.zone != other.zone or left >= right or top >= bottom:
            return None
        return Region(self.zone, left, top, right - left, bottom - top)

    @staticmethod
    def around(parts: Sequence[Region]) -> Region:
        """The smallest region that holds some regions of one zone; there is at least one."""
        left, top = min(part.left for part in parts), min(part.top for part in parts)
        right, bottom = max(part.right for part in parts), max(part.bottom for part in parts)
        return Region(parts[0].zone, left, top, right - left, bottom - top)

    def slices_in(self, outer: Region) -> tuple[slice, slice]:
        """(y, x) slices that cut this region out of an array over `outer`."""
        return (
            slice(self.top - outer.top, self.bottom - outer.top),
            slice(self.left - outer.left, self.right - outer.left),
        )

    def widened(self, margin_px: int) -> Region:
        """With so many more pixels on every side."""
        return Region(
            self.zone,
            self.left - margin_px,
            self.top - margin_px,
            self.width + 2 * margin_px,
            self.height + 2 * margin_px,
        )


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """A square of the lattice: the unit of production."""

    zone: Zone
    column: int
    """Counted eastwards in tiles from the zone's origin."""
    row: int
    """Counted southwards in tiles from the zone's origin."""
    size_px: int
    """Side in pixels."""

    @property
    def name(self) -> str:
        """Global and stable for one tile size: zone, column, row, such as 32N_0013_0116."""
        return f"{self.zone.name}_{self.column:04d}_{self.row:04d}"

    @property
    def region(self) -> Region:
        """The tile's pixels."""
        size = self.size_px
        return Region(self.zone, self.column * size, self.row * size, size, size)


@dataclass(frozen=True, slots=True)
class Outline:
    """An area's outline inside one zone's strip, in lattice pixels."""

    zone: Zone
    shape: BaseGeometry
    """Polygons in (column, row), snapped; row grows southwards."""

    def __post_init__(self) -> None:
        longest = longest_edge(rings_of(self.shape))
        if longest > MAX_EDGE_PX:
            raise ValueError(f"an edge of {longest:.0f} px; cut edges to {MAX_EDGE_PX} px or less")

    def mask(self, region: Region) -> npt.NDArray[np.bool_]:
        """(y, x) True where a pixel's centre lies inside; the same whichever region asks."""
        if region.zone != self.zone:
            raise ValueError(f"outline of zone {self.zone.name}, region of {region.zone.name}")
        frame = Frame(region.left, region.top, region.right, region.bottom)
        return burn(rings_of(self.shape), frame)


@dataclass(frozen=True, slots=True)
class Grid:
    """The cut of every zone's lattice into square tiles of one size."""

    tile_px: int = DEFAULT_TILE_PX
    """Side of a tile in pixels, a positive multiple of 512."""

    def __post_init__(self) -> None:
        if self.tile_px <= 0 or self.tile_px % TILE_STEP_PX:
            raise RequestError(
                f"tile size {self.tile_px} px is not a positive multiple of {TILE_STEP_PX}; "
                f"try {max(1, round(self.tile_px / TILE_STEP_PX)) * TILE_STEP_PX}"
            )

    def tile(self, name: str) -> Tile:
        """The tile of that name; the inverse of `Tile.name`."""
        match = re.fullmatch(r"(\d\d)([NS])_(\d{4})_(\d{4})", name)
        if not match or not 1 <= int(match[1]) <= 60:
            raise RequestError(f'tile name "{name}" is not like 32N_0013_0116 (zone, column, row)')
        zone = Zone(int(match[1]), match[2] == "S")
        return Tile(zone, int(match[3]), int(match[4]), self.tile_px)

    def tile_at(self, zone: Zone, column_px: int, row_px: int) -> Tile:
        """The tile that holds a lattice pixel."""
        return Tile(zone, column_px // self.tile_px, row_px // self.tile_px, self.tile_px)

    def tiles_over(self, outline: Outline) -> list[Tile]:
        """The tiles with at least one pixel of an outline, in order of row, then column."""
        found = squares_inside(rings_of(outline.shape), self.tile_px)
        return [Tile(outline.zone, column, row, self.tile_px) for column, row in found]


def outlines(geometry: BaseGeometry) -> list[Outline]:
    """An area's outline in each zone it touches, in order of zone.

    Args:
        geometry: polygons in longitude and latitude (EPSG:4326), within -180..180.

    Raises:
        RequestError: some of it lies beyond the latitudes of UTM, or none of it has an area.
    """
    _, south, _, north = geometry.bounds
    if not geometry.area:
        raise RequestError("the area is empty: no polygon with an area was given")
    if north > NORTH_LIMIT_DEG or south < SOUTH_LIMIT_DEG:
        raise RequestError(
            f"the area reaches from {south:.2f} to {north:.2f} degrees of latitude; UTM ends at"
            " 84 N and 80 S and there is no polar grid; cut the area at those latitudes"
        )
    shapely.prepare(geometry)
    found = []
    for number, is_south in product(range(1, 61), (False, True)):
        zone = Zone(number, is_south)
        if geometry.intersects(zone.strip):
            inside = _polygons(shapely.intersection(geometry, zone.strip))
            if inside.area:
                found.append(Outline(zone, _on_lattice(inside, zone)))
    return found


def ground(region: Region) -> BaseGeometry:
    """What of a region belongs to its zone: longitude and latitude, EPSG:4326.

    Near 180 degrees a region's far side is cut off with the neighbouring zone's strip, so the
    outline never jumps round the world.
    """
    box = shapely.box(region.left, region.top, region.right, region.bottom)
    edges = shapely.segmentize(box, _STRAIGHT_PX)
    projection = pyproj.Transformer.from_crs(region.zone.epsg, 4326, always_xy=True)
    middle = 6.0 * region.zone.number - 183

    def to_degrees(pixels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        east, south = pixels[:, 0] * PIXEL_M, pixels[:, 1] * PIXEL_M
        lon, lat = projection.transform(east, LATTICE_TOP_M - south)
        return np.column_stack([(lon - middle + 180) % 360 - 180 + middle, lat])

    return _polygons(shapely.transform(edges, to_degrees).intersection(region.zone.strip))


def _on_lattice(geometry: BaseGeometry, zone: Zone) -> BaseGeometry:
    """Longitude and latitude to snapped lattice pixels (column, row)."""
    dense = shapely.segmentize(geometry, _DENSIFY_DEG)
    projection = pyproj.Transformer.from_crs(4326, zone.epsg, always_xy=True)

    def to_pixels(lonlat: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        east, north = projection.transform(lonlat[:, 0], lonlat[:, 1])
        pixels = np.column_stack([east, LATTICE_TOP_M - north]) / PIXEL_M
        return np.round(pixels * _SNAP_PER_PIXEL) / _SNAP_PER_PIXEL

    return shapely.transform(dense, to_pixels)


def _polygons(geometry: BaseGeometry) -> BaseGeometry:
    """The polygons of an intersection, without the points and lines of mere contact."""
    parts = [part for part in shapely.get_parts(geometry) if part.geom_type == "Polygon"]
    return shapely.MultiPolygon(parts)
