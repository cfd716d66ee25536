"""Windows cover the lattice, weights sum to one, and the blend does not depend on the cut."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mapper.inference.windows import (
    OVERLAP_PX,
    STRIDE_PX,
    WINDOW_PX,
    blend,
    cell_of,
    needed_region,
    taper,
    window_at,
    windows_over,
    windows_touching,
)
from mapper.land.grid import Region, Zone

ZONE = Zone(32, False)
CLASSES = 2


def weights() -> npt.NDArray[np.float32]:
    """(512, 512) weights of a window's pixels."""
    return np.outer(taper(), taper())


regions = st.builds(
    Region,
    st.just(ZONE),
    st.integers(0, 80_000),
    st.integers(0, 1_000_000),
    st.integers(1, 1500),
    st.integers(1, 1500),
)


@given(regions)
@settings(max_examples=60, deadline=None)
def test_every_pixel_lies_in_one_two_or_four_windows(region: Region) -> None:
    count = np.zeros(region.shape, np.int64)
    for window in windows_over(region):
        shared = window.intersection(region)
        assert shared is not None, "a window without a pixel of the region was made"
        count[shared.slices_in(region)] += 1
    assert set(np.unique(count)) <= {1, 2, 4}


@given(regions)
@settings(max_examples=60, deadline=None)
def test_windows_lie_on_the_lattice_in_row_major_order(region: Region) -> None:
    windows = windows_over(region)
    assert all(w.left % STRIDE_PX == 0 and w.top % STRIDE_PX == 0 for w in windows)
    assert [(w.top, w.left) for w in windows] == sorted({(w.top, w.left) for w in windows})


@given(regions, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_windows_touching_are_those_with_a_wanted_pixel(region: Region, random) -> None:
    wanted = np.zeros(region.shape, np.bool_)
    for _ in range(3):
        wanted[random.randrange(region.height), random.randrange(region.width)] = True
    found = windows_touching(region, wanted)
    points = [(region.left + x, region.top + y) for y, x in np.argwhere(wanted)]
    expected = [
        w
        for w in windows_over(region)
        if any(w.left <= x < w.right and w.top <= y < w.bottom for x, y in points)
    ]
    assert found == expected
    needed = needed_region(region, wanted)
    assert all(w.intersection(needed) == w for w in found)
    assert needed.left == min(w.left for w in found)
    assert needed.bottom == max(w.bottom for w in found)


def test_a_pixel_at_the_origin_of_the_southern_zones_has_windows_across_it() -> None:
    at_equator = Region(Zone(37, True), 40_000, 0, 10, 10)
    tops = {w.top for w in windows_over(at_equator)}
    assert tops == {-STRIDE_PX, 0}


def test_weights_of_neighbours_sum_to_exactly_one() -> None:
    ramp = taper()
    assert ramp.dtype == np.float32
    assert np.all(ramp[:OVERLAP_PX] + ramp[-OVERLAP_PX:] == 1)
    assert np.all(ramp[OVERLAP_PX:-OVERLAP_PX] == 1)
    assert np.array_equal(ramp, ramp[::-1])
    assert np.all(np.diff(ramp[:OVERLAP_PX]) >= 0)
    total = np.zeros((STRIDE_PX * 4, STRIDE_PX * 4), np.float32)
    for y in range(3):
        for x in range(3):
            corner = (slice(y * STRIDE_PX, y * STRIDE_PX + WINDOW_PX),)
            total[*corner, x * STRIDE_PX : x * STRIDE_PX + WINDOW_PX] += weights()
    inner = slice(STRIDE_PX, 3 * STRIDE_PX)
    assert np.all(total[inner, inner] == 1)


def probabilities(window: Region, pixels: slice = slice(None)) -> npt.NDArray[np.float32]:
    """(class, y, x) that a network could answer for this window, always the same."""
    name = f"{window.left},{window.top}".encode()
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(name).digest()[:8]))
    first = rng.random((WINDOW_PX, WINDOW_PX), dtype=np.float32)
    return np.stack([first, 1 - first])


