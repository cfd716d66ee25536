from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from small_archive import SmallArchive, region_at, smooth

from mapper.errors import SceneError
from mapper.imagery import optical, radar
from mapper.imagery.archives import archive
from mapper.imagery.choice import Choice, choose
from mapper.imagery.composite import Composite, compose
from mapper.imagery.crew import crew_of
from mapper.imagery.load import read_composite
from mapper.imagery.period import Period
from mapper.imagery.scenes import Look, looks_of
from mapper.imagery.search import search
from mapper.imagery.stacks import optical_stack, radar_stack
from mapper.land.grid import Region, Zone

ZONE = Zone(32, False)
CORNER_M = (399_960, 5_300_040)
ALL = region_at(CORNER_M, (256, 256))
JUNE = Period.parse("2024-06")


def looks_in(small: SmallArchive, zone: Zone = ZONE) -> tuple[Look, ...]:
    """What a run would read of the archive, everywhere."""
    where = shapely.box(-20, 40, 30, 60)
    scenes = search(archive(str(small.index())), where, JUNE)
    kept = choose(scenes, Choice(max_cloud_percent=100), allow_radar_only=True).kept
    return looks_of(kept, zone)


def same(one: Composite, other: Composite) -> None:
    np.testing.assert_array_equal(one.optical, other.optical)
    np.testing.assert_array_equal(one.radar, other.radar)
    np.testing.assert_array_equal(one.optical_looks, other.optical_looks)
    np.testing.assert_array_equal(one.radar_looks, other.radar_looks)


def cut(composite: Composite, part: Region) -> Composite:
    y, x = part.slices_in(composite.region)
    return Composite(
        part,
        composite.optical[:, y, x],
        composite.radar[:, y, x],
        composite.optical_looks[y, x],
        composite.radar_looks[y, x],
    )


def flat(value: float):
    return lambda name, shape: np.full(shape, value)


