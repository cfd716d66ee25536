"""A STAC item, as an archive gives it, becomes a Scene. Pure.

Two dialects are understood (Planetary Computer's and Element 84's) and what either may leave out:
MGRS tile, orbit, cloud cover, scene classification, grid. What an item leaves out is None or made
of what it does say; what a scene cannot do without is an error that names the item.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NoReturn

import shapely
import shapely.geometry
from shapely.geometry.base import BaseGeometry

from mapper.errors import ArchiveError
from mapper.imagery.bands import REFLECTANCE_SCALE, Sensor
from mapper.imagery.digits import band_value, baseline_of, number, optical_values, radar_values
from mapper.imagery.footprints import grid_outline, split_at_180
from mapper.imagery.hrefs import absolute, own_link, unsigned
from mapper.imagery.profiles import Archive, Profile
from mapper.imagery.scenes import SCL, Asset, Scene

Item = Mapping[str, Any]

_ROOTS = (("https://planetarycomputer.microsoft.com/", "planetary-computer"),)
"""Addresses in an item's links that tell who signs its assets."""

_TILE_IN_NAME = re.compile(r"_T?(\d{2}[C-X][A-Z]{2})_")
_TAKE_IN_NAME = re.compile(r"(S2[A-D])_MSIL\w\w_(\d{8}T\d{6})_")
_RADAR_TAKE_IN_NAME = re.compile(r"(S1[A-D])_\w+_(\d{6})_([0-9A-F]{6})_")


def scene_of(item: Item, archive: Archive, base: str) -> Scene | None:
    """The scene an item describes; None where its collection is not one of the archive's.

    Args:
        item: a STAC item of version 1.0 or 1.1, as a dictionary.
        archive: where it is from.
        base: URL or path that relative hrefs start from, where the item has no link to itself.

    Raises:
        ArchiveError: the item has no time, no ground or no id.
    """
    sensor = _sensor(item, archive)
    if sensor is None:
        return None
    properties = item.get("properties") or {}
    epsg = _epsg(item)
    moment = _time(item)
    footprint = _footprint(item)
    return Scene(
        id=_text(item.get("id")) or _refuse(item, "no id"),
        sensor=sensor,
        time=moment,
        footprint=footprint,
        extent=_extent(item, epsg) or footprint,
        cloud_percent=_cloud(properties) if sensor is Sensor.OPTICAL else None,
        place=_place(item, sensor, epsg, footprint),
        datatake=_datatake(item, sensor, moment),
        orbit_state=_text(properties.get("sat:orbit_state")),
        baseline=baseline_of(properties, _names(item)) if sensor is Sensor.OPTICAL else None,
        generated=_text(properties.get("s2:generation_time") or properties.get("created")) or "",
        epsg=epsg,
        assets=dict(_assets(item, archive, sensor, own_link(item) or base)),
        signing=archive.signing or _signing(item),
        collection=str(item.get("collection")),
        terrain_corrected=item.get("collection") not in archive.profiles[sensor].uncorrected,
        simulated=properties.get("mapper:simulated") is True,
    )


def time_of(item: Item) -> datetime | None:
    """Sensing time of an item in UTC: its datetime, or the start of its span."""
    properties = item.get("properties") or {}
    for name in ("datetime", "start_datetime"):
        value = properties.get(name)
        if isinstance(value, datetime):
            return value if value.tzinfo else value.replace(tzinfo=UTC)
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None


def _sensor(item: Item, archive: Archive) -> Sensor | None:
    for sensor, profile in archive.profiles.items():
        if item.get("collection") in profile.collections:
            return sensor
    return None


def _assets(item: Item, archive: Archive, sensor: Sensor, base: str) -> Iterable[tuple[str, Asset]]:
    """The assets the item has of those the archive's profile names."""
    profile = archive.profiles[sensor]
    for ours, theirs in profile.assets.items():
        found = next((a for name in theirs if (a := (item.get("assets") or {}).get(name))), None)
        if found is None or not found.get("href"):
            continue
        nodata = profile.nodata if (stated := band_value(found, "nodata")) is None else stated
        scale, offset = 1.0, 0.0
        if ours != SCL:
            scale, offset = _values(item, found, sensor, profile)
        href = unsigned(absolute(str(found["href"]), base))
        yield ours, Asset(href, nodata, scale, offset)


def _values(
    item: Item, asset: Mapping[str, Any], sensor: Sensor, profile: Profile
) -> tuple[float, float]:
    """Scale and offset of a band: as the archive's description has them, else as the item says."""
    if sensor is Sensor.RADAR:
        scale, offset = radar_values(asset)
        return profile.scale or scale, offset if profile.offset is None else profile.offset
    properties = item.get("properties") or {}
    scale, offset = optical_values(properties, asset, _time(item).date(), _names(item))
    if profile.scale is not None:
        scale = round(profile.scale * REFLECTANCE_SCALE, 9)
    if profile.offset is not None:
        offset = round(profile.offset * REFLECTANCE_SCALE, 6)
    return scale, offset


def _signing(item: Item) -> str | None:
    """Who signs for an item that was saved from an archive whose name nobody gave."""
    links = [str(link.get("href", "")) for link in item.get("links") or ()]
    return next(
        (signer for link in links for root, signer in _ROOTS if link.startswith(root)), None
    )


