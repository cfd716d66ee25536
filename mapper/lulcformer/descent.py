"""How far and which way weights go in a step: what AdamW is told."""

from __future__ import annotations

from math import cos, pi
from typing import Any

from torch import nn

ADAM_BETAS = (0.9, 0.999)
"""Kingma, Ba 2015 (arXiv 1412.6980), as usual; decay by Loshchilov, Hutter 2019 (1711.05101)."""


def learning_rate(step: int, *, steps: int, warmup_steps: int, peak: float, final: float) -> float:
    """Linear warm-up to the peak, then half a cosine down to the final rate, in the last of all."""
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    left = max(steps - 1 - warmup_steps, 1)
    progress = (step - warmup_steps) / left
    return final + (peak - final) * (1 + cos(pi * min(progress, 1))) / 2


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters for the optimiser: matrices and kernels decay, vectors do not."""
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
