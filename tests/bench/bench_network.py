"""What a 512 x 512 window costs in the network: every order, precision, engine and batch.

    PYTHONPATH=. python tests/bench/bench_network.py --variant base --device cpu --json out.json

With --threads 1 the clock is the thread's CPU time, which other processes disturb least.
Ratios are against the first row, the published order in fp32. The share is of the rate at which
this machine was measured, in the same minute, to multiply large matrices of the row's precision.
A row that fails is reported as failed and the rest go on; what the time limit left out is said.
Agreement is that of the classes with the first row's, on the weights of --checkpoint or else on
random ones whose classifier is scaled up until the classes differ: worse than trained weights.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import torch
from resident import COUNTED, ResidentPeak
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mapper.inference.precision import repeatable
from mapper.inference.staging import Recorded
from mapper.inference.windows import WINDOW_PX
from mapper.lulcformer.checkpoint import load, model_of
from mapper.lulcformer.decoder import Decoder, PublishedOrder
from mapper.lulcformer.folding import for_inference
from mapper.lulcformer.model import VARIANTS, LulcFormer
from mapper.lulcformer.settings import PRECISIONS

HALVES = ("bf16", "fp16")
MEASURE_S = 2.0
"""A row is repeated for at least this long."""


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to compute the same logits."""

    order: str
    """published, or folded: as `for_inference` arranges it."""
    precision: str
    """fp32; bf16 or fp16, by autocast in the published order, arranged at load in the folded."""
    engine: str
    """eager; apart: eager, a batch on each thread of a CPU, as production does there; ordinary: of
    torch's own layers, where a CPU has faster ones; recorded: eager, replayed as a CUDA graph, as
    production does on a GPU; compiled by torch.compile; graphs: compiled and replayed."""
    batch: int

    @property
    def at_once(self) -> int:
        """Windows answered by one call."""
        return self.batch * (torch.get_num_threads() if self.engine == "apart" else 1)


@dataclass(frozen=True, slots=True)
class Row:
    """What a mode was measured to cost."""

    mode: Mode
    best_s: float
    """Seconds per window in the fastest batch: what other processes disturb least."""
    median_s: float
    windows_per_s: float
    mpx_per_s: float
    speedup: float
    """Times as fast as the first row."""
    share: float
    """Of the machine's measured matrix-product rate."""
    peak_mb: float | None
    """Memory above weights and inputs, that of recordings included; None where it cannot be
    measured."""
    agreement: float
    """Share of pixels in the first row's class."""
    prepare_s: float
    """Folding, compiling and the first batch."""


def default_modes(device: str, batches: list[int]) -> list[Mode]:
    """The first row, then every mode, in the order of how much one wants to know them."""
    cuda = device == "cuda"
    halves = ["fp16", "bf16"] if cuda else ["bf16"]
    engines = ["recorded", "compiled", "graphs"] if cuda else ["compiled"]
    one, formats = batches[0], ["fp32", *halves]
    wanted = [("published", "fp32", "eager", one)]
    wanted += [("folded", precision, "eager", one) for precision in formats]
    if not cuda and torch.get_num_threads() > 1:
        wanted += [("published", "fp32", "apart", one)]
        wanted += [("folded", precision, "apart", one) for precision in formats]
    wanted += [("published", precision, "eager", one) for precision in halves]
    wanted += [("folded", precision, "ordinary", one) for precision in ([] if cuda else formats)]
    wanted += [("folded", precision, engine, one) for engine in engines for precision in halves]
    for batch in batches[1:]:
        wanted += [("folded", halves[0], engine, batch) for engine in ("eager", *engines)]
    wanted += product(("folded", "published"), formats, ("eager", "compiled"), batches)
    return [Mode(*mode) for mode in dict.fromkeys(wanted)]


def arranged(model: LulcFormer, mode: Mode) -> Callable[..., Tensor]:
    """The model in the order, number format and engine of a mode."""
    if mode.order == "published":
        # A copy of the plain model: folding would have changed its attention, too.
        out = LulcFormer(model.variant).to(next(model.parameters()).device).eval()
        out.load_state_dict(model.state_dict())
        assert isinstance(out.head, Decoder)
        out.head = PublishedOrder(out.head)
    else:
        own_layers = mode.engine in ("eager", "apart", "recorded")
        out = for_inference(model, half_of(mode), ordinary=not own_layers)
    if mode.engine == "compiled":
        return torch.compile(out, dynamic=False)
    if mode.engine == "graphs":
        return torch.compile(out, dynamic=False, mode="reduce-overhead")
    return out


def replayed(forward: Callable[..., Tensor], examples: list[Tensor]) -> Callable[..., Tensor]:
    """The same answers from a recording."""
    recording = Recorded(lambda *pixels: [forward(*pixels)], examples)
    return lambda *pixels: recording(*pixels)[0]


