"""Build boundaries.xz, the packaged file of country boundaries; run by hand per source release.

    npm pack @geo-maps/countries-coastline-50m@0.6.0    # unpack into countries/
    npm pack @geo-maps/earth-coastlines-50m@0.6.0       # unpack into coastlines/
    pip download --no-deps --no-binary quackosm quackosm==0.19.0    # unpack into quackosm/
    python -m mapper.land.build_boundaries \\
        countries/package/map.geo.json coastlines/package/map.geo.json \\
        quackosm/tests/test_files/monaco.osm.pbf quackosm/tests/test_files/monaco_boundary.geojson

The first two are OpenStreetMap of 2017, simplified to 50 m, the others its Monaco of 2023 in full
(ODbL, see DATA-LICENSE). The same files and the same release of GEOS give the same bytes, in about
five minutes. What is mended, and why, is in docs/decisions/0001-country-boundaries.md; what was
done is logged.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import shapely
from shapely import MultiPolygon, Point, Polygon, STRtree, box
from shapely.geometry import shape

from mapper.land.boundaries import UNITS_PER_DEGREE, read, read_index, write
from mapper.land.build_monaco import read_border, read_coast, redraw_monaco
from mapper.land.countries import BOUNDARIES, area_km2
from mapper.land.iso3166 import ENTRIES

LOG = logging.getLogger(__name__)

NOTE = (
    "Contains information from OpenStreetMap (openstreetmap.org/copyright), made available under "
    "the Open Database License 1.0; by way of @geo-maps/countries-coastline-50m 0.6.0 and, for "
    "Monaco, an extract by Geofabrik of 2023-12-26 in quackosm 0.19.0; changed as "
    "docs/decisions/0001-country-boundaries.md says."
)

OWN_CODE = {
    "AUS": ["CCK", "CXR", "HMD", "NFK"],
    "CHN": ["HKG", "MAC", "TWN"],
    "DNK": ["FRO", "GRL"],
    "FIN": ["ALA"],
    "FRA": [
        *("ATF", "BLM", "GLP", "GUF", "MAF", "MTQ", "MYT"),
        *("NCL", "PYF", "REU", "SPM", "WLF"),
    ],
    "NLD": ["ABW", "BES", "CUW", "SXM"],
    "NOR": ["BVT", "SJM"],
    "NZL": ["COK", "NIU", "TKL"],
    "USA": ["ASM", "GUM", "MNP", "PRI", "UMI", "VIR"],
}
"""{outline: territories in it that have an ISO code of their own and keep their ground}."""

ISO_CLAIMS = {"MAR": ["ESH"], "RUS": ["UKR"]}
"""{outline: who keeps shared ground}. The source draws Western Sahara inside Morocco, and Crimea
inside Ukraine and Russia both. ISO 3166 has a code for the one (ESH) and lists the other as part of
UKR (UA-43, UA-40)."""

WHOLE_ISLANDS = {"FJI": Point(179.2, -16.6), "CYP": Point(33.2, 35.0)}
"""{country: lon, lat of an island of which it gets all}. Fiji lacks Vanua Levu in the source, and
Cyprus two military base areas that have no code of their own."""

LEFT_OUT = {"FRA": box(-110, 10, -109, 11)}
"""{country: ground of which it gets nothing}. Clipperton, an empty atoll of 8 km2 without a code of
its own, would make every map of France reach across the Atlantic into the Pacific."""

KEEPS = {small: big for table in (OWN_CODE, ISO_CLAIMS) for big in table for small in table[big]}

SAME_AREA = 0.01  # two outlines of one island differ by less than this share
CRUMB_DEG2 = 1e-8  # about 100 m2, one pixel: what is smaller came from cutting
SLIVER_DEG2 = 1e-12  # neighbours that only touch overlap by rounding, about 0.01 m2


class Part(NamedTuple):
    """One polygon of one country."""

    code: str
    polygon: Polygon
    country_deg2: float  # area of all the country's polygons, degrees squared


class Sources(NamedTuple):
    """The files that are read."""

    countries: Path  # every country's polygons, GeoJSON
    coastlines: Path  # all the land of the world, GeoJSON
    extract: Path  # OpenStreetMap's Monaco, for its coastline
    border: Path  # Monaco's border round land and harbours, GeoJSON


def polygons_of(geometry: Any) -> list[Polygon]:
    """The polygons in any geometry, mended where invalid; lines and points are left out.

    Polygon by polygon: mending a whole country at once takes minutes where this takes seconds.
    """
    if geometry.geom_type == "Polygon":
        if geometry.is_empty:
            return []
        return [geometry] if geometry.is_valid else polygons_of(shapely.make_valid(geometry))
    if hasattr(geometry, "geoms"):
        return [polygon for piece in geometry.geoms for polygon in polygons_of(piece)]
    return []


def load_countries(path: Path) -> dict[str, list[Polygon]]:
    """{alpha-3: polygons} of the source, each polygon valid."""
    features = json.loads(path.read_text())["features"]
    found = {f["properties"]["A3"]: polygons_of(shape(f["geometry"])) for f in features}
    for code, ground in LEFT_OUT.items():
        found[code] = [polygon for polygon in found[code] if not polygon.intersects(ground)]
    return found


def load_islands(path: Path) -> dict[str, Polygon]:
    """{code: the whole island} for WHOLE_ISLANDS, out of all the land of the coastline set."""
    land = shapely.get_parts([shape(g) for g in json.loads(path.read_text())["geometries"]])
    tree = STRtree(land)
    found = {}
    for code, point in WHOLE_ISLANDS.items():
        near = [polygon for k in tree.query(point) for polygon in polygons_of(land[k])]
        (found[code],) = (polygon for polygon in near if polygon.contains(point))
    return found


def complete_islands(
    countries: dict[str, list[Polygon]], islands: dict[str, Polygon]
) -> dict[str, list[Polygon]]:
    """The same countries, those of `islands` with the rest of their island."""
    completed = dict(countries)
    for code, island in islands.items():
        completed[code] = polygons_of(shapely.union_all([*countries[code], island]))
        before, after = (area_km2(MultiPolygon(c[code])) for c in (countries, completed))
        LOG.info("%s: completed by %.0f km2 of unclaimed land", code, after - before)
    return completed


def gives_way(a: Part, b: Part) -> bool:
    """Whether `a` loses the ground that both claim; exactly one of two parts does.

    KEEPS decides first. Then the smaller outline keeps it: an enclave inside a country drawn
    without the hole (Lesotho, San Marino, Madha), or the tighter of two claims.
    """
    if KEEPS.get(a.code) == b.code or KEEPS.get(b.code) == a.code:
        return KEEPS.get(b.code) == a.code
    area_a, area_b = a.polygon.area, b.polygon.area
    if abs(area_a - area_b) <= SAME_AREA * max(area_a, area_b):
        return (a.country_deg2, a.code) > (b.country_deg2, b.code)
    return bool(area_a > area_b)


def settle(countries: dict[str, list[Polygon]]) -> dict[str, list[Polygon]]:
    """The same countries without shared ground."""
    size = {code: sum(p.area for p in polygons) for code, polygons in countries.items()}
    parts = [Part(code, p, size[code]) for code, polygons in countries.items() for p in polygons]
    outlines = [part.polygon for part in parts]
    shapely.prepare(outlines)
    lost: dict[int, list[Polygon]] = defaultdict(list)
    shared_km2: dict[tuple[str, str], float] = defaultdict(float)
    for i, j in STRtree(outlines).query(outlines).T:
        a, b = parts[i], parts[j]
        if a.code == b.code or not gives_way(a, b) or not a.polygon.intersects(b.polygon):
            continue
        overlap = polygons_of(a.polygon.intersection(b.polygon))
        if sum(piece.area for piece in overlap) > SLIVER_DEG2:
            lost[int(i)].append(b.polygon)
            shared_km2[b.code, a.code] += area_km2(MultiPolygon(overlap))
    report_shared(shared_km2)
    settled: dict[str, list[Polygon]] = {code: [] for code in countries}
    for k, part in enumerate(parts):
        rest = part.polygon.difference(shapely.union_all(lost[k])) if k in lost else part.polygon
        settled[part.code] += polygons_of(rest)
    return settled


def report_shared(shared_km2: dict[tuple[str, str], float], least_km2: float = 20) -> None:
    """Log who kept what that two countries were given."""
    for (winner, loser), area in sorted(shared_km2.items(), key=lambda pair: -pair[1]):
        if area >= least_km2:
            LOG.info("%s: keeps %.0f km2 that %s has too", winner, area, loser)


def on_grid(polygons: Iterable[Polygon]) -> MultiPolygon:
    """The polygons with every point on the file's grid: merged, valid, without crumbs."""
    rounded = shapely.set_precision(shapely.union_all(list(polygons)), 1 / UNITS_PER_DEGREE)
    kept = [polygon for polygon in polygons_of(rounded) if polygon.area > CRUMB_DEG2]
    return MultiPolygon(sorted(kept, key=lambda polygon: (-polygon.area, polygon.bounds)))


