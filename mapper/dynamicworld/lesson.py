"""Lesson: chips to learn from and chips of other places to be tried on, ready for the network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import floor
from pathlib import Path

import numpy as np

from mapper.dynamicworld.chips import Chip, load_chips, normalisation_of, tensors_of
from mapper.errors import RequestError
from mapper.imagery.bands import OPTICAL_NODATA, Normalisation
from mapper.land.legend import CLASS_COUNT, NODATA
from mapper.lulcformer.checkpoint import Checkpoint
from mapper.lulcformer.chips import TensorChips
from mapper.lulcformer.losses import class_weights, count_classes

CELL_DEG = 0.25
"""Ground is kept apart in cells of this size, so that neighbours stay on one side."""


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """Two sets of chips of different places, ready for the network."""

    training: TensorChips
    validation: TensorChips
    normalisation: Mapping[str, Normalisation]
    """By band, of the training chips."""
    window_px: int
    """Side of the chips."""
    source: str
    """Where the pixels and labels come from."""
    simulated: bool
    """True when any chip is of painted ground."""


def lesson_of(
    training: Path | Sequence[Path],
    validation: Path | Sequence[Path],
    normalisation: Mapping[str, Normalisation] | None = None,
    *,
    mixed: Sequence[Path] = (),
    validation_share: float = 0.0,
) -> Lesson:
    """The chips of some folders.

    Smaller chips are framed with pixels that are neither seen nor labelled, up to the largest.

    Args:
        training, validation: folders of chips, or one of each.
        normalisation: by band, such as that of a checkpoint which is trained further; None takes
            it from the training chips.
        mixed: folders whose chips are divided by place between the two.
        validation_share: share of the places of `mixed` that is kept apart.

    Raises:
        RequestError: a folder has no chips, or both sides have a chip of one place.
    """
    learned, tried = _chips_of(training), _chips_of(validation)
    for chip in _chips_of(mixed):
        (tried if kept_apart(chip, validation_share) else learned).append(chip)
    shared = {chip.place for chip in learned} & {chip.place for chip in tried}
    if shared:
        raise RequestError(
            f"{len(shared)} places are both to be learned from and to be tried on, such as "
            f"{min(shared)}; a validation on ground that was learned says nothing: split by place"
        )
    if not learned or not tried:
        raise RequestError(
            f"{len(learned)} chips to learn from and {len(tried)} to be tried on; wanted some of "
            "each: give more chips, or another validation_share"
        )
    if normalisation is None:
        normalisation = normalisation_of(learned)
    side = max(max(chip.label.shape) for chip in (*learned, *tried))
    return Lesson(
        training=tensors_of([framed(chip, side) for chip in learned], normalisation),
        validation=tensors_of([framed(chip, side) for chip in tried], normalisation),
        normalisation=normalisation,
        window_px=side,
        source="; ".join(sorted({chip.source for chip in learned})),
        simulated=any(chip.simulated for chip in learned),
    )


def kept_apart(chip: Chip, share: float) -> bool:
    """Whether a chip is of ground to be tried on: its cell alone decides, not the set it is in."""
    cell = f"{floor(chip.lon / CELL_DEG)} {floor(chip.lat / CELL_DEG)}"
    digest = hashlib.sha256(cell.encode()).digest()
    return int.from_bytes(digest[:6], "big") < share * 2**48


def framed(chip: Chip, side: int) -> Chip:
    """A chip in the middle of a square, around which nothing is seen or labelled."""
    height, width = chip.label.shape
    if (height, width) == (side, side):
        return chip
    before = ((side - height) // 2, (side - width) // 2)
    frame = [(n, side - size - n) for n, size in zip(before, (height, width), strict=True)]
    return replace(
        chip,
        optical=np.pad(chip.optical, [(0, 0), *frame], constant_values=OPTICAL_NODATA),
        radar=np.pad(chip.radar, [(0, 0), *frame], constant_values=np.nan),
        label=np.pad(chip.label, frame, constant_values=NODATA),
    )


def weights_of_classes(lesson: Lesson, balance: float) -> tuple[float, ...]:
    """What each class counts in the loss: 0 for every pixel alike, 1 for every class alike."""
    counts = count_classes(lesson.training.label, CLASS_COUNT)
    return tuple(round(float(weight), 4) for weight in class_weights(counts, balance))


def normalisation_in(checkpoint: Checkpoint) -> dict[str, Normalisation]:
    """A checkpoint's normalisation, for chips to train it further with."""
    return {band: Normalisation(*four) for band, four in checkpoint.normalisation.items()}


def chips_for(checkpoint: Checkpoint, folder: Path) -> TensorChips:
    """The chips of a folder, normalised as a checkpoint asks.

    Raises:
        RequestError: the folder has no chips, or a file is no chip.
    """
    return tensors_of(list(load_chips(folder)), normalisation_in(checkpoint))


def _chips_of(folders: Path | Iterable[Path]) -> list[Chip]:
    each = [folders] if isinstance(folders, Path) else folders
    return list(chain.from_iterable(load_chips(folder) for folder in each))
