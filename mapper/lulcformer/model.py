"""LULC-Former: optical and radar pixels to land-cover logits.

Source: Yu et al. 2025, "LULC-Former", IEEE JSTARS 19:2511-2524, doi 10.1109/JSTARS.2025.3641788.
The missing-sensor tokens are an addition: the paper has no path for an absent sensor.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mapper.lulcformer.blocks import BLOCK_EPS, DualModalEnhancement, MutualAggregation, Patches
from mapper.lulcformer.decoder import CLASSIFIER_STD, Decoder

RADAR_SHARE = 4
"""One channel in four belongs to the radar branch (the paper's imbalanced allocation)."""

CELL_PX = 4
"""Side of the ground cell of a stage-1 token, in pixels: the stride of the embedding."""

COARSEST_CELL_PX = 32
"""The same of the last stage: an image whose sides are no multiples of it loses an edge."""

MIN_VALID_SHARE = 0.5
"""A token with a smaller share of valid pixels in its ground cell is replaced as missing."""

LINEAR_STD = 0.02
"""Initial spread of the Linear layers, as in other pyramid transformers."""


@dataclass(frozen=True, slots=True)
class Variant:
    """The sizes that make one LULC-Former; four stages, finest first."""

    widths: tuple[int, ...]
    """Channels of each stage, both branches together; multiples of four."""
    depths: tuple[int, ...]
    """Dual-modal blocks in each stage."""
    heads: tuple[int, ...]
    """Attention heads of each stage, in both branches."""
    reductions: tuple[int, ...]
    """Side of the square of tokens that is reduced to one key, in each stage."""
    decoder_width: int
    """Channels in which the stages are summed."""
    drop_path: float
    """Chance that the last block's residual is dropped in training; rises linearly from 0."""
    optical_bands: int = 10
    radar_bands: int = 2
    classes: int = 9
    missing_token: bool = False
    """Whether each sensor has a learned token that stands where the sensor saw nothing."""

    def __post_init__(self) -> None:
        stages = {len(self.widths), len(self.depths), len(self.heads), len(self.reductions)}
        if len(stages) != 1:
            raise ValueError(f"{self} needs as many widths as depths, heads and reductions")
        for width, heads in zip(self.widths, self.heads, strict=True):
            if width % RADAR_SHARE or width // RADAR_SHARE % heads:
                raise ValueError(
                    f"width {width} cannot be split into {RADAR_SHARE} parts of {heads} heads; "
                    f"make it a multiple of {RADAR_SHARE * heads}"
                )

    def branches(self, stage: int) -> tuple[int, int]:
        """Channels of the spectral and of the radar branch of a stage."""
        s = self.widths[stage] // RADAR_SHARE
        return self.widths[stage] - s, s


BASE = Variant(
    widths=(64, 128, 320, 512),
    depths=(3, 4, 6, 3),
    heads=(1, 2, 5, 8),
    reductions=(8, 4, 2, 1),
    decoder_width=768,
    drop_path=0.01,
)
"""The published network: 26,702,217 parameters, 24.4 GMAC per 512 x 512 window as folded here."""

SMALL = Variant(
    widths=(64, 128, 240, 384),
    depths=(2, 2, 4, 2),
    heads=(1, 2, 5, 8),
    reductions=(8, 4, 2, 1),
    decoder_width=256,
    drop_path=0.1,
)
"""10,522,777 parameters."""

TINY = Variant(
    widths=(32, 64, 160, 256),
    depths=(2, 2, 2, 2),
    heads=(1, 2, 5, 8),
    reductions=(8, 4, 2, 1),
    decoder_width=256,
    drop_path=0.1,
)
"""3,693,321 parameters."""

MICRO = Variant(
    widths=(16, 32, 48, 64),
    depths=(1, 2, 1, 1),
    heads=(1, 2, 3, 4),
    reductions=(8, 4, 2, 1),
    decoder_width=32,
    drop_path=0.0,
)
"""For tests: small enough to learn something in seconds."""

VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {"base": BASE, "small": SMALL, "tiny": TINY, "micro": MICRO}
)


