"""Pictures of numbers: a confusion matrix, a calibration curve, curves over steps. PNG, by Pillow.

Drawn at twice the size and scaled down, which smooths the lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from mapper.lulcformer.calibration import Bin

Colour = tuple[int, int, int]
Point = tuple[float, float]

FINE = 2
"""Pixels drawn for each pixel kept, along one side."""
INK, GREY, PALE = (34, 34, 34), (120, 120, 120), (228, 228, 228)
BLUE = (31, 94, 168)
COLOURS: tuple[Colour, ...] = (BLUE, (213, 94, 0), (0, 158, 115), INK)
"""Of lines, in order; told apart by the colour-blind, too: as any of the three kinds sees them
(Machado et al. 2009), two of them are at least 24 apart in CIELAB. Vermilion and bluish green are
Okabe's and Ito's (2008)."""
CELL = 58
"""Side of a cell of a confusion matrix, in pixels."""
TICKS = 5
"""About so many along an axis."""


@dataclass(frozen=True, slots=True)
class Line:
    """A named series of points."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Axes:
    """A rectangle of the picture that stands for ranges of x and y."""

    left: float
    top: float
    width: float
    height: float
    x: tuple[float, float]
    """Lowest and highest value."""
    y: tuple[float, float]

    def at(self, point: Point) -> Point:
        """Where a point lies in the picture."""
        (x0, x1), (y0, y1) = self.x, self.y
        across, up = (point[0] - x0) / (x1 - x0), (point[1] - y0) / (y1 - y0)
        return self.left + self.width * across, self.top + self.height * (1 - up)


class Sheet:
    """A white picture to draw on, in pixels of its final size."""

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        self.image = Image.new("RGB", (width * FINE, height * FINE), "white")
        self.draw = ImageDraw.Draw(self.image)

    def text(
        self, at: Point, text: str, size: int = 13, anchor: str = "lm", colour: Colour = INK
    ) -> None:
        """One line of text; the anchor is Pillow's, such as lm for its left middle."""
        font = ImageFont.load_default(size * FINE)
        self.draw.text(_fine(at), text, fill=colour, font=font, anchor=anchor)

    def upright(self, at: Point, text: str, size: int = 13, ends: bool = False) -> None:
        """Text that reads upwards, its middle at a point, or its end."""
        font = ImageFont.load_default(size * FINE)
        left, top, right, bottom = font.getbbox(text)
        strip = Image.new("RGB", (ceil(right - left), ceil(bottom - top)), "white")
        ImageDraw.Draw(strip).text((-left, -top), text, fill=INK, font=font)
        strip = strip.rotate(90, expand=True)
        x, y = _fine(at)
        self.image.paste(
            strip, (round(x - strip.width / 2), round(y - (0 if ends else strip.height / 2)))
        )

    def line(self, points: Sequence[Point], colour: Colour, width: float = 1) -> None:
        """Straight pieces from point to point."""
        self.draw.line([_fine(p) for p in points], colour, round(width * FINE), joint="curve")

    def box(self, corner: Point, other: Point, colour: Colour) -> None:
        """A filled rectangle."""
        self.draw.rectangle([_fine(corner), _fine(other)], fill=colour)

    def dot(self, at: Point, colour: Colour, radius: float = 3) -> None:
        """A filled circle."""
        (x, y), r = _fine(at), radius * FINE
        self.draw.ellipse([x - r, y - r, x + r, y + r], fill=colour)

    def save(self, path: Path) -> None:
        """Write it as PNG."""
        self.image.resize(self.size, Image.Resampling.LANCZOS).save(path, optimize=True)


def _fine(at: Point) -> Point:
    return at[0] * FINE, at[1] * FINE


def draw_confusion(matrix: Tensor, names: Sequence[str], title: str, path: Path) -> None:
    """A confusion matrix as a picture: each row in per cent of the pixels that truly are the class.

    The diagonal is the producer's accuracy of each class; a last row has the user's.

    Args:
        matrix: (class, class) counts, rows the truth.
        names: of the classes; those in neither truth nor answers are left out.
    """
    kept = torch.nonzero(matrix.sum(0) + matrix.sum(1)).squeeze(1).tolist()
    left, top = 190, 100
    side = CELL * len(kept)
    sheet = Sheet(max(left + side + 30, 640), top + side + 150 + CELL)
    sheet.text((12, 22), title, 16)
    sheet.text((12, 48), "Rows: true class. Columns: mapped as, in % of the true class,", 13)
    sheet.text((12, 66), "so that the diagonal is the producer's accuracy (recall).", 13)
    below = top + side + 10
    sheet.text((left - 8, below + CELL / 2 - 8), "user's accuracy", 13, "rm")
    sheet.text((left - 8, below + CELL / 2 + 9), "precision", 10, "rm", GREY)
    for place, code in enumerate(kept):
        middle, name = (place + 0.5) * CELL, names[code].replace("_", " ")
        count = int(matrix[code].sum())
        sheet.text((left - 8, top + middle - 8), name, 13, "rm")
        sheet.text((left - 8, top + middle + 9), f"{count:,} px", 10, "rm", GREY)
        sheet.upright((left + middle, below + CELL + 8), name, ends=True)
        answered = int(matrix[:, code].sum())
        right = float(matrix[code, code]) / answered if answered else None
        _cell(sheet, (left + place * CELL, below), right, True)
        for column, answer in enumerate(kept):
            share = float(matrix[code, answer]) / count if count else None
            _cell(sheet, (left + column * CELL, top + place * CELL), share, code == answer)
    sheet.save(path)


