"""Tracks that repeat, and pass where the real ones do."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapper.simulated.orbits import SENTINEL_1_DESCENDING, SENTINEL_2, TRACKS, Track, orbits_over


def _across(track: Track, orbit: int, lon: float, lat: float) -> float:
    return float(track.place(orbit, np.array([lon]), np.array([lat]))[0][0])


@pytest.mark.parametrize(
    ("orbit", "lon", "lat"), [(43, -147.8, 60.8), (65, 9.5, 47.1), (123, -17.5, 20.4)]
)
def test_real_orbits_of_sentinel_2_see_what_they_saw(orbit: int, lon: float, lat: float) -> None:
    assert abs(_across(SENTINEL_2, orbit, lon, lat)) < 1


def test_a_real_scene_of_sentinel_1_lies_in_its_orbit() -> None:
    assert abs(_across(SENTINEL_1_DESCENDING, 51, 15.2, 30.4)) < 0.3


@settings(deadline=None)
@given(
    st.sampled_from(TRACKS),
    st.integers(1, 143),
    st.floats(-0.99, 0.99),
    st.floats(-75, 75),
)
def test_a_place_in_the_swath_is_found_again(
    track: Track, orbit: int, across: float, along: float
) -> None:
    lon, lat = track.at(orbit, across, along)
    found = track.place(orbit, np.array([lon]), np.array([lat]))
    assert found[0][0] == pytest.approx(across, abs=0.1)
    assert found[1][0] == pytest.approx(along, abs=0.3)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(TRACKS), st.floats(-180, 180), st.floats(-70, 70))
def test_every_place_is_seen_by_some_orbit(track: Track, lon: float, lat: float) -> None:
    assert 1 <= len(orbits_over(track, np.array([lon]), np.array([lat]))) <= 10


@pytest.mark.parametrize("track", TRACKS)
def test_passes_come_at_even_intervals_and_never_twice(track: Track) -> None:
    whole = list(track.passes(17, date(2024, 1, 1), date(2024, 12, 31)))
    gaps = {b[1] - a[1] for a, b in itertools.pairwise(whole)}
    assert gaps == {timedelta(days=track.every * track.repeat_days)}
    parts = [
        *track.passes(17, date(2024, 1, 1), date(2024, 5, 9)),
        *track.passes(17, date(2024, 5, 10), date(2024, 12, 31)),
    ]
    assert parts == whole


def test_sentinel_2_passes_at_half_past_ten_everywhere() -> None:
    for orbit in (1, 43, 100, 143):
        _, time = next(SENTINEL_2.passes(orbit, date(2024, 6, 1), date(2024, 7, 30)))
        hours = time.hour + time.minute / 60 + SENTINEL_2.crossing(orbit) / 15
        assert hours % 24 == pytest.approx(10.45, abs=0.25)
    assert time.tzinfo is UTC and time > datetime(2024, 5, 31, tzinfo=UTC)
