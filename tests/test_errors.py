"""Every error of docs/errors.md, made for real through the command line.

Each is one line and an exit code, and leaves nothing behind that looks finished.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from shapely import box
from shapely.geometry import mapping

from mapper.cli import command_line
from mapper.lulcformer import checkpoint

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "errors.md"
Fails = Callable[..., str]


@pytest.fixture
def fails(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Fails:
    """Run a command that must fail; gives its one line on stderr."""

    def run(code: int, *arguments: object, out: Path | None = None) -> str:
        folder = tmp_path / "maps" if out is None else out
        wanted = [str(argument) for argument in arguments]
        if wanted[0] in ("run", "plan"):
            wanted += ["--out", str(folder)]
        found = command_line(wanted)
        lines = capfd.readouterr().err.splitlines()
        errors = [line for line in lines if line.startswith("mapper: error: ")]
        assert found == code, lines
        assert len(errors) == 1, lines
        assert lines[-1] == errors[0]
        assert not any("Traceback" in line for line in lines)
        if folder.is_dir():
            assert not list(folder.glob("*/*.tif")), "national products after an error"
            for done in folder.rglob("done.json"):
                files = json.loads(done.read_text())["files"]
                sizes = {name: (done.parent / name).stat().st_size for name in files}
                assert sizes == {name: facts["size"] for name, facts in files.items()}
        return errors[0].removeprefix("mapper: error: ")

    return run


@pytest.fixture
def request_small(
    small_archive: Path, small_aoi: Path, small_period: str, micro_checkpoint: Path
) -> list[str]:
    """Options of a request that succeeds, unless a later option spoils it."""
    return [
        *("--aoi", str(small_aoi)),
        *("--archive", str(small_archive)),
        *("--period", small_period),
        *("--checkpoint", str(micro_checkpoint)),
        *("--precision", "fp32"),
        *("--tile-size", "512"),
        *("--workers", "1"),
    ]


# 2: the request


def test_an_unknown_country_names_the_nearest(fails: Fails) -> None:
    said = fails(2, "plan", "--country", "Lichtenstein", "--archive", "simulated")
    assert "LIE (Liechtenstein)" in said


def test_a_malformed_period_shows_how_to_write_it(fails: Fails) -> None:
    said = fails(2, "plan", "--country", "LIE", "--archive", "x.json", "--period", "June 2024")
    assert "2020-04-01/2020-04-30" in said


def test_a_missing_period_shows_an_example(fails: Fails) -> None:
    assert "--period 2024" in fails(2, "run", "--country", "LIE", "--archive", "earth-search")


def test_an_unknown_archive_names_the_nearest(fails: Fails) -> None:
    said = fails(2, "run", "--country", "LIE", "--archive", "planetary", "--period", "2024")
    assert "planetary-computer" in said


@pytest.mark.parametrize("areas", [[], ["--country", "LIE", "--aoi", "x.geojson"]])
def test_one_area_is_wanted(fails: Fails, areas: list[str]) -> None:
    assert "--country LIE" in fails(2, "plan", *areas, "--archive", "simulated")


def test_a_polar_area_is_refused(fails: Fails, tmp_path: Path) -> None:
    ring = [[10, 85], [20, 85], [20, 86], [10, 86], [10, 85]]
    polar = tmp_path / "polar.geojson"
    polar.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    assert "84" in fails(2, "plan", "--aoi", polar, "--archive", "simulated")


def test_a_misspelt_option_is_named(fails: Fails) -> None:
    assert "--contry" in fails(2, "plan", "--contry", "LIE")


def test_a_misspelt_setting_names_the_nearest(fails: Fails, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("optical_look = 3\n")
    said = fails(2, "plan", "--country", "LIE", "--archive", "simulated", "--recipe", recipe)
    assert "optical_looks" in said


def test_a_crs_that_nobody_knows_is_refused(fails: Fails, request_small: list[str]) -> None:
    assert "EPSG:99999999" in fails(2, "plan", *request_small, "--crs", "EPSG:99999999")


def test_a_scheduler_that_does_not_answer_is_named(
    fails: Fails, request_small: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mapper.production.cluster.CONNECT_S", 1)
    without_workers = request_small[:-2]
    said = fails(2, "run", *without_workers, "--scheduler", "tcp://127.0.0.1:9")
    assert "tcp://127.0.0.1:9" in said


# 3: the archive


def test_an_archive_that_is_down_is_named(fails: Fails, micro_checkpoint: Path) -> None:
    said = fails(
        3,
        *("plan", "--country", "LIE", "--archive", "http://127.0.0.1:9/stac"),
        *("--period", "2024-06", "--checkpoint", micro_checkpoint),
    )
    assert "http://127.0.0.1:9/stac" in said


def test_an_archive_that_is_not_there_is_named(fails: Fails, micro_checkpoint: Path) -> None:
    said = fails(
        3,
        *("plan", "--country", "LIE", "--archive", "nowhere/items.json"),
        *("--period", "2024-06", "--checkpoint", micro_checkpoint),
    )
    assert "nowhere/items.json" in said


# 4: the scenes


def test_a_period_without_a_scene_says_which_there_are(
    fails: Fails, request_small: list[str]
) -> None:
    assert "2024-07-24" in fails(4, "run", *request_small, "--period", "2019-01")


def test_an_area_outside_the_archive_says_what_it_covers(
    fails: Fails, request_small: list[str]
) -> None:
    assert "outside" in fails(4, "run", *request_small[2:], "--country", "SMR")


def test_too_much_cloud_says_how_much_the_clearest_has(
    fails: Fails, request_small: list[str]
) -> None:
    said = fails(4, "run", *request_small, "--period", "2024-08")
    assert "clearest has 78 %" in said
    assert "--max-cloud" in said


def test_a_clear_scene_beside_the_area_makes_no_map_of_it(
    fails: Fails, request_small: list[str], small_archive: Path, tmp_path: Path
) -> None:
    """Scenes are chosen for whole MGRS tiles; the clear one shows another corner of this one."""
    index = json.loads(small_archive.read_text())
    for item in index["features"]:
        for asset in item["assets"].values():
            asset["href"] = str(small_archive.parent / asset["href"])
        if item["properties"].get("eo:cloud_cover", 100) < 60:
            item["geometry"] = mapping(box(9.61, 47.1, 9.7, 47.2))
    elsewhere = tmp_path / "items.json"
    elsewhere.write_text(json.dumps(index))
    said = fails(4, "run", *request_small, "--archive", elsewhere)
    assert "every Sentinel-2 scene over corner" in said and "clearest has 78 %" in said


# 5: the checkpoint


def test_a_checkpoint_that_is_missing_is_named(fails: Fails, request_small: list[str]) -> None:
    said = fails(5, "run", *request_small, "--checkpoint", "nowhere.safetensors")
    assert "nowhere.safetensors" in said


def test_a_damaged_checkpoint_is_refused(
    fails: Fails, request_small: list[str], micro_checkpoint: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(micro_checkpoint.read_bytes()[:-1000])
    assert "damaged" in fails(5, "run", *request_small, "--checkpoint", damaged)


def test_shards_that_do_not_belong_together_are_refused(
    fails: Fails, request_small: list[str], micro_checkpoint: Path, tmp_path: Path
) -> None:
    index = tmp_path / "micro.safetensors.index.json"
    checkpoint.save(checkpoint.load(micro_checkpoint), index)
    shutil.copy(micro_checkpoint, next(tmp_path.glob("micro-00001-of-00001-*.safetensors")))
    assert "copy the index" in fails(5, "run", *request_small, "--checkpoint", index)


def test_a_checkpoint_of_another_legend_is_refused_by_name(
    fails: Fails, request_small: list[str], micro_checkpoint: Path, tmp_path: Path
) -> None:
    found = checkpoint.load(micro_checkpoint)
    other = tmp_path / "other.safetensors"
    checkpoint.save(replace(found, legend=("sea", *found.legend[1:])), other)
    assert "sea" in fails(5, "run", *request_small, "--checkpoint", other)


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        (2, ["--crs", "EPSG:99999999"]),
        (2, ["--device", "abacus"]),
        (5, ["--checkpoint", "nowhere.safetensors"]),
        (6, ["--out", "/dev/null/maps"]),
    ],
)
def test_what_costs_nothing_to_check_is_checked_before_an_archive_is_simulated(
    fails: Fails, small_aoi: Path, tmp_path: Path, code: int, wrong: list[str]
) -> None:
    request = ["--aoi", small_aoi, "--archive", "simulated", *wrong]
    fails(code, "run", *request, out=Path(wrong[1]) if code == 6 else None)
    assert not (tmp_path / "maps").exists(), "nothing was simulated"


# 6: the output


def test_an_output_folder_below_a_file_is_refused(
    fails: Fails, request_small: list[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    assert "file" in fails(6, "run", *request_small, out=tmp_path / "file" / "maps")


def test_two_runs_into_one_folder_are_refused(
    fails: Fails, request_small: list[str], tmp_path: Path, small_aoi: Path, small_period: str
) -> None:
    from mapper.production.journal import Journal

    folder = tmp_path / "maps" / f"{small_aoi.stem}_{small_period.replace('/', '_')}"
    folder.mkdir(parents=True)
    with Journal(folder):
        assert f"process {os.getpid()}" in fails(6, "run", *request_small)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A small file system of its own, for root only."""
    place = tmp_path / "mounted"
    place.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small file system")

    def mount(options: str) -> Path:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=False)
        if done.returncode:
            pytest.skip("this system lets nobody mount a file system")
        return place

    yield mount
    subprocess.run(["umount", place], check=False)


