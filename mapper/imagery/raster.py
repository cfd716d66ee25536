"""One raster of a scene, read onto lattice pixels: the only place where pixels are fetched.

Two paths give the same answer where both apply. A raster of the zone's own projection whose pixels
are lattice pixels, or 2 x 2 of them, is read by plain windows. Everything else goes through GDAL's
warper, always by whole blocks of 512 lattice pixels counted from the zone's origin, so that the
warper's approximations cannot depend on what was asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.crs
import rasterio.vrt
import rasterio.warp
from rasterio._err import CPLE_BaseError  # what the warper raises; rasterio has no public name
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from mapper.imagery.bands import RADAR_NAMES
from mapper.imagery.digits import cleared, nodata_in
from mapper.imagery.faults import BadBytesError
from mapper.imagery.patience import Attempt, patiently
from mapper.imagery.placement import Placement, placement
from mapper.imagery.resample import MARGIN_PX, doubled_bilinear, doubled_nearest
from mapper.imagery.scenes import SCL, Scene
from mapper.imagery.signing import signed
from mapper.land.grid import LATTICE_TOP_M, PIXEL_M, Region, Zone

Raw = npt.NDArray[Any]

BLOCK_PX = 512
"""Side of the fixed lattice blocks that are warped one by one."""
WARP_TOLERANCE_PX = 0.001
"""How far the warper may approximate a position. Between zones its default of 0.125 changes up to
29 of 9,000 digits of noise, this at most 2, in the same time."""
GDAL_OPTIONS: dict[str, Any] = {
    # A listing of the folder would cost a request per file.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    # No block is asked for twice; a few rows of blocks per read in flight are enough.
    "GDAL_CACHEMAX": 32 * 2**20,
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_VERSION": "1.1",
}


def read_raster(
    scene: Scene, name: str, region: Region, stop: threading.Event | None = None
) -> Raw | None:
    """Raw numbers of one asset of a scene on lattice pixels.

    Classes (SCL) are taken from the nearest pixel; digits and power are bilinear where they are not
    lattice pixels already.

    Args:
        scene: whose asset is read.
        name: of the asset.
        region: what is wanted.
        stop: when set, the pixels are no longer wanted, and a failed read is not tried again.

    Returns:
        (y, x); where the raster has no data or does not reach, 0 in classes and digits and NaN in
        power, which is float32. None where it does not reach the region at all.

    Raises:
        ReadError: it cannot be opened or read, after several attempts where that may help.
    """
    return patiently(lambda attempt: _read(scene, name, region, attempt), scene, name, stop=stop)


def _read(scene: Scene, name: str, region: Region, attempt: Attempt) -> Raw | None:
    asset = scene.assets[name]
    href, options = signed(asset.href, scene.signing), GDAL_OPTIONS | attempt.gdal_options()
    with rasterio.Env(**options), rasterio.open(href) as source:
        nodata = nodata_in(source.dtypes[0], asset.nodata, source.nodata)
        if not all(map(isfinite, source.transform)):  # the warper would make pixels of it
            raise BadBytesError("its place on the ground is no number")
        place = placement(source.transform) if source.crs == _crs(region.zone) else None
        if place is None or not _has_kernel(place, name, source.dtypes[0], nodata):
            raw = _warped(source, region, _how(name), nodata)
        elif place.factor == 1:
            raw = _window(source, region, place, nodata)
        else:
            raw = _doubled(source, region, place, name)
    return None if raw is None else _told(raw, name, nodata)


def _told(raw: Raw, name: str, nodata: float) -> Raw:
    """Numbers in which what is no data is the same in every raster, whatever it states."""
    if name not in RADAR_NAMES:
        told = nodata == 0 and raw.dtype.kind != "f"  # as almost always
        return raw if told else cleared(raw, nodata, 0)
    with np.errstate(over="ignore"):  # what is too large for float32 is no power either
        power = raw.astype(np.float32, copy=False)
    return cleared(power, nodata_in(np.float32, nodata), np.nan)


def _has_kernel(place: Placement, name: str, dtype: str, nodata: float) -> bool:
    """Whether the plain path has an exact rule for such pixels."""
    return place.factor == 1 or (nodata == 0 and dtype == ("uint8" if name == SCL else "uint16"))


def _how(name: str) -> Resampling:
    return Resampling.nearest if name == SCL else Resampling.bilinear


def _window(source: DatasetReader, region: Region, place: Placement, nodata: float) -> Raw | None:
    """Lattice pixels as they are stored."""
    return _boxed(source, region.left - place.left, region.top - place.top, region.shape, nodata)


def _doubled(source: DatasetReader, region: Region, place: Placement, name: str) -> Raw | None:
    """20 m pixels on the 10 m lattice."""
    row, row_phase = divmod(region.top - place.top, 2)
    column, column_phase = divmod(region.left - place.left, 2)
    phase = (row_phase, column_phase)
    height, width = (
        (n + p + 1) // 2 + 2 * MARGIN_PX for n, p in zip(region.shape, phase, strict=True)
    )
    raw = _boxed(source, column - MARGIN_PX, row - MARGIN_PX, (height, width), 0)
    if raw is None:
        return None
    kernel: Callable[..., Raw] = doubled_nearest if name == SCL else doubled_bilinear
    return kernel(raw, phase, region.shape)


def _boxed(
    source: DatasetReader, left: int, top: int, shape: tuple[int, int], nodata: float
) -> Raw | None:
    """Stored pixels from (left, top) on, nodata beyond the raster; None where all is beyond."""
    height, width = shape
    first_row, last_row = max(top, 0), min(top + height, source.height)
    first_column, last_column = max(left, 0), min(left + width, source.width)
    if first_row >= last_row or first_column >= last_column:
        return None
    window = Window.from_slices((first_row, last_row), (first_column, last_column))
    inner: Raw = source.read(1, window=window)
    if inner.shape == shape:
        return inner
    out = np.full(shape, nodata, inner.dtype)
    out[first_row - top : last_row - top, first_column - left : last_column - left] = inner
    return out


def _warped(source: DatasetReader, region: Region, how: Resampling, nodata: float) -> Raw | None:
    """Any raster on lattice pixels, by whole lattice blocks whatever part of them is wanted."""
    out: Raw | None = None
    reach = _reach(source, region.zone)
    for block in _blocks(region):
        part = block.intersection(region)
        if part is None or (reach is not None and block.intersection(reach) is None):
            continue
        if out is None:
            out = np.full(region.shape, nodata, source.dtypes[0])
        with rasterio.vrt.WarpedVRT(
            source,
            crs=_crs(region.zone),
            transform=block.geobox.transform,
            width=BLOCK_PX,
            height=BLOCK_PX,
            resampling=how,
            src_nodata=nodata,
            nodata=nodata,
            tolerance=WARP_TOLERANCE_PX,
        ) as warped:
            out[part.slices_in(region)] = warped.read(1)[part.slices_in(block)]
    return out


def _blocks(region: Region) -> list[Region]:
    rows = range(region.top // BLOCK_PX, (region.bottom - 1) // BLOCK_PX + 1)
    columns = range(region.left // BLOCK_PX, (region.right - 1) // BLOCK_PX + 1)
    return [
        Region(region.zone, column * BLOCK_PX, row * BLOCK_PX, BLOCK_PX, BLOCK_PX)
        for row in rows
        for column in columns
    ]


def _reach(source: DatasetReader, zone: Zone) -> Region | None:
    """The lattice pixels a raster may touch; None where its outline cannot be projected."""
    try:
        west, south, east, north = rasterio.warp.transform_bounds(
            source.crs, _crs(zone), *source.bounds
        )
    except (RasterioError, CPLE_BaseError):
        return None
    if not all(map(isfinite, (west, south, east, north))):
        return None
    left, right = int(west // PIXEL_M) - 1, int(east // PIXEL_M) + 2
    top = int((LATTICE_TOP_M - north) // PIXEL_M) - 1
    bottom = int((LATTICE_TOP_M - south) // PIXEL_M) + 2
    return Region(zone, left, top, right - left, bottom - top)


@lru_cache(maxsize=120)
def _crs(zone: Zone) -> rasterio.crs.CRS:
    return rasterio.crs.CRS.from_epsg(zone.epsg)
