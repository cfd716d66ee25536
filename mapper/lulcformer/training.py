"""Training: chips in, weights out; the same seed gives the same weights, killed in between or not.

All that is random in step n follows from (seed, n), so a state to resume from holds no generator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn

from mapper.errors import RequestError
from mapper.lulcformer.augment import Augmentation, augment
from mapper.lulcformer.averages import MovingAverage, PartStatistics
from mapper.lulcformer.chance import draw, seed_of
from mapper.lulcformer.chips import Batch, Chips, Some, joined
from mapper.lulcformer.descent import ADAM_BETAS, decay_groups, learning_rate
from mapper.lulcformer.events import Event, Learned, Stepped, Validated
from mapper.lulcformer.losses import focal_loss, pixel_weights
from mapper.lulcformer.model import LulcFormer, Variant
from mapper.lulcformer.parallel import ALONE, Processes
from mapper.lulcformer.scores import ALL_SEEN, Seen, mean_iou, score
from mapper.lulcformer.state import (
    mark_of_chips,
    mark_of_weights,
    read_state,
    require_same,
    write_state,
)

KEEP_EVERY_S = 600.0
"""A kill costs no more than about this of work, in seconds, or the time between two validations."""
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Everything that decides what is learned from given chips."""

    variant: Variant
    steps: int
    batch: int
    """Chips per step, of all processes together."""
    parts: int = 1
    """Equal parts a batch is computed in, one after the other or by several processes; a larger
    batch than memory holds needs several. Each part has its own BatchNorm statistics."""
    learning_rate: float = 5e-4
    """At its peak; the paper's."""
    final_learning_rate: float = 5e-6
    """At the end of the cosine."""
    warmup_steps: int = 100
    """Steps over which the learning rate rises linearly from 0."""
    weight_decay: float = 0.01
    """Of matrices and kernels; norms, biases and tokens keep their size."""
    clip_norm: float = 1.0
    """Gradients longer than this are shortened to it."""
    focal_gamma: float = 2.0
    label_smoothing: float = 0.05
    class_weights: tuple[float, ...] | None = None
    """Of each class in the loss; None weighs all alike. See `losses.class_weights`."""
    average_decay: float = 0.999
    """The weights that count are a moving average over about 1 / (1 - decay) steps."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0
    device: str = "cpu"
    precision: str = "fp32"
    """Of matrix products: fp32, bf16, or fp16 with scaled losses; the rest stays float32."""
    compile: bool = False
    """Whether torch.compile makes the network's kernels; pays from a few thousand steps."""
    report_every: int = 10
    """Steps between `Stepped` events: each waits for the device."""
    validate_every: int = 500
    """Steps between validations, of which the best decides which weights are returned."""

    def __post_init__(self) -> None:
        require_precision(self.precision)
        for name in ("steps", "batch", "parts", "report_every", "validate_every"):
            if getattr(self, name) < 1:
                raise RequestError(f"{name} is {getattr(self, name)}; wanted at least 1")
        if self.batch % self.parts:
            raise RequestError(
                f"a batch of {self.batch} chips cannot be cut into {self.parts} equal parts; make "
                "batch a multiple of parts"
            )


def require_precision(name: str) -> None:
    """Raise RequestError unless a number format of that name is known."""
    if name not in PRECISIONS:
        raise RequestError(f'precision "{name}" is unknown; give one of {", ".join(PRECISIONS)}')


@dataclass(frozen=True, slots=True, eq=False)
class TrainedWeights:
    """What a training gives: the averaged weights that did best on the validation chips."""

    variant: Variant
    weights: dict[str, Tensor]
    """Float32, on the CPU; ready for a Checkpoint."""
    step: int
    """The step they are from."""
    confusions: Mapping[Seen, Tensor]
    """Their confusion matrices on the validation chips."""


