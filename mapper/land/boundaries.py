"""The packaged boundary file: how a country's polygons become bytes, and bytes polygons again.

The file is a plain .xz file of several streams, one after the other (`xz -dc` reads it all):

    stream 0    the index, JSON: {"countries": {code: [offset, length, area_km2]}, ...}
    stream 1..  one country each, at `offset` bytes after the end of stream 0

so that one country costs one seek and one short decompression. A country's stream is a row of
varints (7 bits a byte, least significant first, high bit set where more follow):

    polygons, rings of each polygon, points of each ring, all x steps, all y steps

Points are whole units of 1 / UNITS_PER_DEGREE degrees. A step is the difference to the point before
it (of the ring before, for a ring's first point), zigzag-coded so that small negatives stay small.
The closing point of a ring is not stored.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import GeometryType, MultiPolygon

UNITS_PER_DEGREE = 20_000
"""One unit is 5.6 m of latitude, so a stored point is at most 2.8 m off: a quarter of a pixel."""

_INDEX_READ = 65_536  # bytes; the index takes about 5 kB, read in one go

# Literal context of 3 bits and no position bits suit varints: 8 % smaller than the presets' own.
# The largest country is under 4 MiB of varints; a larger window would only cost readers memory.
_FILTERS = [
    {
        "id": lzma.FILTER_LZMA2,
        "preset": 9 | lzma.PRESET_EXTREME,
        "dict_size": 1 << 22,
        "lc": 3,
        "lp": 0,
        "pb": 0,
    }
]


class Place(NamedTuple):
    """Where a country lies in the file, and the one fact worth knowing without reading it."""

    offset: int  # bytes after the end of the index
    length: int  # bytes
    area_km2: float  # geodesic, WGS 84


def pack(geometry: MultiPolygon) -> bytes:
    """The polygons as bytes; `unpack` gives the same polygons back.

    Args:
        geometry: lon/lat in degrees, already on the grid of UNITS_PER_DEGREE.
    """
    _, points, (ring_at, polygon_at, _) = shapely.to_ragged_array([geometry])
    units = np.rint(points[:, :2] * UNITS_PER_DEGREE).astype(np.int64)
    units = np.delete(units, ring_at[1:] - 1, axis=0)
    steps = np.diff(units, axis=0, prepend=0)
    head = np.concatenate([[len(polygon_at) - 1], np.diff(polygon_at), np.diff(ring_at) - 1])
    row = np.concatenate([head, _zigzag(steps[:, 0]), _zigzag(steps[:, 1])])
    return lzma.compress(_to_varints(row), check=lzma.CHECK_CRC32, filters=_FILTERS)


def unpack(data: bytes) -> MultiPolygon:
    """The polygons that `pack` was given, lon/lat in degrees.

    Raises:
        lzma.LZMAError: the bytes are damaged (every stream carries a checksum).
    """
    row = _from_varints(lzma.decompress(data))
    polygons = int(row[0])
    rings = row[1 : 1 + polygons]
    sizes = row[1 + polygons : 1 + polygons + int(rings.sum())]
    steps = _unzigzag(row[1 + polygons + len(sizes) :])
    units = np.cumsum(steps.reshape(2, -1), axis=1).T
    starts = np.concatenate([[0], np.cumsum(sizes)])
    closed = np.insert(units, starts[1:], units[starts[:-1]], axis=0)
    points = np.ascontiguousarray(closed / UNITS_PER_DEGREE)
    offsets = (
        starts + np.arange(len(starts)),
        np.concatenate([[0], np.cumsum(rings)]),
        np.array([0, polygons]),
    )
    shapes = shapely.from_ragged_array(GeometryType.MULTIPOLYGON, points, offsets)
    return MultiPolygon(shapes[0])


def write(path: Path, countries: Mapping[str, tuple[MultiPolygon, float]], note: str) -> None:
    """The whole file, from {code: (polygons, area in km2)}; the same input gives the same bytes."""
    blocks = {code: pack(shape) for code, (shape, _) in sorted(countries.items())}
    places: dict[str, Place] = {}
    offset = 0
    for code, block in blocks.items():
        places[code] = Place(offset, len(block), round(countries[code][1], 3))
        offset += len(block)
    index = {"note": note, "units_per_degree": UNITS_PER_DEGREE, "countries": places}
    text = json.dumps(index, separators=(",", ":")).encode()
    head = lzma.compress(text, check=lzma.CHECK_CRC32)
    path.write_bytes(head + b"".join(blocks.values()))


def read_index(path: Path) -> tuple[int, dict[str, Place]]:
    """Where the first country starts in the file, in bytes, and the place of every country."""
    with path.open("rb") as file:
        head = file.read(_INDEX_READ)
    stream = lzma.LZMADecompressor()
    index = json.loads(stream.decompress(head))
    places = {code: Place(*place) for code, place in index["countries"].items()}
    return len(head) - len(stream.unused_data), places


def read(path: Path, start: int, place: Place) -> MultiPolygon:
    """One country's polygons; nothing else of the file is read."""
    with path.open("rb") as file:
        file.seek(start + place.offset)
        return unpack(file.read(place.length))


def _zigzag(steps: NDArray[np.int64]) -> NDArray[np.int64]:
    return (steps << 1) ^ (steps >> 63)


def _unzigzag(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    return (codes >> 1) ^ -(codes & 1)


def _to_varints(numbers: NDArray[np.int64]) -> bytes:
    groups = np.stack([(numbers >> shift) & 0x7F for shift in range(0, 35, 7)], axis=1)
    used = 1 + np.sum([numbers >= 1 << shift for shift in range(7, 35, 7)], axis=0)
    position = np.arange(5)
    more = position < (used - 1)[:, None]
    bytes_of = (groups | (more << 7)).astype(np.uint8)
    return bytes(bytes_of[position < used[:, None]])


def _from_varints(data: bytes) -> NDArray[np.int64]:
    octets = np.frombuffer(data, np.uint8).astype(np.int64)
    last = np.flatnonzero(octets < 0x80)
    first = np.concatenate([[0], last[:-1] + 1])
    position = np.arange(len(octets)) - np.repeat(first, last - first + 1)
    return np.add.reduceat((octets & 0x7F) << (7 * position), first)
