"""The general path: looks as stacks on the lattice, whatever grid, zone or packing they come in.

Every raster goes through raster.py. It is the path of scenes that cannot be read directly, and the
plain statement of the rules that the direct path follows with the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from mapper.imagery.bands import OPTICAL_BANDS, OPTICAL_NAMES, RADAR_BANDS, RADAR_NAMES, Sensor
from mapper.imagery.clouds import DEFAULT_DILATION_PX, SCL_NODATA, clear_mask
from mapper.imagery.composite import Stack
from mapper.imagery.crew import Crew
from mapper.imagery.digits import write_dn, write_power
from mapper.imagery.near import looks_over
from mapper.imagery.raster import read_raster
from mapper.imagery.resample import Mask
from mapper.imagery.scenes import SCL, Look, Scene
from mapper.land.grid import Region

Classify = Callable[[Scene, Region], npt.NDArray[np.uint8] | None]
"""(y, x) classes of a scene on a region, 0 where it has no data; None where it does not reach."""


def optical_stack(
    looks: Sequence[Look],
    region: Region,
    crew: Crew,
    cloud_dilation_px: int = DEFAULT_DILATION_PX,
) -> Stack:
    """Digits of the looks with at least one clear pixel of the region, clouds masked.

    Raises:
        ReadError: an asset cannot be read.
    """
    near = looks_over(looks, region)
    shape = (len(near), len(OPTICAL_BANDS), *region.shape)
    pixels = np.zeros(shape, np.uint16)  # untouched looks cost no memory
    valid = np.zeros((len(near), *region.shape), np.bool_)
    used = 0
    for look in near:
        free = np.ones(region.shape, np.bool_)
        read_scenes(look.scenes, region, crew, 2 * cloud_dilation_px, free, pixels[used])
        valid[used] = pixels[used].all(axis=0)
        used += bool(valid[used].any())
    return Stack(region, Sensor.OPTICAL, pixels[:used], valid[:used])


def radar_stack(looks: Sequence[Look], region: Region, crew: Crew) -> Stack:
    """Linear power of the looks over a region.

    Raises:
        ReadError: an asset cannot be read.
    """
    near = looks_over(looks, region)
    pixels = np.zeros((len(near), len(RADAR_BANDS), *region.shape), np.float32)
    read = crew.decoders.map(lambda look, out: _read_radar(look, region, crew, out), near, pixels)
    valid = np.stack(list(read)) if near else np.zeros((0, *region.shape), np.bool_)
    return Stack(region, Sensor.RADAR, pixels, valid)


def read_scenes(
    scenes: Sequence[Scene],
    region: Region,
    crew: Crew,
    margin_px: int,
    free: Mask,
    out: npt.NDArray[np.uint16],
    classify: Classify | None = None,
) -> None:
    """Write the clear digits of one overpass into `out`, which is 0 before and where not clear.

    Args:
        scenes: of the overpass; a pixel takes the first that has data there.
        region: what is read.
        crew: its decoders read the bands.
        margin_px: how far cloud is spread, in lattice pixels.
        free: (y, x) True where no earlier scene has data; afterwards, where none of these has.
        out: (band, y, x).
        classify: gives (y, x) classes in place of the scenes' own classifications.

    Raises:
        ReadError: an asset cannot be read.
    """
    judge = classify or partial(_own_classes, crew)
    for scene in scenes:
        if not free.any():
            return
        if classify is not None or SCL in scene.assets:
            claimed, clear = _classified(scene, region, margin_px, judge)
            _read_bands(scene, region, crew, clear & free, out)
            free &= ~claimed
        else:
            _read_bands(scene, region, crew, free, out)
            free &= ~out.all(axis=0)


def read_power(scene: Scene, region: Region, crew: Crew) -> list[npt.NDArray[np.float32]] | None:
    """(y, x) raw numbers of each radar band of a scene, NaN without data; None where one does not
    reach.

    Raises:
        ReadError: an asset cannot be read.
    """
    bands = [read_raster(scene, name, region, crew.stop) for name in RADAR_NAMES]
    power = [raw for raw in bands if raw is not None]
    return power if len(power) == len(RADAR_NAMES) else None


def _own_classes(crew: Crew, scene: Scene, region: Region) -> npt.NDArray[np.uint8] | None:
    scl = read_raster(scene, SCL, region, crew.stop)
    return None if scl is None else scl.astype(np.uint8, copy=False)


def _classified(
    scene: Scene, region: Region, margin_px: int, classify: Classify
) -> tuple[Mask, Mask]:
    """Where a scene has data by its classification, and where it is clear."""
    wide = region.widened(margin_px)
    scl = classify(scene, wide)
    if scl is None:
        nowhere = np.zeros(region.shape, np.bool_)
        return nowhere, nowhere
    return scl[region.slices_in(wide)] != SCL_NODATA, clear_mask(scl, margin_px)


def _read_bands(
    scene: Scene, region: Region, crew: Crew, take: Mask, out: npt.NDArray[np.uint16]
) -> None:
    """Write a scene's digits into `out` (band, y, x) where `take` is True; all bands at once."""
    part = _bounds(take, region)
    if part is None:
        return
    y, x = part.slices_in(region)

    def read(band: int) -> None:
        asset = scene.assets[OPTICAL_NAMES[band]]
        raw = read_raster(scene, OPTICAL_NAMES[band], part, crew.stop)
        if raw is None:  # a pixel takes all its bands from one scene, or none of them
            np.copyto(out[band, y, x], 0, where=take[y, x])
        else:
            write_dn(raw, (asset.scale, asset.offset), take[y, x], out[band, y, x])

    for _ in crew.decoders.map(read, range(len(OPTICAL_NAMES))):
        pass


def _read_radar(look: Look, region: Region, crew: Crew, out: npt.NDArray[np.float32]) -> Mask:
    """Write a look's power into `out` (band, y, x); True where both bands have data."""
    seen = np.zeros(region.shape, np.bool_)
    for scene in look.scenes:
        if seen.all():
            break
        power = read_power(scene, region, crew)
        if power is not None:
            linear = [(scene.assets[n].scale, scene.assets[n].offset) for n in RADAR_NAMES]
            write_power(power, linear, seen, out)
    return seen


def _bounds(mask: Mask, region: Region) -> Region | None:
    """The smallest part of a region that holds every True pixel."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return Region(
        region.zone,
        region.left + int(columns[0]),
        region.top + int(rows[0]),
        int(columns[-1] - columns[0]) + 1,
        int(rows[-1] - rows[0]) + 1,
    )
