"""The residual stream of a CPU's bf16 network: a sum, a norm and a rounding in one pass.

Apart, these three and the casts between them take as long as all matrix products together, though
they are a few additions for each number: what costs is reading and writing the maps.
"""

import numba
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mapper.lulcformer.blocks import DualModalEnhancement

Floats = npt.NDArray[np.float32]
Bits = npt.NDArray[np.uint16]


class StreamNorm(nn.Module):
    """A LayerNorm of a float32 stream, answered in bf16."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.scale, self.shift = norm.weight.numpy(), norm.bias.numpy()
        self.eps = np.float32(norm.eps)

    def forward(self, stream: Tensor, gain: Tensor | None = None) -> Tensor:
        """norm(stream + gain), the sum kept in `stream`.

        Args:
            stream: (..., channel) float32, contiguous; changed.
            gain: the same shape in bf16, or None for nothing to add.
        """
        seen = torch.empty(stream.shape, dtype=torch.bfloat16)
        added = None if gain is None else bits_of(gain)
        values = stream.view(-1, stream.shape[-1]).numpy()
        add_and_norm(values, added, self.scale, self.shift, self.eps, bits_of(seen))
        return seen


def stream_norm(norm: nn.Module) -> StreamNorm:
    """The same norm as one pass; `norm` is a `NormInto`."""
    layer = norm.get_submodule("norm")
    assert isinstance(layer, nn.LayerNorm)
    return StreamNorm(layer)


class StreamedEnhancement(nn.Module):
    """A `DualModalEnhancement` for inference whose layers answer in bf16."""

    def __init__(self, block: DualModalEnhancement) -> None:
        super().__init__()
        self.p_n1, self.p_n2, self.p_n3 = map(stream_norm, (block.p_n1, block.p_n2, block.p_n3))
        self.s_n1, self.s_n2, self.s_n3 = map(stream_norm, (block.s_n1, block.s_n2, block.s_n3))
        self.p_self, self.s_self = block.p_self, block.s_self
        self.p_cross, self.s_cross = block.p_cross, block.s_cross
        self.p_ffn, self.s_ffn = block.p_ffn, block.s_ffn

    def forward(self, branches: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        p, s = (branch.contiguous() for branch in branches)
        p_seen, s_seen = self.p_n1(p), self.s_n1(s)
        p_seen = self.p_n2(p, self.p_self(p_seen, p_seen))
        s_seen = self.s_n2(s, self.s_self(s_seen, s_seen))

        p_gain = self.p_cross(p_seen, s.to(s_seen.dtype))
        s_gain = self.s_cross(s_seen, p.to(p_seen.dtype))
        p_seen, s_seen = self.p_n3(p, p_gain), self.s_n3(s, s_gain)
        return p.add_(self.p_ffn(p_seen)), s.add_(self.s_ffn(s_seen))


def bits_of(x: Tensor) -> Bits:
    """(token, channel) bits of a bf16 map: numpy knows no such number."""
    bits: Bits = x.view(torch.int16).view(-1, x.shape[-1]).numpy().view(np.uint16)
    return bits


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def add_and_norm(
    stream: Floats, gain: Bits | None, scale: Floats, shift: Floats, eps: np.float32, seen: Bits
) -> None:
    """stream += gain; seen = scale (stream - mean) / deviation + shift, token by token.

    Args:
        stream: (token, channel), changed; gain: bits of bf16, or None for nothing.
        scale, shift: (channel,).
        seen: the answer as bits of bf16, rounded to nearest, ties to even.
    """
    tokens, channels = stream.shape
    value = np.empty(channels, np.float32)
    bits = value.view(np.uint32)
    count = np.float32(channels)
    for t in range(tokens):
        token = stream[t]
        if gain is not None:
            # A bf16 is the upper half of a float32.
            for c in range(channels):
                bits[c] = np.uint32(gain[t, c]) << np.uint32(16)
            for c in range(channels):
                token[c] += value[c]
        total = np.float32(0)
        for c in range(channels):
            total += token[c]
        mean = total / count
        spread = np.float32(0)
        for c in range(channels):
            spread += (token[c] - mean) * (token[c] - mean)
        inverse = np.float32(1) / np.sqrt(spread / count + eps)
        for c in range(channels):
            value[c] = (token[c] - mean) * inverse * scale[c] + shift[c]
        for c in range(channels):
            tie = (bits[c] >> np.uint32(16)) & np.uint32(1)
            seen[t, c] = (bits[c] + np.uint32(0x7FFF) + tie) >> np.uint32(16)
