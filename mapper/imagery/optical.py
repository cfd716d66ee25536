"""Optical looks to the median of their clear digits: each block unpacked once, in bounded memory.

While one piece of a region is composited, the blocks of the next are unpacked and those after it
fetched. Scenes that cannot be read directly come through the general path and join the same median.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from math import isqrt

import numpy as np

from mapper.imagery.bands import OPTICAL_BANDS, OPTICAL_NAMES
from mapper.imagery.blocks import Part, Raw, unpack_into
from mapper.imagery.clouds import CloudMask
from mapper.imagery.composite import Composite
from mapper.imagery.crew import Crew
from mapper.imagery.direct import fetched, with_bytes
from mapper.imagery.fetch import Ahead
from mapper.imagery.fused import COARSE_BANDS, FINE_BANDS, Layers, median_of_layers
from mapper.imagery.judged import Judged
from mapper.imagery.layers import Layer, layers_of, unjudged
from mapper.imagery.pieces import cells_of, pieces_of
from mapper.imagery.placement import even, frame_of
from mapper.imagery.resample import Digits, Mask
from mapper.imagery.scenes import Look
from mapper.imagery.schedule import (
    COARSE_MARGIN_PX,
    KEPT_BYTES,
    Job,
    Piece,
    Target,
    schedule,
    window_of,
)
from mapper.imagery.stacks import Classify, read_scenes
from mapper.land.grid import Region

STACK_BYTES = 256 * 2**20
"""Digits of the pieces in hand stay below this, by the size of the pieces."""
MASK_BYTES = 96 * 2**20
"""Masks of all looks stay below this, by the size of the areas a region is cut into."""
DIRECT_BYTES_PER_PX = 11
"""Of a directly read scene: four bands at 10 m and six at 20 m, two bytes each."""
WIDE_BYTES_PER_PX = 20
"""Of a scene of the general path: ten bands at 10 m."""
PIECE_SIDES_PX = ((1024, 512), (512, 512), (256, 512), (256, 256), (128, 128))
"""(y, x). As high as a block of 512 pixels of 20 m, half as wide: its other half waits for the next
piece only, and two pieces in hand take half the memory."""
SMALLEST_AREA_PX = 1024


def read_optical(
    looks: Sequence[Look],
    region: Region,
    wanted: Sequence[Region],
    dilation_px: int,
    crew: Crew,
    out: Composite,
    mask: CloudMask | None = None,
) -> None:
    """Write the optical half of a composite.

    Args:
        looks: optical ones that may show the region.
        region: of the composite.
        wanted: parts of it; what lies outside them may be left as it is.
        dilation_px: how far cloud and shadow are spread, in pixels of 20 m.
        crew: who reads.
        out: blank.
        mask: judges clouds in place of the scenes' own classifications.

    Raises:
        ReadError: an asset cannot be read.
    """
    classify = None if mask is None else Judged(mask, crew.stop)
    for area in _areas(region, sum(len(look.scenes) for look in looks)):
        parts = [p for w in wanted if (p := w.intersection(area)) is not None]
        if not parts or not looks:
            continue
        ground = even(area)
        inside = _mask(parts, ground)
        if mask is None:
            layers = layers_of(looks, ground, inside, dilation_px, crew)
        else:
            layers = unjudged(looks, ground, inside)
        if layers:
            pieces = _pieces(parts, layers)
            _Reading(layers, pieces, area, dilation_px, crew, out, classify).run()


class _Reading:
    """One area's pieces on their way through: fetched, unpacked, composited."""

    def __init__(
        self,
        layers: Sequence[Layer],
        regions: Sequence[Region],
        area: Region,
        dilation_px: int,
        crew: Crew,
        out: Composite,
        classify: Classify | None,
    ) -> None:
        self._classify = classify
        self._area, self._crew, self._out = area, crew, out
        self._margin_px = 2 * dilation_px
        self._pieces = schedule(layers, regions, KEPT_BYTES)
        self._groups = [group for piece in self._pieces for group in piece.groups]
        self._kept: dict[int, list[tuple[Target, int, Raw]]] = defaultdict(list)
        bytes_of_one = max(_bytes_of(piece) for piece in self._pieces)
        self._rooms = [_Room() for _ in range(2 if 2 * bytes_of_one <= STACK_BYTES else 1)]
        self._ahead = Ahead(self._groups, self._fetch, crew.fetchers)

    def run(self) -> None:
        """Every piece, in order; the blocks of the next are unpacked while one is composited."""
        under_way: deque[tuple[Piece, Layers, list[Future[None]]]] = deque()
        numbers = iter(range(len(self._groups)))
        for piece in self._pieces:
            if len(under_way) == len(self._rooms):
                self._finish(*under_way.popleft())
            layers = self._rooms[piece.number % len(self._rooms)].for_piece(piece)
            jobs = [
                self._crew.decoders.submit(self._unpack, next(numbers), piece.number, layers)
                for _ in piece.groups
            ]
            under_way.append((piece, layers, jobs))
        while under_way:
            self._finish(*under_way.popleft())
        self._rooms.clear()  # not when Python gets round to it: radar needs memory now

    def _finish(self, piece: Piece, layers: Layers, jobs: list[Future[None]]) -> None:
        """Composite a piece whose blocks are unpacked, or about to be."""
        for job in jobs:
            job.result()
        if not piece.layers:
            return
        for target, band, pixels in self._kept.pop(piece.number, ()):
            _array(layers, target.layer, band)[target.goal] = pixels
        wide = iter(layers.wide)
        for layer in piece.layers:
            if layer.bands is None:
                free = layer.cut(piece.region).repeat(2, axis=0).repeat(2, axis=1)
                more = (self._crew, self._margin_px, free, next(wide), self._classify)
                read_scenes(layer.scenes, piece.region, *more)
        part = piece.region.intersection(self._area)
        assert part is not None, "pieces are cut from the area"
        corner = (part.top - piece.region.top, part.left - piece.region.left)
        at = part.slices_in(self._out.region)
        median_of_layers(layers, corner, self._out.optical, self._out.optical_looks, at)

    def _fetch(self, number: int) -> bytes | memoryview:
        group = self._groups[number]
        if not group.size:
            return b""
        raster = group.jobs[0].raster
        return fetched(raster, group.start, group.stop, self._crew)

    def _unpack(self, number: int, piece: int, layers: Layers) -> None:
        """The blocks of one request, to where they are needed now and later."""
        group = self._groups[number]
        packed = memoryview(self._ahead.take(number))
        for job in group.jobs:
            start, stop = job.raster.bytes_of(job.block)
            self._place(job, packed[start - group.start : stop - group.start], piece, layers)

    def _place(self, job: Job, packed: memoryview, piece: int, layers: Layers) -> None:
        first, raster = job.targets[0], job.raster
        assert first.piece == piece, "a block is unpacked with the first piece that needs it"
        parts = [self._part(target, job.band, piece, layers) for target in job.targets]
        if not len(packed):  # a block that was never written has no data
            for part in parts:
                part.out[part.goal] = 0
            return

        def unpack(own: memoryview | bytes) -> None:
            unpack_into(own, raster.layout, self._crew.scratch, parts)

        with_bytes(raster, job.block, packed, self._crew, unpack)

    def _part(self, target: Target, band: int, piece: int, layers: Layers) -> Part:
        """Where a target's pixels go: to the piece in hand, or aside for a later one."""
        if target.piece == piece:
            return Part(target.source, _array(layers, target.layer, band), target.goal)
        rows, columns = target.goal
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        aside = np.empty(shape, np.uint16)
        self._kept[target.piece].append((target, band, aside))
        return Part(target.source, aside, (slice(0, shape[0]), slice(0, shape[1])))


