"""Claims about the frozen scene list: what goes in comes out, and anybody can read it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import geopandas
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from made_scenes import scene

from mapper.errors import OutputError, RequestError
from mapper.imagery.bands import Sensor
from mapper.imagery.choice import Choice, Selection, choose
from mapper.imagery.period import Period
from mapper.imagery.scene_list import SceneList, read_scene_list, write_scene_list
from mapper.imagery.scenes import Asset, Scene

CHOICE = Choice(optical_looks=1, radar_looks=2, max_cloud_percent=33.3)
ANTIMERIDIAN = shapely.MultiPolygon(
    [shapely.box(179.5, -17, 180, -16), shapely.box(-180, -17, -179.5, -16)]
)


def listed(*scenes: Scene, choice: Choice = CHOICE) -> SceneList:
    selection = choose(scenes, choice, allow_radar_only=True)
    bounds = (8.0, 47.0, 9.0, 48.0)
    return SceneList(selection, "pc.toml", Period.parse("2024-06"), choice, "BOX", bounds)


def some() -> list[Scene]:
    odd = replace(
        scene("odd", day=2.123456, cloud=12.25),
        epsg=None,
        baseline=None,
        orbit_state="descending",
        signing="planetary-computer",
        simulated=True,
        footprint=ANTIMERIDIAN,
        assets={"B02": Asset("https://x.org/ä b.tif", None, 0.1 + 0.2, -1000.0)},
    )
    radar = [scene(f"r{n}", Sensor.RADAR, day=n, place="R022") for n in (1, 13, 25)]
    flat = replace(radar[0], id="flat", terrain_corrected=False, datatake="x")
    return [scene("a"), scene("b", cloud=50), scene("c", cloud=None), odd, *radar, flat]


def test_a_list_is_read_back_as_it_was(tmp_path: Path) -> None:
    before = listed(*some())
    write_scene_list(tmp_path / "scenes.parquet", before)
    after = read_scene_list(tmp_path / "scenes.parquet")
    assert after == before
    assert after.selection.notes == before.selection.notes
    assert after.settings["radar_looks"] == 2


@given(
    st.datetimes(datetime(2015, 1, 1), datetime(2035, 1, 1)),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(0, 100),
    st.one_of(st.none(), st.integers(0, 100_000)),
)
@settings(max_examples=30, deadline=None)
def test_every_value_survives(
    tmp_path_factory: pytest.TempPathFactory,
    time: datetime,
    offset: float,
    cloud: float,
    epsg: int | None,
) -> None:
    path = tmp_path_factory.mktemp("list") / "scenes.parquet"
    one = scene("a", cloud=cloud)
    assets = {name: replace(asset, offset=offset) for name, asset in one.assets.items()}
    one = replace(one, time=time.replace(tzinfo=UTC), epsg=epsg, assets=assets)
    before = listed(one, choice=Choice(max_cloud_percent=100))
    write_scene_list(path, before)
    assert read_scene_list(path) == before


def test_equal_lists_make_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_scene_list(tmp_path / name, listed(*some()))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"], "nothing is left over"


def test_other_programs_read_it(tmp_path: Path) -> None:
    path = tmp_path / "scenes.parquet"
    write_scene_list(path, listed(*some()))
    frame = geopandas.read_parquet(path)
    assert len(frame) == 8
    assert frame.crs.to_epsg() in (4326, None) or frame.crs.name == "WGS 84 (CRS84)"
    kept = frame[frame.kept]
    assert list(kept.id) == ["a", "r1", "odd", "r13"] or set(kept.id) >= {"a", "r1"}
    assert frame.geometry.iloc[0].bounds == (8, 47, 9, 48)
    assert set(frame.rule) >= {"clearest", "cloud", "earliest", "terrain"}


def test_an_empty_list_is_a_list(tmp_path: Path) -> None:
    nothing = replace(listed(scene("a")), selection=Selection(()))
    write_scene_list(tmp_path / "scenes.parquet", nothing)
    assert read_scene_list(tmp_path / "scenes.parquet") == nothing


def test_what_is_no_list_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "scenes.parquet"
    with pytest.raises(RequestError, match="there is no scene list at"):
        read_scene_list(path)
    path.write_text("PAR1")
    with pytest.raises(RequestError, match=r"is no scene list of mapper.*give the scenes\.parquet"):
        read_scene_list(path)
    whole = tmp_path / "whole.parquet"
    write_scene_list(whole, listed(*some()))
    path.write_bytes(whole.read_bytes()[:-300])
    with pytest.raises(RequestError, match="is no scene list of mapper") as caught:
        read_scene_list(path)
    assert "\n" not in str(caught.value)
    table = pq.read_table(whole)
    pq.write_table(table.replace_schema_metadata({}), path)
    with pytest.raises(RequestError, match="is no scene list of mapper"):
        read_scene_list(path)
    pq.write_table(table.drop_columns(["rule"]), path)
    with pytest.raises(RequestError, match="is no scene list of mapper"):
        read_scene_list(path)


def test_a_folder_that_is_not_there_is_an_error_of_the_output(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"scene list .* cannot be written"):
        write_scene_list(tmp_path / "nowhere" / "scenes.parquet", listed(scene("a")))
