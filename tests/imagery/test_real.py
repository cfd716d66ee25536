"""Real pixels through the whole of imagery, compared with the files they were laid out from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.warp
import shapely.geometry
from rasterio.enums import Resampling
from shapely.geometry.base import BaseGeometry

from mapper.errors import SceneError
from mapper.imagery.archives import archive
from mapper.imagery.bands import OPTICAL_NAMES, Sensor
from mapper.imagery.choice import Choice, Selection, choose
from mapper.imagery.composite import Composite
from mapper.imagery.load import read_composite
from mapper.imagery.period import Period
from mapper.imagery.scenes import looks_of
from mapper.imagery.search import search
from mapper.land.grid import Region, outlines

PLACES = (
    "ben_S2A_MSIL2A_20170613T101031_87_48",
    "ben_S2A_MSIL2A_20170617T113321_36_85",
    "ben_S2A_MSIL2A_20170617T113321_4_55",
    "ben_S2A_MSIL2A_20171221T112501_56_35",
    "ben_S2B_MSIL2A_20170924T93020_69_24",
    "ben_S2B_MSIL2A_20180204T94161_57_38",
    "terramesh_38D_378R_2_3",
    "terramesh_433D_629L_3_1",
    "terramesh_609U_541L_3_0",
)
NAMES_IN_FILES = [name.replace("B0", "B") for name in OPTICAL_NAMES]


@pytest.fixture(scope="module")
def areas(shared_data: Path) -> dict[str, BaseGeometry]:
    collection = json.loads((shared_data / "archive" / "aois.geojson").read_text())
    return {
        feature["properties"]["id"]: shapely.geometry.shape(feature["geometry"])
        for feature in collection["features"]
    }


@pytest.fixture(scope="module")
def manifest(shared_data: Path) -> dict[str, Any]:
    entries = json.loads((shared_data / "real" / "manifest.json").read_text())
    return {entry["id"]: entry for entry in entries}


def composed(root: Path, area: BaseGeometry, period: str) -> tuple[Selection, Composite]:
    """What a run reads of a place, on the lattice pixels that surround it."""
    scenes = search(archive(str(root / "archive" / "items.json")), area, Period.parse(period))
    selection = choose(scenes, Choice())
    outline = outlines(area)[0]
    left, top, right, bottom = (int(v) for v in outline.shape.bounds)
    region = Region(outline.zone, left, top, right - left + 1, bottom - top + 1)
    return selection, read_composite(looks_of(selection.kept, outline.zone), region, threads=2)


def laid_on(path: Path, names: list[str], region: Region) -> np.ndarray:
    """Bands of an original file on the lattice, by another road: one warp of whole arrays."""
    with rasterio.open(path) as source:
        bands = source.read([source.descriptions.index(name) + 1 for name in names])
        out = np.full((len(names), *region.shape), np.nan, np.float64)
        rasterio.warp.reproject(
            bands.astype(np.float64),
            out,
            src_transform=source.transform,
            src_crs=source.crs,
            src_nodata=np.nan,
            dst_transform=region.geobox.transform,
            dst_crs=f"EPSG:{region.zone.epsg}",
            dst_nodata=np.nan,
            resampling=Resampling.bilinear,
            tolerance=0.0,
        )
    return out


@pytest.mark.parametrize("place", PLACES)
def test_digits_and_decibels_are_those_of_the_originals(
    shared_data: Path, areas: dict[str, BaseGeometry], manifest: dict[str, Any], place: str
) -> None:
    day = manifest[place]["s2_date"][:7]
    selection, composite = composed(shared_data, areas[place], f"{day}")
    assert len(selection.scenes_without_scl) == 1
    folder = shared_data / "real" / place
    offset = 1000 if manifest[place].get("l2a_has_plus1000") else 0
    original = laid_on(folder / "s2_l2a.tif", NAMES_IN_FILES, composite.region)
    seen = composite.optical_looks > 0
    assert seen.sum() > 10_000
    expected = np.clip(original - offset, 1, None)[:, seen]
    off = np.abs(composite.optical[:, seen] - expected)
    # Rounding, and a thousandth of a pixel of the warper's where snow makes steep edges.
    assert np.nanpercentile(off, 99.9) < 3
    assert np.nanmax(off) < 6
    assert np.isfinite(composite.radar[:, composite.radar_looks > 0]).all()

    radar = laid_on(next(folder.glob("s1_*_db.tif")), ["VV", "VH"], composite.region)
    off = np.abs(composite.radar - radar)[:, composite.radar_looks > 0]
    # Bilinear weights of power and of decibels differ; where no weights are needed, nothing does.
    aligned = place.startswith("ben_S2A")
    assert np.nanmedian(off) < (1e-4 if aligned else 0.6)


def test_a_place_with_the_offset_and_one_without_look_alike(
    shared_data: Path, areas: dict[str, BaseGeometry]
) -> None:
    _, chile = composed(shared_data, areas["terramesh_433D_629L_3_1"], "2020-04-01/2020-04-30")
    seen = chile.optical_looks > 0
    dark = np.percentile(chile.optical[0][seen], 2)
    assert 50 < dark < 700, "blue of dark ground is a few percent; 1000 more or less is not"
    low, high = np.nanpercentile(chile.radar[0], [1, 99])
    assert -30 < low < high < 10


@pytest.mark.parametrize("place", ["wctrain_00002806639B424A", "wctrain_0000280849BAC91C"])
def test_many_dates_make_a_median_and_a_mean_of_power(
    shared_data: Path, areas: dict[str, BaseGeometry], place: str
) -> None:
    selection, composite = composed(shared_data, areas[place], "2018")
    days = {scene.id.rsplit("_", 1)[1] for scene in selection.of(Sensor.OPTICAL)}
    dates = sorted(f"{day[:4]}-{day[4:6]}-{day[6:]}" for day in days)
    folder = shared_data / "real" / place
    optical = np.stack(
        [laid_on(folder / f"{d}_s2_l2a.tif", NAMES_IN_FILES, composite.region) for d in dates]
    )
    with_data = np.isfinite(optical).all(axis=1) & (optical > 0).all(axis=1)
    seen = composite.optical_looks > 0
    np.testing.assert_array_equal(composite.optical_looks[seen], with_data.sum(axis=0)[seen])
    hidden = np.where(with_data[:, None], optical, np.nan)[:, :, seen]
    expected = np.floor(np.nanmedian(hidden, axis=0) + 0.5)
    np.testing.assert_array_equal(composite.optical[:, seen], expected)


def test_all_places_at_once_choose_what_each_chooses_alone(
    shared_data: Path, areas: dict[str, BaseGeometry]
) -> None:
    index = archive(str(shared_data / "archive" / "items.json"))
    whole = shapely.union_all(list(areas.values()))
    period = Period.parse("2016/2024")
    together = {s.id for s in choose(search(index, whole, period), Choice(optical_looks=1)).kept}
    alone = {
        scene.id
        for area in areas.values()
        for scene in choose(search(index, area, period), Choice(optical_looks=1)).kept
    }
    assert together == alone
    assert len(together) > 50


def test_another_year_names_the_dates_there_are(
    shared_data: Path, areas: dict[str, BaseGeometry]
) -> None:
    with pytest.raises(SceneError, match="its scenes there are from 2020-04-08 to 2020-04-11"):
        composed(shared_data, areas["terramesh_433D_629L_3_1"], "2021")
