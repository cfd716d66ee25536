"""The grid of a national raster, and which lattice pixel each of its pixels takes. Pure.

A country may lie in several UTM zones, but its raster has one CRS. By default that is the zone with
most of its land, whose pixels are then pasted as they are. Any other pixel takes the lattice pixel
that holds its centre (nearest neighbour: classes cannot be mixed). The grid follows from the area
and the CRS, never from the tiles.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import pyproj
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from mapper.errors import RequestError
from mapper.land.grid import LATTICE_TOP_M, PIXEL_M, Outline, Region, Zone

AUTO = "auto"
PIXEL_DEG = 1 / 12_000
"""Pixel of a raster in degrees: 9.3 m of latitude, the size that ESA WorldCover uses."""
NODE_PX = 64
"""Coordinates are projected this far apart and interpolated: over 640 m a projection bends by less
than a thousandth of a pixel."""
SEAM_PX = 1.5
"""Half-width of the band along a zone's edge in which a pixel may take its neighbour's value."""
MAX_SIDE_PX = 2_000_000
"""Half way round the world: what is longer has been torn apart at the edge of its CRS."""

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Canvas:
    """A north-up grid in one CRS whose pixel edges are multiples of its pixel size."""

    crs: str
    """Such as EPSG:32632."""
    pixel: float
    """Side of a pixel, in the CRS's unit."""
    left: int
    """West edge, in pixels from the CRS's origin."""
    top: int
    """North edge, in pixels northwards from the CRS's origin."""
    width: int
    """Pixels from west to east."""
    height: int
    """Pixels from north to south."""

    @property
    def geobox(self) -> GeoBox:
        """With coordinates, for writing."""
        step = self.pixel
        at = Affine(step, 0, self.left * step, 0, -step, self.top * step)
        return GeoBox((self.height, self.width), at, self.crs)

    @property
    def zone(self) -> Zone | None:
        """The zone whose lattice this grid is part of, if it is."""
        return _zone_of(self.crs)

    def blocks(self, side: int) -> Iterator[Block]:
        """The grid in squares (smaller at its far edges), in order of row, then column."""
        tops, lefts = range(0, self.height, side), range(0, self.width, side)
        for top, left in product(tops, lefts):
            yield Block(left, top, min(side, self.width - left), min(side, self.height - top))

    def region(self, block: Block, zone: Zone) -> Region:
        """A block as lattice pixels; the canvas must lie on the lattice of that zone."""
        top = LATTICE_TOP_M // PIXEL_M - self.top + block.top
        return Region(zone, self.left + block.left, top, block.width, block.height)


@dataclass(frozen=True, slots=True)
class Block:
    """A rectangle of a canvas, in its pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def shape(self) -> tuple[int, int]:
        """(y, x), in pixels."""
        return (self.height, self.width)

    @property
    def box(self) -> BaseGeometry:
        """As a polygon in the canvas's pixels."""
        return shapely.box(self.left, self.top, self.left + self.width, self.top + self.height)


def canvas_over(land: Sequence[Outline], crs: str = AUTO) -> Canvas:
    """The grid that holds an area.

    Args:
        land: the area's outline in each of its zones.
        crs: "auto" for the zone with most land, or what pyproj understands.

    Raises:
        RequestError: the CRS is unknown, or tears the area apart.
    """
    chosen = f"EPSG:{main_zone(land).epsg}" if crs == AUTO else _known(crs)
    pixel = _pixel_size(pyproj.CRS(chosen))
    bounds = np.array([_bounds(outline, chosen) for outline in land]) / pixel
    if not np.isfinite(bounds).all():
        raise RequestError(f"the area cannot be drawn in {crs}; choose another --crs")
    left, bottom = np.floor(bounds[:, :2].min(axis=0)).astype(int)
    right, top = np.ceil(bounds[:, 2:].max(axis=0)).astype(int)
    made = Canvas(chosen, pixel, int(left), int(top), int(right - left), int(top - bottom))
    if max(made.width, made.height) > MAX_SIDE_PX:
        raise RequestError(
            f"in {crs} the area is {made.width} x {made.height} pixels: it lies on both sides of"
            " that CRS's edge; choose another --crs, such as auto"
        )
    return made


def main_zone(land: Sequence[Outline]) -> Zone:
    """The zone with most of an area's land; the first of equals."""
    return max(sorted(land, key=lambda o: o.zone), key=lambda o: o.shape.area).zone


def places(canvas: Canvas, block: Block, zone: Zone) -> tuple[Integers, Integers]:
    """Which pixel of a zone's lattice holds the centre of each pixel of a block.

    Returns:
        (y, x) columns and (y, x) rows.
    """
    columns, rows = _node_places(canvas, block, zone)
    return (
        np.floor(_between(columns, block)).astype(np.int64),
        np.floor(_between(rows, block)).astype(np.int64),
    )


def reach(canvas: Canvas, block: Block, zone: Zone) -> Region:
    """A region of a zone's lattice that holds every pixel of `places`, and its neighbours."""
    columns, rows = _node_places(canvas, block, zone)
    left, top = math.floor(columns.min()) - _MARGIN_PX, math.floor(rows.min()) - _MARGIN_PX
    right, bottom = math.ceil(columns.max()) + _MARGIN_PX, math.ceil(rows.max()) + _MARGIN_PX
    return Region(zone, left, top, right - left, bottom - top)


_MARGIN_PX = 2
"""Room for a neighbour on either side of a pixel."""


