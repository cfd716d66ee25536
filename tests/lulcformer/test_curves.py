"""Curves are kept while a training goes on, and a killed one cuts off what it does again."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mapper.errors import OutputError
from mapper.lulcformer.curves import curves_to, read_curves
from mapper.lulcformer.events import Stepped, Validated
from mapper.lulcformer.figures import COLOURS, Colour
from mapper.lulcformer.scores import ALL_SEEN


def pixels_of(picture: Path, colour: Colour) -> int:
    """Of about that colour: lines are smoothed."""
    with Image.open(picture) as image:
        found = np.asarray(image.convert("RGB")).astype(int)
    return int((np.abs(found - colour).max(-1) < 50).sum())


def validated(step: int) -> Validated:
    return Validated(step, {seen: torch.eye(9, dtype=torch.int64) for seen in ALL_SEEN}, True)


def test_a_training_that_goes_on_cuts_off_what_it_does_again(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    first = curves_to(path, "Training")
    for event in (Stepped(10, 40, 2.0, 1e-3), validated(10), Stepped(20, 40, 1.0, 9e-4)):
        first(event)
    first(validated(20))
    again = curves_to(path, "Training")
    again(Stepped(20, 40, 1.5, 9e-4))
    again(validated(20))
    rows = read_curves(path)
    assert [row["step"] for row in rows] == ["10", "10", "20", "20"]
    assert rows[2]["loss"] == "1.5" and float(rows[3]["mean IoU both"]) == 1
    assert all(pixels_of(tmp_path / "curves.png", colour) > 20 for colour in COLOURS[:3])


def test_curves_are_there_while_the_training_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "deeper" / "curves.csv"
    tell = curves_to(path, "Training")
    for step in (10, 20, 30):
        tell(Stepped(step, 40, 2.0, 1e-3))
        assert [row["step"] for row in read_curves(path)] == [
            f"{n}" for n in range(10, step + 1, 10)
        ]
    assert not path.with_suffix(".png").exists()
    tell(validated(30))
    assert pixels_of(path.with_suffix(".png"), COLOURS[1]) > 20, "the point of optical alone"


def test_half_a_line_that_a_kill_left_is_no_row(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    first = curves_to(path, "Training")
    first(Stepped(10, 400, 2.0, 1e-3))
    first(Stepped(120, 400, 1.0, 9e-4))
    path.write_bytes(path.read_bytes().split(b"20,1,")[0])
    assert path.read_bytes().endswith(b"\n1"), "which reads as step 1"
    assert [row["step"] for row in read_curves(path)] == ["10"]
    curves_to(path, "Training")(Stepped(20, 400, 1.5, 9e-4))
    assert [row["step"] for row in read_curves(path)] == ["10", "20"]


def test_curves_that_cannot_be_written_are_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="the curves cannot be written"):
        curves_to(tmp_path / "file" / "curves.csv", "Training")(validated(1))
    (tmp_path / "curves.png").mkdir()
    with pytest.raises(OutputError, match=r"curves\.png"):
        curves_to(tmp_path / "curves.csv", "Training")(validated(1))
