"""Which lattice pixels have their centre inside an outline. Pure.

Pixels are burnt on fixed squares of 512 px, each in its own frame, never on the region that is
asked for: an edge that passes a pixel's centre by a rounding error is then judged once and alike,
whatever tile or country the pixel is seen from. A square that no edge enters is inside or outside
as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio.features
import shapely
from affine import Affine
from shapely.geometry.base import BaseGeometry

from mapper.land.frame import Frame

SQUARE_PX = 512
"""Side of the squares, counted from the zone's origin."""
MAX_EDGE_PX = 256
"""No edge of an outline is longer, so none can reach a pixel from further off than this."""

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rings:
    """The rings of polygons, outer and inner alike: a point inside lies within an odd number."""

    points: Floats
    """(point, 2) columns and rows, ring after ring; each ring ends where it began."""
    starts: Integers
    """Index of each ring's first point, and one past the last ring."""
    bounds: Floats
    """(ring, 4) left, top, right, bottom."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    def ring(self, index: int | np.integer[Any]) -> Floats:
        """(point, 2) of one ring."""
        return self.points[self.starts[index] : self.starts[index + 1]]


def rings_of(shape: BaseGeometry) -> Rings:
    """The rings of polygons in (column, row)."""
    rings = shapely.get_rings(shapely.get_parts(shape))
    counts = shapely.get_num_coordinates(rings)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Rings(shapely.get_coordinates(rings), starts, shapely.bounds(rings).reshape(-1, 4))


def longest_edge(rings: Rings) -> float:
    """Length of the longest edge, in pixels; 0 where there is none."""
    begin, end = _edges(rings)
    return float(np.max(np.hypot(*(end - begin).T), initial=0))


def burn(rings: Rings, frame: Frame) -> Mask:
    """(y, x) over a frame: True where a pixel's centre lies inside."""
    wide = _grown(frame)
    near = _near(rings, wide)
    out = np.zeros(wide.shape, np.bool_)
    for square, is_inside in _squares(near, wide, SQUARE_PX):
        out[square.slices_in(wide)] = _burn_square(near, square) if is_inside is None else is_inside
    return out[frame.slices_in(wide)]


def has_pixel(rings: Rings, frame: Frame) -> bool:
    """Whether some pixel of a frame, whose sides are multiples of 512, has its centre inside."""
    near = _near(rings, frame)
    in_doubt = []
    for square, is_inside in _squares(near, frame, SQUARE_PX):
        if is_inside:
            return True
        if is_inside is None:
            in_doubt.append(square)
    return any(_burn_square(near, square).any() for square in in_doubt)


def squares_inside(rings: Rings, side: int) -> Iterator[tuple[int, int]]:
    """Columns and rows of the squares of a side (a multiple of 512) with a pixel inside."""
    if len(rings) == 0:
        return
    low = np.floor(rings.bounds[:, :2].min(axis=0) / side).astype(int) * side
    high = np.ceil(rings.bounds[:, 2:].max(axis=0) / side).astype(int) * side
    extent = Frame(int(low[0]), int(low[1]), int(high[0]), int(high[1]))
    for square, is_inside in _squares(rings, extent, side):
        if is_inside or (is_inside is None and has_pixel(rings, square)):
            yield square.left // side, square.top // side


