"""The archive on disk: valid, read by anyone, the same however it was asked for and interrupted."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pystac.validation
import pytest
import rasterio
import shapely
from rasterio.windows import from_bounds
from rio_cogeo import cog_validate

from mapper.errors import OutputError, RequestError
from mapper.land.grid import Zone, outlines
from mapper.simulated import archive as archive_module
from mapper.simulated.acquisitions import groups_over
from mapper.simulated.archive import INDEX, Progress, simulate
from mapper.simulated.items import radar_item
from mapper.simulated.need import needed_ground

PERIOD = (date(2024, 6, 1), date(2024, 6, 30))
# Both lie in one inference window each, so that little ground is needed; the windows overlap.
AREA = shapely.box(9.5288, 47.1371, 9.5293, 47.1376)
BESIDE = shapely.box(9.5794, 47.1369, 9.5799, 47.1374)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(AREA, "a test", PERIOD, tmp_path_factory.mktemp("archive"), workers=1)


def _items(index: Path) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(index.read_text(encoding="utf-8"))["features"]
    return items


def _bounds_m() -> tuple[float, float, float, float]:
    """What the archive of AREA shows: west, south, east, north in UTM metres."""
    left, top, right, bottom = needed_ground(AREA)[Zone(32, False)].bounds
    return left * 10, 10_000_000 - bottom * 10, right * 10, 10_000_000 - top * 10


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_items_are_valid_and_say_that_they_are_simulated(index: Path) -> None:
    items = _items(index)
    assert {item["collection"] for item in items} == {"sentinel-2-l2a", "sentinel-1-rtc"}
    for item in items:
        read = pystac.Item.from_dict(item, preserve_dict=True)
        # Schemas of extensions are on the internet; the core schema comes with pystac.
        core = item | {"stac_extensions": []}
        pystac.validation.validate_dict(core, pystac.STACObjectType.ITEM)
        assert read.properties["mapper:simulated"] is True
        assert "imulated" in item["properties"]["title"]
        assert shapely.from_geojson(json.dumps(item["geometry"])).is_valid
        assert PERIOD[0] <= read.datetime.date() <= PERIOD[1]
    for name in ("sentinel-2-l2a", "sentinel-1-rtc"):
        read = json.loads((index.parent / name / "collection.json").read_text(encoding="utf-8"))
        pystac.validation.validate_dict(read, pystac.STACObjectType.COLLECTION)
    assert "Simulated" in (index.parent / "README.md").read_text(encoding="utf-8")


def test_optical_items_speak_the_dialect_they_imitate(index: Path) -> None:
    for item in _items(index):
        if item["collection"] != "sentinel-2-l2a":
            continue
        properties = item["properties"]
        assert properties["s2:mgrs_tile"] == "32TNT" and "_T32TNT_" in item["id"]
        assert f"_R{properties['sat:relative_orbit']:03d}_" in item["id"]
        assert 0 <= properties["eo:cloud_cover"] <= 100
        assert properties["s2:processing_baseline"] in ("03.01", "04.00", "05.10")
        assert set(item["assets"]) == {
            *("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12", "SCL")
        }


def test_assets_are_the_grids_that_items_state(index: Path) -> None:
    for item in _items(index):
        for name, asset in item["assets"].items():
            grid = {**item["properties"], **asset}
            with rasterio.open(index.parent / asset["href"]) as file:
                assert list(file.shape) == grid["proj:shape"]
                assert list(file.transform)[:6] == grid["proj:transform"]
                assert file.crs.to_epsg() == item["properties"]["proj:epsg"]
                assert file.dtypes[0] == {"SCL": "uint8", "vv": "float32", "vh": "float32"}.get(
                    name, "uint16"
                )
                assert file.nodata == (-32768 if name in ("vv", "vh") else 0)
    first = _items(index)[0]["assets"]
    assert cog_validate(index.parent / next(iter(first.values()))["href"], strict=True)[0]


def test_pixels_agree_between_assets_and_with_the_truth(index: Path) -> None:
    outline = outlines(AREA)[0]
    left, top, right, bottom = outline.shape.bounds
    bounds = (left * 10, 10_000_000 - bottom * 10 - 300, right * 10 + 300, 10_000_000 - top * 10)
    with rasterio.open(index.parent / "truth" / "32N.tif") as file:
        truth = file.read(1, window=from_bounds(*bounds, file.transform).round_lengths())
        assert (truth <= 8).all() and file.nodata == 255
    for item in _items(index):
        if item["properties"]["proj:epsg"] != 32632:
            continue
        for name in ("B02", "B11", "SCL", "vv"):
            if name in item["assets"]:
                with rasterio.open(index.parent / item["assets"][name]["href"]) as file:
                    seen = file.read(1, window=from_bounds(*bounds, file.transform))
                    assert np.isfinite(seen).all() and seen.max() > 0


def test_the_same_request_is_answered_at_once(index: Path) -> None:
    before = _digests(index.parent)
    events: list[Progress] = []
    again = simulate(AREA, "a test", PERIOD, index.parent, workers=1, on_event=events.append)
    assert again == index and not events and _digests(index.parent) == before


def test_an_interrupted_simulation_goes_on_to_the_same_files(index: Path, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(event: Progress) -> None:
        if event.done > 0.6 * event.total:
            raise Killed

    out = tmp_path / "again"
    with pytest.raises(Killed):
        simulate(AREA, "a test", PERIOD, out, workers=1, on_event=kill)
    assert not (out / INDEX).exists()
    events: list[Progress] = []
    simulate(AREA, "a test", PERIOD, out, workers=2, on_event=events.append)
    assert [event.done for event in events] == list(range(1, events[-1].total + 1))
    assert (out / INDEX).exists()
    assert _digests(out) == _digests(index.parent)


def test_processes_with_short_queues_write_the_same_files(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A queue shorter than the list of blocks must lose none of them.
    monkeypatch.setattr(archive_module, "_IN_FLIGHT", 2)
    other = simulate(AREA, "a test", PERIOD, tmp_path / "archive", workers=2)
    assert _digests(other.parent) == _digests(index.parent)


def test_other_extents_see_the_same_pixels(index: Path, tmp_path: Path) -> None:
    other = simulate(BESIDE, "beside", PERIOD, tmp_path / "beside", workers=2)
    theirs = {item["id"]: item for item in _items(other)}
    compared = 0
    for item in _items(index):
        if item["id"] not in theirs:
            continue
        for name, asset in item["assets"].items():
            with (
                rasterio.open(index.parent / asset["href"]) as one,
                rasterio.open(other.parent / theirs[item["id"]]["assets"][name]["href"]) as two,
            ):
                if one.crs.to_epsg() != 32632:
                    continue  # scenes cover a hundred kilometres: read where ground is needed
                part = from_bounds(*_bounds_m(), one.transform).round_offsets().round_lengths()
                mine, beside = one.read(1, window=part), two.read(1, window=part)
                both = (mine != one.nodata) & (beside != two.nodata)
                assert np.array_equal(mine[both], beside[both])
                compared += int(both.sum())
        assert item["properties"].get("eo:cloud_cover") == theirs[item["id"]]["properties"].get(
            "eo:cloud_cover"
        )
    assert compared > 500_000


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear reader", encoding="utf-8")
    with pytest.raises(OutputError, match="not empty"):
        simulate(AREA, "a test", PERIOD, tmp_path, workers=1)
    assert (tmp_path / "letter.txt").read_text(encoding="utf-8") == "dear reader"


def test_impossible_requests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no polar grid"):
        simulate(shapely.box(0, 84.5, 1, 85), "the pole", PERIOD, tmp_path / "a")
    with pytest.raises(RequestError, match="swap them"):
        simulate(AREA, "a test", (PERIOD[1], PERIOD[0]), tmp_path / "b")
    with pytest.raises(RequestError, match="ask for a month"):
        simulate(AREA, "a test", (date(2024, 6, 2), date(2024, 6, 2)), tmp_path / "c")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("area", "zones"),
    [
        (shapely.box(179.999, -16.6, 180, -16.59), {"60S", "01S"}),
        (shapely.box(36.5, -0.002, 36.51, 0.002), {"37N", "37S"}),
        (shapely.box(-72.51, -45.01, -72.5, -45.0), {"18S"}),
    ],
)
def test_scenes_exist_across_180_at_the_equator_and_in_the_south(
    area: shapely.Polygon, zones: set[str]
) -> None:
    needed = needed_ground(area)
    groups = groups_over(needed, date(2024, 6, 1), date(2024, 8, 31))
    tiles = [group for group in groups if group.optical]
    assert zones <= {group.region.zone.name for group in tiles}
    assert any(group.radar for group in groups)
    for group in tiles:
        spacing = {scene.time for scene in group.optical}
        assert 1 <= len(spacing) <= 12


def test_items_across_180_degrees_are_written_as_geojson_asks() -> None:
    """RFC 7946: geometries are cut there, and the west of a box is larger than its east."""
    needed = needed_ground(shapely.box(179.999, -16.6, 180, -16.59))
    for group in groups_over(needed, date(2024, 6, 1), date(2024, 6, 30)):
        if group.radar:
            item = radar_item(group, group.radar[0], group.ground, {"vv": "a", "vh": "b"})
            west, south, east, north = item["bbox"]
            assert west > 179 > -179 > east and south < north
            shape = shapely.from_geojson(json.dumps(item["geometry"]))
            assert shape.geom_type == "MultiPolygon" and shape.is_valid
            assert shape.area < 0.1


def test_what_a_window_reads_is_there() -> None:
    """Every window of 512 px at multiples of 384 that touches the area, and 64 px around it."""
    needed = needed_ground(AREA)[Zone(32, False)]
    shape = outlines(AREA)[0].shape
    column, row = (int(v) for v in shape.centroid.coords[0])
    for a in (column // 384, column // 384 - 1):
        for b in (row // 384, row // 384 - 1):
            window = shapely.box(a * 384, b * 384, a * 384 + 512, b * 384 + 512)
            if window.intersects(shape):
                grown = shapely.box(a * 384 - 64, b * 384 - 64, a * 384 + 576, b * 384 + 576)
                assert needed.covers(grown)


def test_a_new_version_or_other_spectra_make_another_archive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = archive_module._key(AREA, PERIOD)
    assert before != archive_module._key(BESIDE, PERIOD)
    monkeypatch.setattr(archive_module, "VERSION", archive_module.VERSION + 1)
    assert before != archive_module._key(AREA, PERIOD)
