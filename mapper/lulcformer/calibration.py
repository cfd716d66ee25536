"""Confidence that means what it says: how often answers are right, by what they say of themselves.

A network's probabilities are the wrong size as a rule (a focal loss and smoothed labels make them
too small). One scalar, the temperature, by which all logits are divided, mends most of that and
changes no answer: Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv 1706.04599.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, nan

import torch
from torch import Tensor

from mapper.errors import RequestError
from mapper.lulcformer.chips import UNLABELLED, Chips
from mapper.lulcformer.model import LulcFormer
from mapper.lulcformer.scores import ALL_SEEN, Seen, answers, confusion

PERCENT = 100
BIN_PERCENT = 5
"""Width of the bins of confidence in which accuracy is compared with it."""
SAMPLED_PIXELS = 400_000
"""One scalar is fitted: more pixels than this do not move its third digit."""
TEMPERATURE_LIMITS = (0.05, 20.0)
"""Where a temperature is looked for; a network that wants another one is broken."""
_HALVINGS = 40
"""Of the interval of the logarithm: far below the rounding of a float32 logit."""


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """What was answered on labelled pixels, counted; tallies of two sets add up."""

    confusion: Tensor
    """(class, class) int64 pixels: rows are the truth, columns the answer."""
    by_percent: Tensor
    """(101, 2) int64: pixels answered with that confidence in percent, and those of them right."""

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.confusion + other.confusion, self.by_percent + other.by_percent)


@dataclass(frozen=True, slots=True)
class Bin:
    """The answers of about one confidence."""

    confidence: float
    """Their mean confidence, 0..1."""
    accuracy: float
    """Share of them that is right."""
    share: float
    """They as a share of all answers."""


def tally(truth: Tensor, answer: Tensor, percent: Tensor, classes: int) -> Tally:
    """Count answers against the truth.

    Args:
        truth: uint8 class codes, 255 where unlabelled, of any shape.
        answer: class codes, of that shape; what they are where unlabelled does not matter.
        percent: confidence 0..100 in whole numbers, of that shape.
        classes: how many there are.
    """
    labelled = truth != UNLABELLED
    sure = percent[labelled].long()
    right = truth[labelled].long() == answer[labelled].long()
    counts = [torch.bincount(of, minlength=PERCENT + 1) for of in (sure, sure[right])]
    by_percent = torch.stack(counts, dim=1).cpu()
    return Tally(confusion(truth, answer, classes).cpu(), by_percent)


def no_tally(classes: int) -> Tally:
    """The tally of nothing, to add to."""
    matrix = torch.zeros(classes, classes, dtype=torch.int64)
    return Tally(matrix, torch.zeros(PERCENT + 1, 2, dtype=torch.int64))


def tallied(
    model: LulcFormer,
    chips: Chips,
    *,
    temperatures: Sequence[float] = (1.0,),
    batch: int = 2,
    precision: torch.dtype = torch.float32,
) -> list[dict[Seen, Tally]]:
    """A network's tallies of chips with both sensors and with each alone, at each temperature."""
    classes = model.variant.classes
    found: list[dict[Seen, Tally]] = [
        {seen: no_tally(classes) for seen in ALL_SEEN} for _ in temperatures
    ]
    for seen in ALL_SEEN:
        for label, logits in answers(model, chips, seen=seen, batch=batch, precision=precision):
            for temperature, totals in zip(temperatures, found, strict=True):
                best, code = torch.softmax(logits.float() / temperature, dim=1).max(dim=1)
                totals[seen] += tally(label, code, (best * PERCENT).round(), classes)
    return found


def reliability(tallied: Tally) -> list[Bin]:
    """Confidence and accuracy in bins of 5 %, the last with 100 % in it; empty ones left out."""
    percent = torch.arange(PERCENT + 1)
    place = (percent // BIN_PERCENT).clamp_max(PERCENT // BIN_PERCENT - 1)
    told = tallied.by_percent.double()
    sums = torch.zeros(PERCENT // BIN_PERCENT, 3, dtype=torch.float64)
    sums.index_add_(0, place, torch.column_stack([told, told[:, 0] * percent / PERCENT]))
    pixels = float(sums[:, 0].sum())
    return [
        Bin(confidence=sure / count, accuracy=right / count, share=count / pixels)
        for count, right, sure in sums.tolist()
        if count
    ]


def expected_calibration_error(tallied: Tally) -> float:
    """Mean distance of confidence from accuracy over the bins, weighted by their pixels.

    Not a number where nothing was answered.
    """
    bins = reliability(tallied)
    return sum(b.share * abs(b.confidence - b.accuracy) for b in bins) if bins else nan


def fitted_temperature(
    model: LulcFormer,
    chips: Chips,
    *,
    batch: int = 2,
    precision: torch.dtype = torch.float32,
) -> float:
    """The temperature under which the labels are likeliest, rounded to four digits.

    Args:
        chips: of places from which nothing was learned, shown with both sensors.

    Raises:
        RequestError: nothing that is seen is labelled.
    """
    kept, labels = [], []
    per_chip = max(1, SAMPLED_PIXELS // max(1, len(chips)))
    for label, logits in answers(model, chips, batch=batch, precision=precision):
        for one, its in zip(label, logits, strict=True):
            places = torch.nonzero(one.flatten() != UNLABELLED).squeeze(1)
            places = evenly(places, per_chip)
            kept.append(its.flatten(1)[:, places].T.float().cpu())
            labels.append(one.flatten()[places].long().cpu())
    if not sum(map(len, labels)):
        raise RequestError(
            "no pixel of the validation chips is both labelled and seen, so no temperature can be "
            "fitted; give other chips"
        )
    return likeliest_temperature(torch.cat(kept), torch.cat(labels))


def evenly(places: Tensor, most: int) -> Tensor:
    """At most so many of the places, from the first to the last; of a square in all its columns.

    A whole number for a step could be a chip's side, and then only one column would be seen.
    """
    few = torch.linspace(0, len(places) - 1, min(most, len(places)), dtype=torch.float64)
    return places[few.round().long()]


def likeliest_temperature(logits: Tensor, label: Tensor) -> float:
    """Where the negative log likelihood is lowest; it has one lowest point.

    In b = 1 / temperature its slope is the mean over pixels of sum_c p_c z_c - z_y, p being
    softmax(b z); that rises with b, so its zero is found by halving.

    Args:
        logits: (pixel, class) float32.
        label: (pixel,) int64 class codes.
    """
    told = logits.gather(1, label[:, None]).squeeze(1)

    def slope(b: float) -> float:
        expected = (torch.softmax(logits * b, dim=1) * logits).sum(1)
        return float((expected - told).double().mean())

    low, high = sorted(-log(limit) for limit in TEMPERATURE_LIMITS)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(exp(middle)) > 0 else (middle, high)
    return float(f"{exp(-(low + high) / 2):.4g}")
