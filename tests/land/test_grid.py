"""The lattice: tiles partition it, names lead back, and every pixel of an area counts once."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pyproj
import pytest
import rasterio.features
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry.base import BaseGeometry

from mapper.errors import RequestError
from mapper.land.area import area_of
from mapper.land.countries import country
from mapper.land.grid import (
    LATTICE_TOP_M,
    PIXEL_M,
    TILE_STEP_PX,
    Grid,
    Outline,
    Region,
    Tile,
    Zone,
    outlines,
)

zones = st.builds(Zone, st.integers(1, 60), st.booleans())
grids = st.builds(Grid, st.integers(1, 16).map(lambda n: n * TILE_STEP_PX))
columns_px = st.integers(0, 99_999)
rows_px = st.integers(0, 1_999_999)


def star(lon: float, lat: float, radii_m: list[float]) -> BaseGeometry:
    """A jagged polygon round a place: one ray for each radius."""
    angles = np.linspace(0, 2 * np.pi, len(radii_m), endpoint=False)
    per_degree = 111_000
    radii = np.array(radii_m)
    x = lon + radii * np.cos(angles) / per_degree / math.cos(math.radians(lat))
    y = lat + radii * np.sin(angles) / per_degree
    return shapely.Polygon(np.column_stack([x, y]))


stars = st.builds(
    star,
    st.floats(-179, 179).map(lambda lon: round(lon, 3)),
    st.floats(-75, 75),
    st.lists(st.floats(300, 5000), min_size=5, max_size=30),
)


def whole(outline: Outline) -> Region:
    """A region that holds an outline, with crooked edges."""
    left, top, right, bottom = (math.floor(value) for value in outline.shape.bounds)
    return Region(outline.zone, left - 3, top - 5, right - left + 9, bottom - top + 11)


# -- tiles and names ---------------------------------------------------------------------------


@given(zones, grids, columns_px, rows_px)
def test_every_pixel_lies_in_exactly_one_tile(
    zone: Zone, grid: Grid, column: int, row: int
) -> None:
    tile = grid.tile_at(zone, column, row)
    pixel = Region(zone, column, row, 1, 1)
    assert tile.region.intersection(pixel) == pixel
    for right, down in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        other = Tile(zone, tile.column + right, tile.row + down, grid.tile_px)
        assert other.region.intersection(pixel) is None


@given(zones, grids, columns_px, rows_px)
def test_names_are_global_and_lead_back(zone: Zone, grid: Grid, column: int, row: int) -> None:
    tile = grid.tile_at(zone, column, row)
    assert grid.tile(tile.name) == tile
    other_zone = Zone(zone.number % 60 + 1, zone.south)
    assert grid.tile_at(other_zone, column, row).name != tile.name


def test_names_are_as_documented() -> None:
    tile = Tile(Zone(32, False), 13, 116, 4096)
    assert tile.name == "32N_0013_0116"
    assert tile.region == Region(Zone(32, False), 53_248, 475_136, 4096, 4096)


@pytest.mark.parametrize(
    "name", ["", "32_1_2", "32X_0001_0001", "61N_0001_0001", "32N_1_1", "00N_0001_0001"]
)
def test_a_name_of_no_tile_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match="is not like 32N_0013_0116"):
        Grid().tile(name)


@pytest.mark.parametrize("size", [0, -512, 100, 513, 4000])
def test_a_tile_size_that_is_no_multiple_is_refused_with_the_nearest(size: int) -> None:
    with pytest.raises(RequestError, match=r"not a positive multiple of 512; try \d+"):
        Grid(size)


def test_tiles_of_larger_sizes_are_made_of_smaller_ones() -> None:
    large = Grid(4096).tile("32N_0013_0116").region
    small = {
        Grid(512).tile_at(Zone(32, False), column, row)
        for column in range(large.left, large.right, 512)
        for row in range(large.top, large.bottom, 512)
    }
    assert len(small) == 64
    assert all(tile.region.intersection(large) == tile.region for tile in small)


# -- regions -----------------------------------------------------------------------------------


def test_a_region_has_the_coordinates_of_sentinel_2() -> None:
    """MGRS tile 32TNT has its upper left corner at 499,980 / 5,200,020 m in EPSG:32632."""
    region = Region(Zone(32, False), 49_998, 479_998, 10_980, 10_980)
    box = region.geobox
    assert str(box.crs) == "EPSG:32632"
    assert tuple(box.boundingbox) == (499_980, 5_090_220, 609_780, 5_200_020)
    assert box.shape == (10_980, 10_980)


def test_southern_zones_share_the_lattice() -> None:
    region = Region(Zone(19, True), 0, 0, 1, 1)
    assert region.geobox.boundingbox.top == LATTICE_TOP_M
    assert str(region.geobox.crs) == "EPSG:32719"


boxes = st.builds(
    Region,
    st.just(Zone(5, False)),
    st.integers(-50, 50),
    st.integers(-50, 50),
    st.integers(1, 60),
    st.integers(1, 60),
)


@given(boxes, boxes)
def test_an_intersection_is_the_pixels_in_both(one: Region, other: Region) -> None:
    def pixels(region: Region) -> set[tuple[int, int]]:
        return {
            (column, row)
            for column in range(region.left, region.right)
            for row in range(region.top, region.bottom)
        }

    shared = one.intersection(other)
    assert (pixels(shared) if shared else set()) == pixels(one) & pixels(other)
    if shared:
        marked = np.zeros(one.shape, np.bool_)
        marked[shared.slices_in(one)] = True
        assert marked.sum() == shared.width * shared.height


def test_regions_of_two_zones_share_nothing() -> None:
    one, other = Region(Zone(5, False), 0, 0, 9, 9), Region(Zone(5, True), 0, 0, 9, 9)
    assert one.intersection(other) is None


def test_an_empty_region_and_a_zone_that_is_none_are_refused() -> None:
    with pytest.raises(ValueError, match="positive width"):
        Region(Zone(5, False), 0, 0, 0, 5)
    with pytest.raises(ValueError, match=r"1\.\.60, got 61"):
        Zone(61, False)


# -- zones -------------------------------------------------------------------------------------

ZONES = [Zone(number, south) for number in range(1, 61) for south in (False, True)]


def test_strips_cover_the_ground_once() -> None:
    total = sum(zone.strip.area for zone in ZONES)
    assert total == pytest.approx(360 * (84 + 80))
    for one, other in combinations(ZONES, 2):
        assert one.strip.intersection(other.strip).area == 0


@pytest.mark.parametrize(
    ("place", "lon", "lat", "name"),
    [
        ("Vaduz", 9.52, 47.14, "32N"),
        ("Bergen, in the widened zone 32", 5.32, 60.39, "32N"),
        ("the sea west of it, in the narrowed zone 31", 2.9, 60.0, "31N"),
        ("Tromso, where nothing is widened", 18.96, 69.65, "34N"),
        ("Longyearbyen", 15.63, 78.22, "33N"),
        ("Svalbard's west, where zone 32 is absent", 8.9, 78.0, "31N"),
        ("Svalbard's east, where zone 34 is absent", 20.5, 78.5, "33N"),
        ("beyond it, where zone 36 is absent", 32.0, 80.0, "35N"),
        ("Franz Josef Land", 40.0, 80.5, "37N"),
        ("Quito", -78.47, -0.18, "17S"),
        ("Suva", 178.44, -18.14, "60S"),
        ("the other side of 180 degrees", -179.9, -16.5, "01S"),
    ],
)
def test_places_lie_in_their_zone(place: str, lon: float, lat: float, name: str) -> None:
    found = [zone.name for zone in ZONES if zone.strip.contains(shapely.Point(lon, lat))]
    assert found == [name], place


# -- outlines ----------------------------------------------------------------------------------


def naive(outline: Outline) -> npt.NDArray[np.bool_]:
    """One rasterisation of the whole outline, in one frame."""
    region = whole(outline)
    moved = shapely.transform(outline.shape, lambda xy: xy - (region.left, region.top))
    return rasterio.features.rasterize([moved], region.shape).astype(np.bool_)


@given(stars)
@settings(max_examples=25, deadline=None)
def test_masks_of_tiles_add_up_to_one_rasterisation(area: BaseGeometry) -> None:
    for outline in outlines(area):
        expected = naive(outline)
        found = np.zeros(expected.shape, np.int64)
        region = whole(outline)
        for tile in Grid(512).tiles_over(outline):
            shared = tile.region.intersection(region)
            mask = outline.mask(tile.region)
            assert mask.any(), "a tile without a pixel of the area was made"
            assert shared is not None
            assert mask.sum() == mask[shared.slices_in(tile.region)].sum()
            found[shared.slices_in(region)] += mask[shared.slices_in(tile.region)]
        assert np.array_equal(found, expected)


@given(stars, st.data())
@settings(max_examples=25, deadline=None)
def test_a_mask_does_not_depend_on_the_region(area: BaseGeometry, data: st.DataObject) -> None:
    for outline in outlines(area):
        region = whole(outline)
        left = data.draw(st.integers(0, region.width - 1))
        top = data.draw(st.integers(0, region.height - 1))
        width = data.draw(st.integers(1, region.width - left))
        height = data.draw(st.integers(1, region.height - top))
        part = Region(outline.zone, region.left + left, region.top + top, width, height)
        assert np.array_equal(outline.mask(part), outline.mask(region)[part.slices_in(region)])


@given(stars)
@settings(max_examples=25, deadline=None)
def test_pixels_add_up_to_the_area_on_the_ellipsoid(area: BaseGeometry) -> None:
    """Within a pixel's width along the outline, and UTM's scale of 0.9996 to 1.001."""
    pixels = sum(int(outline.mask(whole(outline)).sum()) for outline in outlines(area))
    geodesic, perimeter = pyproj.Geod(ellps="WGS84").geometry_area_perimeter(area)
    slack = 0.003 * abs(geodesic) + abs(perimeter) * PIXEL_M
    assert abs(pixels * PIXEL_M**2 - abs(geodesic)) < slack


@pytest.mark.parametrize("name", ["LIE", "LUX", "SMR", "MCO"])
@pytest.mark.parametrize("tile_px", [512, 4096])
def test_a_countrys_pixels_are_counted_exactly_once(name: str, tile_px: int) -> None:
    land = outlines(area_of(country(name)).geometry)
    assert len({outline.zone for outline in land}) == len(land)
    for outline in land:
        tiles = Grid(tile_px).tiles_over(outline)
        assert len(set(tiles)) == len(tiles)
        assert tiles == sorted(tiles, key=lambda tile: (tile.row, tile.column))
        counted = sum(int(outline.mask(tile.region).sum()) for tile in tiles)
        assert counted == naive(outline).sum()


def test_no_tile_with_a_pixel_is_left_out() -> None:
    islands = shapely.union_all(
        [star(9.5 + 0.07 * k, 47 + 0.03 * k, [40.0 + 9 * k] * 7) for k in range(12)]
    )
    (outline,) = outlines(islands)
    rows, columns = np.nonzero(outline.mask(whole(outline)))
    region = whole(outline)
    holding = {
        Grid(512).tile_at(outline.zone, region.left + int(x), region.top + int(y))
        for y, x in zip(rows, columns, strict=True)
    }
    assert set(Grid(512).tiles_over(outline)) == holding


def test_a_lake_is_outside_and_its_island_inside() -> None:
    shore = star(9.5, 47, [9000.0] * 40)
    lake = star(9.5, 47, [6000.0] * 40)
    island = star(9.5, 47, [3000.0] * 40)
    (outline,) = outlines(shore.difference(lake).union(island))
    middle_row = whole(outline).height // 2
    row = outline.mask(whole(outline))[middle_row]
    assert np.count_nonzero(np.diff(row.astype(int))) == 6, "shore, lake, island and back"


def test_a_zones_edge_counts_no_pixel_twice() -> None:
    """Each pixel centre of either zone, taken back to degrees, lies on its own side of 12 E."""
    land = outlines(shapely.box(11.98, 47.99, 12.02, 48.01))
    assert [outline.zone.name for outline in land] == ["32N", "33N"]
    for outline, side in zip(land, (-1, 1), strict=True):
        region = whole(outline)
        y, x = np.nonzero(outline.mask(region))
        east = (region.left + x + 0.5) * PIXEL_M
        north = LATTICE_TOP_M - (region.top + y + 0.5) * PIXEL_M
        to_degrees = pyproj.Transformer.from_crs(outline.zone.epsg, 4326, always_xy=True)
        lon, _ = to_degrees.transform(east, north)
        assert np.all((lon - 12) * side > -1e-6), "a tenth of a metre of snapping is allowed"


def test_fiji_lies_in_two_zones_on_either_side_of_180_degrees() -> None:
    land = outlines(area_of(country("FJI")).geometry)
    assert [outline.zone.name for outline in land] == ["01S", "60S"]
    for outline in land:
        left, _, right, _ = outline.shape.bounds
        assert right - left < 70_000, "within one zone, 700 km"


@pytest.mark.parametrize("area", [shapely.box(0, 83, 10, 84.5), shapely.box(0, -81, 10, -70)])
def test_polar_areas_are_refused_with_a_reason(area: BaseGeometry) -> None:
    with pytest.raises(RequestError, match=r"84 N and 80 S.*no polar grid.*cut the area"):
        outlines(area)


def test_an_area_without_any_area_is_refused() -> None:
    with pytest.raises(RequestError, match="empty"):
        outlines(shapely.LineString([(9, 47), (10, 48)]))
    with pytest.raises(RequestError, match="empty"):
        outlines(shapely.MultiPolygon())


def test_a_mask_of_another_zone_is_a_mistake() -> None:
    (outline,) = outlines(star(9.5, 47, [500.0] * 6))
    with pytest.raises(ValueError, match=r"zone 32N, region of 33N"):
        outline.mask(Region(Zone(33, False), 0, 0, 5, 5))


def test_edges_too_long_to_be_burnt_right_are_refused() -> None:
    with pytest.raises(ValueError, match=r"an edge of 1000 px; cut edges to 256 px"):
        Outline(Zone(32, False), shapely.box(0, 0, 1000, 10))
