"""Recorded answers of the Planetary Computer and of Earth Search, served again on loopback.

The landing page is the recorded one with its addresses replaced, and items are those of the
recordings, behind the paging that both houses have: a next link to be posted, with a token in it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyproj
import pytest
import shapely.geometry
import shapely.ops
import yaml
from test_large_search import asked_of, serving

from mapper.errors import ArchiveError
from mapper.imagery.archives import archive
from mapper.imagery.bands import Sensor
from mapper.imagery.choice import Choice, choose
from mapper.imagery.items import scene_of
from mapper.imagery.period import Period
from mapper.imagery.probe import probed
from mapper.imagery.scenes import SCL, Scene
from mapper.imagery.search import search

MPC_ROOT = "https://planetarycomputer.microsoft.com/api/stac/v1"


@pytest.fixture(scope="module")
def recorded(shared_data: Path) -> Path:
    return shared_data / "stac"


def interactions(recorded: Path, name: str) -> list[dict[str, Any]]:
    document = yaml.safe_load((recorded / "http_cassettes" / f"{name}.yaml").read_text())
    return [
        {
            "uri": entry["request"]["uri"],
            "body": json.loads(entry["response"]["body"]["string"]),
            "headers": entry["response"]["headers"],
        }
        for entry in document["interactions"]
    ]


def items_in(recorded: Path, name: str) -> list[dict[str, Any]]:
    """Items of a recording, whether it was of one item or of a page."""
    found = []
    for answer in interactions(recorded, name):
        if answer["body"].get("type") == "FeatureCollection":
            found += answer["body"]["features"]
        elif answer["body"].get("type") == "Feature":
            found.append(answer["body"])
    return found


@pytest.fixture(scope="module")
def planetary_computer(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was recorded of the Planetary Computer, to be served."""
    folder = tmp_path_factory.mktemp("mpc")
    names = ("sentinel-2-l2a", "sentinel-1-rtc", "sentinel-1-grd")
    items = [item for name in names for item in items_in(recorded, f"test_smoke[{name}]")]
    items += items_in(recorded, "test_sentinel2_l2a")
    tall = recorded / "planetary_computer" / "site1-20200606-tall-strip-africa.geojson"
    items += json.loads(tall.read_text())["features"]
    rtc = recorded / "planetary_computer" / "sentinel-1-rtc-pc.json"
    items += json.loads(rtc.read_text())
    landing = next(
        answer["body"]
        for answer in interactions(recorded, "test_smoke[sentinel-2-l2a]")
        if answer["uri"].rstrip("/") == MPC_ROOT
    )
    page = json.dumps(landing).replace(MPC_ROOT, "RECORDED_ROOT")
    (folder / "landing.json").write_text(page)
    (folder / "items.json").write_text(json.dumps({"features": items}))
    return folder


def mirror(folder: Path, root: str, like: str) -> str:
    path = folder / "mirror.toml"
    path.write_text(f'root = "{root}"\nlike = "{like}"\n')
    return str(path)


def area_of(item: dict[str, Any]) -> shapely.Geometry:
    return shapely.point_on_surface(shapely.geometry.shape(item["geometry"])).buffer(0.01)


def test_the_recorded_landing_page_leads_to_a_search(planetary_computer: Path) -> None:
    items = json.loads((planetary_computer / "items.json").read_text())["features"]
    strip = [i for i in items if i["properties"]["datetime"].startswith("2020-06-06T08")]
    assert len({item["id"] for item in strip}) == 9
    ground = shapely.union_all([area_of(item) for item in strip])
    with serving(planetary_computer, page=2) as root:
        name = mirror(planetary_computer, root, "planetary-computer")
        scenes = search(archive(name), ground, Period.parse("2020-06-06"))
    optical = [scene for scene in scenes if scene.sensor is Sensor.OPTICAL]
    assert {scene.id for scene in optical} == {item["id"] for item in strip}
    assert len({scene.datatake for scene in optical}) == 1, "one overpass over nine tiles"
    assert {scene.signing for scene in scenes} == {"planetary-computer"}
    asked = [line["asked"] for line in asked_of(planetary_computer)]
    assert any("token" in one for one in asked), "more than one page was asked for"


