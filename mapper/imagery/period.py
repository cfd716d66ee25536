"""Period: the days a map speaks about. Pure."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime

from mapper.errors import RequestError


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """A span of whole days, in UTC."""

    start: date
    """The first day."""
    end: date
    """The last day; it belongs to the period."""

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise RequestError(
                f'period "{self}" ends before it starts; give the earlier date first'
            )

    @classmethod
    def parse(cls, text: str) -> Period:
        """A period from words such as 2020, 2020-04, 2020-04/2020-06, 2020-04-01/2020-04-30.

        Raises:
            RequestError: the text is none of these, or a date that does not exist.
        """
        first, slash, last = text.strip().partition("/")
        try:
            return cls(_span(first)[0], _span(last if slash else first)[1])
        except ValueError as problem:
            raise RequestError(
                f'period "{text}" is not understood ({problem}); write it like'
                " 2020-04-01/2020-04-30, 2020-04/2020-06, 2020-04 or 2020"
            ) from problem

    @property
    def months(self) -> tuple[str, ...]:
        """The calendar months it touches, such as 2020-04."""
        first = self.start.year * 12 + self.start.month - 1
        last = self.end.year * 12 + self.end.month - 1
        return tuple(f"{n // 12:04d}-{n % 12 + 1:02d}" for n in range(first, last + 1))

    def contains(self, moment: datetime) -> bool:
        """Whether a moment lies in it; a moment without a time zone is taken as UTC."""
        utc = moment if moment.tzinfo is None else moment.astimezone(UTC)
        return self.start <= utc.date() <= self.end

    def __str__(self) -> str:
        return f"{self.start}/{self.end}"


def _span(text: str) -> tuple[date, date]:
    """First and last day of a year, a month or a day."""
    match = re.fullmatch(r"(\d{4})(?:-(\d\d))?(?:-(\d\d))?", text)
    if not match:
        raise ValueError(f'"{text}" is no date')
    year, month, day = (int(part) if part else None for part in match.groups())
    assert year is not None
    first = date(year, month or 1, day or 1)
    if day:
        return first, first
    last_month = month or 12
    return first, date(year, last_month, calendar.monthrange(year, last_month)[1])
