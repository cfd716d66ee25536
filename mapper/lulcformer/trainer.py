"""One step of a training after the other: chips to a loss, a loss to weights, weights to scores.

All that is random in step n follows from (seed, n), so a state to resume from holds no generator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from mapper.errors import RequestError
from mapper.lulcformer.augment import augment
from mapper.lulcformer.averages import MovingAverage, PartStatistics
from mapper.lulcformer.chance import draw, seed_of
from mapper.lulcformer.chips import Batch, Chips, Some, concatenated
from mapper.lulcformer.descent import ADAM_BETAS, decay_groups, learning_rate
from mapper.lulcformer.events import Stepped, Validated
from mapper.lulcformer.losses import focal_loss, pixel_weights
from mapper.lulcformer.model import LulcFormer, Variant
from mapper.lulcformer.parallel import ALONE, Processes
from mapper.lulcformer.scores import ALL_SEEN, Seen, mean_iou_of_truth, score
from mapper.lulcformer.settings import PRECISIONS, TrainingSettings
from mapper.lulcformer.stream_size import Streams


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


class Trainer:
    """A training under way: network, moving average, optimiser, and the best weights so far."""

    def __init__(
        self,
        settings: TrainingSettings,
        start: Mapping[str, Tensor] | None = None,
        processes: Processes = ALONE,
        network: Callable[[Variant], nn.Module] = LulcFormer,
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
        self.streams = Streams(self.model)
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
        """Of each step since the last report."""
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
        """One step; returns the loss of the whole batch without waiting for the device."""
        settings, parts = self.settings, self.processes.share(self.settings.parts)
        now, soon = (self.drawn(chips, step)[parts] for step in (self.step, self.step + 1))
        batches = [self.part(chips, part, own) for part, own in zip(parts, now, strict=True)]
        if self.step + 1 < settings.steps:
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
        whole = torch.stack(losses).sum()
        self.processes.add_up([*gradients, *self.statistics.sums, whole])
        self.statistics.end()
        self.scaler.unscale_(self.optimiser)
        nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1
        self.average.update(self.step)
        return whole

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
        return concatenated(changed)

    def loss_of(self, batch: Batch, total: Tensor) -> Tensor:
        """What a part adds to the loss of its batch, forward in the precision asked for."""
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            logits = self.forward(
                batch.optical, batch.radar, batch.optical_valid, batch.radar_valid
            )
        loss = focal_loss(
            logits,
            batch.label,
            gamma=self.settings.focal_gamma,
            class_weights=self.class_weights,
            smoothing=self.settings.label_smoothing,
            total=total,
        )
        return loss + self.streams.excess() / self.settings.parts

    def report(self) -> Stepped:
        """The mean loss since the last report; here a diverged training ends."""
        loss = self._mean_loss()
        self.losses.clear()
        rate = self.rate(self.step - 1)
        return Stepped(self.step, self.settings.steps, loss, rate)

    def require_numbers(self) -> None:
        """End a diverged training before its weights are tried or kept; waits for the device.

        Raises:
            RequestError: a loss since the last report, or a weight, is no number.
        """
        if self.losses:
            self._mean_loss()
        if not all(bool(torch.isfinite(p).all()) for p in self.model.parameters()):
            raise self._diverged("a weight is no number")

    def _mean_loss(self) -> float:
        loss = float(torch.stack(self.losses).mean())
        if not isfinite(loss):
            raise self._diverged(f"the loss is {loss}")
        return loss

    def _diverged(self, what: str) -> RequestError:
        settings = self.settings
        return RequestError(
            f"{what} at step {self.step}; lower the learning rate ({settings.learning_rate}) or "
            f"train in fp32 ({settings.precision} now), and choose another --out: that of this "
            "training goes on with its own settings"
        )

    def validate(self, chips: Chips) -> Validated:
        """Try the averaged weights with both sensors and with each alone; keep them if best."""
        mine = Some(chips, torch.tensor(self.processes.among(len(chips)), dtype=torch.int64))
        confusions = {
            seen: score(
                self.average.model,
                mine,
                self.settings.variant.classes,
                seen=seen,
                batch=self.settings.chips_per_pass,
                precision=self.dtype,
            ).to(self.device)
            for seen in ALL_SEEN
        }
        self.processes.add_up(list(confusions.values()))
        confusions = {seen: matrix.cpu() for seen, matrix in confusions.items()}
        if not confusions["both"].any():
            raise RequestError(
                f"no labelled pixel of the {len(chips)} validation chips is seen by any sensor, so "
                "no weights can be chosen; give others"
            )
        best = self.best is None or self.merit(confusions) > self.merit(self.best.confusions)
        if best:
            state = self.average.model.state_dict()
            weights = {name: tensor.cpu().clone() for name, tensor in state.items()}
            self.best = TrainedWeights(self.settings.variant, weights, self.step, confusions)
        return Validated(self.step, confusions, best)

    def merit(self, confusions: Mapping[Seen, Tensor]) -> float:
        """The mean IoU, each choice of sensors counting as often as training shows it.

        By both sensors alone, weights once won a training after two fifths of it with 0.742 against
        0.737 in the end, when radar alone had risen from 0.42 to 0.51.
        """
        how = self.settings.augmentation
        shares: dict[Seen, float] = {
            "both": 1 - how.radar_dropout - how.optical_dropout,
            "optical": how.radar_dropout,
            "radar": how.optical_dropout,
        }
        shown = {seen: matrix for seen, matrix in confusions.items() if matrix.any()}
        return sum(shares[seen] * mean_iou_of_truth(matrix) for seen, matrix in shown.items())

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
