"""Real pixels come out of their GeoTIFFs as a composite has them, or the fault is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from affine import Affine

from mapper.dynamicworld.pairs import TERRAMESH, labelled_pairs, load_pairs
from mapper.errors import RequestError
from mapper.imagery.bands import OPTICAL_NAMES
from mapper.land.legend import CLASS_NAMES, NODATA

SHORT = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B11", "B12")


def write(path: Path, bands: npt.NDArray[Any], names: tuple[str, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = bands.shape
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "count": count,
        "height": height,
        "width": width,
        "dtype": bands.dtype.name,
        "crs": "EPSG:32632",
        "transform": Affine(10, 0, 500_000, 0, -10, 5_200_000),
    }
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(bands)
        raster.descriptions = names


def place(folder: Path, name: str = "one", **entry: object) -> dict[str, object]:
    """A place of 6 x 5 px with every code of a label raster, and its entry of the manifest."""
    random = np.random.default_rng(0)
    optical = random.integers(900, 4000, (len(SHORT), 6, 5)).astype(np.int16)
    optical[:, 0, 0] = 0
    radar = random.normal(-12, 3, (2, 6, 5)).astype(np.float32)
    radar[1, 5, 4] = np.nan
    codes = np.arange(30, dtype=np.uint8).reshape(1, 6, 5) % 11
    write(folder / name / "s2_l2a.tif", optical, SHORT)
    write(folder / name / "s1_rtc_db.tif", radar, ("VV", "VH"))
    write(folder / name / "label_x.tif", codes, ("LULC",))
    facts = {"id": name, "lonlat": [9.5, 47.1], "s2_date": "2023-06-10T07:46:21"}
    return facts | {"labels": "a survey (TerraMesh codes)"} | entry


def manifest(folder: Path, *entries: object) -> Path:
    (folder / "manifest.json").write_text(json.dumps(entries), encoding="utf-8")
    return folder


def test_a_place_is_read_as_a_composite_has_it(tmp_path: Path) -> None:
    (chip,) = load_pairs(manifest(tmp_path, place(tmp_path, l2a_has_plus1000=True)))
    with rasterio.open(tmp_path / "one" / "s2_l2a.tif") as raster:
        raw = raster.read(raster.descriptions.index("B8A") + 1)
    band = chip.optical[OPTICAL_NAMES.index("B8A")]
    assert band[0, 0] == 0, "nodata stays nodata"
    assert np.array_equal(band.flat[1:], np.maximum(raw.flat[1:].astype(int) - 1000, 1))
    assert np.isnan(chip.radar[1, 5, 4]) and np.isfinite(chip.radar[0]).all()
    assert not chip.simulated and chip.period == "2023-06-10/2023-06-10"
    wanted = [NODATA, 0, 1, 3, 4, 6, 7, 8, NODATA, 2, NODATA]
    assert chip.label.flat[:11].tolist() == wanted


def test_what_a_raster_calls_no_data_is_none(tmp_path: Path) -> None:
    entry = place(tmp_path, l2a_has_plus1000=True)
    for name, value in (("s2_l2a.tif", -999), ("s1_rtc_db.tif", -9999)):
        with rasterio.open(tmp_path / "one" / name, "r+") as raster:
            bands = raster.read()
            bands[:, 2, 3] = value
            raster.write(bands)
            raster.nodata = value
    (chip,) = load_pairs(manifest(tmp_path, entry))
    assert not chip.optical[:, 2, 3].any() and np.isnan(chip.radar[:, 2, 3]).all()
    assert chip.optical[:, 2, 2].all() and np.isfinite(chip.radar[0]).sum() == 29


@pytest.mark.parametrize("has_offset", [False, True])
def test_what_is_no_number_is_no_data(tmp_path: Path, has_offset: bool) -> None:
    entry = place(tmp_path, l2a_has_plus1000=has_offset)
    path = tmp_path / "one" / "s2_l2a.tif"
    with rasterio.open(path) as raster:
        bands, names = raster.read().astype(np.float32), raster.descriptions
    bands[:, 2, 3] = np.nan
    write(path, bands, names)
    with rasterio.open(path, "r+") as raster:
        raster.nodata = np.nan
    (chip,) = load_pairs(manifest(tmp_path, entry))
    assert not chip.optical[:, 2, 3].any()
    assert chip.optical[:, 2, 2].all() and chip.optical.max() < 20_000


def test_what_a_label_raster_calls_no_data_is_unlabelled(tmp_path: Path) -> None:
    entry = place(tmp_path, labels="(Dynamic World codes)")
    with rasterio.open(tmp_path / "one" / "label_x.tif", "r+") as raster:
        raster.nodata = 0
    (chip,) = load_pairs(manifest(tmp_path, entry))
    assert chip.label.flat[:9].tolist() == [NODATA, *range(1, 9)], "0 would be water"


def test_rasters_of_other_ground_are_refused(tmp_path: Path) -> None:
    folder = manifest(tmp_path, place(tmp_path))
    with rasterio.open(tmp_path / "one" / "label_x.tif", "r+") as raster:
        raster.transform = Affine(10, 0, 500_000.5, 0, -10, 5_200_000)
    assert len(list(load_pairs(folder))) == 1, "a twentieth of a pixel is rounding"
    for moved in (
        Affine(10, 0, 500_010, 0, -10, 5_200_000),
        Affine(10, 0, 500_000, 0, 10, 5_199_940),
    ):
        with rasterio.open(tmp_path / "one" / "label_x.tif", "r+") as raster:
            raster.transform = moved
        with pytest.raises(RequestError, match=r"label_x\.tif lies on another grid \(5 x 6 px"):
            list(load_pairs(folder))
    with rasterio.open(tmp_path / "one" / "label_x.tif", "r+") as raster:
        raster.transform = Affine(10, 0, 500_000, 0, -10, 5_200_000)
        raster.crs = "EPSG:32633"
    with pytest.raises(RequestError, match=r"in EPSG:32633\) than s2_l2a\.tif"):
        list(load_pairs(folder))


def test_corrected_radar_is_preferred_and_nothing_else_is_guessed(tmp_path: Path) -> None:
    folder = manifest(tmp_path, place(tmp_path))
    write(folder / "one" / "s1_grd_db.tif", np.full((2, 6, 5), -50, np.float32), ("VV", "VH"))
    (chip,) = load_pairs(folder)
    assert np.nanmin(chip.radar) > -40
    (folder / "one" / "s1_rtc_db.tif").rename(folder / "one" / "s1_other_db.tif")
    with pytest.raises(RequestError, match=r"2 files s1_\*_db\.tif \(s1_grd_db.tif, s1_other"):
        list(load_pairs(folder))
    folder = manifest(tmp_path, place(tmp_path, "two"))
    write(folder / "two" / "label_old.tif", np.zeros((1, 6, 5), np.uint8), ("LULC",))
    with pytest.raises(RequestError, match=r"2 files label_\*\.tif \(label_old.tif, label_x.tif\)"):
        list(load_pairs(folder))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"l2a_has_plus1000": "false"}, "l2a_has_plus1000 is 'false' of one, wanted true or false"),
        ({"lonlat": 9.5}, r"lonlat is 9\.5 of one, wanted two numbers"),
        ({"lonlat": None}, "lonlat is None of one"),
        ({"lonlat": ["east", "north"]}, "lonlat is"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_told(
    wrong: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(RequestError, match=message):
        list(load_pairs(manifest(tmp_path, place(tmp_path, **wrong))))


def test_a_label_raster_has_one_band(tmp_path: Path) -> None:
    folder = manifest(tmp_path, place(tmp_path))
    write(folder / "one" / "label_x.tif", np.ones((2, 6, 5), np.uint8), ("LULC", "QA"))
    with pytest.raises(RequestError, match=r"label_x\.tif has 2 bands, wanted one of class codes"):
        list(load_pairs(folder))


def test_a_code_of_more_than_a_byte_is_no_class(tmp_path: Path) -> None:
    entry = place(tmp_path)
    write(tmp_path / "one" / "label_x.tif", np.full((1, 6, 5), 257, np.int16), ("LULC",))
    (chip,) = load_pairs(manifest(tmp_path, entry))
    assert (chip.label == NODATA).all(), "not 1, which it is modulo 256"


def test_without_the_offset_digits_stay_as_they_are(tmp_path: Path) -> None:
    (chip,) = load_pairs(manifest(tmp_path, place(tmp_path)))
    assert chip.optical[:, 1:].min() >= 900


def test_our_own_codes_and_a_place_without_radar(tmp_path: Path) -> None:
    entry = place(tmp_path, labels="experts (Dynamic World codes)")
    (tmp_path / "one" / "s1_rtc_db.tif").unlink()
    coding, entries = labelled_pairs(manifest(tmp_path, entry))
    assert coding.names == CLASS_NAMES and not coding.merged and len(entries) == 1
    (chip,) = load_pairs(tmp_path)
    assert chip.label.flat[:11].tolist() == [*range(9), NODATA, NODATA]
    assert np.isnan(chip.radar).all() and chip.radar_looks == 0


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"manifest\.json cannot be read"):
        labelled_pairs(tmp_path)
    with pytest.raises(RequestError, match="is no list of places"):
        labelled_pairs(manifest(tmp_path, {"place": 1}))
    with pytest.raises(RequestError, match=r"in 0 known codings \(none\)"):
        labelled_pairs(manifest(tmp_path, place(tmp_path, labels="CORINE multi-labels")))
    both = place(tmp_path), place(tmp_path, "two", labels="(Dynamic World codes)")
    with pytest.raises(RequestError, match="in 2 known codings"):
        labelled_pairs(manifest(tmp_path, *both))
    folder = manifest(tmp_path, place(tmp_path))
    write(folder / "one" / "s2_l2a.tif", np.ones((2, 6, 5), np.int16), ("B2", "B3"))
    with pytest.raises(RequestError, match="has no band B04, only B2, B3"):
        list(load_pairs(folder))
    (folder / "one" / "s2_l2a.tif").write_bytes(b"no raster")
    with pytest.raises(RequestError, match=r"s2_l2a\.tif cannot be read"):
        list(load_pairs(folder))


def test_the_real_places_are_read(shared_data: Path) -> None:
    chips = list(load_pairs(shared_data / "real"))
    assert len(chips) == 3
    for chip in chips:
        assert chip.label.shape == (224, 224) and (chip.label != NODATA).all()
        assert 0 < np.median(chip.optical[:3]) < 12_000
        assert -35 < np.median(chip.radar) < 5
    snow = chips[-1]
    assert (snow.label == CLASS_NAMES.index("snow_and_ice")).all()
    assert np.median(snow.optical[2]) > 3000, "snow is bright once the offset is right"
    assert set(TERRAMESH.to_ours.values()) == set(range(9)) - {5}