def blended(region: Region, windows: list[Region] | None = None) -> npt.NDArray[np.float32]:
    """(class, y, x) over a region by way of `blend`."""
    out = np.full((CLASSES, *region.shape), np.nan, np.float32)
    chosen = windows_over(region) if windows is None else windows
    for cell, sums in blend((w, probabilities(w) * weights()) for w in chosen):
        shared = cell.intersection(region)
        if shared is not None:
            out[:, *shared.slices_in(region)] = sums[:, *shared.slices_in(cell)]
    return out


def test_blend_equals_a_slow_sum_in_float64() -> None:
    region = Region(ZONE, 40_000, 500_100, 1300, 900)
    slow = np.zeros((CLASSES, *region.shape))
    weight = np.zeros(region.shape)
    for window in windows_over(region):
        shared = window.intersection(region)
        assert shared is not None
        here, there = shared.slices_in(region), shared.slices_in(window)
        plane = np.outer(taper(), taper()).astype(np.float64)[there]
        slow[:, *here] += probabilities(window)[:, *there].astype(np.float64) * plane
        weight[here] += plane
    fast = blended(region)
    assert np.all(weight == 1)
    assert np.abs(fast - slow).max() < 1e-6
    assert np.abs(fast.sum(0) - 1).max() < 1e-6


@given(
    st.integers(0, 900),
    st.integers(0, 900),
    st.integers(1, 700),
    st.integers(1, 700),
)
@settings(max_examples=8, deadline=None)
def test_the_cut_changes_no_bit(left: int, top: int, width: int, height: int) -> None:
    whole = Region(ZONE, 40_000, 500_000, 1600, 1600)
    part = Region(ZONE, 40_000 + left, 500_000 + top, width, height)
    inside = blended(whole)[:, *part.slices_in(whole)]
    assert np.array_equal(inside, blended(part))


def test_a_mask_leaves_out_windows_and_changes_no_wanted_bit() -> None:
    region = Region(ZONE, 40_000, 500_000, 1600, 1600)
    wanted = np.zeros(region.shape, np.bool_)
    wanted[100:140, 90:130] = wanted[1500:, 1500:] = wanted[1000, ::350] = True
    windows = windows_touching(region, wanted)
    assert len(windows) < len(windows_over(region))
    masked = blended(region, windows)
    assert np.array_equal(masked[:, wanted], blended(region)[:, wanted])


def test_torch_and_numpy_blend_to_the_same_bits() -> None:
    region = Region(ZONE, 40_000, 500_000, 800, 800)
    pieces = ((w, torch.from_numpy(probabilities(w) * weights())) for w in windows_over(region))
    expected = blend((w, probabilities(w) * weights()) for w in windows_over(region))
    for (cell, sums), (same_cell, same_sums) in zip(blend(pieces), expected, strict=True):
        assert cell == same_cell
        assert np.array_equal(sums.numpy(), same_sums)


def test_a_row_may_be_missing_altogether() -> None:
    windows = [window_at(ZONE, 5, 0), window_at(ZONE, 5, 2)]
    cells = dict(blend((w, probabilities(w) * weights()) for w in windows))
    for window in windows:
        alone = probabilities(window) * weights()
        assert np.array_equal(cells[cell_of(window)], alone[:, :STRIDE_PX, :STRIDE_PX])


@pytest.mark.parametrize("side", [1, STRIDE_PX, WINDOW_PX, 4096])
def test_the_number_of_windows_is_what_the_stride_says(side: int) -> None:
    region = Region(ZONE, 40 * STRIDE_PX, 40 * STRIDE_PX, side, side)
    per_axis = 1 + -(-side // STRIDE_PX)
    assert len(windows_over(region)) == per_axis**2
