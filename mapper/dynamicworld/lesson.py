"""Lesson: chips to learn from and chips of other places to be tried on, ready for the network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from distributed.system import MEMORY_LIMIT

from mapper.dynamicworld.apart import kept_apart, require_apart, without_shared_ground
from mapper.dynamicworld.chip_sets import (
    chip_set,
    on_disk,
    processes_here,
    read_ahead,
    require_readable,
)
from mapper.dynamicworld.chips import SUFFIX, ChipFacts, chip_paths, facts_of, load_chip
from mapper.dynamicworld.ranges import normalisation_of, sample_step
from mapper.errors import RequestError
from mapper.imagery.bands import Normalisation
from mapper.lulcformer.checkpoint import Checkpoint
from mapper.lulcformer.chips import Chips
from mapper.lulcformer.losses import class_weights
from mapper.lulcformer.model import COARSEST_CELL_PX

MEMORY_SHARE = 0.5
"""Of the memory that is free, chips may take this much; the network and others need some too."""


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """Two sets of chips of different places, ready for the network."""

    training: Chips
    validation: Chips
    normalisation: Mapping[str, Normalisation]
    """By band: of the training chips, or as it was given."""
    window_px: int
    """Side of the chips, with their frames."""
    sources: tuple[str, ...]
    """Where the pixels and labels come from, sorted."""
    simulated: tuple[str, ...]
    """Names of those training chips that are of painted ground, sorted."""
    tried_on_simulated: bool
    """True when any validation chip is."""
    class_counts: tuple[int, ...]
    """Labelled pixels of each class in the training chips."""
    left_out: int
    """Chips that are not learned from, because they share ground with the validation."""


def lesson_of(
    training: Path | Sequence[Path],
    validation: Path | Sequence[Path],
    normalisation: Mapping[str, Normalisation] | None = None,
    *,
    mixed: Sequence[Path] = (),
    validation_share: float = 0.0,
    memory_bytes: float | None = None,
    untried: bool = True,
    made: Sequence[Path] = (),
) -> Lesson:
    """The chips of some folders.

    Smaller chips are framed with pixels that are neither seen nor labelled, up to the largest, or
    to the next multiple of 32 px: chips of 510 px make a network for windows of 512 px.
    They are held in memory as far as it goes, those to be tried on first; a set that does not fit
    is read from disk as it is drawn from. That changes nothing but the time.
    A chip to learn from that shares ground with one to be tried on is left out.

    Args:
        training, validation: folders of chips, or one of each.
        normalisation: by band, such as that of a checkpoint which is trained further; None takes
            it from the training chips.
        mixed: folders whose chips are divided by place between the two.
        validation_share: share of the places of `mixed` that is kept apart.
        memory_bytes: what the chips may take; None is a share of what is free.
        untried: whether to read once each file that stays on disk, so that a damaged one is told
            now; 0.03 s of a core each.
        made: folders whose chips need no such reading, since this program made them.

    Raises:
        RequestError: a folder has no chips or is given twice, a file is no chip, both sides have a
            chip of one place, or nothing is labelled on one of them.
    """
    learned, tried = _facts(training), _facts(validation)
    for chip in _facts(mixed):
        (tried if kept_apart(chip.lon, chip.lat, validation_share) else learned).append(chip)
    require_apart(learned, tried)
    given_to_learn = len(learned)
    learned = without_shared_ground(learned, tried)
    _require_some(learned, tried)
    side = _side((*learned, *tried))
    paths = [chip.path for chip in learned]
    given = normalisation is not None
    if normalisation is None:
        chips = read_ahead(load_chip, paths)
        normalisation = normalisation_of(chips, sample_step(len(paths), side))
    room = chip_memory_bytes() if memory_bytes is None else memory_bytes
    held_out = chip_set([chip.path for chip in tried], side, normalisation, room)
    to_learn = chip_set(paths, side, normalisation, room - held_out.nbytes)
    if untried:
        # For a normalisation of their own all of the training chips were read.
        sets = [held_out, to_learn] if given else [held_out]
        require_readable(
            path for chips in sets for path in on_disk(chips) if path.parent not in made
        )
    return Lesson(
        training=to_learn,
        validation=held_out,
        normalisation=normalisation,
        window_px=side,
        sources=tuple(sorted({chip.source for chip in learned})),
        simulated=tuple(
            sorted(chip.path.name.removesuffix(SUFFIX) for chip in learned if chip.simulated)
        ),
        tried_on_simulated=any(chip.simulated for chip in tried),
        class_counts=tuple(map(sum, zip(*(chip.class_counts for chip in learned), strict=True))),
        left_out=given_to_learn - len(learned),
    )


def _require_some(learned: Sequence[ChipFacts], tried: Sequence[ChipFacts]) -> None:
    """Raise unless there is something of each."""
    if not learned or not tried:
        raise RequestError(
            f"{len(learned)} chips to learn from and {len(tried)} to be tried on; wanted some of "
            "each: give more chips, or another validation_share"
        )
    for chips, what in ((learned, "to learn from"), (tried, "to be tried on")):
        if not any(sum(chip.class_counts) for chip in chips):
            raise RequestError(
                f"no pixel of the {len(chips)} chips {what} is labelled; give chips with labels"
            )


def _side(chips: Sequence[ChipFacts]) -> int:
    """The side of a square for all of some chips, a multiple of `COARSEST_CELL_PX`."""
    return -(-max(max(chip.shape) for chip in chips) // COARSEST_CELL_PX) * COARSEST_CELL_PX


def chip_memory_bytes() -> float:
    """What chips may take of this machine's memory, or of the container's."""
    free = min(psutil.virtual_memory().available, MEMORY_LIMIT)
    return MEMORY_SHARE * free / processes_here()


def weights_of_classes(lesson: Lesson, balance: float) -> tuple[float, ...]:
    """What each class counts in the loss: 0 for every pixel alike, 1 for every class alike."""
    counts = torch.tensor(lesson.class_counts)
    return tuple(round(float(weight), 4) for weight in class_weights(counts, balance))


def normalisation_in(checkpoint: Checkpoint) -> dict[str, Normalisation]:
    """A checkpoint's normalisation, for chips to train it further with."""
    return {band: Normalisation(*four) for band, four in checkpoint.normalisation.items()}


def chips_for(checkpoint: Checkpoint, folder: Path, memory_bytes: float | None = None) -> Chips:
    """The chips of a folder, normalised as a checkpoint asks, in windows of its size.

    Args:
        memory_bytes: see `lesson_of`.

    Raises:
        RequestError: the folder has no chips, a file is no chip, or one is larger than a window.
    """
    chips = _facts(folder)
    side = checkpoint.window
    if _side(chips) > side:
        raise RequestError(
            f"{folder} has chips of {max(max(chip.shape) for chip in chips)} px, wanted at most "
            f"{side} px, the window of the checkpoint: cut them"
        )
    room = chip_memory_bytes() if memory_bytes is None else memory_bytes
    return chip_set([chip.path for chip in chips], side, normalisation_in(checkpoint), room)


def _facts(folders: Path | Iterable[Path]) -> list[ChipFacts]:
    """The chips of some folders, without their pixels."""
    each = [folders] if isinstance(folders, Path) else list(folders)
    for folder, times in Counter(path.resolve() for path in each).items():
        if times > 1:
            raise RequestError(f"the chips in {folder} are given {times} times; give them once")
    return list(read_ahead(facts_of, [path for folder in each for path in chip_paths(folder)]))
