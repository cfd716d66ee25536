"""The layers of LULC-Former, each a few lines of mathematics.

Maps are (image, y, x, channel): Linear and LayerNorm act on the last axis, and a convolution sees
the same memory as a channels-last (image, channel, y, x) tensor, so nothing is transposed.
The branch of three quarters of the channels is `p` (spectral), the other quarter `s` (radar).

Source: Yu et al. 2025, doi 10.1109/JSTARS.2025.3641788.
"""

from itertools import pairwise
from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend

BLOCK_EPS = 1e-6
"""LayerNorm epsilon inside the blocks and after each stage."""

PATCH_EPS = 1e-5
"""LayerNorm epsilon after patch embedding, merging and key reduction."""

MLP_RATIO = 4
"""Hidden channels of the feed-forward network per channel."""


LEAST_HEAD_WIDTH = 16
"""Channels that a head has at least where attention is computed on a CPU: with 8, as in the radar
branch of `tiny`, torch's kernels take 1.3 to 1.6 times as long (`tests/bench/bench_heads.py`)."""


ATTENTION_ON_GPU = [
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]
"""Attention that every CUDA build of torch has. cuDNN's is preferred by some builds and missing in
others, and has other last digits."""


def convolve(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """A convolution of a (image, y, x, channel) map."""
    out: Tensor = layer(x.permute(0, 3, 1, 2))
    return out.permute(0, 2, 3, 1)


def convolve_apart(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """A convolution of a (image, y, x, channel) map whose patches neither overlap nor pad.

    As one product of matrices. It is not left to the convolution, because oneDNN 3.12 (torch 2.13)
    answers in bf16 with wrong numbers, an error as large as the answer, for strides of 4 and 8 and
    fewer than 32 channels on processors with AMX.
    """
    side, (count, rows, columns, _) = layer.stride[0], x.shape
    whole = x[:, : rows // side * side, : columns // side * side]
    patches = whole.reshape(count, rows // side, side, columns // side, side, -1).transpose(2, 3)
    return F.linear(patches.flatten(3), layer.weight.permute(0, 2, 3, 1).flatten(1), layer.bias)


class DropPath(nn.Module):
    """Drops the residual of whole images in training; the rest are scaled to keep the mean."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        keep = torch.empty(len(x), 1, 1, 1, device=x.device).bernoulli_(1 - self.rate)
        return x * (keep / (1 - self.rate)).to(x.dtype)


class Into(nn.Module):
    """The same numbers in another format."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        return x.to(self.dtype)


class NormInto(nn.Module):
    """A LayerNorm computed in its own format, its answer in that of the product that follows."""

    def __init__(self, norm: nn.LayerNorm, dtype: torch.dtype) -> None:
        super().__init__()
        self.norm = norm
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(x.to(self.norm.weight.dtype))
        return out.to(self.dtype)


class Patches(nn.Module):
    """A strided convolution and a norm: the embedding of a sensor, or the merging of a map."""

    def __init__(self, inputs: int, width: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(inputs, width, kernel, stride, kernel // 2)
        self.norm = nn.LayerNorm(width, PATCH_EPS)

    def forward(self, x: Tensor) -> Tensor:
        out = convolve(self.proj, x.to(self.proj.weight.dtype))
        # Here the residual stream starts. In half precision it is kept in the norm's float32: the
        # logits err a quarter less, for 3 % of the time.
        stream: Tensor = self.norm(out.to(self.norm.weight.dtype))
        return stream


def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """softmax(queries keys^T / sqrt(channels)) values, all (image, head, token, channel)."""
    width = queries.shape[-1]
    if queries.device.type != "cpu" or width >= LEAST_HEAD_WIDTH:
        return F.scaled_dot_product_attention(queries, keys, values)
    # Channels of zeros change no product and no gradient.
    q, k, v = (F.pad(part, (0, LEAST_HEAD_WIDTH - width)) for part in (queries, keys, values))
    return F.scaled_dot_product_attention(q, k, v, scale=1 / sqrt(width))[..., :width]


class Attention(nn.Module):
    """softmax(Wq u (Wk v')^T / sqrt(d)) (Wv v'), v' the context reduced R-fold along each side."""

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.reduction = reduction
        self.attend = attend
        """May be exchanged for a function that a processor computes faster."""
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)
        if reduction > 1:
            self.sr = nn.Conv2d(width, width, reduction, reduction)
            self.norm = nn.LayerNorm(width, PATCH_EPS)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        if self.reduction > 1:
            context = self.norm(convolve_apart(self.sr, context))
        keys, values = self.kv(context).chunk(2, dim=-1)
        mixed = self.attend(self.by_head(self.q(x)), self.by_head(keys), self.by_head(values))
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(x.shape))
        return out

    def by_head(self, x: Tensor) -> Tensor:
        """(image, y, x, channel) as (image, head, token, channel of the head)."""
        return x.reshape(len(x), -1, self.heads, x.shape[-1] // self.heads).transpose(1, 2)


class FeedForward(nn.Module):
    """fc2(gelu(depth-wise 3x3(fc1(x)))); the convolution also tells tokens where they are."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = MLP_RATIO * width
        self.fc1 = nn.Linear(width, hidden)
        self.dw = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(convolve(self.dw, self.fc1(x)), approximate="tanh"))
        return out


class DualModalEnhancement(nn.Module):
    """Each branch attends to itself, then to the other, then thinks it over (DMEM)."""

    def __init__(self, p: int, s: int, heads: int, reduction: int, drop_path: float) -> None:
        super().__init__()
        self.p_n1, self.p_n2, self.p_n3 = (nn.LayerNorm(p, BLOCK_EPS) for _ in range(3))
        self.s_n1, self.s_n2, self.s_n3 = (nn.LayerNorm(s, BLOCK_EPS) for _ in range(3))
        self.p_self = Attention(p, heads, reduction)
        self.s_self = Attention(s, heads, reduction)
        self.p_cross = Attention(p, heads, reduction)
        self.s_cross = Attention(s, heads, reduction)
        self.s_to_p: nn.Module = nn.Linear(s, p)
        self.p_to_s: nn.Module = nn.Linear(p, s)
        self.p_ffn = FeedForward(p)
        self.s_ffn = FeedForward(s)
        self.drop = DropPath(drop_path)

    def forward(self, branches: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        p, s = branches
        p_seen, s_seen = self.p_n1(p), self.s_n1(s)
        p = p + self.drop(self.p_self(p_seen, p_seen))
        s = s + self.drop(self.s_self(s_seen, s_seen))

        # Both read the state before either update; the context is not normalised, as published.
        p_gain = self.p_cross(self.p_n2(p), self.s_to_p(s))
        s_gain = self.s_cross(self.s_n2(s), self.p_to_s(p))
        p = p + self.drop(p_gain)
        s = s + self.drop(s_gain)

        p = p + self.drop(self.p_ffn(self.p_n3(p)))
        s = s + self.drop(self.s_ffn(self.s_n3(s)))
        return p, s


class MutualAggregation(nn.Module):
    """Joins the branches, each channel weighted by a gate that saw the mean of both (MMAM)."""

    def __init__(self, p: int, s: int) -> None:
        super().__init__()
        self.p_gate = gate(p + s, p, p)
        self.s_gate = gate(p + s, s, s)

    def forward(self, p: Tensor, s: Tensor) -> Tensor:
        mean = torch.cat((p.mean((1, 2), keepdim=True), s.mean((1, 2), keepdim=True)), -1)
        return torch.cat((p * self.p_gate(mean), s * self.s_gate(mean)), -1)


def gate(*widths: int) -> nn.Sequential:
    """sigmoid(W2 relu(W1 x)) without biases."""
    first, second = (nn.Linear(a, b, bias=False) for a, b in pairwise(widths))
    return nn.Sequential(first, nn.ReLU(), second, nn.Sigmoid())
