"""What a window costs besides the network: all CPU time over CPU time inside `forward`.

    PYTHONPATH=. python tests/bench/bench_predict.py --side 1024 --side 4096 [--json F]

The ratio is the price of cutting, normalising, softmax, weighting, blending, argmax and confidence;
1.00 would be free. The peak is resident memory above what the process held with its input and its
weights, result layers included (Linux only: it resets the process's high-water mark). Where monai
is installed (the extra `peers`), its sliding window makes the same map with the same network.

    PYTHONPATH=. python tests/bench/bench_predict.py --end-to-end --device cuda --side 4096

says instead how many windows a second a device turns into bytes, beside the network alone.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from end_to_end import Throughput, throughput
from resident import ResidentPeak
from torch import Tensor

from mapper.imagery.bands import OPTICAL_NAMES, RADAR_NAMES
from mapper.imagery.composite import Composite
from mapper.inference.predict import Predictor
from mapper.inference.windows import STRIDE_PX, needed_region
from mapper.land.grid import Region, Zone
from mapper.land.legend import CLASS_NAMES
from mapper.lulcformer.checkpoint import Checkpoint
from mapper.lulcformer.model import VARIANTS, LulcFormer

PEERS = ("monai",)


@dataclass(frozen=True, slots=True)
class Figures:
    """One measurement."""

    by: str
    """mapper, or the peer that made the same map."""
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


def measure(variant: str, precision: str, threads: int, side: int, peers: bool) -> list[Figures]:
    """Map one region, by ourselves and then by the peers, each after a warm-up."""
    given = checkpoint(variant)
    predictor = Predictor(given, "cpu", precision, threads)
    region = place(side)
    wanted = np.ones(region.shape, np.bool_)
    pixels = composite(needed_region(region, wanted))
    corner = Region(region.zone, region.left, region.top, 1, 1)
    inside = Stopwatch(predictor._engine.network)
    predictor._engine.network = inside
    facts = (variant, predictor.precision.value, threads, side)
    predictor.predict(pixels, wanted[:1, :1], corner)
    ours = timed(inside, lambda: predictor.predict(pixels, wanted, region).windows)
    predictor.close()
    found = [Figures("mapper", *facts, *ours)]
    if peers:
        from sliding_peer import slide

        slide(given, inside, cut(pixels, needed_region(corner, wanted[:1, :1])))
        theirs = timed(inside, lambda: slide(given, inside, pixels)[2])
        found.append(Figures("monai", *facts, *theirs))
    return found


def whole(variant: str, precision: str, device: str, side: int) -> Throughput:
    """Windows a second on a device."""
    region = place(side)
    pixels = composite(needed_region(region, np.ones(region.shape, np.bool_)))
    return throughput(checkpoint(variant), device, precision, region, pixels)


def place(side: int) -> Region:
    """A square whose corner is a window's: as many windows as its side says."""
    return Region(Zone(32, False), 100 * STRIDE_PX, 1300 * STRIDE_PX, side, side)


def cut(pixels: Composite, region: Region) -> Composite:
    here = region.slices_in(pixels.region)
    optical, radar = pixels.optical[:, *here], pixels.radar[:, *here]
    return Composite(region, optical, radar, pixels.optical_looks[here], pixels.radar_looks[here])


def timed(
    inside: Stopwatch, make: Callable[[], int]
) -> tuple[int, float, float, float, float, float]:
    """Windows, wall seconds, CPU ms per window in the network and in all, their ratio, peak MB."""
    inside.seconds = 0.0
    memory, started, cpu = ResidentPeak(), time.monotonic(), time.process_time()
    windows = make()
    cpu, wall = time.process_time() - cpu, time.monotonic() - started
    each = 1000 / windows
    return windows, wall, each * inside.seconds, each * cpu, cpu / inside.seconds, memory.above_mb()


class Stopwatch(torch.nn.Module):
    """A network whose CPU time is added up, thread by thread."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network
        self.seconds = 0.0
        self._adding = threading.Lock()

    def forward(self, *inputs: Tensor) -> Tensor:
        started = time.thread_time()
        answer: Tensor = self.network(*inputs)
        spent = time.thread_time() - started
        with self._adding:
            self.seconds += spent
        return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--variant", action="append", choices=sorted(VARIANTS), help="default base, then tiny"
    )
    parser.add_argument("--precision", action="append")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--side", type=int, action="append", help="pixels; default 2048")
    parser.add_argument("--device", default="cpu", help="of --end-to-end: cpu or cuda")
    parser.add_argument("--end-to-end", action="store_true", help="windows a second, on a device")
    parser.add_argument("--alone", action="store_true", help="leave the peers out")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    absent = [peer for peer in PEERS if importlib.util.find_spec(peer) is None]
    peers = not (absent or given.alone or given.end_to_end)
    if absent and not (given.alone or given.end_to_end):
        print("left out, for it is not installed (pip install mapper[peers]):", *absent)
    found: list[dict[str, Any]] = []
    for variant, precision, side in product(
        given.variant or ["base", "tiny"], given.precision or ["auto"], given.side or [2048]
    ):
        if given.end_to_end:
            found.append(asdict(whole(variant, precision, given.device, side)))
        else:
            found += map(asdict, measure(variant, precision, given.threads, side, peers))
    width = max(map(len, found[0])) + 1
    print(" ".join(name.rjust(width) for name in found[0]))
    for row in found:
        cells = (f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values())
        print(" ".join(cell.rjust(width) for cell in cells))
    if given.json:
        given.json.write_text(json.dumps({"python": sys.version, "rows": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