def _grown(frame: Frame) -> Frame:
    """To whole squares."""
    left, top = frame.left // SQUARE_PX * SQUARE_PX, frame.top // SQUARE_PX * SQUARE_PX
    right, bottom = -(-frame.right // SQUARE_PX), -(-frame.bottom // SQUARE_PX)
    return Frame(left, top, right * SQUARE_PX, bottom * SQUARE_PX)


def _squares(rings: Rings, frame: Frame, side: int) -> Iterator[tuple[Frame, bool | None]]:
    """The squares of a frame by row, then column: inside, outside, or None where an edge enters."""
    left, top = frame.left // side, frame.top // side
    height, width = frame.bottom // side - top, frame.right // side - left
    # One pixel for each square, burnt at its centre: right wherever no edge enters.
    scaled = Affine(1 / side, 0, -left, 0, 1 / side, -top)
    whole = _fill(rings, scaled, (height, width))
    entered = _entered(rings, scaled, (height, width))
    for row, column in product(range(height), range(width)):
        x, y = (left + column) * side, (top + row) * side
        square = Frame(x, y, x + side, y + side)
        yield square, None if entered[row, column] else bool(whole[row, column])


def _entered(rings: Rings, scaled: Affine, shape: tuple[int, int]) -> Mask:
    """(row, column) True for squares that an edge may enter: those its ends span, 2 x 2 at most."""
    out = np.zeros(shape, np.bool_)
    begin, end = (np.floor(points).astype(np.int64) for points in _edges(_moved(rings, scaled)))
    for x, y in product((begin[:, 0], end[:, 0]), (begin[:, 1], end[:, 1])):
        there = (x >= 0) & (x < shape[1]) & (y >= 0) & (y < shape[0])
        out[y[there], x[there]] = True
    return out


def _edges(rings: Rings) -> tuple[Floats, Floats]:
    """Where each edge begins and ends."""
    is_edge = np.ones(max(len(rings.points) - 1, 0), np.bool_)
    is_edge[rings.starts[1:-1] - 1] = False
    return rings.points[:-1][is_edge], rings.points[1:][is_edge]


def _near(rings: Rings, frame: Frame) -> Rings:
    """Far fewer points with the same inside over a frame.

    Rings elsewhere go. Points further off than any edge is long are moved to the rectangle at that
    distance: no edge passes over the frame while they move, so every pixel in it keeps its side.
    """
    left, top, right, bottom = rings.bounds.T
    meets = (
        (left < frame.right) & (right > frame.left) & (top < frame.bottom) & (bottom > frame.top)
    )
    low = (frame.left - MAX_EDGE_PX, frame.top - MAX_EDGE_PX)
    high = (frame.right + MAX_EDGE_PX, frame.bottom + MAX_EDGE_PX)
    kept = [_without_repeats(np.clip(rings.ring(i), low, high)) for i in np.flatnonzero(meets)]
    starts = np.cumsum([0, *(len(ring) for ring in kept)])
    points = np.concatenate(kept) if kept else np.empty((0, 2))
    bounds = [np.concatenate([ring.min(axis=0), ring.max(axis=0)]) for ring in kept]
    return Rings(points, starts, np.array(bounds).reshape(-1, 4))


def _without_repeats(ring: Floats) -> Floats:
    """A ring without points that repeat the one before."""
    moves = np.any(ring[1:] != ring[:-1], axis=1)
    kept: Floats = ring[np.concatenate([[True], moves])]
    return kept


def _burn_square(rings: Rings, square: Frame) -> Mask:
    """(512, 512) of one square, in its own frame."""
    near = _near(rings, square)
    return _fill(near, Affine.translation(-square.left, -square.top), square.shape)


def _moved(rings: Rings, to_pixels: Affine) -> Rings:
    """Rings in other pixels; done here, where it is exact, not by GDAL's inverse of a transform."""
    a, _, c, _, e, f, *_ = to_pixels
    scale, shift = np.array([a, e]), np.array([c, f])
    bounds = rings.bounds * np.tile(scale, 2) + np.tile(shift, 2)
    return Rings(rings.points * scale + shift, rings.starts, bounds)


_MIN_POINTS = 4
"""A ring with fewer points, the last of which is the first, encloses nothing."""


def _fill(rings: Rings, to_pixels: Affine, shape: tuple[int, int]) -> Mask:
    """(y, x) True where a pixel's centre lies within an odd number of rings."""
    moved = _moved(rings, to_pixels)
    parts = [moved.ring(index).tolist() for index in range(len(moved))]
    parts = [part for part in parts if len(part) >= _MIN_POINTS]
    if not parts:
        return np.zeros(shape, np.bool_)
    polygon = {"type": "Polygon", "coordinates": parts}
    burnt: npt.NDArray[np.uint8] = rasterio.features.rasterize(
        [polygon], out_shape=shape, transform=Affine.identity(), dtype=np.uint8
    )
    return burnt.astype(np.bool_)
