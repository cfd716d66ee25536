"""Scores equal those of scikit-learn, and take away what they say."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn import metrics

from mapper.lulcformer.chips import Some, TensorChips
from mapper.lulcformer.model import MICRO, LulcFormer
from mapper.lulcformer.scores import (
    balanced_accuracy,
    class_iou,
    confusion,
    mean_iou,
    only,
    overall_accuracy,
    score,
)


def maps() -> tuple[torch.Tensor, torch.Tensor]:
    """A truth in which class 8 never occurs, and answers in which class 7 never occurs."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 8, (3, 16, 16), generator=generator, dtype=torch.uint8)
    answer = torch.where(
        torch.rand(3, 16, 16, generator=generator) < 0.6, truth.long() % 7, truth.long() // 2
    )
    truth[:, :4] = 255
    return truth, answer


def test_scores_are_those_of_scikit_learn() -> None:
    truth, answer = maps()
    matrix = confusion(truth, answer, 9)
    kept = (truth != 255).numpy()
    true, found = truth.numpy()[kept], answer.numpy()[kept]
    assert np.array_equal(matrix, metrics.confusion_matrix(true, found, labels=range(9)))
    assert overall_accuracy(matrix) == pytest.approx(metrics.accuracy_score(true, found))
    assert balanced_accuracy(matrix) == pytest.approx(metrics.balanced_accuracy_score(true, found))
    assert mean_iou(matrix) == pytest.approx(metrics.jaccard_score(true, found, average="macro"))
    assert torch.isnan(class_iou(matrix)).tolist() == [False] * 8 + [True]


@pytest.fixture
def chips() -> TensorChips:
    """Three chips; radar sees the upper half only."""
    generator = torch.Generator().manual_seed(0)
    valid = torch.ones(3, 1, 32, 32, dtype=torch.bool)
    upper = valid.clone()
    upper[:, :, 16:] = False
    return TensorChips(
        torch.randn(3, 10, 32, 32, generator=generator),
        torch.randn(3, 2, 32, 32, generator=generator),
        valid,
        upper,
        torch.randint(0, 9, (3, 32, 32), generator=generator, dtype=torch.uint8),
    )


def test_every_pixel_that_is_seen_is_counted_once(chips: TensorChips) -> None:
    torch.manual_seed(0)
    model = LulcFormer(replace(MICRO, missing_token=True)).eval()
    assert score(model, chips, 9).sum() == 3 * 32 * 32
    assert score(model, chips, 9, seen="optical").sum() == 3 * 32 * 32
    assert score(model, chips, 9, seen="radar").sum() == 3 * 16 * 32
    assert torch.equal(score(model, chips, 9, batch=1), score(model, chips, 9, batch=3))


def test_no_chips_are_no_pixels(chips: TensorChips) -> None:
    model = LulcFormer(MICRO).eval()
    assert not score(model, Some(chips, torch.arange(0)), 9).any()


def test_a_sensor_taken_away_is_gone(chips: TensorChips) -> None:
    batch = chips.take(torch.arange(3))
    assert not only(batch, "optical").radar_valid.any()
    assert not only(batch, "radar").optical_valid.any()
    assert (only(batch, "radar").label[:, 16:] == 255).all()
    assert torch.equal(only(batch, "both").label, batch.label)
    hidden = replace(batch, optical_valid=batch.radar_valid)
    assert (only(hidden, "both").label[:, 16:] == 255).all(), "a run maps nothing there"
