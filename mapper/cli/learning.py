"""The command that trains a network."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from mapper.cli.options import PATH, debug_option
from mapper.errors import RequestError

if TYPE_CHECKING:
    from mapper.dynamicworld.learn import ChipMade

CHIP_BYTES = 6_000_000
"""What one chip of 512 px takes on the disk."""


@click.command()
@click.option("--simulated", "chips", type=int, default=400, show_default=True, help="Chips.")
@click.option("--held-out", type=int, default=40, show_default=True, help="Chips to be tried on.")
@click.option("--chip-size", "chip_px", type=int, default=512, show_default=True, help="Pixels.")
@click.option("--variant", default="tiny", show_default=True, help="base, small, tiny or micro.")
@click.option("--steps", type=int, default=2000, show_default=True)
@click.option("--batch", type=int, default=8, show_default=True, help="Chips per step.")
@click.option("--learning-rate", type=float, default=1e-3, show_default=True, help="At its peak.")
@click.option(
    "--class-balance",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    help="0: every pixel counts alike; 1: every class.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--start", type=PATH, help="Weights to train further.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda or auto.")
@click.option("--precision", default="fp32", show_default=True, help="fp32, bf16 or fp16.")
@click.option("--workers", type=int, help="Processes that make chips. [the cores]")
@click.option("--out", type=PATH, required=True, help="The .safetensors file to make.")
@debug_option
def train(
    chips: int,
    held_out: int,
    chip_px: int,
    variant: str,
    steps: int,
    batch: int,
    learning_rate: float,
    class_balance: float,
    seed: int,
    start: Path | None,
    device: str,
    precision: str,
    workers: int | None,
    out: Path,
    debug: bool,
) -> None:
    """Train a network on simulated ground; chips and state are kept beside --out.

    \b
    Example:
      mapper train --simulated 400 --steps 2000 --out tiny.safetensors
    """
    from mapper.dynamicworld.learn import learn, lesson_of, normalisation_in, weights_of_classes
    from mapper.inference.precision import resolve_device
    from mapper.lulcformer import checkpoint
    from mapper.lulcformer.model import VARIANTS
    from mapper.lulcformer.training import Event, Stepped, TrainingSettings
    from mapper.production.progress import Counter
    from mapper.production.room import require_writable

    if variant not in VARIANTS:
        raise RequestError(f'variant "{variant}" is unknown; give one of {", ".join(VARIANTS)}')
    settings = TrainingSettings(
        variant=replace(VARIANTS[variant], missing_token=True),
        steps=steps,
        batch=batch,
        learning_rate=learning_rate,
        warmup_steps=max(1, min(100, steps // 10)),
        # An average over a tenth of a short training would lag behind it.
        average_decay=min(0.999, 1 - 12 / max(steps, 24)),
        validate_every=max(1, steps // 5),
        seed=seed,
        device=str(resolve_device(device)),
        precision=precision,
    )
    require_writable(out, (chips + held_out) * CHIP_BYTES)
    console, before = Console(stderr=True), None if start is None else checkpoint.load(start)
    folders = _chips(out.with_suffix(".chips"), chips, held_out, chip_px, workers, console)
    lesson = lesson_of(*folders, None if before is None else normalisation_in(before))
    chosen = replace(settings, class_weights=weights_of_classes(lesson, class_balance))
    with Counter(console, "training") as count:

        def tell(event: Event) -> None:
            if isinstance(event, Stepped):
                count(event.step, event.of, f", loss {event.loss:.3f}")

        trained = learn(
            lesson,
            chosen,
            variant,
            tell,
            out.with_suffix(".state"),
            before,
        )
    checkpoint.save(trained, out, half=True)
    click.echo("\n".join(f"{name}: {value}" for name, value in trained.facts.items()))


def _chips(
    folder: Path, chips: int, held_out: int, chip_px: int, workers: int | None, console: Console
) -> tuple[Path, Path]:
    """Folders of training chips and of held-out ones; those that are there already are kept."""
    from mapper.dynamicworld.learn import VALIDATION_SEED, make_simulated_chips
    from mapper.production.progress import Counter
    from mapper.simulated.spectra import Places

    training, validation = folder / "training", folder / "held out"
    for part, first, number, places in (
        (training, 0, chips, Places.TRAINING),
        (validation, VALIDATION_SEED, held_out, Places.HELD_OUT),
    ):
        with Counter(console, f"making chips, {part.name}") as count:
            make_simulated_chips(
                part,
                range(first, first + number),
                places,
                chip_px=chip_px,
                processes=workers or os.cpu_count() or 1,
                on_event=partial(_count_chip, count),
            )
    return training, validation


def _count_chip(count: Callable[[int, int], None], event: ChipMade) -> None:
    count(event.done, event.of)
