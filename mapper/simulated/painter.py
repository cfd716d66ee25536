"""One block of every scene of a group: painted, compressed, and thinned for the overviews.

This is the work that runs in several processes; what goes in and out is small and plain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import rasterio.features
import shapely
from affine import Affine

from mapper.imagery.bands import OPTICAL_BANDS
from mapper.land.grid import LATTICE_TOP_M, PIXEL_M, Region
from mapper.land.legend import LEGEND, NODATA
from mapper.simulated.acquisitions import FRAME_DEG, Group, OpticalPass, RadarPass
from mapper.simulated.ground import Ground, ground
from mapper.simulated.items import NOTE
from mapper.simulated.landscape import landscape
from mapper.simulated.looks import COARSE, FINE, RADAR_NODATA, Beam, optical_look, radar_look
from mapper.simulated.orbits import SENTINEL_2
from mapper.simulated.painting import Surface, surface
from mapper.simulated.sparse_cog import Raster, compressed
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

    place: tuple[int, int]
    """(row, column) in the block grid."""
    data: dict[Key, bytes]
    """Compressed blocks."""
    thin: dict[Key, Array]
    """Every eighth pixel of them."""
    seen: dict[str, npt.NDArray[np.bool_]]
    """(y, x) by scene: which cells of the block have pixels."""


def blocks_of(group: Group) -> list[tuple[int, int]]:
    """The blocks (row, column) of a group that hold needed ground."""
    left, top, right, bottom = group.ground.bounds
    region = group.region
    rows = range(int(top - region.top) // BLOCK_PX, int(bottom - region.top) // BLOCK_PX + 1)
    columns = range(int(left - region.left) // BLOCK_PX, int(right - region.left) // BLOCK_PX + 1)
    shapely.prepare(group.ground)
    places = [(row, column) for row in rows for column in columns]
    return [place for place in places if _cells(group, place).any()]


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


def paint(group: Group, place: tuple[int, int]) -> Painted:
    """Every scene's pixels in one block."""
    cells = _cells(group, place)
    region = _filled_region(group, place, cells)
    needed = _enlarged(cells, group, place, region)
    out = Painted(place, {}, {}, {})
    if not group.scenes:
        truth = np.where(needed, landscape(region).truth, NODATA).astype(np.uint8)
        _add(out, group, Key(TRUTH, TRUTH), truth, region)
        return out
    at = ground(region)
    across = {scene.id: _across(scene, at, needed) for scene in group.scenes}
    visible = [scene for scene in group.scenes if np.isfinite(across[scene.id]).any()]
    if not visible:
        return out
    painted = surface(region, Places.TRAINING)
    for scene in visible:
        out.seen[scene.id] = _by_cell(np.isfinite(across[scene.id]), group, place, region)
        for asset, pixels in _look(scene, painted, across[scene.id]).items():
            _add(out, group, Key(scene.id, asset), pixels, region)
    return out


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


def _cells(group: Group, place: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """(16, 16) True where a cell of a block holds needed ground of the grid."""
    count = BLOCK_PX // CELL_PX
    top = group.region.top + place[0] * BLOCK_PX
    left = group.region.left + place[1] * BLOCK_PX
    box = shapely.box(left, top, left + BLOCK_PX, top + BLOCK_PX)
    inside = shapely.intersection(group.ground, box)
    if inside.is_empty or not inside.area:
        return np.zeros((count, count), np.bool_)
    scaled = shapely.transform(inside, lambda xy: (xy - (left, top)) / CELL_PX)
    burnt: npt.NDArray[np.uint8] = rasterio.features.rasterize(
        [scaled],
        out_shape=(count, count),
        transform=Affine.identity(),
        all_touched=True,
        dtype=np.uint8,
    )
    return burnt.astype(np.bool_)


def _filled_region(group: Group, place: tuple[int, int], cells: npt.NDArray[np.bool_]) -> Region:
    """The smallest rectangle of a block that holds its needed cells, inside the grid."""
    rows, columns = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells.any(axis=0))
    top = group.region.top + place[0] * BLOCK_PX + int(rows[0]) * CELL_PX
    left = group.region.left + place[1] * BLOCK_PX + int(columns[0]) * CELL_PX
    bottom = min(top + int(rows[-1] - rows[0] + 1) * CELL_PX, group.region.bottom)
    right = min(left + int(columns[-1] - columns[0] + 1) * CELL_PX, group.region.right)
    return Region(group.region.zone, left, top, right - left, bottom - top)


def _enlarged(
    cells: npt.NDArray[np.bool_], group: Group, place: tuple[int, int], region: Region
) -> npt.NDArray[np.bool_]:
    """(y, x) needed pixels of a region inside a block."""
    pixels = cells.repeat(CELL_PX, axis=0).repeat(CELL_PX, axis=1)
    top = region.top - group.region.top - place[0] * BLOCK_PX
    left = region.left - group.region.left - place[1] * BLOCK_PX
    return pixels[top : top + region.height, left : left + region.width]


def _by_cell(
    seen: npt.NDArray[np.bool_], group: Group, place: tuple[int, int], region: Region
) -> npt.NDArray[np.bool_]:
    """(16, 16) True where a cell of a block has some pixel seen."""
    block = np.zeros((BLOCK_PX, BLOCK_PX), np.bool_)
    top = region.top - group.region.top - place[0] * BLOCK_PX
    left = region.left - group.region.left - place[1] * BLOCK_PX
    block[top : top + region.height, left : left + region.width] = seen
    count = BLOCK_PX // CELL_PX
    return np.asarray(block.reshape(count, CELL_PX, count, CELL_PX).any(axis=(1, 3)))
