"""Countries: what `--country` accepts, and the ground each one covers.

Boundaries are OpenStreetMap's of 2017, simplified to 50 m and stored to 5.6 m; the coast itself is
coarser (docs/decisions/0001-country-boundaries.md). For official borders give a file of your own,
see `mapper.land.area`.

One code, one ground: a territory with an ISO 3166-1 code of its own is never part of another
country. FRA is metropolitan France with Corsica, and French Guiana is GUF.
"""

from __future__ import annotations

import difflib
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pyproj import Geod
from shapely import MultiPolygon, Polygon
from shapely.geometry.polygon import orient

from mapper.errors import RequestError
from mapper.land import boundaries
from mapper.land.iso3166 import ENTRIES, OTHER_NAMES, Entry

BOUNDARIES = Path(__file__).with_name("boundaries.xz")
"""The packaged file, written by mapper/land/build_boundaries.py."""

_WGS84 = Geod(ellps="WGS84")
_NEAR_ENOUGH = 0.6  # difflib's ratio; lower brings names that look nothing alike


@dataclass(frozen=True, slots=True)
class Country:
    """A country and its ground."""

    code: str
    """ISO 3166-1 alpha-3, such as LUX; XKX is Kosovo."""
    alpha2: str
    """ISO 3166-1 alpha-2, such as LU."""
    name: str
    """English short name."""
    geometry: MultiPolygon
    """lon/lat in degrees (EPSG:4326), valid; parts east and west of 180 degrees are apart."""

    def __post_init__(self) -> None:
        """Refuse what no caller could use."""
        if len(self.code) != 3 or len(self.alpha2) != 2 or self.geometry.is_empty:
            raise ValueError(f"not a country: {self.code!r}, {self.alpha2!r}, {self.name!r}")


@dataclass(frozen=True, slots=True)
class CountryFact:
    """One line of `mapper countries`: what is known without reading a boundary."""

    code: str
    """ISO 3166-1 alpha-3."""
    alpha2: str
    """ISO 3166-1 alpha-2."""
    name: str
    """English short name."""
    area_km2: float
    """Geodesic area of the packaged boundary on WGS 84, inland water included."""


def country(text: str) -> Country:
    """The country that a code or an English name means; case and accents don't matter.

    Raises:
        RequestError: no such country; the message names the nearest ones.
    """
    code = _codes().get(_plain(text))
    if code is None:
        raise RequestError(_no_country(text))
    start, places = _index()
    entry = _entries()[code]
    shape = boundaries.read(BOUNDARIES, start, places[code])
    return Country(entry.code, entry.alpha2, entry.name, shape)


def countries() -> list[CountryFact]:
    """All 250 countries in the order of their codes; reads no boundary."""
    _, places = _index()
    return [CountryFact(e.code, e.alpha2, e.name, places[e.code].area_km2) for e in ENTRIES]


def area_km2(geometry: MultiPolygon | Polygon) -> float:
    """Area on the WGS 84 ellipsoid (Karney's method, by PROJ) of a lon/lat geometry, in km2."""
    polygons = geometry.geoms if isinstance(geometry, MultiPolygon) else [geometry]
    return sum(float(_WGS84.geometry_area_perimeter(orient(p))[0]) for p in polygons) / 1e6


def _no_country(text: str) -> str:
    near = difflib.get_close_matches(_plain(text), _codes(), n=6, cutoff=_NEAR_ENOUGH)
    found = dict.fromkeys(_codes()[key] for key in near)
    known = " or ".join(f"{code} ({_entries()[code].name})" for code in list(found)[:3])
    question = f"; did you mean {known}?" if known else "; give an ISO 3166-1 code or a name."
    return f'no country "{text}"{question} "mapper countries" lists all'


def _plain(text: str) -> str:
    """Lower case without accents and outer spaces, so that "Åland islands" finds ALA."""
    split = unicodedata.normalize("NFKD", text)
    bare = "".join(letter for letter in split if not unicodedata.combining(letter))
    return " ".join(bare.casefold().split())


@cache
def _entries() -> dict[str, Entry]:
    return {entry.code: entry for entry in ENTRIES}


@cache
def _codes() -> dict[str, str]:
    """{anything accepted, in plain letters: alpha-3 code}."""
    accepted = {_plain(name): code for name, code in OTHER_NAMES.items()}
    for entry in ENTRIES:
        accepted |= dict.fromkeys(map(_plain, entry), entry.code)
    return accepted


@cache
def _index() -> tuple[int, dict[str, boundaries.Place]]:
    return boundaries.read_index(BOUNDARIES)
