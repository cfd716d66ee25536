"""The course of a training as a CSV file and a picture, kept up while it goes on.

    step,loss,learning_rate,overall accuracy both,mean IoU both,...

Rows of steps have the first columns, rows of validations the others. A training that was killed and
goes on cuts off the rows it does again.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from mapper.errors import OutputError
from mapper.lulcformer.figures import Line, draw_curves
from mapper.lulcformer.report import MEASURES, SHOWN
from mapper.lulcformer.scores import ALL_SEEN
from mapper.lulcformer.training import Event, Stepped, Validated

STEP_COLUMNS = ("step", "loss", "learning_rate")
DRAWN = ("overall accuracy", "mean IoU")
"""The measures of a validation that have a panel in the picture."""

Row = dict[str, str]


def curves_to(path: Path) -> Callable[[Event], None]:
    """Who writes events to a CSV file, from the first one's step on.

    Raises:
        OutputError: the file cannot be written.
    """
    state: dict[str, list[Row]] = {}

    def tell(event: Event) -> None:
        if not state:
            state["rows"] = [row for row in read_curves(path) if int(row["step"]) < event.step]
        state["rows"].append(_row(event))
        if isinstance(event, Validated) or len(state["rows"]) == 1:
            _write(path, state["rows"])

    return tell


def read_curves(path: Path) -> list[Row]:
    """The rows of a CSV file of curves; none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if (row.get("step") or "").isdigit()]


def draw_course(path: Path, picture: Path) -> None:
    """The picture of a CSV file of curves: the loss, and what validations found."""
    rows = read_curves(path)

    def line(name: str, column: str) -> Line:
        points = [(float(row["step"]), float(row[column])) for row in rows if row.get(column)]
        return Line(name, points)

    panels = {"loss": [line("training", "loss")]}
    for measure in DRAWN:
        panels[measure] = [line(SHOWN[seen], f"{measure} {seen}") for seen in ALL_SEEN]
    panels["learning rate"] = [line("", "learning_rate")]
    draw_curves(panels, "Training", picture)


def _columns() -> list[str]:
    validated = [f"{measure} {seen}" for seen in ALL_SEEN for measure in MEASURES]
    return [*STEP_COLUMNS, *validated]


def _row(event: Event) -> Row:
    if isinstance(event, Stepped):
        numbers = (event.step, f"{event.loss:.6g}", f"{event.learning_rate:.6g}")
        return {name: str(number) for name, number in zip(STEP_COLUMNS, numbers, strict=True)}
    return {"step": str(event.step)} | {
        f"{measure} {seen}": f"{of(matrix):.5f}"
        for seen, matrix in event.confusions.items()
        for measure, of in MEASURES.items()
    }


def _write(path: Path, rows: list[Row]) -> None:
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, _columns())
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise OutputError(
            f"the curves cannot be written to {path} ({error.strerror}); choose another --out"
        ) from error
