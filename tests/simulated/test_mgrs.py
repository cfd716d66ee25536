"""Tiles as the products have them: names and corners of real ones."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from mapper.land.grid import LATTICE_TOP_M, Zone
from mapper.simulated.mgrs import MgrsTile, box_of, tiles_over


@pytest.mark.parametrize(
    ("name", "zone", "left_m", "top_m"),
    [
        ("32TNT", Zone(32, False), 499_980, 5_300_040),
        ("06VVN", Zone(6, False), 399_960, 6_800_040),
        ("28QCH", Zone(28, False), 300_000, 2_300_040),
        ("47XML", Zone(47, False), 399_960, 9_100_020),
        ("35MNM", Zone(35, True), 499_980, 9_200_020),
    ],
)
def test_tiles_have_the_names_and_corners_of_the_products(
    name: str, zone: Zone, left_m: int, top_m: int
) -> None:
    tile = MgrsTile(zone, round(left_m / 1e5), round(top_m / 1e5) - 1)
    assert tile.name == name
    region = tile.region
    assert (region.left * 10, LATTICE_TOP_M - region.top * 10) == (left_m, top_m)
    assert region.shape == (10_980, 10_980)


def test_neighbours_overlap_by_a_tenth() -> None:
    one, two = (MgrsTile(Zone(32, False), column, 52).region for column in (5, 6))
    shared = one.intersection(two)
    assert shared is not None and 970 <= shared.width <= 990


def test_every_point_of_a_zone_lies_in_a_tile() -> None:
    random = np.random.default_rng(4)
    for column, row in random.uniform((20_000, 100_000), (75_000, 900_000), (30, 2)):
        ground = shapely.box(column, row, column + 1, row + 1)
        tiles = tiles_over(Zone(33, False), ground)
        assert any(shapely.covers(box_of(tile.region), ground) for tile in tiles)
        assert 1 <= len(tiles) <= 4
