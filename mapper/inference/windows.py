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
from itertools import product
from typing import Any, Generic, Protocol, Self, TypeVar

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

    def __setitem__(self, key: Any, value: Any, /) -> None: ...

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
    return Region.around(windows_touching(region, wanted))


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


class Seams(Generic[A]):
    """What windows hand on to later ones: pieces joined in order of row, then column.

    Only the edges that later windows need are kept: memory grows with a row of windows by
    class x 128 x 384 values each, never with the area.
    """

    def __init__(self) -> None:
        self._above: dict[int, A] = {}
        self._below: dict[int, A] = {}
        self._before: tuple[Region, A] | None = None

    def join(self, window: Region, piece: A) -> None:
        """Add what earlier windows said; the upper left 384 x 384 of the piece are final then.

        Args:
            window: the next one.
            piece: its probabilities times `taper()` on each axis, (class, 512, 512) float32;
                overwritten, and read once more when the next one is joined.
        """
        before = self._before
        if before is None or window.top != before[0].top:
            started_next_row = before is not None and window.top == before[0].top + STRIDE_PX
            self._above, self._below = (self._below if started_next_row else {}), {}
            before = None
        self._add_neighbours(window, piece, before)
        edge = piece[:, STRIDE_PX:, :STRIDE_PX]
        if window.left in self._above:
            kept = self._above.pop(window.left)  # nobody asks again, so its memory serves once more
            kept[:] = edge
        else:
            kept = edge + 0  # a copy; a slice would keep its whole window in memory
        self._below[window.left] = kept
        self._before = (window, piece)

    def _add_neighbours(self, window: Region, piece: A, before: tuple[Region, A] | None) -> None:
        """Every pixel gets one addition: a sum handed on from the left holds what was above it."""
        above = self._above
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


def blend(pieces: Iterable[tuple[Region, A]]) -> Iterator[tuple[Region, A]]:
    """Weighted sums of overlapping windows, each square as soon as it is finished.

    Args:
        pieces: windows in order of row, then column, with probabilities times `taper()` on each
            axis: (class, 512, 512) float32 of numpy or torch. They are overwritten.

    Returns:
        the cells of the windows, (class, 384, 384) float32, views that are to be used before the
        next is asked for. A pixel's sum is complete if every window that holds it was given.
    """
    seams: Seams[A] = Seams()
    for window, piece in pieces:
        seams.join(window, piece)
        yield cell_of(window), piece[:, :STRIDE_PX, :STRIDE_PX]


def _places(first: int, end: int) -> range:
    """Which windows along one axis share a pixel with first..end-1."""
    return range((first - WINDOW_PX) // STRIDE_PX + 1, (end - 1) // STRIDE_PX + 1)
