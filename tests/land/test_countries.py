"""Every country has one right outline of its own, found by any name a person would type."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import MultiPolygon, Point, Polygon, STRtree, box

from mapper.errors import RequestError
from mapper.land import boundaries
from mapper.land.countries import BOUNDARIES, Country, area_km2, countries, country
from mapper.land.iso3166 import ENTRIES, OTHER_NAMES

# Official figures in km2, and the share that our outline may differ by. Statistical offices: STATEC
# (LUX), Amt fuer Statistik (LIE), Ufficio di Statistica (SMR), Bundesamt fuer Statistik (CHE), Fiji
# Bureau of Statistics (FJI), NSO (MLT), Republic of Cyprus, whole island (CYP), INSEE (FRA), IMSEE,
# with the ground won from the sea since 2017 (MCO).
OFFICIAL_KM2 = {
    "LUX": (2586.4, 0.01),
    "LIE": (160.5, 0.01),
    "SMR": (61.2, 0.01),
    "CHE": (41_285, 0.01),
    "FJI": (18_274, 0.03),
    "MLT": (316, 0.01),
    "CYP": (9_251, 0.01),
    "FRA": (551_500, 0.01),
    "MCO": (2.08, 0.01),
}


@pytest.fixture(scope="module")
def all_shapes() -> dict[str, MultiPolygon]:
    start, places = boundaries.read_index(BOUNDARIES)
    return {code: boundaries.read(BOUNDARIES, start, place) for code, place in places.items()}


def test_there_are_249_countries_and_kosovo() -> None:
    facts = countries()
    assert len(facts) == 250
    for values in zip(*((f.code, f.alpha2, f.name) for f in facts), strict=True):
        assert len(set(values)) == 250
    assert [f.code for f in facts] == sorted(f.code for f in facts)
    assert all(f.code.isupper() and len(f.code) == 3 and len(f.alpha2) == 2 for f in facts)
    assert set(OTHER_NAMES.values()) <= {f.code for f in facts}


def test_the_file_fits_and_covers_every_code() -> None:
    assert BOUNDARIES.stat().st_size <= 6_000_000
    assert set(boundaries.read_index(BOUNDARIES)[1]) == {entry.code for entry in ENTRIES}


@pytest.mark.parametrize("code", OFFICIAL_KM2)
def test_areas_are_the_official_ones(code: str) -> None:
    official, share = OFFICIAL_KM2[code]
    assert area_km2(country(code).geometry) == pytest.approx(official, rel=share)


def test_monacos_harbours_are_nobodys_and_its_border_leaves_no_gap() -> None:
    """Monaco's outline has another source than France's; slivers of rounding stay below a pixel."""
    monaco = country("MCO").geometry
    around = monaco.envelope.buffer(0.005)
    both = monaco.union(country("FRA").geometry.intersection(around))
    for harbour in (Point(7.4267, 43.7352), Point(7.4206, 43.7292)):
        assert not both.intersects(harbour)
    for ground in (Point(7.4246, 43.7311), Point(7.4325, 43.7421)):  # the rock; won since 2017
        assert monaco.contains(ground)
    mainland = max(both.geoms, key=lambda part: part.area)
    assert mainland.intersection(monaco).area > 0.99 * monaco.area
    for hole in mainland.interiors:
        assert area_km2(MultiPolygon([Polygon(hole)])) < 1e-4


def test_listed_areas_are_those_of_the_outlines(all_shapes: dict[str, MultiPolygon]) -> None:
    for fact in countries():
        if fact.area_km2 < 500_000:  # the great ones take seconds and say no more
            assert fact.area_km2 == pytest.approx(area_km2(all_shapes[fact.code]), abs=1e-3)


def test_outlines_are_valid_and_inside_the_world(all_shapes: dict[str, MultiPolygon]) -> None:
    for code, shape in all_shapes.items():
        assert isinstance(shape, MultiPolygon) and not shape.is_empty, code
        west, south, east, north = shape.bounds
        assert west >= -180 and east <= 180 and south >= -90 and north <= 90, code
        assert shape.is_valid, (code, shapely.is_valid_reason(shape))


def test_no_ground_belongs_to_two_countries(all_shapes: dict[str, MultiPolygon]) -> None:
    """Neighbours share rounding slivers: 0.01 % of the smaller at most, or a hectare."""
    parts = np.array([part for shape in all_shapes.values() for part in shape.geoms], dtype=object)
    codes = np.repeat(list(all_shapes), [len(shape.geoms) for shape in all_shapes.values()])
    a, b = STRtree(parts).query(parts)
    larger = shapely.get_num_coordinates(parts[a]) >= shapely.get_num_coordinates(parts[b])
    a, b = (side[larger & (codes[a] != codes[b])] for side in (a, b))
    shapely.prepare(parts[np.unique(a)])  # the larger side, or each test walks all its border
    meets = shapely.intersects(parts[a], parts[b])
    shared: dict[tuple[str, ...], float] = {}
    for i, j in zip(a[meets], b[meets], strict=True):
        overlap = shapely.get_parts(shapely.intersection(parts[i], parts[j]))
        ground = MultiPolygon([piece for piece in overlap if piece.geom_type == "Polygon"])
        pair = (str(codes[i]), str(codes[j]))
        shared[pair] = shared.get(pair, 0.0) + area_km2(ground)
    assert len(shared) > 300  # that many land borders were looked at
    size = {fact.code: fact.area_km2 for fact in countries()}
    for pair, area in shared.items():
        assert area <= max(1e-4 * min(size[code] for code in pair), 0.01), (pair, area)


@pytest.mark.parametrize(
    ("code", "inside", "outside"),
    [
        (
            "FRA",
            [(2.35, 48.85), (9.1, 42.2)],
            [(-53, 4), (55.5, -21.1), (-61.5, 16.2), (165.5, -21.5), (-109.2, 10.3)],
        ),
        ("GUF", [(-53, 4)], [(2.35, 48.85)]),
        ("NLD", [(4.9, 52.35)], [(-68.3, 12.2), (-69, 12.2), (-70, 12.5), (-63.05, 18.05)]),
        ("NOR", [(10.75, 59.95), (25.7, 70.9)], [(16, 78.5), (-8.4, 71), (3.36, -54.42)]),
        (
            "USA",
            [(-100, 40), (-150, 65), (-155.5, 19.6)],
            [(-66.5, 18.2), (144.8, 13.45), (-170.7, -14.3)],
        ),
        ("DNK", [(9.5, 56)], [(-42, 70), (-7, 62.1)]),
        ("FIN", [(25, 62)], [(20, 60.2)]),
        ("CHN", [(104, 35)], [(114.15, 22.4), (113.56, 22.13), (121, 23.8)]),
        ("AUS", [(134, -25), (146.5, -42)], [(105.65, -10.5), (167.95, -29.03), (73.5, -53.1)]),
        ("NZL", [(175.5, -39), (170, -44)], [(-159.8, -21.2), (-169.87, -19.05)]),
        ("GBR", [(-1.5, 53), (-6.7, 54.6)], [(-4.55, 54.2), (-59, -51.8), (-2.13, 49.22)]),
        ("ESP", [(-3.7, 40.4), (-16.6, 28.3), (-5.31, 35.89)], [(-5.347, 36.14)]),
        ("MAR", [(-6, 32)], [(-13, 25)]),
        ("ESH", [(-13, 25)], [(-6, 32)]),
        ("ZAF", [(25, -30)], [(28.2, -29.5)]),
        ("LSO", [(28.2, -29.5)], []),
        ("ITA", [(12.5, 42.5)], [(12.46, 43.94), (12.4535, 41.9035)]),
        ("UKR", [(31, 49), (34.1, 45.2)], []),
        ("RUS", [(37.6, 55.75), (20.5, 54.7), (-172, 66)], [(34.1, 45.2)]),
        ("FJI", [(178, -17.8), (179.2, -16.6), (-179.9, -16.8)], []),
        ("CYP", [(33.2, 35), (33.35, 35.3), (32.95, 34.6)], []),
        ("KIR", [(-157.4, 1.85)], []),
    ],
)
def test_mainland_and_overseas(
    code: str, inside: list[tuple[float, float]], outside: list[tuple[float, float]]
) -> None:
    shape = country(code).geometry
    shapely.prepare(shape)
    for point in inside:
        assert shape.contains(Point(point)), point
    for point in outside:
        assert not shape.contains(Point(point)), point


def test_countries_across_180_come_in_parts() -> None:
    for code in ("FJI", "RUS", "USA", "NZL", "KIR"):
        shape = country(code).geometry
        west, east = box(-180, -90, 0, 90), box(0, -90, 180, 90)
        assert shape.intersects(west) and shape.intersects(east), code
        assert max(part.bounds[2] - part.bounds[0] for part in shape.geoms) < 180, code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("LIE", "LIE"),
        ("lie", "LIE"),
        ("li", "LIE"),
        (" Liechtenstein ", "LIE"),
        ("são tomé and príncipe", "STP"),
        ("Sao Tome and Principe", "STP"),
        ("Cote d'Ivoire", "CIV"),
        ("UK", "GBR"),
        ("united  states", "USA"),
        ("Turkey", "TUR"),
        ("Åland Islands", "ALA"),
        ("kosovo", "XKX"),
    ],
)
def test_names_are_taken_as_people_type_them(text: str, code: str) -> None:
    assert country(text).code == code


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Lichtenstein", "did you mean LIE (Liechtenstein)?"),
        ("Swizerland", "CHE (Switzerland)"),
        ("LUXX", "LUX (Luxembourg)"),
        ("Atlantis", '"mapper countries" lists all'),
        ("", 'no country ""'),
        ("\u65e5\u672c", "give an ISO 3166-1 code or a name"),
    ],
)
def test_an_unknown_country_brings_the_nearest(text: str, words: str) -> None:
    with pytest.raises(RequestError) as error:
        country(text)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 2


def test_a_country_is_right_once_built() -> None:
    with pytest.raises(ValueError, match="not a country"):
        Country("LI", "LI", "Liechtenstein", country("LIE").geometry)
    with pytest.raises(ValueError, match="not a country"):
        Country("LIE", "LI", "Liechtenstein", MultiPolygon())


def test_one_country_is_read_fast() -> None:
    country("LIE")
    started = time.process_time()
    country("FRA")
    assert time.process_time() - started < 0.2


def test_listing_reads_no_outline() -> None:
    started = time.process_time()
    assert len(countries()) == 250
    assert time.process_time() - started < 0.1


units = st.integers(-180 * boundaries.UNITS_PER_DEGREE, 179 * boundaries.UNITS_PER_DEGREE)


@settings(max_examples=100, deadline=None)
@given(corners=st.lists(st.tuples(units, units), min_size=1, max_size=5), size=st.integers(9, 9999))
def test_packing_loses_nothing(corners: list[tuple[int, int]], size: int) -> None:
    """Any polygons on the grid, with holes, come back point for point."""
    scale = 1 / boundaries.UNITS_PER_DEGREE
    shape = MultiPolygon(
        [
            box(x, y, x + size, y + size).difference(box(x + 3, y + 3, x + size - 3, y + size - 3))
            for x, y in corners
        ]
    )
    on_grid = shapely.transform(shape, lambda xy: np.rint(xy) * scale)
    back = boundaries.unpack(boundaries.pack(on_grid))
    assert shapely.get_coordinates(back) == pytest.approx(
        shapely.get_coordinates(on_grid), abs=1e-12
    )
    assert [len(p.interiors) for p in back.geoms] == [len(p.interiors) for p in on_grid.geoms]


def test_a_damaged_file_is_noticed() -> None:
    data = bytearray(boundaries.pack(country("LIE").geometry))
    data[len(data) // 2] ^= 0x55
    with pytest.raises(Exception, match=r"(?i)corrupt|lzma|data|input"):
        boundaries.unpack(bytes(data))


def test_streams_lie_one_behind_the_other() -> None:
    start, places = boundaries.read_index(BOUNDARIES)
    in_order = sorted(places.values())
    assert in_order[0].offset == 0
    assert all(a.offset + a.length == b.offset for a, b in pairwise(in_order))
    assert start + in_order[-1].offset + in_order[-1].length == BOUNDARIES.stat().st_size
