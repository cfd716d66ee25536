from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mapper.imagery.digits import baseline_of, number, optical_values, write_dn, write_power

OLD, NEW = date(2020, 4, 8), date(2023, 8, 15)
SHIFTED_BAND = {"raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": -0.1}]}


@pytest.mark.parametrize(
    ("properties", "asset", "day", "offset"),
    [
        ({"s2:processing_baseline": "04.00"}, {}, OLD, -1000),
        ({"s2:processing_baseline": "05.09"}, {}, NEW, -1000),
        ({"s2:processing_baseline": "10.00"}, {}, NEW, -1000),
        ({"s2:processing_baseline": "03.01"}, {}, NEW, 0),
        ({"s2:processing_baseline": "02.14"}, {}, OLD, 0),
        ({}, {}, OLD, 0),
        ({}, {}, NEW, -1000),
        ({"s2:processing_baseline": "05.09"}, SHIFTED_BAND, NEW, -1000),
        ({"s2:processing_baseline": "02.14"}, SHIFTED_BAND, OLD, -1000),
        ({"s2:processing_baseline": "05.09"}, {"raster:bands": [{"offset": 0}]}, NEW, 0),
        ({"s2:processing_baseline": "05.09"}, {"raster:bands": [{"nodata": 0}]}, NEW, -1000),
        ({"s2:processing_baseline": "05.09"}, {"raster:offset": -1000}, NEW, -1000),
        ({"s2:processing_baseline": "05.09"}, {"bands": [{"raster:offset": -0.1}]}, NEW, -1000),
        ({"earthsearch:boa_offset_applied": True}, SHIFTED_BAND, NEW, 0),
        (
            {"earthsearch:boa_offset_applied": True, "s2:processing_baseline": "05.09"},
            {},
            NEW,
            0,
        ),
        (
            {"earthsearch:boa_offset_applied": False, "s2:processing_baseline": "05.09"},
            {},
            NEW,
            -1000,
        ),
        ({"s2:processing_baseline": "unknown"}, {}, OLD, 0),
    ],
)
def test_the_offset_follows_the_first_evidence(
    properties: dict[str, Any], asset: dict[str, Any], day: date, offset: float
) -> None:
    assert optical_values(properties, asset, day, "an item") == (1.0, offset)


def test_the_name_of_a_product_states_its_baseline() -> None:
    name = "S2A_MSIL2A_20230815T095031_N0509_R079_T33TWL_20230815T155057.SAFE"
    assert baseline_of({}, name) == "05.09"
    assert baseline_of({}, "S2_small_chip") is None
    assert optical_values({}, {}, OLD, name) == (1.0, -1000.0)


def test_reflectance_in_files_becomes_digits() -> None:
    asset = {"raster:bands": [{"scale": 0.00005, "offset": 0}]}
    assert optical_values({}, asset, OLD, "") == (0.5, 0.0)


@pytest.mark.parametrize("value", ["nan", float("nan"), float("inf"), True, None, "0", [0]])
def test_what_is_no_number_is_none(value: object) -> None:
    assert number(value) is None


def written(raw: np.ndarray, linear: tuple[float, float]) -> np.ndarray:
    out = np.full(raw.shape, 7, np.uint16)
    write_dn(raw, linear, np.ones(raw.shape, np.bool_), out)
    return out


def test_data_never_becomes_nodata_and_nodata_never_becomes_data() -> None:
    raw = np.array([[0, 1, 999, 1000, 1001, 65535]], np.uint16)
    assert written(raw, (1, -1000)).tolist() == [[0, 1, 1, 1, 1, 64535]]
    assert written(raw, (1, 1000)).tolist() == [[0, 1001, 1999, 2000, 2001, 65535]]
    assert written(raw, (1, 0)).tolist() == raw.tolist()
    gaps = np.array([[np.nan, np.inf, 0, 0.1]], np.float32)
    assert written(gaps, (10_000, 0)).tolist() == [[0, 0, 0, 1000]]


def test_only_what_is_taken_is_written() -> None:
    out = np.full((1, 2), 7, np.uint16)
    raw = np.array([[2000, 2000]], np.uint16)
    write_dn(raw, (1, -1000), np.array([[True, False]]), out)
    assert out.tolist() == [[1000, 7]]


@given(hnp.arrays(np.uint16, (5, 7)), st.integers(-2000, 2000))
@settings(max_examples=60, deadline=None)
def test_integers_and_floats_agree(raw: np.ndarray, offset: int) -> None:
    fast = written(raw, (1.0, float(offset)))
    slow = written(raw.astype(np.float64), (1.0, float(offset)))
    np.testing.assert_array_equal(fast, slow)


def test_power_needs_both_bands_and_keeps_what_was_seen_first() -> None:
    vv = np.array([[0.1, 0.2, -32768, np.nan, 0.0, np.inf, 0.5]], np.float32)
    vh = np.array([[0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.0]], np.float32)
    seen = np.array([[True, False, False, False, False, False, False]])
    out = np.zeros((2, 1, 7), np.float32)
    write_power([vv, vh], [(1, 0), (1, 0)], seen, out)
    assert seen.tolist() == [[True, True, False, False, False, False, False]]
    np.testing.assert_array_equal(out[:, 0, 1], np.array([0.2, 0.02], np.float32))
    assert not out[:, 0, [0, 2, 3, 4, 5, 6]].any()
