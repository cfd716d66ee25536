"""What recorded items of real archives, and odd ones, are taken for."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from mapper.errors import ArchiveError
from mapper.imagery.archives import archive
from mapper.imagery.bands import Sensor
from mapper.imagery.items import scene_of
from mapper.imagery.scenes import SCL, Scene

ANY = archive("https://stac.example.org/v1")


@pytest.fixture
def recorded(shared_data: Path) -> Path:
    """Recorded items of real archives."""
    return shared_data / "stac"


def read(path: Path) -> list[dict[str, Any]]:
    document = json.loads(path.read_text())
    if isinstance(document, list):
        return document
    return document.get("features", [document])


def scene(item: dict[str, Any], base: str = "/folder/items.json") -> Scene:
    found = scene_of(item, ANY, base)
    assert found is not None
    return found


def test_planetary_computer_new_baseline_carries_the_offset(recorded: Path) -> None:
    one = scene(read(recorded / "planetary_computer" / "sentinel-2-l2a-pc.json")[0])
    assert (one.place, one.baseline, one.epsg) == ("47XML", "05.10", 32647)
    assert one.datatake == "GS2B_20240419T095549_037185"
    assert {asset.offset for name, asset in one.assets.items() if name != SCL} == {-1000.0}
    assert one.assets[SCL].offset == 0
    assert one.missing == ()


def test_planetary_computer_reprocessed_old_scene_does_not(recorded: Path) -> None:
    name = "S2B_MSIL2A_20190629T212529_R043_T06VVN_20201006T080531"
    for path in (f"{name}.json", f"{name}_raster_ext.json"):
        one = scene(read(recorded / "planetary_computer" / path)[0])
        assert {asset.offset for asset in one.assets.values()} == {0.0}
        assert one.cloud_percent == pytest.approx(0.314306)
        assert one.orbit_state == "descending"


def test_one_datatake_over_many_tiles_is_one_overpass(recorded: Path) -> None:
    items = read(recorded / "planetary_computer" / "site1-20200606-tall-strip-africa.geojson")
    scenes = [scene(item) for item in items]
    assert len({one.place for one in scenes}) == 9
    assert {one.datatake for one in scenes} == {"GS2B_20200606T080609_016978"}


def test_earth_search_pixels_that_are_shifted_already_are_left_alone(recorded: Path) -> None:
    for path in sorted((recorded / "earth_search").glob("*.json")):
        item = read(path)[0]
        assert item["assets"]["blue"]["raster:bands"][0]["offset"] == -0.1
        one = scene(item)
        assert {asset.offset for asset in one.assets.values()} == {0.0}
        assert {asset.scale for asset in one.assets.values()} == {1.0}
        assert one.missing == ()
        assert one.place in ("33TWL", "33TWM")
        assert not any(asset.href.endswith(".jp2") for asset in one.assets.values())


def test_earth_search_unshifted_pixels_are_shifted_once(recorded: Path) -> None:
    item = read(sorted((recorded / "earth_search").glob("*.json"))[0])[0]
    del item["properties"]["earthsearch:boa_offset_applied"]
    item["collection"] = "sentinel-2-c1-l2a"
    one = scene(item)
    assert {a.offset for name, a in one.assets.items() if name != SCL} == {-1000.0}


def test_neighbouring_tiles_of_earth_search_are_one_overpass(recorded: Path) -> None:
    folder = recorded / "earth_search"
    north, south = (
        scene(read(folder / f"S2B_{tile}_20230820_0_L2A.json")[0]) for tile in ("33TWM", "33TWL")
    )
    assert north.datatake == south.datatake
    assert north.time != south.time


def test_terrain_corrected_radar(recorded: Path) -> None:
    items = read(recorded / "planetary_computer" / "sentinel-1-rtc-pc.json")
    scenes = [scene(item) for item in items]
    assert {one.place for one in scenes} == {"R051"}
    assert {one.datatake for one in scenes} == {"S1A_053498_067DF2"}
    assert {one.sensor for one in scenes} == {Sensor.RADAR}
    assert all(one.cloud_percent is None and one.missing == () for one in scenes)
    assert scenes[0].assets["VV"].nodata == -32768
    assert {(a.scale, a.offset) for one in scenes for a in one.assets.values()} == {(1.0, 0.0)}


def test_radar_of_another_house_has_other_names(recorded: Path) -> None:
    one = scene(read(recorded / "aws_rtc" / "S1A_20200103_17RMJ_ASC.json")[0])
    assert (one.place, one.missing, one.epsg) == ("R121", (), 32617)
    assert {(a.scale, a.offset) for a in one.assets.values()} == {(1.0, 0.0)}


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({}, (1.0, 0.0)),
        ({"raster:bands": [{"scale": 0.0001}]}, (0.0001, 0.0)),
        ({"raster:bands": [{"scale": 0.0001, "offset": -0.01}]}, (0.0001, -0.01)),
        ({"bands": [{"raster:scale": 2, "raster:offset": 0}]}, (2.0, 0.0)),
        ({"raster:scale": 0.5}, (0.5, 0.0)),
        ({"raster:bands": [{"offset": 0.1}]}, (1.0, 0.1)),
        ({"raster:bands": [{"scale": 0, "offset": 0}]}, (1.0, 0.0)),
        ({"raster:bands": [{"scale": -1}]}, (1.0, 0.0)),
        ({"raster:bands": [{"scale": "nan", "offset": None}]}, (1.0, 0.0)),
    ],
)
def test_radar_is_scaled_as_its_item_says(
    stated: dict[str, Any], expected: tuple[float, float]
) -> None:
    assets = {"vv": {"href": "vv.tif", **stated}}
    one = scene(minimal(collection="sentinel-1-rtc", assets=assets))
    assert (one.assets["VV"].scale, one.assets["VV"].offset) == expected


def test_other_collections_are_not_looked_at(recorded: Path) -> None:
    for name in ("cop-dem-glo-30-pc.json", "io-lulc-pc.json"):
        for item in read(recorded / "planetary_computer" / name):
            assert scene_of(item, ANY, "/") is None


MINIMAL: dict[str, Any] = {
    "type": "Feature",
    "id": "chip",
    "collection": "sentinel-2-l2a",
    "geometry": None,
    "bbox": [8.0, 47.0, 9.0, 48.0],
    "properties": {"datetime": "2020-04-08T14:37:29Z"},
    "assets": {"B02": {"href": "pixels/B02.tif"}},
}


def minimal(**changes: Any) -> dict[str, Any]:
    item = copy.deepcopy(MINIMAL)
    item["properties"] |= changes.pop("properties", {})
    return item | changes


def test_an_item_that_says_almost_nothing() -> None:
    one = scene(minimal())
    assert one.footprint.bounds == (8, 47, 9, 48)
    assert one.extent.equals(one.footprint)
    assert (one.cloud_percent, one.baseline, one.epsg, one.orbit_state) == (None,) * 4
    assert one.place == "8.000_47.000_9.000_48.000"
    assert one.assets["B02"].href == "/folder/pixels/B02.tif"
    assert "B05" in one.missing


@pytest.mark.parametrize(
    ("properties", "place"),
    [
        ({"s2:mgrs_tile": "T32TNT"}, "32TNT"),
        ({"s2:mgrs_tile": "6VVN"}, "06VVN"),
        ({"grid:code": "MGRS-32TNT"}, "32TNT"),
        ({"mgrs:utm_zone": 6, "mgrs:latitude_band": "V", "mgrs:grid_square": "VN"}, "06VVN"),
        (
            {"proj:epsg": 32628, "sentinel:latitude_band": "Q", "sentinel:grid_square": "CH"},
            "28QCH",
        ),
    ],
)
def test_all_ways_to_write_an_mgrs_tile(properties: dict[str, Any], place: str) -> None:
    assert scene(minimal(properties=properties)).place == place


def test_a_grid_without_a_tile_names_itself() -> None:
    grid = {
        "proj:code": "EPSG:32632",
        "proj:transform": [10, 0, 500_000, 0, -10, 5_300_000],
        "proj:shape": [120, 100],
    }
    one = scene(minimal(properties=grid))
    assert one.place == "32632_500000_5300000_100x120"
    assert one.epsg == 32632


def test_the_projection_may_be_stated_on_the_assets_alone() -> None:
    asset = {
        "href": "B02.tif",
        "proj:epsg": 32632,
        "proj:transform": [10, 0, 500_000, 0, -10, 5_300_000, 0, 0, 1],
        "proj:shape": [120, 100],
    }
    assert scene(minimal(assets={"B02": asset})).epsg == 32632


@pytest.mark.parametrize(
    ("href", "base", "found"),
    [
        ("B02.tif", "/a/items.json", "/a/B02.tif"),
        ("./x/B02.tif", "/a/items.json", "/a/x/B02.tif"),
        ("/b/B02.tif", "/a/items.json", "/b/B02.tif"),
        ("file:///b/B02.tif", "/a/items.json", "/b/B02.tif"),
        ("https://x.org/B02.tif", "/a/items.json", "https://x.org/B02.tif"),
        ("s3://bucket/B02.tif", "/a/items.json", "s3://bucket/B02.tif"),
        ("B02.tif", "https://x.org/stac/items.json", "https://x.org/stac/B02.tif"),
    ],
)
def test_hrefs_stand_alone(href: str, base: str, found: str) -> None:
    one = scene(minimal(assets={"B02": {"href": href}}), base)
    assert one.assets["B02"].href == found


def test_a_relative_href_starts_at_the_items_own_address() -> None:
    own = [{"rel": "self", "href": "https://x.org/items/chip.json"}]
    one = scene(minimal(links=own), "https://x.org/api")
    assert one.assets["B02"].href == "https://x.org/items/pixels/B02.tif"


@pytest.mark.parametrize(
    ("changes", "lack"),
    [
        ({"properties": {"datetime": None}}, "no datetime"),
        ({"properties": {"datetime": "last week"}}, "no datetime"),
        ({"bbox": None}, "neither a geometry nor a bounding box"),
        ({"id": ""}, "no id"),
    ],
)
def test_what_a_scene_cannot_do_without_is_named(changes: dict[str, Any], lack: str) -> None:
    with pytest.raises(ArchiveError, match=lack):
        scene(minimal(**changes))


def test_a_time_span_starts_when_it_starts() -> None:
    span = {"datetime": None, "start_datetime": "2024-04-19 04:59:04.220006+00:00"}
    assert scene(minimal(properties=span)).time.isoformat() == "2024-04-19T04:59:04.220006+00:00"


def test_a_bounding_box_across_180_degrees() -> None:
    one = scene(minimal(bbox=[179.0, -17.0, -179.0, -16.0]))
    assert one.footprint.area == pytest.approx(2.0)


def test_overpasses_without_a_name_are_told_apart_by_platform_and_hour() -> None:
    first = scene(minimal(id="a", properties={"platform": "Sentinel-2A"}))
    later = scene(
        minimal(id="b", properties={"datetime": "2020-04-08T14:37:49Z", "platform": "sentinel-2a"})
    )
    other = scene(minimal(id="c", properties={"platform": "sentinel-2b"}))
    assert first.datatake == later.datatake != other.datatake
