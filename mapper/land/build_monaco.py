"""Monaco's land, from OpenStreetMap's own border and coastline; a step of build_boundaries.py.

The source of all other outlines draws coasts with a point every half kilometre, straight across
Monaco's harbours: 5 % of the country. An extract of OpenStreetMap has every quay, and says by the
direction of a coastline on which side of it the land lies.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyogrio
import shapely
from shapely import LineString, MultiPolygon, Polygon
from shapely.geometry import shape

from mapper.land.countries import area_km2

LOG = logging.getLogger(__name__)

# GDAL by its own settings takes a closed way with `natural` for an area and then drops it where it
# is a coastline: every islet would be lost. Here only `aeroway` makes areas, so coasts stay lines.
GDAL_SETTINGS = "closed_ways_are_polygons=aeroway\n[lines]\nosm_id=yes\nattributes=natural\n"

GRID_DEG = 1e-6  # about 0.1 m: lines closer than this are one, or they would enclose slivers
ASIDE_DEG = 5e-6  # about 0.5 m: how far from the coastline to ask which face lies on a side


def read_coast(path: Path) -> list[LineString]:
    """The coastline in an OpenStreetMap extract (.osm.pbf or .osm): lon/lat, land on the left."""
    with TemporaryDirectory() as folder:
        settings = Path(folder) / "osm.ini"
        settings.write_text(GDAL_SETTINGS)
        _, _, lines, _ = pyogrio.raw.read(
            path, layer="lines", where="natural = 'coastline'", CONFIG_FILE=str(settings)
        )
    if not len(lines):
        raise SystemExit(f"no way of {path} is a coastline; give the extract of Monaco")
    return list(shapely.from_wkb(lines))


def read_border(path: Path) -> Polygon:
    """The country with its harbours, lon/lat, from a GeoJSON file that holds nothing else."""
    (feature,) = json.loads(path.read_text())["features"]
    return Polygon(shape(feature["geometry"]))


def faces(lines: Sequence[shapely.Geometry]) -> list[Polygon]:
    """What the lines cut the plane into; ends that lead nowhere are dropped."""
    noded = shapely.union_all(lines, grid_size=GRID_DEG)
    return list(shapely.get_parts(shapely.polygonize(shapely.get_parts(noded))))


def on_land(face: Polygon, coast: Sequence[LineString]) -> bool:
    """Whether a face cut along the coast is land; one that meets no coast is.

    OpenStreetMap draws coastlines with the land on their left (wiki, Tag:natural=coastline), so the
    face is land where a greater length of coast has it on the left than on the right.
    """
    points = [shapely.get_coordinates(line) for line in coast]
    step = np.concatenate([np.diff(xy, axis=0) for xy in points])
    middle = np.concatenate([xy[:-1] for xy in points]) + step / 2
    length = np.hypot(step[:, 0], step[:, 1])  # degrees; only compared
    to_left = step[:, ::-1] * (-1, 1) / np.maximum(length, GRID_DEG)[:, None] * ASIDE_DEG
    left = length[shapely.contains_xy(face, middle + to_left)].sum()
    right = length[shapely.contains_xy(face, middle - to_left)].sum()
    return bool(left >= right)


def land_within(border: Polygon, coast: Sequence[LineString]) -> list[Polygon]:
    """The land between a border and the coast.

    Ground won from the sea since the border was drawn counts: it lies outside the border, inside
    the coast. So the coast may go on along the neighbour's shore, but has to leave it open.
    """
    return [face for face in faces([border.exterior, *coast]) if on_land(face, coast)]


def land_beyond(
    outline: MultiPolygon, territory: MultiPolygon, coast: Sequence[LineString]
) -> list[Polygon]:
    """The land that an old outline had outside the territory; sea that it had is left out."""
    found = []
    for face in faces([outline.boundary, territory.boundary, *coast]):
        inside = face.representative_point()
        if outline.contains(inside) and not territory.contains(inside) and on_land(face, coast):
            found.append(face)
    return found


def redraw_monaco(
    countries: Mapping[str, list[Polygon]], border: Polygon, coast: Sequence[LineString]
) -> dict[str, list[Polygon]]:
    """The same countries, MCO drawn anew and FRA with the land that MCO had beyond its border.

    Without the latter a strip of up to 50 m between the two borders would be nobody's. What FRA
    has inside the new border it loses later, as any large outline does to a small one.
    """
    land = land_within(border, coast)
    territory = shapely.union_all([border, *land])
    beyond = land_beyond(shapely.union_all(countries["MCO"]), territory, coast)
    areas = (area_km2(MultiPolygon(ground)) for ground in (countries["MCO"], land, beyond))
    LOG.info("MCO: had %.3f km2, has %.3f of land; FRA: given %.3f", *areas)
    return {**countries, "MCO": land, "FRA": [*countries["FRA"], *beyond]}
