"""The command that trains a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from mapper.cli.options import PATH, debug_option, together

if TYPE_CHECKING:
    from mapper.cli.training_files import TrainingFiles
    from mapper.dynamicworld.learn import ChipMade
    from mapper.dynamicworld.lesson import Lesson
    from mapper.dynamicworld.recipe import TrainingRecipe
    from mapper.lulcformer.checkpoint import Checkpoint
    from mapper.lulcformer.events import Event
    from mapper.lulcformer.parallel import Processes
    from mapper.lulcformer.settings import TrainingSettings

recipe_options = together(
    click.option("--recipe", "recipe_file", type=PATH, help="TOML file with any of the settings."),
    click.option("--simulated", type=int, help="Chips of simulated ground. [400; 0 with --chips]"),
    click.option(
        "--first-chip", type=int, help="Number of the first; others are other ground. [0]"
    ),
    click.option(
        "--held-out", type=int, help="Simulated chips to be tried on. [40; 0 with --chips]"
    ),
    click.option("--chip-size", "chip_px", type=int, help="Their side in pixels. [512]"),
    click.option("--chips", multiple=True, help="Folder of chips to learn from; may be repeated."),
    click.option("--validation", multiple=True, help="Folder of chips to be tried on; likewise."),
    click.option("--validation-share", type=float, help="Share of --chips kept apart. [0]"),
    click.option("--variant", help="base, small, tiny or micro. [tiny]"),
    click.option("--steps", type=int, help="Of learning. [2000]"),
    click.option("--batch", type=int, help="Chips per step. [8]"),
    click.option("--parts", type=int, help="Parts a batch is computed in. [1]"),
    click.option("--learning-rate", type=float, help="At its peak. [0.001]"),
    click.option("--class-balance", type=float, help="0: pixels alike; 1: classes alike. [0.1]"),
    click.option("--seed", type=int, help="Of all that is random. [0]"),
    click.option("--start", help="Weights to train further."),
    click.option("--precision", help="fp32, bf16 or fp16. [fp32]"),
)


@click.command()
@recipe_options
@click.option("--device", default="auto", show_default=True, help="cpu, cuda or auto.")
@click.option("--workers", type=click.IntRange(1), help="Processes that make chips. [the cores]")
@click.option("--out", type=PATH, required=True, help="The .safetensors file to make.")
@debug_option
def train(
    recipe_file: Path | None,
    device: str,
    workers: int | None,
    out: Path,
    debug: bool,
    **flags: Any,
) -> None:
    """Train a network. Run again, and it goes on where it stopped.

    Beside --out it keeps chips (.chips), a state to go on from (.state), and a report (.report)
    with the curves of the training, scores and calibration. Several processes share the work under
    torchrun: torchrun --nproc-per-node 4 -m mapper.cli train --parts 4 ...

    \b
    Examples:
      mapper train --simulated 400 --steps 2000 --out tiny.safetensors
      mapper train --recipe workflows/train-tiny.toml --out tiny.safetensors
      mapper train --chips dynamic-world-plus --validation-share 0.1 --out mine.safetensors
    """
    import torch

    from mapper.cli.training_files import (
        only_training,
        require_chips,
        require_compiler,
        require_start,
        training_files,
    )
    from mapper.cli.training_recipe import training_recipe
    from mapper.inference.precision import resolve_device
    from mapper.lulcformer import checkpoint
    from mapper.lulcformer.memory import keep_freed_memory
    from mapper.lulcformer.parallel import joined, own_device
    from mapper.pool import cores

    given = {key: value for key, value in flags.items() if value != ()}
    recipe = training_recipe(recipe_file, given)
    where = own_device(torch.device(resolve_device(device)))
    files = training_files(out, recipe)
    require_chips((*recipe.chips, *recipe.validation))
    start = checkpoint.load(Path(recipe.start)) if recipe.start else None
    if start is not None:
        require_start(start, recipe)
    if recipe.compile:
        require_compiler(where)
    with joined(where) as processes, ExitStack() as held:
        processes.require_even(recipe.parts)
        if processes.is_first:
            held.enter_context(only_training(files))
        console = Console(stderr=True, quiet=not processes.is_first)
        lesson = _lesson(recipe, start, files, workers or cores(), console, processes)
        if where.type == "cpu":
            keep_freed_memory()
        trained = _trained(recipe, lesson, start, str(where), files, console, processes)
        if processes.is_first:
            click.echo("\n".join(_outcome(trained, files)))
        processes.wait()


def _outcome(trained: Checkpoint, files: TrainingFiles) -> list[str]:
    """What a training has come to, for a terminal."""
    lines = [f"{name}: {fact}" for name, fact in trained.facts.items()]
    lines += [f"weights: {files.weights}", f"report: {files.report / 'report.md'}"]
    return lines + _of_other_windows(trained.window, files)


def _of_other_windows(window_px: int, files: TrainingFiles) -> list[str]:
    """What weights for other windows than a map's are good for; nothing to say of a map's own."""
    from mapper.inference.windows import WINDOW_PX

    if window_px == WINDOW_PX:
        return []
    return [
        f"windows of {window_px} px are learned and maps are made of {WINDOW_PX} px: no map can be "
        f"made of these weights before they are trained further, with --start {files.weights} and "
        f"chips of {WINDOW_PX} px"
    ]


def _lesson(
    recipe: TrainingRecipe,
    start: Checkpoint | None,
    files: TrainingFiles,
    makers: int,
    console: Console,
    processes: Processes,
) -> Lesson:
    """The chips of a recipe; the first process makes those that are to be simulated."""
    from mapper.dynamicworld.chip_sets import FileChips
    from mapper.dynamicworld.lesson import lesson_of, normalisation_in

    if processes.is_first:
        _make_chips(recipe, files, makers, console)
    processes.wait()
    divided = bool(recipe.validation_share)
    chips = [Path(folder) for folder in recipe.chips]
    lesson = lesson_of(
        [*([files.training] if recipe.simulated else []), *([] if divided else chips)],
        [*([files.held_out] if recipe.held_out else []), *map(Path, recipe.validation)],
        None if start is None else normalisation_in(start),
        mixed=chips if divided else [],
        validation_share=recipe.validation_share,
        # Several processes read the same files, and a training that goes on has read them.
        untried=processes.is_first and not files.state.exists(),
        made=(files.training, files.held_out),
    )
    if lesson.left_out:
        console.print(f"{lesson.left_out} chips are left out: they share ground with validation")
    for line in _of_other_windows(lesson.window_px, files):
        console.print(line)
    if isinstance(lesson.training, FileChips):
        count = len(lesson.training)
        console.print(f"{count} chips are more than memory has room for: each is read when drawn")
    return lesson


def _make_chips(
    recipe: TrainingRecipe, files: TrainingFiles, makers: int, console: Console
) -> None:
    """Simulated chips in their folders; those that are there already are kept."""
    from mapper.cli.training_files import require_same_chips
    from mapper.dynamicworld.learn import make_simulated_chips
    from mapper.dynamicworld.recipe import FIRST_HELD_OUT_CHIP
    from mapper.dynamicworld.simulated_chips import chip_name
    from mapper.production.progress import Counter
    from mapper.simulated.spectra import Places

    sets = [
        (
            files.training,
            range(recipe.first_chip, recipe.first_chip + recipe.simulated),
            Places.TRAINING,
        ),
        (
            files.held_out,
            range(FIRST_HELD_OUT_CHIP, FIRST_HELD_OUT_CHIP + recipe.held_out),
            Places.HELD_OUT,
        ),
    ]
    for folder, seeds, _ in sets:
        if seeds:
            names = [chip_name(seed) for seed in seeds]
            require_same_chips(folder, names, recipe.chip_px, begun=files.state.exists())
    for folder, seeds, places in sets:
        if not seeds:
            continue
        with Counter(console, f"making chips, {folder.name}") as count:
            make_simulated_chips(
                folder,
                seeds,
                places,
                chip_px=recipe.chip_px,
                processes=makers,
                on_event=partial(_count_chip, count),
            )


def _count_chip(count: Callable[[int, int], None], event: ChipMade) -> None:
    count(event.done, event.of)


def _trained(
    recipe: TrainingRecipe,
    lesson: Lesson,
    start: Checkpoint | None,
    device: str,
    files: TrainingFiles,
    console: Console,
    processes: Processes,
) -> Checkpoint:
    """The trained network; the first process writes it, its curves and its report."""
    from mapper.dynamicworld.learn import learn
    from mapper.dynamicworld.lesson import weights_of_classes
    from mapper.lulcformer import checkpoint
    from mapper.lulcformer.curves import curves_to
    from mapper.lulcformer.events import Learned, Stepped
    from mapper.production.progress import Counter
    from mapper.production.stopping import noting, stop_if_asked

    settings = recipe.settings(device, weights_of_classes(lesson, recipe.class_balance))
    listeners: Sequence[Callable[[Event], None]] = []
    if processes.is_first:
        listeners = [curves_to(files.curves, _title(lesson))]
    # A signal ends a training after the step it comes in. One process of several cannot wait for
    # that: the others would wait for it.
    alone = noting() if processes.count == 1 else nullcontext()
    with alone, Counter(console, "training") as count:

        def tell(event: Event) -> None:
            if isinstance(event, Stepped):
                count(event.step, event.of, f", loss {event.loss:.3f}")
            for listener in listeners:
                listener(event)
            if isinstance(event, Learned):
                stop_if_asked()

        trained = learn(lesson, settings, recipe.variant, tell, files.state, start, processes)
        if processes.is_first:
            checkpoint.save(trained, files.weights, half=True)
            trained = checkpoint.load(files.weights)  # what is reported on is what was written
        stop_if_asked()  # a signal that came while the confidence was calibrated
    if processes.is_first:
        _write_report(trained, lesson, settings, files)
    return trained


def _write_report(
    trained: Checkpoint, lesson: Lesson, settings: TrainingSettings, files: TrainingFiles
) -> None:
    """Scores and calibration of the trained network, and a picture of its training."""
    from mapper.dynamicworld.learn import report_on
    from mapper.lulcformer.curves import draw_course
    from mapper.lulcformer.report import write_report

    draw_course(files.curves, _title(lesson))
    write_report(report_on(trained, lesson, settings), files.report)


def _title(lesson: Lesson) -> str:
    """Of the picture of a training: it says so where the ground that it was tried on is painted."""
    return "Training (tried on simulated ground)" if lesson.tried_on_simulated else "Training"
