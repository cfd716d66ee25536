"""Outlines on the globe: split at 180 degrees, widened by metres, drawn around a grid. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import cos, radians

import numpy as np
import numpy.typing as npt
import pyproj
import shapely
from shapely.geometry.base import BaseGeometry

_METRES_PER_DEGREE = 110_574
"""Shortest degree of latitude (at the equator, WGS 84): dividing by it never falls short."""
_STEPS_PER_EDGE = 20
"""Points along each edge of a grid before it is projected; enough for 300 km edges to bend."""
_COARSENESS = 0.3
"""Share of the distance by which an outline may be simplified before it is widened, and is widened
in addition."""
_CIRCLE_MARGIN = 1.02
"""A circle drawn with 32 edges lies inside the true one by less than this."""
_WORLD = shapely.box(-180, -90, 180, 90)
_Points = npt.NDArray[np.float64]


def split_at_180(geometry: BaseGeometry) -> BaseGeometry:
    """The same ground with every longitude within -180..180, cut where it crosses 180 degrees.

    A ring that jumps from 179 to -179 is taken to cross there, since no scene and no tile is
    wider than half the globe.
    """
    west, _, east, _ = shapely.bounds(shapely.get_parts(geometry)).T
    if np.all((west >= -180) & (east <= 180) & (east - west <= 180)):
        return _valid(geometry)
    parts = [_unwrapped(part) for part in shapely.get_parts(geometry)]
    turns = [_shifted(part, turn) for part in parts for turn in (-360.0, 0.0, 360.0)]
    return _valid(shapely.union_all([turn.intersection(_WORLD) for turn in turns]))


def widened(geometry: BaseGeometry, metres: float) -> BaseGeometry:
    """Everything within a distance of a geometry, and a little more; longitude and latitude.

    The distance in longitude is that of the latitude farthest from the equator, so nothing within
    reach is missed; that a little more is found does no harm to a search.
    """
    _, south, _, north = geometry.bounds
    latitude = min(max(abs(south), abs(north)) + metres / _METRES_PER_DEGREE, 89.0)
    squeeze = cos(radians(latitude))
    degrees = metres / _METRES_PER_DEGREE
    flat = shapely.transform(geometry, lambda xy: xy * (squeeze, 1.0))
    # Part by part: around a whole coast with its islands the same takes a hundred times longer.
    coarse = shapely.simplify(shapely.get_parts(flat), _COARSENESS * degrees)
    wide = shapely.union_all(
        shapely.buffer(coarse, (_CIRCLE_MARGIN + _COARSENESS) * degrees, quad_segs=8)
    )
    return split_at_180(shapely.transform(wide, lambda xy: xy / (squeeze, 1.0)))


def grid_outline(epsg: int, transform: Sequence[float], shape: Sequence[int]) -> BaseGeometry:
    """Outline of a pixel grid in longitude and latitude.

    Args:
        epsg: coordinate system of the grid.
        transform: affine coefficients a, b, c, d, e, f: pixel (x, y) to coordinates.
        shape: (y, x), in pixels.
    """
    height, width = shape
    corners = shapely.box(0, 0, width, height).exterior
    ring = shapely.line_interpolate_point(
        corners, np.linspace(0, 1, 4 * _STEPS_PER_EDGE + 1), normalized=True
    )
    columns, rows = shapely.get_coordinates(ring).T
    a, b, c, d, e, f = transform[:6]
    x, y = a * columns + b * rows + c, d * columns + e * rows + f
    longitude, latitude = _to_lonlat(epsg).transform(x, y)
    return split_at_180(shapely.Polygon(np.column_stack([longitude, latitude])))


def _unwrapped(part: BaseGeometry) -> BaseGeometry:
    west, _, east, _ = part.bounds
    if east - west <= 180:
        return part

    def eastwards(points: _Points) -> _Points:
        longitude = np.where(points[:, 0] < 0, points[:, 0] + 360, points[:, 0])
        return np.column_stack([longitude, points[:, 1]])

    return shapely.transform(part, eastwards)


def _shifted(part: BaseGeometry, degrees: float) -> BaseGeometry:
    return shapely.transform(part, lambda xy: xy + np.array([degrees, 0]))


def _valid(geometry: BaseGeometry) -> BaseGeometry:
    """The same ground as valid polygons: mending and cutting leave lines behind, which show none.

    What is no polygon at all stays what it is.
    """
    mended = geometry if geometry.is_valid else shapely.make_valid(geometry)
    parts = [part for part in shapely.get_parts(mended) if part.area]
    return shapely.union_all(parts) if 0 < len(parts) < len(shapely.get_parts(mended)) else mended


@lru_cache(maxsize=128)
def _to_lonlat(epsg: int) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(epsg, 4326, always_xy=True)