def train(
    settings: TrainingSettings,
    training_chips: Chips,
    validation_chips: Chips,
    on_event: Callable[[Event], None] = lambda event: None,
    state_file: Path | None = None,
    start: Mapping[str, Tensor] | None = None,
    processes: Processes = ALONE,
    network: Callable[[Variant], LulcFormer] = LulcFormer,
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
        network: makes the network of a variant; another one is trained by the same course.

    Raises:
        RequestError: there are no chips, the loss is no longer a number, `state_file` belongs to
            other settings, chips or first weights, or the processes cannot share the batch's
            parts evenly.
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
        _go_on(trainer, training_chips, validation_chips, tell, keep)
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
        if trainer.is_due(settings.validate_every):
            tell(trainer.validate(validation_chips))
        if trainer.is_due(settings.validate_every) or monotonic() - kept_s > KEEP_EVERY_S:
            keep()
            kept_s = monotonic()
        try:
            tell(Learned(trainer.step))
        except BaseException:
            keep()
            raise


def _ignore(event: Event) -> None:
    """What a process other than the first does with news."""


class Trainer:
    """A training under way: network, moving average, optimiser, and the best weights so far."""

    def __init__(
        self,
        settings: TrainingSettings,
        start: Mapping[str, Tensor] | None = None,
        processes: Processes = ALONE,
        network: Callable[[Variant], LulcFormer] = LulcFormer,
    ) -> None:
        self.settings = settings
        self.processes = processes
        self.device = torch.device(settings.device)
        torch.manual_seed(seed_of(settings.seed, "weights"))
        self.model = network(settings.variant)
        if start is not None:
            self.model.load_state_dict(start)
        self.model.to(self.device)
        self.average = MovingAverage(self.model, settings.average_decay)
        self.forward = torch.compile(self.model) if settings.compile else self.model
        self.optimiser = torch.optim.AdamW(
            decay_groups(self.model, settings.weight_decay),
            lr=settings.learning_rate,
            betas=ADAM_BETAS,
            fused=self.device.type == "cuda",
        )
        self.dtype = PRECISIONS[settings.precision]
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=settings.precision == "fp16")
        weights = settings.class_weights
        self.class_weights = None if weights is None else torch.tensor(weights, device=self.device)
        self.statistics = PartStatistics(self.model, settings.parts)
        self.step = 0
        self.losses: list[Tensor] = []
        """Of this process, of each step since the last report."""
        self.best: TrainedWeights | None = None

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        settings = self.settings
        return learning_rate(
            step,
            steps=settings.steps,
            warmup_steps=settings.warmup_steps,
            peak=settings.learning_rate,
            final=settings.final_learning_rate,
        )

    def is_due(self, every: int) -> bool:
        """Whether what is done every so many steps, and in the end, is to be done now."""
        return self.step % every == 0 or self.step == self.settings.steps

    def learn(self, chips: Chips) -> Tensor:
        """One step; returns this process's share of its loss without waiting for the device."""
        settings, parts = self.settings, self.processes.share(self.settings.parts)
        now, soon = (self.drawn(chips, step)[parts] for step in (self.step, self.step + 1))
        batches = [self.part(chips, part, own) for part, own in zip(parts, now, strict=True)]
        chips.expect(soon.flatten())
        weights = [pixel_weights(batch.label, self.class_weights).sum() for batch in batches]
        total = torch.stack(weights).sum()
        self.processes.add_up([total])
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate(self.step)

        self.model.train()
        self.statistics.begin()
        losses = []
        for part, batch in zip(parts, batches, strict=True):
            torch.manual_seed(seed_of(settings.seed, "dropout", self.step, part))
            loss = self.loss_of(batch, total)
            torch.autograd.backward(self.scaler.scale(loss))
            self.statistics.add()
            losses.append(loss.detach())
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        self.processes.add_up([*gradients, *self.statistics.sums])
        self.statistics.end()
        self.scaler.unscale_(self.optimiser)
        nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1
        self.average.update(self.step)
        return torch.stack(losses).sum()

    def drawn(self, chips: Chips, step: int) -> Tensor:
        """(part, chip) the indices of the chips that make the batch of a step."""
        settings = self.settings
        whole = draw(len(chips), settings.batch, step, settings.seed)
        return whole.view(settings.parts, -1)

    def part(self, chips: Chips, part: int, indices: Tensor) -> Batch:
        """One part of this step's batch, on the device; each chip's changes are its place's."""
        settings = self.settings
        changed = []
        for place, index in enumerate(indices, part * len(indices)):
            generator = torch.Generator()
            generator.manual_seed(seed_of(settings.seed, "chips", self.step, place))
            chip = chips.take(index[None]).to(self.device)
            changed.append(augment(chip, settings.augmentation, generator))
        return joined(changed)

    def loss_of(self, batch: Batch, total: Tensor) -> Tensor:
        """What a part adds to the loss of its batch, forward in the precision asked for."""
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            logits = self.forward(
                batch.optical, batch.radar, batch.optical_valid, batch.radar_valid
            )
        return focal_loss(
            logits,
            batch.label,
            gamma=self.settings.focal_gamma,
            class_weights=self.class_weights,
            smoothing=self.settings.label_smoothing,
            total=total,
        )

    def report(self) -> Stepped:
        """The mean loss since the last report; here a diverged training ends."""
        mean = torch.stack(self.losses).mean()
        self.losses.clear()
        self.processes.add_up([mean])
        loss = float(mean)
        if not isfinite(loss):
            raise RequestError(
                f"the loss is {loss} at step {self.step}; lower the learning rate "
                f"({self.settings.learning_rate}) or train in fp32 ({self.settings.precision} now)"
            )
        rate = self.rate(self.step - 1)
        return Stepped(self.step, self.settings.steps, loss, rate)

    def validate(self, chips: Chips) -> Validated:
        """Try the averaged weights with both sensors and with each alone; keep them if best."""
        mine = Some(chips, torch.arange(self.processes.rank, len(chips), self.processes.count))
        confusions = {
            seen: score(
                self.average.model,
                mine,
                seen=seen,
                batch=self.settings.batch // self.settings.parts,
                precision=self.dtype,
            ).to(self.device)
            for seen in ALL_SEEN
        }
        self.processes.add_up(list(confusions.values()))
        confusions = {seen: matrix.cpu() for seen, matrix in confusions.items()}
        # By both sensors: what a missing one costs is decided by how often training drops it.
        best = self.best is None or mean_iou(confusions["both"]) > mean_iou(
            self.best.confusions["both"]
        )
        if best:
            state = self.average.model.state_dict()
            weights = {name: tensor.cpu().clone() for name, tensor in state.items()}
            self.best = TrainedWeights(self.settings.variant, weights, self.step, confusions)
        return Validated(self.step, confusions, best)

    def state(self) -> dict[str, Any]:
        """All that `restore` needs."""
        best = self.best
        return {
            "settings": asdict(self.settings),
            "step": self.step,
            "losses": [float(loss) for loss in self.losses],
            "model": self.model.state_dict(),
            "average": self.average.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "best_step": best and best.step,
            "best_weights": best and best.weights,
            "best_confusions": best and dict(best.confusions),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was called."""
        self.step = state["step"]
        self.losses = [torch.tensor(loss, device=self.device) for loss in state.get("losses", [])]
        self.model.load_state_dict(state["model"])
        self.average.model.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        if state["best_step"] is not None:
            self.best = TrainedWeights(
                self.settings.variant,
                state["best_weights"],
                state["best_step"],
                state["best_confusions"],
            )
