"""A trained network, rearranged for inference: the same function with fewer multiplies.

Three products of weights are computed once instead of at every window:
- the decoder's K_i W_i, with BatchNorm folded in (see decoder.py);
- the context Linear of each cross attention (A, B) times the reduction convolution that follows it:
  a patch is convolved without padding, so `conv(A s + a)` is one convolution of `s`;
- where nothing is reduced (stage 4), A or B times the fused Linear of keys and values.
All are exact up to rounding. Half precision is arranged here too, once and layer by layer, because
autocast casts every weight anew at every window. The result cannot be trained or saved: keep the
original.
"""

from copy import deepcopy

import torch
from torch import nn

from mapper.lulcformer.blocks import Attention, DualModalEnhancement, Into, NormInto
from mapper.lulcformer.cpu import exchange_layers
from mapper.lulcformer.decoder import Decoder, FoldedDecoder
from mapper.lulcformer.model import LulcFormer


@torch.no_grad()
def for_inference(
    model: LulcFormer, dtype: torch.dtype | None = None, ordinary: bool = False
) -> LulcFormer:
    """A folded copy in eval mode, without gradients, on the model's device.

    Args:
        model: in float32 (or float64, which tests compare with).
        dtype: of the matrix products; bfloat16 or float16 to halve them, None for the model's own.
            Inputs, residual stream, norms, gates and logits keep the model's own type.
        ordinary: keep to layers that torch.compile understands, where a CPU has faster ones.
    """
    folded = deepcopy(model).eval()
    assert isinstance(folded.head, Decoder)
    folded.head = FoldedDecoder(folded.head)
    for block in folded.modules():
        if isinstance(block, DualModalEnhancement):
            fold_context(block.s_to_p, block.p_cross)
            fold_context(block.p_to_s, block.s_cross)
            block.s_to_p = block.p_to_s = nn.Identity()
    folded.requires_grad_(False)
    own = folded.embed_p.proj.weight.dtype
    if dtype not in (None, own):
        halve(folded, dtype)
    folded.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in stubs
    if not ordinary and own is torch.float32 and folded.embed_p.proj.weight.device.type == "cpu":
        exchange_layers(folded, dtype or own)
    return folded


def halve(folded: LulcFormer, dtype: torch.dtype) -> None:
    """Let products run in half precision, and what adds up over layers or pixels in float32.

    The decoder alone adds up in half precision: four stages, which are then classified.
    """
    folded.head.to(dtype)
    for patches in (folded.embed_p, folded.embed_s, *folded.merge):
        patches.get_submodule("proj").to(dtype)
    norms = [norm for norm in folded.norms if isinstance(norm, nn.LayerNorm)]
    folded.norms = nn.ModuleList(NormInto(norm, dtype) for norm in norms)
    blocks = [block for block in folded.modules() if isinstance(block, DualModalEnhancement)]
    for parent in [module for block in blocks for module in block.modules()]:
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.LayerNorm):
                setattr(parent, name, NormInto(layer, dtype))
            elif isinstance(layer, nn.Linear | nn.Conv2d):
                layer.to(dtype)
    for block in blocks:
        block.s_to_p = block.p_to_s = Into(dtype)


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
