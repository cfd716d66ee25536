"""Rasters whose blocks are fetched and unpacked here, without GDAL.

They are cloud-optimised GeoTIFFs in the zone's own projection whose pixels are lattice pixels, or
2 x 2 of them, packed in a way that is known here. For every other raster `opened` answers None, and
raster.py reads it with the same answer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import obstore.exceptions

from mapper.imagery.blocks import Raw, unpacked
from mapper.imagery.crew import Crew
from mapper.imagery.digits import nodata_in
from mapper.imagery.faults import BadBytesError, Fault
from mapper.imagery.fetch import Bytes, is_fetchable, is_waited_for, read_range
from mapper.imagery.patience import Attempt, patiently
from mapper.imagery.placement import Placement, placement
from mapper.imagery.scenes import Scene
from mapper.imagery.tiff import Layout, OtherLayoutError, layout_of
from mapper.land.frame import Frame
from mapper.land.grid import Zone

T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Direct:
    """One raster of a scene, its layout known."""

    scene: Scene
    name: str
    """Of the asset: a band, or SCL."""
    layout: Layout
    place: Placement

    @property
    def frame(self) -> Frame:
        """Its pixels, of the raster's own size, counted from the lattice's origin."""
        left, top = self.place.left // self.place.factor, self.place.top // self.place.factor
        return Frame(left, top, left + self.layout.width, top + self.layout.height)

    @property
    def nodata(self) -> float:
        """The raw value without data, as the item states it, else the file; else 0."""
        stated = self.scene.assets[self.name].nodata
        return nodata_in(self.layout.dtype, stated, self.layout.nodata)

    @property
    def is_waited_for(self) -> bool:
        """Whether it lies behind a network."""
        return is_waited_for(self.scene.assets[self.name].href)

    @property
    def grid(self) -> tuple[Placement, int, int, int, int]:
        """Equal for rasters that are cut into the same blocks of the same ground."""
        layout = self.layout
        return (
            self.place,
            layout.width,
            layout.height,
            layout.block_width,
            layout.block_height,
        )

    def block_frame(self, block: int) -> Frame:
        """The pixels of a block that lie in the raster; blocks are numbered row by row."""
        row, column = divmod(block, self.layout.across)
        whole, layout = self.frame, self.layout
        left, top = (
            whole.left + column * layout.block_width,
            whole.top + row * layout.block_height,
        )
        return Frame(
            left,
            top,
            min(left + layout.block_width, whole.right),
            min(top + layout.block_height, whole.bottom),
        )

    def blocks_over(self, wanted: Frame) -> Iterator[int]:
        """The blocks that show some pixel of a frame, row by row."""
        part = self.frame.intersection(wanted)
        if part is None:
            return
        whole, layout = self.frame, self.layout
        first, last = part.left - whole.left, part.right - whole.left - 1
        columns = range(first // layout.block_width, last // layout.block_width + 1)
        first, last = part.top - whole.top, part.bottom - whole.top - 1
        for row in range(first // layout.block_height, last // layout.block_height + 1):
            for column in columns:
                yield row * layout.across + column

    def bytes_of(self, block: int) -> tuple[int, int]:
        """First byte of a block and the one after its last; equal where it was never written."""
        start, size = int(self.layout.offsets[block]), int(self.layout.sizes[block])
        return (start, start + size) if start else (0, 0)


def opened(scene: Scene, name: str, zone: Zone, crew: Crew) -> Direct | None:
    """A raster of a scene, ready to be read block by block; None where that is left to GDAL.

    Raises:
        ReadError: it cannot be read at all.
    """
    if not is_fetchable(scene.assets[name].href):
        return None

    def read(attempt: Attempt) -> Layout:
        def asked(start: int, end: int) -> bytes:
            return bytes(_asked(scene, name, start, end, attempt, crew))

        try:
            return layout_of(asked)
        except obstore.exceptions.NotSupportedError:  # here: it would pass for a failed read
            raise OtherLayoutError(Fault.WHOLE.value) from None

    try:
        layout = patiently(read, scene, name, stop=crew.stop)
    except OtherLayoutError as reason:
        _log.debug("%s of %s is read by GDAL: %s", name, scene.id, reason)
        return None
    place = placement(layout.transform) if layout.epsg == zone.epsg else None
    return None if place is None else Direct(scene, name, layout, place)


def fetched(raster: Direct, start: int, end: int, crew: Crew) -> Bytes:
    """Bytes of a raster's file, all of them; of a local one, until the thread asks again.

    Raises:
        ReadError: they cannot be had.
    """
    return patiently(
        lambda attempt: _whole(raster, start, end, attempt, crew),
        raster.scene,
        raster.name,
        stop=crew.stop,
    )


def block_of(raster: Direct, block: int, packed: Bytes, crew: Crew, use: str = "pixels") -> Raw:
    """(y, x) pixels of a block, valid until the thread unpacks another for the same use.

    Args:
        packed: the block's bytes as they were fetched ahead.

    Raises:
        ReadError: they make no pixels.
    """
    return with_bytes(
        raster, block, packed, crew, lambda own: unpacked(own, raster.layout, crew.scratch, use)
    )


def with_bytes(
    raster: Direct, block: int, packed: Bytes, crew: Crew, unpack: Callable[[Bytes], T]
) -> T:
    """What `unpack` makes of a block's bytes.

    Bytes that make no pixels are fetched once more: they may have been spoilt on the way.

    Raises:
        ReadError: they make no pixels, whence ever they come.
    """

    def read(attempt: Attempt) -> T:
        again = attempt.number > 1
        return unpack(_whole(raster, *raster.bytes_of(block), attempt, crew) if again else packed)

    return patiently(read, raster.scene, raster.name, stop=crew.stop)


def _whole(raster: Direct, start: int, end: int, attempt: Attempt, crew: Crew) -> Bytes:
    found = _asked(raster.scene, raster.name, start, end, attempt, crew)
    if len(found) != end - start:
        raise BadBytesError(f"{len(found)} bytes came instead of {end - start}", cut_short=True)
    return found


def _asked(scene: Scene, name: str, start: int, end: int, attempt: Attempt, crew: Crew) -> Bytes:
    href = scene.assets[name].href
    return read_range(href, scene.signing, start, end, attempt, crew.scratch)
