from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from mapper.errors import RequestError, SceneError
from mapper.imagery.bands import OPTICAL_NAMES, RADAR_NAMES, Sensor
from mapper.imagery.choice import Choice, choose
from mapper.imagery.period import Period
from mapper.imagery.scenes import Asset, Scene, looks_of
from mapper.land.grid import Zone

SQUARE = shapely.box(8, 47, 9, 48)
BANDS = {Sensor.OPTICAL: (*OPTICAL_NAMES, "SCL"), Sensor.RADAR: RADAR_NAMES}


def scene(
    name: str,
    sensor: Sensor = Sensor.OPTICAL,
    *,
    day: float = 1.0,
    cloud: float | None = 10.0,
    place: str = "32TNT",
    datatake: str | None = None,
    baseline: str | None = "05.09",
    footprint: shapely.Geometry = SQUARE,
    without: tuple[str, ...] = (),
    epsg: int = 32632,
) -> Scene:
    return Scene(
        id=name,
        sensor=sensor,
        time=datetime(2024, 6, 1, 10, tzinfo=UTC) + timedelta(days=day - 1),
        footprint=footprint,
        extent=footprint,
        cloud_percent=cloud if sensor is Sensor.OPTICAL else None,
        place=place,
        datatake=datatake or f"take of {name}",
        orbit_state=None,
        baseline=baseline,
        generated="",
        epsg=epsg,
        assets={n: Asset(f"/{n}.tif", 0, 1, 0) for n in BANDS[sensor] if n not in without},
    )


def ids(scenes: tuple[Scene, ...]) -> list[str]:
    return [scene.id for scene in scenes]


def test_the_clearest_of_each_tile_and_month_are_kept() -> None:
    june = [scene(f"j{n}", day=n, cloud=cloud) for n, cloud in enumerate([30, 5, 20, 50], 1)]
    july = [scene("y1", day=31, cloud=59)]
    other = [scene("o1", day=1, cloud=58, place="32TPT")]
    selection = choose(june + july + other, Choice(optical_looks=2))
    assert ids(selection.kept) == ["o1", "j2", "j3", "y1"]
    reasons = {item.scene.id: item.reason for item in selection.dropped}
    assert reasons["j1"] == "is not among the 2 clearest of 32TNT in 2024-06"


def test_ties_go_to_the_earlier_scene_and_then_to_the_lesser_id() -> None:
    equal = [scene("b", day=2), scene("c", day=1), scene("a", day=2)]
    assert ids(choose(equal, Choice(optical_looks=2)).kept) == ["c", "a"]


def test_of_a_datatake_processed_twice_the_newest_baseline_is_kept() -> None:
    old = scene("old", datatake="T", baseline="02.14", cloud=1)
    new = scene("new", datatake="T", baseline="05.00", cloud=9)
    latest = scene("latest", datatake="T", baseline="10.00", cloud=20)
    selection = choose([new, latest, old], Choice())
    assert ids(selection.kept) == ["latest"]
    assert {item.reason for item in selection.dropped} == {"is an older double of latest"}


def test_the_newest_baseline_loses_when_it_lacks_a_band() -> None:
    old = scene("old", datatake="T", baseline="02.14")
    new = scene("new", datatake="T", baseline="05.00", without=("B11",))
    selection = choose([new, old], Choice())
    assert ids(selection.kept) == ["old"]
    assert selection.dropped[0].reason == "has no B11"


def test_halves_of_a_split_scene_are_no_doubles_and_count_once() -> None:
    west = scene("west", datatake="T", footprint=shapely.box(8, 47, 8.52, 48))
    east = scene("east", datatake="T", footprint=shapely.box(8.5, 47, 9, 48))
    cloudier = scene("cloudier", day=2, cloud=20)
    selection = choose([west, east, cloudier], Choice(optical_looks=1))
    assert sorted(ids(selection.kept)) == ["east", "west"]


def test_unknown_cloud_cover_is_kept_but_ranks_last() -> None:
    selection = choose([scene("silent", cloud=None), scene("cloudy", cloud=60)], Choice())
    assert ids(selection.kept) == ["cloudy", "silent"]
    assert any("state no cloud cover" in note for note in selection.notes)
    one = choose([scene("silent", cloud=None), scene("cloudy", cloud=60)], Choice(optical_looks=1))
    assert ids(one.kept) == ["cloudy"]


def test_radar_without_vh_is_dropped_with_the_reason() -> None:
    single = scene("single", Sensor.RADAR, without=("VH",))
    selection = choose([scene("o"), single], Choice())
    assert selection.dropped[0].reason == "has no VH"
    assert any("no Sentinel-1 scene" in note for note in selection.notes)


def test_radar_is_limited_per_orbit_and_month_where_asked() -> None:
    passes = [scene(f"r{day}", Sensor.RADAR, day=day, place="R022") for day in (1, 13, 25)]
    other = scene("s5", Sensor.RADAR, day=5, place="R066")
    chosen = choose([scene("o"), *passes, other], Choice(radar_looks=2))
    assert ids(chosen.of(Sensor.RADAR)) == ["r1", "s5", "r13"]
    assert len(choose([scene("o"), *passes, other], Choice()).of(Sensor.RADAR)) == 4


