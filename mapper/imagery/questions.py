"""A large search as small questions: so much ground and so many months each. Pure.

Servers give up on a country and a year at once, by time-outs or by limits on how far one may page.
Which questions are asked changes nothing in what is found: they overlap rather than leave a gap,
and every answer is tested against the whole search.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil, floor

import shapely
from shapely.geometry.base import BaseGeometry

from mapper.imagery.period import Period

CELL_DEG = 5.0
"""Side of the cells that large ground is cut along, in longitude and latitude, counted from 0."""
MOST_DEG2_DAYS = 800.0
"""Ground times days of one question: two or three pages of Sentinel-2 in Europe."""
_SMALLEST_DEG = 0.5
"""Ground is not cut into pieces narrower than this."""


@dataclass(frozen=True, slots=True)
class Question:
    """One search that a server is asked."""

    ground: BaseGeometry
    """Longitude and latitude; all on one side of 180 degrees."""
    period: Period
    """Days of sensing."""

    @property
    def datetime(self) -> str:
        """The period as STAC writes it, to the first moment of the day after its last."""
        after = self.period.end + timedelta(days=1)
        return f"{self.period.start}T00:00:00Z/{after}T00:00:00Z"

    def halves(self) -> tuple[Question, ...]:
        """Two smaller questions that ask the same, or none where it is small already."""
        start, end = self.period.start, self.period.end
        if end > start:
            middle = start + (end - start) // 2
            spans = (Period(start, middle), Period(middle + timedelta(days=1), end))
            return tuple(Question(self.ground, span) for span in spans)
        west, south, east, north = self.ground.bounds
        if max(east - west, north - south) <= _SMALLEST_DEG:
            return ()
        x, y = (west + east) / 2, (south + north) / 2
        if east - west > north - south:
            boxes = [(west, south, x, north), (x, south, east, north)]
        else:
            boxes = [(west, south, east, y), (west, y, east, north)]
        return tuple(Question(part, self.period) for part in _cut(self.ground, boxes))


def questions(ground: BaseGeometry, period: Period) -> list[Question]:
    """The questions that make up a search, in order of ground, then time.

    Args:
        ground: longitude and latitude, cut at 180 degrees.
        period: days of sensing.
    """
    return [
        Question(part, span)
        for part in _cut(ground, _cells(ground.bounds))
        for span in _spans(period, _months_of(part))
    ]


def _cells(bounds: tuple[float, ...]) -> list[tuple[float, float, float, float]]:
    """Cells over some bounds; one cell that has them whole where they are small."""
    west, south, east, north = bounds
    if max(east - west, north - south) <= CELL_DEG:
        return [(west, south, east, north)]
    columns = range(floor(west / CELL_DEG), ceil(east / CELL_DEG))
    rows = range(floor(south / CELL_DEG), ceil(north / CELL_DEG))
    corners = [(column * CELL_DEG, row * CELL_DEG) for row in rows for column in columns]
    return [(x, y, x + CELL_DEG, y + CELL_DEG) for x, y in corners]


def _cut(
    ground: BaseGeometry, boxes: Sequence[tuple[float, float, float, float]]
) -> Iterator[BaseGeometry]:
    """What of some ground lies in each box, where that is more than a line."""
    for box in boxes:
        if (part := shapely.intersection(ground, shapely.box(*box))).area:
            yield part


def _months_of(ground: BaseGeometry) -> int:
    """Months that a question about some ground may span."""
    west, south, east, north = ground.bounds
    return max(1, int(MOST_DEG2_DAYS / (31 * max((east - west) * (north - south), 1e-6))))


def _spans(period: Period, months: int) -> Iterator[Period]:
    """A period cut at the ends of months, so many months at a time."""
    start = period.start
    while start <= period.end:
        number = start.year * 12 + start.month - 1 + months
        last = min(
            date(min(number // 12, 9999), number % 12 + 1, 1) - timedelta(days=1), period.end
        )
        yield Period(start, last)
        start = last + timedelta(days=1)
