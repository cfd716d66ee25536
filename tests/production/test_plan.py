"""Claims about plans: what is read and made follows from outlines alone, whatever the cut."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
import shapely

from mapper.errors import SceneError
from mapper.imagery.bands import OPTICAL_NAMES, RADAR_NAMES, Sensor
from mapper.imagery.choice import Choice, choose
from mapper.imagery.scenes import Asset, Period, Scene
from mapper.inference.windows import needed_region, windows_touching
from mapper.land.area import Area
from mapper.land.grid import outlines
from mapper.production.estimate import Team, cost_of
from mapper.production.plan import Plan, make_plan, planned_tiles
from mapper.production.recipe import Recipe
from mapper.production.report import plan_facts, plan_lines

GROUND = shapely.box(9.50, 47.05, 9.62, 47.20)
AREA = Area("BOX", "a box by the Rhine", GROUND)
RECIPE = Recipe(period=Period.parse("2024-06"), archive="here", precision="fp32", tile_px=512)


def scene(name: str, sensor: Sensor, ground: shapely.Polygon, **changes: object) -> Scene:
    names = (*OPTICAL_NAMES, "SCL") if sensor is Sensor.OPTICAL else RADAR_NAMES
    made = Scene(
        id=name,
        sensor=sensor,
        time=datetime(2024, 6, 3, 10, tzinfo=UTC),
        footprint=ground,
        extent=ground,
        cloud_percent=10.0 if sensor is Sensor.OPTICAL else None,
        place=name,
        datatake=name,
        orbit_state=None,
        baseline=None,
        generated="",
        epsg=32632,
        assets={band: Asset(f"/{name}/{band}.tif", 0, 1, 0) for band in names},
    )
    return replace(made, **changes)  # type: ignore[arg-type]


EVERYWHERE = [
    scene("S2", Sensor.OPTICAL, shapely.box(9, 46.5, 10.3, 47.6)),
    scene("S1", Sensor.RADAR, shapely.box(5, 45, 12, 49)),
]


def plan(scenes: list[Scene], recipe: Recipe = RECIPE, area: Area = AREA) -> Plan:
    selection = choose(scenes, Choice(), allow_radar_only=recipe.allow_radar_only)
    tiles = planned_tiles(outlines(area.geometry), recipe.tile_px, selection)
    return make_plan(
        area, recipe, selection, tiles, Team(1, 1, 2), cost_of(3_700_000, "fp32", "cpu", True)
    )


def test_the_area_is_shared_out_among_the_tiles_whatever_their_size() -> None:
    sizes = [plan(EVERYWHERE, replace(RECIPE, tile_px=size)) for size in (512, 1024, 4096)]
    assert len({round(made.area_km2, 6) for made in sizes}) == 1
    assert sizes[0].area_km2 == pytest.approx(152, rel=0.01)


def test_windows_and_reads_cover_what_the_pixels_will_need() -> None:
    for planned in plan(EVERYWHERE).tiles:
        wanted = planned.outline.mask(planned.tile.region)
        needed = windows_touching(planned.tile.region, wanted)
        assert set(needed) <= set(planned.windows)
        inside = needed_region(planned.tile.region, wanted)
        assert inside.intersection(planned.read) == inside


def test_a_tile_reads_11_bytes_per_optical_and_8_per_radar_pixel_of_what_it_needs() -> None:
    for planned in plan(EVERYWHERE).tiles:
        pixels = planned.read.width * planned.read.height
        assert planned.read_bytes == pytest.approx(pixels * (11.25 + 8), abs=2)


def test_a_scene_beside_a_tile_is_not_read_for_it_but_one_in_its_halo_is() -> None:
    # The tiles lie between 9.46 and 9.67 degrees east; 512 px are 0.067 degrees.
    west = scene("west", Sensor.OPTICAL, shapely.box(8.5, 46.5, 9.49, 47.6))
    tiles = plan([*EVERYWHERE, west]).tiles
    with_west = {t.tile.column for t in tiles if any(s.id == "west" for s in t.scenes())}
    without = {t.tile.column for t in tiles} - with_west
    assert with_west
    assert without
    assert max(with_west) < min(without)


def test_looks_keep_their_global_order_in_every_tile() -> None:
    days = [
        scene(f"day{day}", Sensor.OPTICAL, GROUND, time=datetime(2024, 6, day, tzinfo=UTC))
        for day in (9, 2, 5)
    ]
    for planned in plan([*days, EVERYWHERE[1]]).tiles:
        times = [look.time for look in planned.looks]
        assert times == sorted(times)


def test_what_a_map_lacks_is_said_before_it_is_made() -> None:
    bare = replace(
        EVERYWHERE[0], assets={name: EVERYWHERE[0].assets[name] for name in OPTICAL_NAMES}
    )
    half = replace(EVERYWHERE[1], extent=shapely.box(9, 46.5, 9.42, 47.6))
    notes = " ".join(plan([bare, half]).notes)
    assert "1 of 1 Sentinel-2 scenes have no scene classification" in notes
    assert "tiles have no Sentinel-1 scene" in notes
    part = scene("part", Sensor.OPTICAL, shapely.box(9.5, 47.05, 9.55, 47.08))
    assert "no Sentinel-2 scene: they stay without a class" in " ".join(plan([part]).notes)


def test_scenes_that_all_lie_elsewhere_are_refused() -> None:
    with pytest.raises(SceneError, match="a box by the Rhine"):
        plan([scene("far", Sensor.OPTICAL, shapely.box(20, 46, 21, 47))])


def test_an_area_on_both_sides_of_a_zone_boundary_has_tiles_in_both() -> None:
    area = Area("TWO", "two zones", shapely.box(11.97, 47.0, 12.03, 47.02))
    made = plan([scene("S2", Sensor.OPTICAL, shapely.box(11, 46.5, 13, 47.6))], area=area)
    assert {planned.tile.zone.name for planned in made.tiles} == {"32N", "33N"}
    assert made.area_km2 == pytest.approx(10.13, rel=0.01)


def test_a_plan_can_be_read_by_people_and_programs() -> None:
    from mapper.lulcformer.checkpoint import Checkpoint
    from mapper.lulcformer.model import MICRO

    bands = (*OPTICAL_NAMES, *RADAR_NAMES)
    network = Checkpoint(
        "micro",
        MICRO,
        {},
        OPTICAL_NAMES,
        RADAR_NAMES,
        tuple("abcdefghi"),
        dict.fromkeys(bands, (0.0, 1.0, 0.5, 0.2)),
        512,
        {},
        digest="d" * 64,
    )
    made = plan(EVERYWHERE)
    facts = plan_facts(made, network)
    assert facts["windows"] == sum(tile["windows"] for tile in facts["tiles"])
    assert facts["read_bytes"] == sum(tile["read_bytes"] for tile in facts["tiles"])
    text = "\n".join(plan_lines(made, network))
    assert "a box by the Rhine" in text
    assert f"windows   {made.windows}" in text
    assert np.isfinite(facts["seconds"])


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_gpu_is_planned_as_one_in_every_precision(precision: str) -> None:
    cost = cost_of(26_700_000, precision, "cuda:0", True)
    assert cost.on_gpu
    assert (
        cost.seconds_per_window < 0.1 * cost_of(26_700_000, "bf16", "cpu", True).seconds_per_window
    )
