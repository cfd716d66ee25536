"""The ground: a function of place alone, with every class, in pieces that can be mapped."""

from __future__ import annotations

import numpy as np
import pytest
from ground_samples import EQUATOR, FIJI, PLAIN, VALLEY, overlapping, region_at

from mapper.land.grid import Region, Zone
from mapper.simulated.cover import CROPS, GRASS
from mapper.simulated.ground import ground
from mapper.simulated.landscape import FIELD, landscape


@pytest.mark.parametrize("region", [VALLEY, PLAIN, FIJI, EQUATOR])
def test_overlapping_regions_agree_on_every_pixel(region: Region) -> None:
    other, mine, theirs = overlapping(region, 22, 30)
    one, two = landscape(region), landscape(other)
    for name in ("truth", "unit", "province"):
        assert np.array_equal(getattr(one, name)[mine], getattr(two, name)[theirs]), name
    for name in ("elevation_m", "slope", "river_m"):
        assert np.array_equal(
            getattr(one.terrain, name)[mine], getattr(two.terrain, name)[theirs]
        ), name


def test_the_same_ground_is_the_same_from_the_next_zone() -> None:
    here, beyond = ground(region_at(5.999, 50.0, 32)), ground(region_at(6.001, 50.0, 32))
    assert (here.region.zone.number, beyond.region.zone.number) == (31, 32)
    away = np.hypot(np.hypot(here.x - beyond.x, here.y - beyond.y), here.z - beyond.z)
    assert away.max() < 400
    assert abs(here.slow - beyond.slow).max() < 0.05 * abs(here.slow).max()


def test_large_countries_have_all_nine_classes() -> None:
    """Alps, lowland, delta and desert: every class turns up in a few dozen small samples."""
    found = np.zeros(9, np.int64)
    random = np.random.default_rng(3)
    for _ in range(60):
        lon, lat = random.uniform(9.6, 16.5), random.uniform(46.6, 48.8)
        truth = landscape(region_at(lon, lat, 48)).truth
        found += np.bincount(truth.ravel(), minlength=9)
    for lon, lat in ((7.9, 46.5), (7.7, 46.0), (10.4, 46.5)):
        found += np.bincount(landscape(region_at(lon, lat, 96)).truth.ravel(), minlength=9)
    assert (found > 0).all(), found


def test_lowlands_till_most_of_their_farmland_and_provinces_differ() -> None:
    """As the European Union does: a third is meadow, hardly any in one region, most in the next."""
    random = np.random.default_rng(5)
    crops = []
    for _ in range(60):
        ground = landscape(region_at(random.uniform(0.0, 16.0), random.uniform(48.0, 52.0), 64))
        fields = (ground.unit >= FIELD) & np.isin(ground.truth, (CROPS, GRASS))
        if fields.mean() > 0.3:
            crops.append((ground.truth[fields] == CROPS).mean())
    low, high = np.percentile(crops, [10, 90])
    assert 0.55 < np.mean(crops) < 0.8 and low < 0.5 and high > 0.95


def test_single_pixels_of_a_class_are_rare() -> None:
    truth = landscape(region_at(6.1, 49.7, 128)).truth
    alone = np.ones((126, 126), np.bool_)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            if (down, right) != (0, 0):
                beside = truth[1 + down : 127 + down, 1 + right : 127 + right]
                alone &= beside != truth[1:-1, 1:-1]
    assert alone.mean() < 0.002


def test_relief_follows_the_map_of_the_world() -> None:
    alps, plain = landscape(VALLEY), landscape(PLAIN)
    assert np.ptp(alps.terrain.elevation_m) > 100 > np.ptp(plain.terrain.elevation_m)
    assert landscape(region_at(25.0, 24.0, 32)).truth.tolist() == [[7] * 32] * 32


def test_a_region_may_lie_anywhere_in_utm() -> None:
    for region in (Region(Zone(31, False), 20_000, 1_000_000, 8, 8), region_at(-179.99, 70, 8)):
        made = landscape(region)
        assert np.isfinite(made.terrain.elevation_m).all()
        assert (made.truth <= 8).all()
