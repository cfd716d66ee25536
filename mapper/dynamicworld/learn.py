"""From chips to a checkpoint: normalise, train, and write down what was learned from what.

Chips made for it are kept on disk, so an interrupted training goes on with the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch

from mapper.dynamicworld.chips import (
    CHIP_PX,
    SUFFIX,
    load_chips,
    normalisation_of,
    save_chip,
    tensors_of,
)
from mapper.dynamicworld.simulated_chips import simulated_chip
from mapper.errors import CheckpointError, RequestError
from mapper.imagery.bands import OPTICAL_NAMES, RADAR_NAMES, Normalisation
from mapper.land.legend import CLASS_COUNT, CLASS_NAMES
from mapper.lulcformer.calibration import fitted_temperature
from mapper.lulcformer.checkpoint import Checkpoint, model_of
from mapper.lulcformer.chips import TensorChips
from mapper.lulcformer.losses import class_weights, count_classes
from mapper.lulcformer.scores import balanced_accuracy, mean_iou, overall_accuracy
from mapper.lulcformer.training import (
    PRECISIONS,
    Event,
    TrainedWeights,
    TrainingSettings,
    train,
)
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
    normalisation: Mapping[str, Normalisation]
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
    chip_px: int = CHIP_PX,
    processes: int = 1,
    on_event: Callable[[ChipMade], None] = lambda event: None,
) -> None:
    """Write a simulated chip for each seed that has none yet; the same seed gives the same chip.

    Args:
        chip_px: side of the chips; smaller ones show more places for the same work.

    Raises:
        OutputError: the folder cannot be written.
    """
    wanted = list(seeds)
    missing = [seed for seed in wanted if not (folder / f"{_name(seed)}{SUFFIX}").exists()]
    # Spawned, not forked: the parent may hold threads of numba, GDAL or CUDA.
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        make = partial(_make_one, folder, places, chip_px)
        made = (pool.submit(make, seed) for seed in missing)
        for count, future in enumerate(as_completed(list(made)), len(wanted) - len(missing) + 1):
            future.result()
            on_event(ChipMade(count, len(wanted)))


def _make_one(folder: Path, places: Places, chip_px: int, seed: int) -> None:
    save_chip(simulated_chip(seed, places=places, chip_px=chip_px), folder, _name(seed))


def _name(seed: int) -> str:
    return f"simulated-{seed:08d}"


def lesson_of(
    training: Path, validation: Path, normalisation: Mapping[str, Normalisation] | None = None
) -> Lesson:
    """The chips of two folders.

    Args:
        normalisation: by band, such as that of a checkpoint which is trained further; None takes
            it from the training chips.

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
    if normalisation is None:
        normalisation = normalisation_of(learned)
    return Lesson(
        training=tensors_of(learned, normalisation),
        validation=tensors_of(tried, normalisation),
        normalisation=normalisation,
        window_px=learned[0].label.shape[0],
        source="; ".join(sorted({chip.source for chip in learned})),
        simulated=any(chip.simulated for chip in learned),
    )


def weights_of_classes(lesson: Lesson, balance: float) -> tuple[float, ...]:
    """What each class counts in the loss: 0 for every pixel alike, 1 for every class alike."""
    counts = count_classes(lesson.training.label, CLASS_COUNT)
    return tuple(round(float(weight), 4) for weight in class_weights(counts, balance))


