"""The promise: the map does not depend on how it was cut, who made it, or what was killed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import rasterio

from mapper.production.journal import read_journal

RASTERS = ("land_cover.tif", "confidence.tif", "observations.tif")
PATIENCE_S = 240


class Request:
    """One request of the small archive, and the command that answers it."""

    def __init__(self, aoi: Path, archive: Path, period: str, checkpoint: Path) -> None:
        self.options = [
            *("--aoi", str(aoi), "--archive", str(archive), "--period", period),
            *("--checkpoint", str(checkpoint), "--max-cloud", "90"),
        ]
        self.name = f"{aoi.stem}_{period.replace('/', '_')}"

    def started(self, out: Path, *options: str) -> subprocess.Popen[str]:
        command = [str(Path(sys.executable).with_name("mapper")), "run", *self.options, *options]
        return subprocess.Popen(
            [*command, "--out", str(out)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def finished(self, out: Path, *options: str) -> Path:
        run = self.started(out, *options)
        _, said = run.communicate(timeout=PATIENCE_S)
        assert run.returncode == 0, said
        return out / self.name

    def stopped(self, out: Path, signum: int, tiles: int, *options: str) -> int:
        """Exit code of a run whose whole process group gets a signal after so many more tiles."""
        journal = out / self.name / "journal.jsonl"
        if journal.exists():
            tiles += sum(line["event"] == "tile done" for line in read_journal(journal))
        run = self.started(out, *options)
        deadline = time.monotonic() + PATIENCE_S
        while run.poll() is None and time.monotonic() < deadline:
            if sum(line["event"] == "tile done" for line in read_journal(journal)) >= tiles:
                os.killpg(run.pid, signum)
                break
            time.sleep(0.02)
        _, said = run.communicate(timeout=PATIENCE_S)
        assert "Traceback" not in said
        return run.returncode


@pytest.fixture(scope="module")
def request_small(
    small_aoi: Path, small_archive: Path, small_period: str, micro_checkpoint: Path
) -> Request:
    return Request(small_aoi, small_archive, small_period, micro_checkpoint)


@pytest.fixture(scope="module")
def in_peace(request_small: Request, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The map made in one go, in one large tile, by two workers."""
    out = tmp_path_factory.mktemp("peace")
    return request_small.finished(out, "--tile-size", "1024", "--workers", "2")


@pytest.fixture(scope="module")
def in_war(request_small: Request, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in four small tiles by one worker, interrupted, killed, and run again."""
    out, small = tmp_path_factory.mktemp("war"), ("--tile-size", "512", "--workers", "1")
    assert request_small.stopped(out, signal.SIGINT, 1, *small) == 128 + signal.SIGINT
    assert_nothing_half_done(out)
    assert request_small.stopped(out, signal.SIGKILL, 1, *small) == -signal.SIGKILL
    assert_nothing_half_done(out)
    return request_small.finished(out, *small)


def assert_nothing_half_done(out: Path) -> None:
    """No national product, and every folder that looks finished is."""
    assert not list(out.glob("*/*.tif"))
    finished = list(out.rglob("done.json"))
    assert finished
    for done in finished:
        for name, facts in json.loads(done.read_text())["files"].items():
            assert sha256(done.parent / name) == facts["sha256"]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("raster", RASTERS)
def test_two_cuts_two_teams_and_two_kills_give_the_same_bytes(
    in_peace: Path, in_war: Path, raster: str
) -> None:
    assert sha256(in_peace / raster) == sha256(in_war / raster)
    with rasterio.open(in_peace / raster) as found:
        assert len(set(found.read().ravel())) > 2, "a map of one value would prove nothing"


@pytest.mark.slow
def test_a_run_that_goes_on_keeps_what_was_done(in_war: Path) -> None:
    lines = list(read_journal(in_war / "journal.jsonl"))
    events = [line["event"] for line in lines]
    assert events.count("run started") == 3
    assert events.count("run ended") == 1
    done = [line["tile"] for line in lines if line["event"] == "tile done"]
    kept = {line["tile"] for line in lines if line["event"] == "tile kept"}
    assert len(set(done)) == 4
    assert len(done) <= 5, "one more at most: published, but killed before the journal knew"
    assert len(kept) >= 2


@pytest.mark.slow
def test_nothing_is_left_of_what_was_killed(in_war: Path) -> None:
    assert not list(in_war.rglob("*.unfinished*"))


@pytest.mark.slow
def test_running_again_makes_nothing_and_changes_nothing(
    request_small: Request, in_peace: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in files_of(in_peace)}
    request_small.finished(in_peace.parent, "--tile-size", "1024", "--workers", "2")
    assert {path: path.stat().st_mtime_ns for path in files_of(in_peace)} == before


def files_of(folder: Path) -> Iterator[Path]:
    changing = {"journal.jsonl", ".lock", "recipe.toml"}
    return (p for p in folder.rglob("*") if p.is_file() and p.name not in changing)


@pytest.mark.slow
def test_another_setting_makes_its_tiles_anew(
    request_small: Request, in_peace: Path, tmp_path: Path
) -> None:
    before = sha256(in_peace / "observations.tif")
    request_small.finished(
        in_peace.parent, "--tile-size", "1024", "--workers", "2", "--max-cloud", "60"
    )
    *lines, last = read_journal(in_peace / "journal.jsonl")
    assert (last["event"], last["done"], last["kept"]) == ("run ended", 1, 0)
    assert sha256(in_peace / "observations.tif") != before
    told = [line["settings"] for line in lines if line["event"] == "map replaced"]
    assert told == [["max_cloud_percent 90.0, now 60.0"]]


@pytest.mark.slow
def test_real_pixels_take_the_same_path(
    shared_data: Path, micro_checkpoint: Path, tmp_path: Path
) -> None:
    archive, period = shared_data / "archive", "2020-04-01/2020-04-30"
    request = Request(archive / "aois.geojson", archive / "items.json", period, micro_checkpoint)
    place = "terramesh_433D_629L_3_1"
    request.finished(tmp_path, "--aoi-id", place)
    made = tmp_path / f"{place}_2020-04-01_2020-04-30"
    item = json.loads((made / "item.json").read_text())
    assert sum(item["properties"]["mapper:class_px"]) == 224 * 224
    assert any("no scene classification" in note for note in item["properties"]["mapper:notes"])
    assert item["properties"]["mapper:simulated"] is False
    with rasterio.open(made / "land_cover.tif") as raster:
        assert (raster.read(1) != 255).sum() == 224 * 224
