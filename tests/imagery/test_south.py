"""South of the equator and across it: search, choice, plan and pixels, as anywhere."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from small_archive import SmallArchive

from mapper.imagery.archives import archive
from mapper.imagery.bands import OPTICAL_BANDS, Sensor
from mapper.imagery.choice import Choice, choose
from mapper.imagery.load import read_composite
from mapper.imagery.period import Period
from mapper.imagery.scenes import looks_of
from mapper.imagery.search import search
from mapper.land.grid import Grid, Region, outlines

JUNE = Period.parse("2024-06")
SIZE_PX = 256


def lonlat(epsg: int, x: float, y: float) -> tuple[float, float]:
    return pyproj.Transformer.from_crs(epsg, 4326, always_xy=True).transform(x, y)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("epsg", "corner_m", "tile"),
    [
        (32736, (499_980.0, 9_700_000.0), "36MZD"),  # by Lake Victoria, of a southern zone
        (32718, (499_980.0, 5_900_020.0), "18HWD"),  # Chile
        (32636, (499_980.0, 1_000.0), "36NWF"),  # across the equator, on the northern grid
    ],
)
def test_a_southern_area_is_searched_chosen_planned_and_read(
    small_archive: SmallArchive, epsg: int, corner_m: tuple[float, float], tile: str
) -> None:
    """A part of the scene: its own pixels come back, at their own place."""
    left, top = corner_m
    for name, day, cloud in (("clear", 3, 5.0), ("cloudy", 8, 90.0), ("other", 13, 20.0)):
        small_archive.optical(
            name,
            f"2024-06-{day:02d}T08:00:00Z",
            epsg=epsg,
            tile=tile,
            cloud=cloud,
            corner_m=corner_m,
            size_px=SIZE_PX,
            seed=day,
        )
    small_archive.radar("r", "2024-06-04T03:00:00Z", epsg=epsg, corner_m=corner_m)
    west, north = lonlat(epsg, left + 500, top - 500)
    east, south = lonlat(epsg, left + 1500, top - 1500)
    area = shapely.box(west, south, east, north)

    scenes = search(archive(str(small_archive.index())), area, JUNE, whole_orbits=True)
    selection = choose(scenes, Choice(optical_looks=1, radar_looks=1))
    assert [scene.id for scene in selection.kept] == ["clear", "r"]
    assert selection.of(Sensor.OPTICAL)[0].place == tile

    for outline in outlines(area):
        box = [int(v) for v in outline.shape.bounds]
        region = Region(outline.zone, box[0], box[1], box[2] - box[0], box[3] - box[1])
        planned = [tile.region.intersection(region) for tile in Grid(512).tiles_over(outline)]
        assert (
            sum(part.width * part.height for part in planned if part)
            == region.width * region.height
        )
        composite = read_composite(looks_of(selection.kept, outline.zone), region)
        assert composite.optical_looks.min() == 1
        assert composite.radar_looks.min() == 1
        if outline.zone.epsg != epsg:
            continue  # read by the warper, which has tests of its own
        with rasterio.open(small_archive.folder / "clear" / "B02.tif") as raster:
            x, y = region.geobox.transform * (0, 0)
            column, row = ~raster.transform * (x, y)
            window = rasterio.windows.Window(column, row, region.width, region.height)
            expected = raster.read(1, window=window).astype(np.int64) - 1000
        number = [band.name for band in OPTICAL_BANDS].index("B02")
        np.testing.assert_array_equal(composite.optical[number], np.maximum(expected, 1))
