"""The course of a training as a CSV file and a picture, kept up while it goes on.

    step,loss,learning_rate,overall accuracy both,mean IoU both,...

Rows of steps have the first columns, rows of validations the others. Each row is written when it is
known, and every validation draws the picture anew. A training that was killed and goes on cuts off
the rows it does again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mapper.errors import OutputError
from mapper.lulcformer.events import Event, Learned, Stepped, Validated
from mapper.lulcformer.figures import Line, draw_curves
from mapper.lulcformer.report import MEASURES, SHOWN
from mapper.lulcformer.scores import ALL_SEEN
from mapper.lulcformer.weight_files import replace_file

STEP_COLUMNS = ("step", "loss", "learning_rate")
DRAWN = ("overall accuracy", "mean IoU")
"""The measures of a validation that have a panel in the picture."""

Row = dict[str, str]


def curves_to(path: Path, title: str) -> Callable[[Event], None]:
    """Who writes events to a CSV file, from the first one's step on, and a picture beside it.

    Args:
        title: of the picture.

    Raises:
        OutputError: they cannot be written.
    """
    begun = False

    def tell(event: Event) -> None:
        nonlocal begun
        if isinstance(event, Learned):
            return
        if begun:
            _append(path, _row(event))
        else:
            _begin(path, _row(event))
        begun = True
        if isinstance(event, Validated):
            draw_course(path, title)

    return tell


def read_curves(path: Path) -> list[Row]:
    """The rows of a CSV file of curves; none where there is no file."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    # A kill may have left half a line, of which even the step may be cut short.
    whole = [line for line in lines if line.endswith("\n")]
    return [row for row in csv.DictReader(whole) if (row.get("step") or "").isdigit()]


def draw_course(path: Path, title: str) -> None:
    """The picture beside a CSV file of curves: the loss, and what validations found.

    Raises:
        OutputError: it cannot be written.
    """
    rows = read_curves(path)

    def line(name: str, column: str) -> Line:
        points = [(float(row["step"]), float(row[column])) for row in rows if row.get(column)]
        return Line(name, points)

    panels = {"loss": [line("training", "loss")]}
    for measure in DRAWN:
        panels[measure] = [line(SHOWN[seen], f"{measure} {seen}") for seen in ALL_SEEN]
    panels["learning rate"] = [line("", "learning_rate")]
    picture = path.with_suffix(".png")
    with _written(picture):
        draw_curves(panels, title, picture)


def _columns() -> list[str]:
    validated = [f"{measure} {seen}" for seen in ALL_SEEN for measure in MEASURES]
    return [*STEP_COLUMNS, *validated]


def _row(event: Stepped | Validated) -> Row:
    if isinstance(event, Stepped):
        numbers = (event.step, f"{event.loss:.6g}", f"{event.learning_rate:.6g}")
        return {name: str(number) for name, number in zip(STEP_COLUMNS, numbers, strict=True)}
    return {"step": str(event.step)} | {
        f"{measure} {seen}": f"{of(matrix):.5f}"
        for seen, matrix in event.confusions.items()
        for measure, of in MEASURES.items()
    }


def _begin(path: Path, row: Row) -> None:
    """Write the rows of earlier steps, and this one."""
    kept = [earlier for earlier in read_curves(path) if int(earlier["step"]) < int(row["step"])]
    text = io.StringIO()
    writer = csv.DictWriter(text, _columns(), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows([*kept, row])
    with _written(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, text.getvalue().encode())


def _append(path: Path, row: Row) -> None:
    with _written(path), path.open("a", newline="", encoding="utf-8") as file:
        csv.DictWriter(file, _columns(), lineterminator="\n").writerow(row)


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """What goes wrong while a file is written, as an error that says what to do."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"the curves cannot be written to {path} ({error.strerror}); free some space, then run "
            "the same command again"
        ) from error
