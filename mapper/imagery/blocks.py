"""Blocks of a TIFF unpacked, into memory that is used again and again.

Fresh memory for every block costs about a tenth of the time of unpacking: the system hands out
pages one by one, and each is cleared first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
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
_Bytes = npt.NDArray[np.uint8]


class Scratch(threading.local):
    """Memory of each thread for the blocks it unpacks, one after the other."""

    def __init__(self) -> None:
        self._room: dict[int, _Bytes] = {}

    def bytes_of(self, number: int, size: int) -> _Bytes:
        """(size,) bytes; those asked for under the same number before are gone."""
        room = self._room.get(number)
        if room is None or room.size < size:
            room = self._room[number] = np.empty(size, np.uint8)
        return room[:size]


def unpacked(packed: bytes | memoryview, layout: Layout, scratch: Scratch, number: int = 0) -> Raw:
    """(y, x) pixels of one block, valid until the thread unpacks another under the same number.

    Raises:
        BadBytesError: the bytes are no block of this layout.
    """
    room = scratch.bytes_of(number, layout.block_bytes)
    try:
        size = _decompress(packed, layout.compression, room)
    except (RuntimeError, ValueError, MemoryError) as problem:
        raise BadBytesError(f"a block cannot be unpacked: {problem}") from None
    if size != room.size:
        raise BadBytesError(f"a block has {size} bytes instead of {room.size}")
    shape = (layout.block_height, layout.block_width)
    if layout.predictor == FLOATING:
        planes = scratch.bytes_of(-1 - number, layout.block_bytes)
        planes[:] = room
        _join_planes(planes.reshape(shape[0], -1), room.reshape(*shape, layout.dtype.itemsize))
    elif layout.predictor == HORIZONTAL:
        _undo_differences(room.view(f"u{layout.dtype.itemsize}").reshape(shape))
    return room.view(layout.dtype).reshape(shape)


def _decompress(packed: bytes | memoryview, codec: int, out: _Bytes) -> int:
    """Fill `out`; how many bytes there were."""
    if codec == NO_COMPRESSION:
        plain = np.frombuffer(packed, np.uint8)
        if plain.size == out.size:
            out[:] = plain
        return plain.size
    return len(_DECODERS[codec](packed, out=out))


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
def _join_planes(planes: _Bytes, out: _Bytes) -> None:
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
