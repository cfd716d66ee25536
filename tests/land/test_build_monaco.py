"""A small coastal country is drawn from its border and the coastline: quays, islets, won ground."""

from __future__ import annotations

from pathlib import Path

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import LineString, MultiPolygon, affinity, box

from mapper.land.build_monaco import (
    land_beyond,
    land_within,
    on_land,
    read_border,
    read_coast,
    redraw_monaco,
)

# Land to the north. The border runs straight along the old shore: past a harbour that is cut into
# the land, behind ground won from the sea. All in degrees; the country is about 2 km wide.
BORDER = box(7.40, 43.70, 7.42, 43.71)
HARBOUR = box(7.405, 43.70, 7.409, 43.703)
WON = box(7.412, 43.698, 7.415, 43.70)
ISLET = box(7.404, 43.699, 7.4042, 43.6992)
SHORE = LineString(  # eastwards, so that the land lies on the left; on both ends past the country
    [
        *[(7.39, 43.70), (7.405, 43.70), (7.405, 43.703), (7.409, 43.703), (7.409, 43.70)],
        *[(7.412, 43.70), (7.412, 43.698), (7.415, 43.698), (7.415, 43.70), (7.43, 43.70)],
    ]
)
ROUND_ISLET = LineString(shapely.get_coordinates(shapely.orient_polygons(ISLET)))
COAST = [SHORE, ROUND_ISLET]
LAND = shapely.union_all([BORDER.difference(HARBOUR), WON, ISLET])


def as_osm(ways: list[tuple[LineString, str]]) -> str:
    """The ways as an OpenStreetMap file; a closed one uses its first node again, as they do."""
    nodes, lines = [], []
    for number, (line, tag) in enumerate(ways):
        points = list(line.coords)
        ids = [1000 * number + k for k in range(1, len(points) + 1)]
        if line.is_closed:
            ids[-1] = ids[0]
        nodes += [
            f'<node id="{i}" version="1" lon="{x}" lat="{y}"/>'
            for i, (x, y) in dict(zip(ids, points, strict=True)).items()
        ]
        refs = "".join(f'<nd ref="{i}"/>' for i in ids)
        lines.append(f'<way id="{number + 1}" version="1">{refs}{tag}</way>')
    return "\n".join(['<osm version="0.6">', *nodes, *lines, "</osm>"])


def test_coastlines_are_read_islets_too_and_keep_their_direction(tmp_path: Path) -> None:
    coast, road = '<tag k="natural" v="coastline"/>', '<tag k="highway" v="primary"/>'
    path = tmp_path / "a.osm"
    path.write_text(as_osm([(SHORE, coast), (BORDER.exterior, road), (ROUND_ISLET, coast)]))
    assert [line.wkt for line in read_coast(path)] == [line.wkt for line in COAST]


def test_an_extract_without_coast_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "inland.osm"
    path.write_text(as_osm([(SHORE, '<tag k="highway" v="primary"/>')]))
    with pytest.raises(SystemExit, match=r"inland.osm is a coastline; give the extract"):
        read_coast(path)


def test_a_border_is_read(tmp_path: Path) -> None:
    path = tmp_path / "border.geojson"
    feature = f'{{"type": "Feature", "properties": {{}}, "geometry": {shapely.to_geojson(BORDER)}}}'
    path.write_text(f'{{"type": "FeatureCollection", "features": [{feature}]}}')
    assert read_border(path).equals(BORDER)


@settings(max_examples=25, deadline=None)
@given(angle=st.floats(0, 360), grows=st.floats(0.5, 3))
def test_land_is_found_whichever_way_the_coast_runs(angle: float, grows: float) -> None:
    """Harbours out, ground won and islets in, for a coast in any direction."""

    def turned(shape: shapely.Geometry) -> shapely.Geometry:
        sized = affinity.scale(shape, grows, grows, origin=(7.41, 43.7))
        return affinity.rotate(sized, angle, origin=(7.41, 43.7))

    land = shapely.union_all(land_within(turned(BORDER), [turned(line) for line in COAST]))
    assert land.symmetric_difference(turned(LAND)).area < 1e-3 * land.area


def test_only_the_direction_of_the_coast_says_what_is_land() -> None:
    """The same lines the other way round: the harbour is all the land there is."""
    (land,) = land_within(BORDER, [shapely.reverse(line) for line in COAST])
    assert land.symmetric_difference(HARBOUR).area < 1e-3 * HARBOUR.area


def test_a_short_wrong_piece_of_coast_is_outvoted() -> None:
    land = box(7.42, 43.70, 7.44, 43.71)
    right = [
        LineString([(7.42, 43.70), (7.43, 43.70)]),
        LineString([(7.431, 43.70), (7.44, 43.70)]),
    ]
    wrong = LineString([(7.431, 43.70), (7.43, 43.70)])
    assert on_land(land, [*right, wrong])
    assert not on_land(land, [wrong])


def test_a_face_without_coast_is_land() -> None:
    assert on_land(box(7.41, 43.72, 7.42, 43.73), COAST)


def test_an_old_outline_gives_up_land_but_no_sea() -> None:
    old = MultiPolygon([box(7.40, 43.695, 7.42, 43.711)])
    (strip,) = land_beyond(old, shapely.union_all([BORDER, LAND]), COAST)
    assert strip.symmetric_difference(box(7.40, 43.71, 7.42, 43.711)).area < 1e-9


def test_no_land_is_lost_between_the_neighbours() -> None:
    old = box(7.4005, 43.695, 7.42, 43.711)  # too far north, and not to the border in the west
    france = box(7.38, 43.70, 7.44, 43.73).difference(old)
    drawn = redraw_monaco({"FRA": [france], "MCO": [old], "ITA": []}, BORDER, COAST)
    assert drawn["ITA"] == []
    monaco, rest = shapely.union_all(drawn["MCO"]), shapely.union_all(drawn["FRA"])
    assert monaco.symmetric_difference(LAND).area < 1e-3 * LAND.area
    both = monaco.union(rest)
    assert box(7.38, 43.703, 7.44, 43.73).difference(both).area < 1e-9
    assert both.intersection(HARBOUR).area < 1e-3 * HARBOUR.area
