"""One block of every scene of some groups: painted, compressed, and thinned for the overviews.

This is the work that runs in several processes; what goes in and out is small and plain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import rasterio.features
import shapely
from affine import Affine
from shapely.geometry.base import BaseGeometry

from mapper.imagery.bands import OPTICAL_BANDS
from mapper.land.grid import LATTICE_TOP_M, PIXEL_M, Region, Zone
from mapper.land.legend import LEGEND, NODATA
from mapper.simulated.acquisitions import FRAME_DEG, Group, OpticalPass, RadarPass
from mapper.simulated.ground import Ground, ground
from mapper.simulated.items import NOTE
from mapper.simulated.mgrs import box_of
from mapper.simulated.optical_look import COARSE, FINE, optical_look
from mapper.simulated.orbits import SENTINEL_2
from mapper.simulated.painting import MARGIN_PX, Surface, surface
from mapper.simulated.radar_look import RADAR_NODATA, Beam, radar_look
from mapper.simulated.sparse_cog import Place, Raster, compressed
from mapper.simulated.spectra import Places

BLOCK_PX = 512
"""Side of a block at 10 m; blocks of 20 m assets show the same ground with half the pixels."""
CELL_PX = 32
"""Ground is needed or not in squares of this side."""
THINNING = 8
"""Overviews take every eighth pixel; nobody zooms out of a scene of which a corner is filled."""

TRUTH = "truth"

Array = npt.NDArray[np.generic]


class Key(NamedTuple):
    """A file of a group: scene and asset."""

    scene: str
    asset: str


@dataclass(frozen=True, slots=True)
class Painted:
    """What one block adds to the files of a group."""

    group: str
    """Name of the group."""
    place: Place
    """(row, column) in the block grid of the group."""
    data: dict[Key, bytes]
    """Compressed blocks."""
    thin: dict[Key, Array]
    """Every eighth pixel of them."""
    seen: dict[str, npt.NDArray[np.bool_]]
    """(y, x) by scene: which cells of the block have pixels."""


def batches(groups: list[Group]) -> list[tuple[Group, ...]]:
    """Groups whose block grids coincide, so that one painting of the ground serves them all.

    Sentinel-1 frames and the truth of a zone begin at multiples of a block; tiles of Sentinel-2
    begin where the products do, each on its own.
    """
    found: dict[tuple[Zone, int, int, str], list[Group]] = {}
    for group in groups:
        region = group.region
        own = group.name if group.optical else ""
        key = (region.zone, region.left % BLOCK_PX, region.top % BLOCK_PX, own)
        found.setdefault(key, []).append(group)
    return [tuple(batch) for batch in found.values()]


def blocks_of(batch: tuple[Group, ...]) -> list[Region]:
    """The blocks of a batch that hold needed ground, from north to south."""
    blocks = {block for group in batch for block in _blocks(group)}
    return sorted(blocks, key=lambda block: (block.top, block.left))


def _blocks(group: Group) -> Iterator[Region]:
    left, top, right, bottom = group.ground.bounds
    grid = group.region
    rows = range(int(top - grid.top) // BLOCK_PX, int(bottom - grid.top) // BLOCK_PX + 1)
    columns = range(int(left - grid.left) // BLOCK_PX, int(right - grid.left) // BLOCK_PX + 1)
    shapely.prepare(group.ground)
    for row, column in product(rows, columns):
        y, x = grid.top + row * BLOCK_PX, grid.left + column * BLOCK_PX
        if _cells(group.ground, Region(grid.zone, x, y, BLOCK_PX, BLOCK_PX)).any():
            yield Region(grid.zone, x, y, BLOCK_PX, BLOCK_PX)


def raster_of(group: Group, asset: str) -> Raster:
    """The grid and type of one asset of a group's scenes."""
    resolution = {band.name: band.resolution_m for band in OPTICAL_BANDS}.get(asset, PIXEL_M)
    resolution = 20 if asset == "SCL" else resolution
    step = resolution // PIXEL_M
    radar, classes = asset in ("vv", "vh"), asset in ("SCL", TRUTH)
    nodata = RADAR_NODATA if radar else NODATA if asset == TRUTH else 0
    return Raster(
        width=-(-group.region.width // step),
        height=-(-group.region.height // step),
        dtype="float32" if radar else "uint8" if classes else "uint16",
        block_px=BLOCK_PX // step,
        epsg=group.region.zone.epsg,
        left_m=group.region.left * PIXEL_M,
        top_m=LATTICE_TOP_M - group.region.top * PIXEL_M,
        pixel_m=resolution,
        nodata=nodata,
        description=f"{asset}. {NOTE}",
        palette=tuple(cover.colour for cover in LEGEND) if asset == TRUTH else None,
    )


def assets_of(group: Group) -> tuple[str, ...]:
    """The assets of each scene of a group."""
    if group.optical:
        return (*(band.name for band in OPTICAL_BANDS), "SCL")
    return ("vv", "vh") if group.radar else (TRUTH,)


def paint(batch: tuple[Group, ...], block: Region) -> list[Painted]:
    """Every scene's pixels in one block, by group."""
    inside = [group for group in batch if block.intersection(group.region)]
    cells = np.logical_or.reduce([_cells(group.ground, block) for group in inside])
    region = _filled_region(cells, block, inside)
    needed = _enlarged(cells, block, region)
    at = ground(region)
    across = {
        (group.name, scene.id): _across(scene, at, needed)
        for group in inside
        for scene in group.scenes
    }
    asked_truth = any(not group.scenes for group in inside)
    if not asked_truth and not any(np.isfinite(place).any() for place in across.values()):
        return []
    painted = surface(region, Places.TRAINING)
    out = []
    for group in inside:
        part = _empty(group, block)
        if not group.scenes:
            truth = painted.landscape.truth[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]
            known = np.where(needed, truth, NODATA).astype(np.uint8)
            _add(part, group, Key(TRUTH, TRUTH), known, region)
        for scene in group.scenes:
            place = across[group.name, scene.id]
            if np.isfinite(place).any():
                part.seen[scene.id] = _by_cell(np.isfinite(place), block, region)
                for asset, pixels in _look(scene, painted, place).items():
                    _add(part, group, Key(scene.id, asset), pixels, region)
        out.append(part)
    return out


def _empty(group: Group, block: Region) -> Painted:
    row = (block.top - group.region.top) // BLOCK_PX
    column = (block.left - group.region.left) // BLOCK_PX
    return Painted(group.name, (row, column), {}, {}, {})


def _across(
    scene: OpticalPass | RadarPass, at: Ground, needed: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """(y, x) place across a scene's swath, -1 to 1; NaN where it does not see or nobody asks."""
    track = scene.track if isinstance(scene, RadarPass) else SENTINEL_2
    across, along = track.place(scene.orbit, at.lon, at.lat)
    inside = needed & (np.abs(across) < 1)
    if isinstance(scene, RadarPass):
        inside &= np.floor(along / FRAME_DEG) == scene.frame
    return np.where(inside, across, np.nan).astype(np.float32)


def _look(
    scene: OpticalPass | RadarPass, painted: Surface, across: npt.NDArray[np.float32]
) -> dict[str, Array]:
    """The pixels of every asset of a scene."""
    day = scene.time.timetuple().tm_yday
    if isinstance(scene, RadarPass):
        vv, vh = radar_look(painted, Beam(scene.seed, scene.ascending), day, across)
        return {"vv": vv, "vh": vh}
    look = optical_look(painted, scene.sky, day, scene.offset_dn, np.isfinite(across))
    fine = {OPTICAL_BANDS[band].name: look.fine[n] for n, band in enumerate(FINE)}
    coarse = {OPTICAL_BANDS[band].name: look.coarse[n] for n, band in enumerate(COARSE)}
    return {**fine, **coarse, "SCL": look.classes}


def _add(out: Painted, group: Group, key: Key, pixels: Array, region: Region) -> None:
    """Puts the pixels of a region into their block, and compresses it."""
    raster = raster_of(group, key.asset)
    step = BLOCK_PX // raster.block_px
    block = np.full((raster.block_px, raster.block_px), raster.nodata, raster.dtype)
    top = (region.top - group.region.top - out.place[0] * BLOCK_PX) // step
    left = (region.left - group.region.left - out.place[1] * BLOCK_PX) // step
    block[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    data = compressed(block, raster)
    if data:
        out.data[key] = data
        out.thin[key] = block[THINNING // 2 :: THINNING, THINNING // 2 :: THINNING].copy()


def _cells(ground: BaseGeometry, block: Region) -> npt.NDArray[np.bool_]:
    """(16, 16) True where a cell of a block holds some of the ground."""
    count = BLOCK_PX // CELL_PX
    inside = shapely.intersection(ground, box_of(block))
    if inside.is_empty or not inside.area:
        return np.zeros((count, count), np.bool_)
    scaled = shapely.transform(inside, lambda xy: (xy - (block.left, block.top)) / CELL_PX)
    burnt: npt.NDArray[np.uint8] = rasterio.features.rasterize(
        [scaled],
        out_shape=(count, count),
        transform=Affine.identity(),
        all_touched=True,
        dtype=np.uint8,
    )
    return burnt.astype(np.bool_)


def _filled_region(cells: npt.NDArray[np.bool_], block: Region, groups: list[Group]) -> Region:
    """The smallest rectangle of a block that holds its needed cells, inside the grids."""
    rows, columns = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells.any(axis=0))
    top, left = block.top + int(rows[0]) * CELL_PX, block.left + int(columns[0]) * CELL_PX
    lowest = max(group.region.bottom for group in groups)
    rightmost = max(group.region.right for group in groups)
    bottom = min(block.top + (int(rows[-1]) + 1) * CELL_PX, lowest)
    right = min(block.left + (int(columns[-1]) + 1) * CELL_PX, rightmost)
    return Region(block.zone, left, top, right - left, bottom - top)


def _enlarged(cells: npt.NDArray[np.bool_], block: Region, region: Region) -> npt.NDArray[np.bool_]:
    """(y, x) needed pixels of a region inside a block."""
    pixels = cells.repeat(CELL_PX, axis=0).repeat(CELL_PX, axis=1)
    return pixels[region.slices_in(block)]


def _by_cell(seen: npt.NDArray[np.bool_], block: Region, region: Region) -> npt.NDArray[np.bool_]:
    """(16, 16) True where a cell of a block has some pixel seen."""
    pixels = np.zeros(block.shape, np.bool_)
    pixels[region.slices_in(block)] = seen
    count = BLOCK_PX // CELL_PX
    return np.asarray(pixels.reshape(count, CELL_PX, count, CELL_PX).any(axis=(1, 3)))
