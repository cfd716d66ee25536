"""Layers of a network for inference, exchanged for those that a CPU computes fastest.

The same function up to rounding. What is gained, and from what:
- a depth-wise convolution and its GELU in one pass: torch's GELU alone takes as long as three;
- weights of Linear layers laid out once as oneDNN wants them, instead of at every call;
- the decoder row by row: upsampled maps of the window, 50 MB each in base, are never written;
- sums and norms of the residual stream in one pass (cpu_stream.py);
- attention in products of bf16, where the processor has them and torch's kernel does not use them
  (cpu_attention.py).
The first two call what torch.compile itself emits for a CPU. These operators are no public
interface of torch, so they are tried once; without them the ordinary layers stay.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

import numba
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mapper.lulcformer.blocks import Attention, DualModalEnhancement, FeedForward
from mapper.lulcformer.cpu_attention import attend_by_rows
from mapper.lulcformer.cpu_stream import StreamedEnhancement
from mapper.lulcformer.decoder import FoldedDecoder
from mapper.lulcformer.processor import Bf16, bf16_products

ROWS_AT_ONCE = 8
"""Rows of the finest grid lifted together: few stay in a core's cache, many please the product."""

L = TypeVar("L", bound=nn.Module)
Floats = npt.NDArray[np.float32]


def exchange_layers(network: nn.Module, dtype: torch.dtype) -> None:
    """Put faster layers in the place of a folded network's own, whose products are in `dtype`."""
    attentions = [module for module in network.modules() if isinstance(module, Attention)]
    if has_fused_layers(dtype):
        exchange(network, FeedForward, FusedFeedForward)
        for attention in attentions:
            exchange(attention, nn.Linear, PackedLinear)
    if dtype is torch.bfloat16:
        exchange(network, DualModalEnhancement, StreamedEnhancement)
        if bf16_products() is Bf16.VECTORS:
            for attention in attentions:
                attention.attend = attend_by_rows
    exchange(network, FoldedDecoder, DecoderByRows)


def exchange(network: nn.Module, old: type[L], new: Callable[[L], nn.Module]) -> None:
    """Replace every layer of one class below a network."""
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, old):
                setattr(parent, name, new(layer))


@cache
def has_fused_layers(dtype: torch.dtype) -> bool:
    """Whether this torch, on this processor, has the operators used here for a format."""
    try:
        layer = nn.Linear(16, 16, dtype=dtype).requires_grad_(False)
        PackedLinear(layer)(layer.weight)
        fused_gelu(torch.zeros(1, 4, 4, 16, dtype=dtype), depthwise(16).to(dtype))
    except (RuntimeError, AttributeError):
        return False
    return True


