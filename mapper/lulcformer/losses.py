"""The loss: focal cross entropy with class weights and label smoothing."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mapper.lulcformer.chips import UNLABELLED


def focal_loss(
    logits: Tensor,
    label: Tensor,
    *,
    gamma: float,
    class_weights: Tensor | None = None,
    smoothing: float = 0.0,
    total: Tensor | None = None,
) -> Tensor:
    """Mean over labelled pixels of w_y sum_c q_c (1 - p_c)^gamma (-log p_c), in float32.

    q is the label with a share of `smoothing` spread over all classes. Without smoothing this is
    Lin et al. 2017 (arXiv 1708.02002), with gamma = 0 besides it is cross entropy.

    Args:
        logits: (chip, class, y, x).
        label: (chip, y, x) uint8, 255 where unlabelled.
        class_weights: (class,); the mean is weighted by them, so their scale does not matter.
        total: what the weighted sum is divided by: the weight of a larger batch that this is a part
            of, so that the losses of its parts add up; None is these pixels' own weight.

    Returns:
        A scalar; zero where nothing is labelled.
    """
    classes = logits.shape[1]
    target = label.long().masked_fill(label == UNLABELLED, 0)
    log_p = F.log_softmax(logits.float(), dim=1)
    # Where p is 1, the slope of a power below 1 is infinite, and nothing times it no number.
    doubt = (1 - log_p.exp()).clamp_min(torch.finfo(torch.float32).tiny)
    surprise = -(doubt**gamma) * log_p

    told = surprise.gather(1, target[:, None]).squeeze(1)
    loss = (1 - smoothing) * told + smoothing / classes * surprise.sum(1)
    weight = pixel_weights(label, class_weights)
    whole = weight.sum() if total is None else total
    # Nothing weighs nothing: divided by a tiny number, a scaled gradient would be infinity times 0.
    return (loss * weight).sum() / torch.where(whole > 0, whole, 1)


def pixel_weights(label: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """(chip, y, x) float32, what each pixel counts in the mean; 0 where unlabelled."""
    labelled = label != UNLABELLED
    if class_weights is None:
        return labelled.float()
    target = label.long().masked_fill(~labelled, 0)
    return labelled * class_weights.to(label.device)[target]


def class_weights(counts: Tensor, strength: float = 0.5) -> Tensor:
    """Weights that lift rare classes: frequency to the power of -strength, 1 on average.

    Args:
        counts: (class,) labelled pixels.
        strength: 0 weighs all pixels alike, 1 all classes alike. A class that never occurs weighs
            as much as one with a thousandth of the pixels.
    """
    share = counts.double() / counts.sum()
    raw = share.clamp_min(1e-3) ** -strength
    return (raw / raw.mean()).float()


def count_classes(label: Tensor, classes: int) -> Tensor:
    """(class,) int64, the labelled pixels of each class in a uint8 tensor of any shape."""
    return torch.bincount(label.flatten().int(), minlength=256)[:classes]
