from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.enums import Resampling
from small_archive import SmallArchive, region_at, smooth, write_raster

from mapper.errors import SceneError
from mapper.imagery import raster
from mapper.imagery.archives import archive
from mapper.imagery.items import scene_of
from mapper.imagery.placement import Placement, placement
from mapper.imagery.raster import read_raster
from mapper.imagery.scenes import Scene
from mapper.land.grid import Region, Zone

CORNER_M = (399_960, 5_300_040)
ZONE = Zone(32, False)


def scene_from(small: SmallArchive, number: int = 0) -> Scene:
    index = small.index()
    found = scene_of(small.items[number], archive(str(index)), str(index))
    assert found is not None
    return found


def holes(name: str, shape: tuple[int, int]) -> np.ndarray:
    """Digits with a swath edge and specks without data."""
    made = smooth(shape, len(name) + shape[0], 1100, 6000)
    made[np.random.default_rng(1).random(shape) < 0.05] = 0
    made[:, : shape[1] // 5] = 0
    return made


@pytest.mark.parametrize(
    ("transform", "found"),
    [
        (Affine(10, 0, 399_960, 0, -10, 5_300_040), Placement(39_996, 469_996, 1)),
        (Affine(20, 0, 399_970, 0, -20, 5_300_040), Placement(39_997, 469_996, 2)),
        (Affine(10, 0, 717_729.835, 0, -10, 5_700_093.33), None),
        (Affine(10, 0, 399_965, 0, -10, 5_300_040), None),
        (Affine(60, 0, 399_960, 0, -60, 5_300_040), None),
        (Affine(10, 0.1, 399_960, 0, -10, 5_300_040), None),
        (Affine(10.5, 0, 399_960, 0, -10.5, 5_300_040), None),
        (Affine(10, 0, 399_960, 0, 10, 5_300_040), None),
        (Affine(nan, 0, 399_960, 0, -10, 5_300_040), None),
        (Affine(10, 0, inf, 0, -10, 5_300_040), None),
    ],
)
def test_what_lies_on_the_lattice(transform: Affine, found: Placement | None) -> None:
    assert placement(transform) == found


def test_10_m_pixels_are_read_as_they_are_stored(small_archive: SmallArchive) -> None:
    small_archive.optical("s", "2024-06-01T10:00:00Z", digits=holes)
    scene = scene_from(small_archive)
    region = region_at((400_960, 5_299_040), (50, 70))
    with rasterio.open(scene.assets["B02"].href) as source:
        stored = source.read(1)
    np.testing.assert_array_equal(read_raster(scene, "B02", region), stored[100:150, 100:170])


@pytest.mark.parametrize("name", ["B02", "B05", "SCL"])
def test_the_plain_path_equals_the_warper(small_archive: SmallArchive, name: str) -> None:
    classes = np.random.default_rng(0).integers(0, 12, (128, 128)).astype(np.uint8)
    small_archive.optical("s", "2024-06-01T10:00:00Z", digits=holes, scl=classes)
    scene = scene_from(small_archive)
    region = region_at((399_960 - 310, 5_300_040 + 210), (330, 340))
    plain = read_raster(scene, name, region)
    how = Resampling.nearest if name == "SCL" else Resampling.bilinear
    with rasterio.open(scene.assets[name].href) as source:
        warped = raster._warped(source, region, how, 0.0)
    np.testing.assert_array_equal(plain, warped)
    assert plain is not None
    assert (plain > 0).any()
    assert (plain == 0).any()


def test_plain_radar_equals_the_warper(small_archive: SmallArchive) -> None:
    small_archive.radar("r", "2024-06-01T05:00:00Z")
    scene = scene_from(small_archive)
    region = region_at((399_960 - 310, 5_300_040 + 210), (330, 340))
    plain = read_raster(scene, "VV", region)
    with rasterio.open(scene.assets["VV"].href) as source:
        warped = raster._warped(source, region, Resampling.bilinear, -32768.0)
    np.testing.assert_array_equal(plain, np.where(warped == -32768, np.nan, warped))


SOURCES = {
    "aligned at 10 m": (32632, Affine(10, 0, 398_160, 0, -10, 5_301_040)),
    "aligned at 20 m": (32632, Affine(20, 0, 397_160, 0, -20, 5_302_040)),
    "aligned at 20 m, odd": (32632, Affine(20, 0, 397_170, 0, -20, 5_302_050)),
    "between lattice points": (32632, Affine(10, 0, 398_163.835, 0, -10, 5_301_036.33)),
    "at 60 m": (32632, Affine(60, 0, 394_960, 0, -60, 5_304_040)),
    "in the next zone": (32633, Affine(10, 0, -50_700, 0, -10, 5_326_300)),
    "in degrees": (4326, Affine(1e-4, 0, 7.64, 0, -1e-4, 47.855)),
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scene]:
    """One raster of digits for each kind of grid."""
    small = SmallArchive(tmp_path_factory.mktemp("sources"))
    small.optical("s", "2024-06-01T10:00:00Z", size_px=32)
    scene = scene_from(small)
    scenes = {}
    for number, (kind, (epsg, corner)) in enumerate(SOURCES.items()):
        path = small.folder / f"{number}.tif"
        write_raster(path, holes(kind, (260, 260)).astype(np.uint16), epsg, corner, 0)
        asset = replace(scene.assets["B02"], href=str(path))
        scenes[kind] = replace(scene, assets={"B02": asset})
    return scenes


@pytest.mark.parametrize("kind", SOURCES)
def test_any_part_of_a_region_reads_the_same(sources: dict[str, Scene], kind: str) -> None:
    # The corner of four warped blocks of 512 px lies inside.
    whole = Region(ZONE, 78 * 512 - 60, 918 * 512 - 70, 200, 180)
    full = read_raster(sources[kind], "B02", whole)
    assert full is not None
    assert (full > 0).mean() > 0.3

    @given(st.integers(0, 190), st.integers(0, 170), st.integers(1, 60), st.integers(1, 60))
    @settings(max_examples=12, deadline=None)
    def parts_agree(x: int, y: int, width: int, height: int) -> None:
        width, height = min(width, 200 - x), min(height, 180 - y)
        region = Region(ZONE, whole.left + x, whole.top + y, width, height)
        part = read_raster(sources[kind], "B02", region)
        expected = full[y : y + height, x : x + width]
        np.testing.assert_array_equal(np.zeros_like(expected) if part is None else part, expected)

    parts_agree()


def test_out_of_reach_is_none(sources: dict[str, Scene]) -> None:
    far = Region(ZONE, 60_000, 480_000, 40, 40)
    for scene in sources.values():
        assert read_raster(scene, "B02", far) is None


def test_a_missing_file_names_scene_and_asset(sources: dict[str, Scene]) -> None:
    scene = sources["aligned at 10 m"]
    gone = replace(scene, assets={"B02": replace(scene.assets["B02"], href="/nowhere/B02.tif")})
    with pytest.raises(SceneError) as caught:
        read_raster(gone, "B02", region_at(CORNER_M, (10, 10)))
    assert str(caught.value).startswith("B02 of scene s cannot be read (")
    assert "No such file" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_truncated_file_names_scene_and_asset(
    small_archive: SmallArchive, tmp_path: Path
) -> None:
    small_archive.optical("s", "2024-06-01T10:00:00Z")
    scene = scene_from(small_archive)
    path = Path(scene.assets["B03"].href)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SceneError, match=r"^B03 of scene s cannot be read \("):
        read_raster(scene, "B03", region_at(CORNER_M, (256, 256)))


