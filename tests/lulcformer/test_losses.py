"""The loss equals its formula, and ignores what it should."""

from math import log

import pytest
import torch
import torch.nn.functional as F

from mapper.lulcformer.losses import class_weights, count_classes, focal_loss


def case() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 9, 8, 8, generator=generator)
    label = torch.randint(0, 9, (2, 8, 8), generator=generator, dtype=torch.uint8)
    label[torch.rand(2, 8, 8, generator=generator) < 0.3] = 255
    return logits, label


@pytest.mark.parametrize(("smoothing", "weighted"), [(0.0, False), (0.0, True), (0.2, False)])
def test_without_focus_it_is_torchs_cross_entropy(smoothing: float, weighted: bool) -> None:
    """But for smoothing with weights: torch weighs each class's smoothed share by its own."""
    logits, label = case()
    weights = torch.rand(9) + 0.5 if weighted else None
    got = focal_loss(logits, label, gamma=0, class_weights=weights, smoothing=smoothing)
    wanted = F.cross_entropy(
        logits, label.long(), weights, ignore_index=255, label_smoothing=smoothing
    )
    torch.testing.assert_close(got, wanted)


def test_even_odds_cost_what_the_formula_says() -> None:
    _, label = case()
    for smoothing in (0.0, 0.1):
        loss = focal_loss(torch.zeros(2, 9, 8, 8), label, gamma=2, smoothing=smoothing)
        assert float(loss) == pytest.approx((8 / 9) ** 2 * log(9))


def test_focus_makes_sure_pixels_cheap() -> None:
    label = torch.zeros(1, 1, 2, dtype=torch.uint8)
    logits = torch.zeros(1, 9, 1, 2)
    logits[0, 0, 0, 0] = 6
    gradient = torch.autograd.grad(focal_loss(logits.requires_grad_(), label, gamma=2), logits)[0]
    assert gradient[..., 0].norm() < 1e-3 * gradient[..., 1].norm()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_certainty_has_a_slope(gamma: float, smoothing: float) -> None:
    logits = torch.zeros(1, 9, 1, 2)
    logits[:, 0] = 200
    logits.requires_grad_()
    label = torch.tensor([[[0, 1]]], dtype=torch.uint8)
    torch.autograd.backward(focal_loss(logits, label, gamma=gamma, smoothing=smoothing))
    assert logits.grad is not None and torch.isfinite(logits.grad).all()
    assert logits.grad[0, 0, 0, 1] > 0 > logits.grad[0, 1, 0, 1], "towards the right class"


def test_nothing_labelled_costs_nothing() -> None:
    logits = torch.randn(1, 9, 4, 4, requires_grad=True)
    loss = focal_loss(logits, torch.full((1, 4, 4), 255, dtype=torch.uint8), gamma=2)
    (2.0**16 * loss).backward()  # as fp16 scales it
    assert float(loss.detach()) == 0 and logits.grad is not None and (logits.grad == 0).all()


def test_half_precision_logits_are_summed_in_float32() -> None:
    logits, label = case()
    assert focal_loss(logits.bfloat16(), label, gamma=2).dtype == torch.float32


def test_rare_classes_weigh_more_and_absent_ones_not_endlessly() -> None:
    weights = class_weights(torch.tensor([900, 100, 0]), strength=1.0)
    assert float(weights.mean()) == pytest.approx(1)
    assert float(weights[1] / weights[0]) == pytest.approx(9)
    assert float(weights[2] / weights[1]) == pytest.approx(100)
    assert torch.equal(class_weights(torch.tensor([5, 1]), strength=0), torch.ones(2))


def test_counting_leaves_out_the_unlabelled() -> None:
    label = torch.tensor([[0, 0, 8], [255, 255, 3]], dtype=torch.uint8)
    assert count_classes(label, 9).tolist() == [2, 0, 0, 1, 0, 0, 0, 0, 1]
