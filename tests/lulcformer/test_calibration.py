"""Confidence equals accuracy where it should, and a temperature brings it there."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from mapper.errors import RequestError
from mapper.lulcformer.calibration import (
    TEMPERATURE_LIMITS,
    Tally,
    evenly,
    expected_calibration_error,
    fitted_temperature,
    likeliest_temperature,
    no_tally,
    reliability,
    tallied,
    tally,
)
from mapper.lulcformer.chips import UNLABELLED, TensorChips
from mapper.lulcformer.model import MICRO, LulcFormer


def drawn(pixels: int, temperature: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, and labels drawn with the probabilities they have at a temperature."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(pixels, 9, generator=generator)
    chances = torch.softmax(logits / temperature, dim=1)
    return logits, torch.multinomial(chances, 1, generator=generator).squeeze(1)


@settings(max_examples=8, deadline=None)
@given(temperature=st.floats(0.3, 4), seed=st.integers(0, 99))
def test_the_temperature_that_drew_the_labels_is_found(temperature: float, seed: int) -> None:
    found = likeliest_temperature(*drawn(60_000, temperature, seed))
    assert found == pytest.approx(temperature, rel=0.05)


def test_no_other_temperature_makes_the_labels_likelier() -> None:
    logits, label = drawn(5000, 1.7)
    best = likeliest_temperature(logits, label)

    def surprise(temperature: float) -> float:
        p = torch.softmax(logits.double() / temperature, dim=1)
        return float(log_loss(label, p, labels=range(9)))

    assert surprise(best) < min(surprise(0.97 * best), surprise(1.03 * best))


def test_labels_that_no_temperature_explains_end_at_a_limit() -> None:
    logits, _ = drawn(100, 1)
    assert likeliest_temperature(logits, logits.argmax(1)) == TEMPERATURE_LIMITS[0]
    assert likeliest_temperature(logits, logits.argmin(1)) == TEMPERATURE_LIMITS[1]


def told(logits: torch.Tensor, label: torch.Tensor, temperature: float) -> Tally:
    best, code = torch.softmax(logits / temperature, dim=1).max(dim=1)
    return tally(label.to(torch.uint8), code, (100 * best).round(), 9)


def test_the_error_is_none_when_calibrated_and_shrinks_by_the_fitted_temperature() -> None:
    logits, label = drawn(200_000, 2.0)
    before = expected_calibration_error(told(logits, label, 1.0))
    after = expected_calibration_error(told(logits, label, likeliest_temperature(logits, label)))
    assert before > 0.15 and after < 0.01


def test_the_error_is_that_of_a_slow_loop() -> None:
    random = np.random.default_rng(3)
    percent = random.integers(11, 101, 5000)
    truth, answer = random.integers(0, 9, (2, 5000))
    answer = np.where(random.random(5000) < percent / 120, truth, answer)
    found = tally(
        torch.from_numpy(truth.astype(np.uint8)), torch.from_numpy(answer), torch.tensor(percent), 9
    )
    wanted = 0.0
    for first in range(0, 100, 5):
        last = 101 if first == 95 else first + 5
        inside = (percent >= first) & (percent < last)
        if inside.any():
            gap = (truth == answer)[inside].mean() - percent[inside].mean() / 100
            wanted += inside.mean() * abs(gap)
    assert expected_calibration_error(found) == pytest.approx(wanted, abs=1e-12)
    assert sum(bin_.share for bin_ in reliability(found)) == pytest.approx(1)
    assert int(found.by_percent[:, 1].sum()) == int(found.confusion.diagonal().sum())


def test_nothing_answered_has_no_error() -> None:
    assert np.isnan(expected_calibration_error(no_tally(9)))


def test_unlabelled_pixels_count_nowhere_and_tallies_add_up() -> None:
    truth = torch.tensor([0, 1, UNLABELLED, 3], dtype=torch.uint8)
    answer, percent = torch.tensor([0, 2, 255, 3]), torch.tensor([90, 40, 255, 100])
    one = tally(truth, answer, percent, 9)
    assert int(one.confusion.sum()) == int(one.by_percent[:, 0].sum()) == 3
    two = no_tally(9) + one + one
    assert torch.equal(two.confusion, 2 * one.confusion)
    assert two.by_percent[100].tolist() == [2, 2] and two.by_percent[40].tolist() == [2, 0]


def chips(labelled: bool) -> TensorChips:
    generator = torch.Generator().manual_seed(1)
    valid = torch.ones(3, 1, 32, 32, dtype=torch.bool)
    label = torch.randint(0, 9, (3, 32, 32), generator=generator, dtype=torch.uint8)
    optical = torch.randn(3, 10, 32, 32, generator=generator)
    radar = torch.randn(3, 2, 32, 32, generator=generator)
    return TensorChips(
        optical, radar, valid, valid, label if labelled else torch.full_like(label, UNLABELLED)
    )


def test_a_temperature_changes_confidence_and_no_answer() -> None:
    torch.manual_seed(0)
    model = LulcFormer(replace(MICRO, missing_token=True)).eval()
    with torch.no_grad():
        model.head.get_parameter("pred.weight").mul_(100)
    temperature = fitted_temperature(model, chips(True))
    assert temperature > 1.5, "noise cannot be told: every confidence is too high"
    before, after = tallied(model, chips(True), temperatures=(1.0, temperature))
    for seen in before:
        assert torch.equal(before[seen].confusion, after[seen].confusion)
        assert expected_calibration_error(after[seen]) < expected_calibration_error(before[seen])
    with pytest.raises(RequestError, match="both labelled and seen"):
        fitted_temperature(model, chips(False))


@pytest.mark.parametrize("most", [1, 128, 256, 512, 10_000])
def test_a_sample_of_a_square_is_of_all_its_columns(most: int) -> None:
    found = evenly(torch.arange(512 * 512), most)
    assert len(found) == most == len(found.unique())
    assert len((found % 512).unique()) >= min(most, 512) // 2


def test_few_places_are_all_taken() -> None:
    assert evenly(torch.tensor([3, 5]), 9).tolist() == [3, 5]
    assert not len(evenly(torch.tensor([], dtype=torch.int64), 9))
