"""Which blocks are unpacked when, and which pixels of them go where: each block once. Pure.

A region is composited piece by piece. A block that shows several pieces is unpacked with the first
of them; what the others need of it is kept for them, as long as what is kept stays within its
bound. Beyond it a block is unpacked again, so that a year of scenes needs no more memory than a
month.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mapper.imagery.bands import OPTICAL_NAMES
from mapper.imagery.direct import Direct
from mapper.imagery.layers import Layer
from mapper.imagery.placement import frame_of
from mapper.land.frame import Frame
from mapper.land.grid import Region

KEPT_BYTES = 128 * 2**20
"""Pixels of blocks kept for later pieces."""
GAP_BYTES = 16 * 2**10
"""Ranges of a file this close are one request; each request costs as much as so many bytes."""
REQUEST_BYTES = 4 * 2**20
"""No request is longer, so that several are under way."""
COARSE_MARGIN_PX = 1
"""20 m pixels that doubling needs around a piece."""

Slices = tuple[slice, slice]


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """Where some pixels of a block go."""

    piece: int
    """Number of the piece."""
    layer: int
    """Number of the scene among those of the piece that are read directly."""
    source: Slices
    """(y, x) in the block."""
    goal: Slices
    """(y, x) in the piece's array of the band."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One block to be unpacked."""

    raster: Direct
    band: int
    """Number among OPTICAL_BANDS."""
    block: int
    targets: tuple[Target, ...]
    """By piece."""


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Blocks that lie side by side in a file, fetched by one request."""

    jobs: tuple[Job, ...]
    start: int
    """First byte."""
    stop: int
    """Byte after the last."""

    @property
    def size(self) -> int:
        """Bytes."""
        return self.stop - self.start

    @property
    def is_waited_for(self) -> bool:
        """Whether the file is behind a network."""
        return self.jobs[0].raster.is_waited_for and self.size > 0


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A part of the region, its layers, and the blocks that are unpacked for it."""

    number: int
    region: Region
    """With even edges."""
    layers: tuple[Layer, ...]
    """Those with something to take here, in order of their looks."""
    groups: tuple[Group, ...]
    """What is read when it is this piece's turn."""

    @property
    def direct(self) -> tuple[Layer, ...]:
        """The layers that are read directly, as `Target.layer` counts them."""
        return tuple(layer for layer in self.layers if layer.bands is not None)


def window_of(region: Region, raster: Direct) -> Frame:
    """The pixels of a raster that a piece needs, in the raster's own size."""
    factor = raster.place.factor
    return frame_of(region, factor).widened(COARSE_MARGIN_PX if factor == 2 else 0)


def schedule(layers: Sequence[Layer], regions: Sequence[Region], kept_bytes: int) -> list[Piece]:
    """The work of a region's pieces, in their order.

    Args:
        layers: in order of their looks.
        regions: the pieces, with even edges, disjoint, inside what the layers' masks cover.
        kept_bytes: of blocks that later pieces need, too.
    """
    active = [tuple(la for la in layers if la.cut(region).any()) for region in regions]
    ranks = [
        {id(la): n for n, la in enumerate(la for la in some if la.bands is not None)}
        for some in active
    ]
    waiting: list[list[Job]] = [[] for _ in regions]
    for layer in layers:
        for job in _jobs(layer, regions, ranks):
            waiting[job.targets[0].piece].append(job)
    pieces = []
    kept, freed = 0, [0] * len(regions)
    for number, region in enumerate(regions):
        kept -= freed[number]
        jobs = []
        for job in waiting[number]:
            later = job.targets[1:]
            size = sum(target.size for target in later)
            if later and kept + size > kept_bytes:
                again = Job(job.raster, job.band, job.block, later)
                waiting[later[0].piece].append(again)
                jobs.append(Job(job.raster, job.band, job.block, job.targets[:1]))
                continue
            kept += size
            for target in later:
                freed[target.piece] += target.size
            jobs.append(job)
        pieces.append(Piece(number, region, active[number], tuple(_groups(jobs))))
    return pieces


def _jobs(
    layer: Layer, regions: Sequence[Region], ranks: Sequence[dict[int, int]]
) -> Iterator[Job]:
    """Every block of a layer with a pixel that is taken, and its targets."""
    if layer.bands is None:
        return
    numbers = [n for n, rank in enumerate(ranks) if id(layer) in rank]
    alike: dict[object, list[tuple[int, tuple[Target, ...]]]] = {}
    for band in range(len(OPTICAL_NAMES)):
        raster = layer.bands[band]
        if raster.grid not in alike:
            windows = [(n, ranks[n][id(layer)], window_of(regions[n], raster)) for n in numbers]
            alike[raster.grid] = list(_needed(layer, raster, windows))
        for block, targets in alike[raster.grid]:
            yield Job(raster, band, block, targets)


def _needed(
    layer: Layer, raster: Direct, windows: Sequence[tuple[int, int, Frame]]
) -> Iterator[tuple[int, tuple[Target, ...]]]:
    """The blocks of a raster that show a taken pixel or its neighbour, and where they go."""
    shown: dict[int, list[Target]] = {}
    for number, rank, window in windows:
        for block in raster.blocks_over(window):
            frame = raster.block_frame(block)
            part = frame.intersection(window)
            assert part is not None, "the blocks were asked for by this window"
            size = part.shape[0] * part.shape[1] * raster.layout.dtype.itemsize
            source, goal = part.slices_in(frame), part.slices_in(window)
            shown.setdefault(block, []).append(Target(number, rank, source, goal, size))
    for block in sorted(shown):
        if layer.takes(raster.block_frame(block), raster.place.factor):
            yield block, tuple(shown[block])


def _groups(jobs: Sequence[Job]) -> Iterator[Group]:
    """Jobs of one file whose bytes lie side by side, together."""
    group: list[Job] = []
    start = stop = 0
    for job in jobs:
        first, last = job.raster.bytes_of(job.block)
        joins = (
            bool(group)
            and job.raster is group[0].raster
            and stop <= first <= stop + GAP_BYTES
            and 0 < start < last <= start + REQUEST_BYTES
        )
        if group and not joins:
            yield Group(tuple(group), start, stop)
            group = []
        start = start if group else first
        stop = last
        group.append(job)
    if group:
        yield Group(tuple(group), start, stop)