def _node_places(canvas: Canvas, block: Block, zone: Zone) -> tuple[Floats, Floats]:
    """Columns and rows in a zone's lattice, with fractions, of the centres at a block's nodes."""
    xs, ys = _nodes(block.left, block.width), _nodes(block.top, block.height)
    x = (canvas.left + xs + 0.5) * canvas.pixel
    y = (canvas.top - ys - 0.5) * canvas.pixel
    east, north = _transformer(canvas.crs, zone.epsg).transform(*np.meshgrid(x, y))
    return east / PIXEL_M, (LATTICE_TOP_M - north) / PIXEL_M


@lru_cache(maxsize=128)
def _transformer(source: str | int, target: str | int) -> pyproj.Transformer:
    """Between two CRS, x before y; to make one takes as long as to project a block."""
    return pyproj.Transformer.from_crs(source, target, always_xy=True)


def seams(canvas: Canvas, land: Sequence[Outline], area: BaseGeometry) -> BaseGeometry:
    """The bands along the edges between an area's zones, in the canvas's pixels.

    There a pixel can fall between two stools: its centre lies in one zone, and the centre of the
    lattice pixel that holds it in the other, so neither has a value for it.

    Args:
        canvas: to draw on.
        land: the area's outline in each of its zones.
        area: the same in longitude and latitude.
    """
    near = shapely.box(*area.buffer(_EDGE_STEP_DEG).bounds)
    edges = [
        _to_canvas(shapely.segmentize(edge, _EDGE_STEP_DEG), canvas)
        for one, other in combinations([outline.zone for outline in land], 2)
        for edge in _shared_edge(one, other, near)
    ]
    return shapely.union_all(edges).buffer(SEAM_PX) if edges else shapely.Polygon()


_EDGE_STEP_DEG = 0.005
"""Points along a zone's edge before projection: half a kilometre."""


def _shared_edge(one: Zone, other: Zone, near: BaseGeometry) -> list[BaseGeometry]:
    """Lines on which two zones' strips meet, as far as they are near; longitude and latitude."""
    found = [one.strip.intersection(other.strip)]
    if {one.number, other.number} == {1, 60}:
        east, west = (one, other) if one.number == 60 else (other, one)
        moved = shapely.transform(west.strip, lambda xy: np.add(xy, (360.0, 0.0)))
        found.append(east.strip.intersection(moved))
    return [edge for edge in shapely.intersection(found, near) if edge.length > 0]


def _to_canvas(geometry: BaseGeometry, canvas: Canvas) -> BaseGeometry:
    """Longitude and latitude to the canvas's pixels."""
    projection = _transformer(4326, canvas.crs)

    def to_pixels(lonlat: Floats) -> Floats:
        x, y = projection.transform(lonlat[:, 0], lonlat[:, 1])
        return np.column_stack([x / canvas.pixel - canvas.left, canvas.top - y / canvas.pixel])

    return shapely.transform(geometry, to_pixels)


def _bounds(outline: Outline, crs: str) -> tuple[float, float, float, float]:
    """West, south, east, north of an outline in a CRS."""
    if _zone_of(crs) == outline.zone:
        left, top, right, bottom = outline.shape.bounds
        edge = LATTICE_TOP_M / PIXEL_M
        return (
            left * PIXEL_M,
            (edge - bottom) * PIXEL_M,
            right * PIXEL_M,
            (edge - top) * PIXEL_M,
        )
    projection = _transformer(outline.zone.epsg, crs)
    pixels = shapely.get_coordinates(outline.shape)
    x, y = projection.transform(pixels[:, 0] * PIXEL_M, LATTICE_TOP_M - pixels[:, 1] * PIXEL_M)
    return float(np.min(x)), float(np.min(y)), float(np.max(x)), float(np.max(y))


def _known(crs: str) -> str:
    """A CRS as EPSG code, or as pyproj writes it."""
    try:
        found = pyproj.CRS.from_user_input(crs)
    except pyproj.exceptions.CRSError as error:
        raise RequestError(
            f'CRS "{crs}" is unknown; give auto, or a code such as EPSG:3035'
        ) from error
    if len(found.axis_info) != 2 or not (found.is_projected or found.is_geographic):
        raise RequestError(f'CRS "{crs}" is no map of two axes; give one such as EPSG:3035')
    code = found.to_epsg()
    return f"EPSG:{code}" if code else found.to_wkt()


def _pixel_size(crs: pyproj.CRS) -> float:
    """Ten metres in the CRS's unit."""
    if crs.is_geographic:
        return PIXEL_DEG
    return float(PIXEL_M / crs.axis_info[0].unit_conversion_factor)


def _zone_of(crs: str) -> Zone | None:
    """The UTM zone that a CRS is, if it is one of WGS 84."""
    code = int(crs[5:]) if crs.startswith("EPSG:") else 0
    hundred, number = divmod(code, 100)
    return Zone(number, hundred == 327) if hundred in (326, 327) and 1 <= number <= 60 else None


def _nodes(first: int, count: int) -> Floats:
    """Places every NODE_PX along an axis, from the first pixel to the last or beyond."""
    steps = math.ceil((count - 1) / NODE_PX) + 1
    return first + NODE_PX * np.arange(max(steps, 2), dtype=np.float64)


def _between(nodes: Floats, block: Block) -> Floats:
    """(y, x) values of a block's pixels out of those at its nodes, bilinear."""
    y, x = np.arange(block.height), np.arange(block.width)
    row, down = y // NODE_PX, (y % NODE_PX / NODE_PX)[:, None]
    above, below = nodes[row], nodes[np.minimum(row + 1, len(nodes) - 1)]
    lines = above + (below - above) * down
    column, along = x // NODE_PX, x % NODE_PX / NODE_PX
    before, after = lines[:, column], lines[:, np.minimum(column + 1, nodes.shape[1] - 1)]
    found: Floats = before + (after - before) * along
    return found
