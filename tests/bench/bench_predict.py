"""What a window costs besides the network: all CPU time over CPU time inside `forward`.

    python tests/bench/bench_predict.py --variant tiny --side 2048 --threads 1 [--json out.json]

The ratio is the price of cutting, normalising, softmax, weighting, blending, argmax and confidence;
1.00 would be free. The peak is resident memory above what the process held with its input and its
weights (Linux only: it resets the process's high-water mark).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mapper.imagery.bands import OPTICAL_NAMES, RADAR_NAMES
from mapper.imagery.composite import Composite
from mapper.inference.predict import Predictor
from mapper.inference.windows import STRIDE_PX, needed_region
from mapper.land.grid import Region, Zone
from mapper.land.legend import CLASS_NAMES
from mapper.lulcformer.checkpoint import Checkpoint
from mapper.lulcformer.model import VARIANTS, LulcFormer


@dataclass(frozen=True, slots=True)
class Figures:
    """One measurement."""

    variant: str
    precision: str
    threads: int
    side_px: int
    windows: int
    wall_s: float
    forward_ms: float
    """CPU milliseconds per window inside the network."""
    total_ms: float
    """CPU milliseconds per window, everything."""
    ratio: float
    peak_mb: float
    """Above input and weights, result layers included."""


def checkpoint(variant: str) -> Checkpoint:
    """Fresh weights: the cost does not depend on what was learnt."""
    torch.manual_seed(0)
    sizes = replace(VARIANTS[variant], missing_token=True)
    weights = LulcFormer(sizes).state_dict()
    normalisation = dict.fromkeys(OPTICAL_NAMES, (0.0, 0.6, 0.2, 0.15))
    normalisation |= dict.fromkeys(RADAR_NAMES, (-30.0, 5.0, -12.0, 4.0))
    return Checkpoint(
        variant, sizes, weights, OPTICAL_NAMES, RADAR_NAMES, CLASS_NAMES, normalisation, 512, {}
    )


def composite(region: Region) -> Composite:
    """Noise that is valid everywhere."""
    rng = np.random.default_rng(0)
    return Composite(
        region,
        rng.integers(1, 5000, (10, *region.shape), np.uint16),
        rng.standard_normal((2, *region.shape), np.float32) * 3 - 12,
        np.full(region.shape, 3, np.uint8),
        np.full(region.shape, 4, np.uint8),
    )


def measure(variant: str, precision: str, threads: int, side: int) -> Figures:
    """Map one region after a warm-up of one window."""
    predictor = Predictor(checkpoint(variant), "cpu", precision, threads)
    region = Region(Zone(32, False), 100 * STRIDE_PX, 1300 * STRIDE_PX, side, side)
    wanted = np.ones(region.shape, np.bool_)
    pixels = composite(needed_region(region, wanted))
    corner = Region(region.zone, region.left, region.top, 1, 1)
    predictor.predict(pixels, wanted[:1, :1], corner)
    inside = Stopwatch(predictor._engine.network)
    predictor._engine.network = inside
    _reset_peak()
    before, started, cpu = _memory_mb("VmRSS"), time.monotonic(), time.process_time()
    result = predictor.predict(pixels, wanted, region)
    cpu, wall = time.process_time() - cpu, time.monotonic() - started
    return Figures(
        variant,
        predictor.precision.value,
        threads,
        side,
        result.windows,
        wall,
        1000 * inside.seconds / result.windows,
        1000 * cpu / result.windows,
        cpu / inside.seconds,
        _memory_mb("VmHWM") - before,
    )


class Stopwatch(torch.nn.Module):
    """A network whose CPU time is added up, thread by thread."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network
        self.seconds = 0.0

    def forward(self, *inputs: Tensor) -> Tensor:
        started = time.thread_time()
        answer: Tensor = self.network(*inputs)
        self.seconds += time.thread_time() - started
        return answer


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _memory_mb(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field + ":"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", action="append", choices=sorted(VARIANTS))
    parser.add_argument("--precision", action="append")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--side", type=int, default=2048, help="pixels")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found: list[dict[str, Any]] = []
    for variant in given.variant or ["tiny"]:
        for precision in given.precision or ["auto"]:
            found.append(asdict(measure(variant, precision, given.threads, given.side)))
    width = max(map(len, found[0])) + 1
    print(" ".join(name.rjust(width) for name in found[0]))
    for row in found:
        cells = (f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values())
        print(" ".join(cell.rjust(width) for cell in cells))
    if given.json:
        given.json.write_text(json.dumps({"python": sys.version, "rows": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
