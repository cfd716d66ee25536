"""Which ground an archive must show so that a map of an area can be made. Pure.

A map reads every inference window that touches the area; windows are squares of 512 px at
multiples of 384 px from the zone's origin. A margin around them serves whoever warps or looks at
neighbours.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt
import pyproj
import shapely
from shapely.geometry.base import BaseGeometry

from mapper.land.grid import LATTICE_TOP_M, PIXEL_M, Outline, Region, Zone, outlines

WINDOW_PX = 512
STRIDE_PX = 384
MARGIN_PX = 64
_EDGE_PX = 64
"""Edges of projected ground are at most this long, so that they bend as meridians do."""
_NEIGHBOURS = (-2, -1, 0, 1, 2)
"""Zones whose scenes may show the ground of a zone; two steps only around Svalbard."""
_SAMPLE = 6


def needed_ground(geometry: BaseGeometry) -> dict[Zone, BaseGeometry]:
    """The ground to show, in every zone's own lattice pixels (column, row).

    Args:
        geometry: the area, longitude and latitude.

    Raises:
        RequestError: the area is empty or polar.
    """
    return {outline.zone: _windows(outline) for outline in outlines(geometry)}


def _windows(outline: Outline) -> BaseGeometry:
    """Union of the windows that touch an outline, with the margin."""
    left, top, right, bottom = outline.shape.bounds
    reach = WINDOW_PX // STRIDE_PX
    columns = range(int(left) // STRIDE_PX - reach, int(right) // STRIDE_PX + 1)
    rows = range(int(top) // STRIDE_PX - reach, int(bottom) // STRIDE_PX + 1)
    corners = np.array(list(product(columns, rows)), np.float64) * STRIDE_PX
    low, high = corners, corners + WINDOW_PX
    windows = shapely.box(low[:, 0], low[:, 1], high[:, 0], high[:, 1])
    shapely.prepare(outline.shape)
    touching = windows[shapely.intersects(outline.shape, windows)]
    return shapely.union_all(
        shapely.buffer(touching, MARGIN_PX, cap_style="square", join_style="mitre")
    )


def ground_in(zone: Zone, needed: dict[Zone, BaseGeometry]) -> BaseGeometry:
    """The needed ground of every zone, in one zone's lattice pixels."""
    return shapely.union_all([_moved(shape, home, zone) for home, shape in needed.items()])


def _moved(shape: BaseGeometry, home: Zone, zone: Zone) -> BaseGeometry:
    """A shape from one zone's lattice to another's; empty where they are no neighbours."""
    if home == zone:
        return shape
    if (zone.number - home.number + 30) % 60 - 30 not in _NEIGHBOURS:
        return shapely.Polygon()
    move = pyproj.Transformer.from_crs(home.epsg, zone.epsg, always_xy=True)

    def project(pixels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        east, north = move.transform(pixels[:, 0] * PIXEL_M, LATTICE_TOP_M - pixels[:, 1] * PIXEL_M)
        return np.column_stack([east, LATTICE_TOP_M - north]) / PIXEL_M

    return shapely.make_valid(shapely.transform(shapely.segmentize(shape, _EDGE_PX), project))


def zones_near(needed: dict[Zone, BaseGeometry]) -> list[Zone]:
    """Every zone whose scenes may show the needed ground."""
    numbers = {(home.number + step - 1) % 60 + 1 for home in needed for step in _NEIGHBOURS}
    return [Zone(number, south) for number in sorted(numbers) for south in (False, True)]


def lonlat_of(zone: Zone, pixels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(n, 2) lattice pixels (column, row) of a zone to longitude and latitude."""
    back = pyproj.Transformer.from_crs(zone.epsg, 4326, always_xy=True)
    lon, lat = back.transform(pixels[:, 0] * PIXEL_M, LATTICE_TOP_M - pixels[:, 1] * PIXEL_M)
    return np.column_stack([lon, lat])


def in_strip(region: Region) -> bool:
    """Whether some of a region lies in its own zone's strip: a tile that does not is no tile."""
    shares = np.linspace(0, 1, _SAMPLE)
    grid = np.array(list(product(shares, shares)))
    points = grid * (region.width, region.height) + (region.left, region.top)
    lonlat = lonlat_of(region.zone, points)
    return bool(shapely.contains_xy(region.zone.strip, lonlat[:, 0], lonlat[:, 1]).any())
