"""What a product says of itself: STAC items and the collection that holds them.

Plain dictionaries of STAC 1.1, the same for the same map: no time of writing, no absolute path.
Extensions: projection, raster, file, classification and processing; fields of our own begin with
`mapper:`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import shapely
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from mapper.imagery.period import Period
from mapper.land.grid import PIXEL_M, Tile, ground
from mapper.land.legend import CLASS_NAMES, LandCover
from mapper.maps.layers import LAYERS, Layer

STAC_VERSION = "1.1.0"
_EXTENSIONS = "https://stac-extensions.github.io"
_RASTER = f"{_EXTENSIONS}/raster/v2.0.0/schema.json"
_CLASSIFICATION = f"{_EXTENSIONS}/classification/v2.0.0/schema.json"
ITEM_EXTENSIONS = (
    f"{_EXTENSIONS}/projection/v2.0.0/schema.json",
    _RASTER,
    f"{_EXTENSIONS}/file/v2.1.0/schema.json",
    _CLASSIFICATION,
    f"{_EXTENSIONS}/processing/v1.2.0/schema.json",
)
COG_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
ITEM_NAME = "item.json"
COLLECTION_NAME = "collection.json"
TILE_TO_COLLECTION = f"../../../{COLLECTION_NAME}"
"""From tiles/<size>/<name>/ up to the run's folder."""
ATTRIBUTION = "Contains modified Copernicus Sentinel data {years}, processed by mapper."
"""The wording that the Copernicus licence asks of derived works."""
SIMULATED = "Made from a simulated archive: this is no map of the real ground."
MAX_FAILED_READS = 1000
"""An item lists so many; the journal lists all."""
_SHA256_MULTIHASH = "1220"
"""What the multihash format writes before a SHA-256 of 32 bytes."""
_SIMPLIFY_DEG = 0.0005
"""Outlines in metadata leave the true line by no more than about 50 m."""
_DIGITS = 6
"""Decimals of longitude and latitude: a tenth of a metre."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What every product of a run says of its making."""

    collection: str
    """Id of the run's collection, such as LIE_2024-06-01_2024-08-31."""
    title: str
    """Of the area, for people."""
    period: Period
    """The days it speaks about."""
    recipe: Mapping[str, Any]
    """Every setting, resolved."""
    software: Mapping[str, Any]
    """At least `version`, of mapper."""
    checkpoint: Mapping[str, Any]
    """At least `digest` and `variant`; what the weights were trained on."""
    precision: str
    """Number format of the network: fp32, bf16, fp16."""
    simulated: bool
    """Whether the pixels come from a simulated archive."""
    notes: tuple[str, ...] = ()
    """What a user should know, a sentence each."""

    @property
    def attribution(self) -> str:
        """The line that has to stand beside the map."""
        if self.simulated:
            return SIMULATED
        years = sorted({self.period.start.year, self.period.end.year})
        return ATTRIBUTION.format(years="-".join(str(year) for year in years))


@dataclass(frozen=True, slots=True)
class Contents:
    """What one product was made from and holds; differs from tile to tile."""

    scenes: tuple[str, ...]
    """Ids of the scenes read, sorted."""
    class_px: tuple[int, ...]
    """Pixels of each class, by code."""
    nodata_px: int
    """Pixels of the area without a class."""
    key: str
    """Content key: equal keys, equal pixels."""
    notes: tuple[str, ...] = ()
    """About this product alone."""
    failed_reads: tuple[Mapping[str, str], ...] = ()
    """Reads that failed for good, each with scene, asset and reason; its scene is left out."""
    degraded: bool = False
    """Whether more looks are left out than a tile should do without; see `losses`."""
    degraded_tiles: tuple[str, ...] = ()
    """Of a whole area: the tiles of which that is true."""

    @property
    def class_km2(self) -> dict[str, float]:
        """Area of each class by name, counted in pixels of 100 m2 of the UTM plane: 0.08 % less
        than the ground in the middle of a zone, up to 0.22 % more at its edges."""
        pixel_km2 = PIXEL_M**2 / 1e6
        counts = zip(CLASS_NAMES, self.class_px, strict=True)
        return {name: round(count * pixel_km2, 4) for name, count in counts}


