from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mapper.imagery.bands import Sensor
from mapper.imagery.composite import (
    Stack,
    added,
    blank,
    compose,
    mean_of,
    median_of,
    no_power,
    sorting_network,
)
from mapper.land.grid import Region, Zone

REGION = Region(Zone(32, False), 0, 0, 5, 4)


@pytest.mark.parametrize("size", range(13))
def test_the_network_sorts_every_row_of_zeros_and_ones(size: int) -> None:
    """By the 0-1 principle (Knuth 5.3.4) it then sorts everything."""
    for bits in itertools.product((0, 1), repeat=size):
        row = list(bits)
        for low, high in sorting_network(size):
            row[low], row[high] = sorted((row[low], row[high]))
        assert row == sorted(bits)


def slow_median(pixels: np.ndarray, valid: np.ndarray) -> np.ndarray:
    hidden = np.where(valid[:, None], pixels.astype(np.float64), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nan_to_num(np.floor(np.nanmedian(hidden, axis=0) + 0.5)).astype(np.uint16)


@given(st.integers(1, 14), st.data())
@settings(max_examples=60, deadline=None)
def test_the_median_equals_numpys(looks: int, data: st.DataObject) -> None:
    shape = (looks, 2, 4, 5)
    pixels = data.draw(hnp.arrays(np.uint16, shape, elements=st.integers(1, 65535)))
    valid = data.draw(hnp.arrays(np.bool_, (looks, 4, 5)))
    median, count = median_of(Stack(REGION, Sensor.OPTICAL, pixels, valid))
    np.testing.assert_array_equal(median, slow_median(pixels, valid))
    np.testing.assert_array_equal(count, valid.sum(axis=0))


def test_a_year_of_looks() -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(1, 10_000, (53, 1, 4, 5), dtype=np.uint16)
    valid = random.random((53, 4, 5)) > 0.4
    median, _ = median_of(Stack(REGION, Sensor.OPTICAL, pixels, valid))
    np.testing.assert_array_equal(median, slow_median(pixels, valid))


def test_no_look_is_nodata() -> None:
    nothing = Stack(
        REGION, Sensor.OPTICAL, np.zeros((0, 10, 4, 5), np.uint16), np.zeros((0, 4, 5), np.bool_)
    )
    median, count = median_of(nothing)
    assert not median.any()
    assert not count.any()


def test_halves_are_rounded_up_and_the_largest_digit_survives() -> None:
    pixels = np.array([1, 2, 65535, 65535], np.uint16).reshape(2, 2, 1, 1).copy()
    pixels[:, 0, 0, 0], pixels[:, 1, 0, 0] = (1, 2), (65535, 65535)
    region = Region(Zone(32, False), 0, 0, 1, 1)
    median, _ = median_of(Stack(region, Sensor.OPTICAL, pixels, np.ones((2, 1, 1), np.bool_)))
    assert median.ravel().tolist() == [2, 65535]


def radar(looks: int, seed: int = 0) -> Stack:
    random = np.random.default_rng(seed)
    pixels = random.gamma(4.4, 0.02, (looks, 2, 4, 5)).astype(np.float32)
    return Stack(REGION, Sensor.RADAR, pixels, random.random((looks, 4, 5)) > 0.3)


def test_radar_is_averaged_as_power_not_as_decibels() -> None:
    stack = radar(9)
    decibel, count = mean_of(added(no_power(REGION), stack))
    hidden = np.where(stack.valid[:, None], stack.pixels.astype(np.float64), np.nan)
    np.testing.assert_allclose(decibel, 10 * np.log10(np.nanmean(hidden, axis=0)), atol=1e-5)
    np.testing.assert_array_equal(count, stack.valid.sum(axis=0))
    assert (decibel > np.nanmean(10 * np.log10(hidden), axis=0)).mean() > 0.9


def test_the_last_bit_does_not_depend_on_how_many_looks_are_added_at_a_time() -> None:
    stack = radar(11)
    at_once, _ = mean_of(added(no_power(REGION), stack))
    power = no_power(REGION)
    for start in range(0, 11, 3):
        part = slice(start, start + 3)
        power = added(power, Stack(REGION, Sensor.RADAR, stack.pixels[part], stack.valid[part]))
    np.testing.assert_array_equal(mean_of(power)[0], at_once)


def test_counts_stop_at_255() -> None:
    stack = Stack(
        REGION,
        Sensor.RADAR,
        np.ones((300, 2, 4, 5), np.float32),
        np.ones((300, 4, 5), np.bool_),
    )
    decibel, count = mean_of(added(no_power(REGION), stack))
    assert (count == 255).all()
    np.testing.assert_array_equal(decibel, np.zeros((2, 4, 5), np.float32))


def test_a_composite_of_both() -> None:
    optical = Stack(
        REGION,
        Sensor.OPTICAL,
        np.full((3, 10, 4, 5), 500, np.uint16),
        np.zeros((3, 4, 5), np.bool_),
    )
    made = compose(optical, radar(1))
    assert not made.optical.any()
    assert made.optical.shape == (10, 4, 5)
    np.testing.assert_array_equal(np.isnan(made.radar[0]), made.radar_looks == 0)
    assert made.radar.dtype == np.float32


def test_a_blank_composite_has_seen_nothing() -> None:
    nothing = blank(REGION)
    assert np.isnan(nothing.radar).all()
    assert not nothing.optical.any()
    assert not nothing.optical_looks.any()
    assert not nothing.radar_looks.any()