def test_the_recorded_archive_is_probed(planetary_computer: Path) -> None:
    with serving(planetary_computer) as root:
        probe = probed(
            archive(mirror(planetary_computer, root, "planetary-computer")), open_files=False
        )
    assert probe.conforms == ("core", "item-search", "query", "filter", "sort", "fields")
    assert probe.usable
    words = {found.sensor: " | ".join(found.findings) for found in probe.sensors}
    assert "scene classification (SCL) in" in words[Sensor.OPTICAL]
    assert "signed by planetary-computer" in words[Sensor.OPTICAL]
    assert "lacking" not in words[Sensor.RADAR]


def test_recorded_ground_range_is_refused_with_the_reason(planetary_computer: Path) -> None:
    items = json.loads((planetary_computer / "items.json").read_text())["features"]
    grd = next(item for item in items if item["collection"] == "sentinel-1-grd")
    month = grd["properties"]["datetime"][:7]
    with serving(planetary_computer) as root:
        found = search(archive(root), area_of(grd), Period.parse(month))
    for allow in (False, True):
        dropped = choose(
            [*found, *anything_optical()], Choice(allow_grd=allow), allow_radar_only=True
        ).dropped
        reasons = {verdict.scene.id: verdict.reason for verdict in dropped}
        assert "in the radar's own geometry (GRD)" in reasons[grd["id"]]


def anything_optical() -> list[Scene]:
    from made_scenes import scene

    return [scene("o")]


def test_radar_of_one_polarisation_is_dropped_with_the_reason(recorded: Path) -> None:
    """A recorded product of the Antarctic has HH only."""
    (item,) = items_in(recorded, "test_s1_grd")
    item["collection"] = "sentinel-1-rtc"
    scene = scene_of(item, archive("planetary-computer"), "/")
    assert scene is not None
    assert scene.missing == ("VV", "VH")
    assert -180 <= scene.footprint.bounds[0] <= scene.footprint.bounds[2] <= 180
    dropped = choose([scene, *anything_optical()], Choice()).dropped
    assert dropped[0].reason == "has no VV, VH"


def test_the_terrain_corrected_are_known_by_their_collection_not_their_product_type(
    recorded: Path,
) -> None:
    """The Planetary Computer says GRD of RTC items as well."""
    (item,) = items_in(recorded, "test_smoke[sentinel-1-rtc]")
    assert item["properties"]["sar:product_type"] == "GRD"
    scene = scene_of(item, archive("planetary-computer"), "/")
    assert scene is not None
    assert scene.terrain_corrected
    assert scene.place == f"R{item['properties']['sat:relative_orbit']:03d}"


def test_an_early_scene_processed_again_has_no_offset_by_its_day(recorded: Path) -> None:
    item = items_in(recorded, "test_sentinel2_l2a")[0]
    scene = scene_of(item, archive("planetary-computer"), "/")
    assert scene is not None
    assert item["properties"]["s2:processing_baseline"] == scene.baseline
    expected = -1000.0 if scene.baseline >= "04.00" else 0.0
    assert {a.offset for n, a in scene.assets.items() if n != SCL} == {expected}


