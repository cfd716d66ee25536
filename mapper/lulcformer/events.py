"""What a training tells while it goes on: progress bars, curves, and whoever may end it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from mapper.lulcformer.scores import Seen


@dataclass(frozen=True, slots=True)
class Stepped:
    """Some steps are done."""

    step: int
    """Steps done so far."""
    of: int
    loss: float
    """Mean since the last report."""
    learning_rate: float


@dataclass(frozen=True, slots=True, eq=False)
class Validated:
    """The averaged weights were tried on the validation chips."""

    step: int
    confusions: Mapping[Seen, Tensor]
    """Confusion matrix by what the network was shown."""
    best: bool
    """Whether no earlier validation was better."""


@dataclass(frozen=True, slots=True)
class Learned:
    """One more step is done, with all that was due after it.

    Who raises an exception when told this ends the training; its state is kept first.
    """

    step: int


Event = Stepped | Validated | Learned
