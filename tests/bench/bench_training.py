"""What a step of training costs on a CPU, with freed memory kept or given back to the system.

    PYTHONPATH=. python tests/bench/bench_training.py --variant tiny --batch 4 --json training.json

`mapper train` keeps it (mapper/lulcformer/memory.py). Every row has a process of its own, for what
the C library was told cannot be taken back; rows take turns, and the fastest step of all turns
counts. The chips are noise: the cost of a step does not depend on what is learned.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path

import torch

from mapper.lulcformer.chips import TensorChips
from mapper.lulcformer.memory import keep_freed_memory
from mapper.lulcformer.model import VARIANTS
from mapper.lulcformer.settings import PRECISIONS, TrainingSettings
from mapper.lulcformer.trainer import Trainer
from mapper.pool import pool

TURNS = 2
STEPS = 4
"""Of each turn; one more before them makes the memory that is kept."""
CHIPS = 8


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to take a step."""

    variant: str
    precision: str
    keeps_memory: bool
    side_px: int
    batch: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What steps of a mode took."""

    wall_s: float
    """Of the fastest step, per chip."""
    cpu_s: float
    """Of all threads in that step, per chip; the kernel's part is in it."""
    kernel_s: float
    """Of that, what the kernel spent, mostly on fresh pages."""
    peak_mb: float
    """Of the process, torch included."""


def noise(side: int) -> TensorChips:
    """Chips that are seen and labelled everywhere."""
    torch.manual_seed(0)
    seen = torch.ones(CHIPS, 1, side, side, dtype=torch.bool)
    label = torch.randint(9, (CHIPS, side, side), dtype=torch.uint8)
    optical, radar = (torch.randn(CHIPS, bands, side, side) for bands in (10, 2))
    return TensorChips(optical, radar, seen, seen, label)


def measure(mode: Mode) -> Measured:
    """A few steps; to be called in a fresh process."""
    if mode.keeps_memory and not keep_freed_memory():
        raise RuntimeError("the C library here keeps no memory on request; glibc's does")
    chips = noise(mode.side_px)
    variant = replace(VARIANTS[mode.variant], missing_token=True)
    trainer = Trainer(TrainingSettings(variant, STEPS + 1, mode.batch, precision=mode.precision))
    trainer.learn(chips)
    found = []
    for _ in range(STEPS):
        before, started = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
        trainer.learn(chips)
        wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_SELF)
        kernel = after.ru_stime - before.ru_stime
        cpu = after.ru_utime - before.ru_utime + kernel
        each = (wall / mode.batch, cpu / mode.batch, kernel / mode.batch)
        found.append(Measured(*each, after.ru_maxrss * 1024 / 1e6))
    return min(found, key=lambda steps: steps.wall_s)


def alone(mode: Mode) -> Measured:
    """What `measure` finds in a process of its own."""
    with pool(1) as process:
        return process.submit(measure, mode).result()


def main() -> None:
    """Print a table; ratios are to the first row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variant", default="tiny", choices=sorted(VARIANTS))
    parser.add_argument("--precision", action="append", choices=sorted(PRECISIONS))
    parser.add_argument("--side", type=int, default=512, help="of a chip, pixels")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    given = parser.parse_args()
    modes = [
        Mode(given.variant, precision, keeps, given.side, given.batch)
        for precision, keeps in product(given.precision or ["fp32", "bf16"], (False, True))
    ]
    turns = [[alone(mode) for mode in modes] for _ in range(TURNS)]
    best = [min(of_mode, key=lambda one: one.wall_s) for of_mode in zip(*turns, strict=True)]
    print("| precision | freed memory | s per chip | times as fast | CPU s | kernel s | peak MB |")
    print("| --- |" + " --- |" * 6)
    for mode, one in zip(modes, best, strict=True):
        kept = "kept" if mode.keeps_memory else "given back"
        figures = f"{one.wall_s:.3f} | {best[0].wall_s / one.wall_s:.2f} | {one.cpu_s:.3f}"
        print(f"| {mode.precision} | {kept} | {figures} | {one.kernel_s:.3f} | {one.peak_mb:.0f} |")
    if given.json:
        rows = [asdict(mode) | asdict(one) for mode, one in zip(modes, best, strict=True)]
        given.json.write_text(json.dumps({"python": sys.version, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
