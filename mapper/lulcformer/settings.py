"""Training settings: everything that decides what is learned from given chips."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from mapper.errors import RequestError
from mapper.lulcformer.augment import Augmentation
from mapper.lulcformer.model import Variant

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
    """Of matrix products: fp32, bf16, or fp16 with scaled losses; the rest stays float32. On CUDA,
    convolutions in fp32 are TF32 where torch lets them: a map is made without."""
    compile: bool = False
    """Whether torch.compile makes the network's kernels; pays from a few thousand steps."""
    report_every: int = 10
    """Steps between `Stepped` events: each waits for the device."""
    validate_every: int = 500
    """Steps between validations, of which the best decides which weights are returned."""

    @property
    def chips_per_pass(self) -> int:
        """Chips that go through the network at a time: what memory must have room for."""
        return self.batch // self.parts

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
