"""One pass over the pixels of a window, from what a sensor saw to what the network is given.

numpy takes a pass over memory for each of quotient, clipping, difference, quotient and mask, and
each writes to new memory; here a row of pixels stays in the cache through all of them. The
arithmetic is numpy's, operation by operation in float32, so the bits are the same.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

Pixels = npt.NDArray[np.uint16] | npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


def valid_pixels(pixels: Pixels, nodata: float) -> Mask:
    """(y, x) True where every band of (band, y, x) is a finite number other than `nodata`."""
    valid = np.empty(pixels.shape[1:], np.bool_)
    _valid(*as_line(pixels), len(pixels), pixels.dtype.type(nodata), valid.view(np.uint8))
    return valid


def standardise(
    pixels: Pixels, nodata: float, per_unit: int, rules: Floats, out: Floats, valid: Mask
) -> None:
    """(clip(pixels / per_unit, low, high) - mean) / std of each band; 0 where not valid.

    Args:
        pixels: (band, y, x), of any strides.
        nodata: a pixel is valid where every band is a finite number other than this.
        rules: (band, 4) low, high, mean and std, in units.
        out: (band, y, x), contiguous; what to write to.
        valid: (y, x), contiguous; likewise.
    """
    scale, hidden = np.float32(per_unit), pixels.dtype.type(nodata)
    _standardise(*as_line(pixels), hidden, scale, rules, out, valid.view(np.uint8))


def as_line(pixels: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], int, int]:
    """The memory behind a (band, y, x) view as one line, and the steps along it to the next band
    and to the next row: only of contiguous memory does the compiler make wide instructions."""
    size = pixels.itemsize
    if pixels.strides[2] != size or any(step < 0 or step % size for step in pixels.strides):
        pixels = np.ascontiguousarray(pixels)
    band, row, _ = (step // size for step in pixels.strides)
    bands, height, width = pixels.shape
    length = (bands - 1) * band + (height - 1) * row + width
    return as_strided(pixels, (length,), (size,), writeable=False), band, row


@numba.njit(cache=True, nogil=True)
def _valid(
    line: npt.NDArray[Any], band: int, row: int, bands: int, nodata: Any, valid: Bytes
) -> None:
    for y in range(len(valid)):
        _see(line, band, y * row, bands, nodata, valid[y])


# numpy's division: without it every quotient is tried for zero, one by one.
@numba.njit(cache=True, nogil=True, error_model="numpy")
def _standardise(
    line: npt.NDArray[Any],
    band: int,
    row: int,
    nodata: Any,
    scale: np.float32,
    rules: Floats,
    out: Floats,
    valid: Bytes,
) -> None:
    bands, height, width = out.shape
    for y in range(height):
        seen = valid[y]
        _see(line, band, y * row, bands, nodata, seen)
        for b in range(bands):
            start = b * band + y * row
            raw, plane = line[start : start + width], out[b, y]
            low, high, mean, std = rules[b, 0], rules[b, 1], rules[b, 2], rules[b, 3]
            for x in range(width):
                value = np.float32(raw[x]) / scale
                value = low if value < low else value
                value = high if value > high else value
                value = (value - mean) / std
                plane[x] = value if seen[x] else np.float32(0)


@numba.njit(cache=True, nogil=True)
def _see(
    line: npt.NDArray[Any], band: int, first: int, bands: int, nodata: Any, seen: Bytes
) -> None:
    """Which pixels of one row are valid: 1, else 0."""
    seen[:] = np.uint8(1)
    for b in range(bands):
        start = b * band + first
        raw = line[start : start + len(seen)]
        for x in range(len(seen)):
            # A number less itself is zero, unless it is infinite or none at all.
            good = (raw[x] != nodata) & (raw[x] - raw[x] == 0)
            seen[x] = seen[x] if good else np.uint8(0)