class _Room:
    """Memory for the digits of one piece after the other."""

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint16)

    def for_piece(self, piece: Piece) -> Layers:
        """Arrays for a piece's digits; 0 where a raster does not reach, else anything."""
        height, width = piece.region.shape
        margin = 2 * COARSE_MARGIN_PX
        direct, wide = len(piece.direct), len(piece.layers) - len(piece.direct)
        shapes = (
            (direct, len(FINE_BANDS), height, width),
            (direct, len(COARSE_BANDS), height // 2 + margin, width // 2 + margin),
            (wide, len(OPTICAL_NAMES), height, width),
        )
        fine, coarse, wides = self._arrays(shapes)
        wides[:] = 0
        layers = Layers(fine, coarse, wides, *_facts(piece))
        for number, layer in enumerate(piece.direct):
            for band, raster in enumerate(layer.bands or ()):
                if not raster.frame.holds(window_of(piece.region, raster)):
                    _array(layers, number, band)[:] = 0
        return layers

    def _arrays(self, shapes: Sequence[tuple[int, ...]]) -> Iterator[Digits]:
        sizes = [int(np.prod(shape)) for shape in shapes]
        if self._memory.size < sum(sizes):
            self._memory = np.empty(sum(sizes), np.uint16)
        start = 0
        for shape, size in zip(shapes, sizes, strict=True):
            yield self._memory[start : start + size].reshape(shape)
            start += size


def _facts(piece: Piece) -> tuple[Mask, Raw, Raw, Raw]:
    """`take`, `source`, `look` and `offset` of `Layers`."""
    take = np.array([layer.cut(piece.region) for layer in piece.layers], np.bool_)
    take = take.reshape(-1, *frame_of(piece.region, 2).shape)
    direct = [layer.bands is not None for layer in piece.layers]
    rank = np.cumsum(direct) - 1
    other = np.cumsum(np.logical_not(direct)) - 1
    source = np.where(direct, rank, -1 - other).astype(np.int64)
    look = np.array([layer.look for layer in piece.layers], np.int64)
    offset = [
        [int(layer.scenes[0].assets[name].offset) if layer.bands else 0 for name in OPTICAL_NAMES]
        for layer in piece.layers
    ]
    return take, source, look, np.array(offset, np.int64).reshape(-1, len(OPTICAL_NAMES))


def _array(layers: Layers, number: int, band: int) -> Digits:
    coarse = band in COARSE_BANDS
    same, of_all = (COARSE_BANDS, layers.coarse) if coarse else (FINE_BANDS, layers.fine)
    array: Digits = of_all[number, same.index(band)]
    return array


def _bytes_of(piece: Piece) -> int:
    height, width = piece.region.shape
    wide = len(piece.layers) - len(piece.direct)
    return height * width * (len(piece.direct) * DIRECT_BYTES_PER_PX + wide * WIDE_BYTES_PER_PX)


def _areas(region: Region, scenes: int) -> list[Region]:
    """A region in equal parts whose masks of all scenes stay within MASK_BYTES each."""
    longest = 2 * isqrt(MASK_BYTES // max(scenes, 1))  # a mask has a byte per 2 x 2 pixels
    height, width = (_even_share(size, max(longest, SMALLEST_AREA_PX)) for size in region.shape)
    return list(cells_of(region, (height, width), (region.left // 2 * 2, region.top // 2 * 2)))


def _even_share(size: int, longest: int) -> int:
    parts = -(-size // longest)
    return (-(-size // parts) // 2 + 1) * 2  # even, with room for an odd first pixel


def _pieces(parts: Sequence[Region], layers: Sequence[Layer]) -> list[Region]:
    """The area's pieces, with even edges: the bounds of what is wanted in each cell of a grid.

    Where every scene is read directly the grid is that of the blocks of most of them, so that few
    blocks show two pieces; else it is that of the lattice, whose blocks are warped one by one.
    """
    shape = _piece_shape([layer.bands is not None for layer in layers])
    return [even(piece) for piece in pieces_of(parts, shape, _origin(layers))]


def _piece_shape(direct: Sequence[bool]) -> tuple[int, int]:
    """(y, x) of the largest pieces of which the digits of all layers have room."""
    per_px = sum(DIRECT_BYTES_PER_PX if yes else WIDE_BYTES_PER_PX for yes in direct)
    for height, width in PIECE_SIDES_PX:
        if height * width * per_px <= STACK_BYTES // 2:
            return height, width
        if height * width * per_px <= STACK_BYTES and width <= 512:
            return height, width
    return PIECE_SIDES_PX[-1]


def _origin(layers: Sequence[Layer]) -> tuple[int, int]:
    """(column, row) of the lattice from which pieces are cut.

    They end a 20 m pixel before the blocks do: the row below, which doubling looks at, is then of
    the same block, and no row of blocks has to wait for the next row of pieces.
    """
    corners = [(la.bands[0].place.left, la.bands[0].place.top) for la in layers if la.bands]
    if len(corners) < len(layers) or not corners:
        return (0, 0)
    left, top = max(set(corners), key=lambda corner: (corners.count(corner), corner))
    return left, top - 2 * COARSE_MARGIN_PX


def _mask(parts: Sequence[Region], ground: Region) -> Mask:
    """(y, x) at 20 m: which pixels of a region of even edges some part touches."""
    frame = frame_of(ground, 2)
    mask = np.zeros(frame.shape, np.bool_)
    for part in parts:
        mask[frame_of(part, 2).slices_in(frame)] = True
    return mask


assert len(FINE_BANDS) + len(COARSE_BANDS) == len(OPTICAL_BANDS)
