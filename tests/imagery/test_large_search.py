"""A country and a year, asked of a real server process: in pieces, patiently, and the same."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import shapely
import shapely.geometry

from mapper.errors import ArchiveError
from mapper.imagery import questions, server
from mapper.imagery.archives import archive
from mapper.imagery.bands import OPTICAL_NAMES, Sensor
from mapper.imagery.choice import Choice, choose
from mapper.imagery.period import Period
from mapper.imagery.search import search
from mapper.imagery.server import Manners, served_items

YEAR = Period.parse("2024")
COUNTRY = shapely.box(5.0, 45.2, 12.8, 48.7)
"""As large as three of the cells that searches are cut along, in each of which it has some part."""
QUICK = Manners(first_wait_s=0.01, longest_wait_s=0.5, answer_s=5)
TILE_DEG = 1.0


def item(name: str, collection: str, time: str, ground: shapely.Geometry, **facts: Any) -> Any:
    bands = ("vv", "vh") if collection == "sentinel-1-rtc" else (*OPTICAL_NAMES, "SCL")
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": collection,
        "geometry": shapely.geometry.mapping(ground),
        "bbox": list(ground.bounds),
        "properties": {"datetime": time, **facts},
        "links": [],
        "assets": {band: {"href": f"https://x.org/{name}/{band}.tif"} for band in bands},
    }


@pytest.fixture(scope="module")
def archive_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A year of Sentinel-2 over 8 x 4 tiles, twice a month, and of one Sentinel-1 orbit."""
    items = []
    for day in range(0, 360, 15):
        month, of_month = day // 30 + 1, day % 30 + 1
        date = f"2024-{month:02d}-{of_month:02d}"
        for x in range(8):
            for y in range(4):
                ground = shapely.box(5 + x, 45 + y, 5 + x + TILE_DEG, 45 + y + TILE_DEG)
                tile = f"32{'TUVW'[y]}{'ABCDEFGH'[x]}A"
                cloud = (day * 7 + x * 13 + y * 29) % 97
                facts = {"eo:cloud_cover": cloud, "s2:mgrs_tile": tile, "platform": "sentinel-2a"}
                name = f"S2_{tile}_{date}"
                items.append(item(name, "sentinel-2-l2a", f"{date}T10:20:31.024Z", ground, **facts))
        slices = shapely.box(6, 44, 9, 47), shapely.box(6, 46.9, 9, 50)
        for number, ground in enumerate(slices):
            facts = {"sat:relative_orbit": 66, "platform": "sentinel-1a"}
            name = f"S1_{date}_{number}"
            time = f"{date}T23:59:59.{number}Z"
            items.append(item(name, "sentinel-1-rtc", time, ground, **facts))
    folder = tmp_path_factory.mktemp("large")
    (folder / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    return folder


@contextmanager
def serving(folder: Path, **habits: Any) -> Iterator[str]:
    """The address of a server over a folder's items."""
    (folder / "requests.jsonl").unlink(missing_ok=True)
    script = Path(__file__).with_name("stac_server.py")
    command = [sys.executable, str(script), str(folder), json.dumps(habits)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def asked_of(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "requests.jsonl").read_text().splitlines()
    return [line for text in lines if (line := json.loads(text))["path"] == "/search"]


def test_a_country_and_a_year_are_asked_for_in_pieces_and_pages(archive_folder: Path) -> None:
    with serving(archive_folder, page=50) as root:
        scenes = search(archive(root), COUNTRY, YEAR)
    questions_asked = asked_of(archive_folder)
    spans = {line["asked"]["datetime"] for line in questions_asked}
    assert len(spans) > 3, "by months"
    grounds = {json.dumps(line["asked"]["intersects"]) for line in questions_asked}
    assert len(grounds) > 3, "by area"
    assert any("token" in line["asked"] for line in questions_asked), "by pages"
    assert len({scene.id for scene in scenes}) == len(scenes) == 24 * (8 * 4 + 2)
    assert scenes == sorted(scenes, key=lambda scene: (scene.time, scene.id))


def test_the_choice_does_not_change_by_the_splitting(
    archive_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = Choice(optical_looks=1, radar_looks=1)
    chosen = []
    for cell, weight, page in ((5.0, 800.0, 50), (2.5, 100.0, 20), (500.0, 1e9, 1000)):
        monkeypatch.setattr(questions, "CELL_DEG", cell)
        monkeypatch.setattr(questions, "MOST_DEG2_DAYS", weight)
        with serving(archive_folder, page=page) as root:
            found = search(archive(root), COUNTRY, YEAR, whole_orbits=True)
        asked = len(asked_of(archive_folder))
        verdicts = choose(found, choice).verdicts
        chosen.append([(v.scene.id, v.kept, v.reason) for v in verdicts])
    assert chosen[0] == chosen[1] == chosen[2]
    assert asked < 30, "the last time it was asked for everything at once"
    local = search(archive(str(archive_folder)), COUNTRY, YEAR, whole_orbits=True)
    there = choose(local, choice).verdicts
    assert chosen[0] == [(v.scene.id, v.kept, v.reason) for v in there]


def test_a_part_of_the_country_chooses_what_the_country_chooses(archive_folder: Path) -> None:
    index, choice = archive(str(archive_folder)), Choice(optical_looks=1, radar_looks=1)
    whole = choose(search(index, COUNTRY, YEAR, whole_orbits=True), choice)
    told = {v.scene.id: (v.kept, v.reason) for v in whole.verdicts}
    for part in (shapely.box(6.2, 45.3, 6.4, 45.4), shapely.box(8.2, 47.6, 8.3, 47.7)):
        for verdict in choose(search(index, part, YEAR, whole_orbits=True), choice).verdicts:
            if verdict.scene.footprint.intersects(part):
                assert (verdict.kept, verdict.reason) == told[verdict.scene.id]


def names_of(
    root: str, ground: shapely.Geometry, period: Period, manners: Manners = QUICK
) -> set[str]:
    items = served_items(root, ["sentinel-2-l2a"], ground, period, manners)
    return {found["id"] for found in items}


def found_by(root: str, manners: Manners = QUICK) -> set[str]:
    return names_of(root, COUNTRY, Period.parse("2024-03/2024-04"), manners)


@pytest.fixture(scope="module")
def spring(archive_folder: Path) -> set[str]:
    """What the server says when nothing goes wrong."""
    with serving(archive_folder) as root:
        return found_by(root)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_when_it_says(
    archive_folder: Path, spring: set[str], status: int
) -> None:
    with serving(archive_folder, busy=2, status=status, retry_after=1) as root:
        patient = Manners(first_wait_s=0.01, longest_wait_s=1.0)
        assert found_by(root, patient) == spring
    times = sorted(line["at"] for line in asked_of(archive_folder))
    assert times[-1] - times[0] > 0.9, "it waited the second that Retry-After asked for"


def test_retry_after_is_heeded_within_reason(archive_folder: Path, spring: set[str]) -> None:
    with serving(archive_folder, busy=1, status=429, retry_after=86_400) as root:
        assert found_by(root) == spring, "and not tomorrow"


def test_a_question_that_is_too_much_is_asked_in_halves(
    archive_folder: Path, spring: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "QUESTIONS_AT_ONCE", 2)
    with serving(archive_folder, heavy=400) as root:
        assert found_by(root, Manners(attempts=1)) == spring


def test_a_server_that_always_gives_up_is_an_error_and_not_for_ever(archive_folder: Path) -> None:
    with (
        serving(archive_folder, busy=10_000, status=503) as root,
        pytest.raises(ArchiveError, match=r"busy or broken \(HTTP 503\).*or try again later"),
    ):
        found_by(root, Manners(attempts=2, first_wait_s=0.01))


SPOT, ONE_DAY = shapely.box(6.2, 45.3, 6.4, 45.4), Period.parse("2024-03-01")
"""Ground of one tile and a day with a look: a question too small to be asked in halves."""


def test_retry_after_takes_no_time_from_the_answer(archive_folder: Path) -> None:
    patient = Manners(longest_wait_s=1.0, answer_s=0.8)
    with serving(archive_folder, busy=1, status=503, retry_after=1) as root:
        assert len(names_of(root, SPOT, ONE_DAY, patient)) == 1


def test_a_server_that_says_nothing_does_not_answer_in_time(archive_folder: Path) -> None:
    hurried = Manners(byte_s=0.3, attempts=2, first_wait_s=0.01)
    with (
        serving(archive_folder, silent=0) as root,
        pytest.raises(ArchiveError, match=r"does not answer in time \(no byte in 0.3 s\); check"),
    ):
        names_of(root, SPOT, ONE_DAY, hurried)
    assert len(asked_of(archive_folder)) == 2


def test_a_question_that_is_met_with_silence_is_asked_in_halves(
    archive_folder: Path, spring: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "QUESTIONS_AT_ONCE", 2)
    with serving(archive_folder, silent=400) as root:
        assert found_by(root, Manners(attempts=1, byte_s=2.0)) == spring


def test_an_answer_that_breaks_off_is_asked_for_again(
    archive_folder: Path, spring: set[str]
) -> None:
    with serving(archive_folder, cuts=4) as root:
        assert found_by(root) == spring


def test_answers_that_always_break_off_are_an_error(archive_folder: Path) -> None:
    with (
        serving(archive_folder, cuts=10_000) as root,
        pytest.raises(ArchiveError, match=r"breaking off in the middle.*check the network"),
    ):
        names_of(root, SPOT, ONE_DAY, Manners(attempts=3, first_wait_s=0.01))
    assert len(asked_of(archive_folder)) == 3


def test_an_answer_that_falls_silent_does_not_answer_in_time(archive_folder: Path) -> None:
    hurried = Manners(byte_s=0.3, attempts=2, first_wait_s=0.01)
    with (
        serving(archive_folder, trickles=5) as root,
        pytest.raises(ArchiveError, match=r"does not answer in time \(no byte in 0.3 s\)"),
    ):
        found_by(root, hurried)


def test_pages_that_repeat_themselves_end(archive_folder: Path) -> None:
    with (
        serving(archive_folder, repeats=True, page=5) as root,
        pytest.raises(ArchiveError, match="repeats the same items page after page; report it"),
    ):
        found_by(root)


def test_items_that_come_in_between_two_pages_end_no_search(archive_folder: Path) -> None:
    """The second page is the first one again, and what it would have been is the third."""
    with serving(archive_folder) as root:
        quiet = names_of(root, SPOT, Period.parse("2024-03/2024-04"))
    with serving(archive_folder, inserts=2, page=2) as root:
        assert names_of(root, SPOT, Period.parse("2024-03/2024-04")) == quiet
    assert len(quiet) == 4


def test_an_answer_that_trickles_ends_at_its_deadline(archive_folder: Path) -> None:
    hurried = Manners(answer_s=0.5, attempts=1)
    with (
        serving(archive_folder, trickles=0.02) as root,
        pytest.raises(ArchiveError, match=r"in time \(no whole answer in 0.5 s\)"),
    ):
        found_by(root, hurried)


@pytest.mark.parametrize("ignored", ["datetime", "intersects", "collections"])
def test_a_filter_that_is_ignored_changes_nothing(archive_folder: Path, ignored: str) -> None:
    area, period = shapely.box(6.2, 45.3, 6.4, 45.4), Period.parse("2024-05")
    local = search(archive(str(archive_folder)), area, period)
    with serving(archive_folder, ignores=[ignored]) as root:
        served = search(archive(root), area, period)
    assert [scene.id for scene in served] == [scene.id for scene in local]
    assert {scene.sensor for scene in served} == set(Sensor)


def test_the_last_second_of_a_month_is_found(archive_folder: Path) -> None:
    """Radar passes at 23:59:59 and a fraction: servers compare moments, not days."""
    period = Period.parse("2024-01-01/2024-01-01")
    with serving(archive_folder) as root:
        found = search(archive(root), shapely.box(7, 46.95, 7.1, 46.96), period)
    assert {scene.id for scene in found} >= {"S1_2024-01-01_0", "S1_2024-01-01_1"}