def tile_item(tile: Tile, facts: Facts, contents: Contents, folder: Path) -> dict[str, Any]:
    """The item of a tile.

    Args:
        tile: where.
        facts: of the run.
        contents: of the tile.
        folder: with the rasters, finished; three levels below the collection's.
    """
    region = tile.region
    return _item(
        f"{facts.collection}_{tile.size_px}_{tile.name}",
        f"{facts.title}, tile {tile.name}",
        _rounded(ground(region)),
        region.geobox,
        facts,
        contents,
        folder,
        TILE_TO_COLLECTION,
    )


def national_item(
    area: BaseGeometry, geobox: GeoBox, facts: Facts, contents: Contents, folder: Path
) -> dict[str, Any]:
    """The item of the rasters of the whole area; `area` is in longitude and latitude."""
    footprint = _rounded(area.simplify(_SIMPLIFY_DEG))
    link = f"./{COLLECTION_NAME}"
    return _item(facts.collection, facts.title, footprint, geobox, facts, contents, folder, link)


def collection(
    area: BaseGeometry, facts: Facts, contents: Contents, items: Iterable[str]
) -> dict[str, Any]:
    """The collection of a run.

    Args:
        area: longitude and latitude.
        facts: of the run.
        contents: of all products together.
        items: hrefs of the items, relative to the collection.
    """
    providers = [] if facts.simulated else [_COPERNICUS]
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": [_RASTER, _CLASSIFICATION],
        "id": facts.collection,
        "title": f"Land cover of {facts.title}, {facts.period.start} to {facts.period.end}",
        "description": f"Nine classes at {PIXEL_M} m. {facts.attribution}",
        "license": "other",
        "providers": [*providers, {"name": "mapper", "roles": ["processor"]}],
        "extent": {
            "spatial": {"bbox": [bbox(area)]},
            "temporal": {"interval": [list(_interval(facts.period))]},
        },
        "summaries": {
            "gsd": [PIXEL_M],
            "mapper:simulated": [facts.simulated],
            "mapper:degraded": [contents.degraded],
            "mapper:scenes": list(contents.scenes),
        },
        "mapper:class_km2": contents.class_km2,
        "item_assets": {layer.name: _meaning(layer) for layer in LAYERS},
        "links": [
            {"rel": "root", "href": f"./{COLLECTION_NAME}", "type": "application/json"},
            *([] if facts.simulated else [_COPERNICUS_TERMS]),
            *({"rel": "item", "href": href, "type": "application/geo+json"} for href in items),
        ],
    }


_COPERNICUS = {
    "name": "Copernicus, European Union and European Space Agency",
    "roles": ["producer", "licensor"],
    "url": "https://dataspace.copernicus.eu",
}
_COPERNICUS_TERMS = {
    "rel": "license",
    "href": "https://sentinel.esa.int/documents/247904/690755/Sentinel_Data_Legal_Notice",
    "title": "Legal notice on the use of Copernicus Sentinel data",
}


def _item(
    name: str,
    title: str,
    footprint: BaseGeometry,
    geobox: GeoBox,
    facts: Facts,
    contents: Contents,
    folder: Path,
    collection_href: str,
) -> dict[str, Any]:
    start, end = _interval(facts.period)
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": list(ITEM_EXTENSIONS),
        "id": name,
        "geometry": shapely.geometry.mapping(footprint),
        "bbox": bbox(footprint),
        "properties": {
            "title": title,
            "description": facts.attribution,
            "datetime": None,
            "start_datetime": start,
            "end_datetime": end,
            "gsd": PIXEL_M,
            **_projection(geobox),
            "processing:software": {"mapper": str(facts.software["version"])},
            **_making(facts, contents),
        },
        "collection": facts.collection,
        "assets": {layer.name: _asset(layer, folder) for layer in LAYERS} | _others(folder),
        "links": [
            {"rel": rel, "href": collection_href, "type": "application/json"}
            for rel in ("root", "parent", "collection")
        ],
    }


