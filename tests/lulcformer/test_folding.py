"""The orders of computation differ in cost and in nothing else."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mapper.lulcformer.decoder import PublishedOrder
from mapper.lulcformer.folding import for_inference
from mapper.lulcformer.model import BASE, MICRO, LulcFormer


@pytest.fixture
def model() -> LulcFormer:
    """In float64, every bias and statistic away from its initial zero or one."""
    generator = torch.Generator().manual_seed(0)
    model = LulcFormer(replace(MICRO, missing_token=True)).double().eval()
    with torch.no_grad():
        for tensor in [*model.parameters(), *model.buffers()]:
            if tensor.is_floating_point():
                noise = torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
                tensor.add_(0.2 * noise)
    return model


def pixels() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    optical = torch.randn(2, 10, 93, 61, generator=generator, dtype=torch.float64)
    radar = torch.randn(2, 2, 93, 61, generator=generator, dtype=torch.float64)
    return optical, radar, torch.rand(2, 1, 93, 61, generator=generator) > 0.4


def test_folded_order_equals_the_published_one(model: LulcFormer) -> None:
    optical, radar, valid = pixels()
    with torch.no_grad():
        folded = model(optical, radar, valid)
        model.head = PublishedOrder(model.head)
        published = model(optical, radar, valid)
    torch.testing.assert_close(folded, published, atol=1e-12, rtol=1e-12)


def test_gradients_of_the_folded_order_equal_the_published_ones(model: LulcFormer) -> None:
    optical, radar, _ = pixels()
    model(optical, radar).square().mean().backward()
    folded = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    decoder = model.head
    model.zero_grad()
    model.head = PublishedOrder(decoder)
    model(optical, radar).square().mean().backward()
    for name, parameter in model.named_parameters():
        name = name.replace("head.decoder", "head")
        if name in folded:
            torch.testing.assert_close(folded[name], parameter.grad, atol=1e-11, rtol=1e-9)


def test_inference_form_is_exact(model: LulcFormer) -> None:
    optical, radar, valid = pixels()
    with torch.no_grad():
        wanted = model(optical, radar, valid, valid)
        got = for_inference(model)(optical, radar, valid, valid)
    torch.testing.assert_close(got, wanted, atol=1e-12, rtol=1e-12)


def test_inference_form_leaves_the_model_alone(model: LulcFormer) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for_inference(model.train())
    assert model.training
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())


def test_folding_saves_the_multiplies_it_promises() -> None:
    """GMAC per 512 x 512 window of base; 62.41 is the true cost of the published order."""
    with torch.device("meta"):
        base = LulcFormer(BASE).eval()
    assert gmac(base) == pytest.approx(24.36, abs=0.01)
    assert gmac(for_inference(base)) == pytest.approx(22.90, abs=0.01)
    base.head = PublishedOrder(base.head)
    assert gmac(base) == pytest.approx(62.41, abs=0.01)


def gmac(model: LulcFormer) -> float:
    inputs = (torch.zeros(1, bands, 512, 512, device="meta") for bands in (10, 2))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(*inputs)
    return counter.get_total_flops() / 2e9


def test_same_shape_and_threads_give_the_same_bits(model: LulcFormer) -> None:
    optical, radar, _ = pixels()
    fast = for_inference(model.float())
    with torch.no_grad():
        first = fast(optical.float(), radar.float())
        assert torch.equal(first, fast(optical.float(), radar.float()))
