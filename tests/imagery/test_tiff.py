"""Layouts and blocks of TIFFs, against GDAL."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from mapper.imagery.blocks import Part, Scratch, unpack_into, unpacked
from mapper.imagery.faults import BadBytesError
from mapper.imagery.tiff import Layout, OtherLayoutError, layout_of

CORNER = Affine(20, 0, 399_960, 0, -20, 5_300_040)
SHAPE = (75, 83)


def pixels(dtype: str) -> np.ndarray:
    made = np.random.default_rng(0).gamma(2, 300, SHAPE) % (250 if dtype == "uint8" else 60_000)
    return made.astype(dtype)


def write(path: Path, made: np.ndarray, **more: Any) -> bytes:
    plain = {
        "driver": "GTiff",
        "height": made.shape[0],
        "width": made.shape[1],
        "count": 1,
        "dtype": made.dtype,
        "crs": "EPSG:32632",
        "transform": CORNER,
        "nodata": 0,
        "tiled": True,
        "blockxsize": 48,
        "blockysize": 32,
    }
    with rasterio.open(path, "w", **{**plain, **more}) as raster:
        raster.write(made, 1)
    return path.read_bytes()


def reader(data: bytes) -> Callable[[int, int], bytes]:
    return lambda start, stop: data[start:stop]


def mosaic(data: bytes, layout: Layout) -> np.ndarray:
    """All pixels, block by block."""
    room = (layout.height + layout.block_height, layout.width + layout.block_width)
    out = np.empty(room, layout.dtype)
    for block, (start, size) in enumerate(zip(layout.offsets, layout.sizes, strict=True)):
        row, column = divmod(block, layout.across)
        y, x = row * layout.block_height, column * layout.block_width
        packed = memoryview(data)[int(start) : int(start + size)]
        part = unpacked(packed, layout, Scratch())
        out[y : y + part.shape[0], x : x + part.shape[1]] = part
    return out[: layout.height, : layout.width]


PACKINGS = [
    (dtype, codec, predictor)
    for dtype, codec, predictor in itertools.product(
        ("uint8", "uint16", "float32"), ("deflate", "zstd", "lzw", None), (1, 2, 3)
    )
    if (predictor < 3 or dtype == "float32") and (codec or predictor == 1)
]


@pytest.mark.parametrize(("dtype", "codec", "predictor"), PACKINGS)
@pytest.mark.parametrize("big", ["NO", "YES"])
def test_every_packing_unpacks_to_what_was_written(
    tmp_path: Path, dtype: str, codec: str | None, predictor: int, big: str
) -> None:
    made = pixels(dtype)
    more: dict[str, Any] = {"compress": codec, "predictor": predictor} if codec else {}
    data = write(tmp_path / "a.tif", made, BIGTIFF=big, **more)
    layout = layout_of(reader(data))
    np.testing.assert_array_equal(mosaic(data, layout), made)
    assert (layout.epsg, layout.transform, layout.nodata) == (32632, CORNER, 0)


def test_a_cog_is_read_with_one_request_and_its_overviews_are_passed_over(tmp_path: Path) -> None:
    made = np.arange(700 * 650, dtype=np.uint16).reshape(700, 650)
    path = tmp_path / "a.tif"
    cog: dict[str, Any] = {
        "driver": "COG",
        "BLOCKSIZE": 128,
        "PREDICTOR": "YES",
        "COMPRESS": "DEFLATE",
    }
    place: dict[str, Any] = {"height": 700, "width": 650, "crs": 32632, "transform": CORNER}
    with rasterio.open(path, "w", count=1, dtype="uint16", **place, **cog) as raster:
        raster.write(made, 1)
    data, asked = path.read_bytes(), []

    def read(start: int, stop: int) -> bytes:
        asked.append((start, stop))
        return data[start:stop]

    layout = layout_of(read)
    assert len(asked) == 1
    assert (layout.width, layout.height, layout.nodata) == (650, 700, None)
    np.testing.assert_array_equal(mosaic(data, layout), made)


def test_a_block_that_was_never_written_is_known(tmp_path: Path) -> None:
    made = np.zeros(SHAPE, np.uint16)
    made[:32, :48] = 7
    layout = layout_of(reader(write(tmp_path / "a.tif", made, SPARSE_OK="TRUE")))
    assert (layout.offsets > 0).sum() == 1


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"compress": "packbits"}, "compression 32773"),
        ({"compress": "lerc"}, "compression 34887"),
        ({"tiled": False}, "not tiled"),
        ({"crs": None}, "tag 34735 is missing"),
        ({"crs": "+proj=laea +lat_0=52 +lon_0=10"}, "no code"),
        ({"dtype": "int16"}, "16 bits, format 2"),
        ({"dtype": "float64"}, "64 bits, format 3"),
        ({"NBITS": 12}, "12 bits"),
        ({"ENDIANNESS": "BIG"}, "little-endian"),
        ({"nodata": None, "count": 2}, "more than one band"),
    ],
)
def test_what_is_left_to_gdal_says_why(tmp_path: Path, more: dict[str, Any], reason: str) -> None:
    made = pixels("uint16") % 4000
    made = made.astype(more.get("dtype", "uint16"))
    with pytest.raises(OtherLayoutError, match=reason):
        layout_of(reader(write(tmp_path / "a.tif", made, **more)))


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_no_bytes_whatever_break_the_reader(garbage: bytes) -> None:
    for head in (b"", b"II\x2a\0", b"II\x2b\0\x08\0\0\0", b"<html>"):
        with pytest.raises(OtherLayoutError):
            layout_of(reader(head + garbage))


@given(st.integers(0, 700), st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_a_spoilt_header_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, at: int, value: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "spoilt.tif"
    data = bytearray(path.read_bytes() if path.exists() else write(path, pixels("uint16")))
    data[at] = value
    try:
        layout = layout_of(reader(bytes(data)))
    except OtherLayoutError:
        return
    assert len(layout.offsets) == layout.across * -(-layout.height // layout.block_height)


@pytest.mark.parametrize(("tag", "value"), [(324, 2**63), (324, 2**64 - 1), (325, 2**40)])
def test_blocks_beyond_any_file_are_refused(tmp_path: Path, tag: int, value: int) -> None:
    data = bytearray(write(tmp_path / "a.tif", pixels("uint16")[:32, :48], BIGTIFF="YES"))
    entry = data.index(struct.pack("<H", tag), 16)
    (count,) = struct.unpack_from("<Q", data, entry + 4)
    assert count == 1
    struct.pack_into("<HHQQ", data, entry, tag, 16, count, value)
    with pytest.raises(OtherLayoutError, match="beyond any file"):
        layout_of(reader(bytes(data)))


@pytest.mark.parametrize("codec", ["deflate", "zstd", "lzw", None])
@pytest.mark.parametrize("harm", ["cut", "garbled", "empty", "longer"])
def test_broken_bytes_are_told_and_never_become_pixels(
    tmp_path: Path, codec: str | None, harm: str
) -> None:
    data = write(tmp_path / "a.tif", pixels("uint16"), **({"compress": codec} if codec else {}))
    layout = layout_of(reader(data))
    start, size = int(layout.offsets[0]), int(layout.sizes[0])
    block = data[start : start + size]
    broken = {
        "cut": block[: size // 2],
        "garbled": bytes(255 - b for b in block),
        "empty": b"",
        "longer": block + block if codec is None else block[:5],
    }[harm]
    if harm == "garbled" and codec is None:
        return  # nothing tells wrong pixels from right ones where nothing is packed
    with pytest.raises(BadBytesError):
        unpacked(broken, layout, Scratch())


@pytest.mark.parametrize("predictor", [1, 2])
@given(st.data())
@settings(max_examples=40, deadline=None)
def test_parts_of_a_block_equal_the_whole(
    tmp_path_factory: pytest.TempPathFactory, predictor: int, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / f"parts{predictor}.tif"
    more: dict[str, Any] = {"compress": "deflate", "predictor": predictor}
    made = pixels("uint16")
    raw = path.read_bytes() if path.exists() else write(path, made, **more)
    layout = layout_of(reader(raw))
    packed = raw[int(layout.offsets[0]) : int(layout.offsets[0] + layout.sizes[0])]
    parts = []
    for _ in range(data.draw(st.integers(1, 4))):
        top, left = data.draw(st.integers(0, 31)), data.draw(st.integers(0, 47))
        bottom, right = data.draw(st.integers(top + 1, 32)), data.draw(st.integers(left + 1, 48))
        source = (slice(top, bottom), slice(left, right))
        goal = (slice(3, 3 + bottom - top), slice(2, 2 + right - left))
        parts.append(Part(source, np.zeros((40, 60), np.uint16), goal))
    unpack_into(packed, layout, Scratch(), parts)
    for part in parts:
        expected = np.zeros((40, 60), np.uint16)
        expected[part.goal] = made[:32, :48][part.source]
        np.testing.assert_array_equal(part.out, expected)
