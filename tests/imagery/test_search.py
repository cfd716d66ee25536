"""Searching a local index, in both forms it may have."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pyproj
import pytest
import shapely
import stac_geoparquet.arrow
from small_archive import SmallArchive

from mapper.errors import ArchiveError, SceneError
from mapper.imagery.archives import archive
from mapper.imagery.choice import Choice, choose
from mapper.imagery.period import Period
from mapper.imagery.search import search

JUNE = Period.parse("2024-06")
HERE = shapely.box(7.665, 47.83, 7.69, 47.84)


def as_parquet(small: SmallArchive) -> Path:
    path = small.folder / "items.parquet"
    batches = stac_geoparquet.arrow.parse_stac_items_to_arrow(small.items)
    stac_geoparquet.arrow.to_parquet(batches, path)
    return path


@pytest.fixture
def plain(small_archive: SmallArchive) -> SmallArchive:
    small_archive.optical("s1", "2024-06-01T10:00:00Z", size_px=32, cloud=20)
    small_archive.optical("s2", "2024-06-30T23:59:59Z", size_px=32, cloud=90)
    small_archive.optical("may", "2024-05-31T23:59:59Z", size_px=32)
    small_archive.radar("r1", "2024-06-02T05:00:00Z", size_px=32)
    return small_archive


AT = shapely.box(7.6631, 47.8445, 7.6635, 47.8455)


def test_filters_are_applied_and_scenes_sorted(plain: SmallArchive) -> None:
    found = search(archive(str(plain.index())), AT, JUNE)
    assert [scene.id for scene in found] == ["s1", "r1", "s2"]
    assert Path(found[0].assets["B02"].href).is_file()


def test_both_kinds_of_index_give_the_same_scenes(plain: SmallArchive) -> None:
    from_json = search(archive(str(plain.index())), AT, JUNE)
    from_parquet = search(archive(str(as_parquet(plain))), AT, JUNE)
    assert [scene.id for scene in from_parquet] == [scene.id for scene in from_json]
    for one, other in zip(from_json, from_parquet, strict=True):
        assert one.assets == other.assets
        assert (one.place, one.datatake, one.time, one.epsg) == (
            other.place,
            other.datatake,
            other.time,
            other.epsg,
        )


def split_tile(small: SmallArchive) -> None:
    """One tile: a whole look, and swath slivers on its western and its eastern side."""
    for name, day, part in (("whole", 1, (0, 1)), ("west", 5, (0, 0.2)), ("east", 9, (0.8, 1))):
        item = small.optical(name, f"2024-06-{day:02d}T10:00:00Z", size_px=256, cloud=10 - day)
        west, south, east, north = item["bbox"]
        cut = shapely.box(
            west + part[0] * (east - west), south, west + part[1] * (east - west), north
        )
        item["geometry"] = json.loads(shapely.to_geojson(cut))
        item["bbox"] = list(cut.bounds)


def test_a_search_is_completed_to_whole_tiles(small_archive: SmallArchive) -> None:
    split_tile(small_archive)
    index = archive(str(small_archive.index()))
    west_end, east_end = (
        shapely.box(7.664, 47.83, 7.6641, 47.84),
        shapely.box(7.696, 47.83, 7.6961, 47.84),
    )
    whole = shapely.box(7.66, 47.82, 7.70, 47.85)
    found = [
        {scene.id for scene in search(index, area, JUNE, reach_m=1)}
        for area in (west_end, east_end, whole)
    ]
    assert found == [{"whole", "west", "east"}] * 3


def test_the_choice_is_the_same_for_any_part_of_the_area(small_archive: SmallArchive) -> None:
    split_tile(small_archive)
    index = archive(str(small_archive.index()))
    kept = set()
    for area in (shapely.box(7.664, 47.83, 7.665, 47.84), shapely.box(7.69, 47.83, 7.691, 47.84)):
        scenes = search(index, area, JUNE, reach_m=1)
        kept.add(tuple(s.id for s in choose(scenes, Choice(optical_looks=1)).kept))
    assert kept == {("whole", "west", "east")}, "each shows ground that no clearer one shows"


def test_scenes_within_the_reach_of_a_window_are_found(plain: SmallArchive) -> None:
    plain.optical(
        "beside",
        "2024-06-03T10:00:00Z",
        tile="32TMT",
        size_px=64,
        corner_m=(399_960 + 5_000, 5_300_040),
    )
    index = archive(str(plain.index()))
    assert "beside" in {scene.id for scene in search(index, AT, JUNE)}
    assert "beside" not in {scene.id for scene in search(index, AT, JUNE, reach_m=1_000)}


def test_antimeridian_items_are_found_from_both_sides(small_archive: SmallArchive) -> None:
    to_zone_1 = pyproj.Transformer.from_crs(4326, 32701, always_xy=True)
    x, y = (round(v, -1) for v in to_zone_1.transform(180, -16.5))
    small_archive.optical(
        "fiji", "2024-06-01T22:00:00Z", epsg=32701, tile="01KAB", corner_m=(x - 1280, y + 1280)
    )
    index = archive(str(small_archive.index()))
    for lon in (179.99, -180.0):
        area = shapely.box(lon, -16.501, lon + 0.01, -16.5)
        assert [scene.id for scene in search(index, area, JUNE, reach_m=10)] == ["fiji"]
    found = search(index, shapely.box(-180, -16.501, -179.995, -16.5), JUNE)[0]
    assert found.extent.bounds[0] == -180
    assert found.extent.bounds[2] == 180


def test_an_area_outside_says_what_is_covered(plain: SmallArchive) -> None:
    with pytest.raises(SceneError) as caught:
        search(archive(str(plain.index())), shapely.box(100, 1, 101, 2), JUNE)
    message = str(caught.value)
    assert "lies outside the archive items.json, which covers longitudes 7.66 to 7.67" in message
    assert "from 2024-05-31 to 2024-06-30" in message


def test_another_period_says_when_there_are_scenes(plain: SmallArchive) -> None:
    with pytest.raises(SceneError, match=r"has no scene of the area in 2020.*from 2024-05-31 to"):
        search(archive(str(plain.index())), AT, Period.parse("2020"))


def test_an_archive_without_items_says_so(small_archive: SmallArchive) -> None:
    with pytest.raises(SceneError, match="has no item of sentinel-2-l2a"):
        search(archive(str(small_archive.index())), HERE, JUNE)


def test_items_of_other_collections_are_no_scenes(plain: SmallArchive) -> None:
    other = copy.deepcopy(plain.items[-1]) | {"id": "dem", "collection": "cop-dem-glo-30"}
    plain.items.append(other)
    assert "dem" not in {scene.id for scene in search(archive(str(plain.index())), AT, JUNE)}


def test_radar_in_ground_range_is_found_and_refused_with_the_reason(plain: SmallArchive) -> None:
    on_a_map = copy.deepcopy(plain.items[-1]) | {"id": "grd", "collection": "sentinel-1-grd"}
    in_radar_geometry = copy.deepcopy(on_a_map) | {"id": "raw"}
    for name in ("proj:epsg", "proj:transform", "proj:shape"):
        del in_radar_geometry["properties"][name]
    plain.items += [on_a_map, in_radar_geometry]
    scenes = search(archive(str(plain.index())), AT, JUNE)
    reasons = {v.scene.id: v.reason for v in choose(scenes, Choice()).dropped}
    assert "slopes would pass for land cover; the recipe key allow_grd" in reasons["grd"]
    assert "in the radar's own geometry" in reasons["raw"]
    asked_for = choose(scenes, Choice(allow_grd=True))
    reasons = {v.scene.id: v.reason for v in asked_for.dropped}
    assert "in the radar's own geometry" in reasons["raw"], "nobody could read it"
    assert reasons["grd"] == "is an older double of r1", "the terrain-corrected one is better"
    alone = choose([s for s in scenes if s.id != "r1"], Choice(allow_grd=True))
    assert "grd" in {scene.id for scene in alone.kept}
    assert any("not terrain-corrected" in note for note in alone.notes)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("items.json", "<html>", "is no index of STAC items"),
        ("items.json", "[]", 'its type is "list"'),
        ("items.json", '{"type": "Catalog", "links": []}', 'its type is "Catalog"'),
        ("items.json", '{"type": "FeatureCollection", "features": [{"id": 1}]}', "no assets"),
        ("items.json", '{"type": "FeatureCollection"}', "features"),
        ("items.parquet", "PAR1 damaged", "is no index of STAC items"),
        ("items.parquet", "", "is no index of STAC items"),
    ],
)
def test_a_damaged_index_is_an_error_of_the_archive(
    tmp_path: Path, name: str, content: str, words: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(ArchiveError) as caught:
        search(archive(str(path)), HERE, JUNE)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_that_gdal_gives_to_files_come_out_readable_and_unsigned(plain: SmallArchive) -> None:
    for item in plain.items:
        for asset in item["assets"].values():
            asset["href"] = f"/vsicurl/https://x.org/{asset['href']}?sig=SECRET"
    scenes = search(archive(str(plain.index())), AT, JUNE)
    assert scenes[0].assets["B02"].href == "/vsicurl/https://x.org/s1/B02.tif"
    assert "SECRET" not in repr(scenes)


def test_an_index_that_changes_is_read_again(plain: SmallArchive) -> None:
    index = archive(str(plain.index()))
    assert len(search(index, AT, JUNE)) == 3
    plain.radar("r2", "2024-06-04T05:00:00Z", size_px=32)
    plain.index()
    assert len(search(index, AT, JUNE)) == 4
