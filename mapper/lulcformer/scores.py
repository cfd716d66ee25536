"""How well a network tells the classes: confusion matrices, and the numbers drawn from them.

A confusion matrix is (class, class) int64 counts of pixels: rows are the truth, columns the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Literal

import torch
from torch import Tensor, nn

from mapper.lulcformer.chips import UNLABELLED, Batch, Chips

Seen = Literal["both", "optical", "radar"]
"""The sensors a network is shown."""

ALL_SEEN: tuple[Seen, ...] = ("both", "optical", "radar")


def score(
    model: nn.Module,
    chips: Chips,
    classes: int,
    *,
    seen: Seen = "both",
    batch: int = 2,
    precision: torch.dtype = torch.float32,
) -> Tensor:
    """The confusion matrix of all labelled pixels that a shown sensor sees, on the CPU.

    The model is used as it stands: on its device, and in eval mode if that is how it was left.

    Args:
        model: answers optical, radar and the masks of both with logits.
        classes: as many as it tells apart.
        seen: the other sensor is taken away from every chip.
        batch: chips per forward pass.
        precision: the type of the matrix products; float32 is no autocast.
    """
    device = next(model.parameters()).device
    total = torch.zeros(classes, classes, dtype=torch.int64, device=device)
    for label, logits in answers(model, chips, seen=seen, batch=batch, precision=precision):
        total += confusion(label, logits.argmax(1), classes)
    return total.cpu()


def answers(
    model: nn.Module,
    chips: Chips,
    *,
    seen: Seen = "both",
    batch: int = 2,
    precision: torch.dtype = torch.float32,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Labels (chip, y, x) and logits (chip, class, y, x) of a few chips at a time; see `score`."""
    if not len(chips):
        return  # one of many processes may have none to try
    device = next(model.parameters()).device
    pieces = torch.split(torch.arange(len(chips)), batch)
    for indices, coming in zip_longest(pieces, pieces[1:], fillvalue=torch.arange(0)):
        shown = only(chips.take(indices).to(device), seen)
        chips.expect(coming)
        # Entered anew for each batch: a mode must not reach into who reads this between two.
        with (
            torch.inference_mode(),
            torch.autocast(device.type, precision, precision != torch.float32),
        ):
            logits = model(shown.optical, shown.radar, shown.optical_valid, shown.radar_valid)
        yield shown.label, logits


def only(batch: Batch, seen: Seen) -> Batch:
    """A batch of which one sensor is taken away, with the labels of what a run would map: what has
    a clear optical look, and where radar is alone, what radar saw."""
    optical = batch.optical_valid & (seen != "radar")
    radar = batch.radar_valid & (seen != "optical")
    counted = radar if seen == "radar" else optical
    label = batch.label.masked_fill(~counted.squeeze(1), UNLABELLED)
    return Batch(batch.optical, batch.radar, optical, radar, label)


def confusion(truth: Tensor, answer: Tensor, classes: int) -> Tensor:
    """The confusion matrix of two maps of class codes; unlabelled truth is left out."""
    labelled = truth != UNLABELLED
    # Unlabelled pixels are counted in a last bin that is cut off: no shape depends on the data.
    cell = torch.where(labelled, truth.long() * classes + answer.long(), classes * classes)
    counts = torch.bincount(cell.flatten(), minlength=classes * classes + 1)
    return counts[:-1].view(classes, classes)


def overall_accuracy(matrix: Tensor) -> float:
    """Share of pixels answered right."""
    return float(matrix.diagonal().sum() / matrix.sum())


def class_iou(matrix: Tensor) -> Tensor:
    """(class,) float64 intersection over union; NaN for a class in neither truth nor answers."""
    right = matrix.diagonal().double()
    return right / (matrix.sum(0) + matrix.sum(1) - right)


def mean_iou(matrix: Tensor) -> float:
    """Mean intersection over union of the classes that occur in the truth or the answers."""
    return float(class_iou(matrix).nanmean())


def mean_iou_of_truth(matrix: Tensor) -> float:
    """The same of the classes that occur in the truth: to rank weights by, for a single pixel that
    is answered as a class which is nowhere takes a ninth from the other mean."""
    return float(class_iou(matrix)[matrix.sum(1) > 0].mean())


def balanced_accuracy(matrix: Tensor) -> float:
    """Mean share answered right of the classes that occur in the truth."""
    return float(class_recall(matrix).nanmean())


def class_recall(matrix: Tensor) -> Tensor:
    """(class,) float64 share of a class's pixels that were found; NaN where there are none."""
    return matrix.diagonal().double() / matrix.sum(1)


def class_precision(matrix: Tensor) -> Tensor:
    """(class,) float64 share of the answers that are right; NaN where there are none."""
    return matrix.diagonal().double() / matrix.sum(0)


def class_f1(matrix: Tensor) -> Tensor:
    """(class,) float64 harmonic mean of precision and recall; NaN for a class that never occurs."""
    return 2 * matrix.diagonal().double() / (matrix.sum(0) + matrix.sum(1))


def macro_f1(matrix: Tensor) -> float:
    """Mean F1 of the classes that occur in the truth or the answers."""
    return float(class_f1(matrix).nanmean())