def _making(facts: Facts, contents: Contents) -> dict[str, Any]:
    """How the product came to be, in fields of our own."""
    return {
        "mapper:recipe": dict(facts.recipe),
        "mapper:software": dict(facts.software),
        "mapper:checkpoint": dict(facts.checkpoint),
        "mapper:precision": facts.precision,
        "mapper:simulated": facts.simulated,
        "mapper:content_key": contents.key,
        "mapper:scenes": list(contents.scenes),
        "mapper:failed_reads_count": len(contents.failed_reads),
        "mapper:failed_reads": [dict(read) for read in contents.failed_reads[:MAX_FAILED_READS]],
        "mapper:degraded": contents.degraded,
        **(
            {"mapper:degraded_tiles": [*contents.degraded_tiles]} if contents.degraded_tiles else {}
        ),
        "mapper:notes": [*facts.notes, *contents.notes],
        "mapper:class_km2": contents.class_km2,
        "mapper:class_px": list(contents.class_px),
        "mapper:nodata_px": contents.nodata_px,
    }


def _projection(geobox: GeoBox) -> dict[str, Any]:
    assert geobox.crs is not None, "a product has a CRS"
    return {
        **_crs(geobox.crs.proj),
        "proj:shape": list(geobox.shape),
        "proj:transform": list(geobox.transform)[:6],
        "proj:bbox": list(geobox.boundingbox),
    }


def _crs(crs: pyproj.CRS) -> dict[str, Any]:
    """A CRS by its code, or whole where nobody gave it one."""
    authority = crs.to_authority()
    if authority is not None:
        return {"proj:code": ":".join(authority)}
    return {"proj:code": None, "proj:projjson": crs.to_json_dict()}


def _asset(layer: Layer, folder: Path) -> dict[str, Any]:
    """One raster: what it means, how large it is, and its digest."""
    path = folder / layer.file_name
    return {
        "href": f"./{layer.file_name}",
        **_meaning(layer),
        "file:size": path.stat().st_size,
        "file:checksum": multihash(path),
    }


def _others(folder: Path) -> dict[str, Any]:
    """What lies beside the rasters: the classes' names for GIS programs, the picture."""
    found = {}
    for key, name, kind, roles in _OTHER_FILES:
        path = folder / name
        if path.exists():
            found[key] = {
                "href": f"./{name}",
                "type": kind,
                "roles": roles,
                "file:size": path.stat().st_size,
                "file:checksum": multihash(path),
            }
    return found


_OTHER_FILES: tuple[tuple[str, str, str, list[str]], ...] = (
    ("land_cover_names", "land_cover.tif.aux.xml", "application/xml", ["metadata"]),
    ("picture", "land_cover.png", "image/png", ["overview"]),
)


def _meaning(layer: Layer) -> dict[str, Any]:
    """What is true of every raster of a layer."""
    meaning: dict[str, Any] = {
        "type": COG_TYPE,
        "title": layer.title,
        "roles": ["data"],
        "data_type": "uint8",
        "nodata": layer.nodata,
        "raster:spatial_resolution": PIXEL_M,
        "bands": [
            {"name": plane.name, "description": plane.description}
            | ({"unit": plane.unit} if plane.unit else {})
            for plane in layer.planes
        ],
    }
    if layer.classes:
        meaning["classification:classes"] = [_class(cover) for cover in layer.classes]
    return meaning


def _class(cover: LandCover) -> dict[str, Any]:
    """One class, as the classification extension has it."""
    return {
        "value": cover.code,
        "name": cover.name,
        "title": cover.title,
        "description": cover.description,
        "color_hint": "".join(f"{part:02X}" for part in cover.colour),
    }


def multihash(path: Path) -> str:
    """A file's SHA-256 as the file extension wants it."""
    with path.open("rb") as file:
        return _SHA256_MULTIHASH + hashlib.file_digest(file, "sha256").hexdigest()


def bbox(geometry: BaseGeometry) -> list[float]:
    """West, south, east, north; west is the larger where the geometry crosses 180 degrees."""
    west, south, east, north = (float(value) for value in geometry.bounds)
    if east - west > 180:
        bounds = shapely.bounds(np.array(shapely.get_parts(geometry)))
        west = float(min(bounds[bounds[:, 0] > 0, 0], default=west))
        east = float(max(bounds[bounds[:, 2] < 0, 2], default=east))
    return [round(value, _DIGITS) for value in (west, south, east, north)]


def _rounded(geometry: BaseGeometry) -> BaseGeometry:
    """Polygons with few decimals, valid still."""
    return shapely.set_precision(geometry, 10.0**-_DIGITS)


def _interval(period: Period) -> tuple[str, str]:
    """First and last second, RFC 3339."""
    return f"{period.start}T00:00:00Z", f"{period.end}T23:59:59Z"
