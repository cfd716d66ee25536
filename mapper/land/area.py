"""The area to map: a country's ground, or one polygon out of a file of the user's own.

Whatever the source, an Area is polygons in lon/lat between 180 W and 180 E, cut there if need be,
and between the latitudes where UTM has zones.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from shapely import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from mapper.errors import RequestError
from mapper.land.countries import Country
from mapper.land.grid import NORTH_LIMIT_DEG, SOUTH_LIMIT_DEG

LON_LAT = "EPSG:4326"
_ID_COLUMNS = ("id", "fid", "name")  # in this order; case does not matter
_IDS_SHOWN = 5
_NAME_LENGTH = 64  # characters; names become file names with suffixes added
_EDGE_M = 1000.0  # a longer straight edge of a projected file would miss its place by a pixel
_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Area:
    """What to map."""

    name: str
    """Letters, digits, `.`, `_`, `-`; names the products."""
    title: str
    """What a reader sees: a country's name, or the feature's own id."""
    geometry: MultiPolygon
    """lon/lat in degrees (EPSG:4326), valid, within 180 W..180 E and 80 S..84 N."""

    def __post_init__(self) -> None:
        """Refuse names that are no file name, and areas that have no UTM zone."""
        if not _SAFE_NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} cannot name a product")
        west, south, east, north = self.geometry.bounds
        if self.geometry.is_empty or west < -180 or east > 180:
            raise ValueError(f"{self.name}: longitudes {west}..{east} are not cut at 180")
        if north > NORTH_LIMIT_DEG or south < SOUTH_LIMIT_DEG:
            reach = f"{north:.2f} N" if north > NORTH_LIMIT_DEG else f"{-south:.2f} S"
            raise RequestError(
                f"{self.title} reaches {reach}, but UTM ends at {NORTH_LIMIT_DEG:.0f} N and "
                f"{-SOUTH_LIMIT_DEG:.0f} S and mapper maps no polar areas; cut the area there "
                "and give it with --aoi"
            )


def area_of(country: Country) -> Area:
    """The whole ground of a country, named by its code.

    Raises:
        RequestError: the country reaches beyond UTM (Antarctica).
    """
    return Area(country.code, country.name, country.geometry)


def area_from_file(path: Path, feature_id: str | None = None) -> Area:
    """The one polygon feature of a GeoJSON or GeoPackage file, or the one called `feature_id`.

    The id of a feature is its property `id`, else `fid`, else `name`, else its number in the file.

    Raises:
        RequestError: no such file or feature, several features and no id, not polygons, polar.
    """
    table = _read(path)
    row = _choose(table, path, feature_id)
    title = path.stem if feature_id is None else feature_id
    where = path.name if feature_id is None else f"{feature_id} in {path.name}"
    geometry = lon_lat_polygons(table.geometry.iloc[row], table.crs, where)
    return Area(_file_name(title), title, geometry)


def lon_lat_polygons(geometry: BaseGeometry | None, crs: Any, where: str) -> MultiPolygon:
    """Any polygonal geometry as valid lon/lat polygons, cut at 180 degrees.

    Args:
        geometry: 2D or 3D, valid or not.
        crs: its coordinate reference system, in any form that pyproj takes.
        where: what to call it in an error message.

    Raises:
        RequestError: not polygons, empty, not finite, or longitudes nobody could place.
    """
    if geometry is None or geometry.is_empty:
        raise RequestError(f"{where} is empty; give a polygon")
    if geometry.geom_type not in ("Polygon", "MultiPolygon"):
        raise RequestError(f"{where} is a {geometry.geom_type}; give a Polygon or MultiPolygon")
    flat = shapely.force_2d(geometry)
    _check_finite(flat, where)
    if CRS.from_user_input(crs).is_projected:
        polygons = polygons_in(unproject(flat, CRS.from_user_input(crs), where))
    else:
        polygons = polygons_in(_geographic(flat, crs))
        _check_degrees(polygons, where)
    merged = polygons_in(shapely.union_all([wrap(polygon) for polygon in polygons]))
    if not merged:
        raise RequestError(f"{where} covers no ground; give a polygon with an area")
    return MultiPolygon(merged)


def polygons_in(geometry: BaseGeometry) -> list[Polygon]:
    """The polygons of a geometry, mended where invalid, without what has no area."""
    pieces = shapely.get_parts(geometry)
    while any(hasattr(piece, "geoms") or not piece.is_valid for piece in pieces):
        pieces = shapely.get_parts(shapely.make_valid(pieces))
    return [piece for piece in pieces if piece.geom_type == "Polygon" and not piece.is_empty]


def unproject(geometry: BaseGeometry, crs: CRS, where: str) -> BaseGeometry:
    """A projected geometry in lon/lat, its long edges bent; longitudes may run past 180.

    Straight edges are straight in the projection, so they get points every kilometre first. A ring
    that crosses 180 degrees comes back from PROJ with a jump; its western longitudes are lifted.
    """
    unit_m = crs.axis_info[0].unit_conversion_factor
    dense = shapely.segmentize(geometry, _EDGE_M / unit_m)
    to_lon_lat = Transformer.from_crs(crs, LON_LAT, always_xy=True)
    try:
        points = shapely.transform(dense, lambda xy: _transform(to_lon_lat, xy))
    except ProjError as error:
        raise RequestError(f"{where} lies outside its projection: {error}") from error
    _check_finite(points, where)
    return shapely.transform(points, _lift) if _longest_step_deg(points) > 180 else points


def wrap(polygon: Polygon) -> BaseGeometry:
    """The polygon cut at 180 degrees, every piece moved to 180 W..180 E."""
    west, _, east, _ = polygon.bounds
    if west >= -180 and east <= 180:
        return polygon
    turns = range(int((west + 180) // 360), int((east + 180) // 360) + 1)
    pieces = []
    for turn in turns:
        left = -180 + 360 * turn
        piece = polygon.intersection(shapely.box(left, -90, left + 360, 90))
        pieces.append(shapely.transform(piece, lambda xy, turn=turn: xy - [360 * turn, 0]))
    return shapely.union_all(pieces)


def _read(path: Path) -> Any:
    """The file as a GeoDataFrame with feature numbers as index."""
    if not path.is_file():
        raise RequestError(f"no file {path}; --aoi wants a GeoJSON or GeoPackage file")
    try:
        layers = [name for name, kind in pyogrio.list_layers(path) if kind is not None]
        if len(layers) > 1:
            raise RequestError(
                f"{path.name} has {len(layers)} layers ({', '.join(layers[:_IDS_SHOWN])}); "
                "save the one to map as a file of its own"
            )
        table = pyogrio.read_dataframe(path, fid_as_index=True)
    except (DataSourceError, DataLayerError) as error:
        raise RequestError(
            f"cannot read {path.name} as GeoJSON or GeoPackage: {_one_line(error)}"
        ) from error
    if len(table) == 0 or "geometry" not in table.columns:
        raise RequestError(f"{path.name} holds no feature with a geometry; give a polygon")
    if table.crs is None:
        raise RequestError(f"{path.name} names no coordinate reference system; add one to the file")
    return table


def _choose(table: Any, path: Path, feature_id: str | None) -> int:
    """The row of the feature asked for."""
    names = _identifiers(table)
    if feature_id is None:
        if len(table) == 1:
            return 0
        shown = ", ".join(names[0][:_IDS_SHOWN])
        more = ", ..." if len(table) > _IDS_SHOWN else ""
        raise RequestError(
            f"{path.name} has {len(table)} features; choose one with --aoi-id: {shown}{more}"
        )
    for column in names:
        rows = [row for row, name in enumerate(column) if name == feature_id]
        if len(rows) > 1:
            raise RequestError(
                f'id "{feature_id}" names {len(rows)} features of {path.name}; make ids unique'
            )
        if rows:
            return rows[0]
    near = difflib.get_close_matches(feature_id, names[0], n=3, cutoff=0.0)
    raise RequestError(
        f'no feature "{feature_id}" among the {len(table)} of {path.name}; '
        f"nearest: {', '.join(near)}"
    )


def _identifiers(table: Any) -> list[list[str]]:
    """What the features may be called, best first: the id columns, then their numbers."""
    found = {str(column).casefold(): column for column in table.columns}
    columns = [found[name] for name in _ID_COLUMNS if name in found]
    return [[_text(value) for value in table[column]] for column in columns] + [
        [_text(value) for value in table.index]
    ]


def _text(value: Any) -> str:
    """An id as a person types it: 7, not 7.0."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _file_name(title: str) -> str:
    """The title with everything but letters, digits, `.`, `_`, `-` made a dash."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", title).strip(".-")
    return safe[:_NAME_LENGTH].rstrip(".-") or "area"


def _geographic(geometry: BaseGeometry, crs: Any) -> BaseGeometry:
    """Degrees of any datum as WGS 84 degrees; untouched where they are already."""
    source = CRS.from_user_input(crs)
    if source.equals(CRS.from_user_input(LON_LAT), ignore_axis_order=True):
        return geometry
    to_lon_lat = Transformer.from_crs(source, LON_LAT, always_xy=True)
    return shapely.transform(geometry, lambda xy: _transform(to_lon_lat, xy))


def _transform(transformer: Transformer, xy: Any) -> Any:
    return np.column_stack(transformer.transform(xy[:, 0], xy[:, 1], errcheck=True))


def _lift(xy: Any) -> Any:
    """Western longitudes moved on by a turn."""
    return np.column_stack([np.where(xy[:, 0] < 0, xy[:, 0] + 360, xy[:, 0]), xy[:, 1]])


def _longest_step_deg(geometry: BaseGeometry) -> float:
    """The longest change of longitude between two points of one ring."""
    rings = shapely.get_rings(shapely.get_parts(geometry))
    points, ring = shapely.get_coordinates(rings, return_index=True)
    steps = np.abs(np.diff(points[:, 0]))[np.diff(ring) == 0]
    return float(steps.max(initial=0.0))


def _check_finite(geometry: BaseGeometry, where: str) -> None:
    if not np.isfinite(shapely.get_coordinates(geometry)).all():
        raise RequestError(f"{where} has coordinates that are no numbers; repair the file")


def _check_degrees(polygons: list[Polygon], where: str) -> None:
    """Refuse metres labelled as degrees, and rings that jump across 180 degrees."""
    for polygon in polygons:
        west, south, east, north = polygon.bounds
        if max(-south, north) > 90 or max(-west, east) > 540:
            raise RequestError(
                f"{where} has coordinates such as ({west:.6g}, {south:.6g}), which are no degrees; "
                "state the file's real coordinate reference system"
            )
        if 180 < _longest_step_deg(polygon) < 360:
            raise RequestError(
                f"{where} jumps between east and west of 180 degrees; cut it there, or let its "
                "longitudes run on (181 instead of -179)"
            )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
