"""Curves are kept while a training goes on, and a killed one cuts off what it does again."""

from pathlib import Path

import pytest
import torch

from mapper.errors import OutputError
from mapper.lulcformer.curves import curves_to, draw_course, read_curves
from mapper.lulcformer.scores import ALL_SEEN
from mapper.lulcformer.training import Stepped, Validated


def validated(step: int) -> Validated:
    return Validated(step, {seen: torch.eye(9, dtype=torch.int64) for seen in ALL_SEEN}, True)


def test_a_training_that_goes_on_cuts_off_what_it_does_again(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    first = curves_to(path)
    for event in (Stepped(10, 40, 2.0, 1e-3), validated(10), Stepped(20, 40, 1.0, 9e-4)):
        first(event)
    first(validated(20))
    again = curves_to(path)
    again(Stepped(20, 40, 1.5, 9e-4))
    again(validated(20))
    rows = read_curves(path)
    assert [row["step"] for row in rows] == ["10", "10", "20", "20"]
    assert rows[2]["loss"] == "1.5" and float(rows[3]["mean IoU both"]) == 1
    draw_course(path, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 2000


def test_curves_that_cannot_be_written_are_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="the curves cannot be written"):
        curves_to(tmp_path / "absent" / "curves.csv")(validated(1))