def learn(
    lesson: Lesson,
    settings: TrainingSettings,
    variant_name: str,
    on_event: Callable[[Event], None] = lambda event: None,
    state_file: Path | None = None,
    start: Checkpoint | None = None,
) -> Checkpoint:
    """A trained network with everything production needs to know of it.

    Args:
        settings: its device also holds the chips while training, 7 MB each.
        state_file: see `mapper.lulcformer.training.train`.
        start: a checkpoint to train further; its normalisation must be the lesson's.

    Raises:
        RequestError: see `mapper.lulcformer.training.train`.
        CheckpointError: `start` has another variant or another normalisation.
    """
    if start is not None:
        _require_same(start, lesson, settings)
    device = torch.device(settings.device)
    trained = train(
        settings,
        lesson.training.to(device),
        lesson.validation.to(device),
        on_event,
        state_file,
        None if start is None else start.weights,
    )
    made = Checkpoint(
        variant_name=variant_name,
        variant=trained.variant,
        weights=trained.weights,
        optical_bands=OPTICAL_NAMES,
        radar_bands=RADAR_NAMES,
        legend=CLASS_NAMES,
        normalisation=_ranges(lesson.normalisation),
        window=lesson.window_px,
        facts=_facts(lesson, settings, trained, start),
    )
    return calibrated(made, lesson.validation, settings.device, settings.precision, settings.batch)


def calibrated(
    checkpoint: Checkpoint,
    chips: TensorChips,
    device: str = "cpu",
    precision: str = "fp32",
    batch: int = 2,
) -> Checkpoint:
    """The checkpoint with the temperature that makes its confidence true on some chips.

    Args:
        chips: of places it has not learned from, normalised as the checkpoint asks.
        batch: chips per forward pass.

    Raises:
        RequestError: no pixel of the chips is labelled.
    """
    where = torch.device(device)
    temperature = fitted_temperature(
        model_of(checkpoint).to(where),
        chips.to(where),
        batch=batch,
        precision=PRECISIONS[precision],
    )
    fact = f"{temperature:g}, fitted on {len(chips)} chips from which nothing was learned"
    facts = {**checkpoint.facts, "temperature": fact}
    return replace(checkpoint, temperature=temperature, facts=facts, digest="")


def chips_for(checkpoint: Checkpoint, folder: Path) -> TensorChips:
    """The chips of a folder, normalised as a checkpoint asks.

    Raises:
        RequestError: the folder has no chips, or a file is no chip.
    """
    return tensors_of(list(load_chips(folder)), normalisation_in(checkpoint))


def normalisation_in(checkpoint: Checkpoint) -> dict[str, Normalisation]:
    """A checkpoint's normalisation, for chips to train it further with."""
    return {band: Normalisation(*four) for band, four in checkpoint.normalisation.items()}


def _require_same(start: Checkpoint, lesson: Lesson, settings: TrainingSettings) -> None:
    """Raise where weights would be trained further as something they are not."""
    if start.variant != settings.variant:
        raise CheckpointError(
            f"the checkpoint to start from is {start.variant}, wanted {settings.variant}; "
            "train the variant it has"
        )
    if start.normalisation != _ranges(lesson.normalisation):
        raise CheckpointError(
            "the chips are normalised in another way than the checkpoint to start from; "
            "read them with the checkpoint's normalisation"
        )


def _ranges(
    normalisation: Mapping[str, Normalisation],
) -> dict[str, tuple[float, float, float, float]]:
    return {band: (n.low, n.high, n.mean, n.std) for band, n in normalisation.items()}


def _facts(
    lesson: Lesson, settings: TrainingSettings, trained: TrainedWeights, start: Checkpoint | None
) -> dict[str, str]:
    """What people ask of a network: data, effort and scores; earlier trainings by their number."""
    earlier = {} if start is None else start.facts
    number = 1 + sum(name.startswith("training ") for name in earlier)
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
        **{name: fact for name, fact in earlier.items() if name.startswith("training ")},
        f"training {number}": (
            f"{len(lesson.training)} chips of {lesson.window_px} px, {trained.step} of "
            f"{settings.steps} steps of {settings.batch}, learning rate "
            f"{settings.learning_rate:g}, {settings.precision} on {settings.device}, seed "
            f"{settings.seed}"
        ),
        "validation chips": f"{len(lesson.validation)} of {lesson.window_px} px",
        **scores,
    }
