"""From looks to stacks to a composite: piece by piece, in bounded memory, several reads at once.

A pixel takes a look's first scene that has data there, whatever region asks: each scene claims
pixels by its scene classification, or by its bands where it has none. What is not clear is not
read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import product
from math import isqrt

import numpy as np
import numpy.typing as npt
import shapely

from mapper.imagery.bands import OPTICAL_BANDS, OPTICAL_NAMES, RADAR_BANDS, RADAR_NAMES, Sensor
from mapper.imagery.clouds import DEFAULT_DILATION_PX, SCL_NODATA, clear_mask
from mapper.imagery.composite import (
    Composite,
    PowerSum,
    Stack,
    added,
    blank,
    mean_of,
    median_of,
    no_power,
)
from mapper.imagery.digits import write_dn, write_power
from mapper.imagery.footprints import grid_outline
from mapper.imagery.raster import read_raster
from mapper.imagery.resample import Mask
from mapper.imagery.scenes import SCL, Look, Scene
from mapper.land.grid import Region

DEFAULT_THREADS = 4
"""Reads in flight; more helps over slow networks, at about 30 MB each."""
STACK_BYTES = 256 * 2**20
"""A stack of optical looks stays below this, by the size of the pieces a region is read in."""
PIECE_STEP_PX = 512
LARGEST_PIECE_PX = 4096
SMALLEST_PIECE_PX = 128
RADAR_LOOKS_AT_ONCE = 4
_MARGIN_DEG = 0.05
"""Stated outlines of scenes may be this coarse (5 km); who is farther away is not opened."""


def read_composite(
    looks: Sequence[Look],
    region: Region,
    *,
    wanted: Sequence[Region] | None = None,
    threads: int = DEFAULT_THREADS,
    cloud_dilation_px: int = DEFAULT_DILATION_PX,
) -> Composite:
    """One image per sensor over a region, from all looks that show it.

    Any cut of the region gives the same pixels. Beside the answer (30 bytes per pixel) it needs
    about 400 MB, whatever the size of the region and the number of looks.

    Args:
        looks: of both sensors, in the order of `looks_of`.
        region: what is answered.
        wanted: parts of the region that will be used; ground outside them may be left unseen.
        threads: reads in flight.
        cloud_dilation_px: how far clouds and shadows are spread, in pixels of 20 m.

    Raises:
        SceneError: an asset cannot be read.
    """
    composite = blank(region)
    near = looks_over(looks, region)
    optical = [look for look in near if look.sensor is Sensor.OPTICAL]
    radar = [look for look in near if look.sensor is Sensor.RADAR]
    with ThreadPoolExecutor(threads) as pool:
        for piece in _pieces(region, wanted, _piece_px(len(optical))):
            y, x = piece.slices_in(region)
            clear = optical_stack(optical, piece, pool, cloud_dilation_px)
            _, composite.optical_looks[y, x] = median_of(clear, composite.optical[:, y, x])
            del clear  # before the radar is read: the two stacks are never in memory together
            power = _power(radar, piece, pool)
            composite.radar[:, y, x], composite.radar_looks[y, x] = mean_of(power)
    return composite


def optical_stack(
    looks: Sequence[Look],
    region: Region,
    pool: Executor,
    cloud_dilation_px: int = DEFAULT_DILATION_PX,
) -> Stack:
    """Digits of the looks with at least one clear pixel of the region, clouds masked.

    Raises:
        SceneError: an asset cannot be read.
    """
    near = looks_over(looks, region)
    shape = (len(near), len(OPTICAL_BANDS), *region.shape)
    pixels = np.zeros(shape, np.uint16)  # untouched looks cost no memory
    valid = np.zeros((len(near), *region.shape), np.bool_)
    used = 0
    for look in near:
        _read_optical(look, region, pool, 2 * cloud_dilation_px, pixels[used])
        valid[used] = pixels[used].all(axis=0)
        used += bool(valid[used].any())
    return Stack(region, Sensor.OPTICAL, pixels[:used], valid[:used])


def radar_stack(looks: Sequence[Look], region: Region, pool: Executor) -> Stack:
    """Linear power of the looks over a region.

    Raises:
        SceneError: an asset cannot be read.
    """
    near = looks_over(looks, region)
    pixels = np.zeros((len(near), len(RADAR_BANDS), *region.shape), np.float32)
    read = pool.map(lambda look, out: _read_radar(look, region, out), near, pixels)
    valid = np.stack(list(read)) if near else np.zeros((0, *region.shape), np.bool_)
    return Stack(region, Sensor.RADAR, pixels, valid)


def looks_over(looks: Iterable[Look], region: Region) -> list[Look]:
    """The looks that may show a region, without the scenes that cannot."""
    ground = grid_outline(region.zone.epsg, list(region.geobox.transform), region.shape)
    near = shapely.buffer(ground, _MARGIN_DEG)
    shapely.prepare(near)
    cut = [(look, [s for s in look.scenes if near.intersects(s.extent)]) for look in looks]
    return [Look(look.sensor, look.time, tuple(scenes)) for look, scenes in cut if scenes]


def _read_optical(
    look: Look, region: Region, pool: Executor, margin_px: int, out: npt.NDArray[np.uint16]
) -> None:
    """Write a look's clear digits into `out` (band, y, x); it is 0 before, and where not clear."""
    free = np.ones(region.shape, np.bool_)
    for scene in look.scenes:
        if not free.any():
            return
        if SCL in scene.assets:
            claimed, clear = _classified(scene, region, margin_px)
            _read_bands(scene, region, pool, clear & free, out)
            free &= ~claimed
        else:
            _read_bands(scene, region, pool, free, out)
            free &= ~out.all(axis=0)


