"""What of each scene may be taken where: the scene classifications, read before anything else.

The classification of a scene lies at 20 m and is a twentieth of its bytes. It says which pixels a
scene claims of its overpass, and which of them are clear; where nothing is, no band is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mapper.imagery.bands import OPTICAL_NAMES
from mapper.imagery.clouds import SCL_NODATA, clear_mask
from mapper.imagery.crew import Crew
from mapper.imagery.direct import Direct, block_of, fetched, opened
from mapper.imagery.fetch import Ahead
from mapper.imagery.fused import COARSE_BANDS
from mapper.imagery.placement import frame_of
from mapper.imagery.resample import Mask
from mapper.imagery.scenes import SCL, Look, Scene
from mapper.land.frame import Frame
from mapper.land.grid import Region

Classes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Scenes of one look, with the pixels they may give."""

    look: int
    """Number of the look."""
    scenes: tuple[Scene, ...]
    """One that is read directly, or several whose claims the general path sorts out."""
    frame: Frame
    """What `take` covers, in pixels of 20 m."""
    take: Mask
    """(y, x) at 20 m. Directly read: clear, and not claimed by an earlier scene. Otherwise: not
    claimed by an earlier scene."""
    bands: tuple[Direct, ...] | None
    """In the order of OPTICAL_BANDS; None for the general path."""

    def cut(self, region: Region) -> Mask:
        """The mask over a region of even edges."""
        return self.take[frame_of(region, 2).slices_in(self.frame)]

    def takes(self, part: Frame, factor: int) -> bool:
        """Whether something is taken of a frame of pixels of 10 m (1) or 20 m (2).

        Of 20 m pixels their neighbours count, too: doubling looks one pixel beyond.
        """
        wide = part.widened(1) if factor == 2 else frame_of(part, 2)
        inside = wide.intersection(self.frame)
        return inside is not None and bool(self.take[inside.slices_in(self.frame)].any())


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """One block of a classification, to be fetched."""

    raster: Direct
    block: int
    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start

    @property
    def is_waited_for(self) -> bool:
        return self.raster.is_waited_for and self.size > 0


def unjudged(looks: Sequence[Look], region: Region, wanted: Mask) -> list[Layer]:
    """Every look left to the general path, which asks another judge than the classifications."""
    frame = frame_of(region, 2)
    return [Layer(n, look.scenes, frame, wanted, None) for n, look in enumerate(looks)]


def layers_of(
    looks: Sequence[Look], region: Region, wanted: Mask, dilation_px: int, crew: Crew
) -> list[Layer]:
    """What each scene may give on a region, in order of the looks; nothing where it gives nothing.

    Args:
        looks: optical ones.
        region: with even edges.
        wanted: (y, x) at 20 m over the region.
        dilation_px: how far cloud and shadow are spread, in pixels of 20 m.
        crew: who reads.

    Raises:
        ReadError: a raster cannot be read.
    """
    frame = frame_of(region, 2)
    scenes = [scene for look in looks for scene in look.scenes]
    found = crew.fetchers.map(lambda scene: _opened_scl(scene, region, crew), scenes)
    known = {scene.id: raster for scene, raster in zip(scenes, found, strict=True) if raster}
    classes = _classes(
        [known[s.id] for s in scenes if s.id in known], frame.widened(dilation_px), crew
    )
    layers: list[Layer] = []
    for number, look in enumerate(looks):
        layers += _of_look(number, look, frame, wanted, dilation_px, set(known), classes)
    return _with_bands([layer for layer in layers if layer.take.any()], region, crew)


def _opened_scl(scene: Scene, region: Region, crew: Crew) -> Direct | None:
    if SCL not in scene.assets:
        return None
    raster = opened(scene, SCL, region.zone, crew)
    return raster if raster is not None and is_plain(raster) else None


def is_plain(raster: Direct) -> bool:
    """Whether the kernels have an exact rule for a raster of Sentinel-2."""
    name, asset = raster.name, raster.scene.assets[raster.name]
    coarse = name == SCL or OPTICAL_NAMES.index(name) in COARSE_BANDS
    fits = raster.place.factor == (2 if coarse else 1) and raster.place.is_whole
    kind = np.uint8 if name == SCL else np.uint16
    shifted = name == SCL or (asset.scale == 1 and asset.offset % 1 == 0)
    near = abs(asset.offset) <= np.iinfo(np.uint16).max
    return fits and raster.layout.dtype == kind and raster.nodata == 0 and shifted and near


def _classes(rasters: Sequence[Direct], frame: Frame, crew: Crew) -> Iterator[Classes]:
    """(y, x) classes over a frame of 20 m pixels, raster by raster; 0 beyond a raster."""
    blocks = [
        _Block(raster, block, *raster.bytes_of(block))
        for raster in rasters
        for block in raster.blocks_over(frame)
    ]
    ahead = Ahead(
        blocks,
        lambda n: fetched(blocks[n].raster, blocks[n].start, blocks[n].stop, crew),
        crew.fetchers,
    )
    first = 0
    for raster in rasters:
        out = np.zeros(frame.shape, np.uint8)

        def place(n: int, out: Classes = out) -> None:
            todo = blocks[n]
            if not todo.size:
                return
            packed = ahead.take(n)
            pixels = block_of(todo.raster, todo.block, packed, crew)
            whole = todo.raster.block_frame(todo.block)
            part = whole.intersection(frame)
            assert part is not None, "the blocks were asked for by this frame"
            out[part.slices_in(frame)] = pixels[part.slices_in(whole)]

        last = first
        while last < len(blocks) and blocks[last].raster is raster:
            last += 1
        for _ in crew.decoders.map(place, range(first, last)):
            pass
        first = last
        yield out


def _of_look(
    number: int,
    look: Look,
    frame: Frame,
    wanted: Mask,
    dilation_px: int,
    known: set[str],
    classes: Iterator[Classes],
) -> Iterator[Layer]:
    """The layers of one look; those that claim by their classification first.

    Where a scene claims by its bands, or by a classification that GDAL has to read, what is left
    for later scenes is known only when it has been read: from there on the look is left to the
    general path, unless nothing is left to come.
    """
    free = wanted.copy()
    inner = frame.slices_in(frame.widened(dilation_px))
    for position, scene in enumerate(look.scenes):
        if scene.id not in known:
            alone = SCL not in scene.assets and position == len(look.scenes) - 1
            rest = look.scenes[position:]
            for other in rest[1:]:
                if other.id in known:
                    next(classes)  # read in vain: the general path reads it again
            yield Layer(number, rest, frame, free, () if alone else None)
            return
        scl = next(classes)
        claimed = scl[inner] != SCL_NODATA
        yield Layer(number, (scene,), frame, clear_mask(scl, dilation_px) & free, ())
        free &= ~claimed


def _with_bands(layers: Sequence[Layer], region: Region, crew: Crew) -> list[Layer]:
    """The layers with their bands opened, all at once."""
    todo = [(la.scenes[0], name) for la in layers if la.bands is not None for name in OPTICAL_NAMES]
    rasters = list(crew.fetchers.map(lambda t: opened(t[0], t[1], region.zone, crew), todo))
    done, at = [], 0
    for layer in layers:
        if layer.bands is None:
            done.append(layer)
            continue
        bands = rasters[at : at + len(OPTICAL_NAMES)]
        at += len(OPTICAL_NAMES)
        plain = tuple(band for band in bands if band is not None and is_plain(band))
        whole = len(plain) == len(bands)
        done.append(
            Layer(layer.look, layer.scenes, layer.frame, layer.take, plain if whole else None)
        )
    return done
