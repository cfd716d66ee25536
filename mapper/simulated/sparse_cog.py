"""Sparse Cloud-Optimized GeoTIFFs, written in one pass from blocks that are compressed already.

A scene covers a hundred kilometres, of which a simulated archive fills what one area needs. GDAL
writes such a file twice and walks through its empty part; here every block is compressed once, by
the process that painted it, and the file is put together from them: header, directories (full
resolution first), then the overviews' blocks, coarsest first, then the full resolution's. A block
that holds nothing has length 0, which readers take for nodata.

Layout: TIFF 6.0, GeoTIFF 1.1 (OGC 19-008r4), GDAL's sparse and nodata conventions.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
Place = tuple[int, int]
"""(row, column) of a block in the block grid."""

_LEVEL = 4
"""Of deflate: noise gains 1 % above it, and costs twice the time."""
_PREDICTOR_INTEGER, _PREDICTOR_FLOAT, _PREDICTOR_NONE = 2, 3, 1
_SHORT, _LONG, _DOUBLE, _ASCII = 3, 4, 12, 2
_FORMATS = {_SHORT: "H", _LONG: "I", _DOUBLE: "d"}


@dataclass(frozen=True, slots=True)
class Raster:
    """Everything about a one-band raster but its pixels."""

    width: int
    height: int
    dtype: str
    """uint8, uint16 or float32."""
    block_px: int
    """Side of a block, a multiple of 16."""
    epsg: int
    left_m: float
    top_m: float
    pixel_m: float
    nodata: float
    description: str
    palette: tuple[tuple[int, int, int], ...] | None = None
    """Colours of values 0, 1, ...; only for uint8."""

    @property
    def predictor(self) -> int:
        """How neighbours are subtracted before compression; classes compress better without."""
        if self.dtype == "float32":
            return _PREDICTOR_FLOAT
        return _PREDICTOR_INTEGER if self.dtype == "uint16" else _PREDICTOR_NONE


@dataclass(frozen=True, slots=True)
class Level:
    """The blocks of a raster at one resolution; those that hold nothing are left out."""

    factor: int
    """1 for full resolution; 8 where every eighth pixel is kept."""
    lengths: Mapping[Place, int]
    """Bytes of each block."""
    read: Callable[[Place], bytes]
    """The compressed block of a place."""


def compressed(block: Array, raster: Raster) -> bytes:
    """A block as the file holds it; empty where it holds nothing but nodata.

    Args:
        block: (block_px, block_px) of the raster's type.
    """
    if (block == raster.nodata).all():
        return b""
    if raster.predictor == _PREDICTOR_FLOAT:
        rows = block.astype(">f4").view(np.uint8).reshape(*block.shape, 4)
        planes = np.ascontiguousarray(rows.transpose(0, 2, 1)).reshape(block.shape[0], -1)
        block = _differences(planes)
    elif raster.predictor == _PREDICTOR_INTEGER:
        block = _differences(block)
    return zlib.compress(np.ascontiguousarray(block).tobytes(), _LEVEL)


def _differences(rows: Array) -> Array:
    """Every value less the one to its left, modulo the type's range."""
    out = rows.copy()
    np.subtract(rows[:, 1:], rows[:, :-1], out=out[:, 1:])
    return out


def write_cog(path: Path, raster: Raster, levels: Sequence[Level]) -> int:
    """Writes the file: full resolution and its overviews, in order of their factors.

    Returns:
        its size in bytes.
    """
    # The length of the directories does not depend on the offsets in them, so a first draft of
    # them tells where the blocks begin.
    draft = [_directory(raster, level, {}) for level in levels]
    start = 8 + sum(len(body) for body in _directories(draft))
    offsets: list[dict[Place, int]] = [{} for _ in levels]
    for number in reversed(range(len(levels))):
        for place, length in sorted(levels[number].lengths.items()):
            offsets[number][place] = start
            start += length
    entries = [_directory(raster, *pair) for pair in zip(levels, offsets, strict=True)]
    with path.open("wb") as file:
        file.write(struct.pack("<2sHI", b"II", 42, 8))
        for body in _directories(entries):
            file.write(body)
        for number in reversed(range(len(levels))):
            for place in sorted(levels[number].lengths):
                file.write(levels[number].read(place))
        return file.tell()