class PackedLinear(nn.Module):
    """A Linear layer that cannot be trained, its weights in oneDNN's own layout."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.bias = layer.bias
        self.packed = torch.ops.mkldnn._reorder_linear_weight(layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        fused = torch.ops.mkldnn._linear_pointwise
        out: Tensor = fused(x, self.packed, self.bias, "none", [], "")
        return out


class FusedFeedForward(nn.Module):
    """fc2(gelu(depth-wise 3x3(fc1(x)))) in three passes over memory instead of four."""

    def __init__(self, layer: FeedForward) -> None:
        super().__init__()
        self.fc1, self.dw, self.fc2 = PackedLinear(layer.fc1), layer.dw, PackedLinear(layer.fc2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(fused_gelu(self.fc1(x), self.dw))
        return out


def fused_gelu(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """GELU (by tanh) of a depth-wise 3x3 convolution of a map (image, y, x, channel)."""
    planes = x.permute(0, 3, 1, 2)
    shape = (layer.padding, layer.stride, layer.dilation, layer.groups)
    fused = torch.ops.mkldnn._convolution_pointwise
    out: Tensor = fused(planes, layer.weight, layer.bias, *shape, "gelu", [], "tanh")
    return out.permute(0, 2, 3, 1)


def depthwise(width: int) -> nn.Conv2d:
    """A 3x3 convolution of each channel by itself."""
    return nn.Conv2d(width, width, 3, padding=1, groups=width).requires_grad_(False)


class DecoderByRows(nn.Module):
    """A `FoldedDecoder` whose sums, ReLU and classifier pass through the cache, row by row.

    Products run in the format of the weights, everything after them in float32.
    """

    def __init__(self, decoder: FoldedDecoder) -> None:
        super().__init__()
        self.lifts = decoder.lifts
        self.offset = decoder.offset
        self.classifier = decoder.pred.weight.detach().flatten(1).float().numpy()
        self.bias = decoder.pred.get_parameter("bias").detach().float().numpy()

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """Logits (image, class, y, x) on the finest grid, of maps (image, y, x, channel)."""
        images = [self.one_image([stage[i] for stage in stages]) for i in range(len(stages[0]))]
        return torch.stack(images)

    def one_image(self, stages: Sequence[Tensor]) -> Tensor:
        finest, *coarser = stages
        offsets = (self.offset, *[None] * (len(coarser) - 1))
        lifted = tuple(
            F.linear(stage, lift, offset).float().numpy()
            for stage, lift, offset in zip(coarser, list(self.lifts)[1:], offsets, strict=True)
        )
        height, width = finest.shape[:2]
        down = tuple(steps(height, stage.shape[0]) for stage in coarser)
        along = tuple(steps(width, stage.shape[1]) for stage in coarser)
        logits = np.empty((len(self.bias), height, width), np.float32)
        for top in range(0, height, ROWS_AT_ONCE):
            rows = slice(top, top + ROWS_AT_ONCE)
            fine = F.linear(finest[rows], self.lifts[0]).float().numpy()
            classify_rows(
                fine, lifted, top, down, along, self.classifier, self.bias, logits[:, rows]
            )
        return torch.from_numpy(logits)


def steps(fine: int, coarse: int) -> tuple[npt.NDArray[np.int64], Floats]:
    """Where each of `fine` pixels lies among `coarse` ones: the one before it, the way to the next.

    As bilinear interpolation with align_corners=False has it: centres of pixels are compared, and
    the outermost centres reach out to the edge.
    """
    place = np.maximum((np.arange(fine) + 0.5) * (coarse / fine) - 0.5, 0)
    before = np.minimum(place.astype(np.int64), coarse - 1)
    return before, (place - before).astype(np.float32)


# Sums may be reordered to fill the vector units, always in the same way; nothing may be assumed to
# be a number, for one that is none has to reach the logits and be refused there.
@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def classify_rows(
    fine: Floats,
    lifted: tuple[Floats, ...],
    top: int,
    down: Any,
    along: Any,
    classifier: Floats,
    bias: Floats,
    logits: Floats,
) -> None:
    """logits = classifier relu(fine + coarser maps between their pixels) + bias, of a few rows.

    Args:
        fine: (row, x, channel) of the finest map, lifted; overwritten.
        lifted: (y, x, channel) of each coarser map.
        top: row of the map at which `fine` begins.
        down, along: `steps` of each coarser map, for y and for x.
        classifier: (class, channel); bias: (class,).
        logits: (class, row, x), the answer.
    """
    rows, width, channels = fine.shape
    for row in range(rows):
        for i in range(len(lifted)):
            before, share = down[i]
            here = between(lifted[i], before[top + row], share[top + row])
            before, share = along[i]
            for x in range(width):
                left, right = here[before[x]], here[min(before[x] + 1, len(here) - 1)]
                for c in range(channels):
                    fine[row, x, c] += left[c] + share[x] * (right[c] - left[c])
        for x in range(width):
            token = fine[row, x]
            for c in range(channels):
                token[c] = np.float32(0) if token[c] < 0 else token[c]
            for k in range(len(bias)):
                total = bias[k]
                for c in range(channels):
                    total += classifier[k, c] * token[c]
                logits[k, row, x] = total


@numba.njit(cache=True, nogil=True, fastmath={"contract"})
def between(coarse: Floats, before: int, share: float) -> Floats:
    """(x, channel) a share of the way from one row of a map (y, x, channel) to the next."""
    one, other = coarse[before], coarse[min(before + 1, len(coarse) - 1)]
    row: Floats = one + share * (other - one)
    return row
