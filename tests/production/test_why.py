"""Claims about the story of a tile: it is the choice's own, and neighbours tell the same."""

from __future__ import annotations

from itertools import combinations

import pytest
import shapely
from test_plan import EVERYWHERE, GROUND, RECIPE, plan, scene

from mapper.errors import RequestError
from mapper.imagery.bands import Sensor
from mapper.production.plan import Plan
from mapper.production.why import verdicts_at, why_facts, why_lines


@pytest.fixture(scope="module")
def made() -> Plan:
    """Tiles that see different scenes, some of them dropped, by different rules."""
    west = shapely.box(8.5, 46.5, 9.49, 47.6)
    extra = [
        scene("cloudy", Sensor.OPTICAL, GROUND, cloud_percent=99.0, place="32TNT"),
        scene("west", Sensor.OPTICAL, west, place="32TMT"),
        scene("bare", Sensor.RADAR, west, assets={}),
        scene("far", Sensor.OPTICAL, shapely.box(20, 46, 21, 47), place="34TDT"),
    ]
    return plan([*EVERYWHERE, *extra])


def test_what_is_kept_is_what_the_tile_reads(made: Plan) -> None:
    for planned in made.tiles:
        told = verdicts_at(made, planned.tile.name)
        kept = {verdict.scene.id for verdict in told if verdict.kept}
        assert kept == {one.id for one in planned.scenes()}
        assert "far" not in {verdict.scene.id for verdict in told}


def test_neighbours_tell_the_same_of_the_scenes_they_share(made: Plan) -> None:
    stories = [
        {one["id"]: one for one in why_facts(made, planned.tile.name)["scenes"]}
        for planned in made.tiles
    ]
    assert len({frozenset(story) for story in stories}) > 1, "they do not all see the same"
    for one, other in combinations(stories, 2):
        for name in set(one) & set(other):
            assert one[name] == other[name]


def test_each_scene_has_its_rule_and_reason(made: Plan) -> None:
    told = {v.scene.id: v for t in made.tiles for v in verdicts_at(made, t.tile.name)}
    assert told["cloudy"].reason == "99 % of it is cloudy, more than 60 %"
    assert told["bare"].reason == "has no VV, VH"
    assert told["S2"].reason == "is the 1st clearest of S2 in 2024-06"
    assert told["S1"].reason == "is a pass of S1"


def test_a_person_reads_the_same_as_a_program(made: Plan) -> None:
    name = made.tiles[0].tile.name
    facts, lines = why_facts(made, name), list(why_lines(made, name))
    kept = sum(one["kept"] for one in facts["scenes"])
    assert lines[0] == f"{name}: {kept} of {len(facts['scenes'])} scenes that may show it are read"
    assert len(lines) == 2 + len(facts["scenes"])
    for one, line in zip(facts["scenes"], lines[2:], strict=True):
        assert line.startswith("kept" if one["kept"] else "dropped")
        assert f" {one['id']} " in line
        assert line.endswith(one["reason"])


def test_a_tile_that_is_not_planned_names_the_nearest(made: Plan) -> None:
    first = made.tiles[0].tile.name
    with pytest.raises(RequestError, match=rf"no tile {first}9 \(the nearest .* is {first}\)"):
        verdicts_at(made, f"{first}9")
    assert RECIPE.tile_px == 512
