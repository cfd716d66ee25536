"""A checkpoint is judged by what production answers: the same classes, the same confidence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
import torch
from rasterio.windows import from_bounds

from mapper.cli import command_line
from mapper.dynamicworld.chips import Chip, save_chip
from mapper.errors import CheckpointError, RequestError
from mapper.inference.cases import Cases, case_of, cases_in
from mapper.inference.judge import CaseJudged, judge
from mapper.inference.predict import Predictor
from mapper.land.grid import Grid
from mapper.land.legend import CLASS_COUNT, NODATA
from mapper.lulcformer.calibration import expected_calibration_error
from mapper.lulcformer.checkpoint import Checkpoint, load
from mapper.lulcformer.scores import confusion


def chip(seed: int, height: int = 60, width: int = 60) -> Chip:
    """Noise in patches; the first rows are cloudy, the last ones without radar."""
    random = np.random.default_rng(seed)
    patches = random.uniform(0, 1, (12, height // 10 + 1, width // 10 + 1))
    patches = patches.repeat(10, 1).repeat(10, 2)[:, :height, :width]
    optical = (200 + 4000 * patches[:10]).astype(np.uint16)
    optical[:, :6] = 0
    radar = (-25 + 20 * patches[10:]).astype(np.float32)
    radar[:, -9:] = np.nan
    label = random.integers(0, 9, (height, width)).astype(np.uint8)
    label[:, :3] = NODATA
    return Chip(
        optical, radar, label, f"32N_{seed}", 9.5, 47.1, "2024-06-01/2024-08-31", 3, 4, True, "x"
    )


@pytest.fixture(scope="module")
def network(micro_checkpoint: Path) -> Checkpoint:
    return load(micro_checkpoint)


def test_chips_are_answered_by_a_window_and_counted_where_seen(network: Checkpoint) -> None:
    chips = [chip(seed) for seed in range(3)]
    told: list[CaseJudged] = []
    cases = Cases("noise", True, len(chips), [case_of(one) for one in chips])
    found = judge(network, cases, device="cpu", precision="fp32", on_event=told.append)
    assert told[-1] == CaseJudged(3, 3) and list(found.by_place) == ["32N_0", "32N_1", "32N_2"]
    predictor = Predictor(network, "cpu", "fp32")
    total = torch.zeros(CLASS_COUNT, CLASS_COUNT, dtype=torch.int64)
    for one in chips:
        case = case_of(one)
        answer = predictor.predict_alone(case.composite)
        here = case.region.slices_in(case.composite.region)
        truth = one.label.copy()
        truth[:6] = NODATA
        pixels = torch.from_numpy(truth), torch.from_numpy(answer.land_cover[here])
        total += confusion(*pixels, CLASS_COUNT)
    predictor.close()
    assert torch.equal(found.tallies["both"].confusion, total)
    assert int(found.tallies["optical"].confusion.sum()) == 3 * 54 * 57
    assert int(found.tallies["radar"].confusion.sum()) == 3 * 51 * 57
    assert not found.uncalibrated, "no temperature was fitted"


def test_any_number_of_threads_judges_alike(network: Checkpoint) -> None:
    chips = [case_of(chip(seed)) for seed in range(4)]
    chips.insert(2, case_of(chip(9, 600, 520)))
    cases = Cases("noise", True, len(chips), chips)
    warm = replace(network, temperature=0.5)
    one, three = (judge(warm, cases, device="cpu", precision="fp32", threads=n) for n in (1, 3))
    assert list(one.by_place) == list(three.by_place)
    for seen, tally in one.tallies.items():
        assert torch.equal(tally.confusion, three.tallies[seen].confusion)
    assert torch.equal(one.uncalibrated["both"].confusion, three.uncalibrated["both"].confusion)


def test_classes_that_the_truth_has_as_one_count_as_one(network: Checkpoint) -> None:
    case = case_of(chip(0))
    apart = judge(network, Cases("", True, 1, [case]), device="cpu", precision="fp32")
    joined = replace(Cases("", True, 1, [case]), merged={5: 2})
    one = judge(network, joined, device="cpu", precision="fp32").tallies["both"].confusion
    two = apart.tallies["both"].confusion
    assert int(one[5].sum()) == int(one[:, 5].sum()) == 0
    assert int(one[2, 2]) == int(two[[2, 2, 5, 5], [2, 5, 2, 5]].sum())


def test_a_temperature_shows_in_the_error_before_and_after(network: Checkpoint) -> None:
    cases = Cases("", True, 1, [case_of(chip(1))])
    plain = judge(network, cases, device="cpu", precision="fp32")
    cooler = judge(replace(network, temperature=0.3), cases, device="cpu", precision="fp32")
    before, after = cooler.uncalibrated["both"], cooler.tallies["both"]
    assert torch.equal(before.by_percent, plain.tallies["both"].by_percent)
    assert torch.equal(before.confusion, after.confusion)
    assert expected_calibration_error(after) > expected_calibration_error(before)


def test_a_chip_larger_than_a_window_is_blended(network: Checkpoint) -> None:
    wide = case_of(chip(2, 80, 530))
    assert not wide.alone and wide.composite.region.width > 530
    found = judge(network, Cases("", True, 1, [wide]), device="cpu", precision="fp32")
    assert int(found.tallies["both"].confusion.sum()) == 74 * 527


def test_folders_are_told_apart(tmp_path: Path, network: Checkpoint) -> None:
    with pytest.raises(RequestError, match="nowhere does not exist; wanted a folder of chips"):
        cases_in(tmp_path / "nowhere")
    with pytest.raises(RequestError, match="has nothing to judge by"):
        cases_in(tmp_path)
    save_chip(chip(0), tmp_path, "one")
    found = cases_in(tmp_path)
    assert found.count == 1 and found.simulated and found.title == "1 chips of 60 px: x"
    with pytest.raises(CheckpointError, match="256"):
        judge(replace(network, window=256), found)


def test_a_mixed_folder_is_called_simulated_and_names_its_sources(tmp_path: Path) -> None:
    save_chip(replace(chip(0), simulated=False, source="real"), tmp_path, "a")
    save_chip(chip(1, 30, 40), tmp_path, "b")
    found = cases_in(tmp_path)
    assert found.simulated and found.title == "2 chips of 30 to 60 px: real; x"


def test_dates_of_one_place_are_counted_together(network: Checkpoint) -> None:
    dates = [case_of(replace(chip(seed), place="here")) for seed in (0, 1)]
    found = judge(network, Cases("", True, 2, dates), device="cpu", precision="fp32")
    assert list(found.by_place) == ["here"]
    both = found.tallies["both"].confusion
    assert torch.equal(found.by_place["here"].confusion, both) and int(both.sum()) == 2 * 54 * 57


def test_nothing_to_judge_is_no_report(network: Checkpoint) -> None:
    blank = replace(chip(0), label=np.full((60, 60), NODATA, np.uint8))
    with pytest.raises(RequestError, match="noise: no pixel whose class is known was seen"):
        judge(network, Cases("noise", True, 1, [case_of(blank)]), device="cpu", precision="fp32")


@pytest.mark.parametrize("part", [["--country", "LIE"], ["--period", "2024-07"]])
def test_a_part_of_chips_is_not_asked_for_in_vain(
    part: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    save_chip(chip(0), tmp_path, "one")
    assert command_line(["evaluate", "--on", str(tmp_path), *part]) == 2
    assert "holds chips, which are judged one and all" in capfd.readouterr().err
    assert command_line(["evaluate", "--on", str(tmp_path), "--threads", "0"]) == 2
    capfd.readouterr()
    assert command_line(["evaluate", "--on", str(tmp_path), "--aoi-id", "5"]) == 2
    assert "neither --country nor --aoi was given" in capfd.readouterr().err


def test_only_tiles_of_known_truth_are_cases(small_archive: Path) -> None:
    folder = small_archive.parent
    around = shapely.box(8.5, 46.6, 10.5, 47.7)
    assert cases_in(folder, around).count == cases_in(folder).count > 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_archive_is_judged_by_the_very_map_that_a_run_makes(
    small_archive: Path, small_period: str, micro_checkpoint: Path, tmp_path: Path
) -> None:
    west, south, east, north = 9.494, 47.156, 9.500, 47.160  # a corner of tiles, like small_aoi's
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    aoi = tmp_path / "field.geojson"
    aoi.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    weights = ["--checkpoint", micro_checkpoint, "--aoi", aoi, "--precision", "fp32"]
    on = ["--on", small_archive.parent, "--period", small_period, "--out", tmp_path / "report"]
    assert command_line([str(word) for word in ("evaluate", *on, *weights)]) == 0
    found = json.loads((tmp_path / "report" / "report.json").read_text())
    run = ["--archive", small_archive, "--period", small_period, "--tile-size", "512"]
    run += ["--workers", "1", "--out", tmp_path / "maps"]
    assert command_line([str(word) for word in ("run", *run, *weights)]) == 0
    total = np.zeros((CLASS_COUNT, CLASS_COUNT), np.int64)
    for path in (tmp_path / "maps").rglob("tiles/*/*/land_cover.tif"):
        zone = Grid(512).tile(path.parent.name).zone
        truth = small_archive.parent / "truth" / f"{zone.name}.tif"
        with rasterio.open(path) as mapped, rasterio.open(truth) as true:
            answer = mapped.read(1)
            window = from_bounds(*mapped.bounds, true.transform)
            wanted = true.read(1, window=window, boundless=True, fill_value=NODATA)
        both = (answer != NODATA) & (wanted != NODATA)
        np.add.at(total, (wanted[both], answer[both]), 1)
    assert total.sum() > 1000
    assert found["scores"]["both"]["confusion"] == total.tolist()
    assert found["simulated"] is True
