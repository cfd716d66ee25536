"""From chips to a checkpoint: normalise, train, and write down what was learned from what.

Chips made for it are kept on disk, so an interrupted training goes on with the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch

from mapper.dynamicworld.chips import SUFFIX, load_chips, normalisation_of, save_chip, tensors_of
from mapper.dynamicworld.simulated_chips import simulated_chip
from mapper.errors import RequestError
from mapper.imagery.bands import OPTICAL_NAMES, RADAR_NAMES, Normalisation
from mapper.land.legend import CLASS_COUNT, CLASS_NAMES
from mapper.lulcformer.checkpoint import Checkpoint
from mapper.lulcformer.chips import TensorChips
from mapper.lulcformer.losses import class_weights, count_classes
from mapper.lulcformer.scores import balanced_accuracy, mean_iou, overall_accuracy
from mapper.lulcformer.training import Event, TrainedWeights, TrainingSettings, train
from mapper.simulated.spectra import Places

VALIDATION_SEED = 10_000_000
"""Seeds from here on make validation chips: other ground, painted with places kept out."""


@dataclass(frozen=True, slots=True)
class ChipMade:
    """One more chip of a set is on disk."""

    done: int
    of: int


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """Two sets of chips of different places, ready for the network."""

    training: TensorChips
    validation: TensorChips
    normalisation: dict[str, Normalisation]
    """By band, of the training chips."""
    window_px: int
    """Side of the chips."""
    source: str
    """Where the pixels and labels come from."""
    simulated: bool
    """True when any chip is of painted ground."""


def make_simulated_chips(
    folder: Path,
    seeds: Iterable[int],
    places: Places,
    *,
    processes: int = 1,
    on_event: Callable[[ChipMade], None] = lambda event: None,
) -> None:
    """Write a simulated chip for each seed that has none yet; the same seed gives the same chip.

    Raises:
        OutputError: the folder cannot be written.
    """
    wanted = list(seeds)
    missing = [seed for seed in wanted if not (folder / f"{_name(seed)}{SUFFIX}").exists()]
    # Spawned, not forked: the parent may hold threads of numba, GDAL or CUDA.
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        make = partial(_make_one, folder, places)
        made = (pool.submit(make, seed) for seed in missing)
        for count, future in enumerate(as_completed(list(made)), len(wanted) - len(missing) + 1):
            future.result()
            on_event(ChipMade(count, len(wanted)))


def _make_one(folder: Path, places: Places, seed: int) -> None:
    save_chip(simulated_chip(seed, places=places), folder, _name(seed))


def _name(seed: int) -> str:
    return f"simulated-{seed:08d}"


def lesson_of(training: Path, validation: Path) -> Lesson:
    """The chips of two folders, normalised by the statistics of the first.

    Raises:
        RequestError: a folder has no chips, or both have a chip of one place.
    """
    learned, tried = list(load_chips(training)), list(load_chips(validation))
    shared = {chip.place for chip in learned} & {chip.place for chip in tried}
    if shared:
        raise RequestError(
            f"{len(shared)} places are in both {training} and {validation}, such as "
            f"{min(shared)}; a validation on ground that was learned says nothing: split by place"
        )
    normalisation = normalisation_of(learned)
    return Lesson(
        training=tensors_of(learned, normalisation),
        validation=tensors_of(tried, normalisation),
        normalisation=normalisation,
        window_px=learned[0].label.shape[0],
        source="; ".join(sorted({chip.source for chip in learned})),
        simulated=any(chip.simulated for chip in learned),
    )


def weights_of_classes(lesson: Lesson) -> tuple[float, ...]:
    """What each class counts in the loss, so that rare ones are learned too."""
    counts = count_classes(lesson.training.label, CLASS_COUNT)
    return tuple(round(float(weight), 4) for weight in class_weights(counts))


def learn(
    lesson: Lesson,
    settings: TrainingSettings,
    variant_name: str,
    on_event: Callable[[Event], None] = lambda event: None,
    state_file: Path | None = None,
) -> Checkpoint:
    """A trained network with everything production needs to know of it.

    Args:
        settings: its device also holds the chips while training, 7 MB each.
        state_file: see `mapper.lulcformer.training.train`.
    """
    device = torch.device(settings.device)
    trained = train(
        settings, lesson.training.to(device), lesson.validation.to(device), on_event, state_file
    )
    return Checkpoint(
        variant_name=variant_name,
        variant=trained.variant,
        weights=trained.weights,
        optical_bands=OPTICAL_NAMES,
        radar_bands=RADAR_NAMES,
        legend=CLASS_NAMES,
        normalisation=_ranges(lesson.normalisation),
        window=lesson.window_px,
        facts=_facts(lesson, settings, trained),
    )


def _ranges(
    normalisation: Mapping[str, Normalisation],
) -> dict[str, tuple[float, float, float, float]]:
    return {band: (n.low, n.high, n.mean, n.std) for band, n in normalisation.items()}


def _facts(lesson: Lesson, settings: TrainingSettings, trained: TrainedWeights) -> dict[str, str]:
    """What people ask of a network: data, effort and scores."""
    scores = {
        f"validation {name}, {seen}": f"{measure(matrix):.3f}"
        for seen, matrix in trained.confusions.items()
        for name, measure in (
            ("overall accuracy", overall_accuracy),
            ("balanced accuracy", balanced_accuracy),
            ("mean IoU", mean_iou),
        )
    }
    return {
        "simulated": "yes" if lesson.simulated else "no",
        "source": lesson.source,
        "training chips": str(len(lesson.training)),
        "validation chips": str(len(lesson.validation)),
        "chips per step": str(settings.batch),
        "steps": str(settings.steps),
        "best step": str(trained.step),
        "seed": str(settings.seed),
        "device": settings.device,
        "precision": settings.precision,
        **scores,
    }
