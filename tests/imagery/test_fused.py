"""The fused median against the plain one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapper.imagery.bands import Sensor
from mapper.imagery.composite import Stack, median_of
from mapper.imagery.fused import (
    COARSE_BANDS,
    FINE_BANDS,
    Layers,
    median_of_layers,
    middle_network,
    middle_places,
)
from mapper.imagery.resample import doubled_bilinear
from mapper.land.grid import Region, Zone

BANDS = len(FINE_BANDS) + len(COARSE_BANDS)


@pytest.mark.parametrize("size", range(1, 11))
def test_the_network_finds_the_middle_of_what_is_not_hidden(size: int) -> None:
    """Every choice of hidden numbers, and by the 0-1 principle all numbers."""
    lower, upper = middle_places(size)
    for hidden in itertools.product((False, True), repeat=size):
        for bits in itertools.product((0, 1), repeat=size) if size < 7 else [(0, 1) * size]:
            shown = sorted(b for b, h in zip(bits, hidden, strict=False) if not h)
            turns = itertools.cycle((9, -9))
            row = [next(turns) if h else b for b, h in zip(bits, hidden, strict=False)]
            for low, high in middle_network(size):
                row[low], row[high] = sorted((row[low], row[high]))
            count = len(shown)
            if count % 2:
                assert row[lower if size % 2 == 0 else upper] == shown[count // 2]
            elif count:
                middle = [shown[count // 2 - 1], shown[count // 2]]
                assert [row[lower], row[upper]] == middle


def draw_layers(seed: int, layers: int, looks: int, shape: tuple[int, int], gaps: float) -> Layers:
    """Scenes of both kinds; those of one look never claim the same pixel."""
    random = np.random.default_rng(seed)
    height, width = shape
    top = int(random.choice([50, 6000, 65_535]))
    fine = random.integers(1, top, (layers, len(FINE_BANDS), 2 * height, 2 * width))
    coarse = random.integers(1, top, (layers, len(COARSE_BANDS), height + 2, width + 2))
    wide = random.integers(1, top, (layers, BANDS, 2 * height, 2 * width))
    fine[random.random(fine.shape) < gaps] = 0
    coarse[random.random(coarse.shape) < gaps] = 0
    look = np.sort(random.integers(0, looks, layers)).astype(np.int64)
    take = random.random((layers, height, width)) < 0.6
    for one, other in itertools.combinations(range(layers), 2):
        if look[one] == look[other]:
            take[other] &= ~take[one]
    wide *= take.repeat(2, 1).repeat(2, 2)[:, None]
    numbers = np.arange(layers)
    source = np.where(random.random(layers) < 0.3, -1 - numbers, numbers).astype(np.int64)
    offset = random.choice([0, -1000, 500], (layers, BANDS)).astype(np.int64)
    kinds = (a.astype(np.uint16) for a in (fine, coarse, wide))
    return Layers(*kinds, take, source, look, offset)


def plainly(layers: Layers) -> tuple[np.ndarray, np.ndarray]:
    """Every look on the lattice, then the plain median."""
    _, height, width = layers.take.shape
    looks = np.unique(layers.look)
    pixels = np.zeros((len(looks), BANDS, 2 * height, 2 * width), np.uint16)
    for number, (source, look) in enumerate(zip(layers.source, layers.look, strict=True)):
        digits = layers.wide[-1 - source].astype(np.int64)
        for band in range(BANDS) if source >= 0 else ():
            if band in FINE_BANDS:
                raw = layers.fine[source, FINE_BANDS.index(band)]
            else:
                stored = layers.coarse[source, COARSE_BANDS.index(band)]
                raw = doubled_bilinear(stored, (0, 0), (2 * height, 2 * width))
            shifted = (raw.astype(np.int64) + layers.offset[number, band]).clip(1, 65_535)
            digits[band] = np.where(raw == 0, 0, shifted)
        take = layers.take[number].repeat(2, 0).repeat(2, 1) & (digits != 0).all(axis=0)
        pixels[np.searchsorted(looks, look)][:, take] = digits[:, take]
    region = Region(Zone(32, False), 0, 0, 2 * width, 2 * height)
    return median_of(Stack(region, Sensor.OPTICAL, pixels, pixels.all(axis=1)))


@given(
    st.integers(0, 10_000),
    st.integers(1, 14),
    st.integers(1, 9),
    st.tuples(st.integers(1, 9), st.sampled_from([1, 2, 17, 40, 600])),
    st.sampled_from([0, 0.004, 0.1]),
    st.tuples(st.integers(0, 1), st.integers(0, 1)),
)
@settings(max_examples=40, deadline=None)
def test_it_equals_the_plain_median_on_every_pixel(
    seed: int,
    scenes: int,
    looks: int,
    shape: tuple[int, int],
    gaps: float,
    corner: tuple[int, int],
) -> None:
    layers = draw_layers(seed, scenes, looks, shape, gaps)
    median, count = plainly(layers)
    height, width = (2 * n - c for n, c in zip(shape, corner, strict=True))
    out = np.full((BANDS, height + 3, width + 5), 7, np.uint16)
    counts = np.full((height + 3, width + 5), 9, np.uint8)
    at = (slice(2, 2 + height), slice(3, 3 + width))
    median_of_layers(layers, corner, out, counts, at)
    np.testing.assert_array_equal(counts[at], count[corner[0] :, corner[1] :])
    np.testing.assert_array_equal(out[:, *at], median[:, corner[0] :, corner[1] :])
    out[:, *at], counts[at] = 7, 9
    assert (out == 7).all()
    assert (counts == 9).all()