Entry = tuple[int, int, tuple[float, ...] | bytes]
"""A TIFF tag: number, type, values."""


def _directory(raster: Raster, level: Level, offsets: Mapping[Place, int]) -> list[Entry]:
    """The tags of one level, in order of their numbers."""
    width, height = -(-raster.width // level.factor), -(-raster.height // level.factor)
    across, down = -(-width // raster.block_px), -(-height // raster.block_px)
    places = [(row, column) for row in range(down) for column in range(across)]
    bits, kind = {"uint8": (8, 1), "uint16": (16, 1), "float32": (32, 3)}[raster.dtype]
    entries: list[Entry] = [
        (254, _LONG, (0 if level.factor == 1 else 1,)),
        (256, _LONG, (width,)),
        (257, _LONG, (height,)),
        (258, _SHORT, (bits,)),
        (259, _SHORT, (8,)),
        (262, _SHORT, (3 if raster.palette else 1,)),
        (277, _SHORT, (1,)),
        (284, _SHORT, (1,)),
        (317, _SHORT, (raster.predictor,)),
        (322, _SHORT, (raster.block_px,)),
        (323, _SHORT, (raster.block_px,)),
        (324, _LONG, tuple(offsets.get(place, 0) for place in places)),
        (325, _LONG, tuple(level.lengths.get(place, 0) for place in places)),
        (339, _SHORT, (kind,)),
        (42113, _ASCII, f"{raster.nodata:g}".encode() + b"\0"),
    ]
    if raster.palette:
        entries.append((320, _SHORT, _colours(raster.palette)))
    if level.factor == 1:
        entries += _georeference(raster)
    return sorted(entries, key=lambda entry: entry[0])


def _georeference(raster: Raster) -> list[Entry]:
    """Where the raster is: scale, tie point, projected system by its EPSG code."""
    keys = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, raster.epsg)
    return [
        (270, _ASCII, raster.description.encode("ascii") + b"\0"),
        (33550, _DOUBLE, (raster.pixel_m, raster.pixel_m, 0.0)),
        (33922, _DOUBLE, (0.0, 0.0, 0.0, raster.left_m, raster.top_m, 0.0)),
        (34735, _SHORT, keys),
    ]


def _colours(palette: tuple[tuple[int, int, int], ...]) -> tuple[int, ...]:
    """A TIFF colour map: 256 reds, greens and blues in 16 bits."""
    table = np.zeros((3, 256), np.int64)
    table[:, : len(palette)] = np.array(palette).T
    return tuple(int(value) * 257 for value in table.ravel())


def _directories(levels: list[list[Entry]]) -> list[bytes]:
    """Directories as bytes, one after the other, each with its long values behind it."""
    bodies, start = [], 8
    for number, entries in enumerate(levels):
        behind = start + 2 + 12 * len(entries) + 4
        table, values = struct.pack("<H", len(entries)), b""
        for tag, kind, content in entries:
            raw = content if isinstance(content, bytes) else _packed(kind, content)
            count = len(content)
            if len(raw) <= 4:
                field = raw.ljust(4, b"\0")
            else:
                field = struct.pack("<I", behind + len(values))
                values += raw + b"\0" * (len(raw) % 2)
            table += struct.pack("<HHI", tag, kind, count) + field
        start = behind + len(values)
        last = number == len(levels) - 1
        bodies.append(table + struct.pack("<I", 0 if last else start) + values)
    return bodies


def _packed(kind: int, values: tuple[float, ...]) -> bytes:
    whole = kind != _DOUBLE
    return struct.pack(
        f"<{len(values)}{_FORMATS[kind]}", *(int(v) if whole else float(v) for v in values)
    )
