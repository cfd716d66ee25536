from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapper.errors import RequestError
from mapper.imagery.period import Period


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2020-04-01/2020-04-30", date(2020, 4, 1), date(2020, 4, 30)),
        ("2020-04/2020-06", date(2020, 4, 1), date(2020, 6, 30)),
        ("2020-02", date(2020, 2, 1), date(2020, 2, 29)),
        ("2019-02", date(2019, 2, 1), date(2019, 2, 28)),
        ("2020", date(2020, 1, 1), date(2020, 12, 31)),
        (" 2020-04-07 ", date(2020, 4, 7), date(2020, 4, 7)),
        ("2019/2020-03", date(2019, 1, 1), date(2020, 3, 31)),
    ],
)
def test_words_for_a_period(text: str, start: date, end: date) -> None:
    assert Period.parse(text) == Period(start, end)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "2020-4",
        "2020-13",
        "2020-02-30",
        "yesterday",
        "2020-06/2020-04",
        "2020-04-01/",
        "2020/2021/2022",
        "20200401",
        "2020-04-01..2020-04-30",
    ],
)
def test_anything_else_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        Period.parse(text)
    assert "period" in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.dates(), st.dates())
def test_writing_and_parsing_are_inverse(one: date, other: date) -> None:
    period = Period(min(one, other), max(one, other))
    if period.start.year >= 1000:
        assert Period.parse(str(period)) == period


def test_both_days_belong_to_it_in_utc() -> None:
    april = Period.parse("2020-04")
    assert april.contains(datetime(2020, 4, 1, tzinfo=UTC))
    assert april.contains(datetime(2020, 4, 30, 23, 59, 59, tzinfo=UTC))
    assert not april.contains(datetime(2020, 5, 1, tzinfo=UTC))
    eastern = timezone(timedelta(hours=5))
    assert not april.contains(datetime(2020, 4, 1, 3, tzinfo=eastern))


def test_months_across_a_year() -> None:
    assert Period.parse("2019-11-30/2020-02-01").months == (
        "2019-11",
        "2019-12",
        "2020-01",
        "2020-02",
    )