def test_no_scene_at_all_names_the_sensor_the_area_and_the_period() -> None:
    with pytest.raises(SceneError) as caught:
        choose([], Choice(), area="Liechtenstein", period=Period.parse("2024-06"))
    message = str(caught.value)
    assert message.startswith("no Sentinel-2 scene covers Liechtenstein in 2024-06-01/2024-06-30")
    assert "--period" in message


def test_all_too_cloudy_says_how_cloudy_the_clearest_is() -> None:
    with pytest.raises(SceneError, match=r"clearest has 64 %\); raise --max-cloud or widen"):
        choose([scene("a", cloud=64), scene("b", cloud=90)], Choice(max_cloud_percent=30))


def test_no_scene_with_all_bands_names_the_lack() -> None:
    with pytest.raises(SceneError, match=r"none of the 1 Sentinel-2 scenes .* has no B12"):
        choose([scene("a", without=("B12",))], Choice())


def test_radar_alone_must_be_allowed() -> None:
    radar = [scene("r", Sensor.RADAR)]
    with pytest.raises(SceneError):
        choose(radar, Choice())
    allowed = choose(radar, Choice(), allow_radar_only=True)
    assert ids(allowed.kept) == ["r"]
    assert any("radar alone" in note for note in allowed.notes)
    with pytest.raises(SceneError, match="no Sentinel-2 or Sentinel-1 scene"):
        choose([], Choice(), allow_radar_only=True)


def test_scenes_without_classification_are_named() -> None:
    selection = choose([scene("a", without=("SCL",)), scene("b", day=2)], Choice())
    assert selection.scenes_without_scl == ("a",)
    assert any(
        note.startswith("1 of 2 Sentinel-2 scenes have no scene") for note in selection.notes
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_cloud_percent": 101.0},
        {"max_cloud_percent": -1.0},
        {"optical_looks": 0},
        {"radar_looks": 0},
    ],
)
def test_a_senseless_choice_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(RequestError):
        Choice(**wrong)  # type: ignore[arg-type]


scenes_strategy = st.lists(
    st.builds(
        scene,
        name=st.uuids().map(str),
        sensor=st.sampled_from(Sensor),
        day=st.integers(1, 70),
        cloud=st.one_of(st.none(), st.integers(0, 100)),
        place=st.sampled_from(["32TNT", "32TPT", "33UVP"]),
        datatake=st.sampled_from(["T1", "T2", "T3", "T4", "T5"]),
        baseline=st.sampled_from(["02.14", "05.00", "05.09", None]),
        without=st.sampled_from([(), (), (), ("B05",), ("SCL",)]),
    ),
    max_size=25,
    unique_by=lambda s: s.id,
)
choices = st.builds(
    Choice,
    max_cloud_percent=st.integers(0, 100),
    optical_looks=st.integers(1, 4),
    radar_looks=st.one_of(st.none(), st.integers(1, 3)),
)


def chosen(scenes: list[Scene], choice: Choice) -> set[str]:
    try:
        return set(ids(choose(scenes, choice, allow_radar_only=True).kept))
    except SceneError:
        return set()


@given(scenes_strategy, choices, st.randoms())
@settings(max_examples=80, deadline=None)
def test_the_choice_does_not_depend_on_the_order(scenes, choice, random) -> None:
    shuffled = list(scenes)
    random.shuffle(shuffled)
    assert chosen(shuffled, choice) == chosen(scenes, choice)


@given(scenes_strategy, choices, st.sets(st.sampled_from(["32TNT", "32TPT", "33UVP"])))
@settings(max_examples=80, deadline=None)
def test_the_choice_of_a_place_does_not_depend_on_other_places(scenes, choice, places) -> None:
    everything = chosen(scenes, choice)
    some = [item for item in scenes if item.place in places]
    assert chosen(some, choice) == everything & {item.id for item in some}


@given(scenes_strategy, choices)
@settings(max_examples=60, deadline=None)
def test_every_scene_is_kept_or_dropped_with_a_reason(scenes, choice) -> None:
    try:
        selection = choose(scenes, choice, allow_radar_only=True)
    except SceneError:
        return
    dropped = [item.scene.id for item in selection.dropped]
    assert sorted(ids(selection.kept) + dropped) == sorted(item.id for item in scenes)
    assert all(item.reason for item in selection.dropped)


def test_looks_are_overpasses_in_order_of_time_own_zone_first() -> None:
    late = scene("late", day=3, datatake="T3")
    twin = scene("33", day=1, datatake="T1", epsg=32633, place="33TUN")
    own = scene("32", day=1.001, datatake="T1", place="32TPT")
    radar = scene("r", Sensor.RADAR, day=2, datatake="T1")
    looks = looks_of([late, own, radar, twin], Zone(32, False))
    assert [ids(look.scenes) for look in looks] == [["32", "33"], ["r"], ["late"]]
    assert looks[0].time == twin.time
    in_33 = looks_of([late, own, radar, twin], Zone(33, False))
    assert ids(in_33[0].scenes) == ["33", "32"]


def test_scenes_travel_to_workers_unchanged() -> None:
    one = scene("a")
    assert pickle.loads(pickle.dumps(one)) == one
    assert replace(one, id="b") != one
