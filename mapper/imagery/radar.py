"""Radar looks to their mean power in decibel: each block unpacked once, and added where it lies.

A pixel's looks are added in their order, whatever is read when: the blocks of one scene may come in
any order, for they share no pixel, and the next scene waits for the last of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from mapper.imagery.bands import RADAR_NAMES
from mapper.imagery.blocks import Raw
from mapper.imagery.composite import Composite, Power, PowerSum, mean_of
from mapper.imagery.crew import Crew
from mapper.imagery.direct import Direct, block_of, fetched, opened
from mapper.imagery.fetch import Ahead
from mapper.imagery.pieces import pieces_of
from mapper.imagery.placement import frame_of
from mapper.imagery.resample import Mask
from mapper.imagery.scenes import Look, Scene
from mapper.imagery.stacks import read_power
from mapper.land.frame import Frame
from mapper.land.grid import Region

PIECE_PX = 1024
"""Side of the squares that scenes of the general path are read in."""
_ROWS_AT_ONCE = 32
"""Of the last step; its logarithms in float64 then stay in the core's cache."""


def read_radar(
    looks: Sequence[Look], region: Region, wanted: Sequence[Region], crew: Crew, out: Composite
) -> None:
    """Write the radar half of a composite.

    Args:
        looks: radar ones that may show the region.
        region: of the composite.
        wanted: parts of it; what lies outside them may be left unseen.
        crew: who reads.
        out: its radar is 0 everywhere, not NaN: power is added up in it.

    Raises:
        ReadError: an asset cannot be read.
    """
    pieces = pieces_of(wanted, (PIECE_PX, PIECE_PX), (0, 0))
    power = PowerSum(out.radar, np.zeros(region.shape, np.uint16))
    scenes = [scene for look in looks for scene in look.scenes] if pieces else []
    todo = [(scene, name) for scene in scenes for name in RADAR_NAMES]
    found = list(crew.fetchers.map(lambda t: opened(t[0], t[1], region.zone, crew), todo))
    pairs = [_pair(found[n : n + 2]) for n in range(0, len(found), 2)]
    reading = _Reading(pairs, pieces, crew)
    numbers = iter(range(len(scenes)))
    for look in looks if pieces else ():
        several = len(look.scenes) > 1
        seen = np.zeros(region.shape if several else (0, 0), np.bool_)
        for scene in look.scenes:
            reading.add(next(numbers), scene, _Sum(region, power, seen))
    _to_decibel(power, out)


@dataclass(frozen=True, slots=True, eq=False)
class _Sum:
    """Where a scene's power is added."""

    region: Region
    power: PowerSum
    seen: Mask
    """(y, x) True where an earlier scene of the look has data; (0, 0) where the look has one."""

    def add(
        self, bands: Sequence[Raw], linear: npt.NDArray[np.float32], frame: Frame, part: Frame
    ) -> None:
        """Add a part of raw numbers (y, x) of each band, which lie over a frame."""
        corner = (part.top - frame.top, part.left - frame.left)
        y, x = part.slices_in(frame_of(self.region, 1))
        place = (y.start, x.start, *corner, *part.shape)
        _add(bands[0], bands[1], linear, self.seen, self.power.total, self.power.count, place)


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """One block of one band, to be fetched."""

    raster: Direct
    block: int
    scene: int

    @property
    def size(self) -> int:
        start, stop = self.raster.bytes_of(self.block)
        return stop - start

    @property
    def is_waited_for(self) -> bool:
        return self.raster.is_waited_for and self.size > 0


