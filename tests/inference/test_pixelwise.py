"""What a pass over pixels says is what torch and float64 say."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from mapper.inference.pixelwise import most_likely, weigh
from mapper.inference.windows import taper


def exact(logits: npt.NDArray[np.float32], temperature: float) -> npt.NDArray[np.float64]:
    return torch.softmax(torch.from_numpy(logits).double() / temperature, 0).numpy()


@pytest.mark.parametrize("spread", [0.0, 1.0, 30.0, 3000.0])
@pytest.mark.parametrize("temperature", [1.0, 0.7, 2.5])
def test_weights_times_softmax_are_those_of_float64(spread: float, temperature: float) -> None:
    logits = (spread * np.random.default_rng(0).standard_normal((9, 512, 512))).astype(np.float32)
    wanted = exact(logits, temperature) * np.outer(taper(), taper()).astype(np.float64)
    weigh(logits, np.float32(1 / temperature), taper())
    # A logit of 3,000 has no digits left below 1e-4: what is asked follows its rounding.
    assert np.abs(logits - wanted).max() < 5e-7 + 1e-7 * spread
    assert np.all(logits >= 0)


def test_probabilities_of_a_pixel_sum_to_one() -> None:
    logits = np.random.default_rng(1).normal(0, 5, (9, 64, 64)).astype(np.float32)
    weigh(logits, np.float32(1), np.ones(64, np.float32))
    assert np.abs(logits.sum(0) - 1).max() < 1e-6


@pytest.mark.parametrize("highest", [1.0, 1.0000002])
def test_most_likely_class_is_the_first_of_the_highest(highest: float) -> None:
    rng = np.random.default_rng(2)
    sums = rng.dirichlet(np.ones(9), (40, 31)).transpose(2, 0, 1).astype(np.float32)
    sums[:, 0, 0] = 0
    sums[7, 0, 0] = highest
    sums[3:5, 1, 1] = 0.5
    code, percent = most_likely(sums[:, :, 1:] if highest > 1 else sums)
    seen = sums[:, :, 1:] if highest > 1 else sums
    assert np.array_equal(code, seen.argmax(0))
    assert np.array_equal(percent, np.rint(seen.max(0) * 100).clip(0, 100))
    assert code.dtype == percent.dtype == np.uint8


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0, 0), (8, 63, 40), (4, 20, 7)])
def test_a_logit_that_is_no_number_is_told(bad: float, place: tuple[int, int, int]) -> None:
    logits = np.full((9, 64, 41), 3e38, np.float32)
    assert weigh(logits.copy(), np.float32(0.5), np.ones(64, np.float32))
    logits[place] = bad
    assert not weigh(logits, np.float32(0.5), np.ones(64, np.float32))
