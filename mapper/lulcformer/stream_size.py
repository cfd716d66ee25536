"""How large the residual streams grow: training keeps them where half precision counts well.

A stream is only read through norms, nearly: the context of a cross attention is not normalised, as
published, so each branch can lend the other its size, block after block. The loss does not mind; at
a few hundred thousand a stream leaves float16, whose largest number is 65,504.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mapper.lulcformer.blocks import MutualAggregation

CALM_RMS = 16.0
"""Root mean square up to which a stream costs nothing. After its first norm a stream has 1; single
numbers of one with 16 were seen to reach 600."""

_STRENGTH = 0.01
"""Beside a focal loss of 0.4: e times too large costs 0.01, a thousand times 0.5."""


class Streams:
    """Watches what a network's streams are when the branches are joined, at the end of a stage."""

    def __init__(self, model: nn.Module) -> None:
        self._seen: list[Tensor] = []
        for module in model.modules():
            if isinstance(module, MutualAggregation):
                module.register_forward_pre_hook(self._see)

    def excess(self) -> Tensor | float:
        """What the last forward pass costs: 0.01 sum (ln(RMS / 16))^2 over its large streams."""
        seen, self._seen = self._seen, []
        sizes = [stream.float().square().mean().clamp_min(CALM_RMS**2) for stream in seen]
        if not sizes:
            return 0.0
        logs = (torch.stack(sizes) / CALM_RMS**2).log() / 2
        return _STRENGTH * logs.square().sum()

    def _see(self, module: nn.Module, branches: tuple[Tensor, Tensor]) -> None:
        self._seen += branches
