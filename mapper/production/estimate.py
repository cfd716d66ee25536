"""What a run will cost: bytes, memory and seconds from constants that were measured. Pure.

An estimate can be wrong but never vague: each constant says what it was measured on, and the
journal records what a run really took.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from mapper.imagery.bands import Sensor

BYTES_PER_PX = {Sensor.OPTICAL: 11.25, Sensor.RADAR: 8.0}
"""Decoded bytes of one look per 10 m pixel: four bands at 10 m and six at 20 m of two bytes each,
and SCL at 20 m of one byte; two float32 bands of radar."""
WRITTEN_BYTES_PER_PX = 1.5
"""Compressed bytes of the tiles' and the national rasters per pixel of the area, with overviews;
generous, because a full disk costs more than a warning too early."""
INTERPRETER_BYTES = 600e6
"""Python with torch, GDAL and numba, and a tiny network."""
COMPOSITE_BYTES_PER_PX = 30
"""A composite: ten uint16, two float32, two counts."""
PRODUCT_BYTES_PER_PX = 8
"""Classes, confidence, counts, and their copies while they are written."""
READING_BYTES = 400e6
"""What reading holds beside the composite it fills."""
BYTES_PER_THREAD = 150e6
"""What one thread holds while it runs a window through the network."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a network costs on a machine, for the estimates."""

    seconds_per_window: float
    """One window of 512 x 512, on one thread of a CPU or on a whole GPU."""
    on_gpu: bool
    """Whether all threads of a worker share one device to answer windows."""
    decoded_bytes_per_s: float
    """One thread, reading and compositing."""
    start_s: float
    """Starting the workers and finishing the products."""


@dataclass(frozen=True, slots=True)
class Team:
    """Who does the work."""

    workers: int
    """Processes."""
    tiles_per_worker: int
    """Tiles each has in hand at once."""
    threads: int
    """Threads of one tile."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one tile takes."""

    read_bytes: int
    """Decoded bytes to read."""
    read_px: int
    """Pixels of the composite, the halo included."""
    tile_px: int
    """Pixels of the tile."""
    windows: int
    """Windows the network answers."""


SECONDS_PER_WINDOW = {"fp32": (0.13, 0.022), "bf16": (0.16, 0.009)}
"""One window on one core: seconds whatever the network, and seconds per million parameters. From
the tiny and the base network on a server of 2023 (tests/bench/bench_network.py)."""
SECONDS_PER_WINDOW_ON_GPU = {
    "fp32": (0.0016, 0.00015),
    "bf16": (0.0008, 0.00005),
    "fp16": (0.0008, 0.00005),
}
"""The same on one H100, from the bytes that its passes over memory move, twice as many in fp32, and
its rate of matrix products. Not measured."""
DECODED_BYTES_PER_S = 200e6
"""One core, local files, deflate with predictor: decoding and compositing together
(tests/bench/bench_read.py)."""
DECODED_BYTES_PER_S_REMOTE = 40e6
"""One core, over HTTP from the same continent with a dozen requests in flight."""
START_S = 8.0
"""Starting workers with torch and, at the end, the national products of a small country."""


def cost_of(parameters: int, precision: str, device: str, is_local: bool) -> Cost:
    """What a network of so many parameters costs, from the constants above."""
    on_gpu = device.startswith("cuda")
    rates = SECONDS_PER_WINDOW_ON_GPU if on_gpu else SECONDS_PER_WINDOW
    always, per_million = rates[precision]
    return Cost(
        seconds_per_window=always + per_million * parameters / 1e6,
        on_gpu=on_gpu,
        decoded_bytes_per_s=DECODED_BYTES_PER_S if is_local else DECODED_BYTES_PER_S_REMOTE,
        start_s=START_S,
    )


def written_bytes(area_px: float) -> int:
    """On the disk of --out when a run over so many pixels is done."""
    return ceil(area_px * WRITTEN_BYTES_PER_PX)


def memory_bytes(loads: Sequence[Load], team: Team) -> int:
    """Largest resident size of a worker: of the largest tile, times the tiles it has in hand."""
    largest = max(
        COMPOSITE_BYTES_PER_PX * load.read_px + PRODUCT_BYTES_PER_PX * load.tile_px
        for load in loads
    )
    per_tile = largest + max(READING_BYTES, BYTES_PER_THREAD * team.threads)
    return round(INTERPRETER_BYTES + team.tiles_per_worker * per_tile)


def seconds(loads: Sequence[Load], team: Team, cost: Cost) -> float:
    """From start to finished map: all tiles over all threads, or the slowest one if longer."""
    tiles = min(team.workers * team.tiles_per_worker, len(loads))
    answered_at_once = min(team.workers, len(loads)) if cost.on_gpu else tiles
    threads = 1 if cost.on_gpu else team.threads
    reading = [load.read_bytes / cost.decoded_bytes_per_s / team.threads for load in loads]
    answering = [load.windows * cost.seconds_per_window / threads for load in loads]
    together = sum(reading) / tiles + sum(answering) / answered_at_once
    slowest = max(map(sum, zip(reading, answering, strict=True)))
    return cost.start_s + max(together, slowest)
