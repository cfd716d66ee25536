"""Items after the pattern of the Copernicus Data Space, JPEG 2000 behind a signed S3 store."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely.geometry
from affine import Affine
from small_archive import region_at, smooth

from mapper.errors import SceneError
from mapper.imagery.archives import CDSE
from mapper.imagery.bands import OPTICAL_BANDS
from mapper.imagery.choice import Choice, choose
from mapper.imagery.footprints import grid_outline
from mapper.imagery.items import scene_of
from mapper.imagery.load import read_composite
from mapper.imagery.probe import header_of
from mapper.imagery.raster import read_raster
from mapper.imagery.scenes import SCL, Scene, looks_of
from mapper.land.grid import Zone

CORNER_M = (399_960.0, 5_300_040.0)
SIZE_PX = 256
NAME = "S2A_MSIL2A_20240611T103021_N0510_R108_T32TLT_20240611T163024"
KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"


def digits(band: str, side: int) -> np.ndarray[Any, Any]:
    if band == SCL:
        return np.full((side, side), 4, np.uint8)
    number = [b.name for b in OPTICAL_BANDS].index(band)
    return smooth((side, side), number, 1300, 6000).astype(np.uint16)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bucket, eodata, that holds one product as JPEG 2000."""
    folder = tmp_path_factory.mktemp("store")
    resolutions = {**{band.name: band.resolution_m for band in OPTICAL_BANDS}, SCL: 20}
    for band, resolution in resolutions.items():
        path = folder / "eodata" / "Sentinel-2" / f"{NAME}.SAFE" / f"{band}_{resolution}m.jp2"
        path.parent.mkdir(parents=True, exist_ok=True)
        side = SIZE_PX * 10 // resolution
        pixels = digits(band, side)
        with rasterio.open(
            path,
            "w",
            driver="JP2OpenJPEG",
            width=side,
            height=side,
            count=1,
            dtype=pixels.dtype,
            crs="EPSG:32632",
            transform=Affine(resolution, 0, CORNER_M[0], 0, -resolution, CORNER_M[1]),
            quality=100,
            reversible=True,
        ) as raster:
            raster.write(pixels, 1)
    return folder


@pytest.fixture
def endpoint(store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The store as the environment of a user of the Data Space names theirs."""
    script = Path(__file__).with_name("s3_server.py")
    command = [sys.executable, str(script), str(store), KEY, SECRET]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        settings = {
            "AWS_S3_ENDPOINT": f"127.0.0.1:{int(server.stdout.readline())}",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_VIRTUAL_HOSTING": "FALSE",
            "AWS_HTTPS": "NO",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield
        server.terminate()


def item() -> dict[str, Any]:
    """What the Data Space's catalogue says of a product, as far as it matters here."""
    root = f"s3://eodata/Sentinel-2/{NAME}.SAFE"
    assets: dict[str, Any] = {
        f"{band.name}_{band.resolution_m}m": {
            "href": f"{root}/{band.name}_{band.resolution_m}m.jp2",
            "type": "image/jp2",
            "nodata": 0,
            "raster:scale": 0.0001,
            "raster:offset": -0.1,
            "proj:code": "EPSG:32632",
            "proj:shape": [SIZE_PX * 10 // band.resolution_m] * 2,
            "proj:transform": [
                *(band.resolution_m, 0, CORNER_M[0]),
                *(0, -band.resolution_m, CORNER_M[1]),
            ],
        }
        for band in OPTICAL_BANDS
    }
    for band in ("B02", "B03"):  # the coarser copies, which are not to be taken
        assets[f"{band}_20m"] = {"href": f"{root}/{band}_20m.jp2"}
    assets["SCL_20m"] = {"href": f"{root}/SCL_20m.jp2", "type": "image/jp2", "nodata": 0}
    transform = [10, 0, CORNER_M[0], 0, -10, CORNER_M[1]]
    ground = grid_outline(32632, transform, (SIZE_PX, SIZE_PX))
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": NAME,
        "collection": "sentinel-2-l2a",
        "geometry": shapely.geometry.mapping(ground),
        "bbox": list(ground.bounds),
        "properties": {
            "datetime": "2024-06-11T10:30:21.024Z",
            "platform": "sentinel-2a",
            "eo:cloud_cover": 7.5,
            "grid:code": "MGRS-32TLT",
            "processing:version": "05.10",
            "product:type": "S2MSI2A",
            "sat:relative_orbit": 108,
            "sat:orbit_state": "descending",
        },
        "links": [],
        "assets": assets,
    }


def scene() -> Scene:
    found = scene_of(item(), CDSE, CDSE.root)
    assert found is not None
    return found


def test_an_item_of_the_data_space_is_understood() -> None:
    one = scene()
    assert one.missing == ()
    assert (one.place, one.epsg, one.baseline) == ("32TLT", 32632, "05.10")
    assert one.datatake == "GS2A_20240611T103021"
    assert one.assets["B02"].href.endswith("B02_10m.jp2"), "the finest of its copies"
    assert {asset.offset for name, asset in one.assets.items() if name != SCL} == {-1000.0}
    assert {asset.scale for asset in one.assets.values()} == {1.0}


def test_its_pixels_are_read_from_the_store_with_keys_of_the_environment(endpoint: None) -> None:
    region = region_at(CORNER_M, (SIZE_PX, SIZE_PX))
    kept = choose([scene()], Choice()).kept
    composite = read_composite(looks_of(kept, Zone(32, False)), region)
    assert composite.optical_looks.min() == 1
    expected = digits("B02", SIZE_PX).astype(np.int64) - 1000
    np.testing.assert_array_equal(composite.optical[0], expected)


def test_a_header_can_be_opened_to_check_the_archive(endpoint: None) -> None:
    opens, words = header_of(scene(), "B02")
    assert opens, words
    assert "256 x 256 uint16" in words
    assert "JP2OpenJPEG" in words


def test_wrong_keys_are_refused_and_not_repeated(
    endpoint: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    region = region_at(CORNER_M, (64, 64))
    with pytest.raises(SceneError) as caught:
        read_raster(scene(), "B03", region)
    assert "B03 of scene" in str(caught.value)
    for secret in (KEY, SECRET, "another"):
        assert secret not in str(caught.value)
    assert "AWS4" not in json.dumps(str(caught.value))
