"""A training computes on its device alone, and goes on wherever its processes find a GPU.

torch's meta device stands for a GPU: its tensors have no values, so it refuses what lies on another
device, and every look at a number, for which a host would wait.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Generator

from mapper.errors import RequestError
from mapper.lulcformer.augment import NONE, Augmentation, augment
from mapper.lulcformer.averages import MovingAverage, PartStatistics
from mapper.lulcformer.chips import Coding, Some, TensorChips
from mapper.lulcformer.losses import focal_loss, pixel_weights
from mapper.lulcformer.model import MICRO, LulcFormer
from mapper.lulcformer.parallel import Processes, joined, own_device
from mapper.lulcformer.settings import TrainingSettings
from mapper.lulcformer.trainer import Trainer
from mapper.lulcformer.training import train

META = torch.device("meta")
SIDE = 64
ALWAYS = Augmentation(
    haze=1, fewer_looks=1, optical_area_dropout=1, radar_area_dropout=1, margin_dropout=1
)


def stored(device: torch.device) -> TensorChips:
    """Six chips as production keeps them, standardised pixels in two bytes."""
    shape, kind = (SIDE, SIDE), torch.uint16
    return TensorChips(
        torch.zeros((6, 10, *shape), dtype=kind, device=device),
        torch.zeros((6, 2, *shape), dtype=kind, device=device),
        torch.ones((6, 1, *shape), dtype=torch.bool, device=device),
        torch.ones((6, 1, *shape), dtype=torch.bool, device=device),
        torch.ones((6, *shape), dtype=torch.uint8, device=device),
        Coding.spanning(-6.0, 10.0, kind),
    )


def test_a_step_of_training_keeps_to_its_device_and_waits_for_nothing() -> None:
    model = LulcFormer(replace(MICRO, missing_token=True, drop_path=0.1)).to(META).train()
    average, statistics = MovingAverage(model, 0.9), PartStatistics(model, 2)
    weights = torch.ones(9, device=META)
    statistics.begin()
    for seed in range(2):
        batch = stored(META).take(torch.tensor([seed, 5]))
        batch = augment(batch, ALWAYS, Generator().manual_seed(seed))
        logits = model(batch.optical, batch.radar, batch.optical_valid, batch.radar_valid)
        total = pixel_weights(batch.label, weights).sum()
        loss = focal_loss(logits, batch.label, gamma=2, class_weights=weights, total=total)
        torch.autograd.backward(loss)
        statistics.add()
    statistics.end()
    average.update(1)
    assert loss.device == META
    assert {p.grad.device for p in model.parameters() if p.grad is not None} == {META}
    assert all(p.grad is not None for p in model.parameters())


def test_a_training_goes_on_on_another_gpu_of_its_kind(tmp_path: Path) -> None:
    """Each of several processes has a GPU of its own, and there is one state for all of them."""
    settings = TrainingSettings(
        replace(MICRO, missing_token=True), steps=1, batch=1, augmentation=NONE, device="cpu"
    )
    chips, state = stored(torch.device("cpu")), tmp_path / "state"
    whole = train(settings, chips, chips, state_file=state)
    found = train(replace(settings, device="cpu:0"), chips, chips, state_file=state)
    assert found.step == whole.step == 1


def test_a_process_has_nothing_to_try_where_there_are_fewer_chips_than_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shares = [Processes(rank, 4).among(2) for rank in range(4)]
    assert [list(share) for share in shares] == [[0], [1], [], []]
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor: None)
    settings = TrainingSettings(MICRO, steps=1, batch=4, parts=4, device="cpu")
    trainer = Trainer(settings, processes=Processes(3, 4))
    with pytest.raises(RequestError, match="no labelled pixel of the 2 validation chips"):
        trainer.validate(Some(stored(torch.device("cpu")), torch.arange(2)))


def test_a_process_without_a_gpu_of_its_own_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(RequestError, match="process 1 of this machine has no GPU of its own"):
        own_device(torch.device("cuda"))
    assert own_device(torch.device("cpu")) == torch.device("cpu")
    monkeypatch.delenv("LOCAL_RANK")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert own_device(torch.device("cuda")) == torch.device("cuda")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RequestError, match="torchrun"):
        own_device(torch.device("cuda"))
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(RequestError, match="RANK is not"), joined(torch.device("cpu")):
        pass