def test_a_file_that_is_no_raster_names_scene_and_asset(small_archive: SmallArchive) -> None:
    small_archive.optical("s", "2024-06-01T10:00:00Z", size_px=32)
    scene = scene_from(small_archive)
    Path(scene.assets["B04"].href).write_text("<html>sign in</html>")
    with pytest.raises(SceneError, match=r"B04 of scene s .*not recognized"):
        read_raster(scene, "B04", region_at(CORNER_M, (10, 10)))


@pytest.mark.parametrize("corner", [Affine(nan, 0, 0, 0, -10, 0), Affine(10, 0, inf, 0, -10, 0)])
@pytest.mark.parametrize("epsg", [32632, 32633, 4326])
def test_a_place_that_is_no_number_names_scene_and_asset(
    small_archive: SmallArchive, corner: Affine, epsg: int
) -> None:
    small_archive.optical("s", "2024-06-01T10:00:00Z", size_px=32)
    scene = scene_from(small_archive)
    path = Path(scene.assets["B04"].href)
    path.unlink()
    write_raster(path, np.ones((32, 32), np.uint16), epsg, corner, 0)
    with pytest.raises(SceneError, match=r"B04 of scene s .*place on the ground is no number"):
        read_raster(scene, "B04", region_at(CORNER_M, (10, 10)))


def test_a_place_beyond_its_projection_is_out_of_reach_or_empty(
    small_archive: SmallArchive,
) -> None:
    small_archive.optical("s", "2024-06-01T10:00:00Z", size_px=32)
    scene = scene_from(small_archive)
    path = Path(scene.assets["B04"].href)
    path.unlink()
    write_raster(
        path, np.ones((32, 32), np.uint16), 4326, Affine(10, 0, 1e300, 0, -10, 5_300_040), 0
    )
    found = read_raster(scene, "B04", region_at(CORNER_M, (10, 10)))
    assert found is None or not found.any()
