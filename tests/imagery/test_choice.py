"""Claims about the choice: global, explained, and the same whoever asks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from made_scenes import ids, scene

from mapper.errors import RequestError, SceneError
from mapper.imagery.bands import Sensor
from mapper.imagery.choice import Choice, Rule, Selection, choose
from mapper.imagery.period import Period
from mapper.imagery.scenes import Scene


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


# the ground


WHOLE = shapely.box(8, 47, 9, 48)
SLIVER = shapely.box(8.94, 47, 9, 48)


def story(selection: Selection) -> dict[str, tuple[bool, str]]:
    return {v.scene.id: (v.kept, v.reason) for v in selection.verdicts}


def test_an_older_slice_that_shows_more_than_a_newer_one_is_no_double() -> None:
    spans = {"r1": (48.25, 48.75), "r2": (47, 48.5), "r3": (47, 48), "r0": (47.02, 47.98)}
    slices = [
        scene(name, Sensor.RADAR, place="R066", datatake="take", footprint=shapely.box(8, s, 9, n))
        for name, (s, n) in spans.items()
    ]
    told = story(choose(slices, Choice(), allow_radar_only=True))
    assert [name for name, (kept, _) in told.items() if not kept] == ["r0"]
    assert told["r0"][1] == "is an older double of r3"


@pytest.mark.parametrize(("beyond_deg", "kept"), [(0.003, {"r2"}), (0.05, {"r1", "r2"})])
def test_an_older_radar_slice_is_no_double_where_it_alone_shows_ground(
    beyond_deg: float, kept: set[str]
) -> None:
    """A district on the ground beyond would find the older slice alone, and its country both."""
    grounds = {"r1": shapely.box(8, 47, 9, 48 + beyond_deg), "r2": shapely.box(8, 47, 9, 48)}
    slices = [
        scene(name, Sensor.RADAR, place="R066", datatake="take", footprint=ground)
        for name, ground in grounds.items()
    ]
    assert set(ids(choose(slices, Choice(), allow_radar_only=True).kept)) == kept


def test_a_clear_sliver_at_the_edge_of_a_swath_pushes_nothing_out() -> None:
    sliver = scene("sliver", day=1, cloud=0, footprint=SLIVER)
    whole = scene("whole", day=2, cloud=30)
    worse = scene("worse", day=3, cloud=50)
    told = story(choose([sliver, whole, worse], Choice(optical_looks=1)))
    assert told["sliver"] == (True, "is the 1st clearest of 32TNT in 2024-06")
    assert told["whole"] == (True, "is the 1st clearest of 32TNT in 2024-06"), "of the rest"
    assert told["worse"] == (False, "is not among the 1 clearest of 32TNT in 2024-06")


def test_a_cloudy_sliver_is_dropped_where_it_adds_nothing() -> None:
    whole = scene("whole", day=1, cloud=1)
    sliver = scene("sliver", day=2, cloud=9, footprint=SLIVER)
    assert ids(choose([sliver, whole], Choice(optical_looks=1)).kept) == ["whole"]


def test_ground_smaller_than_the_lattice_of_samples_is_still_ground() -> None:
    tiny = [
        scene(f"t{n}", day=n, cloud=n, footprint=shapely.box(8.01, 47.01, 8.02, 47.02))
        for n in (1, 2, 3)
    ]
    assert ids(choose(tiny, Choice(optical_looks=2)).kept) == ["t1", "t2"]
    beside = scene("b", day=4, cloud=40, footprint=shapely.box(8.03, 47.01, 8.04, 47.02))
    assert ids(choose([*tiny, beside], Choice(optical_looks=2)).kept) == ["t1", "t2", "b"]


def test_ground_on_both_sides_of_180_degrees_is_counted_once() -> None:
    parts = shapely.MultiPolygon(
        [shapely.box(179.5, -17, 180, -16), shapely.box(-180, -17, -179.5, -16)]
    )
    passes = [scene(f"p{n}", day=n, cloud=n, footprint=parts, place="01KAB") for n in (1, 2, 3)]
    assert ids(choose(passes, Choice(optical_looks=2)).kept) == ["p1", "p2"]
    east = replace(passes[2], id="east", footprint=shapely.box(179.5, -17, 180, -16))
    assert ids(choose([*passes[:2], east], Choice(optical_looks=2)).kept) == ["p1", "p2"]


def boxes(draw: st.DrawFn, high: float = 3.0) -> shapely.Polygon:
    west, south = draw(st.floats(0, high)), draw(st.floats(0, high))
    width, height = draw(st.floats(0.06, 1.5)), draw(st.floats(0.06, 1.5))
    return shapely.box(8 + west, 47 + south, 8 + west + width, 47 + south + height)


@st.composite
def radar_slices(draw: st.DrawFn) -> list[Scene]:
    count = draw(st.integers(1, 14))
    days = [draw(st.integers(1, 28)) for _ in range(count)]
    return [
        scene(
            f"r{number}",
            Sensor.RADAR,
            day=day,
            place="R066",
            datatake=f"take {day}",
            footprint=boxes(draw),
        )
        for number, day in enumerate(days)
    ]


@given(radar_slices(), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_what_becomes_of_a_radar_scene_follows_from_those_it_shares_ground_with(
    slices: list[Scene], looks: int
) -> None:
    """What a search that completes orbits finds is enough, whatever the area."""
    choice = Choice(radar_looks=looks)
    whole = story(choose(slices, choice, allow_radar_only=True))
    for one in slices:
        around = [other for other in slices if other.footprint.intersects(one.footprint)]
        assert story(choose(around, choice, allow_radar_only=True))[one.id] == whole[one.id]


@st.composite
def optical_looks(draw: st.DrawFn) -> list[Scene]:
    count = draw(st.integers(1, 12))
    return [
        scene(
            f"o{number}",
            day=draw(st.integers(1, 28)),
            cloud=float(draw(st.integers(0, 100))),
            footprint=boxes(draw, 0.5),
        )
        for number in range(count)
    ]


@given(optical_looks(), st.integers(1, 3), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_every_place_on_the_ground_has_its_clearest_looks(
    looks: list[Scene], count: int, few: int
) -> None:
    choice = Choice(max_cloud_percent=60, optical_looks=count, min_optical_looks=min(few, count))
    kept = choose(looks, choice, allow_radar_only=True).kept if _any_clear(looks, choice) else ()
    for x, y in np.stack(np.meshgrid(8.05 + np.arange(38) * 0.05, [47.3, 47.65]), -1).reshape(
        -1, 2
    ):
        here = [look for look in looks if shapely.contains_xy(look.footprint, x, y)]
        clear = sorted(
            (look for look in here if (look.cloud_percent or 0) <= 60),
            key=lambda look: (look.cloud_percent, look.time, look.id),
        )
        wanted = clear[:count] if kept else []
        assert set(ids(tuple(wanted))) <= set(ids(tuple(kept)))
        if kept and len(clear) < choice.min_optical_looks:
            there = [look for look in kept if look in here]
            assert len(there) >= min(choice.min_optical_looks, len(here))


def _any_clear(looks: list[Scene], choice: Choice) -> bool:
    return bool(choice.min_optical_looks) or any((s.cloud_percent or 0) <= 60 for s in looks)


def test_a_minimum_takes_the_clearest_beyond_the_limit_and_says_so() -> None:
    cloudy = [scene(f"c{cloud}", day=day, cloud=cloud) for day, cloud in enumerate((90, 70, 80), 1)]
    july = scene("july", day=32, cloud=10)
    told = choose([*cloudy, july], Choice(min_optical_looks=2))
    assert ids(told.kept) == ["c70", "july"], "the minimum is of the period, not of each month"
    verdict = next(v for v in told.verdicts if v.scene.id == "c70")
    assert verdict.rule is Rule.MINIMUM
    assert verdict.reason == (
        "70 % of it is cloudy, more than 60 %, but 32TNT has fewer than 2 clearer looks in the"
        " whole period"
    )
    assert ids(choose([*cloudy, july], Choice()).kept) == ["july"], "none is asked for by default"


def test_a_minimum_above_the_looks_is_refused() -> None:
    with pytest.raises(RequestError, match="min_optical_looks is 5, wanted a number from 0 to"):
        Choice(min_optical_looks=5)


@pytest.mark.parametrize(
    ("rank", "word"), [(2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (22, "22nd")]
)
def test_ranks_are_spelled(rank: int, word: str) -> None:
    many = [scene(f"s{n:02d}", day=1 + n / 10, cloud=n) for n in range(rank)]
    told = choose(many, Choice(optical_looks=30)).verdicts
    assert told[-1].reason == f"is the {word} clearest of 32TNT in 2024-06"


def test_radar_in_ground_range_is_refused_unless_asked_for() -> None:
    flat = replace(scene("g", Sensor.RADAR, place="R022"), terrain_corrected=False)
    raw = replace(flat, id="raw", epsg=None, datatake="other")
    told = choose([scene("o"), flat, raw], Choice())
    assert [(v.scene.id, v.rule) for v in told.dropped] == [
        *(("g", Rule.TERRAIN), ("raw", Rule.TERRAIN))
    ]
    assert "slopes would pass for land cover; the recipe key allow_grd" in told.dropped[0].reason
    asked = choose([scene("o"), flat, raw], Choice(allow_grd=True))
    assert ids(asked.of(Sensor.RADAR)) == ["g"]
    assert any("slopes may pass" in note for note in asked.notes)
    assert "not calibrated and on no map" in asked.dropped[0].reason


def test_a_selection_near_some_ground_keeps_its_verdicts() -> None:
    here = scene("here", cloud=1)
    beside = scene("beside", day=2, cloud=2, footprint=shapely.box(9.5, 47, 10, 48), place="32TPT")
    cloudy = scene("cloudy", day=3, cloud=90)
    whole = choose([here, beside, cloudy], Choice())
    near = whole.near(shapely.box(8.2, 47.2, 8.3, 47.3))
    assert story(near) == {n: told for n, told in story(whole).items() if n != "beside"}
    assert [v.scene.id for v in near.dropped] == ["cloudy"]
