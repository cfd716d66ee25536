"""A local archive: items out of an ItemCollection or STAC-GeoParquet file, searched in process."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely
import stac_geoparquet.arrow
from shapely.geometry.base import BaseGeometry

from mapper.errors import ArchiveError
from mapper.imagery.items import Item, time_of


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a local archive covers, for the words of an error."""

    west: float
    """Longitude and latitude of the items' bounding boxes, degrees."""
    south: float
    east: float
    north: float
    first: datetime
    """Earliest sensing time, UTC."""
    last: datetime
    """Latest sensing time, UTC."""

    def __str__(self) -> str:
        return (
            f"longitudes {self.west:.2f} to {self.east:.2f}, latitudes {self.south:.2f} to"
            f" {self.north:.2f}, from {self.first:%Y-%m-%d} to {self.last:%Y-%m-%d}"
        )


def local_items(root: str, collections: Iterable[str], geometry: BaseGeometry) -> Iterator[Item]:
    """Items of some collections whose bounding box meets a geometry's.

    A first sieve, cheap for an index of 100,000 items; the exact tests are the caller's.

    Args:
        root: path of the index.
        collections: ids of the wanted collections.
        geometry: longitude and latitude.

    Raises:
        ArchiveError: the file is not there, damaged, or no index of STAC items.
    """
    wanted = frozenset(collections)
    for item in _candidates(root, geometry.bounds):
        if item.get("collection") in wanted and _meets(item.get("bbox"), geometry):
            yield item


def coverage(
    root: str, collections: Iterable[str], geometry: BaseGeometry | None = None
) -> Coverage | None:
    """What an index holds of some collections, everywhere or near a geometry; None for nothing.

    Raises:
        ArchiveError: as in `local_items`.
    """
    items = list(local_items(root, collections, geometry or shapely.box(-180, -90, 180, 90)))
    boxes = [_flat(item["bbox"]) for item in items if item.get("bbox")]
    times = [moment for item in items if (moment := time_of(item))]
    if not boxes or not times:
        return None
    west, south, east, north = zip(*boxes, strict=True)
    return Coverage(min(west), min(south), max(east), max(north), min(times), max(times))


def _candidates(root: str, bounds: tuple[float, ...]) -> Iterable[Item]:
    try:
        stamp = Path(root).stat()
        if Path(root).suffix.lower() == ".parquet":
            table = _near(_table(root, stamp.st_mtime_ns, stamp.st_size), bounds)
            return list(stac_geoparquet.arrow.stac_table_to_items(table))
        return _features(root, stamp.st_mtime_ns, stamp.st_size)
    except OSError as problem:
        reason = problem.strerror or str(problem).splitlines()[0]
        raise ArchiveError(f"the archive {root} cannot be read ({reason}); check the file") from (
            problem
        )
    except (ValueError, KeyError, pa.ArrowException) as problem:
        raise ArchiveError(
            f"{root} is no index of STAC items ({_first_line(problem)}); give an ItemCollection"
            " (a FeatureCollection of items) or a STAC-GeoParquet file"
        ) from problem


@lru_cache(maxsize=4)
def _features(root: str, changed_ns: int, size: int) -> tuple[Item, ...]:
    """All items of an ItemCollection; read again only when the file has changed."""
    document: Any = json.loads(Path(root).read_bytes())
    kind = document.get("type") if isinstance(document, dict) else type(document).__name__
    if kind != "FeatureCollection":
        raise ValueError(f'its type is "{kind}", not FeatureCollection')
    features = document["features"]
    if not all(isinstance(item, dict) and "assets" in item for item in features):
        raise ValueError("some of its features have no assets")
    return tuple(features)


@lru_cache(maxsize=4)
def _table(root: str, changed_ns: int, size: int) -> pa.Table:
    table = pq.read_table(root)
    lacking = {"id", "geometry", "assets", "collection"} - set(table.column_names)
    if lacking:
        raise ValueError(f"it has no column {', '.join(sorted(lacking))}")
    return table


def _near(table: pa.Table, bounds: tuple[float, ...]) -> pa.Table:
    """Rows whose bounding box meets the bounds, or crosses 180 degrees, or is not stated."""
    if "bbox" not in table.column_names or not pa.types.is_struct(table["bbox"].type):
        return table
    west, south, east, north = bounds
    box = {name: pc.struct_field(table["bbox"], name) for name in ("xmin", "ymin", "xmax", "ymax")}
    meets = pc.and_(
        pc.and_(pc.less_equal(box["xmin"], east), pc.greater_equal(box["xmax"], west)),
        pc.and_(pc.less_equal(box["ymin"], north), pc.greater_equal(box["ymax"], south)),
    )
    wraps = pc.greater(box["xmin"], box["xmax"])
    return table.filter(pc.fill_null(pc.or_(meets, wraps), True))


def _meets(bbox: Any, geometry: BaseGeometry) -> bool:
    """Whether a bounding box meets a geometry; one that crosses 180 degrees, or none, may."""
    if not bbox:
        return True
    west, south, east, north = _flat(bbox)
    return west > east or bool(shapely.box(west, south, east, north).intersects(geometry))


def _flat(bbox: Any) -> tuple[float, float, float, float]:
    """A bounding box without its heights."""
    west, south, east, north = bbox if len(bbox) == 4 else (*bbox[:2], *bbox[3:5])
    return (west, south, east, north)


def _first_line(problem: Exception) -> str:
    return (str(problem).splitlines() or [type(problem).__name__])[0]