def test_a_read_only_file_system_is_refused(
    fails: Fails, request_small: list[str], mounted: Callable[[str], Path]
) -> None:
    assert "cannot be written" in fails(6, "run", *request_small, out=mounted("size=1m,ro"))


def test_a_disk_too_small_for_the_map_is_refused_before_it_begins(
    fails: Fails, request_small: list[str], mounted: Callable[[str], Path]
) -> None:
    disk = mounted("size=64k")
    said = fails(6, "run", *request_small, out=disk)
    assert "free some space" in said
    assert not list(disk.iterdir())


def test_a_disk_that_fills_up_stops_the_run_and_leaves_no_half_product(
    fails: Fails, request_small: list[str], mounted: Callable[[str], Path]
) -> None:
    disk = mounted("size=2m")
    (disk / "other").write_bytes(b"x" * 100_000)
    said = fails(6, "run", *request_small, "--tile-size", "4096", out=disk)
    assert "full" in said


# 7: the run


def test_a_truncated_asset_fails_its_tiles_and_no_others(
    fails: Fails, request_small: list[str], small_archive: Path, tmp_path: Path
) -> None:
    copied = tmp_path / "archive"
    shutil.copytree(small_archive.parent, copied)
    truncated = cut_short_somewhere(copied)
    request = [*request_small, "--archive", str(copied / small_archive.name)]
    said = fails(7, "run", *request)
    assert truncated in said
    assert "run the same command again" in said
    journal = next((tmp_path / "maps").glob("*/journal.jsonl")).read_text()
    assert '"tile failed"' in journal
    assert '"read failed"' in journal
    assert '"tile done"' in journal, "the tiles that do not need the asset are made"


def cut_short_somewhere(archive: Path) -> str:
    """Take the last tenth off one band; gives the scene's name. The southern tiles need that part,
    the northern ones do not."""
    band = next(path for path in archive.rglob("*B04.tif") if "20240724" in str(path))
    band.write_bytes(band.read_bytes()[: band.stat().st_size * 9 // 10])
    return band.parent.name


# the document


def test_the_document_lists_every_error_there_is() -> None:
    from mapper import errors

    text = DOCUMENT.read_text()
    kinds = [errors.MapperError, *errors.MapperError.__subclasses__()]
    for kind in kinds:
        assert f"| {kind.exit_code} | `{kind.__name__}`" in text
