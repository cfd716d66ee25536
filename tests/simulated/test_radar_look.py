"""What Sentinel-1 sees: speckle as coarse as the instrument, and regions that are moist or dry."""

from __future__ import annotations

from itertools import product
from statistics import NormalDist

import numpy as np
from ground_samples import PLAIN, region_at

from mapper.simulated.cover import CROPS, GRASS
from mapper.simulated.painting import MARGIN_PX, surface
from mapper.simulated.radar_look import (
    EQUIVALENT_LOOKS,
    RADAR_NODATA,
    SPECKLE,
    SPECKLE_DEVIATIONS,
    Beam,
    radar_look,
)
from mapper.simulated.spectra import RADAR


def test_outside_the_swath_there_is_nothing() -> None:
    seen = np.ones(PLAIN.shape, np.bool_)
    seen[:, 41:] = False
    across = np.where(seen, 0, np.nan).astype(np.float32)
    power = radar_look(surface(PLAIN), Beam(5, True), 200, across)
    assert (power[:, seen] > 0).all() and (power[:, ~seen] == RADAR_NODATA).all()


def test_speckle_has_the_looks_that_the_item_states() -> None:
    edges = np.linspace(-SPECKLE_DEVIATIONS, SPECKLE_DEVIATIONS, SPECKLE.size + 1)[1:-1]
    below = [NormalDist().cdf(float(edge)) for edge in edges]
    shares = np.diff([0.0, *below, 1.0])
    mean = shares @ SPECKLE.astype(np.float64)
    assert abs(mean - 1) < 1e-6
    assert abs(1 / (shares @ np.square(SPECKLE - mean)) - EQUIVALENT_LOOKS) < 0.1
    painted = surface(PLAIN)
    first, second = (radar_look(painted, Beam(seed, True), 200)[0] for seed in (1, 2))
    ratio = np.log(first / second)
    # The log of a gamma variate of shape 4.4 has variance 0.2546 (its trigamma function).
    assert abs(ratio.var() / 2 - 0.2546) < 0.02


def test_speckle_is_alike_in_neighbouring_pixels() -> None:
    painted = surface(PLAIN)
    first, second = (radar_look(painted, Beam(seed, True), 200)[0] for seed in (1, 2))
    noise = np.log(first / second)
    noise -= noise.mean()
    near, next_but_one = (
        [np.mean(a * b) / noise.var() for a, b in pairs]
        for pairs in (
            ((noise[:, 1:], noise[:, :-1]), (noise[1:], noise[:-1])),
            ((noise[:, 2:], noise[:, :-2]), (noise[2:], noise[:-2])),
        )
    )
    # Real chips: 0.72 to 0.80 and 0.29 to 0.44, texture of the ground included.
    assert all(0.66 < share < 0.79 for share in near)
    assert all(0.2 < share < 0.4 for share in next_but_one)


def test_crops_and_grass_of_one_region_are_moist_or_dry_alike() -> None:
    """Of two overpasses, so that the weather of neither is in both."""
    edge = slice(MARGIN_PX, -MARGIN_PX)
    pairs = []
    for east, north in product(range(14), range(9)):
        painted = surface(region_at(-1 + 1.7 * east, 44.3 + 1.1 * north, 64))
        mean = painted.mixture.mean[painted.components(200)[1, edge, edge], RADAR[0]]
        deviations = [
            10 * np.log10(radar_look(painted, Beam(seed, True), 200)[0]) - mean for seed in (1, 2)
        ]
        crops, grass = (painted.landscape.truth[edge, edge] == code for code in (CROPS, GRASS))
        if min(crops.sum(), grass.sum()) > 100:
            pairs.append((deviations[0][crops].mean(), deviations[1][grass].mean()))
    assert len(pairs) > 50
    # Measured pairs of classes: 0.4 to 4.3 dB² (tests/bench/bench_backscatter.py).
    assert 0.5 < np.cov(np.transpose(pairs))[0, 1] < 5