def clouds(seed: int, side: int = 128) -> np.ndarray:
    """Classes with blobs of cloud and shadow and a swath edge without data."""
    made = np.full((side, side), 4, np.uint8)
    field = smooth((side, side), seed, 0, 1)
    made[field > 0.8] = 9
    made[field < 0.1] = 3
    made[:, : side // 10] = 0
    return made


@pytest.fixture
def busy(small_archive: SmallArchive) -> SmallArchive:
    """Four optical and three radar looks: own grid, the next zone's grid, a grid between points."""
    small = small_archive
    small.optical("own", "2024-06-01T10:00:00Z", scl=clouds(1), seed=1)
    small.optical("own2", "2024-06-04T10:00:00Z", scl=clouds(2), seed=2, baseline="02.14")
    small.optical(
        "between",
        "2024-06-07T10:00:00Z",
        scl=clouds(3),
        seed=3,
        tile="32TLX",
        corner_m=(399_963.835, 5_300_036.33),
    )
    small.optical(
        "next",
        "2024-06-10T10:00:00Z",
        scl=clouds(4),
        seed=4,
        tile="33TUN",
        epsg=32633,
        corner_m=(-48_900, 5_325_400),
    )
    small.optical("bare", "2024-06-13T10:00:00Z", seed=5, with_scl=False, tile="32TLY")
    for day, seed in ((2, 6), (5, 7)):
        small.radar(f"r{day}", f"2024-06-{day:02d}T05:00:00Z", seed=seed)
    small.radar(
        "rnext", "2024-06-08T05:00:00Z", seed=8, epsg=32633, orbit=95, corner_m=(-48_900, 5_325_400)
    )
    return small


def test_the_offset_is_taken_away_exactly_once(small_archive: SmallArchive) -> None:
    small_archive.optical("new", "2024-06-01T10:00:00Z", digits=flat(2500), baseline="05.09")
    small_archive.optical("old", "2024-06-11T10:00:00Z", digits=flat(1500), baseline="02.14")
    small_archive.optical("dark", "2024-06-21T10:00:00Z", digits=flat(900), baseline="05.09")
    looks = looks_in(small_archive)
    for number, value in ((0, 1500), (1, 1500), (2, 1)):
        alone = read_composite(looks[number : number + 1], ALL)
        assert set(np.unique(alone.optical)) == {value}
    assert set(np.unique(read_composite(looks, ALL).optical)) == {1500}


def test_whole_or_in_parts_the_pixels_are_the_same(busy: SmallArchive) -> None:
    looks = looks_in(busy)
    region = region_at((CORNER_M[0] - 400, CORNER_M[1] + 300), (330, 340))
    whole = read_composite(looks, region)
    assert whole.optical_looks.max() == 5
    assert whole.radar_looks.max() == 3
    random = np.random.default_rng(0)
    for _ in range(8):
        y, x = int(random.integers(0, 320)), int(random.integers(0, 330))
        height, width = int(random.integers(1, 331 - y)), int(random.integers(1, 341 - x))
        part = Region(ZONE, region.left + x, region.top + y, width, height)
        same(read_composite(looks, part, threads=int(random.integers(1, 5))), cut(whole, part))


def test_smaller_pieces_give_the_same(busy: SmallArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = looks_in(busy)
    whole = read_composite(looks, ALL)
    monkeypatch.setattr(optical, "PIECE_SIDES_PX", ((128, 64),))
    monkeypatch.setattr(optical, "SMALLEST_AREA_PX", 150)
    monkeypatch.setattr(optical, "MASK_BYTES", 1)
    monkeypatch.setattr(radar, "PIECE_PX", 160)
    same(read_composite(looks, ALL), whole)


def test_stacks_compose_to_the_same(busy: SmallArchive) -> None:
    looks = looks_in(busy)
    seen = [look for look in looks if look.scenes[0].id[0] != "r"]
    heard = [look for look in looks if look.scenes[0].id[0] == "r"]
    with crew_of(2) as crew:
        made = compose(optical_stack(seen, ALL, crew), radar_stack(heard, ALL, crew))
    same(made, read_composite(looks, ALL))


def test_ground_that_is_not_wanted_is_not_read(busy: SmallArchive) -> None:
    looks = looks_in(busy)
    whole = read_composite(looks, ALL)
    wanted = [
        Region(ZONE, ALL.left + 10, ALL.top + 20, 30, 40),
        Region(ZONE, ALL.left + 60, ALL.top + 50, 9, 9),
    ]
    some = read_composite(looks, ALL, wanted=wanted)
    for part in wanted:
        same(cut(some, part), cut(whole, part))
    assert not some.optical_looks[200:].any()
    nothing = read_composite(looks, ALL, wanted=[])
    assert not nothing.optical_looks.any()
    assert np.isnan(nothing.radar).all()


def test_clouds_are_left_out_with_what_is_near_them(small_archive: SmallArchive) -> None:
    scl = np.full((128, 128), 4, np.uint8)
    scl[64, 64] = 9
    small_archive.optical("s", "2024-06-01T10:00:00Z", scl=scl)
    looks = looks_in(small_archive)
    for dilation_px in (0, 1, 3):
        seen = read_composite(looks, ALL, cloud_dilation_px=dilation_px).optical_looks
        side = 2 * (2 * dilation_px + 1)
        assert (seen == 0).sum() == side * side
        assert not seen[128 - 2 * dilation_px, 128 - 2 * dilation_px]


def test_cloud_just_outside_a_region_is_near_it_too(small_archive: SmallArchive) -> None:
    scl = np.full((128, 128), 4, np.uint8)
    scl[64, 64] = 9
    small_archive.optical("s", "2024-06-01T10:00:00Z", scl=scl)
    beside = Region(ZONE, ALL.left + 130, ALL.top + 100, 40, 60)
    seen = read_composite(looks_in(small_archive), beside, cloud_dilation_px=2).optical_looks
    assert (seen == 0).sum() == 4 * 10


def test_a_pixel_needs_data_in_every_band(small_archive: SmallArchive) -> None:
    def gap(name: str, shape: tuple[int, int]) -> np.ndarray:
        made = np.full(shape, 2500)
        made[:10] = 0 if name == "B11" else 2500
        return made

    small_archive.optical("s", "2024-06-01T10:00:00Z", digits=gap)
    composite = read_composite(looks_in(small_archive), ALL)
    assert not composite.optical_looks[:20].any()
    assert not composite.optical[:, :20].any()
    assert (composite.optical_looks[20:] == 1).all()


def test_a_band_that_lies_elsewhere_never_mixes_two_scenes(small_archive: SmallArchive) -> None:
    item = small_archive.optical(
        "a", "2024-06-01T10:00:00Z", digits=flat(2000), with_scl=False, tile="32TLT"
    )
    away = small_archive.optical(
        "z", "2024-05-01T10:00:00Z", digits=flat(9000), corner_m=(420_000, 5_300_040), size_px=32
    )
    item["assets"]["B11"] = away["assets"]["B11"]
    small_archive.optical(
        "b", "2024-06-01T10:00:20Z", digits=flat(3000), with_scl=False, tile="32TMT"
    )
    composite = read_composite(looks_in(small_archive), ALL)
    assert (composite.optical == 2000).all()


def test_without_classification_every_pixel_with_data_is_clear(small_archive: SmallArchive) -> None:
    small_archive.optical("s", "2024-06-01T10:00:00Z", with_scl=False)
    composite = read_composite(looks_in(small_archive), ALL)
    assert (composite.optical_looks == 1).all()


@pytest.mark.parametrize("with_scl", [True, False])
def test_scenes_of_one_overpass_are_one_look(small_archive: SmallArchive, with_scl: bool) -> None:
    half = np.full((128, 128), 4, np.uint8)
    half[:, 64:] = 0

    def west(name: str, shape: tuple[int, int]) -> np.ndarray:
        made = np.full(shape, 2000)
        made[:, shape[1] // 2 :] = 0
        return made

    small_archive.optical(
        "a", "2024-06-01T10:00:00Z", tile="32TLT", digits=west, scl=half, with_scl=with_scl
    )
    small_archive.optical(
        "b", "2024-06-01T10:00:20Z", tile="32TMT", digits=flat(3000), with_scl=with_scl
    )
    looks = looks_in(small_archive)
    assert len(looks) == 1
    composite = read_composite(looks, ALL)
    assert (composite.optical_looks == 1).all()
    # The 20 m bands of the first scene end within a pixel of its 10 m bands.
    assert (composite.optical[:, :, :126] == 1000).all()
    assert (composite.optical[:, :, 130:] == 2000).all()


def test_radar_passes_are_averaged_and_counted(small_archive: SmallArchive) -> None:
    def edge(name: str, shape: tuple[int, int]) -> np.ndarray:
        made = np.full(shape, 0.3)
        made[:100] = -32768
        made[100:110] = 0
        made[110:120] = np.nan if name == "VH" else 0.3
        return made

    small_archive.radar("r1", "2024-06-01T05:00:00Z", power=flat(0.1))
    small_archive.radar("r2", "2024-06-13T05:00:00Z", power=edge)
    composite = read_composite(looks_in(small_archive), ALL)
    assert (composite.radar_looks[:120] == 1).all()
    assert (composite.radar_looks[120:] == 2).all()
    np.testing.assert_allclose(composite.radar[:, :120], -10, atol=1e-5)
    np.testing.assert_allclose(composite.radar[:, 120:], 10 * np.log10(0.2), atol=1e-5)
    assert not composite.optical_looks.any()


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_radar_in_other_units_is_scaled_as_its_item_says(
    small_archive: SmallArchive, dtype: str
) -> None:
    def power(name: str, shape: tuple[int, int]) -> np.ndarray:
        made = np.full(shape, 1000)
        made[:10] = 0
        return made

    item = small_archive.radar("r", "2024-06-01T05:00:00Z", power=power)
    for asset in item["assets"].values():
        path = small_archive.folder / asset["href"]
        with rasterio.open(path) as source:
            pixels, profile = source.read(1), source.profile
        with rasterio.open(path, "w", **(profile | {"dtype": dtype, "nodata": 0})) as target:
            target.write(pixels.astype(dtype), 1)
        asset["raster:bands"] = [{"nodata": 0, "scale": 0.0001, "offset": 0}]
    composite = read_composite(looks_in(small_archive), ALL)
    assert not composite.radar_looks[:10].any()
    np.testing.assert_allclose(composite.radar[:, 10:], -10, atol=1e-5)


def test_no_look_gives_a_blank() -> None:
    composite = read_composite([], ALL)
    assert not composite.optical.any()
    assert np.isnan(composite.radar).all()


def test_far_from_every_scene_nothing_is_seen(busy: SmallArchive) -> None:
    composite = read_composite(looks_in(busy), region_at((500_000, 5_200_000), (64, 64)))
    assert not composite.optical_looks.any()
    assert not composite.radar_looks.any()


@pytest.mark.parametrize("name", ["SCL", "B8A", "vv"])
def test_an_unreadable_asset_is_one_line(busy: SmallArchive, name: str) -> None:
    looks = looks_in(busy)
    scene = "r2" if name == "vv" else "own"
    path = Path(busy.folder / scene / f"{name}.tif")
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(SceneError) as caught:
        read_composite(looks, ALL)
    assert str(caught.value).startswith(f"{name.upper()} of scene {scene} cannot be read (")
    assert "\n" not in str(caught.value)
