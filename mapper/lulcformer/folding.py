"""A trained network, rearranged for inference: the same function with fewer multiplies.

Three products of weights are computed once instead of at every window:
- the decoder's K_i W_i, with BatchNorm folded in (see decoder.py);
- the context Linear of each cross attention (A, B) times the reduction convolution that follows it:
  a patch is convolved without padding, so `conv(A s + a)` is one convolution of `s`;
- where nothing is reduced (stage 4), A or B times the fused Linear of keys and values.
All are exact up to rounding. The result cannot be trained or saved: keep the original.
"""

from copy import deepcopy

import torch
from torch import nn

from mapper.lulcformer.blocks import Attention, DualModalEnhancement
from mapper.lulcformer.decoder import Decoder, FoldedDecoder
from mapper.lulcformer.model import LulcFormer


@torch.no_grad()
def for_inference(model: LulcFormer) -> LulcFormer:
    """A folded copy in eval mode, without gradients; `forward` is the model's own."""
    folded = deepcopy(model).eval()
    assert isinstance(folded.head, Decoder)
    folded.head = FoldedDecoder(folded.head)
    for block in folded.modules():
        if isinstance(block, DualModalEnhancement):
            fold_context(block.s_to_p, block.p_cross)
            fold_context(block.p_to_s, block.s_cross)
            block.s_to_p = block.p_to_s = nn.Identity()
    folded.requires_grad_(False)
    folded.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in stubs
    return folded


def fold_context(context: nn.Module, attention: Attention) -> None:
    """Let the attention read the other branch itself, instead of through the Linear `context`."""
    assert isinstance(context, nn.Linear)
    if attention.reduction > 1:
        attention.sr = composed_convolution(context, attention.sr)
    else:
        attention.kv = composed_linear(context, attention.kv)


def composed_linear(first: nn.Linear, second: nn.Linear) -> nn.Linear:
    """second(first(x)) as one layer."""
    out = nn.Linear(first.in_features, second.out_features)
    out.weight = nn.Parameter(second.weight @ first.weight)
    out.bias = nn.Parameter(second(first.bias))
    return out


def composed_convolution(first: nn.Linear, second: nn.Conv2d) -> nn.Conv2d:
    """second(first(x)) as one layer; padding would need another bias at the edge."""
    assert second.padding == (0, 0) and second.bias is not None
    out = nn.Conv2d(first.in_features, second.out_channels, 1)
    out.kernel_size, out.stride = second.kernel_size, second.stride
    out.weight = nn.Parameter(torch.einsum("omyx,mi->oiyx", second.weight, first.weight))
    out.bias = nn.Parameter(second.bias + torch.einsum("omyx,m->o", second.weight, first.bias))
    return out
