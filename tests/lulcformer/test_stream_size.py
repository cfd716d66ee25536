"""Residual streams that outgrow half precision cost something, and training shrinks them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import log

import pytest
import torch

from mapper.lulcformer.chips import TensorChips
from mapper.lulcformer.model import MICRO, LulcFormer
from mapper.lulcformer.settings import TrainingSettings
from mapper.lulcformer.stream_size import CALM_RMS, Streams
from mapper.lulcformer.trainer import Trainer


@pytest.fixture
def outgrown() -> dict[str, torch.Tensor]:
    """Weights of a network whose last streams are too large for float16."""
    torch.manual_seed(0)
    weights = LulcFormer(MICRO).state_dict()
    weights["stages.3.0.p_ffn.fc2.weight"] *= 1e5
    return weights


def noise(chips: int) -> TensorChips:
    generator = torch.Generator().manual_seed(3)
    valid = torch.ones(chips, 1, 64, 64, dtype=torch.bool)
    return TensorChips(
        torch.randn(chips, 10, 64, 64, generator=generator),
        torch.randn(chips, 2, 64, 64, generator=generator),
        valid,
        valid,
        torch.randint(0, 9, (chips, 64, 64), generator=generator).to(torch.uint8),
    )


def test_the_cost_is_the_squared_logarithm_of_what_is_too_much() -> None:
    model = LulcFormer(MICRO)
    streams = Streams(model)
    calm = torch.full((1, 4, 4, 12), CALM_RMS), torch.randn(1, 4, 4, 4)
    model.mmam[0](*calm)
    assert streams.excess() == 0
    model.mmam[0](1000 * calm[0], calm[1])
    assert float(streams.excess()) == pytest.approx(0.01 * log(1000) ** 2)
    assert streams.excess() == 0, "a stream was counted twice"


def test_a_network_of_another_kind_costs_nothing() -> None:
    assert Streams(torch.nn.Conv2d(1, 1, 1)).excess() == 0


def test_training_brings_streams_back_that_outgrew_float16(
    outgrown: dict[str, torch.Tensor],
) -> None:
    settings = TrainingSettings(MICRO, steps=30, batch=2, learning_rate=3e-3, warmup_steps=1)
    chips = noise(2)
    trainer = Trainer(settings, outgrown)

    def cost() -> float:
        with torch.no_grad():
            trainer.model(chips.optical, chips.radar)
        return float(trainer.streams.excess())

    before = cost()
    for _ in range(settings.steps):
        trainer.learn(chips)
    assert before > 0.1 and cost() < before / 2


def test_a_compiled_network_pays_and_learns_alike(
    outgrown: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced as for a compiler, but run by torch's own kernels: seconds instead of minutes."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    settings = TrainingSettings(MICRO, steps=3, batch=2, learning_rate=3e-3, warmup_steps=1)
    chips, losses = noise(2), []
    for is_compiled in (False, True):
        trainer = Trainer(replace(settings, compile=is_compiled), outgrown)
        losses.append([float(trainer.learn(chips)) for _ in range(settings.steps)])
    torch.compiler.reset()
    plain, compiled = losses
    assert plain[0] > 0.5 and compiled == pytest.approx(plain, rel=1e-3)
