"""A CPU's own layers are the ordinary ones, computed another way."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mapper.lulcformer.cpu import (
    DecoderByRows,
    FusedFeedForward,
    PackedLinear,
    depthwise,
    fused_gelu,
    has_fused_layers,
)
from mapper.lulcformer.cpu_stream import StreamedEnhancement, StreamNorm
from mapper.lulcformer.decoder import Decoder, FoldedDecoder
from mapper.lulcformer.folding import for_inference
from mapper.lulcformer.model import MICRO, LulcFormer

fused = pytest.mark.skipif(
    not has_fused_layers(torch.float32), reason="this torch has no fused layers for a CPU"
)


@pytest.fixture(scope="module")
def model() -> LulcFormer:
    """Every bias and statistic away from its initial zero or one."""
    torch.manual_seed(0)
    model = LulcFormer(replace(MICRO, missing_token=True)).eval()
    with torch.no_grad():
        for tensor in [*model.parameters(), *model.buffers()]:
            if tensor.is_floating_point():
                tensor.add_(0.2 * torch.rand_like(tensor))
    return model


def pixels(height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    optical = torch.randn(2, 10, height, width, generator=generator)
    radar = torch.randn(2, 2, height, width, generator=generator)
    return optical, radar, torch.rand(2, 1, height, width, generator=generator) > 0.4


def relative_error(got: Tensor, wanted: Tensor) -> float:
    return float((got - wanted).std() / wanted.std())


def kinds(network: nn.Module) -> set[type]:
    return {type(module) for module in network.modules()}


@pytest.mark.parametrize(("height", "width"), [(64, 64), (93, 61), (512, 512)])
def test_own_layers_equal_the_ordinary_ones(model: LulcFormer, height: int, width: int) -> None:
    given = pixels(height, width)
    own, ordinary = for_inference(model), for_inference(model, ordinary=True)
    assert DecoderByRows in kinds(own) and DecoderByRows not in kinds(ordinary)
    with torch.no_grad():
        wanted = model(*given, given[2])
        torch.testing.assert_close(ordinary(*given, given[2]), wanted, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(own(*given, given[2]), wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("ordinary", [True, False])
def test_half_precision_errs_by_rounding_alone(model: LulcFormer, ordinary: bool) -> None:
    given = pixels(512, 512)
    half = for_inference(model, torch.bfloat16, ordinary)
    assert (StreamedEnhancement in kinds(half)) is not ordinary
    with torch.no_grad():
        logits, wanted = half(*given), model(*given)
    assert logits.dtype == torch.float32
    assert relative_error(logits, wanted) < 0.02


@fused
def test_all_layers_are_exchanged_where_the_processor_has_them(model: LulcFormer) -> None:
    found = kinds(for_inference(model))
    assert {DecoderByRows, FusedFeedForward, PackedLinear} <= found


@fused
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_fused_layers_equal_two_ordinary_ones(dtype: torch.dtype) -> None:
    if not has_fused_layers(dtype):
        pytest.skip(f"this processor multiplies no {dtype}")
    torch.manual_seed(2)
    x, conv, linear = torch.randn(2, 9, 7, 24), depthwise(24), nn.Linear(24, 40)
    linear.requires_grad_(False)
    tolerance = 1e-5 if dtype is torch.float32 else 0.01
    wanted = F.gelu(conv(x.permute(0, 3, 1, 2)), approximate="tanh").permute(0, 2, 3, 1)
    assert relative_error(fused_gelu(x.to(dtype), conv.to(dtype)), wanted) < tolerance
    wanted = linear(x)
    assert relative_error(PackedLinear(linear.to(dtype))(x.to(dtype)), wanted) < tolerance


def decoder_and_stages(height: int, width: int) -> tuple[FoldedDecoder, list[Tensor]]:
    torch.manual_seed(3)
    decoder = FoldedDecoder(Decoder((8, 16, 24, 32), 40, 9).eval()).requires_grad_(False)
    sides = [(-(-height // 2**i), -(-width // 2**i)) for i in range(4)]
    stages = [torch.randn(2, *side, w) for side, w in zip(sides, (8, 16, 24, 32), strict=True)]
    return decoder, stages


@pytest.mark.parametrize(("height", "width"), [(32, 32), (23, 41), (1, 1), (3, 17)])
def test_decoder_by_rows_equals_the_whole_map(height: int, width: int) -> None:
    decoder, stages = decoder_and_stages(height, width)
    torch.testing.assert_close(DecoderByRows(decoder)(stages), decoder(stages), atol=1e-5, rtol=0)


def test_what_is_no_number_reaches_the_logits_of_a_cpu() -> None:
    """A ReLU that calls it zero would make it some class in silence."""
    decoder, stages = decoder_and_stages(8, 8)
    stages[0][1, 2, 3, 4] = torch.nan
    found = torch.isnan(DecoderByRows(decoder)(stages))
    assert found[1, :, 2, 3].all() and found.sum() == 9


@pytest.mark.parametrize("has_gain", [True, False])
def test_a_stream_norm_is_a_sum_a_norm_and_a_rounding(has_gain: bool) -> None:
    torch.manual_seed(4)
    norm = nn.LayerNorm(48, 1e-6).requires_grad_(False)
    norm.weight.normal_()
    norm.bias.normal_()
    stream, gain = torch.randn(2, 5, 7, 48) * 30, torch.randn(2, 5, 7, 48).bfloat16()
    total = stream + gain if has_gain else stream.clone()
    seen = StreamNorm(norm)(stream, gain if has_gain else None)
    assert torch.equal(stream, total)
    assert seen.dtype == torch.bfloat16
    torch.testing.assert_close(seen.float(), norm(total), atol=1e-5, rtol=2**-8)
    # Rounded to nearest, not cut off: all but the ties that the last digit of a mean decides.
    assert (seen == norm(total).bfloat16()).float().mean() > 0.999


def test_a_stream_norm_passes_on_what_is_no_number() -> None:
    norm = nn.LayerNorm(16, 1e-6).requires_grad_(False)
    stream = torch.ones(1, 2, 2, 16)
    stream[0, 1, 1, 5] = torch.inf
    seen = StreamNorm(norm)(stream)
    assert torch.isnan(seen[0, 1, 1]).all() and not torch.isnan(seen[0, 0]).any()