def _cell(sheet: Sheet, corner: Point, share: float | None, is_right: bool) -> None:
    """One cell of a confusion matrix: the darker, the more; None for a class without pixels."""
    x, y = corner
    shade = _mixed((255, 255, 255), BLUE if is_right else COLOURS[1], share or 0.0)
    sheet.box((x + 1, y + 1), (x + CELL - 1, y + CELL - 1), shade)
    ink = GREY if not share or share < 0.005 else INK if share <= 0.55 else (255, 255, 255)
    words = "-" if share is None else f"{100 * share:.0f}"
    sheet.text((x + CELL / 2, y + CELL / 2), words, 13, "mm", ink)


def draw_calibration(curves: Mapping[str, Sequence[Bin]], title: str, path: Path) -> None:
    """Accuracy over confidence; a calibrated network lies on the diagonal.

    Args:
        curves: by name, such as "both, calibrated". A dot's size is its share of the pixels.
    """
    sheet = Sheet(620, 560)
    sheet.text((12, 22), title, 16)
    axes = Axes(70, 50, 520, 430, (0, 1), (0, 1))
    _frame(sheet, axes, "confidence, the probability of the class mapped", "share mapped right")
    sheet.line([axes.at((0, 0)), axes.at((1, 1))], GREY)
    for number, (name, bins) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = [axes.at((bin_.confidence, bin_.accuracy)) for bin_ in bins]
        sheet.line(points, colour, 2)
        for point, bin_ in zip(points, bins, strict=True):
            sheet.dot(point, colour, 2 + 12 * bin_.share**0.5)
        _key(sheet, (axes.left + 14, axes.top + 18 + 20 * number), name, colour)
    sheet.save(path)


def draw_curves(panels: Mapping[str, Sequence[Line]], title: str, path: Path) -> None:
    """Series over training steps, a panel each; panels without a finite point are left out.

    Args:
        panels: by the name of their y axis.
    """
    shown = {name: [_finite(line) for line in lines] for name, lines in panels.items()}
    shown = {name: lines for name, lines in shown.items() if any(line.points for line in lines)}
    high = 230
    sheet = Sheet(760, 50 + high * max(1, len(shown)))
    sheet.text((12, 22), title, 16)
    points = [p for lines in shown.values() for line in lines for p in line.points]
    x = _range([0.0, *(p[0] for p in points)])
    for row, (name, lines) in enumerate(shown.items()):
        y = _range([p[1] for line in lines for p in line.points])
        axes = Axes(80, 50 + row * high, 520, high - 60, x, y)
        _frame(sheet, axes, "step" if row == len(shown) - 1 else "", name)
        for number, line in enumerate(lines):
            colour = COLOURS[number % len(COLOURS)]
            places = [axes.at(p) for p in line.points]
            if len(places) > 1:
                sheet.line(places, colour, 2)
            for place in places if len(places) < 40 else []:
                sheet.dot(place, colour)
            _key(
                sheet, (axes.left + axes.width + 12, axes.top + 10 + 20 * number), line.name, colour
            )
    sheet.save(path)


def _frame(sheet: Sheet, axes: Axes, x_name: str, y_name: str) -> None:
    """Ticks, lines and names of two axes."""
    bottom, right = axes.top + axes.height, axes.left + axes.width
    for value in _ticks(*axes.x):
        x, _ = axes.at((value, axes.y[0]))
        sheet.line([(x, axes.top), (x, bottom)], PALE)
        sheet.text((x, bottom + 12), f"{value:g}", 11, "mm", GREY)
    for value in _ticks(*axes.y):
        _, y = axes.at((axes.x[0], value))
        sheet.line([(axes.left, y), (right, y)], PALE)
        sheet.text((axes.left - 6, y), f"{value:g}", 11, "rm", GREY)
    sheet.line([(axes.left, axes.top), (axes.left, bottom), (right, bottom)], INK)
    sheet.text((axes.left + axes.width / 2, bottom + 34), x_name, 13, "mm")
    sheet.upright((20, axes.top + axes.height / 2), y_name)


def _key(sheet: Sheet, at: Point, name: str, colour: Colour) -> None:
    """A line's colour and its name, where it has one."""
    if not name:
        return
    sheet.line([at, (at[0] + 22, at[1])], colour, 3)
    sheet.text((at[0] + 30, at[1]), name, 12)


def _ticks(low: float, high: float) -> list[float]:
    """Round values inside a range, steps of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / TICKS
    power = 10.0 ** floor(log10(raw))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= raw * 0.999)
    first = ceil(low / step - 1e-9)
    return [round(n * step, 12) for n in range(first, floor(high / step + 1e-9) + 1)]


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Lowest and highest, with some air; never of no length."""
    low, high = min(values), max(values)
    air = 0.03 * (high - low)
    return (low - air, high + air) if high > low else (low - 0.5, high + 0.5)


def _finite(line: Line) -> Line:
    return Line(line.name, [p for p in line.points if isfinite(p[0]) and isfinite(p[1])])


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue
