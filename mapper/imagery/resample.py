"""From 20 m to the 10 m lattice by exact rules, the same on every cut. Pure.

A 20 m pixel is exactly 2 x 2 lattice pixels, so the centre of a lattice pixel lies a quarter of a
20 m pixel from the nearest centre, and bilinear weights are 9, 3, 3 and 1 sixteenths: integers do.
Values equal those of GDAL's warper (bilinear, nodata respected), which tests compare.
"""

from __future__ import annotations

from typing import TypeVar

import numba
import numpy as np
import numpy.typing as npt

MARGIN_PX = 1
"""20 m pixels that `doubled_bilinear` needs beyond each edge of what it fills."""

Mask = npt.NDArray[np.bool_]
Digits = npt.NDArray[np.uint16]
Integer = TypeVar("Integer", bound=np.integer)


def doubled_bilinear(raw: Digits, phase: tuple[int, int], shape: tuple[int, int]) -> Digits:
    """20 m digits on the 10 m lattice, bilinear; 0 is nodata and takes no part.

    Args:
        raw: (y, x) at 20 m with one pixel more than needed on every side.
        phase: (y, x); 0 where the first lattice pixel is the upper (left) half of a 20 m pixel,
            1 where it is the lower (right) half.
        shape: (y, x) of the answer, in lattice pixels.

    Returns:
        (y, x); 0 where the 20 m pixel that holds the lattice pixel has no data. The weights of
        neighbours without data are shared among the others; halves are rounded up.
    """
    needed = tuple((n + p + 1) // 2 + 2 * MARGIN_PX for n, p in zip(shape, phase, strict=True))
    assert raw.shape == needed, f"20 m pixels {raw.shape} do not fit {needed}"
    out = np.empty(shape, np.uint16)
    _double(raw, phase[0], phase[1], out)
    return out


def doubled_nearest(
    raw: npt.NDArray[Integer], phase: tuple[int, int], shape: tuple[int, int]
) -> npt.NDArray[Integer]:
    """20 m classes or digits on the 10 m lattice, repeated; arguments as of the bilinear kernel."""
    inner = raw[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]
    both = inner.repeat(2, axis=0).repeat(2, axis=1)
    return both[phase[0] : phase[0] + shape[0], phase[1] : phase[1] + shape[1]]


def spread(mask: Mask, radius_px: int) -> Mask:
    """True where some pixel of a square around is True; the frame of `radius_px` is cut off.

    Args:
        mask: (y, x) over the wanted pixels and `radius_px` more on every side.
        radius_px: half side of the square; 0 changes nothing.
    """
    if radius_px == 0:
        return mask
    out = np.zeros(tuple(n - 2 * radius_px for n in mask.shape), np.bool_)
    _spread(mask, radius_px, out)
    return out


@numba.njit(cache=True, nogil=True)
def _double(raw: Digits, row_phase: int, column_phase: int, out: Digits) -> None:
    height, width = out.shape
    for y in range(height):
        row = (y + row_phase) // 2 + 1
        beside = row - 1 if (y + row_phase) % 2 == 0 else row + 1
        for x in range(width):
            column = (x + column_phase) // 2 + 1
            next_column = column - 1 if (x + column_phase) % 2 == 0 else column + 1
            a, b = np.uint32(raw[row, column]), np.uint32(raw[row, next_column])
            c, d = np.uint32(raw[beside, column]), np.uint32(raw[beside, next_column])
            total = 9 * a + 3 * b + 3 * c + d
            if a == 0:
                out[y, x] = 0
            elif b and c and d:
                out[y, x] = (total + 8) >> 4
            else:
                weight = 9 + 3 * (b > 0) + 3 * (c > 0) + (d > 0)
                # Twice over twice the weight: rounds halves up without a fraction.
                out[y, x] = (2 * total + weight) // (2 * weight)


@numba.njit(cache=True, nogil=True)
def _spread(mask: Mask, radius: int, out: Mask) -> None:
    """One axis after the other; a square is the sum of its sides."""
    width = out.shape[1]
    side = 2 * radius + 1
    wide = np.zeros((mask.shape[0], width), np.bool_)
    for y in range(mask.shape[0]):
        last = -side
        for x in range(mask.shape[1]):
            if mask[y, x]:
                last = x
            if x >= side - 1:
                wide[y, x - side + 1] = x - last < side
    last_row = np.full(width, -side)
    for y in range(mask.shape[0]):
        for x in range(width):
            if wide[y, x]:
                last_row[x] = y
            if y >= side - 1:
                out[y - side + 1, x] = y - last_row[x] < side
