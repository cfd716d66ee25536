"""A batch of windows from raw pixels to classes, in torch's own operations on any device.

What a CPU does in passes of its own (`mapper.imagery.planes`, `pixelwise`) a GPU does here, with
the same arithmetic. The division that normalises is one by a tensor: by a number, torch multiplies
with the reciprocal on CUDA, which ends in other bits.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mapper.imagery.bands import (
    OPTICAL_NAMES,
    OPTICAL_NODATA,
    RADAR_NAMES,
    REFLECTANCE_SCALE,
    Normalisation,
)

_LOW_BITS = 0xFFFF
_PERCENT = 100


class Standardise(nn.Module):
    """(clip(pixels / per_unit, low, high) - mean) / std of each band; 0 where not valid."""

    def __init__(
        self, normalisation: Mapping[str, Normalisation], names: tuple[str, ...], per_unit: int
    ) -> None:
        super().__init__()
        rules = [normalisation[name] for name in names]
        for field in ("low", "high", "mean", "std"):
            values = torch.tensor([getattr(rule, field) for rule in rules], dtype=torch.float32)
            self.register_buffer(field, values[:, None, None])
        self.register_buffer("per_unit", torch.tensor([float(per_unit)]))

    def forward(self, pixels: Tensor, valid: Tensor) -> Tensor:
        """Standardised pixels.

        Args:
            pixels: (window, band, y, x) float32; overwritten.
            valid: (window, 1, y, x) bool.
        """
        low, high, mean, std = (self.get_buffer(x) for x in ("low", "high", "mean", "std"))
        out = pixels.div_(self.get_buffer("per_unit")).clamp_(low, high).sub_(mean).div_(std)
        return out.masked_fill_(~valid, 0)


class Answers(nn.Module):
    """A network with what comes before and after it: raw pixels in, weighted probabilities out."""

    def __init__(
        self, network: nn.Module, normalisation: Mapping[str, Normalisation], temperature: float
    ) -> None:
        super().__init__()
        self.network = network
        self.optical = Standardise(normalisation, OPTICAL_NAMES, REFLECTANCE_SCALE)
        self.radar = Standardise(normalisation, RADAR_NAMES, 1)
        self.inverse_temperature = 1 / temperature

    def forward(self, optical: Tensor, radar: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
        """Calibrated probabilities times `edges` on each axis, and whether they are numbers.

        Args:
            optical: (window, band, y, x) int16, the bits of uint16 digital numbers: few operations
                of torch know uint16.
            radar: (window, band, y, x) float32 dB.
            edges: (side,) float32, the weight of a pixel along one axis.

        Returns:
            (window, class, y, x) float32, and (window,) bool, True where all logits were finite.
        """
        seen = (optical != OPTICAL_NODATA).all(dim=1, keepdim=True)
        heard = torch.isfinite(radar).all(dim=1, keepdim=True)
        digits = optical.to(torch.int32).bitwise_and_(_LOW_BITS).to(torch.float32)
        planes = self.optical(digits, seen), self.radar(radar.clone(), heard)
        logits: Tensor = self.network(*planes, seen, heard)
        # Both ends are numbers only if all between are: two passes that write nothing.
        low, high = torch.aminmax(logits.flatten(1), dim=1)
        finite = torch.isfinite(low) & torch.isfinite(high)
        answer = torch.softmax(logits * self.inverse_temperature, dim=1)
        return answer.mul_(edges[:, None] * edges), finite


def most_likely(sums: Tensor) -> Tensor:
    """(window, 2, y, x) uint8 code and percent of the most likely class of (window, class, y, x);
    the lower code where two are equal."""
    best, code = sums.max(dim=1)
    percent = best.mul_(_PERCENT).round_().clamp_(0, _PERCENT)
    return torch.stack((code.to(torch.uint8), percent.to(torch.uint8)), dim=1)
