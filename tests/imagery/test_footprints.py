from __future__ import annotations

import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from mapper.imagery.footprints import grid_outline, split_at_180, widened


def test_an_outline_with_a_spike_becomes_the_polygon_without_it() -> None:
    """A scene list declares polygons, and a GIS reads a layer of them."""
    spike = shapely.Polygon([(0, 0), (1, 0), (1, 1), (1, 3), (1, 1), (0, 1)])
    assert not spike.is_valid
    assert split_at_180(spike).equals_exact(shapely.box(0, 0, 1, 1), 0, normalize=True)


def test_a_ring_that_jumps_at_180_degrees_is_split_there() -> None:
    ring = shapely.Polygon([(179, -17), (-179, -17), (-179, -16), (179, -16)])
    split = split_at_180(ring)
    assert split.area == pytest.approx(2.0)
    assert split.bounds == (-180, -17, 180, -16)
    assert split.intersects(shapely.Point(179.5, -16.5))
    assert not split.intersects(shapely.Point(0, -16.5))


def test_a_ring_beyond_180_degrees_comes_back_on_the_other_side() -> None:
    split = split_at_180(shapely.box(178, 0, 183, 1))
    assert split.area == pytest.approx(5.0)
    assert split.contains(shapely.Point(-178, 0.5))


def test_other_outlines_stay_as_they_are() -> None:
    box = shapely.box(8, 47, 9, 48)
    assert split_at_180(box).equals(box)


@given(st.floats(-179, 179), st.floats(-79, 83), st.floats(100, 20_000), st.floats(0, 360))
@settings(max_examples=80, deadline=None)
def test_what_is_within_reach_is_inside(lon: float, lat: float, metres: float, way: float) -> None:
    geod = pyproj.Geod(ellps="WGS84")
    area = shapely.box(lon - 0.01, lat - 0.01, lon + 0.01, lat + 0.01)
    corner_lon, corner_lat = shapely.get_coordinates(area)[int(way) % 4]
    x, y, _ = geod.fwd(corner_lon, corner_lat, way, metres * 0.999)
    assert widened(area, metres).intersects(shapely.Point(x, y))


def test_widening_at_180_degrees_reaches_across() -> None:
    wide = widened(shapely.box(179.9, -17, 180, -16.9), 20_000)
    assert wide.intersects(shapely.Point(-179.9, -16.95))


def test_the_outline_of_a_grid_holds_its_pixels() -> None:
    transform = (10.0, 0.0, 499_980.0, 0.0, -10.0, 5_300_040.0)
    outline = grid_outline(32632, transform, (10_980, 10_980))
    to_lonlat = pyproj.Transformer.from_crs(32632, 4326, always_xy=True)
    random = np.random.default_rng(0)
    x = random.uniform(499_990, 609_770, 200)
    y = random.uniform(5_190_250, 5_300_030, 200)
    points = shapely.points(*to_lonlat.transform(x, y))
    assert shapely.contains(outline, points).all()
    assert not shapely.contains(outline, shapely.Point(*to_lonlat.transform(499_000, 5_250_000)))


def test_the_outline_of_a_grid_across_180_degrees_is_in_two_parts() -> None:
    outline = grid_outline(32701, (10.0, 0.0, 99_960.0, 0.0, -10.0, 8_200_000.0), (10_980, 10_980))
    assert outline.area < 2
    assert outline.bounds[0] == -180
    assert outline.bounds[2] == 180
