"""The tile that bench_read.py reads: scenes of both sensors and their STAC items."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from affine import Affine

from mapper.imagery.footprints import grid_outline

ZONE_EPSG = 32632
CORNER_M = (399_960, 5_300_040)
INSET_PX = (200, 328)
"""(y, x) of the tile's first pixel in the scenes: even, and on no block's edge."""
MARGIN_PX = 512
CLOUD_PERCENT = (31, 35, 39, 43, 47, 51)
RADAR_LOOKS = 4
BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
COARSE = ("B05", "B06", "B07", "B8A", "B11", "B12")
NATURAL, NOISE_DN = 900.0, 45.0
"""Contrast and noise of the simulated ground, DN: they pack to two thirds, as real scenes do."""


def make(folder: Path, size: int) -> None:
    """Write the archive of a tile, unless it is there."""
    if (folder / "items.json").exists():
        return
    side = size + MARGIN_PX
    items = []
    for look, percent in enumerate(CLOUD_PERCENT):
        random = np.random.default_rng(look)
        half = waves(side // 2, random)
        scl = np.where(half > np.percentile(half, percent), 4, 9).astype(np.uint8)
        assets = {"SCL": write(folder, f"s{look}/SCL.tif", scl, 20)}
        ground = waves(side, np.random.default_rng(99))
        for band in BANDS:
            base = ground[::2, ::2] if band in COARSE else ground
            digits = 2000 + NATURAL * base + random.normal(0, NOISE_DN, base.shape)
            assets[band] = write(
                folder,
                f"s{look}/{band}.tif",
                digits.clip(1, 15_000).astype(np.uint16),
                20 if band in COARSE else 10,
            )
        facts = {"s2:processing_baseline": "05.09", "eo:cloud_cover": float(percent)}
        items.append(
            item(f"s{look}", "sentinel-2-l2a", f"2024-06-{5 * look + 1:02d}", assets, facts, side)
        )
    for look in range(RADAR_LOOKS):
        random = np.random.default_rng(50 + look)
        assets = {}
        for band in ("vv", "vh"):
            power = random.gamma(4.4, 0.02, (side, side)).astype(np.float32)
            power.view(np.uint32)[:] &= np.uint32(0xFFFFFF00)  # as coarse as real products are
            assets[band] = write(folder, f"r{look}/{band}.tif", power, 10)
        facts = {"sat:relative_orbit": 66 + look}
        items.append(
            item(f"r{look}", "sentinel-1-rtc", f"2024-06-{6 * look + 2:02d}", assets, facts, side)
        )
    (folder / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))


def waves(side: int, random: np.random.Generator) -> np.ndarray:
    """(y, x) float32 hills of a few sizes, about -1..1."""
    along = np.arange(side, dtype=np.float32)
    total = np.zeros((side, side), np.float32)
    for length in (37, 101, 389):
        a, b = random.uniform(0.6, 1.4, 2) * length
        p, q = random.uniform(0, 6, 2)
        total += np.sin(along / a + p)[None] * np.cos(along / b + q)[:, None]
    return total / 3


def write(folder: Path, name: str, pixels: np.ndarray, resolution: int) -> dict[str, Any]:
    """A cloud-optimised GeoTIFF, and its STAC asset."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    radar = pixels.dtype == np.float32
    with rasterio.open(
        path,
        "w",
        driver="COG",
        height=pixels.shape[0],
        width=pixels.shape[1],
        count=1,
        dtype=pixels.dtype,
        crs=f"EPSG:{ZONE_EPSG}",
        transform=Affine(resolution, 0, CORNER_M[0], 0, -resolution, CORNER_M[1]),
        nodata=-32768 if radar else 0,
        BLOCKSIZE=512,
        COMPRESS="DEFLATE",
        LEVEL=6,
        PREDICTOR="FLOATING_POINT" if radar else "STANDARD",
        OVERVIEWS="NONE",
    ) as raster:
        raster.write(pixels, 1)
    return {
        "href": name,
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
        "roles": ["data"],
        "proj:epsg": ZONE_EPSG,
        "proj:shape": list(pixels.shape),
        "proj:transform": [resolution, 0, CORNER_M[0], 0, -resolution, CORNER_M[1]],
    }


def item(
    name: str, collection: str, day: str, assets: dict[str, Any], facts: dict[str, Any], side: int
) -> dict[str, Any]:
    """A STAC item in Planetary Computer's manner."""
    transform = [10, 0, CORNER_M[0], 0, -10, CORNER_M[1]]
    ground = grid_outline(ZONE_EPSG, transform, (side, side))
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": ["https://stac-extensions.github.io/projection/v1.1.0/schema.json"],
        "id": name,
        "collection": collection,
        "geometry": shapely.geometry.mapping(ground),
        "bbox": list(ground.bounds),
        "properties": {
            "datetime": f"{day}T10:00:00Z",
            "s2:mgrs_tile": "32TLT",
            "proj:epsg": ZONE_EPSG,
            "proj:transform": transform,
            "proj:shape": [side, side],
            **facts,
        },
        "links": [],
        "assets": assets,
    }
