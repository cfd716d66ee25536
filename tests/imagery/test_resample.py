from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT

from mapper.imagery.resample import doubled_bilinear, doubled_nearest, spread

CORNER = Affine(20, 0, 399_960, 0, -20, 5_300_040)
digits = hnp.arrays(
    np.uint16,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=6),
    elements=st.one_of(st.just(0), st.integers(1, 9), st.integers(1, 65535)),
)


def warped(raw: np.ndarray, how: Resampling) -> np.ndarray:
    """The same by GDAL's warper."""
    height, width = raw.shape
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            height=height,
            width=width,
            count=1,
            dtype=raw.dtype,
            crs="EPSG:32632",
            transform=CORNER,
            nodata=0,
        ) as raster:
            raster.write(raw, 1)
        with (
            memory.open() as raster,
            WarpedVRT(
                raster,
                crs="EPSG:32632",
                transform=Affine(10, 0, 399_960, 0, -10, 5_300_040),
                width=2 * width,
                height=2 * height,
                resampling=how,
                src_nodata=0,
                nodata=0,
            ) as vrt,
        ):
            return vrt.read(1)


def exact(raw: np.ndarray) -> list[list[Fraction]]:
    """Bilinear values as fractions, by the definition: distances between centres, nodata left out.

    A pixel whose own 20 m pixel has no data is 0.
    """
    height, width = raw.shape
    rows = []
    for y in range(2 * height):
        row = []
        for x in range(2 * width):
            weighted, weights = Fraction(0), Fraction(0)
            centre = (Fraction(2 * y + 1, 4), Fraction(2 * x + 1, 4))
            for i in range(max(y // 2 - 1, 0), min(y // 2 + 2, height)):
                for j in range(max(x // 2 - 1, 0), min(x // 2 + 2, width)):
                    away = [
                        abs(c - k - Fraction(1, 2)) for c, k in zip(centre, (i, j), strict=True)
                    ]
                    weight = max(1 - away[0], Fraction(0)) * max(1 - away[1], Fraction(0))
                    if raw[i, j]:
                        weighted += weight * int(raw[i, j])
                        weights += weight
            row.append(weighted / weights if raw[y // 2, x // 2] else Fraction(0))
        rows.append(row)
    return rows


@given(digits)
@settings(max_examples=60, deadline=None)
def test_bilinear_equals_its_definition_and_gdals_warper(raw: np.ndarray) -> None:
    height, width = raw.shape
    ours = doubled_bilinear(np.pad(raw, 1), (0, 0), (2 * height, 2 * width))
    values = exact(raw)
    half = Fraction(1, 2)
    np.testing.assert_array_equal(ours, [[int(value + half) for value in row] for row in values])
    # GDAL divides in floating point, so that an exact half may fall to either side there.
    tie = np.array([[value.denominator == 2 for value in row] for row in values])
    gdal = warped(raw, Resampling.bilinear)
    np.testing.assert_array_equal(ours[~tie], gdal[~tie])
    assert (np.abs(ours[tie].astype(int) - gdal[tie]) <= 1).all()


def test_bilinear_equals_gdals_warper_on_every_pixel_of_a_large_raster() -> None:
    random = np.random.default_rng(0)
    raw = random.integers(1, 9000, (300, 260)).astype(np.uint16)
    ours = doubled_bilinear(np.pad(raw, 1), (0, 0), (600, 520))
    inner = (slice(2, -2), slice(2, -2))
    np.testing.assert_array_equal(ours[inner], warped(raw, Resampling.bilinear)[inner])


@given(hnp.arrays(np.uint8, (5, 7), elements=st.integers(0, 11)))
@settings(max_examples=30, deadline=None)
def test_nearest_equals_gdals_warper(raw: np.ndarray) -> None:
    ours = doubled_nearest(np.pad(raw, 1), (0, 0), (10, 14))
    np.testing.assert_array_equal(ours, warped(raw, Resampling.nearest))


@given(digits, st.data())
@settings(max_examples=100, deadline=None)
def test_any_cut_gives_the_same_pixels(raw: np.ndarray, data: st.DataObject) -> None:
    height, width = (2 * n for n in raw.shape)
    whole = doubled_bilinear(np.pad(raw, 1), (0, 0), (height, width))
    top = data.draw(st.integers(0, height - 1))
    left = data.draw(st.integers(0, width - 1))
    bottom = data.draw(st.integers(top + 1, height))
    right = data.draw(st.integers(left + 1, width))
    rows = slice(top // 2, (bottom - 1) // 2 + 3)
    columns = slice(left // 2, (right - 1) // 2 + 3)
    part = doubled_bilinear(
        np.pad(raw, 1)[rows, columns], (top % 2, left % 2), (bottom - top, right - left)
    )
    np.testing.assert_array_equal(part, whole[top:bottom, left:right])


def test_the_kernel_refuses_a_margin_that_is_missing() -> None:
    with pytest.raises(AssertionError, match="do not fit"):
        doubled_bilinear(np.ones((4, 4), np.uint16), (0, 0), (8, 8))


@given(
    hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, min_side=9, max_side=20)),
    st.integers(0, 4),
)
@settings(max_examples=100, deadline=None)
def test_spreading_equals_a_slow_search(mask: np.ndarray, radius: int) -> None:
    height, width = (n - 2 * radius for n in mask.shape)
    slow = np.zeros((height, width), np.bool_)
    for y in range(height):
        for x in range(width):
            slow[y, x] = mask[y : y + 2 * radius + 1, x : x + 2 * radius + 1].any()
    np.testing.assert_array_equal(spread(mask, radius), slow)
