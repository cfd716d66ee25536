"""Items and collections validate, point at each other, and tell the truth about the files."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj
import pystac
import pytest
import rasterio
import shapely
from odc.geo.geobox import GeoBox
from pystac.validation import validate_dict
from rasterio.warp import transform_bounds

from mapper.imagery.period import Period
from mapper.land.grid import Region, Tile, Zone, ground
from mapper.land.legend import LEGEND
from mapper.maps.publish import Published, write_json
from mapper.maps.stac import (
    COLLECTION_NAME,
    ITEM_EXTENSIONS,
    Contents,
    Facts,
    bbox,
    collection,
    multihash,
    national_item,
)

if TYPE_CHECKING:
    from tests.maps.conftest import Made

LIECHTENSTEIN = shapely.box(9.4716, 47.0484, 9.6357, 47.2706)


@pytest.fixture(scope="module")
def item(published: Published) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((published.folder / "item.json").read_text())
    return found


def valid(stac: dict[str, Any]) -> bool:
    """Against the core schemas, which come with pystac; those of extensions need the internet."""
    return bool(validate_dict({**stac, "stac_extensions": []}))


def test_an_item_is_valid(item: dict[str, Any]) -> None:
    assert valid(item)
    with pytest.raises(pystac.errors.STACValidationError):
        valid({**item, "bbox": "nowhere"})


@pytest.mark.online
@pytest.mark.usefixtures("internet")
def test_an_item_is_valid_with_its_extensions(item: dict[str, Any]) -> None:
    checked = validate_dict(item)
    assert set(ITEM_EXTENSIONS) <= {str(uri) for uri in checked}


def test_an_item_lists_its_extensions_and_uses_each(item: dict[str, Any]) -> None:
    text = json.dumps(item)
    for uri, prefix in zip(
        item["stac_extensions"],
        ("proj:", "raster:", "file:", "classification:", "processing:"),
        strict=True,
    ):
        assert re.fullmatch(r"https://stac-extensions.github.io/\w+/v[\d.]+/schema.json", uri)
        assert f'"{prefix}' in text


def test_classes_are_the_legend(item: dict[str, Any]) -> None:
    classes = item["assets"]["land_cover"]["classification:classes"]
    assert [found["value"] for found in classes] == [cover.code for cover in LEGEND]
    assert [found["name"] for found in classes] == [cover.name for cover in LEGEND]
    assert all(re.fullmatch(r"[0-9A-Za-z_-]+", found["name"]) for found in classes)
    assert classes[0]["color_hint"] == "419BDF"
    assert "classification:classes" not in item["assets"]["confidence"]


def test_checksums_and_sizes_are_those_of_the_files(
    item: dict[str, Any], published: Published
) -> None:
    assert len(item["assets"]) == 4
    for asset in item["assets"].values():
        content = (published.folder / asset["href"]).read_bytes()
        assert asset["file:size"] == len(content)
        assert asset["file:checksum"] == "1220" + hashlib.sha256(content).hexdigest()


def test_the_projection_is_that_of_the_raster(item: dict[str, Any], published: Published) -> None:
    properties = item["properties"]
    with rasterio.open(published.folder / "land_cover.tif") as raster:
        assert properties["proj:code"] == f"EPSG:{raster.crs.to_epsg()}"
        assert properties["proj:shape"] == list(raster.shape)
        assert properties["proj:transform"] == list(raster.transform)[:6]
        assert properties["proj:bbox"] == list(raster.bounds)


@pytest.mark.parametrize(
    ("crs", "code"),
    [("EPSG:3035", "EPSG:3035"), ("ESRI:54009", "ESRI:54009"), ("+proj=laea +lat_0=47", None)],
)
def test_a_crs_without_an_epsg_code_is_told_too(
    crs: str, code: str | None, published: Published, facts: Facts, made: Made
) -> None:
    geobox = GeoBox.from_bbox((0, 0, 1000, 1000), pyproj.CRS(crs).to_wkt(), resolution=10)
    contents = Contents(made.scenes, (1,) * 9, 0, "key")
    national = national_item(LIECHTENSTEIN, geobox, facts, contents, published.folder)
    assert valid(national)
    assert national["properties"]["proj:code"] == code
    if code is None:
        told = pyproj.CRS.from_json_dict(national["properties"]["proj:projjson"])
        assert told == pyproj.CRS(crs)


def test_an_item_says_how_it_was_made(item: dict[str, Any], facts: Facts, made: Made) -> None:
    properties = item["properties"]
    assert properties["datetime"] is None
    assert properties["start_datetime"] == "2024-06-01T00:00:00Z"
    assert properties["end_datetime"] == "2024-08-31T23:59:59Z"
    assert properties["mapper:recipe"] == facts.recipe
    assert properties["mapper:checkpoint"]["digest"] == facts.checkpoint["digest"]
    assert properties["mapper:scenes"] == sorted(made.scenes)
    assert properties["mapper:simulated"] is True
    assert "simulated" in properties["description"]
    assert properties["mapper:failed_reads"] == []
    assert properties["mapper:degraded"] is False
    assert properties["processing:software"] == {"mapper": "0.1.0"}
    counted = sum(properties["mapper:class_px"]) + properties["mapper:nodata_px"]
    assert counted == np.count_nonzero(made.wanted)


def test_real_pixels_are_attributed(facts: Facts, made: Made) -> None:
    real = replace(facts, simulated=False, period=Period.parse("2023-12/2024-01"))
    assert "Copernicus Sentinel data 2023-2024" in real.attribution
    held = collection(LIECHTENSTEIN, real, Contents(made.scenes, (5,) * 9, 0, "k"), [])
    assert valid(held)
    assert "Copernicus" in held["providers"][0]["name"]
    assert [link["rel"] for link in held["links"]] == ["root", "license"]
    assert len(held["stac_extensions"]) == 2


def test_a_collection_and_its_items_find_each_other(
    published: Published, item: dict[str, Any], facts: Facts, made: Made
) -> None:
    run = published.folder.parents[2]
    href = f"./{(published.folder / 'item.json').relative_to(run)}"
    contents = Contents(made.scenes, tuple(item["properties"]["mapper:class_px"]), 0, "key")
    held = collection(LIECHTENSTEIN, facts, contents, [href])
    assert held["mapper:class_km2"]["water"] == contents.class_px[0] / 10_000
    assert valid(held)
    write_json(run / COLLECTION_NAME, held)
    read = pystac.Collection.from_file(str(run / COLLECTION_NAME))
    (found,) = read.get_items()
    assert found.id == item["id"]
    assert found.get_collection() is not None
    assert found.get_collection().id == facts.collection
    href = found.assets["land_cover"].get_absolute_href()
    assert href is not None
    assert Path(href).is_file()


def test_no_time_of_writing_and_no_absolute_path(
    item: dict[str, Any], published: Published
) -> None:
    text = json.dumps(item)
    assert str(published.folder.parents[2]) not in text
    assert "created" not in text
    assert "updated" not in text


def test_the_national_item_is_valid_and_its_outline_simple(
    published: Published, facts: Facts, made: Made
) -> None:
    circle = shapely.Point(9.55, 47.16).buffer(0.1, quad_segs=2000)
    contents = Contents(made.scenes, (1,) * 9, 0, "key")
    national = national_item(circle, made.tile.region.geobox, facts, contents, published.folder)
    assert valid(national)
    assert national["id"] == facts.collection
    outline = shapely.geometry.shape(national["geometry"])
    assert outline.is_valid
    assert shapely.get_num_coordinates(outline) < 200
    assert outline.symmetric_difference(circle).area < 0.01 * circle.area


def test_a_multihash_is_the_code_the_length_and_the_digest(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2
    assert multihash(tmp_path / "a") == "12" + "20" + known


def test_bbox_of_a_country_across_180_degrees_goes_from_west_to_east() -> None:
    fiji = shapely.MultiPolygon(
        [shapely.box(176.9, -19, 180, -16), shapely.box(-180, -18, -178, -16)]
    )
    assert bbox(fiji) == [176.9, -19.0, -178.0, -16.0]
    assert bbox(LIECHTENSTEIN) == [9.4716, 47.0484, 9.6357, 47.2706]


def test_the_ground_of_a_tile_at_180_degrees_does_not_jump_round_the_world() -> None:
    east_edge = Tile(Zone(60, True), 20, 46, 4096)  # columns 81,920.. reach beyond 180 degrees
    outline = ground(east_edge.region)
    west, south, east, north = outline.bounds
    assert 177 < west < east <= 180
    assert -20 < south < north < -15
    assert outline.is_valid


def test_the_ground_of_a_region_is_its_own() -> None:
    region = Region(Zone(32, False), 50_000, 529_200, 100, 100)
    bounds = transform_bounds(32632, 4326, *region.geobox.boundingbox)
    assert ground(region).bounds == pytest.approx(bounds, abs=1e-5)
