"""Simulated chips: from a seed alone, kept away from the ground that weights are tested on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from mapper.dynamicworld.chips import SUFFIX, Chip, load_chip
from mapper.dynamicworld.learn import make_simulated_chips
from mapper.dynamicworld.simulated_chips import (
    AS_IT_IS,
    TEST_BOXES,
    Box,
    Variation,
    _in_cold_winter,
    _spot,
    _variation,
    chip_at,
    chip_name,
    simulated_chip,
    spot_at,
)
from mapper.imagery.bands import OPTICAL_NAMES
from mapper.simulated.cover import SNOW
from mapper.simulated.exchange import drain, exchange, snowfall
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


def test_chips_to_learn_from_have_every_variation_and_snow_only_in_cold_winters() -> None:
    winter, summer = (spot_at(5.5, 52.2, date(2024, month, 1), SIDE) for month in (1, 6))
    random = np.random.default_rng(0)
    drawn = [_variation(random, seed, winter) for seed in range(200)]
    changes = Counter(change.func for variation in drawn for change in variation.ground)
    assert 20 < changes[exchange] < 80 < changes[drain] < 120
    assert 70 < sum(variation.repeated for variation in drawn) < 130
    assert 30 < sum(variation.single_look for variation in drawn) < 90
    snow = [change.func for variation in drawn for change in variation.snow]
    assert set(snow) == {snowfall} and 100 < len(snow) < 200
    assert not any(_variation(random, seed, summer).snow for seed in range(200))


def test_a_varied_chip_is_of_the_same_place_and_differs_as_its_variation_says() -> None:
    def repeated(chip: Chip) -> bool:
        swir = chip.optical[OPTICAL_NAMES.index("B11")].astype(int)
        blocks = swir.reshape(SIDE // 2, 2, SIDE // 2, 2)
        seen = blocks.min(axis=(1, 3)) > 0
        return bool((np.ptp(blocks, axis=(1, 3)) == 0)[seen].mean() > 0.5)

    def looks(chip: Chip) -> tuple[int, int]:
        return chip.optical_looks, chip.radar_looks

    kinds = Counter[tuple[bool, bool]]()
    for seed in range(24):
        plain, varied = (simulated_chip(seed, chip_px=SIDE, varied=v) for v in (False, True))
        assert plain.place == varied.place and plain.period == varied.period
        assert not repeated(plain)
        changed = not np.array_equal(plain.label, varied.label)
        kinds[changed, repeated(varied)] += 1
        if looks(varied) != looks(plain):
            assert varied.radar_looks == 1
        elif not changed and not repeated(varied):
            assert np.array_equal(plain.optical, varied.optical)
    assert set(kinds) == set(product((False, True), repeat=2))


def test_one_look_is_one_where_no_cloud_asks_for_more() -> None:
    spot = spot_at(9.52, 47.16, date(2024, 6, 1), SIDE)
    single = Variation(single_look=True)
    chips = [chip_at(spot, seed, (3, 3), Places.TRAINING, single) for seed in range(6)]
    assert all(chip.radar_looks == 1 for chip in chips)
    assert any(chip.optical_looks == 1 for chip in chips)


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


def test_radar_sees_through_snow() -> None:
    spot = spot_at(5.5, 52.2, date(2024, 1, 1), SIDE)
    snow = Variation(snow=(partial(snowfall, 1),))
    bare, snowy = (
        chip_at(spot, 3, (2, 2), Places.TRAINING, variation) for variation in (AS_IT_IS, snow)
    )
    assert np.array_equal(bare.radar, snowy.radar)
    covered = (snowy.label == SNOW) & (bare.label != SNOW) & (snowy.optical[0] > 0)
    assert covered.mean() > 0.3
    blue, short_wave = (OPTICAL_NAMES.index(band) for band in ("B02", "B11"))
    assert np.median(snowy.optical[blue][covered]) > 2 * np.median(bare.optical[blue][covered])
    assert np.median(snowy.optical[short_wave][covered]) < np.median(snowy.optical[blue][covered])


def test_snow_lies_in_cold_winters_only() -> None:
    for lon, lat, month, cold in (
        (5.5, 52.2, 12, True),
        (5.5, 52.2, 6, False),
        (-72.0, -51.0, 6, True),
        (-72.0, -51.0, 12, False),
        (10.0, 36.0, 12, False),
    ):
        assert _in_cold_winter(spot_at(lon, lat, date(2024, month, 1), SIDE)) == cold


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