class _Reading:
    """The scenes on their way: fetched ahead, unpacked, added one scene after the other."""

    def __init__(
        self, pairs: Sequence[tuple[Direct, ...] | None], pieces: Sequence[Region], crew: Crew
    ) -> None:
        self._pairs, self._pieces, self._crew = pairs, pieces, crew
        self._frames = [frame_of(piece, 1) for piece in pieces]
        self._blocks = [
            _Block(raster, block, scene)
            for scene, pair in enumerate(pairs)
            if pair is not None
            for block in self._shown(pair[0])
            for raster in pair
        ]
        self._ahead = Ahead(self._blocks, self._fetch, crew.fetchers)

    def add(self, number: int, scene: Scene, into: _Sum) -> None:
        """One scene's power, where no earlier scene of its look has data."""
        assets = [scene.assets[name] for name in RADAR_NAMES]
        linear = np.array([(a.scale, a.offset) for a in assets], np.float32)
        work: Callable[[int], None]
        if self._pairs[number] is None:
            work = lambda n: self._add_piece(scene, self._pieces[n], linear, into)  # noqa: E731
            todo: Sequence[int] = range(len(self._pieces))
        else:
            work = lambda n: self._add_blocks(n, linear, into)  # noqa: E731
            own = [n for n, block in enumerate(self._blocks) if block.scene == number]
            todo = own[::2]
        for _ in self._crew.decoders.map(work, todo):
            pass

    def _shown(self, raster: Direct) -> list[int]:
        found = {block for frame in self._frames for block in raster.blocks_over(frame)}
        return sorted(found)

    def _fetch(self, number: int) -> bytes | memoryview:
        block = self._blocks[number]
        return fetched(block.raster, *block.raster.bytes_of(block.block), self._crew)

    def _add_blocks(self, first: int, linear: npt.NDArray[np.float32], into: _Sum) -> None:
        """A block of both bands, which begin at `first` in the list."""
        pair = self._blocks[first : first + 2]
        if not all(block.size for block in pair):
            return  # a block that was never written has no data
        bands = [
            block_of(b.raster, b.block, self._ahead.take(first + n), self._crew, b.raster.name)
            for n, b in enumerate(pair)
        ]
        whole = pair[0].raster.block_frame(pair[0].block)
        for frame in self._frames:
            part = whole.intersection(frame)
            if part is not None:
                into.add(bands, linear, whole, part)

    def _add_piece(
        self, scene: Scene, piece: Region, linear: npt.NDArray[np.float32], into: _Sum
    ) -> None:
        bands = read_power(scene, piece, self._crew)
        if bands is not None:
            into.add(bands, linear, frame_of(piece, 1), frame_of(piece, 1))


def _pair(found: Sequence[Direct | None]) -> tuple[Direct, ...] | None:
    """Both bands, where the sum has an exact rule for them block by block."""
    bands = tuple(raster for raster in found if raster is not None and _is_plain(raster))
    whole = len(bands) == len(RADAR_NAMES) and len({raster.grid for raster in bands}) == 1
    return bands if whole else None


def _is_plain(raster: Direct) -> bool:
    # A nodata value that looks like power, or is made so, would have to be told from it.
    told = not raster.nodata > 0 and raster.scene.assets[raster.name].offset <= 0
    return raster.layout.dtype == np.float32 and raster.place.factor == 1 and told


def _to_decibel(power: PowerSum, out: Composite) -> None:
    """The mean of what was summed, in place."""
    for top in range(0, out.region.height, _ROWS_AT_ONCE):
        rows = slice(top, top + _ROWS_AT_ONCE)
        part = PowerSum(power.total[:, rows], power.count[rows])
        out.radar[:, rows], out.radar_looks[rows] = mean_of(part)


@numba.njit(cache=True, nogil=True)
def _add(
    vv: Power,
    vh: Power,
    linear: npt.NDArray[np.float32],
    seen: Mask,
    total: Power,
    count: npt.NDArray[np.uint16],
    place: tuple[int, int, int, int, int, int],
) -> None:
    """The rule of `digits.write_power`, added up at once: a pixel counts where both bands have
    power, which is positive and finite, and no earlier scene of the look was there.

    Args:
        vv: (y, x) raw numbers of a block.
        vh: likewise.
        linear: (band, 2) scale and offset.
        seen: (y, x) of the region, or (0, 0).
        total: (band, y, x) of the region.
        count: (y, x) of the region.
        place: first row and column in the region, in the block, rows and columns.
    """
    top, left, block_top, block_left, height, width = place
    plain = linear[0, 0] == 1 == linear[1, 0] and linear[0, 1] == 0 == linear[1, 1]
    infinite, none = np.float32(np.inf), np.float32(0)
    for y in range(height):
        one = vv[block_top + y, block_left : block_left + width]
        other = vh[block_top + y, block_left : block_left + width]
        sum_one = total[0, top + y, left : left + width]
        sum_other = total[1, top + y, left : left + width]
        looks = count[top + y, left : left + width]
        for x in range(width):
            a, b = one[x], other[x]
            if not plain:
                a = a * linear[0, 0] + linear[0, 1]
                b = b * linear[1, 0] + linear[1, 1]
            good = (a > 0) & (a < infinite) & (b > 0) & (b < infinite)
            if seen.size:
                good &= not seen[top + y, left + x]
                seen[top + y, left + x] |= good
            sum_one[x] += a if good else none
            sum_other[x] += b if good else none
            looks[x] += np.uint16(good)
