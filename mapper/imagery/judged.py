"""Classes of a scene by another judge than its own classification, on fixed blocks."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from mapper.imagery.clouds import CloudMask
from mapper.imagery.digits import write_dn
from mapper.imagery.pieces import cells_of
from mapper.imagery.raster import read_raster
from mapper.imagery.scenes import Scene
from mapper.land.grid import Region

Classes = npt.NDArray[np.uint8]
BLOCK_PX = 1024
"""Side of the lattice blocks that are judged one by one, a byte per pixel."""
REMEMBERED = 64
"""Blocks whose classes are kept, since pieces and their margins ask for them again."""


class Judged:
    """The classes of scenes, each block judged once while it is remembered.

    Args:
        mask: the judge.
        stop: when set, no failed read is tried again.
    """

    def __init__(self, mask: CloudMask, stop: threading.Event) -> None:
        self._mask, self._stop = mask, stop
        self._known: OrderedDict[tuple[str, Region], Classes] = OrderedDict()

    def __call__(self, scene: Scene, region: Region) -> Classes:
        """(y, x) classes of a scene; 0 where it has no data.

        Raises:
            ReadError: a band cannot be read.
        """
        out = np.zeros(region.shape, np.uint8)
        for block in _blocks(region):
            part = block.intersection(region)
            assert part is not None, "the blocks were counted from the region"
            out[part.slices_in(region)] = self._classes(scene, block)[part.slices_in(block)]
        return out

    def _classes(self, scene: Scene, block: Region) -> Classes:
        key = (scene.id, block)
        if key not in self._known:
            self._known[key] = self._judge(scene, block)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]

    def _judge(self, scene: Scene, block: Region) -> Classes:
        wide = block.widened(self._mask.margin_px)
        pixels = np.zeros((len(self._mask.bands), *wide.shape), np.uint16)
        for name, out in zip(self._mask.bands, pixels, strict=True):
            raw, asset = read_raster(scene, name, wide, self._stop), scene.assets[name]
            if raw is not None:
                everywhere = np.ones(wide.shape, np.bool_)
                write_dn(raw, (asset.scale, asset.offset), everywhere, out)
        data = pixels.all(axis=0)
        if not data.any():
            return np.zeros(block.shape, np.uint8)
        inner = block.slices_in(wide)
        judged: Classes = np.where(data, self._mask(pixels), 0).astype(np.uint8)[inner]
        return judged


def _blocks(region: Region) -> Iterator[Region]:
    """The whole blocks of the lattice that a region touches."""
    for part in cells_of(region, (BLOCK_PX, BLOCK_PX), (0, 0)):
        left, top = part.left // BLOCK_PX * BLOCK_PX, part.top // BLOCK_PX * BLOCK_PX
        yield Region(region.zone, left, top, BLOCK_PX, BLOCK_PX)
