"""The direct path and the general path, pixel for pixel, on archives drawn at random."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from small_archive import SmallArchive, region_at, smooth

from mapper.imagery import optical
from mapper.imagery.archives import archive
from mapper.imagery.bands import Sensor
from mapper.imagery.composite import Composite, compose
from mapper.imagery.crew import crew_of
from mapper.imagery.load import read_composite
from mapper.imagery.period import Period
from mapper.imagery.scenes import Look, looks_of
from mapper.imagery.search import search
from mapper.imagery.stacks import optical_stack, radar_stack
from mapper.land.grid import Region, Zone

ZONE = Zone(32, False)
EAST_M, NORTH_M = 399_960, 5_300_040
ALL = region_at((EAST_M, NORTH_M), (160, 160))

PACKINGS: list[dict[str, Any]] = [
    {"compress": "deflate", "predictor": 2},
    {"compress": "deflate"},
    {"compress": "zstd", "predictor": 2},
    {"compress": "lzw", "predictor": 2},
    {},
    {"compress": "lerc_zstd", "MAX_Z_ERROR": 0},  # GDAL reads it
]


def pack(path: Path, packing: dict[str, Any], block_px: int, nodata: float | None) -> None:
    """Write a raster again, packed otherwise, or with another number where it has no data."""
    with rasterio.open(path) as source:
        pixels, profile = source.read(1), source.profile
    profile.pop("compress", None)
    if nodata is not None:
        pixels[pixels == profile["nodata"]] = nodata
        profile["nodata"] = nodata
    blocks = {"tiled": True, "blockxsize": block_px, "blockysize": block_px}
    path.unlink()
    with rasterio.open(path, "w", **{**profile, **blocks, **packing}) as target:
        target.write(pixels, 1)


def draw_archive(folder: Path, seed: int) -> tuple[Look, ...]:
    """A few looks of both sensors: scenes that overlap, gaps, clouds, grids, packings."""
    random = np.random.default_rng(seed)
    small = SmallArchive(folder)
    for number in range(int(random.integers(1, 5))):
        for half in range(int(random.integers(1, 3))):
            shift = (int(random.integers(-3, 4)) * 20, int(random.integers(-3, 4)) * 20)
            if random.random() < 0.15:
                shift = (shift[0] + 10, shift[1])  # 20 m pixels on odd lattice pixels
            gap = random.random() < 0.5

            def digits(name: str, shape: tuple[int, int], gap: bool = gap) -> np.ndarray:
                made = smooth(shape, int(random.integers(1000)), 900, 6000)
                if gap:
                    made[random.random(shape) < 0.03] = 0
                return made

            size = 32 * int(random.integers(3, 6))
            scl = random.choice([0, 3, 4, 5, 9, 10], (size // 2, size // 2), p=[0.1, *[0.18] * 5])
            scl[: size // 3] = 4
            small.optical(
                f"s{number}{half}",
                f"2024-06-{number + 1:02d}T10:00:{half:02d}Z",
                corner_m=(EAST_M + 40 + half * 600 + shift[0], NORTH_M - 60 + shift[1]),
                size_px=size,
                tile=f"32TL{'ABCD'[half]}",
                scl=scl.astype(np.uint8),
                with_scl=random.random() < 0.8,
                digits=digits,
                baseline=str(random.choice(["05.09", "02.14"])),
                seed=seed,
            )
    for number in range(int(random.integers(0, 4))):

        def power(name: str, shape: tuple[int, int]) -> np.ndarray:
            made = smooth(shape, int(random.integers(1000)), 0.01, 0.4)
            made[random.random(shape) < 0.05] = random.choice([-32768, 0, np.nan, np.inf])
            return made

        item = small.radar(
            f"r{number}",
            f"2024-06-{number // 2 + 1:02d}T05:00:{number:02d}Z",
            corner_m=(EAST_M + 10 * int(random.integers(-20, 40)), NORTH_M + 130),
            size_px=150,
            orbit=66,
            power=power,
        )
        if random.random() < 0.4:
            linear = {"scale": 0.3, "offset": float(random.choice([-0.01, 0, 0.01]))}
            for asset in item["assets"].values():
                asset["raster:bands"] = [linear]
    for item in small.items:
        for asset in item["assets"].values():
            packing = PACKINGS[int(random.integers(len(PACKINGS)))]
            if random.random() < 0.5:
                packing = PACKINGS[0]
            nodata = 255 if random.random() < 0.1 else None  # which no class, digit or power is
            pack(folder / asset["href"], packing, int(random.choice([16, 32, 48])), nodata)
    return looks_in(small)


def looks_in(small: SmallArchive) -> tuple[Look, ...]:
    """Everything an archive has, nothing left out."""
    where = shapely.box(-20, 40, 30, 60)
    return looks_of(search(archive(str(small.index())), where, Period.parse("2024-06")), ZONE)


def general(looks: tuple[Look, ...], region: Region, dilation_px: int) -> Composite:
    """The same by the general path alone."""
    seen = [look for look in looks if look.sensor is Sensor.OPTICAL]
    heard = [look for look in looks if look.sensor is Sensor.RADAR]
    with crew_of(1) as crew:
        return compose(
            optical_stack(seen, region, crew, dilation_px), radar_stack(heard, region, crew)
        )


def same(one: Composite, other: Composite) -> None:
    np.testing.assert_array_equal(one.optical_looks, other.optical_looks)
    np.testing.assert_array_equal(one.optical, other.optical)
    np.testing.assert_array_equal(one.radar_looks, other.radar_looks)
    np.testing.assert_array_equal(one.radar, other.radar)


@given(st.integers(0, 10_000), st.integers(0, 2), st.data())
@settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a smaller seed is no simpler archive
    suppress_health_check=[HealthCheck.too_slow],
)
def test_both_paths_give_the_same_pixels(
    tmp_path_factory: pytest.TempPathFactory, seed: int, dilation_px: int, data: st.DataObject
) -> None:
    looks = draw_archive(tmp_path_factory.mktemp("drawn"), seed)
    left, top = data.draw(st.integers(0, 99)), data.draw(st.integers(0, 99))
    width, height = data.draw(st.integers(1, 160 - left)), data.draw(st.integers(1, 160 - top))
    region = Region(ZONE, ALL.left + left, ALL.top + top, width, height)
    sides = data.draw(st.sampled_from([(1024, 1024), (32, 64), (16, 16)]))
    kept = data.draw(st.sampled_from([0, 3000, 2**27]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optical, "PIECE_SIDES_PX", (sides,))
        patch.setattr(optical, "KEPT_BYTES", kept)
        made = read_composite(looks, region, threads=2, cloud_dilation_px=dilation_px)
    same(made, general(looks, region, dilation_px))


def test_more_looks_than_any_month_has(tmp_path: Path) -> None:
    small = SmallArchive(tmp_path)
    random = np.random.default_rng(0)
    for day in range(1, 29):
        scl = random.choice([4, 9], (32, 32), p=[0.6, 0.4]).astype(np.uint8)
        small.optical(f"s{day}", f"2024-06-{day:02d}T10:00:00Z", size_px=64, scl=scl, seed=day)
    looks = looks_in(small)
    assert len(looks) == 28
    region = region_at((EAST_M, NORTH_M), (64, 64))
    made = read_composite(looks, region, cloud_dilation_px=0)
    assert made.optical_looks.max() > 16
    same(made, general(looks, region, 0))
