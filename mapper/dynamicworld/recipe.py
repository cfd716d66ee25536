"""Training recipe: everything that decides which weights a training ends with. Pure.

A recipe file has the keys of `TrainingRecipe` at its top and those of `Augmentation` in a table
[augmentation]; `mapper.config` reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from mapper.errors import RequestError
from mapper.lulcformer.augment import Augmentation
from mapper.lulcformer.model import COARSEST_CELL_PX, VARIANTS, Variant
from mapper.lulcformer.settings import TrainingSettings

FIRST_HELD_OUT_CHIP = 10_000_000
"""Simulated chips of this number and beyond are painted with measured places kept out."""
_MOST_CHIP_PX = 2048
_LONGEST_WARMUP = 100
_LONGEST_AVERAGE = 0.999
_WARMUPS, _AVERAGES = 10, 12
"""Into how many parts a short training is cut, of which the warm-up is one, and one is what the
average of the weights looks back on: longer ones would lag behind it."""
_LIMITS = {
    "class_balance": (0.0, 1.0),
    "label_smoothing": (0.0, 1.0),
    "validation_share": (0.0, 0.9),
    "drop_path": (0.0, 0.9),
    "learning_rate": (1e-9, 1.0),
    "final_learning_rate": (0.0, 1.0),
    "weight_decay": (0.0, 1.0),
    "clip_norm": (1e-9, 1e9),
    "focal_gamma": (0.0, 10.0),
    "average_decay": (0.0, 0.99999),
    "warmup_steps": (0, 10**9),
    "simulated": (0, FIRST_HELD_OUT_CHIP),
    "first_chip": (0, FIRST_HELD_OUT_CHIP),
    "held_out": (0, 10**7),
}
"""Lowest and highest value of a setting; beyond it nothing is learned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecipe:
    """The settings of `mapper train`."""

    simulated: int = 400
    """Chips of simulated ground to make and learn from."""
    first_chip: int = 0
    """Number of the first of them. A number is a piece of ground and its weather: a training that
    goes on from another sees new ground if it begins where that one ended."""
    held_out: int = 40
    """Chips of other simulated ground, painted with other places, to be tried on."""
    chip_px: int = 512
    """Side of the simulated chips."""
    chips: tuple[str, ...] = ()
    """Folders of chips to learn from besides."""
    validation: tuple[str, ...] = ()
    """Folders of chips to be tried on besides."""
    validation_share: float = 0.0
    """Share of the ground in `chips` that is kept apart to be tried on, by place."""
    variant: str = "tiny"
    """Size of the network: base, small, tiny or micro."""
    drop_path: float | None = None
    """Chance that the last block's residual is dropped; None is the variant's own."""
    start: str = ""
    """Weights to train further; empty for fresh ones."""
    steps: int = 2000
    batch: int = 8
    """Chips per step, of all processes together."""
    parts: int = 1
    """Equal parts a batch is computed in (gradient accumulation); several processes share them."""
    learning_rate: float = 1e-3
    """At its peak."""
    final_learning_rate: float = 5e-6
    """At the end of the cosine."""
    warmup_steps: int | None = None
    """Steps of linear rise; None is a tenth of all, at most 100."""
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    """Gradients longer than this are shortened to it."""
    focal_gamma: float = 2.0
    label_smoothing: float = 0.05
    class_balance: float = 0.1
    """0 weighs every pixel alike, 1 every class."""
    average_decay: float | None = None
    """Of the moving average of the weights; None suits the number of steps."""
    validate_every: int | None = None
    """Steps between validations; None is a fifth of all."""
    seed: int = 0
    precision: str = "fp32"
    """Of matrix products: fp32, bf16 or fp16."""
    compile: bool = False
    """Whether torch.compile makes the network's kernels; pays from a few thousand steps."""
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise RequestError(
                f'variant "{self.variant}" is unknown; give one of {", ".join(VARIANTS)}'
            )
        for name, (low, high) in _LIMITS.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise RequestError(f"{name} is {value}, wanted {low:g}..{high:g}")
        if self.warmup_steps and self.warmup_steps >= self.steps:
            raise RequestError(
                f"warmup_steps is {self.warmup_steps}, wanted fewer than the {self.steps} steps: "
                "the learning rate would never reach its peak"
            )
        if self.chip_px % COARSEST_CELL_PX or not 0 < self.chip_px <= _MOST_CHIP_PX:
            raise RequestError(
                f"chip_px is {self.chip_px}, wanted a multiple of {COARSEST_CELL_PX} "
                f"up to {_MOST_CHIP_PX}"
            )
        if self.first_chip + self.simulated > FIRST_HELD_OUT_CHIP:
            raise RequestError(
                f"first_chip is {self.first_chip} and simulated {self.simulated}: chips from "
                f"{FIRST_HELD_OUT_CHIP} on are those to be tried on; give a lower first_chip"
            )
        if not (self.simulated or self.chips):
            raise RequestError("there is nothing to learn from; give simulated or chips")
        if not (self.held_out or self.validation or self.validation_share):
            raise RequestError(
                "there is nothing to be tried on; give held_out, validation or validation_share"
            )
        if self.validation_share and not self.chips:
            raise RequestError("validation_share is of the folders in chips; give some, or 0")
        self.settings("cpu")  # refuses what no training can have

    def network(self) -> Variant:
        """The sizes of the network, with a learned token for each absent sensor."""
        variant = VARIANTS[self.variant]
        drop = variant.drop_path if self.drop_path is None else self.drop_path
        return replace(variant, missing_token=True, drop_path=drop)

    def settings(
        self, device: str, class_weights: tuple[float, ...] | None = None
    ) -> TrainingSettings:
        """The recipe as the training takes it.

        Args:
            class_weights: what each class counts, by the chips' own frequencies.
        """
        steps, warmup, decay = self.steps, self.warmup_steps, self.average_decay
        if warmup is None:
            warmup = max(1, min(_LONGEST_WARMUP, steps // _WARMUPS))
        if decay is None:
            decay = min(_LONGEST_AVERAGE, 1 - _AVERAGES / max(steps, 2 * _AVERAGES))
        return TrainingSettings(
            variant=self.network(),
            steps=steps,
            batch=self.batch,
            parts=self.parts,
            learning_rate=self.learning_rate,
            final_learning_rate=self.final_learning_rate,
            warmup_steps=warmup,
            weight_decay=self.weight_decay,
            clip_norm=self.clip_norm,
            focal_gamma=self.focal_gamma,
            label_smoothing=self.label_smoothing,
            class_weights=class_weights,
            average_decay=decay,
            augmentation=self.augmentation,
            seed=self.seed,
            device=device,
            precision=self.precision,
            compile=self.compile,
            validate_every=max(1, steps // 5)
            if self.validate_every is None
            else self.validate_every,
        )
