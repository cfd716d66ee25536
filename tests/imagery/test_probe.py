"""Claims about probes: what a server honours, ignores and lacks is found out by asking it."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_archive import SmallArchive
from test_large_search import serving
from test_served import free_port, wait_for

from mapper.errors import ArchiveError
from mapper.imagery.archives import archive
from mapper.imagery.bands import Sensor
from mapper.imagery.probe import Probe, probed
from mapper.imagery.trials import Answer

RUSTAC = shutil.which("rustac", path=str(Path(sys.executable).parent)) or shutil.which("rustac")
NEEDED = {"collections", "intersects", "datetime", "limit", "paging"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six scenes of Sentinel-2 and one of Sentinel-1, far apart in space and time."""
    made = SmallArchive(tmp_path_factory.mktemp("probed"))
    for number in range(6):
        name, time = f"s{number}", f"2024-0{number + 1}-01T10:00:00Z"
        corner = (399_960 + 30_000 * number, 5_300_040)
        made.optical(name, time, size_px=32, cloud=10.0 * number, corner_m=corner)
    made.radar("r0", "2024-06-02T05:00:00Z", size_px=32)
    for item in made.items:
        for asset in item["assets"].values():
            asset["href"] = f"file://{made.folder}/{asset['href']}"
    made.index()
    return made.folder


def answers(probe: Probe) -> dict[str, Answer]:
    return {trial.name: trial.answer for trial in probe.trials}


def of(probe: Probe, sensor: Sensor) -> tuple[bool, str]:
    found = next(found for found in probe.sensors if found.sensor is sensor)
    return found.usable, " | ".join(found.findings)


def test_an_honest_server_is_told_so(folder: Path) -> None:
    with serving(folder) as root:
        probe = probed(archive(root))
    told = answers(probe)
    assert {name for name, answer in told.items() if answer is Answer.HONOURED} == {
        *(NEEDED | {"bbox", "ids", "query", "sortby"})
    }
    assert told["filter"] is Answer.IGNORED, "this one does not know it"
    assert probe.conforms == ("core", "item-search", "query", "sort")
    assert probe.usable
    usable, words = of(probe, Sensor.OPTICAL)
    assert usable
    assert "offset, in digits: -1000" in words
    assert "scene classification (SCL) in 6 of 6 items" in words
    assert "opens: 32 x 32 uint16" in words


def test_a_server_that_promises_little_is_tried_all_the_same(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(folder, modest=True) as root:
        probe = probed(archive(root))
    assert probe.usable
    assert probe.collections == ()
    assert not capfd.readouterr().err


@pytest.mark.parametrize(
    "name",
    ["collections", "intersects", "datetime", "limit", "bbox", "ids", "query", "sortby"],
)
def test_each_parameter_that_is_ignored_is_found_out(folder: Path, name: str) -> None:
    with serving(folder, ignores=[name]) as root:
        told = answers(probed(archive(root), open_files=False))
    assert told[name] is Answer.IGNORED
    others = {other for other in NEEDED if other != name and (name, other) != ("limit", "paging")}
    assert all(told[other] is Answer.HONOURED for other in others), told


@pytest.mark.parametrize("name", ["intersects", "datetime", "query"])
def test_a_parameter_that_is_answered_with_nothing_is_found_out(folder: Path, name: str) -> None:
    with serving(folder, empties=[name]) as root:
        assert answers(probed(archive(root), open_files=False))[name] is Answer.EMPTY


def test_pages_that_repeat_are_found_out(folder: Path) -> None:
    with serving(folder, repeats=True) as root:
        assert answers(probed(archive(root), open_files=False))["paging"] is Answer.IGNORED


def test_rustac_answers_nothing_to_query_and_filter_and_ignores_sortby(folder: Path) -> None:
    if RUSTAC is None:
        pytest.skip("rustac, the STAC server of this test, is not installed")
    address = f"127.0.0.1:{free_port()}"
    command = [RUSTAC, "serve", str(folder / "items.json"), "--addr", address]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        wait_for(f"http://{address}")
        told = answers(probed(archive(f"http://{address}"), open_files=False))
        server.terminate()
    assert {name for name in NEEDED if told[name] is not Answer.HONOURED} == set()
    assert (told["query"], told["filter"]) == (Answer.EMPTY, Answer.EMPTY)
    assert told["sortby"] is Answer.IGNORED


def spoiled(folder: Path, out: Path, **changes: object) -> Path:
    """The same items, with bands taken away or other words for them."""
    items = json.loads((folder / "items.json").read_text())["features"]
    changed = copy.deepcopy(items)
    for item in changed:
        for name in changes.get("without", ()):  # type: ignore[attr-defined]
            item["assets"].pop(name, None)
        if "collection" in changes and "vv" in item["assets"]:
            item["collection"] = changes["collection"]
            for name in ("proj:epsg", "proj:transform", "proj:shape"):
                item["properties"].pop(name)
    path = out / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": changed}))
    return path


def test_missing_classification_and_polarisation_are_told(folder: Path, tmp_path: Path) -> None:
    probe = probed(archive(str(spoiled(folder, tmp_path, without=["SCL", "vh"]))))
    assert probe.usable, "without a classification every pixel counts as clear"
    assert "scene classification (SCL) in 0 of 6 items" in of(probe, Sensor.OPTICAL)[1]
    usable, words = of(probe, Sensor.RADAR)
    assert not usable
    assert "no item has all bands: VH not found among vv" in words
    assert "lacking: VH in 1 of 1 items" in words


def test_an_archive_whose_bands_have_other_names_lists_them(folder: Path, tmp_path: Path) -> None:
    probe = probed(archive(str(spoiled(folder, tmp_path, without=["B05", "B11"]))))
    assert not probe.usable
    assert (
        "no item has all bands: B05, B11 not found among B02, B03" in (of(probe, Sensor.OPTICAL)[1])
    )


def test_ground_range_in_radar_geometry_cannot_be_used(folder: Path, tmp_path: Path) -> None:
    probe = probed(archive(str(spoiled(folder, tmp_path, collection="sentinel-1-grd"))))
    usable, words = of(probe, Sensor.RADAR)
    assert not usable
    assert words.startswith("all of it is in the radar's own geometry")


def test_an_archive_that_names_its_collections_otherwise_names_the_nearest(folder: Path) -> None:
    with serving(folder) as root:
        description = folder / "other.toml"
        description.write_text(
            f'root = "{root}"\n[optical]\ncollections = "sentinel-2-l2"\n'
            '[radar]\ncollections = "sentinel-1-rtc"'
        )
        probe = probed(archive(str(description)), open_files=False)
    assert not probe.usable
    words = of(probe, Sensor.OPTICAL)[1]
    assert "no collection sentinel-2-l2 among 2; the nearest are sentinel-2-l2a" in words


def test_files_that_cannot_be_opened_are_told_without_their_signature(
    folder: Path, tmp_path: Path
) -> None:
    items = json.loads((folder / "items.json").read_text())
    for item in items["features"]:
        for asset in item["assets"].values():
            asset["href"] = f"http://127.0.0.1:{free_port()}/B02.tif?sig=SECRET"
    (tmp_path / "items.json").write_text(json.dumps(items))
    probe = probed(archive(str(tmp_path)))
    usable, words = of(probe, Sensor.OPTICAL)
    assert not usable
    assert "B02 of s0 cannot be opened" in words
    assert "SECRET" not in words


def test_an_archive_that_is_down_is_an_error() -> None:
    with pytest.raises(ArchiveError, match="cannot be reached"):
        probed(archive(f"http://127.0.0.1:{free_port()}"))
