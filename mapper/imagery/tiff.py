"""The layout of a tiled TIFF: where each block lies in the file and how it is packed. Pure.

Only what a cloud-optimised GeoTIFF of one band needs is understood (TIFF 6.0, Adobe's and GDAL's
compression codes, BigTIFF, GeoTIFF 1.1); everything else is refused with the reason, and left to
GDAL. Nothing here guesses: a file that is understood wrongly would be read wrongly in silence.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from affine import Affine

HEAD_BYTES = 32 * 2**10
"""Read at once from the start of a file. The first directory of a Sentinel-2 band of 10980 x 10980
pixels in blocks of 512 takes about 8 KB."""
MAX_BLOCKS = 1_000_000
MAX_BLOCK_BYTES = 64 * 2**20
"""A block larger than this would break the bounds of memory; GDAL may have it. Packed it may be
larger, but never twice as large."""
MAX_FILE_BYTES = 2**62
"""No system has larger files, or can be asked for bytes far beyond."""

NO_COMPRESSION, LZW, DEFLATE, OLD_DEFLATE, ZSTD = 1, 5, 8, 32946, 50000
CODECS = (NO_COMPRESSION, LZW, DEFLATE, OLD_DEFLATE, ZSTD)
NO_PREDICTOR, HORIZONTAL, FLOATING = 1, 2, 3

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLES = 256, 257, 258, 259, 277
_PREDICTOR, _BLOCK_WIDTH, _BLOCK_HEIGHT, _OFFSETS, _SIZES = 317, 322, 323, 324, 325
_SAMPLE_FORMAT, _FILL_ORDER, _PIXEL_SCALE, _TIEPOINT = 339, 266, 33550, 33922
_TRANSFORMATION, _GEO_KEYS, _NODATA = 34264, 34735, 42113
_RASTER_TYPE, _PIXEL_IS_AREA, _PROJECTED, _USER_DEFINED = 1025, 1, 3072, 32767

_TYPES = {1: "B", 2: "s", 3: "H", 4: "I", 12: "d", 16: "Q"}
"""Field types of the tags above, as `struct` spells them."""
_KINDS: dict[tuple[int, int], np.dtype[Any]] = {
    (8, 1): np.dtype(np.uint8),
    (16, 1): np.dtype(np.uint16),
    (32, 3): np.dtype(np.float32),
}
"""(bits, sample format) of the numbers that are understood."""


class OtherLayoutError(Exception):
    """A file that is not read directly; the text says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """All that is needed to fetch any block of a file and to unpack it."""

    width: int
    """Pixels from west to east."""
    height: int
    """Pixels from north to south."""
    block_width: int
    """Pixels; blocks on the right edge are stored whole."""
    block_height: int
    """Pixels; blocks on the lower edge are stored whole."""
    dtype: np.dtype[Any]
    """uint8, uint16 or float32, little-endian."""
    compression: int
    """One of CODECS."""
    predictor: int
    """NO_PREDICTOR, HORIZONTAL or FLOATING."""
    offsets: npt.NDArray[np.uint64]
    """First byte of each block, row by row; 0 where a block was never written."""
    sizes: npt.NDArray[np.uint64]
    """Bytes of each block."""
    epsg: int
    """Projected coordinate system."""
    transform: Affine
    """Pixel (x, y) to coordinates."""
    nodata: float | None
    """The value that means "no data", where the file states one."""

    @property
    def across(self) -> int:
        """Blocks in a row."""
        return -(-self.width // self.block_width)

    @property
    def block_bytes(self) -> int:
        """Of one unpacked block."""
        return self.block_width * self.block_height * self.dtype.itemsize


def layout_of(read: Callable[[int, int], bytes]) -> Layout:
    """The layout of a file.

    Args:
        read: gives the bytes from a first to before a last one, fewer where the file ends.

    Raises:
        OtherLayoutError: it is no TIFF, or one that has to be left to GDAL.
    """
    try:
        return _layout_in(_Tags(read))
    except (ArithmeticError, AttributeError, TypeError, ValueError, struct.error):
        # A spoilt directory may lie beyond any file, and its tags be of any type and length: GDAL
        # says what it sees.
        raise OtherLayoutError("its directory makes no sense") from None


def _layout_in(tags: _Tags) -> Layout:
    dtype = _dtype(tags)
    _refuse_the_unusual(tags, dtype)
    width, height = tags.number(_WIDTH), tags.number(_HEIGHT)
    block_width, block_height = tags.number(_BLOCK_WIDTH), tags.number(_BLOCK_HEIGHT)
    _require(min(width, height, block_width, block_height) > 0, "it has no pixels")
    blocks = -(-width // block_width) * -(-height // block_height)
    _require(
        blocks <= MAX_BLOCKS and block_width * block_height * dtype.itemsize <= MAX_BLOCK_BYTES,
        "its blocks are too many or too large",
    )
    offsets, sizes = (np.array(tags.values(t), np.uint64) for t in (_OFFSETS, _SIZES))
    _require(len(offsets) == blocks == len(sizes), "the number of its blocks is not its size")
    _require(
        int(offsets.max()) < MAX_FILE_BYTES and int(sizes.max()) <= 2 * MAX_BLOCK_BYTES,
        "its blocks lie beyond any file",
    )
    return Layout(
        width,
        height,
        block_width,
        block_height,
        dtype,
        tags.number(_COMPRESSION, NO_COMPRESSION),
        tags.number(_PREDICTOR, NO_PREDICTOR),
        offsets,
        sizes,
        _epsg(tags),
        _transform(tags),
        _nodata(tags),
    )


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise OtherLayoutError(otherwise)


def _dtype(tags: _Tags) -> np.dtype[Any]:
    _require(tags.number(_SAMPLES, 1) == 1, "it has more than one band")
    kind = (tags.number(_BITS, 1), tags.number(_SAMPLE_FORMAT, 1))
    _require(kind in _KINDS, f"its numbers are of {kind[0]} bits, format {kind[1]}")
    return _KINDS[kind]


def _refuse_the_unusual(tags: _Tags, dtype: np.dtype[Any]) -> None:
    _require(_BLOCK_WIDTH in tags and _OFFSETS in tags, "it is not tiled")
    codec = tags.number(_COMPRESSION, NO_COMPRESSION)
    _require(codec in CODECS, f"compression {codec} is not understood")
    predictor = tags.number(_PREDICTOR, NO_PREDICTOR)
    floating = predictor == FLOATING
    _require(predictor in (NO_PREDICTOR, HORIZONTAL, FLOATING), f"predictor {predictor} is unknown")
    _require(not floating or dtype.kind == "f", "a floating predictor on whole numbers")
    _require(tags.number(_FILL_ORDER, 1) == 1, "its bits are in reverse order")


def _epsg(tags: _Tags) -> int:
    """The projected system, which must be named by its code and count pixels as areas."""
    keys = np.array(tags.values(_GEO_KEYS)).reshape(-1, 4)[1:]
    plain = {int(key): int(value) for key, place, _, value in keys if place == 0}
    _require(plain.get(_RASTER_TYPE, _PIXEL_IS_AREA) == _PIXEL_IS_AREA, "its pixels are points")
    code = plain.get(_PROJECTED, _USER_DEFINED)
    _require(code != _USER_DEFINED, "its projection has no code")
    return code


def _transform(tags: _Tags) -> Affine:
    if _TRANSFORMATION in tags:
        m = tags.values(_TRANSFORMATION)
        _require(len(m) == 16, "its transformation is not 4 x 4")
        return Affine(m[0], m[1], m[3], m[4], m[5], m[7])
    scale, tie = tags.values(_PIXEL_SCALE), tags.values(_TIEPOINT)
    _require(len(scale) == 3 and len(tie) == 6, "it is tied to the ground by more than one point")
    west, north = tie[3] - tie[0] * scale[0], tie[4] + tie[1] * scale[1]
    return Affine(scale[0], 0, west, 0, -scale[1], north)


def _nodata(tags: _Tags) -> float | None:
    if _NODATA not in tags:
        return None
    text = tags.values(_NODATA)[0].split(b"\0")[0].strip()
    try:
        return float(text)
    except ValueError:
        raise OtherLayoutError("its nodata value is no number") from None


class _Tags:
    """The first directory of a file, its values fetched when they are asked for."""

    def __init__(self, read: Callable[[int, int], bytes]) -> None:
        self._read, self._head = read, bytes(read(0, HEAD_BYTES))
        magic, version = self._head[:2], self._head[2:4]
        _require(magic == b"II", "it is no little-endian TIFF")
        _require(version in (b"\x2a\0", b"\x2b\0"), "it is no TIFF")
        self._big = version == b"\x2b\0"
        self._entries = self._directory()

    def __contains__(self, tag: int) -> bool:
        return tag in self._entries

    def number(self, tag: int, default: int | None = None) -> int:
        """One whole number; some writers repeat it per band."""
        if tag not in self._entries and default is not None:
            return default
        value = self.values(tag)[0]
        _require(isinstance(value, int), f"tag {tag} is no whole number")
        return int(value)

    def values(self, tag: int) -> tuple[Any, ...]:
        """All values of a tag; text comes as one piece of bytes."""
        _require(tag in self._entries, f"tag {tag} is missing")
        kind, count, place = self._entries[tag]
        _require(kind in _TYPES and count > 0, f"tag {tag} is of type {kind}")
        code = f"<{count}{_TYPES[kind]}"
        return struct.unpack(code, self._bytes(place, struct.calcsize(code)))

    def _directory(self) -> dict[int, tuple[int, int, int]]:
        """(type, count, position of the values) by tag."""
        at, count_code, entry_code = (8, "<Q", "<HHQ") if self._big else (4, "<H", "<HHI")
        (first,) = struct.unpack(
            "<Q" if self._big else "<I", self._bytes(at, 8 if self._big else 4)
        )
        start = first + struct.calcsize(count_code)
        (count,) = struct.unpack(count_code, self._bytes(first, struct.calcsize(count_code)))
        _require(0 < count < 1000, f"its directory has {count} entries")
        room = 8 if self._big else 4
        size = struct.calcsize(entry_code) + room
        table = self._bytes(start, count * size)
        entries = {}
        for n in range(count):
            tag, kind, values = struct.unpack_from(entry_code, table, n * size)
            position = start + (n + 1) * size - room
            if values * struct.calcsize(f"<{_TYPES.get(kind, 'B')}") > room:
                code = "<Q" if self._big else "<I"
                (position,) = struct.unpack_from(code, table, (n + 1) * size - room)
            entries[tag] = (kind, values, position)
        return entries

    def _bytes(self, start: int, count: int) -> bytes:
        """From the head where it has them, else from the file."""
        _require(count <= 16 * MAX_BLOCKS, "a table of it is too long")
        stop = start + count
        found = self._head[start:stop] if stop <= len(self._head) else self._read(start, stop)
        _require(len(found) == count, "it is cut short")
        return bytes(found)