def apart(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The same answers on every thread at once, from one thread each; those of the first."""
    count = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))

    @torch.inference_mode()
    def one(*pixels: Tensor) -> Tensor:
        return forward(*pixels)

    def every(*pixels: Tensor) -> Tensor:
        tasks = [pool.submit(one, *pixels) for _ in range(count)]
        first, *_ = [task.result() for task in tasks]
        return first

    return every


def half_of(mode: Mode) -> torch.dtype:
    return PRECISIONS[mode.precision]


def cast_context(mode: Mode, device: str) -> AbstractContextManager[object]:
    """Autocast where the mode computes by it."""
    if mode.order == "published" and mode.precision in HALVES:
        return torch.autocast(device, PRECISIONS[mode.precision])
    return nullcontext()


def measure(
    model: LulcFormer, mode: Mode, pixels: tuple[Tensor, Tensor]
) -> tuple[list[float], float, float | None, Tensor]:
    """Seconds of each batch, seconds of preparation, peak MB, and the classes of window one."""
    device = pixels[0].device.type
    optical, radar = (x[: mode.batch] for x in pixels)
    start = time.perf_counter()
    forward = arranged(model, mode)
    with torch.inference_mode(), repeatable(), cast_context(mode, device):
        if mode.engine == "recorded":
            forward = replayed(forward, [optical, radar])
        elif mode.engine == "apart":
            forward = apart(forward)
        classes = forward(optical, radar)[0].argmax(0)
        for _ in range(2):  # CUDA graphs are recorded in the second run
            forward(optical, radar)
        finish(device)
        prepare_s = time.perf_counter() - start
        peak = Peak(device)
        seconds: list[float] = []
        clock = clock_of(device)
        while sum(seconds) < MEASURE_S or len(seconds) < 3:
            start = clock()
            forward(optical, radar)
            finish(device)
            seconds.append(clock() - start)
    return seconds, prepare_s, peak.above_mb(), classes


def clock_of(device: str) -> Callable[[], float]:
    """Seconds of wall time, or of CPU time where a single thread does everything."""
    alone = device == "cpu" and torch.get_num_threads() == 1
    return time.thread_time if alone else time.perf_counter


def finish(device: str) -> None:
    """Wait until the device has done what it was told."""
    if device == "cuda":
        torch.cuda.synchronize()


class Peak:
    """Most memory used since this was made, above what was used then."""

    def __init__(self, device: str) -> None:
        self.cuda = device == "cuda"
        if self.cuda:
            gc.collect()  # of recordings that are gone, the allocator still holds the memory
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            self.before = torch.cuda.memory_allocated() / 1e6
        self.resident = ResidentPeak() if COUNTED and not self.cuda else None

    def above_mb(self) -> float | None:
        if self.cuda:
            return torch.cuda.max_memory_allocated() / 1e6 - self.before + recorded_mb()
        return None if self.resident is None else self.resident.above_mb()


def recorded_mb() -> float:
    """What CUDA graphs keep for their replays: the allocator counts it as free, nobody else may
    use it."""
    segments = [x for x in torch.cuda.memory_snapshot() if tuple(x["segment_pool_id"]) != (0, 0)]
    return sum(x["total_size"] - x["allocated_size"] for x in segments) / 1e6


def matmul_rate(device: str, dtype: torch.dtype) -> float:
    """FLOP/s of large square matrix products, the best of several."""
    side = 8192 if device == "cuda" else 2048
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    clock = clock_of(device)
    for _ in range(12):
        start = clock()
        a @ b
        finish(device)
        best = min(best, clock() - start)
    return 2 * side**3 / best


def window_flop(model: LulcFormer, order: str) -> float:
    """Floating-point operations per window: matrix products, convolutions and attention."""
    meta = model_like(model, "meta")
    arranged_meta = arranged(meta, Mode(order, "fp32", "eager", 1))
    bands = model.variant.optical_bands, model.variant.radar_bands
    inputs = [torch.zeros(1, n, WINDOW_PX, WINDOW_PX, device="meta") for n in bands]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        arranged_meta(*inputs)
    return float(counter.get_total_flops())


def model_like(model: LulcFormer, device: str) -> LulcFormer:
    with torch.device(device):
        return LulcFormer(model.variant).eval()


def some_pixels(count: int, model: LulcFormer, device: str) -> tuple[Tensor, Tensor]:
    """Windows of smooth fields under noise, standardised."""
    generator = torch.Generator().manual_seed(0)

    def field(bands: int) -> Tensor:
        coarse = torch.randn(count, bands, 32, 32, generator=generator)
        fine = torch.randn(count, bands, WINDOW_PX, WINDOW_PX, generator=generator)
        smooth = nn.functional.interpolate(coarse, (WINDOW_PX, WINDOW_PX), mode="bicubic")
        return (smooth + 0.3 * fine).to(device)

    return field(model.variant.optical_bands), field(model.variant.radar_bands)


def subject(variant: str, checkpoint: Path | None, device: str) -> LulcFormer:
    """The network to measure, with the weights of a checkpoint or random ones that tell classes."""
    if checkpoint is not None:
        return model_of(load(checkpoint)).to(device)
    torch.manual_seed(0)
    model = LulcFormer(VARIANTS[variant]).eval().to(device)
    with torch.inference_mode():
        spread = model(*some_pixels(1, model, device)).std((0, 2, 3)).mean()
    with torch.no_grad():
        model.head.get_parameter("pred.weight").mul_(2 / spread)
    return model


def compare(model: LulcFormer, modes: list[Mode], limit_s: float, console: Console) -> list[Row]:
    """A row for each mode that worked and was begun within the limit."""
    device = next(model.parameters()).device.type
    pixels = some_pixels(max(mode.batch for mode in modes), model, device)
    flop = {order: window_flop(model, order) for order in ("published", "folded")}
    rates = {t: matmul_rate(device, t) for t in {half_of(mode) for mode in modes}}
    for dtype, rate in rates.items():
        console.print(f"matrix products in {dtype}: {rate / 1e12:.3f} TFLOP/s")
    for order, operations in flop.items():
        console.print(f"{order} order: {operations / 2e9:.2f} GMAC per window")
    rows: list[Row] = []
    first_classes: Tensor | None = None
    started = time.perf_counter()
    for number, mode in enumerate(modes):
        if rows and time.perf_counter() - started > limit_s:
            console.print(f"left out after {limit_s:.0f} s: {[asdict(m) for m in modes[number:]]}")
            break
        try:
            seconds, prepare_s, peak_mb, classes = measure(model, mode, pixels)
        except Exception as error:
            console.print(f"failed: {mode}: {type(error).__name__}: {str(error)[:300]}")
            continue
        finally:
            torch.compiler.reset()
        first_classes = classes if first_classes is None else first_classes
        best = min(seconds) / mode.at_once
        rows.append(
            Row(
                mode=mode,
                best_s=best,
                median_s=statistics.median(seconds) / mode.at_once,
                windows_per_s=1 / best,
                mpx_per_s=WINDOW_PX**2 / best / 1e6,
                speedup=rows[0].best_s / best if rows else 1.0,
                share=flop[mode.order] / best / rates[half_of(mode)],
                peak_mb=peak_mb,
                agreement=float((classes == first_classes).float().mean()),
                prepare_s=prepare_s,
            )
        )
        console.print(f"{mode}: {best:.4f} s per window")
    return rows


def table(rows: list[Row], title: str) -> Table:
    out = Table(title=title)
    for column in (
        *("order", "precision", "engine", "batch", "s/window", "median", "windows/s", "Mpx/s"),
        *("speed-up", "share", "peak MB", "agreement", "prepare s"),
    ):
        out.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        out.add_row(
            *map(str, asdict(row.mode).values()),
            *(f"{x:.4f}" for x in (row.best_s, row.median_s)),
            *(f"{x:.2f}" for x in (row.windows_per_s, row.mpx_per_s, row.speedup)),
            f"{row.share:.1%}",
            "-" if row.peak_mb is None else f"{row.peak_mb:.0f}",
            f"{row.agreement:.3%}",
            f"{row.prepare_s:.1f}",
        )
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variant", choices=list(VARIANTS), default="base")
    parser.add_argument("--checkpoint", type=Path, help="trained weights; decides the variant")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, help="of the CPU; default all")
    parser.add_argument("--batches", type=int, nargs="+", help="default 1 2 (cpu), 16 64 (cuda)")
    parser.add_argument("--precisions", nargs="+", help="only these, besides the first row")
    parser.add_argument(
        "--engines",
        nargs="+",
        help="default eager, apart, ordinary (cpu: compiling takes minutes); all (cuda)",
    )
    parser.add_argument("--limit-s", type=float, help="begin no row after; 90 (cpu), 400 (cuda)")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    cuda = given.device == "cuda"
    modes = default_modes(given.device, given.batches or ([16, 64] if cuda else [1, 2]))
    on_gpu = ["eager", "recorded", "compiled", "graphs"]
    engines = given.engines or (on_gpu if cuda else ["eager", "apart", "ordinary"])
    modes = [modes[0]] + [
        mode
        for mode in modes[1:]
        if mode.precision in (given.precisions or [mode.precision]) and mode.engine in engines
    ]
    console = Console(width=160)
    model = subject(given.variant, given.checkpoint, given.device)
    rows = compare(model, modes, given.limit_s or (400 if cuda else 90), console)
    machine = torch.cuda.get_device_name() if cuda else f"{torch.get_num_threads()} CPU threads"
    name = given.checkpoint or f"{given.variant}, random weights"
    console.print(table(rows, f"{name} on {machine}, torch {torch.__version__}"))
    if given.json:
        facts = {"network": str(name), "machine": machine, "torch": torch.__version__}
        measured = [asdict(row) for row in rows]
        given.json.write_text(json.dumps({**facts, "rows": measured}, indent=1))


if __name__ == "__main__":
    main()
