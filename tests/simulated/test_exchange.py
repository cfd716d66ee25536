"""Ground changed to learn from: whole fields and stands change, marshes dry up, snow lies."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from ground_samples import FARMLAND, PLAIN, VALLEY, overlapping, region_at

from mapper.land.grid import Region
from mapper.simulated.cover import (
    BARE,
    BUILT,
    CROPS,
    FLOODED,
    GRASS,
    SHRUB,
    SNOW,
    TREES,
    WATER,
)
from mapper.simulated.exchange import drain, exchange, snowfall
from mapper.simulated.landscape import FIELD, Landscape, landscape

SEEDS = range(12)
SUMMIT = region_at(7.87, 45.94, 96)
MARSH = region_at(24.0, 61.0, 128)


def test_it_follows_from_its_seed() -> None:
    ground = landscape(FARMLAND)
    assert np.array_equal(exchange(3, ground).truth, exchange(3, ground).truth)
    assert len({exchange(seed, ground).truth.tobytes() for seed in SEEDS}) == len(SEEDS)


@pytest.mark.parametrize("change", [exchange, drain, snowfall])
def test_overlapping_regions_agree(change: Callable[[int, Landscape], Landscape]) -> None:
    other, mine, theirs = overlapping(FARMLAND, 30, 22)
    for seed in SEEDS:
        one, two = (change(seed, landscape(region)) for region in (FARMLAND, other))
        assert np.array_equal(one.truth[mine], two.truth[theirs])
        assert np.array_equal(one.unit[mine], two.unit[theirs])


@pytest.mark.parametrize(
    ("region", "cover"), [(FARMLAND, WATER), (SUMMIT, SNOW), (FARMLAND, BUILT)]
)
def test_water_snow_and_roads_stay(region: Region, cover: int) -> None:
    ground = landscape(region)
    stays = (ground.truth == cover) & (ground.unit < FIELD)
    assert stays.sum() > 50
    for seed in SEEDS:
        changed = exchange(seed, ground)
        assert (changed.truth[stays] == cover).all()
        assert changed.truth.dtype == np.uint8 and changed.unit.dtype == np.uint32


def test_no_field_becomes_bare_and_built_ground_is_blocks() -> None:
    for region, seed in product((VALLEY, PLAIN, FARMLAND), SEEDS):
        ground = landscape(region)
        changed = exchange(seed, ground)
        moved = changed.truth != ground.truth
        assert not (moved & (ground.unit >= FIELD) & (changed.truth == BARE)).any()
        assert (changed.unit[moved & (changed.truth == BUILT)] >= FIELD).all()


def test_fields_change_as_wholes() -> None:
    ground = landscape(FARMLAND)
    shares = []
    for seed in SEEDS:
        changed = exchange(seed, ground)
        moved = changed.truth != ground.truth
        fields = ground.unit >= FIELD
        before, after = ground.truth[fields], changed.truth[fields]
        found = np.unique(np.stack([ground.unit[fields], before, after]), axis=1)
        # Of the pixels of one field and class all go to one class, or stay.
        assert len(np.unique(found[:2], axis=1).T) == len(found.T)
        shares.append(moved.mean())
    assert min(shares) < 0.35 and max(shares) > 0.5


def test_drained_ground_has_no_flooded_vegetation_and_else_stays() -> None:
    ground = landscape(MARSH)
    wet = ground.truth == FLOODED
    assert wet.mean() > 0.1
    grown = set()
    for seed in range(60):
        changed = drain(seed, ground)
        assert np.array_equal(changed.truth == ground.truth, ~wet)
        assert changed.truth.dtype == np.uint8
        grown |= set(changed.truth[wet].tolist())
    assert grown == {TREES, GRASS, CROPS, SHRUB}


@pytest.mark.parametrize("region", [FARMLAND, VALLEY, PLAIN])
def test_no_ground_becomes_flooded(region: Region) -> None:
    ground = landscape(region)
    for seed in range(60):
        assert not ((exchange(seed, ground).truth == FLOODED) & (ground.truth != FLOODED)).any()


def test_snow_lies_on_open_ground_and_woods_and_towns_stand_out_of_it() -> None:
    ground = landscape(FARMLAND)
    shares, frozen, alike = [], set(), set()
    for seed in SEEDS:
        changed = snowfall(seed, ground)
        moved = changed.truth != ground.truth
        assert (changed.truth[moved] == SNOW).all()
        assert changed.truth.dtype == np.uint8 and changed.unit.dtype == np.uint32
        assert not moved[np.isin(ground.truth, (TREES, BUILT))].any()
        water = ground.truth == WATER
        assert np.ptp(moved[water].astype(int)) == 0
        frozen.add(bool(moved[water].any()))
        shares.append(moved[~np.isin(ground.truth, (TREES, BUILT, WATER))].mean())
        alike.add(len(np.unique(changed.unit[moved & ~water])) <= len(np.unique(ground.province)))
    assert min(shares) > 0.5 and max(shares) == 1
    assert frozen == alike == {False, True}
