"""What is averaged while a network learns: its weights over steps, its statistics over parts."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn


class PartStatistics:
    """BatchNorm's running statistics over a batch that is computed in parts.

    Every part starts from the same ones, and what they become is the mean over the parts, so that
    neither the order of the parts nor who computes them matters.
    """

    def __init__(self, model: nn.Module, parts: int) -> None:
        self.parts = parts
        buffers = list(model.buffers()) if parts > 1 else []
        self.running = [buffer for buffer in buffers if buffer.is_floating_point()]
        self.counters = [buffer for buffer in buffers if not buffer.is_floating_point()]
        self.sums: list[Tensor] = []
        self.before: list[Tensor] = []
        self.counted: list[Tensor] = []

    def begin(self) -> None:
        """Before the first part of a batch."""
        self.before = [buffer.clone() for buffer in self.running]
        self.counted = [counter + 1 for counter in self.counters]
        self.sums = [torch.zeros_like(buffer) for buffer in self.running]

    def add(self) -> None:
        """After each part."""
        for running, before, total in zip(self.running, self.before, self.sums, strict=True):
            total += running
            running.copy_(before)

    def end(self) -> None:
        """After the last part of the last process."""
        for running, total in zip(self.running, self.sums, strict=True):
            running.copy_(total / self.parts)
        for counter, counted in zip(self.counters, self.counted, strict=True):
            counter.copy_(counted)


class MovingAverage:
    """A model whose weights and statistics follow another's; early steps move them more."""

    def __init__(self, followed: nn.Module, decay: float) -> None:
        self.decay = decay
        self.model = deepcopy(followed).eval().requires_grad_(False)
        olds, news = self.model.state_dict().values(), followed.state_dict().values()
        pairs = list(zip(olds, news, strict=True))
        self.floating = [(old, new) for old, new in pairs if old.is_floating_point()]
        self.counters = [(old, new) for old, new in pairs if not old.is_floating_point()]

    def update(self, step: int) -> None:
        """Follow once more, after `step` steps in all."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(
            [old for old, _ in self.floating], [new for _, new in self.floating], share
        )
        for old, new in self.counters:
            old.copy_(new)
