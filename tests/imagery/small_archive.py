"""A small archive of real files, made on the spot: COG-like rasters and their STAC items."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
import shapely.geometry
from affine import Affine

from mapper.imagery.bands import OPTICAL_BANDS, RADAR_NAMES
from mapper.imagery.footprints import grid_outline
from mapper.land.grid import LATTICE_TOP_M, PIXEL_M, Region, Zone

Array = npt.NDArray[Any]


def write_raster(path: Path, pixels: Array, epsg: int, corner: Affine, nodata: float) -> None:
    """A tiled, compressed GeoTIFF of one band."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = pixels.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=width,
        height=height,
        count=1,
        dtype=pixels.dtype,
        crs=f"EPSG:{epsg}",
        transform=corner,
        nodata=nodata,
        tiled=True,
        blockxsize=128,
        blockysize=128,
        compress="deflate",
    ) as raster:
        raster.write(pixels, 1)


def smooth(shape: tuple[int, int], seed: int, low: float, high: float) -> Array:
    """Waves with some noise on them, between two values."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    phase = random.uniform(0, 6, 2)
    waves = np.sin(x / 9.0 + phase[0]) + np.cos(y / 7.0 + phase[1])
    noisy = waves / 4 + 0.5 + random.normal(0, 0.05, shape)
    return low + (high - low) * noisy.clip(0, 1)


@dataclass
class SmallArchive:
    """Items as they are added; `index` writes them down."""

    folder: Path
    items: list[dict[str, Any]] = field(default_factory=list)

    def optical(
        self,
        name: str,
        time: str,
        *,
        corner_m: tuple[float, float] = (399_960, 5_300_040),
        size_px: int = 256,
        epsg: int = 32632,
        tile: str | None = "32TLT",
        cloud: float | None = 10.0,
        baseline: str | None = "05.09",
        scl: Array | None = None,
        with_scl: bool = True,
        digits: Callable[[str, tuple[int, int]], Array] | None = None,
        without: Sequence[str] = (),
        seed: int = 0,
    ) -> dict[str, Any]:
        """A Sentinel-2 scene: ten bands at their own resolutions, SCL, and its item."""
        assets: dict[str, Any] = {}
        for number, band in enumerate(OPTICAL_BANDS):
            if band.name in without:
                continue
            side = size_px * 10 // band.resolution_m
            shape = (side, side)
            made = digits(band.name, shape) if digits else None
            if made is None:
                made = smooth(shape, seed * 100 + number, 1100, 6000)
            assets[band.name] = self._raster(
                f"{name}/{band.name}.tif",
                made.astype(np.uint16),
                epsg,
                corner_m,
                band.resolution_m,
                0,
            )
        if with_scl:
            half = (size_px // 2, size_px // 2)
            classes = np.full(half, 4, np.uint8) if scl is None else scl
            assets["SCL"] = self._raster(f"{name}/SCL.tif", classes, epsg, corner_m, 20, 0)
        properties = {
            "eo:cloud_cover": cloud,
            "s2:mgrs_tile": tile,
            "s2:processing_baseline": baseline,
            "platform": "Sentinel-2A",
        }
        return self._item(name, "sentinel-2-l2a", time, epsg, corner_m, size_px, assets, properties)

    def radar(
        self,
        name: str,
        time: str,
        *,
        corner_m: tuple[float, float] = (399_960, 5_300_040),
        size_px: int = 256,
        epsg: int = 32632,
        orbit: int | None = 66,
        bands: Sequence[str] = RADAR_NAMES,
        power: Callable[[str, tuple[int, int]], Array] | None = None,
        seed: int = 0,
    ) -> dict[str, Any]:
        """A Sentinel-1 scene in linear power, and its item."""
        assets = {}
        for number, band in enumerate(bands):
            shape = (size_px, size_px)
            made = power(band, shape) if power else smooth(shape, seed * 100 + number, 0.01, 0.4)
            assets[band.lower()] = self._raster(
                f"{name}/{band.lower()}.tif", made.astype(np.float32), epsg, corner_m, 10, -32768
            )
        properties = {"sat:relative_orbit": orbit, "platform": "SENTINEL-1A"}
        return self._item(name, "sentinel-1-rtc", time, epsg, corner_m, size_px, assets, properties)

    def index(self, name: str = "items.json") -> Path:
        """Write the items down as an ItemCollection."""
        path = self.folder / name
        path.write_text(json.dumps({"type": "FeatureCollection", "features": self.items}))
        return path

    def _raster(
        self,
        href: str,
        pixels: Array,
        epsg: int,
        corner_m: tuple[float, float],
        resolution: int,
        nodata: float,
    ) -> dict[str, Any]:
        corner = Affine(resolution, 0, corner_m[0], 0, -resolution, corner_m[1])
        write_raster(self.folder / href, pixels, epsg, corner, nodata)
        return {"href": href, "type": "image/tiff; application=geotiff", "roles": ["data"]}

    def _item(
        self,
        name: str,
        collection: str,
        time: str,
        epsg: int,
        corner_m: tuple[float, float],
        size_px: int,
        assets: dict[str, Any],
        properties: dict[str, Any],
    ) -> dict[str, Any]:
        transform = [10.0, 0.0, corner_m[0], 0.0, -10.0, corner_m[1]]
        ground = grid_outline(epsg, transform, (size_px, size_px))
        item = {
            "type": "Feature",
            "stac_version": "1.0.0",
            "stac_extensions": [],
            "id": name,
            "collection": collection,
            "geometry": shapely.geometry.mapping(ground),
            "bbox": list(ground.bounds),
            "properties": {
                "datetime": time,
                "proj:epsg": epsg,
                "proj:transform": transform,
                "proj:shape": [size_px, size_px],
                **{key: value for key, value in properties.items() if value is not None},
            },
            "links": [],
            "assets": assets,
        }
        self.items.append(item)
        return item


def region_at(
    corner_m: tuple[float, float], shape: tuple[int, int], zone: Zone | None = None
) -> Region:
    """Lattice pixels from a corner in metres, (y, x) of them."""
    left, top = round(corner_m[0] / PIXEL_M), round((LATTICE_TOP_M - corner_m[1]) / PIXEL_M)
    return Region(zone or Zone(32, False), left, top, shape[1], shape[0])
