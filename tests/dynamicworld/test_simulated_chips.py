"""Simulated chips: from a seed alone, kept away from the ground that weights are tested on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from mapper.dynamicworld.chips import SUFFIX, Chip, load_chip
from mapper.dynamicworld.learn import make_simulated_chips
from mapper.dynamicworld.simulated_chips import (
    TEST_BOXES,
    Box,
    _spot,
    chip_at,
    chip_name,
    simulated_chip,
    spot_at,
)
from mapper.imagery.bands import OPTICAL_NAMES
from mapper.simulated.landscape import landscape
from mapper.simulated.spectra import Places

SIDE = 64


def test_a_chip_follows_from_its_seed() -> None:
    one, two = (simulated_chip(7, chip_px=SIDE) for _ in range(2))
    for name in ("optical", "radar", "label"):
        assert np.array_equal(getattr(one, name), getattr(two, name), equal_nan=True)
    assert one.place == two.place != simulated_chip(8, chip_px=SIDE).place
    assert one.simulated and "simulated" in one.source


def test_chips_are_whole_and_varied() -> None:
    chips = [simulated_chip(seed, chip_px=SIDE) for seed in range(12)]
    for chip in chips:
        assert chip.optical.shape == (10, SIDE, SIDE) and chip.radar.shape == (2, SIDE, SIDE)
        assert (chip.label <= 8).all() and np.isfinite(chip.radar).all()
        seen = (chip.optical > 0).all(axis=0)
        assert np.array_equal(seen, (chip.optical > 0).any(axis=0))
    assert len({chip.optical_looks for chip in chips}) > 2
    assert len({chip.radar_looks for chip in chips}) > 2
    assert np.ptp([chip.lat for chip in chips]) > 40
    assert len({chip.period for chip in chips}) > 8


def test_some_chips_to_learn_from_are_of_other_ground_or_have_coarse_bands_repeated() -> None:
    def repeated(chip: Chip) -> bool:
        swir = chip.optical[OPTICAL_NAMES.index("B11")].astype(int)
        blocks = swir.reshape(SIDE // 2, 2, SIDE // 2, 2)
        seen = blocks.min(axis=(1, 3)) > 0
        return bool((np.ptp(blocks, axis=(1, 3)) == 0)[seen].mean() > 0.5)

    kinds = Counter[tuple[bool, bool]]()
    for seed in range(24):
        plain, varied = (simulated_chip(seed, chip_px=SIDE, varied=v) for v in (False, True))
        assert plain.place == varied.place and plain.period == varied.period
        assert not repeated(plain)
        exchanged = not np.array_equal(plain.label, varied.label)
        kinds[exchanged, repeated(varied)] += 1
        if not exchanged and not repeated(varied):
            assert np.array_equal(plain.optical, varied.optical)
    assert set(kinds) == set(product((False, True), repeat=2))


def test_chips_to_be_tried_on_are_as_they_come(tmp_path: Path) -> None:
    seeds = range(6)
    for places in Places:
        make_simulated_chips(tmp_path / places.value, seeds, places, chip_px=SIDE)
    labels = {
        (places, seed): load_chip(tmp_path / places.value / f"{chip_name(seed)}{SUFFIX}").label
        for places in Places
        for seed in seeds
    }
    plain = {seed: simulated_chip(seed, chip_px=SIDE).label for seed in seeds}
    assert all(np.array_equal(labels[Places.HELD_OUT, seed], plain[seed]) for seed in seeds)
    assert not all(np.array_equal(labels[Places.TRAINING, seed], plain[seed]) for seed in seeds)


def test_no_chip_comes_from_the_ground_that_is_tested_on() -> None:
    def inside(excluded: Sequence[Box]) -> int:
        random = np.random.default_rng(0)
        spots = [_spot(random, excluded, SIDE) for _ in range(1000)]
        boxes = product(spots, TEST_BOXES)
        return sum(w <= at.lon <= e and s <= at.lat <= n for at, (w, s, e, n) in boxes)

    assert inside(()) > 5 and inside(TEST_BOXES) == 0
    only_north = [simulated_chip(s, chip_px=8, excluded=[(-180, -90, 180, 0)]) for s in range(20)]
    assert min(chip.lat for chip in only_north) >= 0


@pytest.mark.parametrize("places", list(Places))
def test_labels_are_the_truth_of_the_place_whoever_paints_it(places: Places) -> None:
    spot = spot_at(9.52, 47.16, date(2024, 6, 1), SIDE)
    chip = chip_at(spot, 3, (3, 3), places)
    assert np.array_equal(chip.label, landscape(spot.region).truth)
    assert chip.lon == 9.52 and (chip.optical > 0).mean() > 0.4


def test_kept_apart_places_paint_other_pixels() -> None:
    spot = spot_at(9.52, 47.16, date(2024, 6, 1), SIDE)
    one, two = (chip_at(spot, 3, (3, 3), p) for p in (Places.TRAINING, Places.HELD_OUT))
    both = (one.optical[0] > 0) & (two.optical[0] > 0)
    assert np.abs(one.optical[:, both].astype(int) - two.optical[:, both]).mean() > 50
