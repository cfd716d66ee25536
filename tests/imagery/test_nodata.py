"""Claims about what is no data: whoever states it, and however, no pixel of it is ever seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from small_archive import SmallArchive, region_at, smooth

from mapper.imagery.archives import archive
from mapper.imagery.bands import OPTICAL_NAMES, RADAR_NAMES
from mapper.imagery.clouds import SCL_CLEAR
from mapper.imagery.composite import Composite
from mapper.imagery.digits import nodata_in
from mapper.imagery.load import read_composite
from mapper.imagery.period import Period
from mapper.imagery.scenes import looks_of
from mapper.imagery.search import search
from mapper.land.grid import Region, Zone

ZONE = Zone(32, False)
CORNER_M = (399_960, 5_300_040)
SIDE_PX = 64
WIDE = region_at((CORNER_M[0] - 200, CORNER_M[1] + 200), (104, 104))
"""Twenty pixels more than a scene on every side."""
INSIDE = (slice(20, 84), slice(20, 84))
GAP = (slice(30, 40), slice(36, 60))
"""Pixels of WIDE without data."""


def holed(_: str, shape: tuple[int, int]) -> np.ndarray:
    """Digits with a gap, which is GAP whatever their resolution."""
    made = smooth(shape, shape[0], 1500, 6000)
    factor = SIDE_PX // shape[0]
    made[10 // factor : 20 // factor, 16 // factor : 40 // factor] = 0
    return made


def holed_power(name: str, shape: tuple[int, int]) -> np.ndarray:
    return np.where(holed(name, shape) == 0, 0, smooth(shape, 5, 0.01, 0.4))


def rewrite(path: Path, nodata: float | None, dtype: str, gap: float, **more: Any) -> None:
    """The raster with other numbers in place of its zeros, and another word on them."""
    with rasterio.open(path) as source:
        pixels, profile = source.read(1), source.profile
    path.unlink()
    profile |= {"dtype": dtype, "nodata": nodata, **more}
    with rasterio.open(path, "w", **profile) as target:
        made = pixels.astype(dtype)
        made[pixels == 0] = gap
        target.write(made, 1)


def change(
    small: SmallArchive,
    names: Sequence[str],
    *,
    in_file: float | None,
    in_item: float | None = None,
    dtype: str,
    gap: float,
    **more: Any,
) -> None:
    """Have the assets of all scenes say otherwise what is no data."""
    for item in small.items:
        for name, asset in item["assets"].items():
            if name.upper() in names:
                rewrite(small.folder / asset["href"], in_file, dtype, gap, **more)
                asset["raster:bands"] = [] if in_item is None else [{"nodata": in_item}]


def composed(small: SmallArchive, region: Region = WIDE, **more: Any) -> Composite:
    found = search(
        archive(str(small.index())), shapely.box(-20, 40, 30, 60), Period.parse("2024-06")
    )
    return read_composite(looks_of(found, ZONE), region, cloud_dilation_px=0, **more)


def same(one: Composite, other: Composite) -> None:
    np.testing.assert_array_equal(one.optical_looks, other.optical_looks)
    np.testing.assert_array_equal(one.optical, other.optical)
    np.testing.assert_array_equal(one.radar_looks, other.radar_looks)
    np.testing.assert_array_equal(one.radar, other.radar)


DIGITS = [
    ("uint16", 65_535, None),
    ("uint16", 65_535, 65_535),
    ("uint16", None, 65_535),
    ("uint16", None, None),  # 0
    ("uint16", 0, -9999),  # which no such number is
    ("int16", -9999, None),
    ("int16", None, -9999),
    ("float32", float("nan"), None),
    ("float32", float("nan"), 0),
    ("float32", -9999, None),
]
"""Type of the digits, and what file and item say."""


class AllIsClear:
    """A judge that asks for bands."""

    name = "clear"
    bands = OPTICAL_NAMES[:2]
    margin_px = 1

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        return np.full(pixels.shape[1:], SCL_CLEAR, np.uint8)


@pytest.mark.parametrize(("dtype", "in_file", "in_item"), DIGITS)
@pytest.mark.parametrize("judge", [None, AllIsClear()])
def test_digits_without_data_are_not_seen(
    small_archive: SmallArchive,
    dtype: str,
    in_file: float | None,
    in_item: float | None,
    judge: AllIsClear | None,
) -> None:
    small_archive.optical(
        "s", "2024-06-01T10:00:00Z", size_px=SIDE_PX, digits=holed, with_scl=False
    )
    stated = next((v for v in (in_item, in_file) if v is not None), 0.0)
    gap = 0.0 if stated == -9999 and dtype == "uint16" else stated
    before = composed(small_archive, cloud_mask=judge)
    change(small_archive, OPTICAL_NAMES, in_file=in_file, in_item=in_item, dtype=dtype, gap=gap)
    made = composed(small_archive, cloud_mask=judge)
    expected = np.zeros(WIDE.shape)
    expected[INSIDE] = 1
    expected[GAP] = 0
    np.testing.assert_array_equal(made.optical_looks, expected)
    if dtype == "uint16":  # others are interpolated as fractions
        same(made, before)


@pytest.mark.parametrize("beyond", ["nothing", "in the file", "stated by the item"])
def test_classes_without_data_claim_nothing(small_archive: SmallArchive, beyond: str) -> None:
    """Two scenes of one overpass overlap; the first has no data in the west, and ends early."""
    classes = np.full((SIDE_PX // 2, SIDE_PX // 2), 4, np.uint8)
    classes[:, :10] = 0
    place = {"size_px": SIDE_PX, "scl": classes}
    small_archive.optical("a", "2024-06-01T10:00:00Z", tile="32TLT", **place)
    if beyond == "in the file":
        change(small_archive, ["SCL"], in_file=255, dtype="uint8", gap=255)
    elif beyond == "stated by the item":
        change(small_archive, ["SCL"], in_file=None, in_item=255, dtype="uint8", gap=255)
    small_archive.optical(
        "b",
        "2024-06-01T10:00:20Z",
        tile="32TMT",
        corner_m=(CORNER_M[0] - 200, CORNER_M[1] + 200),
        size_px=104,
    )
    made = composed(small_archive)
    np.testing.assert_array_equal(made.optical_looks, np.ones(WIDE.shape))


POWER = [
    ("float32", 9999, None),
    ("float32", None, 9999),
    ("float32", None, 3.4028235e38),
    ("float32", 3.4e38, None),
    ("float32", -32_768, 9999),
    ("float32", float("nan"), None),
    ("float32", None, None),  # 0
    ("float64", 9999, None),
    ("float64", None, 3.4e38),
    ("float64", None, 1e300),
]


@pytest.mark.parametrize(("dtype", "in_file", "in_item"), POWER)
@pytest.mark.parametrize("shift_m", [0, 5])
def test_power_without_data_is_not_seen(
    small_archive: SmallArchive,
    dtype: str,
    in_file: float | None,
    in_item: float | None,
    shift_m: int,
) -> None:
    corner = (CORNER_M[0] + shift_m, CORNER_M[1])
    small_archive.radar(
        "r", "2024-06-01T05:00:00Z", size_px=SIDE_PX, corner_m=corner, power=holed_power
    )
    gap = next((v for v in (in_item, in_file) if v is not None), 0.0)
    change(
        small_archive,
        RADAR_NAMES,
        in_file=in_file,
        in_item=in_item,
        dtype=dtype,
        gap=gap,
    )
    made = composed(small_archive)
    seen = made.radar_looks == 1
    assert not seen[:20].any()
    assert not seen[GAP][1:-1, 1:-1].any()
    assert seen[60:80, 30:80].all()
    assert made.radar[:, seen].max() < 0, "power is 0.4 at most"
    assert np.isnan(made.radar[:, ~seen]).all()


def test_a_number_is_asked_only_what_it_can_say() -> None:
    assert nodata_in("uint16", None, None) == 0
    assert nodata_in("uint16", None, 65_535) == 65_535
    assert nodata_in("uint16", 7, 65_535) == 7
    assert nodata_in("uint8", 65_535, 255) == 255
    assert nodata_in("uint16", float("nan"), 0.5) == 0
    assert nodata_in("int16", -9999, None) == -9999
    assert np.isnan(nodata_in("float32", float("nan"), 0))
    assert nodata_in("float32", 3.4e38, None) == np.float32(3.4e38)
    assert nodata_in("float32", 1e300, None) == np.inf
