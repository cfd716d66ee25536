"""Blocks of a TIFF unpacked, into memory that is used again and again.

Fresh memory for every block costs about a tenth of the time of unpacking: the system hands out
pages one by one, and each is cleared first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numba
import numpy as np
import numpy.typing as npt

from mapper.imagery.faults import BadBytesError
from mapper.imagery.tiff import (
    DEFLATE,
    FLOATING,
    HORIZONTAL,
    LZW,
    NO_COMPRESSION,
    OLD_DEFLATE,
    ZSTD,
    Layout,
)

Raw = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]
Packed = bytes | memoryview
Slices = tuple[slice, slice]

_WORTH_A_COPY = 1.3
"""Adding up more of a block than this many times its pixels takes longer than copying them."""


class Scratch(threading.local):
    """Memory of each thread for the blocks it unpacks, one after the other."""

    def __init__(self) -> None:
        self._rooms: dict[str, Bytes] = {}

    def bytes_of(self, use: str, size: int) -> Bytes:
        """(size,) bytes; those asked for under the same use before are gone."""
        room = self._rooms.get(use)
        if room is None or room.size < size:
            room = self._rooms[use] = np.empty(size, np.uint8)
        return room[:size]


def unpacked(packed: Packed, layout: Layout, scratch: Scratch, use: str = "pixels") -> Raw:
    """(y, x) pixels of one block, valid until the thread unpacks another for the same use.

    Raises:
        BadBytesError: the bytes are no block of this layout.
    """
    shape = (layout.block_height, layout.block_width)
    room = scratch.bytes_of(use, layout.block_bytes)
    if layout.predictor == FLOATING:
        planes = scratch.bytes_of("planes", layout.block_bytes)
        _decompress(packed, layout.compression, planes)
        _join_planes(planes.reshape(shape[0], -1), room.reshape(*shape, layout.dtype.itemsize))
    else:
        _decompress(packed, layout.compression, room)
        if layout.predictor == HORIZONTAL:
            _undo_differences(room.view(f"u{layout.dtype.itemsize}").reshape(shape))
    return room.view(layout.dtype).reshape(shape)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Some pixels of a block, and where they go."""

    source: Slices
    """(y, x) in the block."""
    out: npt.NDArray[np.uint16]
    """(y, x), in one piece of memory."""
    goal: Slices
    """(y, x) in `out`."""

    @property
    def summed_px(self) -> int:
        """Pixels that are added up for it: differences begin at the left edge of the block."""
        rows, columns = self.source
        return int((rows.stop - rows.start) * columns.stop)


def unpack_into(packed: Packed, layout: Layout, scratch: Scratch, parts: Sequence[Part]) -> None:
    """Write parts of one block of digits where they belong, if possible without a copy in between.

    Args:
        packed: the block's bytes.
        layout: of its file; uint16.
        scratch: of the thread.
        parts: what is wanted of it.

    Raises:
        BadBytesError: the bytes are no block of this layout.
    """
    whole_px = layout.block_width * layout.block_height
    often = sum(part.summed_px for part in parts) > _WORTH_A_COPY * whole_px
    if layout.predictor != HORIZONTAL or often:
        pixels = unpacked(packed, layout, scratch)
        for part in parts:
            part.out[part.goal] = pixels[part.source]
        return
    room = scratch.bytes_of("pixels", layout.block_bytes)
    _decompress(packed, layout.compression, room)
    differences = room.view(np.uint16).reshape(layout.block_height, layout.block_width)
    for part in parts:
        (rows, columns), (to_rows, to_columns) = part.source, part.goal
        size = (rows.stop - rows.start, columns.stop - columns.start)
        place = (rows.start, columns.start, to_rows.start, to_columns.start, *size)
        _undo_into(differences, part.out, place)


def _decompress(packed: Packed, codec: int, out: Bytes) -> None:
    """Fill `out`."""
    try:
        if codec == NO_COMPRESSION:
            plain = np.frombuffer(packed, np.uint8)
            size = plain.size
            out[: min(size, out.size)] = plain[: out.size]
        else:
            size = len(_DECODERS[codec](packed, out=out))
    except (RuntimeError, ValueError, MemoryError) as problem:
        raise BadBytesError(f"a block cannot be unpacked: {problem}") from None
    if size != out.size:
        raise BadBytesError(f"a block has {size} bytes instead of {out.size}")


_DECODERS: dict[int, Callable[..., Any]] = {
    DEFLATE: imagecodecs.deflate_decode,
    OLD_DEFLATE: imagecodecs.deflate_decode,
    ZSTD: imagecodecs.zstd_decode,
    LZW: imagecodecs.lzw_decode,
}


@numba.njit(cache=True, nogil=True)
def _undo_differences(pixels: Raw) -> None:
    """Each number was stored as the difference to its left neighbour (TIFF 6.0, section 14)."""
    for y in range(pixels.shape[0]):
        row = pixels[y]
        value = row[0]
        for x in range(1, row.shape[0]):
            value += row[x]
            row[x] = value


@numba.njit(cache=True, nogil=True)
def _undo_into(
    pixels: npt.NDArray[np.uint16],
    out: npt.NDArray[np.uint16],
    place: tuple[int, int, int, int, int, int],
) -> None:
    """The same, of a part: first row and column, those it goes to, rows and columns."""
    top, left, to_top, to_left, height, width = place
    for y in range(height):
        row = pixels[top + y]
        line = out[to_top + y, to_left : to_left + width]
        value = np.uint16(0)
        for x in range(left):
            value += row[x]
        for x in range(width):
            value += row[left + x]
            line[x] = value


@numba.njit(cache=True, nogil=True)
def _join_planes(planes: Bytes, out: Bytes) -> None:
    """Each row was stored as byte planes, the highest first, then as differences of bytes.

    Source: Adobe Photoshop TIFF Technical Note 3 (2005).

    Args:
        planes: (y, 4 * x).
        out: (y, x, 4), lowest byte first.
    """
    height, width, size = out.shape
    for y in range(height):
        row = planes[y]
        for x in range(1, row.shape[0]):
            row[x] += row[x - 1]
        for x in range(width):
            for k in range(size):
                out[y, x, size - 1 - k] = row[k * width + x]
