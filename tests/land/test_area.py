"""Any polygon file becomes lon/lat polygons the lattice can hold, or one line saying why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import MultiPolygon, Point, Polygon, box

from mapper.errors import RequestError
from mapper.land.area import Area, area_from_file, area_of, lon_lat_polygons, wrap
from mapper.land.countries import area_km2, country

SQUARE = box(9.5, 47.1, 9.6, 47.2)


def geojson(path: Path, *geometries: Any, **ids: list[Any]) -> Path:
    """A FeatureCollection; `ids` are properties, one value for each geometry."""
    features = [
        {
            "type": "Feature",
            "properties": {key: values[k] for key, values in ids.items()},
            "geometry": None if shape is None else shapely.geometry.mapping(shape),
        }
        for k, shape in enumerate(geometries)
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def refusal(path: Path, feature_id: str | None = None) -> str:
    with pytest.raises(RequestError) as error:
        area_from_file(path, feature_id)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_single_feature_needs_no_id(tmp_path: Path) -> None:
    area = area_from_file(geojson(tmp_path / "my field.geojson", SQUARE))
    assert (area.name, area.title) == ("my-field", "my field")
    assert area.geometry.equals(SQUARE)


def test_a_bare_geometry_is_a_feature(tmp_path: Path) -> None:
    path = tmp_path / "bare.json"
    path.write_text(shapely.to_geojson(SQUARE))
    assert area_from_file(path).geometry.equals(SQUARE)


@pytest.mark.parametrize("key", ["id", "FID", "Name"])
def test_the_id_column_is_found(tmp_path: Path, key: str) -> None:
    other = shapely.affinity.translate(SQUARE, 1)
    path = geojson(tmp_path / "two.geojson", SQUARE, other, **{key: ["a b/c", "d"]})
    area = area_from_file(path, "a b/c")
    assert (area.name, area.title) == ("a-b-c", "a b/c")
    assert area.geometry.equals(SQUARE)
    assert area_from_file(path, "d").geometry.equals(other)


def test_ids_that_are_numbers_are_typed_as_numbers(tmp_path: Path) -> None:
    path = geojson(tmp_path / "n.geojson", SQUARE, box(1, 1, 2, 2), id=[7, 8])
    assert area_from_file(path, "8").geometry.equals(box(1, 1, 2, 2))


def test_the_member_id_of_geojson_counts(tmp_path: Path) -> None:
    path = geojson(tmp_path / "m.geojson", SQUARE, box(1, 1, 2, 2))
    collection = json.loads(path.read_text())
    for k, feature in enumerate(collection["features"]):
        feature["id"] = f"plot-{k}"
    path.write_text(json.dumps(collection))
    assert area_from_file(path, "plot-1").geometry.equals(box(1, 1, 2, 2))


def test_features_without_ids_go_by_number(tmp_path: Path) -> None:
    path = geojson(tmp_path / "no.geojson", SQUARE, box(1, 1, 2, 2))
    assert area_from_file(path, "1").geometry.equals(box(1, 1, 2, 2))


def test_many_features_need_an_id_and_the_first_are_named(tmp_path: Path) -> None:
    path = geojson(tmp_path / "many.geojson", *[SQUARE] * 7, id=[f"p{k}" for k in range(7)])
    message = refusal(path)
    assert "7 features" in message and "--aoi-id: p0, p1, p2, p3, p4, ..." in message


def test_an_unknown_id_brings_the_nearest(tmp_path: Path) -> None:
    path = geojson(tmp_path / "two.geojson", SQUARE, SQUARE, id=["north", "south"])
    assert 'no feature "noth" among the 2 of two.geojson; nearest: north' in refusal(path, "noth")


def test_an_id_that_names_two_features_is_refused(tmp_path: Path) -> None:
    path = geojson(tmp_path / "two.geojson", SQUARE, SQUARE, id=["a", "a"])
    assert 'id "a" names 2 features' in refusal(path, "a")


@pytest.mark.parametrize(
    ("geometry", "words"),
    [
        (Point(1, 2), "is a Point"),
        (shapely.LineString([(0, 0), (1, 1)]), "is a LineString"),
        (Polygon(), "empty"),
        (None, "empty"),
        (Polygon([(0, 0), (1, 1), (2, 2), (0, 0)]), "covers no ground"),
        (box(0, 80, 10, 84.5), "reaches 84.50 N"),
        (box(0, -81, 10, -70), "reaches 81.00 S"),
        (box(500_000, 5_200_000, 510_000, 5_210_000), "are no degrees"),
        (Polygon([(179, 0), (-179, 0), (-179, 1), (179, 1)]), "181 instead of -179"),
    ],
)
def test_what_cannot_be_mapped_is_refused_in_one_line(
    tmp_path: Path, geometry: Any, words: str
) -> None:
    assert words in refusal(geojson(tmp_path / "odd.geojson", geometry))


def test_files_that_cannot_be_read_say_so(tmp_path: Path) -> None:
    assert "no file" in refusal(tmp_path / "absent.geojson")
    assert "no file" in refusal(tmp_path)
    (tmp_path / "text.geojson").write_text("not json")
    assert "cannot read text.geojson" in refusal(tmp_path / "text.geojson")
    (tmp_path / "zero.gpkg").write_bytes(b"")
    assert "cannot read zero.gpkg" in refusal(tmp_path / "zero.gpkg")
    (tmp_path / "table.csv").write_text("id,x\n1,2\n")
    assert "table.csv" in refusal(tmp_path / "table.csv")
    assert "holds no feature" in refusal(geojson(tmp_path / "none.geojson"))


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = geojson(tmp_path / "cut.geojson", SQUARE, SQUARE, id=["a", "b"])
    path.write_text(path.read_text()[:-60])
    assert "cut.geojson" in refusal(path, "b")


def test_a_bow_tie_is_mended(tmp_path: Path) -> None:
    tie = Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    area = area_from_file(geojson(tmp_path / "tie.geojson", tie))
    assert area.geometry.is_valid
    assert area.geometry.area == pytest.approx(0.5)


def test_a_geopackage_in_utm_comes_back_in_degrees(tmp_path: Path) -> None:
    square = box(500_000, 5_200_000, 600_000, 5_300_000)
    table = gpd.GeoDataFrame({"name": ["x"]}, geometry=[square], crs="EPSG:32632")
    table.to_file(tmp_path / "utm.gpkg")
    area = area_from_file(tmp_path / "utm.gpkg")
    back = gpd.GeoSeries([area.geometry], crs="EPSG:4326").to_crs("EPSG:32632").iloc[0]
    assert back.hausdorff_distance(square) < 0.5  # metres; straight edges stay where they were
    assert area.geometry.bounds[0] == pytest.approx(9.0, abs=1e-6)


def test_a_geopackage_of_two_layers_is_refused(tmp_path: Path) -> None:
    table = gpd.GeoDataFrame({"name": ["x"]}, geometry=[SQUARE], crs="EPSG:4326")
    table.to_file(tmp_path / "two.gpkg", layer="one")
    table.to_file(tmp_path / "two.gpkg", layer="two")
    assert "2 layers (one, two)" in refusal(tmp_path / "two.gpkg")


def test_a_file_without_a_crs_is_refused(tmp_path: Path) -> None:
    gpd.GeoDataFrame({"name": ["x"]}, geometry=[SQUARE]).to_file(tmp_path / "none.gpkg")
    assert "coordinate reference system" in refusal(tmp_path / "none.gpkg")


def test_heights_are_dropped(tmp_path: Path) -> None:
    tall = shapely.force_3d(SQUARE, 400)
    assert not area_from_file(geojson(tmp_path / "z.geojson", tall)).geometry.has_z


def test_a_projected_area_across_180_is_cut_there() -> None:
    square = box(650_000, 8_100_000, 900_000, 8_200_000)  # UTM 60 S; 180 E lies near 820 km
    area = lon_lat_polygons(square, "EPSG:32760", "square")
    west, _, east, _ = area.bounds
    assert (west, east) == (-180, 180)
    assert len(area.geoms) == 2
    assert area_km2(area) == pytest.approx(25_000, rel=0.002)  # UTM's scale is 0.9996..1.002


@settings(deadline=None, max_examples=200)
@given(
    west=st.floats(-530, 500),
    south=st.floats(-79, 80),
    width=st.floats(0.01, 300),
    height=st.floats(0.01, 3),
)
def test_wrapping_keeps_ground_and_place(
    west: float, south: float, width: float, height: float
) -> None:
    """The same latitudes, the same area, and every longitude the same up to whole turns."""
    east = min(west + width, 540)
    square = box(west, south, east, south + height)
    cut = wrap(square)
    assert cut.bounds[0] >= -180 and cut.bounds[2] <= 180
    assert cut.area == pytest.approx(square.area, rel=1e-9, abs=1e-9)
    centre = Point(((west + east) / 2 + 180) % 360 - 180, south + height / 2)
    assert cut.distance(centre) < 1e-9


def test_an_area_is_always_right_once_built() -> None:
    good = MultiPolygon([SQUARE])
    for name in ("", "a/b", "../x", "a b", ".hidden", "x" * 65):
        with pytest.raises(ValueError, match="cannot name"):
            Area(name, "title", good)
    with pytest.raises(ValueError, match="not cut at 180"):
        Area("x", "x", MultiPolygon([box(179, 0, 181, 1)]))


def test_countries_are_areas_but_antarctica_is_polar() -> None:
    area = area_of(country("GRL"))
    assert (area.name, area.title) == ("GRL", "Greenland")
    with pytest.raises(RequestError, match=r"Antarctica reaches 85\.05 S, but UTM ends at 84 N"):
        area_of(country("ATA"))


def test_the_real_areas_are_read(shared_data: Path) -> None:
    path = shared_data / "archive" / "aois.geojson"
    area = area_from_file(path, "terramesh_433D_629L_3_1")
    assert area.name == "terramesh_433D_629L_3_1"
    assert 1 < area_km2(area.geometry) < 30
    assert "choose one with --aoi-id" in refusal(path)
    assert "nearest: terramesh_433D_629L_3_1" in refusal(path, "terramesh_433D_629L_3")
