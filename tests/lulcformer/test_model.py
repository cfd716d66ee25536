"""LULC-Former is the published network, and treats absent sensors as it says."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mapper.lulcformer.blocks import LEAST_HEAD_WIDTH, attend, convolve_apart
from mapper.lulcformer.model import MICRO, VARIANTS, LulcFormer, Variant, blanked

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@pytest.fixture(scope="module")
def golden() -> LulcFormer:
    """The micro network with the golden weights."""
    model = LulcFormer(MICRO).eval()
    model.load_state_dict(load_file(GOLDEN / "micro_weights.safetensors"), strict=True)
    return model


@pytest.fixture(scope="module")
def tokens() -> LulcFormer:
    """A micro network with missing tokens that are visibly not zero."""
    torch.manual_seed(3)
    model = LulcFormer(replace(MICRO, missing_token=True)).eval()
    with torch.no_grad():
        model.missing_p.normal_()
        model.missing_s.normal_()
    return model


def pixels(side: int = 64, images: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    optical = torch.randn(images, 10, side, side, generator=generator)
    return optical, torch.randn(images, 2, side, side, generator=generator)


@pytest.mark.parametrize("case", ["a", "b"])
def test_golden_logits_are_met_to_1e_5(golden: LulcFormer, case: str) -> None:
    cases = load_file(GOLDEN / "micro_cases.safetensors")
    with torch.no_grad():
        logits = golden(cases[f"s2_{case}"], cases[f"s1_{case}"])
    torch.testing.assert_close(logits, cases[f"logits_{case}"], atol=1e-5, rtol=0)


def test_names_and_shapes_are_the_published_ones_in_order(golden: LulcFormer) -> None:
    published = json.loads((GOLDEN / "micro_names.json").read_text())
    assert [[name, list(t.shape)] for name, t in golden.state_dict().items()] == published


@pytest.mark.parametrize(
    ("name", "wanted"), [("base", 26_702_217), ("small", 10_522_777), ("tiny", 3_693_321)]
)
def test_parameter_counts_are_the_published_ones(name: str, wanted: int) -> None:
    assert parameters(VARIANTS[name]) == wanted


def test_missing_tokens_add_64_parameters_to_base() -> None:
    base = VARIANTS["base"]
    assert parameters(replace(base, missing_token=True)) - parameters(base) == 64


def parameters(variant: Variant) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in LulcFormer(variant).parameters())


def test_a_fresh_network_gives_almost_uniform_odds() -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        logits = LulcFormer(MICRO).eval()(*pixels())
    assert logits.softmax(1).sub(1 / 9).abs().max() < 0.05


def test_all_valid_equals_no_mask(tokens: LulcFormer) -> None:
    optical, radar = pixels()
    valid = torch.ones(2, 1, 64, 64, dtype=torch.bool)
    with torch.no_grad():
        assert torch.equal(tokens(optical, radar), tokens(optical, radar, valid, valid))


@pytest.mark.parametrize("absent", [("optical",), ("radar",), ("optical", "radar")])
def test_an_absent_sensor_is_never_read(tokens: LulcFormer, absent: tuple[str, ...]) -> None:
    """Whatever lies under the mask, NaN included, the logits are the same bits."""
    optical, radar = pixels()
    see = {name: torch.full((2, 1, 64, 64), name not in absent) for name in ("optical", "radar")}
    hole = {"optical": torch.full_like(optical, torch.nan), "radar": torch.full_like(radar, 9e9)}
    with torch.no_grad():
        clean = tokens(optical, radar, see["optical"], see["radar"])
        dirty = tokens(
            hole["optical"] if "optical" in absent else optical,
            hole["radar"] if "radar" in absent else radar,
            see["optical"],
            see["radar"],
        )
        whole = tokens(optical, radar)
    assert torch.isfinite(clean).all()
    assert torch.equal(clean, dirty)
    assert not torch.equal(clean, whole)


def test_without_missing_tokens_invalid_pixels_count_as_zeros(golden: LulcFormer) -> None:
    optical, radar = pixels()
    valid = torch.rand(2, 1, 64, 64) > 0.3
    with torch.no_grad():
        masked = golden(optical, radar, None, valid)
        assert torch.equal(masked, golden(optical, radar * valid))


@pytest.mark.parametrize("side", [64, 61])
def test_a_token_is_missing_when_fewer_than_half_of_its_cell_is_valid(
    tokens: LulcFormer, side: int
) -> None:
    """Against a slow loop over ground cells; 61 px leave a cell of one column at the edge."""
    optical, _ = pixels(side, images=1)
    valid = torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(4)) > 0.5
    valid[..., :8, :4] = torch.tensor([True, False]).repeat(2)  # exactly half: kept
    with torch.no_grad():
        got = tokens.embed(tokens.embed_p, optical, valid, "missing_p")[0]
        seen = tokens.embed_p((optical * valid).permute(0, 2, 3, 1))[0]
    for row in range(got.shape[0]):
        for column in range(got.shape[1]):
            cell = valid[0, 0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].float()
            wanted = seen[row, column] if cell.mean() >= 0.5 else tokens.missing_p
            torch.testing.assert_close(got[row, column], wanted)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_precision_leaves_the_residual_stream_and_the_logits_in_float32(
    tokens: LulcFormer, half: torch.dtype
) -> None:
    optical, radar = pixels()
    valid = torch.rand(2, 1, 64, 64) > 0.3
    with torch.no_grad():
        wanted = tokens(optical, radar, valid)
        with torch.autocast("cpu", half):
            assert tokens.embed(tokens.embed_p, optical, valid, "missing_p").dtype == torch.float32
            logits = tokens(optical, radar, valid)
    assert logits.dtype == torch.float32
    assert (logits - wanted).std() < 0.02 * wanted.std()


@pytest.mark.parametrize("name", ["micro", "tiny", "base"])
def test_reducing_keys_in_bf16_errs_by_rounding_alone(name: str) -> None:
    """Channels and sides of a 512 px window: a convolution is wrong altogether for some of them."""
    variant, generator = VARIANTS[name], torch.Generator().manual_seed(5)
    for stage, reduction in enumerate(variant.reductions[:3]):
        for width in variant.branches(stage):
            layer = nn.Conv2d(width, width, reduction, reduction)
            x = torch.randn(1, 128 >> stage, 128 >> stage, width, generator=generator)
            with torch.no_grad():
                wanted = layer(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
                torch.testing.assert_close(convolve_apart(layer, x), wanted, atol=1e-5, rtol=1e-5)
                half = convolve_apart(layer.bfloat16(), x.bfloat16())
            assert (half - wanted).std() < 0.01 * wanted.std()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_what_is_not_valid_is_blanked_whatever_it_is(dtype: torch.dtype) -> None:
    x = torch.randn(2, 3, 5, 4).to(dtype).permute(0, 1, 3, 2)
    valid = torch.rand(2, 1, 4, 5) > 0.5
    for number, strange in enumerate((torch.nan, torch.inf, -torch.inf)):
        x[1, number] = torch.where(valid[1, 0], x[1, number], strange)
    assert torch.equal(blanked(x, valid), torch.where(valid, x, 0))


def test_reducing_keys_drops_rows_that_fill_no_patch() -> None:
    layer, x = nn.Conv2d(3, 5, 4, 4), torch.randn(2, 11, 9, 3)
    wanted = layer(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    torch.testing.assert_close(convolve_apart(layer, x), wanted)


@pytest.mark.parametrize("width", [4, LEAST_HEAD_WIDTH, 24])
def test_attention_of_narrow_heads_is_that_of_the_formula(width: int) -> None:
    generator = torch.Generator().manual_seed(width)
    queries, keys, values = (
        torch.randn(2, 3, n, width, dtype=torch.float64, generator=generator).requires_grad_()
        for n in (40, 9, 9)
    )
    wanted = torch.softmax(queries @ keys.mT / width**0.5, dim=-1) @ values
    found = attend(queries, keys, values)
    assert found.shape == wanted.shape and torch.allclose(found, wanted, rtol=0, atol=1e-12)
    parts, weights = (queries, keys, values), torch.randn_like(wanted)
    slopes, expected = (torch.autograd.grad((x * weights).sum(), parts) for x in (found, wanted))
    for one, other in zip(slopes, expected, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-12)


def test_both_missing_tokens_are_learned(tokens: LulcFormer) -> None:
    optical, radar = pixels()
    nothing = torch.zeros(2, 1, 64, 64, dtype=torch.bool)
    tokens(optical, radar, nothing, nothing).square().mean().backward()
    assert tokens.missing_p.grad is not None and tokens.missing_s.grad is not None
    assert tokens.missing_p.grad.abs().sum() > 0 and tokens.missing_s.grad.abs().sum() > 0
    tokens.zero_grad()


@pytest.mark.parametrize(
    "wrong", [{"depths": (1, 2, 1)}, {"widths": (18, 32, 48, 64)}, {"heads": (1, 3, 3, 4)}]
)
def test_a_variant_that_cannot_be_built_is_refused(wrong: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="heads"):
        replace(MICRO, **wrong)
