"""Lattice windows: which squares the network looks at, and how their answers become one. Pure.

Windows are squares of 512 px whose corners are multiples of 384 px from the zone's origin, so a
pixel lies in one, two or four of them (three never: the overlaps are rectangles), and in the same
ones whichever tile or area asks. Each answer is weighted by a taper that rises over the 128 px
shared with the neighbour before and falls over the 128 px shared with the next. Weights are
multiples of 2^-11: their products are exact in float32 and the weights of a pixel sum to exactly
one, so the blend needs neither a division nor an array of weights.

Windows come in order of row, then column, and their sums are made in that order, so a pixel's
probabilities are the same to the last bit whatever region it was computed for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import product
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

from mapper.land.grid import Region, Zone

WINDOW_PX = 512
"""Side of a window; the network's keys cover the whole input for sides in [32 k - 3, 32 k]."""
STRIDE_PX = 384
"""From one window's corner to the next one's."""
OVERLAP_PX = WINDOW_PX - STRIDE_PX
"""What two neighbouring windows share."""

_STEPS_PER_UNIT = 2048
"""Weights are multiples of 2^-11: two of them multiply to 22 bits, which float32 holds exactly."""


class Array(Protocol):
    """What `blend` asks of an array of numpy or torch: slices, and sums in place."""

    def __getitem__(self, key: Any, /) -> Any: ...

    def __iadd__(self, other: Any, /) -> Self: ...


A = TypeVar("A", bound=Array)


def window_at(zone: Zone, column: int, row: int) -> Region:
    """The window of that place in the row of windows; negative ones lie across the origin."""
    return Region(zone, column * STRIDE_PX, row * STRIDE_PX, WINDOW_PX, WINDOW_PX)


def cell_of(window: Region) -> Region:
    """The 384 px square at a window's upper left: no later window touches it."""
    return Region(window.zone, window.left, window.top, STRIDE_PX, STRIDE_PX)


def windows_over(region: Region) -> list[Region]:
    """Every window that shares a pixel with a region, in order of row, then column."""
    columns = _places(region.left, region.right)
    rows = _places(region.top, region.bottom)
    return [window_at(region.zone, column, row) for row, column in product(rows, columns)]


def windows_touching(region: Region, wanted: npt.NDArray[np.bool_]) -> list[Region]:
    """The windows that share a wanted pixel with a region, in order of row, then column.

    Args:
        region: where the mask lies.
        wanted: (y, x) over `region`; True means this pixel is to be mapped.
    """
    return [window for window in windows_over(region) if touches(window, region, wanted)]


def needed_region(region: Region, wanted: npt.NDArray[np.bool_]) -> Region:
    """The smallest region that holds every window that touches a wanted pixel.

    Args:
        region: where the mask lies, usually a tile.
        wanted: (y, x) over `region`; some pixel must be True.
    """
    return reduce(_joined, windows_touching(region, wanted))


def touches(window: Region, region: Region, wanted: npt.NDArray[np.bool_]) -> bool:
    """Whether some pixel of a window is wanted; `wanted` is (y, x) over `region`."""
    shared = window.intersection(region)
    return shared is not None and bool(wanted[shared.slices_in(region)].any())


def taper() -> npt.NDArray[np.float32]:
    """(512,) weights along one axis: rising, one, falling; with the neighbours' they sum to one.

    The ramp is sin^2, smooth at both ends (a Hann window's half), so no line shows where a window
    begins; cos^2, its complement, is its mirror image.
    """
    middle_of_pixel = (np.arange(OVERLAP_PX) + 0.5) / OVERLAP_PX
    steps = np.round(np.sin(middle_of_pixel * np.pi / 2) ** 2 * _STEPS_PER_UNIT)
    rising = (steps / _STEPS_PER_UNIT).astype(np.float32)
    return np.concatenate([rising, np.ones(STRIDE_PX - OVERLAP_PX, np.float32), 1 - rising])


def weights() -> npt.NDArray[np.float32]:
    """(512, 512) weights of a window's pixels; over all windows they sum to exactly one."""
    return np.outer(taper(), taper())


def blend(pieces: Iterable[tuple[Region, A]]) -> Iterator[tuple[Region, A]]:
    """Weighted sums of overlapping windows, each square as soon as it is finished.

    Only the edges that later windows need are kept: memory grows with a row of windows by
    class x 128 x 384 values each, never with the area.

    Args:
        pieces: windows in order of row, then column, with probabilities times `weights()`:
            (class, 512, 512) float32 of numpy or torch. They are overwritten.

    Returns:
        the cells of the windows, (class, 384, 384) float32, views that are to be used before the
        next is asked for. A pixel's sum is complete if every window that holds it was given.
    """
    above: dict[int, A] = {}
    below: dict[int, A] = {}
    before: tuple[Region, A] | None = None
    for window, piece in pieces:
        if before is None or window.top != before[0].top:
            started_next_row = before is not None and window.top == before[0].top + STRIDE_PX
            above, below = (below if started_next_row else {}), {}
            before = None
        _add_neighbours(window, piece, before, above)
        # Plus zero is a copy; a slice would keep its whole window in memory.
        below[window.left] = piece[:, STRIDE_PX:, :STRIDE_PX] + 0
        before = (window, piece)
        yield cell_of(window), piece[:, :STRIDE_PX, :STRIDE_PX]


def _add_neighbours(
    window: Region, piece: A, before: tuple[Region, A] | None, above: dict[int, A]
) -> None:
    """Add what earlier windows said about this one's pixels; every pixel gets one addition.

    A sum handed on from the left holds what was above it already, so it is added once and whole.
    """
    if before is not None and before[0].left == window.left - STRIDE_PX:
        edge = piece[:, :, :OVERLAP_PX]
        edge += before[1][:, :, STRIDE_PX:]
    elif window.left in above:
        corner = piece[:, :OVERLAP_PX, :OVERLAP_PX]
        corner += above[window.left][:, :, :OVERLAP_PX]
    if window.left in above:
        top = piece[:, :OVERLAP_PX, OVERLAP_PX:STRIDE_PX]
        top += above[window.left][:, :, OVERLAP_PX:]
    if window.left + STRIDE_PX in above:
        corner = piece[:, :OVERLAP_PX, STRIDE_PX:]
        corner += above[window.left + STRIDE_PX][:, :, :OVERLAP_PX]


def _places(first: int, end: int) -> range:
    """Which windows along one axis share a pixel with first..end-1."""
    return range((first - WINDOW_PX) // STRIDE_PX + 1, (end - 1) // STRIDE_PX + 1)


def _joined(one: Region, other: Region) -> Region:
    """The bounding rectangle of two regions of one zone."""
    left, top = min(one.left, other.left), min(one.top, other.top)
    right, bottom = max(one.right, other.right), max(one.bottom, other.bottom)
    return Region(one.zone, left, top, right - left, bottom - top)