def build(sources: Sources, out: Path) -> None:
    """Read the sources, mend, and write the file."""
    countries = load_countries(sources.countries)
    codes = {entry.code for entry in ENTRIES}
    if set(countries) != codes:
        raise SystemExit(f"codes differ from ISO 3166-1: {sorted(set(countries) ^ codes)}")
    border, coast = read_border(sources.border), read_coast(sources.extract)
    redrawn = redraw_monaco(countries, border, coast)
    completed = complete_islands(redrawn, load_islands(sources.coastlines))
    settled = {code: on_grid(polygons) for code, polygons in settle(completed).items()}
    write(out, {code: (shape, area_km2(shape)) for code, shape in settled.items()}, NOTE)
    start, places = read_index(out)
    for code, place in places.items():
        if not (stored := read(out, start, place)).is_valid or not stored.equals_exact(
            settled[code]
        ):
            raise SystemExit(f"{code} did not survive packing: {shapely.is_valid_reason(stored)}")
    LOG.info("%s: %d countries, %.2f MB", out.name, len(places), out.stat().st_size / 1e6)


def main() -> None:
    """Parse the paths and build."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("countries", type=Path, help="map.geo.json of countries-coastline-50m")
    parser.add_argument("coastlines", type=Path, help="map.geo.json of earth-coastlines-50m")
    parser.add_argument("extract", type=Path, help="monaco.osm.pbf of quackosm")
    parser.add_argument("border", type=Path, help="monaco_boundary.geojson of quackosm")
    parser.add_argument("--out", type=Path, default=BOUNDARIES)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    sources = (arguments.countries, arguments.coastlines, arguments.extract, arguments.border)
    build(Sources(*sources), arguments.out)


if __name__ == "__main__":
    main()
