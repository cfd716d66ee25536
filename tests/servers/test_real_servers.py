"""Against a real archive: what it answers is what a file answers, and every fault has its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stac_stack import StacStack

from mapper.imagery.archives import archive
from mapper.imagery.composite import Composite
from mapper.imagery.load import read_composite
from mapper.imagery.losses import Losses, read_without_losses
from mapper.imagery.patience import Patience, settle
from mapper.imagery.period import Period
from mapper.imagery.scenes import Scene, looks_of
from mapper.imagery.search import search
from mapper.land.area import area_from_file
from mapper.land.grid import Grid, outlines
from mapper.production.journal import read_journal

READ_S = 6.0
"""Patience of these tests, which must not take that of a night."""


def scenes_of(root: Path, small_aoi: Path, small_period: str) -> list[Scene]:
    area = area_from_file(small_aoi)
    return search(archive(str(root)), area.geometry, Period.parse(small_period))


def composed(scenes: list[Scene], small_aoi: Path) -> tuple[Composite, Losses]:
    """The first tile of the area."""
    (outline,) = outlines(area_from_file(small_aoi).geometry)
    region = next(iter(Grid(512).tiles_over(outline))).region
    read = partial(read_composite, region=region)
    return read_without_losses(looks_of(scenes, region.zone), read)


@pytest.fixture(scope="module")
def truth(small_archive: Path, small_aoi: Path, small_period: str) -> Composite:
    """What the files on the disk show."""
    composite, _ = composed(scenes_of(small_archive, small_aoi, small_period), small_aoi)
    return composite


@pytest.fixture
def scenes(client: StacStack, described: Path, small_aoi: Path, small_period: str) -> list[Scene]:
    settle(Patience.of(READ_S))
    return scenes_of(described, small_aoi, small_period)


def same(one: Composite, other: Composite) -> bool:
    return np.array_equal(one.optical, other.optical) and np.array_equal(
        one.radar, other.radar, equal_nan=True
    )


def test_the_server_finds_what_the_file_holds(
    scenes: list[Scene], small_archive: Path, small_aoi: Path, small_period: str
) -> None:
    there = scenes_of(small_archive, small_aoi, small_period)
    assert [(s.id, s.time, s.cloud_percent) for s in scenes] == [
        (s.id, s.time, s.cloud_percent) for s in there
    ]
    assert {scene.signing for scene in scenes} == {"planetary-computer"}


@pytest.mark.parametrize("month", ["2024-07", "2024-08"])
def test_the_server_finds_a_part_of_the_period(
    client: StacStack, described: Path, small_archive: Path, small_aoi: Path, month: str
) -> None:
    found, there = (
        [scene.id for scene in scenes_of(root, small_aoi, month)]
        for root in (described, small_archive)
    )
    assert found == there


def test_the_pixels_are_those_on_the_disk(
    scenes: list[Scene], truth: Composite, small_aoi: Path
) -> None:
    composite, losses = composed(scenes, small_aoi)
    assert losses.failed == ()
    assert same(composite, truth)


PASSING = [
    pytest.param({"fault": "status", "status": 503, "times": 2}, id="503"),
    pytest.param({"fault": "status", "status": 500, "times": 2}, id="500"),
    pytest.param({"fault": "cut", "times": 1}, id="cut short"),
    pytest.param({"fault": "garble", "times": 2}, id="garbled"),
    pytest.param({"fault": "late", "seconds": 0.5, "times": 1}, id="slow first byte"),
    pytest.param({"fault": "trickle", "seconds": 0.2, "times": 1}, id="trickle"),
]


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_passes_changes_no_pixel(
    scenes: list[Scene],
    truth: Composite,
    client: StacStack,
    small_aoi: Path,
    fault: dict[str, Any],
) -> None:
    client.spoil({"path": "S2B.*/B04.tif", **fault})
    composite, losses = composed(scenes, small_aoi)
    assert losses.failed == ()
    assert same(composite, truth)


def test_retry_after_is_waited_for(
    scenes: list[Scene], truth: Composite, client: StacStack, small_aoi: Path
) -> None:
    headers = {"Retry-After": "2"}
    # Once for the read, once when the server is asked why: libraries hide the header.
    client.spoil({"path": "B04", "fault": "status", "status": 429, "times": 2, "headers": headers})
    composite, losses = composed(scenes, small_aoi)
    assert losses.failed == ()
    assert same(composite, truth)
    for path in {asked["path"] for asked in client.requests() if asked["status"] == 429}:
        mine = [asked for asked in client.requests() if asked["path"] == path]
        refused = max(asked["at"] for asked in mine if asked["status"] == 429)
        assert all(asked["at"] - refused >= 1.9 for asked in mine if asked["status"] == 206)


def test_a_token_that_is_worn_out_is_replaced(
    scenes: list[Scene], truth: Composite, client: StacStack, small_aoi: Path
) -> None:
    client.spoil({"path": "/archive/", "fault": "token", "uses": 40})
    composite, losses = composed(scenes, small_aoi)
    assert losses.failed == ()
    assert same(composite, truth)
    asked = client.requests()
    assert any(one["status"] == 403 for one in asked), "no token was worn out"
    assert sum("/token/" in one["path"] for one in asked) >= 2


LASTING = [
    pytest.param({"fault": "status", "status": 404}, "HTTP 404, it is not there", id="404"),
    pytest.param({"fault": "status", "status": 403}, "HTTP 403, access was refused", id="403"),
    pytest.param({"fault": "status", "status": 503}, "HTTP 503, the server is busy", id="503"),
    pytest.param({"fault": "cut"}, "its bytes end too early; 4 attempts", id="cut short"),
    pytest.param({"fault": "garble"}, "a block cannot be unpacked", id="garbled"),
    pytest.param({"fault": "late", "seconds": 60}, "no answer in time", id="slow first byte"),
    pytest.param({"fault": "trickle", "seconds": 0.2}, "no answer in time", id="trickle"),
]


@pytest.mark.parametrize(("fault", "reason"), LASTING)
def test_a_fault_that_lasts_costs_its_scene_and_no_other(
    scenes: list[Scene],
    client: StacStack,
    small_aoi: Path,
    fault: dict[str, Any],
    reason: str,
) -> None:
    client.spoil({"path": "S2A.*/B04.tif", **fault})
    before = time.monotonic()
    composite, losses = composed(scenes, small_aoi)
    assert time.monotonic() - before < 4 * READ_S
    (lost,) = losses.failed
    assert lost.scene.startswith("S2A")
    assert lost.asset == "B04"
    assert lost.reason.startswith(reason)
    assert losses.degraded
    rest = [scene for scene in scenes if scene.id != lost.scene]
    client.spoil()
    assert same(composite, composed(rest, small_aoi)[0])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_through_all_faults_at_once_tells_of_each_and_keeps_every_secret(
    servers: StacStack,
    described: Path,
    small_aoi: Path,
    small_period: str,
    micro_checkpoint: Path,
    tmp_path: Path,
) -> None:
    def run(*options: str) -> tuple[int, str]:
        mapper = str(Path(sys.executable).with_name("mapper"))
        request = ["--aoi", str(small_aoi), "--archive", str(described), "--period", small_period]
        request += ["--checkpoint", str(micro_checkpoint), "--max-cloud", "90", "--workers", "1"]
        request += ["--tile-size", "1024", "--out", str(tmp_path / "maps")]
        done = subprocess.run(
            [mapper, "run", *request, *options],
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
            env={**os.environ, **servers.environment, "MAPPER_READ_TIMEOUT_S": str(int(READ_S))},
        )
        return done.returncode, done.stdout + done.stderr

    wait = {"Retry-After": "1"}
    servers.spoil(
        {"path": "/archive/", "fault": "token", "uses": 50},
        {"path": "S2A.*/B08.tif", "fault": "status", "status": 404},
        {"path": "20240809.*/vh", "fault": "status", "status": 503},
        {"path": "S2B.*/B02.tif", "fault": "status", "status": 503, "times": 2},
        {"path": "S2B.*/B03.tif", "fault": "cut", "times": 1},
        {"path": "S2B.*/B04.tif", "fault": "late", "seconds": 1, "times": 1},
        {"path": "S2B.*/B05.tif", "fault": "trickle", "seconds": 0.2, "times": 1},
        {"path": "S2B.*/B06.tif", "fault": "status", "status": 429, "times": 2, "headers": wait},
    )
    code, said = run()
    assert code == 8, said
    (folder,) = (tmp_path / "maps").iterdir()
    lines = list(read_journal(folder / "journal.jsonl"))
    failed = {line["asset"]: line for line in lines if line["event"] == "read failed"}
    assert set(failed) == {"B08", "VH"}
    assert failed["B08"]["reason"].startswith("HTTP 404, it is not there")
    assert failed["VH"]["reason"].startswith("HTTP 503, the server is busy or broken; ")
    (item,) = folder.glob("tiles/1024/*/item.json")
    properties = json.loads(item.read_text())["properties"]
    assert [read["asset"] for read in properties["mapper:failed_reads"]] == ["VH", "B08"]
    assert properties["mapper:degraded"] is True
    assert sum("/token/" in asked["path"] for asked in servers.requests()) >= 2
    assert_no_secret(tmp_path, said)

    servers.spoil()
    code, said = run("--retry-lossy")
    assert code == 0, said
    properties = json.loads((folder / "item.json").read_text())["properties"]
    assert properties["mapper:failed_reads"] == []
    assert properties["mapper:degraded"] is False
    assert_no_secret(tmp_path, said)


def assert_no_secret(folder: Path, said: str) -> None:
    """No token in any file of a folder, nor in what a command said."""
    assert "SECRET" not in said
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 8
    assert not [path for path in files if b"SECRET" in path.read_bytes()]
    assert not [path for path in files if b"sig=" in path.read_bytes()]
