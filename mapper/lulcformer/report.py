"""What a network answered on a set of labelled pixels: a page for people, JSON for programs.

FOLDER/report.md  report.json  confusion_both.png  confusion_optical.png ...  calibration.png
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from torch import Tensor

from mapper.errors import OutputError
from mapper.lulcformer.calibration import Tally, expected_calibration_error, reliability
from mapper.lulcformer.figures import draw_calibration, draw_confusion
from mapper.lulcformer.scores import (
    Seen,
    balanced_accuracy,
    class_f1,
    class_iou,
    class_precision,
    class_recall,
    macro_f1,
    mean_iou,
    overall_accuracy,
)

MEASURES: Mapping[str, Callable[[Tensor], float]] = {
    "overall accuracy": overall_accuracy,
    "balanced accuracy": balanced_accuracy,
    "mean IoU": mean_iou,
    "macro F1": macro_f1,
}
"""One number of a confusion matrix each."""
CLASS_MEASURES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "IoU": class_iou,
    "F1": class_f1,
    "precision": class_precision,
    "recall": class_recall,
}
"""One number for each class each."""
ECE = "expected calibration error"
MEANS = (
    "Balanced accuracy is the mean over the classes that are there; mean IoU and macro F1 also "
    "count each class that is mapped though it is nowhere, as 0."
)
"""What a mean of few classes hides, said where it is read."""
SHOWN: Mapping[Seen, str] = {
    "both": "both sensors",
    "optical": "optical only",
    "radar": "radar only",
}
EXTRA_PICTURES = ("curves.png",)
"""Shown on the page where somebody put them into its folder before."""
MOST_PLACES = 40
"""A page lists no more places than this one by one; the JSON has them all."""


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """All that is to be said of one network on one set of labelled pixels."""

    title: str
    """What the pixels are."""
    simulated: bool
    """True when they are of painted ground: such scores say nothing of real ground."""
    facts: Mapping[str, str]
    """What else should be known: the checkpoint, the precision, the training."""
    names: tuple[str, ...]
    """Of the classes, in the order of their codes."""
    tallies: Mapping[Seen, Tally]
    """By what the network was shown."""
    uncalibrated: Mapping[Seen, Tally]
    """The same without a temperature, where that was counted."""
    by_place: Mapping[str, Tally] = field(default_factory=dict)
    """With both sensors, by place; empty where places were not kept apart."""


def write_report(report: Report, folder: Path) -> Path:
    """Write a report's page, numbers and pictures; the path of the page.

    Raises:
        OutputError: the folder cannot be written.
    """
    shown = {seen: of for seen, of in report.tallies.items() if int(of.confusion.sum())}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for seen, of in shown.items():
            path, title = folder / f"confusion_{seen}.png", SHOWN[seen].capitalize()
            draw_confusion(of.confusion, report.names, _marked(title, report), path)
        if shown:
            title = _marked("Calibration", report)
            draw_calibration(_curves(report, shown), title, folder / "calibration.png")
        (folder / "report.json").write_text(json.dumps(to_json(report), indent=1) + "\n")
        page = folder / "report.md"
        page.write_text("\n".join(_page(report, shown, folder)) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"the report cannot be written to {folder} ({error.strerror}); choose another --out"
        ) from error
    return page


def to_json(report: Report) -> dict[str, Any]:
    """Every number of a report; null where a class does not occur."""
    return {
        "title": report.title,
        "simulated": report.simulated,
        "facts": dict(report.facts),
        "scores": {seen: _numbers(of, report.names) for seen, of in report.tallies.items()},
        "before calibration": {
            seen: {ECE: _number(expected_calibration_error(of))}
            for seen, of in report.uncalibrated.items()
        },
        "places": {
            place: {
                "pixels": int(of.confusion.sum()),
                "overall accuracy": _number(overall_accuracy(of.confusion)),
            }
            for place, of in report.by_place.items()
        },
    }


def summary_lines(report: Report) -> list[str]:
    """A few lines for a terminal: the measures with each choice of sensors."""
    width = max(map(len, [*MEASURES, ECE])) + 2
    header = "".join(f"{SHOWN[seen]:>14}" for seen in report.tallies)
    columns = [_measures(of) for of in report.tallies.values()]
    return [
        _marked(report.title, report),
        " " * width + header,
        *(
            f"{name:<{width}}" + "".join(f"{_text(column[name]):>14}" for column in columns)
            for name in columns[0]
        ),
    ]


def _marked(title: str, report: Report) -> str:
    """A title that says so where the ground is painted: a picture travels without its page."""
    return f"{title} (simulated)" if report.simulated else title


def _numbers(of: Tally, names: tuple[str, ...]) -> dict[str, Any]:
    by_class = {what: measure(of.confusion).tolist() for what, measure in CLASS_MEASURES.items()}
    pixels = of.confusion.sum(1).tolist()
    return {
        "pixels": int(of.confusion.sum()),
        **{name: _number(value) for name, value in _measures(of).items()},
        "classes": {
            name: {"pixels": pixels[code]}
            | {what: _number(values[code]) for what, values in by_class.items()}
            for code, name in enumerate(names)
        },
        "confusion": of.confusion.tolist(),
        "calibration": [asdict(bin_) for bin_ in reliability(of)],
    }


def _measures(of: Tally) -> dict[str, float]:
    found = {name: measure(of.confusion) for name, measure in MEASURES.items()}
    return found | {ECE: expected_calibration_error(of)}


def _page(report: Report, shown: Mapping[Seen, Tally], folder: Path) -> list[str]:
    lines = [f"# {_marked(report.title, report)}", ""]
    if report.simulated:
        lines += [
            "**Simulated: painted ground with a known truth. This says nothing of real ground.**",
            "",
        ]
    lines += [f"- {name}: {fact}" for name, fact in report.facts.items()]
    lines += ["", "## Scores", "", *_scores_table(report, shown), "", MEANS]
    lines += ["", "## Classes, intersection over union", "", *_class_table(report, shown)]
    for seen, of in list(shown.items())[:1]:
        lines += ["", f"## Classes, {SHOWN[seen]}", "", *_accuracy_table(report, of)]
    lines += ["", "## Where classes go", ""]
    lines += [f"![{SHOWN[seen]}](confusion_{seen}.png)" for seen in shown]
    lines += [
        "",
        "## Calibration",
        "",
        "Confidence against the share that is right, in bins of 5 %: a larger dot is more pixels,",
        "and above the diagonal the network is right more often than it says.",
    ]
    lines += ["", "![calibration](calibration.png)"] if shown else []
    for name in (n for n in EXTRA_PICTURES if (folder / n).is_file()):
        lines += ["", "## Course of the training", "", f"![{name}]({name})"]
    if report.by_place:
        lines += ["", "## Places, both sensors", "", *_places_table(report)]
    return lines


def _scores_table(report: Report, shown: Mapping[Seen, Tally]) -> list[str]:
    columns = {seen: _measures(of) for seen, of in shown.items()}
    rows = [
        ["pixels", *(f"{int(of.confusion.sum()):,}" for of in shown.values())],
        *([name, *(_text(column[name]) for column in columns.values())] for name in MEASURES),
        [ECE, *(_text(column[ECE]) for column in columns.values())],
    ]
    if report.uncalibrated:
        rows.append(["the same before calibration", *(_before(report, seen) for seen in shown)])
    return _table(["", *(SHOWN[seen] for seen in shown)], rows)


def _before(report: Report, seen: Seen) -> str:
    of = report.uncalibrated.get(seen)
    return "" if of is None else _text(expected_calibration_error(of))


def _class_table(report: Report, shown: Mapping[Seen, Tally]) -> list[str]:
    ious = [class_iou(of.confusion).tolist() for of in shown.values()]
    first = next(iter(shown.values()), None)
    pixels = [] if first is None else first.confusion.sum(1).tolist()
    rows = [
        [name.replace("_", " "), f"{pixels[code]:,}", *(_text(iou[code]) for iou in ious)]
        for code, name in enumerate(report.names)
        if pixels and any(isfinite(iou[code]) for iou in ious)
    ]
    return _table(["class", "pixels", *(SHOWN[seen] for seen in shown)], rows)


def _accuracy_table(report: Report, of: Tally) -> list[str]:
    """What a class's producer and its user ask: how much was found, how much of it is right."""
    columns = [measure(of.confusion).tolist() for measure in (class_recall, class_precision)]
    columns.append(class_f1(of.confusion).tolist())
    rows = [
        [name.replace("_", " "), *(_text(column[code]) for column in columns)]
        for code, name in enumerate(report.names)
        if isfinite(columns[-1][code])
    ]
    names = ["producer's accuracy (recall)", "user's accuracy (precision)", "F1"]
    return _table(["class", *names], rows)


def _places_table(report: Report) -> list[str]:
    rows = [
        [place, f"{int(of.confusion.sum()):,}", _text(overall_accuracy(of.confusion))]
        for place, of in list(report.by_place.items())[:MOST_PLACES]
    ]
    more = len(report.by_place) - len(rows)
    table = _table(["place", "pixels", "overall accuracy"], rows)
    return [*table, "", f"And {more} more, in report.json."] if more > 0 else table


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    ruler = ["---"] + ["---:"] * (len(header) - 1)
    return [f"| {' | '.join(cells)} |" for cells in (header, ruler, *rows)]


def _curves(report: Report, shown: Mapping[Seen, Tally]) -> dict[str, Any]:
    """Reliability to draw: every choice of sensors, and both before the temperature."""
    curves = {SHOWN[seen]: reliability(of) for seen, of in shown.items()}
    before = report.uncalibrated.get("both")
    if before is not None and int(before.confusion.sum()):
        curves["both, before calibration"] = reliability(before)
    return curves


def _number(value: float) -> float | None:
    return round(value, 6) if isfinite(value) else None


def _text(value: float) -> str:
    return f"{value:.3f}" if isfinite(value) else "-"
