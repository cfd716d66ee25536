"""Claims about large searches in pieces: nothing is left out, no piece is too large."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from mapper.imagery.period import Period
from mapper.imagery.questions import CELL_DEG, MOST_DEG2_DAYS, Question, questions

DAY = timedelta(days=1)


@st.composite
def searches(draw: st.DrawFn) -> tuple[shapely.Polygon, Period]:
    west, south = draw(st.floats(-180, 170)), draw(st.floats(-80, 70))
    width, height = draw(st.floats(0.01, 10)), draw(st.floats(0.01, 10))
    first = date(2020, 1, 1) + draw(st.integers(0, 800)) * DAY
    period = Period(first, first + draw(st.integers(0, 500)) * DAY)
    ring = shapely.box(west, south, west + width, south + height)
    return ring.difference(shapely.box(west, south, west + width / 2, south + height / 2)), period


@given(searches())
@settings(max_examples=60, deadline=None)
def test_together_they_ask_for_everything(search: tuple[shapely.Polygon, Period]) -> None:
    ground, period = search
    asked = questions(ground, period)
    for end in (period.start, period.end, period.start + (period.end - period.start) // 2):
        then = [q.ground for q in asked if q.period.start <= end <= q.period.end]
        assert shapely.union_all(then).symmetric_difference(ground).area < 1e-9
    days = sum(q.ground.area * ((q.period.end - q.period.start).days + 1) for q in asked)
    assert days == pytest.approx(ground.area * ((period.end - period.start).days + 1))


@given(searches())
@settings(max_examples=60, deadline=None)
def test_none_is_too_large(search: tuple[shapely.Polygon, Period]) -> None:
    for question in questions(*search):
        west, south, east, north = question.ground.bounds
        assert max(east - west, north - south) <= CELL_DEG + 1e-9
        days = (question.period.end - question.period.start).days + 1
        one_month = days <= 31
        assert one_month or (east - west) * (north - south) * days <= MOST_DEG2_DAYS * 1.02


@given(searches())
@settings(max_examples=60, deadline=None)
def test_halves_ask_for_the_same(search: tuple[shapely.Polygon, Period]) -> None:
    whole = Question(*search)
    halves = whole.halves()
    area = whole.ground.area * ((whole.period.end - whole.period.start).days + 1)
    parts = [q.ground.area * ((q.period.end - q.period.start).days + 1) for q in halves]
    if halves:
        assert sum(parts) == pytest.approx(area)
        assert max(parts) < area
    else:
        west, south, east, north = whole.ground.bounds
        assert max(east - west, north - south) <= 0.5
        assert whole.period.start == whole.period.end


def test_a_small_area_and_a_season_are_one_question() -> None:
    luxembourg = shapely.box(5.7, 49.4, 6.6, 50.2)
    assert len(questions(luxembourg, Period.parse("2024-06/2024-08"))) == 1
    assert len(questions(luxembourg, Period.parse("2024"))) == 1


def test_a_question_ends_with_the_first_moment_of_the_next_day() -> None:
    (asked,) = questions(shapely.box(0, 0, 1, 1), Period.parse("2024-02"))
    assert asked.datetime == "2024-02-01T00:00:00Z/2024-03-01T00:00:00Z"


def test_the_last_day_there_is_can_be_asked_for() -> None:
    (asked,) = questions(shapely.box(0, 0, 1, 1), Period.parse("9998"))
    assert asked.period.end == date(9998, 12, 31)
