"""The engines that `bench_read.py` compares: each prepares, and answers with what is timed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from read_archive import BANDS, CORNER_M, INSET_PX

CLEAR = (2, 4, 5, 6, 7, 11)


def region_of(size: int) -> Any:
    """The tile."""
    from mapper.land.grid import LATTICE_TOP_M, PIXEL_M, Region, Zone

    left = CORNER_M[0] // PIXEL_M + INSET_PX[1]
    top = (LATTICE_TOP_M - CORNER_M[1]) // PIXEL_M + INSET_PX[0]
    return Region(Zone(32, False), left, top, size, size)


def looks_of_archive(index: Path) -> Any:
    """All looks, as a run would have them."""
    import shapely

    from mapper.imagery.archives import archive
    from mapper.imagery.period import Period
    from mapper.imagery.scenes import looks_of
    from mapper.imagery.search import search
    from mapper.land.grid import Zone

    scenes = search(archive(str(index)), shapely.box(0, 40, 20, 60), Period.parse("2024-06"))
    return looks_of(scenes, Zone(32, False))


Answer = dict[str, np.ndarray]
Engine = Callable[[Path, int, int], Callable[[], Answer]]
"""Prepares, with what is not timed; the answer's call is timed."""


def ours(index: Path, size: int, threads: int) -> Callable[[], Answer]:
    from mapper.imagery.load import read_composite
    from mapper.imagery.warm import warm_up

    warm_up()
    looks, region = looks_of_archive(index), region_of(size)

    def run() -> Answer:
        made = read_composite(looks, region, threads=threads, cloud_dilation_px=0)
        return {"optical": made.optical, "looks": made.optical_looks, "radar": made.radar}

    return run


def limit(index: Path, size: int, threads: int, by_gdal: bool = False) -> Callable[[], Answer]:
    """Unpack what `ours` would, block by block in one thread, and run its kernels as often."""
    from mapper.imagery.bands import Sensor
    from mapper.imagery.warm import warm_up

    warm_up()
    looks, region = looks_of_archive(index), region_of(size)
    seen = [look for look in looks if look.sensor is Sensor.OPTICAL]
    heard = [look for look in looks if look.sensor is Sensor.RADAR]
    pieces, blocks = needed(seen, heard, region, threads)
    room = filled_room(pieces[0])

    def run() -> Answer:
        unpack_by_gdal(blocks) if by_gdal else unpack(blocks)
        medians_of_tile(pieces, room, region)
        means_of_tile(len(heard), region)
        return {}

    return run


def needed(seen: Any, heard: Any, region: Any, threads: int) -> tuple[Any, list[tuple[Any, Any]]]:
    """The pieces that are worked on one after the other, and (raster, block) of all they need."""
    from mapper.imagery import optical
    from mapper.imagery.crew import crew_of
    from mapper.imagery.direct import opened
    from mapper.imagery.layers import layers_of
    from mapper.imagery.placement import even, frame_of
    from mapper.imagery.schedule import schedule

    with crew_of(threads) as crew:
        ground = even(region)
        everywhere = np.ones(frame_of(ground, 2).shape, np.bool_)
        layers = layers_of(seen, ground, everywhere, 0, crew)
        pieces = schedule(layers, optical._pieces([region], layers), optical.KEPT_BYTES)
        blocks = [(j.raster, j.block) for p in pieces for g in p.groups for j in g.jobs]
        names = [(look.scenes[0], "SCL") for look in seen]
        names += [(look.scenes[0], band) for look in heard for band in ("VV", "VH")]
        for raster in [opened(scene, name, region.zone, crew) for scene, name in names]:
            assert raster is not None
            frame = frame_of(region, raster.place.factor)
            blocks += [(raster, block) for block in raster.blocks_over(frame)]
    return pieces, blocks


def filled_room(piece: Any) -> Any:
    """The layers of a piece with some digits in them."""
    from mapper.imagery import optical

    room = optical._Room().for_piece(piece)
    for array in (room.fine, room.coarse):
        array[:] = np.random.default_rng(0).integers(1, 6000, array.shape, dtype=np.uint16)
    return room


def unpack(blocks: list[tuple[Any, Any]]) -> None:
    """Every block once, by what `ours` unpacks them with."""
    from mapper.imagery.blocks import Scratch, unpacked
    from mapper.imagery.fetch import read_range
    from mapper.imagery.patience import Attempt

    scratch, attempt = Scratch(), Attempt(1, 60, 10)
    for raster, block in blocks:
        asset = raster.scene.assets[raster.name]
        packed = read_range(asset.href, None, *raster.bytes_of(block), attempt, scratch)
        unpacked(packed, raster.layout, scratch)


def unpack_by_gdal(blocks: list[tuple[Any, Any]]) -> None:
    """Every block once, by GDAL, file by file."""
    import rasterio
    from rasterio.windows import Window

    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_CACHEMAX=2**25):
        source = None
        for raster, block in sorted(blocks, key=lambda b: (id(b[0]), b[1])):
            href = raster.scene.assets[raster.name].href
            if source is None or source.name != href:
                source = rasterio.open(href)
            frame, whole = raster.block_frame(block), raster.frame
            corner = (frame.left - whole.left, frame.top - whole.top)
            source.read(1, window=Window(*corner, *frame.shape[::-1]))


