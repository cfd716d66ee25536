"""One pass gives the bits of numpy's, of whatever cut, and one bad value spoils one pixel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapper.imagery.bands import (
    OPTICAL_NAMES,
    RADAR_NAMES,
    NetworkInput,
    Normalisation,
    normalise,
    optical_valid,
    radar_valid,
)

RULES = {
    name: Normalisation(0.01 * i, 0.55 + 0.01 * i, 0.2 + 0.013 * i, 0.15 + 0.003 * i)
    for i, name in enumerate(OPTICAL_NAMES)
} | {name: Normalisation(-30.1, 5.2, -12.3, 4.1) for name in RADAR_NAMES}


def ground(
    seed: int, height: int, width: int
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32]]:
    """Pixels from end to end of what the formats hold, with holes of every kind."""
    rng = np.random.default_rng(seed)
    optical = rng.integers(0, 65536, (10, height, width)).astype(np.uint16)
    usual = rng.random(optical.shape) < 0.9
    optical[usual] = rng.integers(1, 9000, np.count_nonzero(usual))
    radar = rng.normal(-12, 12, (2, height, width)).astype(np.float32)
    bad = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 0], np.float32)
    hit = rng.random(radar.shape) < 0.1
    radar[hit] = rng.choice(bad, np.count_nonzero(hit))
    return optical, radar


def plainly(
    pixels: npt.NDArray[np.generic],
    scale: int,
    valid: npt.NDArray[np.bool_],
    names: tuple[str, ...],
) -> npt.NDArray[np.float32]:
    """The definition, in numpy's own operations on float32."""
    out = np.empty(pixels.shape, np.float32)
    for band, raw, name in zip(out, pixels, names, strict=True):
        low, high, mean, std = (
            np.float32(x)
            for x in (RULES[name].low, RULES[name].high, RULES[name].mean, RULES[name].std)
        )
        band[:] = (np.clip(raw.astype(np.float32) / np.float32(scale), low, high) - mean) / std
        band[~valid] = 0
    return out


def same_bits(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> bool:
    return bool(np.array_equal(one.view(np.int32), other.view(np.int32)))


def assert_is_definition(
    given_: NetworkInput, optical: npt.NDArray[np.uint16], radar: npt.NDArray[np.float32]
) -> None:
    seen, heard = np.all(optical != 0, axis=0), np.all(np.isfinite(radar), axis=0)
    assert np.array_equal(given_.optical_valid, seen)
    assert np.array_equal(given_.radar_valid, heard)
    assert same_bits(given_.optical, plainly(optical, 10_000, seen, OPTICAL_NAMES))
    assert same_bits(given_.radar, plainly(radar, 1, heard, RADAR_NAMES))


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 70))
@settings(max_examples=40, deadline=None)
def test_normalised_pixels_have_the_bits_of_numpy(seed: int, height: int, width: int) -> None:
    optical, radar = ground(seed, height, width)
    assert_is_definition(normalise(optical, radar, RULES), optical, radar)


CUTS = {
    "a window": (slice(3, 20), slice(7, 40)),
    "one pixel": (slice(5, 6), slice(9, 10)),
    "every second pixel": (slice(0, 20, 2), slice(1, 40, 2)),
    "upside down": (slice(20, 3, -1), slice(0, 40)),
    "mirrored": (slice(0, 20), slice(40, 3, -1)),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_a_view_is_its_pixels(cut: tuple[slice, slice]) -> None:
    optical, radar = (x[:, *cut] for x in ground(1, 50, 60))
    assert_is_definition(normalise(optical, radar, RULES), optical, radar)
    assert np.array_equal(optical_valid(optical), np.all(optical != 0, axis=0))
    assert np.array_equal(radar_valid(radar), np.all(np.isfinite(radar), axis=0))


def test_pixels_with_the_band_last_are_read_all_the_same() -> None:
    optical, radar = (np.moveaxis(np.moveaxis(x, 0, -1).copy(), -1, 0) for x in ground(2, 9, 11))
    assert_is_definition(normalise(optical, radar, RULES), optical, radar)


def test_memory_that_was_used_before_is_written_over_and_pixels_are_not_touched() -> None:
    used = NetworkInput.empty(20, 30)
    for plane in (used.optical, used.radar):
        plane[:] = np.nan
    used.optical_valid[:] = used.radar_valid[:] = True
    optical, radar = ground(3, 20, 30)
    before = optical.copy(), radar.copy()
    assert normalise(optical, radar, RULES, used) is used
    assert_is_definition(used, optical, radar)
    assert np.array_equal(optical, before[0])
    assert np.array_equal(radar, before[1], equal_nan=True)
