"""A report says the numbers that scikit-learn says, and shows them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn import metrics

from mapper.errors import OutputError
from mapper.land.legend import CLASS_NAMES
from mapper.lulcformer.calibration import no_tally, tally
from mapper.lulcformer.figures import Line, draw_curves
from mapper.lulcformer.report import Report, summary_lines, to_json, write_report


def answers(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Truth without snow, answers without bare, and some confidence."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 8, 4000).astype(np.uint8)
    answer = np.where(random.random(4000) < 0.7, truth % 7, random.integers(0, 7, 4000))
    percent = random.integers(20, 101, 4000)
    return torch.from_numpy(truth), torch.from_numpy(answer), torch.from_numpy(percent)


def report() -> Report:
    both = tally(*answers(), 9)
    return Report(
        "200 chips",
        True,
        {"checkpoint": "micro"},
        CLASS_NAMES,
        {"both": both, "optical": tally(*answers(1), 9), "radar": no_tally(9)},
        {"both": both},
        {f"place {n}": both for n in range(50)},
    )


def test_the_numbers_are_those_of_scikit_learn() -> None:
    truth, answer, _ = (part.numpy() for part in answers())
    found = to_json(report())["scores"]["both"]
    assert found["pixels"] == 4000
    for name, wanted in (
        ("overall accuracy", metrics.accuracy_score(truth, answer)),
        ("balanced accuracy", metrics.balanced_accuracy_score(truth, answer)),
        ("mean IoU", metrics.jaccard_score(truth, answer, average="macro")),
        ("macro F1", metrics.f1_score(truth, answer, average="macro")),
    ):
        assert found[name] == pytest.approx(wanted, abs=1e-6), name
    parts = metrics.precision_recall_fscore_support(truth, answer, labels=[0, 3], zero_division=0)
    for place, name in enumerate(("water", "flooded_vegetation")):
        mine = found["classes"][name]
        wanted = [parts[0][place], parts[1][place], parts[2][place], parts[3][place]]
        assert [mine[k] for k in ("precision", "recall", "F1", "pixels")] == pytest.approx(
            wanted, abs=1e-6
        )
    assert found["classes"]["bare"]["precision"] is None
    assert found["classes"]["snow_and_ice"] == {
        "pixels": 0,
        "IoU": None,
        "F1": None,
        "precision": None,
        "recall": None,
    }


def test_the_folder_holds_page_numbers_and_pictures(tmp_path: Path) -> None:
    page = write_report(report(), tmp_path / "report")
    names = sorted(path.name for path in page.parent.iterdir())
    assert names == [
        "calibration.png",
        "confusion_both.png",
        "confusion_optical.png",
        "report.json",
        "report.md",
    ]
    text = page.read_text()
    for linked in (name for name in names if name.endswith(".png")):
        assert f"({linked})" in text
    assert (
        "Simulated: painted ground" in text
        and "says nothing of real ground" in text
        and "before calibration" in text
    )
    assert "And 10 more" in text and "radar only" not in text
    assert "| producer's accuracy (recall) | user's accuracy (precision) | F1 |" in text
    classes = to_json(report())["scores"]["both"]["classes"]
    numbers = " | ".join(f"{classes['water'][k]:.3f}" for k in ("recall", "precision", "F1"))
    assert f"| water | {numbers} |" in text and "| snow and ice |" not in text
    assert "| bare | 0.000 | - | 0.000 |" in text, "no answer was bare"
    assert json.loads((page.parent / "report.json").read_text()) == to_json(report())
    with Image.open(page.parent / "confusion_both.png") as image:
        colours = image.convert("RGB").getcolors(maxcolors=1_000_000)
    assert colours is not None and len(colours) > 50


def test_the_summary_has_a_row_for_each_measure() -> None:
    lines = summary_lines(report())
    assert lines[0] == "200 chips (simulated)" and len(lines) == 7
    assert lines[2].split()[-1] == "-", "radar was never asked"


def test_a_report_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="the report cannot be written"):
        write_report(report(), tmp_path / "file")


@pytest.mark.parametrize(
    "points", [[], [(1.0, 2.0)], [(1.0, 2.0), (5.0, 2.0)], [(1, float("nan"))]]
)
def test_curves_of_few_points_can_be_drawn(
    tmp_path: Path, points: list[tuple[float, float]]
) -> None:
    draw_curves({"loss": [Line("training", points)], "none": []}, "x", tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 100
