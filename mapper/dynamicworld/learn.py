"""From chips to a checkpoint: normalise, train, and write down what was learned from what.

Chips made for it are kept on disk, so an interrupted training goes on with the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from mapper.dynamicworld.chips import CHIP_PX, SUFFIX, save_chip
from mapper.dynamicworld.lesson import Lesson
from mapper.dynamicworld.simulated_chips import chip_name, simulated_chip
from mapper.errors import CheckpointError
from mapper.imagery.bands import OPTICAL_NAMES, RADAR_NAMES, Normalisation
from mapper.land.legend import CLASS_NAMES
from mapper.lulcformer.calibration import TEMPERATURE_LIMITS, fitted_temperature, tallied
from mapper.lulcformer.checkpoint import Checkpoint, Range, model_of
from mapper.lulcformer.chips import Chips, near
from mapper.lulcformer.events import Event
from mapper.lulcformer.parallel import ALONE, Processes
from mapper.lulcformer.report import Report
from mapper.lulcformer.scores import balanced_accuracy, mean_iou, overall_accuracy
from mapper.lulcformer.settings import PRECISIONS, TrainingSettings, require_precision
from mapper.lulcformer.trainer import TrainedWeights
from mapper.lulcformer.training import train
from mapper.pool import pool
from mapper.simulated.spectra import Places


@dataclass(frozen=True, slots=True)
class ChipMade:
    """One more chip of a set is on disk."""

    done: int
    of: int


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
        places: those of training make chips to learn from, which are varied (`simulated_chip`).
        chip_px: side of the chips; smaller ones show more places for the same work.

    Raises:
        OutputError: the folder cannot be written, or a process was killed for want of memory.
    """
    wanted = list(seeds)
    missing = [seed for seed in wanted if not (folder / f"{chip_name(seed)}{SUFFIX}").exists()]
    with pool(processes) as workers:
        make = partial(_make_one, folder, places, chip_px)
        made = (workers.submit(make, seed) for seed in missing)
        for count, future in enumerate(as_completed(list(made)), len(wanted) - len(missing) + 1):
            future.result()
            on_event(ChipMade(count, len(wanted)))


def _make_one(folder: Path, places: Places, chip_px: int, seed: int) -> None:
    varied = places is Places.TRAINING
    chip = simulated_chip(seed, places=places, chip_px=chip_px, varied=varied)
    save_chip(chip, folder, chip_name(seed))