def medians_of_tile(pieces: Any, room: Any, region: Any) -> None:
    """The optical kernel over a tile, as often as for its pieces."""
    from mapper.imagery.fused import median_of_layers

    out = np.zeros((10, *region.shape), np.uint16)
    counts = np.zeros(region.shape, np.uint8)
    height, width = pieces[0].region.shape
    for piece in pieces:
        y, x = piece.region.intersection(region).slices_in(region)
        y = slice(y.start, min(y.stop, y.start + height))
        x = slice(x.start, min(x.stop, x.start + width))
        median_of_layers(room, (0, 0), out, counts, (y, x))


def means_of_tile(looks: int, region: Any) -> None:
    """The radar kernels over a tile, for so many looks."""
    from mapper.imagery import radar
    from mapper.imagery.composite import PowerSum, mean_of

    total, count = np.zeros((2, *region.shape), np.float32), np.zeros(region.shape, np.uint16)
    block, side = np.ones((2, 512, 512), np.float32), region.width
    plain, nothing = np.array([(1, 0), (1, 0)], np.float32), np.zeros((0, 0), np.bool_)
    corners = [(y, x) for y in range(0, side, 512) for x in range(0, side, 512)]
    for _ in range(looks):
        for y, x in corners:
            place = (y, x, 0, 0, min(512, side - y), min(512, side - x))
            radar._add(block[0], block[1], plain, nothing, total, count, place)
    for top in range(0, side, 256):
        rows = slice(top, top + 256)
        mean_of(PowerSum(total[:, rows], count[rows]))


def loaded(index: Path, size: int, chunks: dict[str, int] | None) -> tuple[Any, Any]:
    """Both sensors as odc.stac loads them."""
    import odc.stac
    import pystac

    items = [pystac.Item.from_dict(f) for f in json.loads(index.read_text())["features"]]
    for entry in items:
        for asset in entry.assets.values():
            if "://" not in asset.href:
                asset.href = str(index.parent / asset.href)
    odc.stac.configure_rio(cloud_defaults=True)
    geobox = region_of(size).geobox
    common = {"geobox": geobox, "chunks": chunks, "groupby": "id"}
    optical = odc.stac.load(
        [i for i in items if i.id[0] == "s"],
        bands=["SCL", *BANDS],
        resampling={"SCL": "nearest", "*": "bilinear"},
        stac_cfg={
            "*": {
                "assets": {
                    "*": {"data_type": "uint16", "nodata": 0},
                    "SCL": {"data_type": "uint8", "nodata": 0},
                }
            }
        },
        **common,
    )
    radar = odc.stac.load(
        [i for i in items if i.id[0] == "r"],
        bands=["vv", "vh"],
        stac_cfg={"*": {"assets": {"*": {"data_type": "float32", "nodata": -32768}}}},
        **common,
    )
    return optical, radar


def finished(medians: list[np.ndarray], looks: np.ndarray, means: list[np.ndarray]) -> Answer:
    """The peers' answers in our units: halves rounded up, decibel."""
    optical = np.stack([np.floor(np.nan_to_num(m) + 0.5).astype(np.uint16) for m in medians])
    radar = np.stack([(10 * np.log10(m, dtype=np.float64)).astype(np.float32) for m in means])
    return {"optical": optical, "looks": looks.astype(np.uint8), "radar": radar}


def odc_dask(index: Path, size: int, threads: int) -> Callable[[], Answer]:
    import dask
    import xarray

    def run() -> Answer:
        optical, radar = loaded(index, size, {"x": 2048, "y": 2048})
        clear = optical.SCL.isin(CLEAR)
        medians = {}
        for band in BANDS:
            digits = optical[band]
            valid = clear & (digits != 0)
            shifted = xarray.where(digits > 1001, digits, 1001) - np.uint16(1000)
            medians[band] = shifted.where(valid).astype("float32").median("time", skipna=True)
        medians["looks"] = clear.sum("time")
        means = {
            b: radar[b].where(radar[b] > 0).astype("float64").mean("time") for b in ("vv", "vh")
        }
        with dask.config.set(scheduler="threads", num_workers=threads):
            made, power = dask.compute(xarray.Dataset(medians), xarray.Dataset(means))
        return finished(
            [made[b].values for b in BANDS], made["looks"].values, [power[b].values for b in power]
        )

    return run


def odc_bottleneck(index: Path, size: int, threads: int) -> Callable[[], Answer]:
    import bottleneck

    def run() -> Answer:
        optical, radar = loaded(index, size, None)
        clear = np.isin(optical.SCL.values, CLEAR)
        medians = []
        for band in BANDS:
            digits = optical[band].values
            shifted = (np.maximum(digits, 1001) - 1000).astype(np.float32)
            shifted[~clear | (digits == 0)] = np.nan
            medians.append(bottleneck.nanmedian(shifted, axis=0))
            del optical[band]
        means = []
        for band in ("vv", "vh"):
            power = radar[band].values.astype(np.float64)
            means.append(bottleneck.nanmean(np.where(power > 0, power, np.nan), axis=0))
        return finished(medians, clear.sum(axis=0), means)

    return run


PREPARED: dict[str, Engine] = {
    "limit": limit,
    "gdal-limit": lambda index, size, threads: limit(index, size, threads, by_gdal=True),
    "ours": ours,
    "odc-dask": odc_dask,
    "odc-bottleneck": odc_bottleneck,
}
