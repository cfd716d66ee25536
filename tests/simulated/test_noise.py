"""Randomness by place: the same for ever, without bias, without seams."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mapper.simulated.noise import (
    GAUSS,
    NOISE_SPREAD,
    fractal,
    fractal_at,
    gradient,
    hash3,
    nearest_cell,
    unit,
)

_FAR = st.floats(-7e6, 7e6)


def test_hashes_are_pinned_for_every_pixel_follows_from_them() -> None:
    assert [int(hash3(1, 2, 3, 4)), int(hash3(-1, 0, 0, 0))] == [758298165, 3240904386]


def test_hashes_are_evenly_spread() -> None:
    draws = np.array([unit(hash3(n, n * n, 5, 9)) for n in range(20_000)])
    counts, _ = np.histogram(draws, 20, (0, 1))
    assert counts.min() > 880 and counts.max() < 1120


def test_the_table_of_quantiles_is_standard_normal() -> None:
    assert abs(GAUSS.mean()) < 1e-6 and abs(GAUSS.std() - 1) < 1e-3


@settings(deadline=None)  # the first call compiles
@given(_FAR, _FAR, _FAR)
def test_noise_is_continuous_everywhere(x: float, y: float, z: float) -> None:
    step = 1e-4
    assert abs(gradient(x, y, z, 3) - gradient(x + step, y, z, 3)) < 10 * step


def test_noise_has_the_spread_that_its_users_divide_by() -> None:
    place = np.random.default_rng(1).uniform(-6e6, 6e6, (3, 200, 200))
    octave = fractal(*place, 1000.0, 1, 0.5, 7)
    assert abs(octave.mean()) < 0.03 and abs(octave.std() - 1) < 0.06
    assert NOISE_SPREAD > 0


def test_an_array_of_noise_is_its_points() -> None:
    place = np.random.default_rng(2).uniform(-6e6, 6e6, (3, 4, 5))
    field = fractal(*place, 700.0, 3, 0.5, 7)
    alone = fractal_at(*(float(axis[2, 3]) for axis in place), 700.0, 3, 0.5, 7)
    assert field[2, 3] == np.float32(alone)


@settings(deadline=None)  # the first call compiles
@given(st.floats(-1e7, 1e7), st.floats(-1e7, 1e7))
def test_a_point_belongs_to_the_nearest_centre(u: float, v: float) -> None:
    cell, east, north, distance, border = nearest_cell(u, v, 500.0, 0.9, 11)
    assert border >= -1e-6 and abs(np.hypot(east, north) - distance) < 1e-6
    centre = nearest_cell(u - east, v - north, 500.0, 0.9, 11)
    assert centre[0] == cell and centre[3] < 1e-6