def learn(
    lesson: Lesson,
    settings: TrainingSettings,
    variant_name: str,
    on_event: Callable[[Event], None] = lambda event: None,
    state_file: Path | None = None,
    start: Checkpoint | None = None,
    processes: Processes = ALONE,
) -> Checkpoint:
    """A trained network with everything production needs to know of it.

    Args:
        settings: its device also holds chips that are in memory, where it has room, 7 MB each.
        state_file: see `mapper.lulcformer.training.train`.
        start: a checkpoint to train further; its normalisation must be the lesson's.
        processes: who trains together, each with the same arguments; each gets the checkpoint.

    Raises:
        RequestError: see `mapper.lulcformer.training.train`.
        CheckpointError: `start` has another variant or another normalisation.
    """
    if start is not None:
        _require_same(start, lesson, settings)
    device = torch.device(settings.device)
    training, validation = near([lesson.training, lesson.validation], device)
    trained = train(
        settings,
        training,
        validation,
        on_event,
        state_file,
        None if start is None else start.weights,
        processes,
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
    at_once, precision = settings.chips_per_pass, settings.precision
    which = "from which nothing was learned"
    return calibrated(made, lesson.validation, which, settings.device, precision, at_once)


def calibrated(
    checkpoint: Checkpoint,
    chips: Chips,
    which: str,
    device: str = "cpu",
    precision: str = "fp32",
    batch: int = 2,
) -> Checkpoint:
    """The checkpoint with the temperature that makes its confidence true on some chips.

    Args:
        chips: of places it has not learned from, normalised as the checkpoint asks.
        which: what the checkpoint will say of these chips.
        batch: chips per forward pass.

    Raises:
        RequestError: no pixel of the chips is labelled, or the precision is unknown.
    """
    require_precision(precision)
    where = torch.device(device)
    temperature = fitted_temperature(
        model_of(checkpoint).to(where),
        *near([chips], where),
        batch=batch,
        precision=PRECISIONS[precision],
    )
    fact = f"{temperature:g}, fitted on {len(chips)} chips {which}"
    if temperature in TEMPERATURE_LIMITS:
        fact += ", the limit of what is looked for: confidence means little before more training"
    facts = {**checkpoint.facts, "temperature": fact}
    return replace(checkpoint, temperature=temperature, facts=facts, digest="")


def report_on(checkpoint: Checkpoint, lesson: Lesson, settings: TrainingSettings) -> Report:
    """What a trained network answers on the chips it was tried on, before and after calibration."""
    device = torch.device(settings.device)
    before, after = tallied(
        model_of(checkpoint).to(device),
        *near([lesson.validation], device),
        temperatures=(1.0, checkpoint.temperature),
        batch=settings.chips_per_pass,
        precision=PRECISIONS[settings.precision],
    )
    title = f"{len(lesson.validation)} chips that were kept apart"
    facts = {name: fact for name, fact in checkpoint.facts.items() if "validation" not in name}
    facts["these chips"] = (
        "nothing was learned from them, but by them the best step was chosen and the temperature "
        "fitted: other ground is answered a little worse"
    )
    facts["counted"] = "labelled pixels that a shown sensor sees"
    if checkpoint.digest:
        facts["weights"] = f"SHA-256 {checkpoint.digest[:16]}"
    facts["parameters"] = f"{sum(p.numel() for p in model_of(checkpoint).parameters()):,}"
    return Report(title, lesson.tried_on_simulated, facts, CLASS_NAMES, after, before)


def _require_same(start: Checkpoint, lesson: Lesson, settings: TrainingSettings) -> None:
    """Raise where weights would be trained further as something they are not."""
    # How often paths are dropped in training is no part of what the weights are.
    if replace(start.variant, drop_path=settings.variant.drop_path) != settings.variant:
        raise CheckpointError(
            f"the checkpoint to start from is {start.variant}, wanted {settings.variant}; "
            "train the variant it has"
        )
    if start.normalisation != _ranges(lesson.normalisation):
        raise CheckpointError(
            "the chips are normalised in another way than the checkpoint to start from; "
            "read them with the checkpoint's normalisation"
        )


def _ranges(normalisation: Mapping[str, Normalisation]) -> dict[str, Range]:
    return {band: (n.low, n.high, n.mean, n.std) for band, n in normalisation.items()}


def _painted(lesson: Lesson) -> str:
    """Which of the training chips are simulated, for who wants to go on with others."""
    if not lesson.simulated:
        return ""
    first, last = lesson.simulated[0], lesson.simulated[-1]
    return f" ({len(lesson.simulated)} simulated, {first} to {last})"


def _facts(
    lesson: Lesson, settings: TrainingSettings, trained: TrainedWeights, start: Checkpoint | None
) -> dict[str, str]:
    """What people ask of a network: data, effort and scores; earlier trainings by their number.

    Nothing that was learned from is forgotten: sources are joined, and weights that painted ground
    shaped before real ground did are simulated in part.
    """
    earlier = {} if start is None else start.facts
    count, painted_now = len(lesson.training), len(lesson.simulated)
    now = {0: "no", count: "yes"}.get(painted_now, "in part")
    painted = {now, earlier.get("simulated", now)}
    told = earlier.get("source", "")
    new = [one for one in lesson.sources if f"; {one}; " not in f"; {told}; "]
    source = "; ".join([*([told] if told else []), *new])
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
        "simulated": painted.pop() if len(painted) == 1 else "in part",
        "source": source,
        **{name: fact for name, fact in earlier.items() if name.startswith("training ")},
        f"training {number}": (
            f"{count} chips of {lesson.window_px} px{_painted(lesson)}, {trained.step} of "
            f"{settings.steps} steps of {settings.batch}, learning rate "
            f"{settings.learning_rate:g}, {settings.precision} on {settings.device}, seed "
            f"{settings.seed}"
        ),
        "validation chips": f"{len(lesson.validation)} of {lesson.window_px} px",
        **scores,
    }