@pytest.fixture(scope="module")
def earth_search(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recorded items of Earth Search, of the collection it is searched for, to be served."""
    folder = tmp_path_factory.mktemp("es")
    items = [json.loads(path.read_text()) for path in sorted((recorded / "earth_search").iterdir())]
    for item in items:
        item["collection"] = "sentinel-2-c1-l2a"
    (folder / "items.json").write_text(json.dumps({"features": items}))
    return folder


def test_earth_search_needs_nobody_to_sign_and_takes_its_radar_elsewhere(
    earth_search: Path, planetary_computer: Path
) -> None:
    with serving(earth_search, page=3) as own, serving(planetary_computer) as other:
        partner = planetary_computer / "partner.toml"
        partner.write_text(f'root = "{other}"\nlike = "planetary-computer"\n')
        description = earth_search / "es.toml"
        description.write_text(f'root = "{own}"\nlike = "earth-search"\npartner = "{partner}"\n')
        here = archive(str(description))
        items = json.loads((earth_search / "items.json").read_text())["features"]
        found = search(here, area_of(items[0]), Period.parse("2023-08"))
    assert len(found) >= 5
    assert {scene.signing for scene in found} == {None}
    assert {scene.place for scene in found} == {"33TWL"}
    assert {a.offset for s in found for a in s.assets.values()} == {0.0}, "shifted already"
    paths = {line["asked"]["collections"][0] for line in asked_of(planetary_computer)}
    assert paths == {"sentinel-1-rtc"}, "the partner is asked for radar alone"


def test_a_scene_in_two_sequences_is_kept_once(earth_search: Path) -> None:
    """Earth Search numbers products of one datatake and tile: _0_ and _1_."""
    items = json.loads((earth_search / "items.json").read_text())["features"]
    again = json.loads(json.dumps(items[0]))
    again["id"] = again["id"].replace("_0_L2A", "_1_L2A")
    facts = again["properties"]
    facts["s2:processing_baseline"] = "05.10"
    facts["s2:datatake_id"] = facts["s2:datatake_id"].replace("05.09", "05.10")
    here = archive("earth-search")
    scenes = [scene for item in (items[0], again) if (scene := scene_of(item, here, "/"))]
    selection = choose(scenes, Choice())
    assert [scene.id for scene in selection.kept] == [again["id"]]
    assert selection.dropped[0].reason == f"is an older double of {again['id']}"


def test_a_recorded_item_saved_to_a_file_knows_who_signs_and_loses_its_token(
    recorded: Path, tmp_path: Path
) -> None:
    """What was signed when it was saved would have expired; it is signed anew when it is read."""
    item = items_in(recorded, "test_smoke[sentinel-2-l2a]")[0]
    for asset in item["assets"].values():
        asset["href"] += "?st=1&se=2&sp=rl&sv=3&sr=c&sig=SECRET"
    index = tmp_path / "items.json"
    index.write_text(json.dumps({"type": "FeatureCollection", "features": [item]}))
    month = Period.parse(item["properties"]["datetime"][:7])
    (scene,) = search(archive(str(index)), area_of(item), month)
    assert scene.signing == "planetary-computer"
    assert not any("?" in asset.href for asset in scene.assets.values())
    assert "SECRET" not in repr(scene)


def test_an_error_of_the_archive_names_it_and_no_token(planetary_computer: Path) -> None:
    with (
        serving(planetary_computer, busy=10_000, status=403) as root,
        pytest.raises(ArchiveError, match="answers HTTP 403; check the address") as caught,
    ):
        search(archive(root), shapely.box(0, 0, 1, 1), Period.parse("2020"))
    assert "token" not in str(caught.value)


def test_grids_of_10_and_of_20_metres_reach_as_far_as_their_tile(recorded: Path) -> None:
    """A house states the grid of the item, of each asset, or of 20 m pixels alone."""
    paths = (
        "planetary_computer/sentinel-2-l2a-pc.json",
        "earth_search/S2A_33TWL_20230815_0_L2A.json",
        "aws_rtc/S1A_20200103_17RMJ_ASC.json",
    )
    for path in paths:
        document = json.loads((recorded / path).read_text())
        item = document[0] if isinstance(document, list) else document
        scene = scene_of(item, archive("https://stac.example.org"), "/")
        assert scene is not None
        assert scene.epsg is not None
        project = pyproj.Transformer.from_crs(4326, scene.epsg, always_xy=True).transform
        west, south, east, north = shapely.ops.transform(project, scene.extent).bounds
        assert east - west == pytest.approx(109_800, abs=30)
        assert north - south == pytest.approx(109_800, abs=30)
        assert scene.footprint.intersection(scene.extent).area >= 0.98 * scene.footprint.area


def test_a_recorded_item_at_180_degrees_lies_where_its_box_is(recorded: Path) -> None:
    """Its geometry has an empty ring where the part beyond 180 degrees was cut off."""
    (item,) = items_in(recorded, "test_s1_grd")
    assert item["geometry"]["coordinates"][0] == []
    scene = scene_of(item, archive("https://stac.example.org"), "/")
    assert scene is not None
    assert scene.footprint.bounds == pytest.approx(item["bbox"])