def _epsg(item: Item) -> int | None:
    """From proj:epsg or proj:code, of the item or of an asset."""
    for holder in (item.get("properties") or {}, *(item.get("assets") or {}).values()):
        if (stated := number(holder.get("proj:epsg"))) is not None:
            return int(stated)
        code = _text(holder.get("proj:code")) or ""
        if code.upper().startswith("EPSG:") and code[5:].isdigit():
            return int(code[5:])
    return None


def _grid(item: Item) -> tuple[list[float], list[int]] | None:
    """Transform and shape (y, x) of the item's pixels, of the item or of its finest asset."""
    grids = []
    for holder in (item.get("properties") or {}, *(item.get("assets") or {}).values()):
        transform, shape = holder.get("proj:transform"), holder.get("proj:shape")
        if transform is not None and shape is not None and len(shape) == 2:
            grids.append(([float(v) for v in transform][:6], [int(v) for v in shape]))
    return min(grids, key=lambda grid: abs(grid[0][0])) if grids else None


def _extent(item: Item, epsg: int | None) -> BaseGeometry | None:
    grid = _grid(item)
    return None if epsg is None or grid is None else grid_outline(epsg, *grid)


def _footprint(item: Item) -> BaseGeometry:
    """Ground with data, from the geometry or else the bounding box.

    Archives hold geometries with empty rings and the like: those are none.
    """
    if stated := item.get("geometry"):
        with suppress(ValueError, TypeError, KeyError, IndexError, shapely.GEOSException):
            ground = split_at_180(shapely.geometry.shape(stated))
            if ground.area:
                return ground
    box = list(item.get("bbox") or ())
    if len(box) not in (4, 6):
        _refuse(item, "neither a geometry nor a bounding box")
    west, south, east, north = box if len(box) == 4 else (*box[:2], *box[3:5])
    return split_at_180(shapely.box(west, south, east + 360 * (east < west), north))


def _time(item: Item) -> datetime:
    try:
        moment = time_of(item)
    except ValueError:
        moment = None
    return moment or _refuse(item, "no datetime that can be read")


def _cloud(properties: Mapping[str, Any]) -> float | None:
    cover = number(properties.get("eo:cloud_cover"))
    return cover if cover is not None and 0 <= cover <= 100 else None


def _place(item: Item, sensor: Sensor, epsg: int | None, footprint: BaseGeometry) -> str:
    """The unit of the choice; where nothing states it, a name of the grid, or of the ground."""
    properties = item.get("properties") or {}
    orbit = number(properties.get("sat:relative_orbit"))
    if sensor is Sensor.RADAR and orbit is not None:
        return f"R{int(orbit):03d}"
    if sensor is Sensor.OPTICAL and (tile := _mgrs_tile(item)):
        return tile
    if epsg is not None and (grid := _grid(item)):
        (_, _, left, _, _, top), (height, width) = grid
        return f"{epsg}_{left:.0f}_{top:.0f}_{width}x{height}"
    west, south, east, north = footprint.bounds
    return f"{west:.3f}_{south:.3f}_{east:.3f}_{north:.3f}"


def _mgrs_tile(item: Item) -> str | None:
    """The tile's name, such as 32TNT, in any of the ways archives write it."""
    properties = item.get("properties") or {}
    stated = properties.get("s2:mgrs_tile") or properties.get("grid:code")
    if _text(stated):
        return str(stated).upper().removeprefix("MGRS-").removeprefix("T").zfill(5)
    for prefix in ("mgrs", "sentinel"):
        band = properties.get(f"{prefix}:latitude_band")
        square = properties.get(f"{prefix}:grid_square")
        zone = properties.get(f"{prefix}:utm_zone") or (_epsg(item) or 0) % 100
        if band and square and zone:
            return f"{int(zone):02d}{band}{square}"
    match = _TILE_IN_NAME.search(f"_{item.get('id')}_")
    return match[1] if match else None


def _datatake(item: Item, sensor: Sensor, moment: datetime) -> str:
    """A name that the scenes of one overpass share, without the baseline they are made with."""
    properties, names = item.get("properties") or {}, _names(item)
    platform = (_text(properties.get("platform")) or sensor.value).lower()
    if sensor is Sensor.OPTICAL:
        if stated := _text(properties.get("s2:datatake_id")):
            return re.sub(r"_N\d\d\.\d\d$", "", stated)
        if match := _TAKE_IN_NAME.search(names):
            return f"G{match[1]}_{match[2]}"
    else:
        if match := _RADAR_TAKE_IN_NAME.search(names):
            return f"{match[1]}_{match[2]}_{match[3]}"
        orbit = number(properties.get("sat:absolute_orbit"))
        if orbit is not None:
            return f"{platform}_{int(orbit):06d}"
    # Scenes of one overpass are minutes apart; those of two satellites or two passes are not.
    return f"{platform}_{moment:%Y%m%dT%H}"


def _names(item: Item) -> str:
    """The product's and the item's names, which repeat facts that properties may lack."""
    properties = item.get("properties") or {}
    return (
        f"{properties.get('s2:product_uri')} {properties.get('sentinel:product_id')} {item['id']}"
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _refuse(item: Item, lack: str) -> NoReturn:
    raise ArchiveError(
        f"item {item.get('id')} of {item.get('collection')} has {lack}; leave it out of the archive"
        " or mend its metadata"
    )
