"""Training: chips in, weights out; the same seed gives the same ones, killed in between or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import sdpa_kernel

from mapper.errors import RequestError
from mapper.lulcformer.blocks import ATTENTION_ON_GPU
from mapper.lulcformer.chips import Chips
from mapper.lulcformer.events import Event, Learned
from mapper.lulcformer.model import LulcFormer, Variant
from mapper.lulcformer.parallel import ALONE, Processes
from mapper.lulcformer.settings import TrainingSettings
from mapper.lulcformer.state import (
    mark_of_chips,
    mark_of_weights,
    read_state,
    require_same,
    write_state,
)
from mapper.lulcformer.trainer import TrainedWeights, Trainer

KEEP_EVERY_S = 600.0
"""A kill costs no more than about this of work, in seconds, or the time between two validations."""


def train(
    settings: TrainingSettings,
    training_chips: Chips,
    validation_chips: Chips,
    on_event: Callable[[Event], None] = lambda event: None,
    state_file: Path | None = None,
    start: Mapping[str, Tensor] | None = None,
    processes: Processes = ALONE,
    network: Callable[[Variant], nn.Module] = LulcFormer,
) -> TrainedWeights:
    """Train a network, a fresh one or one that was trained before.

    Args:
        start: weights to go on from, such as a checkpoint's; None draws fresh ones.
        on_event: told what has happened, one event at a time.
        state_file: kept at every validation, every ten minutes, and where a `Learned` ends the
            training; where it exists already, training goes on from it and ends with the same
            weights as if it had never stopped. (On CUDA the same up to rounding: there the gradient
            of an upsampling is summed in no fixed order.)
        processes: who shares the work; each calls this with the same arguments, gets the same
            weights, and only the first is told of events and writes `state_file`.
        network: makes the network of a variant; any other that answers optical, radar and the
            masks of both with logits is trained by the same course.

    Raises:
        RequestError: there are no chips, no validation pixel is labelled and seen, the loss is no
            longer a number, `state_file` belongs to other settings, chips or first weights, a GPU's
            memory is too small, or the processes cannot share the batch's parts evenly.
        OutputError: `state_file` cannot be written.
    """
    if not len(training_chips) or not len(validation_chips):
        raise RequestError(
            f"{len(training_chips)} training and {len(validation_chips)} validation chips; "
            "training needs at least one of each"
        )
    processes.require_even(settings.parts)
    learned_from = {
        "training chips": mark_of_chips(training_chips),
        "validation chips": mark_of_chips(validation_chips),
        "weights to start from": mark_of_weights(start),
    }

    def keep() -> None:
        if state_file is not None and processes.is_first:
            write_state(state_file, {"learned_from": learned_from, **trainer.state()})

    device = torch.device(settings.device)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        trainer = Trainer(settings, start, processes, network)
        if state_file is not None and state_file.exists():
            state = read_state(state_file)
            require_same(state_file, state.get("learned_from", {}), learned_from)
            require_same(state_file, _anywhere(state["settings"]), _anywhere(asdict(settings)))
            trainer.restore(state)
        _require_one_step(trainer, processes)
        tell = on_event if processes.is_first else _ignore
        try:
            with sdpa_kernel(ATTENTION_ON_GPU):
                _go_on(trainer, training_chips, validation_chips, tell, keep)
        except torch.OutOfMemoryError as error:
            raise RequestError(
                f"{settings.device} has too little memory for a batch of {settings.batch} in "
                f"{settings.parts} parts; give more parts, or a smaller batch"
            ) from error
    assert trainer.best is not None
    return trainer.best


def _anywhere(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without the place of a GPU, which each of several processes has its own of."""
    return {**settings, "device": torch.device(settings["device"]).type}


def _require_one_step(trainer: Trainer, processes: Processes) -> None:
    """Refuse processes of which some have found the state and some have not."""
    steps = torch.tensor([trainer.step], device=trainer.device)
    processes.add_up([steps])
    if int(steps) != trainer.step * processes.count:
        raise RequestError(
            f"process {processes.rank} would go on from step {trainer.step}, others from another; "
            "put --out on a disk that all machines share"
        )


def _go_on(
    trainer: Trainer,
    training_chips: Chips,
    validation_chips: Chips,
    tell: Callable[[Event], None],
    keep: Callable[[], None],
) -> None:
    """Step by step to the end; `keep` writes the state."""
    settings, kept_s = trainer.settings, monotonic()
    while trainer.step < settings.steps:
        trainer.losses.append(trainer.learn(training_chips))
        if trainer.is_due(settings.report_every):
            tell(trainer.report())
        validates = trainer.is_due(settings.validate_every)
        keeps = validates or monotonic() - kept_s > KEEP_EVERY_S
        if keeps:
            trainer.require_numbers()
        if validates:
            tell(trainer.validate(validation_chips))
        if keeps:
            keep()
            kept_s = monotonic()
        try:
            tell(Learned(trainer.step))
        except BaseException:
            trainer.require_numbers()
            keep()
            raise


def _ignore(event: Event) -> None:
    """What a process other than the first does with news."""