class LulcFormer(nn.Module):
    """The network of a variant, with freshly drawn weights."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.variant = variant
        p, s = variant.branches(0)
        self.embed_p = Patches(variant.optical_bands, p, kernel=7, stride=CELL_PX)
        self.embed_s = Patches(variant.radar_bands, s, kernel=7, stride=CELL_PX)
        if variant.missing_token:
            self.missing_p = nn.Parameter(torch.empty(p))
            self.missing_s = nn.Parameter(torch.empty(s))
        stages = range(len(variant.widths))
        self.merge = nn.ModuleList(
            Patches(variant.widths[i - 1], variant.widths[i], kernel=3, stride=2)
            for i in stages[1:]
        )
        blocks = sum(variant.depths)
        rates = iter(variant.drop_path * k / max(blocks - 1, 1) for k in range(blocks))
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(
                    DualModalEnhancement(
                        *variant.branches(i), variant.heads[i], variant.reductions[i], next(rates)
                    )
                    for _ in range(variant.depths[i])
                )
            )
            for i in stages
        )
        self.mmam = nn.ModuleList(MutualAggregation(*variant.branches(i)) for i in stages)
        self.norms = nn.ModuleList(nn.LayerNorm(width, BLOCK_EPS) for width in variant.widths)
        self.head: nn.Module = Decoder(variant.widths, variant.decoder_width, variant.classes)
        initialise(self)

    def forward(
        self,
        optical: Tensor,
        radar: Tensor,
        optical_valid: Tensor | None = None,
        radar_valid: Tensor | None = None,
    ) -> Tensor:
        """Class logits of normalised pixels.

        Args:
            optical: (image, 10 bands, y, x), standardised.
            radar: (image, 2 bands, y, x), standardised.
            optical_valid: (image, 1, y, x) bool, True where `optical` was seen; None is all.
            radar_valid: the same for `radar`.

        What lies under an invalid pixel is never read, so it may be NaN; a NaN anywhere else
        spoils its whole window.

        Returns:
            (image, 9 classes, y, x), float32 even where the layers ran in half precision.
        """
        p = self.embed(self.embed_p, optical, optical_valid, "missing_p")
        s = self.embed(self.embed_s, radar, radar_valid, "missing_s")
        seen: list[Tensor] = []
        for i, stage in enumerate(self.stages):
            if i > 0:
                # From stage 2 on the branches are slices of one mixed map, not sensors.
                p, s = self.merge[i - 1](seen[-1]).split(self.variant.branches(i), dim=-1)
            p, s = stage((p, s))
            seen.append(self.norms[i](self.mmam[i](p, s)))
        logits: Tensor = self.head(seen)
        # Class by class here, where it is small: what is done per pixel next reads whole planes.
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32)).contiguous()
        return F.interpolate(logits, optical.shape[-2:], mode="bilinear", align_corners=True)

    def embed(self, patches: Patches, x: Tensor, valid: Tensor | None, missing: str) -> Tensor:
        """Stage-1 tokens (image, y, x, channel) of one sensor, missing ones where it is blind."""
        x = x.to(patches.proj.weight.dtype)
        if valid is not None:
            x = blanked(x, valid)
        tokens: Tensor = patches(x.permute(0, 2, 3, 1))
        if valid is None or not self.variant.missing_token:
            return tokens
        share = F.avg_pool2d(valid.float(), CELL_PX, ceil_mode=True).permute(0, 2, 3, 1)
        token: Tensor = getattr(self, missing)
        return torch.where(share >= MIN_VALID_SHARE, tokens, token.to(tokens.dtype))


_AS_BITS = {
    torch.float64: torch.int64,
    torch.float32: torch.int32,
    torch.float16: torch.int16,
    torch.bfloat16: torch.int16,
}
"""Integers as wide as the numbers of each format."""


def blanked(x: Tensor, valid: Tensor) -> Tensor:
    """x, and 0 where it is not valid, even if no number stands there; no gradient reaches x.

    By the bits of the numbers, which a CPU masks ten times as fast as `masked_fill` does: 0.2 ms
    instead of 3.1 for ten bands of a window in bf16.
    """
    bits = _AS_BITS[x.dtype]
    return (x.view(bits) & -valid.to(bits)).view(x.dtype)


def initialise(model: LulcFormer) -> None:
    """Draw the weights: small normals, He's for convolutions (by fan-out), zero biases."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=LINEAR_STD)
        elif isinstance(module, nn.Conv2d):
            fan_out = module.weight[0, 0].numel() * module.out_channels // module.groups
            nn.init.normal_(module.weight, std=sqrt(2 / fan_out))
        if isinstance(module, nn.Linear | nn.Conv2d) and module.bias is not None:
            nn.init.zeros_(module.bias)
    nn.init.normal_(model.head.get_parameter("pred.weight"), std=CLASSIFIER_STD)
    if model.variant.missing_token:
        nn.init.trunc_normal_(model.missing_p, std=LINEAR_STD)
        nn.init.trunc_normal_(model.missing_s, std=LINEAR_STD)
