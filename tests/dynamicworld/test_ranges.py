"""The ranges of a normalisation are those of the pixels, of all chips, in little memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_chips import noise_chip

from mapper.dynamicworld.ranges import SAMPLED_PIXELS, normalisation_of, sample_step
from mapper.errors import RequestError
from mapper.imagery.bands import OPTICAL_NAMES, RADAR_NAMES


def test_ranges_are_those_of_the_valid_pixels() -> None:
    chips = [noise_chip(seed) for seed in range(4)]
    for chip in chips:
        chip.optical[3, :5] = 0
        chip.radar[0, :, -3:] = np.nan
    found = normalisation_of(iter(chips), step=1)
    assert tuple(found) == (*OPTICAL_NAMES, *RADAR_NAMES)
    for number, name in enumerate(OPTICAL_NAMES):
        seen = np.concatenate([chip.optical[number, 5:].ravel() for chip in chips]) / 10_000
        low, high = np.percentile(seen, [1, 99])
        clipped = np.clip(seen, low, high)
        wanted = (low, high, clipped.mean(), clipped.std())
        one = found[name]
        assert (one.low, one.high, one.mean, one.std) == pytest.approx(wanted, abs=1e-5)
    heard = np.concatenate([chip.radar[1, :, :-3].ravel() for chip in chips])
    assert found["VH"].mean == pytest.approx(
        np.clip(heard, *np.percentile(heard, [1, 99])).mean(), abs=1e-4
    )


def test_a_sample_is_enough() -> None:
    chips = [noise_chip(seed, side=128) for seed in range(6)]
    all_of_them, some = normalisation_of(chips, step=1), normalisation_of(chips)
    for name, whole in all_of_them.items():
        assert abs(some[name].mean - whole.mean) < 0.05 * whole.std
        assert abs(some[name].high - whole.high) < 0.15 * whole.std


def test_a_band_that_is_the_same_everywhere_is_named() -> None:
    chip = noise_chip(0)
    chip.optical[3] = 1234
    with pytest.raises(RequestError, match=r"band B05 is 0\.1234 all over the chips"):
        normalisation_of([chip], step=1)


def test_a_sensor_that_saw_nothing_anywhere_is_named() -> None:
    chip = noise_chip(0)
    with pytest.raises(RequestError, match="no chip has a pixel with VV, VH"):
        normalisation_of([replace(chip, radar=np.full_like(chip.radar, np.nan))])
    with pytest.raises(RequestError, match="no chip has a pixel with B02"):
        normalisation_of([])


def test_all_columns_of_tiles_smaller_than_their_frame_are_sampled() -> None:
    chip = noise_chip(0, side=128)
    narrow = replace(
        chip,
        optical=np.ascontiguousarray(chip.optical[:, :, :102]),
        radar=np.ascontiguousarray(chip.radar[:, :, :102]),
        label=np.ascontiguousarray(chip.label[:, :102]),
    )
    narrow.radar[0, :, ::51] = 99  # 102 is twice 51: that step would meet no other columns
    assert normalisation_of([narrow], step=51)["VV"].low < 0


@given(chips=st.integers(1, 200_000), side=st.sampled_from([64, 224, 255, 510, 512, 37 * 14]))
def test_many_chips_are_sampled_more_thinly(chips: int, side: int) -> None:
    step = sample_step(chips, side)
    assert step >= 37
    assert chips * side * side / step <= SAMPLED_PIXELS
    assert sample_step(400, 512) == 37