def _classified(scene: Scene, region: Region, margin_px: int) -> tuple[Mask, Mask]:
    """Where a scene has data by its own classification, and where it is clear."""
    wide = Region(
        region.zone,
        region.left - margin_px,
        region.top - margin_px,
        region.width + 2 * margin_px,
        region.height + 2 * margin_px,
    )
    scl = read_raster(scene, SCL, wide)
    if scl is None:
        nowhere = np.zeros(region.shape, np.bool_)
        return nowhere, nowhere
    scl = scl.astype(np.uint8, copy=False)
    return scl[region.slices_in(wide)] != SCL_NODATA, clear_mask(scl, margin_px)


def _read_bands(
    scene: Scene, region: Region, pool: Executor, take: Mask, out: npt.NDArray[np.uint16]
) -> None:
    """Write a scene's digits into `out` (band, y, x) where `take` is True; all bands at once."""
    part = _bounds(take, region)
    if part is None:
        return
    y, x = part.slices_in(region)

    def read(band: int) -> None:
        asset = scene.assets[OPTICAL_NAMES[band]]
        raw = read_raster(scene, OPTICAL_NAMES[band], part)
        if raw is None:  # a pixel takes all its bands from one scene, or none of them
            np.copyto(out[band, y, x], 0, where=take[y, x])
        else:
            linear = (asset.scale, asset.offset)
            write_dn(raw, linear, asset.nodata, take[y, x], out[band, y, x])

    for _ in pool.map(read, range(len(OPTICAL_NAMES))):
        pass


def _read_radar(look: Look, region: Region, out: npt.NDArray[np.float32]) -> Mask:
    """Write a look's power into `out` (band, y, x); True where both bands have data."""
    seen = np.zeros(region.shape, np.bool_)
    for scene in look.scenes:
        if seen.all():
            break
        bands = [read_raster(scene, name, region) for name in RADAR_NAMES]
        power = [raw.astype(np.float32, copy=False) for raw in bands if raw is not None]
        if len(power) == len(RADAR_NAMES):
            linear = [(scene.assets[n].scale, scene.assets[n].offset) for n in RADAR_NAMES]
            write_power(power, linear, seen, out)
    return seen


def _power(looks: Sequence[Look], region: Region, pool: Executor) -> PowerSum:
    """Radar looks added up a few at a time, in their order."""
    power = no_power(region)
    for start in range(0, len(looks), RADAR_LOOKS_AT_ONCE):
        power = added(power, radar_stack(looks[start : start + RADAR_LOOKS_AT_ONCE], region, pool))
    return power


def _piece_px(looks: int) -> int:
    """Side of the pieces that keep a stack of so many looks within STACK_BYTES."""
    pixels = STACK_BYTES // (max(looks, 1) * len(OPTICAL_BANDS) * np.uint16().itemsize)
    side = isqrt(pixels)
    if side < PIECE_STEP_PX:
        return max(SMALLEST_PIECE_PX, side // SMALLEST_PIECE_PX * SMALLEST_PIECE_PX)
    return min(LARGEST_PIECE_PX, side // PIECE_STEP_PX * PIECE_STEP_PX)


def _pieces(region: Region, wanted: Sequence[Region] | None, side_px: int) -> Iterator[Region]:
    """The region cut along lattice lines; of each piece only the bounds of what is wanted."""
    rows = range(region.top // side_px, (region.bottom - 1) // side_px + 1)
    columns = range(region.left // side_px, (region.right - 1) // side_px + 1)
    for row, column in product(rows, columns):
        square = Region(region.zone, column * side_px, row * side_px, side_px, side_px)
        piece = square.intersection(region)
        assert piece is not None, "the squares were counted from the region"
        parts = [piece] if wanted is None else [p for w in wanted if (p := piece.intersection(w))]
        if parts:
            left, top = min(p.left for p in parts), min(p.top for p in parts)
            right, bottom = max(p.right for p in parts), max(p.bottom for p in parts)
            yield Region(region.zone, left, top, right - left, bottom - top)


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
