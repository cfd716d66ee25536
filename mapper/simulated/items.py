"""STAC items of simulated scenes, in Planetary Computer's dialect. Pure.

Property and asset names are those of its collections sentinel-2-l2a and sentinel-1-rtc, so that a
reader of the one reads the other; `mapper:simulated` tells them apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from shapely import affinity
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from mapper.imagery.bands import OPTICAL_BANDS, Band
from mapper.land.grid import LATTICE_TOP_M, PIXEL_M, Region
from mapper.simulated.acquisitions import Group, OpticalPass, RadarPass
from mapper.simulated.need import lonlat_of
from mapper.simulated.radar_look import EQUIVALENT_LOOKS, RADAR_NODATA

STAC_VERSION = "1.1.0"
OPTICAL_COLLECTION = "sentinel-2-l2a"
RADAR_COLLECTION = "sentinel-1-rtc"
COG_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
NOTE = "Simulated by mapper; not an image of the Earth."
_SCHEMAS = "https://stac-extensions.github.io"
_OPTICAL_SCHEMAS = ("eo/v1.0.0", "sat/v1.0.0", "projection/v1.0.0")
_RADAR_SCHEMAS = ("sar/v1.0.0", "sat/v1.0.0", "projection/v1.0.0", "raster/v1.1.0")
_SIMPLIFY_PX = 8
"""Footprints may leave the pixels by this much."""
_DIGITS = 6
"""Decimals of a degree: ten centimetres."""

COLLECTION_FILE = "collection.json"

Item = dict[str, Any]


def collection_of(name: str, items: Sequence[Item]) -> Item:
    """The STAC collection of the items of one sensor; there is at least one."""
    boxes = np.array([item["bbox"] for item in items])
    crossing = boxes[:, 0] > boxes[:, 2]
    boxes[crossing, 0], boxes[crossing, 2] = -180, 180
    times = sorted(item["properties"]["datetime"] for item in items)
    bbox = [*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist()]
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "id": name,
        "title": f"Simulated {name}",
        "description": NOTE,
        "license": "Apache-2.0",
        "mapper:simulated": True,
        "extent": {
            "spatial": {"bbox": [bbox]},
            "temporal": {"interval": [[times[0], times[-1]]]},
        },
        "links": [],
    }


def optical_item(
    group: Group,
    scene: OpticalPass,
    footprint: BaseGeometry,
    shares: Mapping[str, float],
    hrefs: Mapping[str, str],
) -> Item:
    """The item of a Sentinel-2 scene.

    Args:
        footprint: where it has pixels, in lattice pixels.
        shares: per cent of the tile: cloud, high, medium, cirrus, nodata.
        hrefs: of its assets, relative to the index.
    """
    stamp = scene.time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    properties = {
        "datetime": stamp,
        "title": f"Simulated Sentinel-2 L2A {scene.tile} {scene.time.date()}",
        "description": NOTE,
        "mapper:simulated": True,
        "platform": scene.platform,
        "constellation": "Sentinel 2",
        "instruments": ["msi"],
        "eo:cloud_cover": round(shares["cloud"], 6),
        "proj:epsg": group.region.zone.epsg,
        "sat:orbit_state": "descending",
        "sat:relative_orbit": scene.orbit,
        "s2:mgrs_tile": scene.tile,
        "s2:datatake_id": scene.datatake,
        "s2:product_uri": f"{scene.id}.SAFE",
        "s2:product_type": "S2MSI2A",
        "s2:processing_baseline": scene.baseline,
        "s2:nodata_pixel_percentage": round(shares["nodata"], 6),
        "s2:high_proba_clouds_percentage": round(shares["high"], 6),
        "s2:medium_proba_clouds_percentage": round(shares["medium"], 6),
        "s2:thin_cirrus_percentage": round(shares["cirrus"], 6),
        "s2:mean_solar_zenith": round(scene.sky.sun_zenith_deg, 6),
        "s2:mean_solar_azimuth": round(scene.sky.sun_azimuth_deg, 6),
    }
    assets = {
        band.name: _optical_asset(band, group.region, hrefs[band.name]) for band in OPTICAL_BANDS
    }
    assets["SCL"] = {
        "href": hrefs["SCL"],
        "type": COG_TYPE,
        "title": "Scene classification map (SCL), simulated",
        "gsd": 20.0,
        **_grid(group.region, 20),
        "roles": ["data"],
    }
    return _item(
        scene.id, OPTICAL_COLLECTION, _OPTICAL_SCHEMAS, group, footprint, properties, assets
    )


def radar_item(
    group: Group, scene: RadarPass, footprint: BaseGeometry, hrefs: Mapping[str, str]
) -> Item:
    """The item of a Sentinel-1 scene; arguments as for `optical_item`."""
    properties = {
        "datetime": scene.time.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "title": f"Simulated Sentinel-1 RTC orbit {scene.orbit} {scene.time.date()}",
        "description": NOTE,
        "mapper:simulated": True,
        "platform": "SENTINEL-1A",
        "constellation": "Sentinel-1",
        "proj:epsg": group.region.zone.epsg,
        "sat:orbit_state": "ascending" if scene.ascending else "descending",
        "sat:relative_orbit": scene.orbit,
        "sat:absolute_orbit": scene.absolute_orbit,
        "s1:datatake_id": str(scene.seed),
        "s1:slice_number": str(scene.frame),
        "sar:instrument_mode": "IW",
        "sar:frequency_band": "C",
        "sar:center_frequency": 5.405,
        "sar:polarizations": ["VV", "VH"],
        "sar:product_type": "GRD",
        "sar:looks_equivalent_number": EQUIVALENT_LOOKS,
        "sar:pixel_spacing_range": 10,
        "sar:pixel_spacing_azimuth": 10,
        "sar:observation_direction": "right",
    } | _grid(group.region, 10)
    assets = {
        name: {
            "href": hrefs[name],
            "type": COG_TYPE,
            "title": f"{name.upper()}: gamma nought, terrain corrected, simulated",
            "roles": ["data"],
            "raster:bands": [
                {"nodata": RADAR_NODATA, "data_type": "float32", "spatial_resolution": 10.0}
            ],
        }
        for name in ("vv", "vh")
    }
    return _item(scene.id, RADAR_COLLECTION, _RADAR_SCHEMAS, group, footprint, properties, assets)


def _optical_asset(band: Band, region: Region, href: str) -> Item:
    return {
        "href": href,
        "type": COG_TYPE,
        "title": f"{band.name}, {band.resolution_m} m, simulated",
        "gsd": float(band.resolution_m),
        "eo:bands": [
            {"name": band.name, "center_wavelength": (band.wavelength_nm or 0) / 1000},
        ],
        **_grid(region, band.resolution_m),
        "roles": ["data"],
    }


def _grid(region: Region, resolution_m: int) -> Item:
    """Box, shape and transform of an asset."""
    left, top = region.left * PIXEL_M, LATTICE_TOP_M - region.top * PIXEL_M
    right, bottom = region.right * PIXEL_M, LATTICE_TOP_M - region.bottom * PIXEL_M
    step = PIXEL_M / resolution_m
    shape = [int(region.height * step), int(region.width * step)]
    size = float(resolution_m)
    return {
        "proj:bbox": [float(left), float(bottom), float(right), float(top)],
        "proj:shape": shape,
        "proj:transform": [size, 0.0, float(left), 0.0, -size, float(top)],
    }


def _item(
    name: str,
    collection: str,
    schemas: tuple[str, ...],
    group: Group,
    footprint: BaseGeometry,
    properties: Item,
    assets: Item,
) -> Item:
    ground = _lonlat(footprint, group.region)
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [f"{_SCHEMAS}/{schema}/schema.json" for schema in schemas],
        "id": name,
        "collection": collection,
        "geometry": mapping(ground),
        "bbox": _bbox(ground),
        "properties": properties,
        "links": [
            {
                "rel": "collection",
                "href": f"./{collection}/{COLLECTION_FILE}",
                "type": "application/json",
            }
        ],
        "assets": assets,
    }


def _bbox(ground: BaseGeometry) -> list[float]:
    """West, south, east, north; west is the larger where the ground crosses 180 degrees."""
    west, south, east, north = ground.bounds
    parts = np.array([part.bounds for part in shapely.get_parts(ground)])
    if west == -180 and east == 180:
        beyond = parts[:, 0] < 0
        west, east = parts[~beyond, 0].min(), parts[beyond, 2].max()
    return [float(west), float(south), float(east), float(north)]


def _lonlat(footprint: BaseGeometry, region: Region) -> BaseGeometry:
    """A footprint in longitude and latitude; cut in two where it crosses 180 degrees.

    As RFC 7946 asks: each part stays on its side of the antimeridian.
    """
    coarse = shapely.simplify(footprint, _SIMPLIFY_PX)
    dense = shapely.segmentize(coarse, 2000)
    middle = region.zone.number * 6 - 183

    def project(pixels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        lonlat = lonlat_of(region.zone, pixels)
        lonlat[:, 0] = (lonlat[:, 0] - middle + 180) % 360 - 180 + middle
        return np.round(lonlat, _DIGITS)

    ground = shapely.make_valid(shapely.transform(dense, project))
    west = shapely.intersection(ground, shapely.box(-180, -90, 180, 90))
    parts = [west]
    for shift in (-360, 360):
        beyond = affinity.translate(ground, xoff=shift)
        parts.append(shapely.intersection(beyond, shapely.box(-180, -90, 180, 90)))
    polygons = [
        p
        for part in parts
        for p in shapely.get_parts(part)
        if p.geom_type == "Polygon" and p.area > 0
    ]
    return polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)
