"""Attention in bf16, a few rows at a time, is that of the formula up to bf16's rounding."""

from dataclasses import replace
from math import log

import numpy as np
import pytest
import torch
from torch import Tensor

from mapper.lulcformer import cpu, cpu_attention
from mapper.lulcformer.blocks import Attention, attend
from mapper.lulcformer.cpu_attention import attend_by_rows, powers_of_two
from mapper.lulcformer.cpu_stream import bits_of
from mapper.lulcformer.folding import for_inference
from mapper.lulcformer.model import MICRO, LulcFormer
from mapper.lulcformer.processor import Bf16


def parts(heads: int, count: int, keys: int, width: int) -> list[Tensor]:
    """Queries, keys and values of two images as a layer gives them: heads lie side by side."""
    generator = torch.Generator().manual_seed(heads + count)
    return [
        torch.randn(2, tokens, heads, width, generator=generator).bfloat16().transpose(1, 2)
        for tokens in (count, keys, keys)
    ]


def by_formula(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    queries, keys, values = (part.double() for part in (queries, keys, values))
    return torch.softmax(queries @ keys.mT / queries.shape[-1] ** 0.5, dim=-1) @ values


@pytest.mark.parametrize(
    ("heads", "count", "keys", "width"),
    [(1, 1000, 256, 48), (2, 65, 256, 8), (5, 40, 9, 24), (3, 1, 1, 16)],
)
def test_rows_equal_the_formula(
    heads: int, count: int, keys: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu_attention, "SCORES_AT_ONCE", 64)
    given = parts(heads, count, keys, width)
    found, wanted = attend_by_rows(*given), by_formula(*given)
    assert found.dtype == torch.bfloat16 and found.shape == wanted.shape
    assert (found - wanted).square().mean() < (0.01**2) * wanted.square().mean()


def test_weights_are_rounded_to_nearest() -> None:
    generator = torch.Generator().manual_seed(5)
    scores = (torch.randn(500, 200, generator=generator) * 4).bfloat16()
    wanted = torch.softmax(scores.double() * (0.7 * log(2)), dim=-1)
    powers_of_two(bits_of(scores), np.float32(0.7))
    relative = (scores.double() - wanted) / wanted
    # Half a step of bf16, and twice the cubic.
    assert relative.abs().max() < 2**-8 + 2e-4 and relative.mean().abs() < 2**-12


def test_the_cubic_is_as_near_to_powers_of_two_as_it_says() -> None:
    f = np.linspace(-0.5, 0.5, 10_001)
    p0, p1, p2, p3 = (float(getattr(cpu_attention, name)) for name in ("_P0", "_P1", "_P2", "_P3"))
    cubic = p0 + f * (p1 + f * (p2 + f * p3))
    assert abs(cubic / 2**f - 1).max() < 1e-4


@pytest.mark.parametrize("most", [3e38, -2e38, 1e4, -1e4, 0.0])
def test_any_size_of_scores_is_weighed(most: float) -> None:
    scores = torch.tensor([[most, most, most - abs(most) / 2, -3.3e38]]).bfloat16()
    powers_of_two(bits_of(scores), np.float32(1))
    wanted = [0.5, 0.5, 0.0, 0.0] if most else [1 / 3, 1 / 3, 1 / 3, 0.0]
    torch.testing.assert_close(scores[0].double(), torch.tensor(wanted).double(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("wrong", [torch.nan, -torch.nan, torch.inf])
def test_what_is_no_number_is_passed_on(wrong: float) -> None:
    given = parts(2, 10, 32, 16)
    given[0][1, 0, 3, 5] = wrong
    found = torch.isnan(attend_by_rows(*given))
    assert found[1, 0, 3].all() and found.sum() == 16
    given = parts(2, 10, 32, 16)
    given[1][0, 1, 7, 2] = torch.nan
    found = torch.isnan(attend_by_rows(*given))
    assert found[0, 1].all() and found.sum() == 160


@pytest.mark.parametrize("products", Bf16)
def test_processors_with_bf16_products_but_no_tiles_attend_by_rows(
    products: Bf16, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "bf16_products", lambda: products)
    torch.manual_seed(0)
    model = LulcFormer(replace(MICRO, missing_token=True)).eval()
    half, whole = for_inference(model, torch.bfloat16), for_inference(model)
    ordinary = for_inference(model, torch.bfloat16, ordinary=True)
    assert ways(half) == {attend_by_rows if products is Bf16.VECTORS else attend}
    assert ways(whole) == ways(ordinary) == {attend}


def ways(network: LulcFormer) -> set[object]:
    return {layer.attend for layer in network.modules() if isinstance(layer, Attention)}
