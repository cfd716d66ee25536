"""A region in pieces: cells of a grid, and what of them is wanted. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from mapper.land.grid import Region


def cells_of(region: Region, shape: tuple[int, int], origin: tuple[int, int]) -> Iterator[Region]:
    """A region cut along the lines of a grid, row by row.

    Args:
        region: what is cut.
        shape: (y, x) of a cell, in lattice pixels.
        origin: (column, row) of the lattice where some cell begins.
    """
    (height, width), (left, top) = shape, origin
    rows = range((region.top - top) // height, (region.bottom - 1 - top) // height + 1)
    columns = range((region.left - left) // width, (region.right - 1 - left) // width + 1)
    for row, column in product(rows, columns):
        cell = Region(region.zone, left + column * width, top + row * height, width, height)
        part = cell.intersection(region)
        assert part is not None, "the cells were counted from the region"
        yield part


def pieces_of(
    parts: Sequence[Region], shape: tuple[int, int], origin: tuple[int, int]
) -> list[Region]:
    """The bounds of what is wanted in each cell of a grid; they do not overlap, as parts may.

    Args:
        parts: what is wanted, in one zone.
        shape: (y, x) of a cell, in lattice pixels.
        origin: (column, row) of the lattice where some cell begins.
    """
    if not parts:
        return []
    cells = cells_of(Region.around(parts), shape, origin)
    inside = [[p for part in parts if (p := part.intersection(cell))] for cell in cells]
    return [Region.around(some) for some in inside if some]
