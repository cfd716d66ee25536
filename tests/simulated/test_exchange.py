"""Ground on which classes have changed places: fields and stands change as wholes, water stays."""

from __future__ import annotations

import numpy as np
import pytest
from ground_samples import FARMLAND, PLAIN, VALLEY

from mapper.land.grid import Region
from mapper.simulated.cover import BARE, BUILT, SNOW, WATER
from mapper.simulated.exchange import exchange
from mapper.simulated.landscape import FIELD, landscape

SEEDS = range(12)


def test_it_follows_from_its_seed() -> None:
    ground = landscape(FARMLAND)
    assert np.array_equal(exchange(3, ground).truth, exchange(3, ground).truth)
    assert len({exchange(seed, ground).truth.tobytes() for seed in SEEDS}) == len(SEEDS)


@pytest.mark.parametrize("region", [VALLEY, PLAIN, FARMLAND])
def test_water_snow_and_roads_stay_and_no_field_becomes_bare(region: Region) -> None:
    ground = landscape(region)
    fields = ground.unit >= FIELD
    stays = np.isin(ground.truth, (WATER, SNOW)) | ((ground.truth == BUILT) & ~fields)
    for seed in SEEDS:
        changed = exchange(seed, ground)
        moved = changed.truth != ground.truth
        assert not moved[stays].any()
        assert not (moved & fields & (changed.truth == BARE)).any()
        assert changed.truth.dtype == np.uint8 and changed.unit is ground.unit


def test_fields_change_as_wholes() -> None:
    ground = landscape(FARMLAND)
    shares = []
    for seed in SEEDS:
        changed = exchange(seed, ground)
        moved = changed.truth != ground.truth
        units = np.unique(ground.unit[moved])
        assert all(len(set(changed.truth[moved & (ground.unit == unit)])) == 1 for unit in units)
        shares.append(moved.mean())
    assert min(shares) < 0.35 and max(shares) > 0.5
