"""National rasters: every pixel from the zone it belongs to, for any CRS and any cut into tiles."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyproj
import pystac
import pytest
import rasterio
import rasterio.features
import shapely
from pystac.validation import validate_dict
from rio_cogeo.cogeo import cog_validate
from shapely.geometry.base import BaseGeometry

from mapper.errors import OutputError, RequestError
from mapper.imagery.composite import blank
from mapper.imagery.period import Period
from mapper.inference.predict import Prediction
from mapper.land.grid import LATTICE_TOP_M, PIXEL_M, Grid, Outline, Region, Tile, Zone, outlines
from mapper.land.legend import NODATA
from mapper.maps.canvas import Block, canvas_over, main_zone, places, reach
from mapper.maps.patchwork import FinishedTile, pieces_of
from mapper.maps.publish import clean_leftovers, is_published, publish_tile
from mapper.maps.stac import Facts
from mapper.production.mosaic import national_products, withdraw

BORDERLAND = shapely.Polygon([(11.97, 48.0), (12.03, 48.01), (12.02, 48.05), (11.96, 48.04)])
"""On both sides of 12 degrees east, where zone 32 ends and zone 33 begins."""
FACTS = Facts(
    collection="borderland",
    title="Borderland",
    period=Period.parse("2024-07"),
    recipe={},
    software={"version": "0.1.0"},
    checkpoint={"digest": "00", "variant": "tiny"},
    precision="fp32",
    simulated=False,
)


def classes_of(
    zone: Zone, columns: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint8]:
    """A pattern that tells every pixel from its neighbours and the zones from each other."""
    return ((columns + 3 * rows + zone.number) % 9).astype(np.uint8)


def finished_tiles(folder: Path, land: Sequence[Outline], tile_px: int) -> list[FinishedTile]:
    """Published tiles of that pattern; where column + row is a multiple of 97, nothing was seen."""
    made = []
    for outline in land:
        for tile in Grid(tile_px).tiles_over(outline):
            place = folder / "tiles" / str(tile_px) / tile.name
            publish(tile, outline, place)
            made.append(FinishedTile(tile, place))
    return made


def publish(tile: Tile, outline: Outline, place: Path) -> None:
    region = tile.region
    rows, columns = np.mgrid[region.top : region.bottom, region.left : region.right]
    wanted = outline.mask(region)
    seen = wanted & ((columns + rows) % 97 != 0)
    land_cover = np.where(seen, classes_of(tile.zone, columns, rows), NODATA).astype(np.uint8)
    prediction = Prediction(region, land_cover, np.where(seen, 50, NODATA).astype(np.uint8), 1)
    scene = f"scene over {tile.zone.name}"
    publish_tile(place, tile, blank(region), prediction, wanted, FACTS, (scene,), tile.name)


@pytest.fixture(scope="module")
def land() -> list[Outline]:
    return outlines(BORDERLAND)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, land: list[Outline]) -> dict[int, Path]:
    """National products out of tiles of two sizes."""
    made = {}
    for tile_px in (512, 1024):
        folder = made[tile_px] = tmp_path_factory.mktemp(str(tile_px))
        tiles = finished_tiles(folder, land, tile_px)
        national_products(folder, tiles, land, BORDERLAND, FACTS, "key")
    return made


def read(path: Path) -> npt.NDArray[np.uint8]:
    with rasterio.open(path) as found:
        planes: npt.NDArray[np.uint8] = found.read()
        return planes


RASTERS = ("land_cover.tif", "confidence.tif", "observations.tif", "land_cover.tif.aux.xml")


@pytest.mark.parametrize("name", [*RASTERS, "land_cover.png"])
def test_two_tile_sizes_make_the_same_bytes(runs: dict[int, Path], name: str) -> None:
    assert (runs[512] / name).read_bytes() == (runs[1024] / name).read_bytes()


def test_the_products_are_whole_and_valid(runs: dict[int, Path]) -> None:
    folder = runs[512]
    assert is_published(folder, "key", thorough=True)
    assert not is_published(folder, "another key")
    for name in RASTERS[:3]:
        assert cog_validate(folder / name, strict=True, quiet=True)[0]
    for name in ("item.json", "collection.json"):
        assert validate_dict({**json.loads((folder / name).read_text()), "stac_extensions": []})
    assert not list(folder.glob(".*")), "no workshop is left"


def test_only_our_own_products_are_withdrawn(runs: dict[int, Path], tmp_path: Path) -> None:
    """A run's folder is opened in a GIS, which saves its projects and styles beside the map."""
    folder = Path(shutil.copytree(runs[512], tmp_path / "run"))
    for name in ("map.qgz", "land_cover.qml", "parcels.gpkg"):
        (folder / name).write_text("a user's own")
    withdraw(folder)
    names = {path.name for path in folder.iterdir()}
    assert names == {"tiles", "map.qgz", "land_cover.qml", "parcels.gpkg"}


def test_the_collection_holds_the_country_and_every_tile(runs: dict[int, Path]) -> None:
    held = pystac.Collection.from_file(str(runs[512] / "collection.json"))
    items = list(held.get_items())
    assert len({item.id for item in items}) == len(items) > 4
    national = items[0].properties
    assert national["mapper:scenes"] == ["scene over 32N", "scene over 33N"]
    tiles = [item.properties for item in items[1:]]
    for code in range(9):
        assert national["mapper:class_px"][code] == sum(t["mapper:class_px"][code] for t in tiles)
    checksum = items[0].assets["picture"].extra_fields["file:checksum"]
    picture = (runs[512] / "land_cover.png").read_bytes()
    assert checksum == "1220" + hashlib.sha256(picture).hexdigest()


def nearest(canvas_crs: str, path: Path, zone: Zone) -> tuple[npt.NDArray, npt.NDArray]:
    """Lattice columns and rows under every pixel of a raster, each centre projected by itself."""
    with rasterio.open(path) as found:
        rows, columns = np.mgrid[: found.height, : found.width]
        x, y = rasterio.transform.xy(found.transform, rows.ravel(), columns.ravel())
        shape = found.shape
    project = pyproj.Transformer.from_crs(canvas_crs, zone.epsg, always_xy=True)
    east, north = project.transform(np.asarray(x), np.asarray(y))
    at = (np.floor(east / PIXEL_M), np.floor((LATTICE_TOP_M - north) / PIXEL_M))
    return at[0].astype(np.int64).reshape(shape), at[1].astype(np.int64).reshape(shape)


def inner(area: BaseGeometry, path: Path) -> npt.NDArray[np.bool_]:
    """Pixels of a raster that lie inside an area, two pixels from its edge."""
    with rasterio.open(path) as found:
        project = pyproj.Transformer.from_crs(4326, found.crs, always_xy=True)
        dense = shapely.segmentize(area, 0.001)
        shape = shapely.transform(dense, lambda xy: np.column_stack(project.transform(*xy.T)))
        burnt = rasterio.features.rasterize(
            [shape.buffer(-2 * found.transform.a)], found.shape, transform=found.transform
        )
    return burnt.astype(np.bool_)


def longitudes(path: Path) -> npt.NDArray[np.float64]:
    with rasterio.open(path) as found:
        rows, columns = np.mgrid[: found.height, : found.width]
        x, y = rasterio.transform.xy(found.transform, rows.ravel(), columns.ravel())
        project = pyproj.Transformer.from_crs(found.crs, 4326, always_xy=True)
        return project.transform(np.asarray(x), np.asarray(y))[0].reshape(found.shape)


def test_pixels_of_the_main_zone_are_pasted(runs: dict[int, Path], land: list[Outline]) -> None:
    canvas = canvas_over(land)
    assert canvas.zone == main_zone(land) == Zone(32, False)
    with rasterio.open(runs[512] / "land_cover.tif") as found:
        assert found.crs.to_epsg() == 32632
        assert found.shape == (canvas.height, canvas.width)
        assert found.transform.c % PIXEL_M == 0
    region = canvas.region(Block(0, 0, canvas.width, canvas.height), Zone(32, False))
    mask = land[0].mask(region)
    rows, columns = np.mgrid[region.top : region.bottom, region.left : region.right]
    expected = classes_of(Zone(32, False), columns, rows)
    seen = mask & ((columns + rows) % 97 != 0)
    (classes,) = read(runs[512] / "land_cover.tif")
    assert np.array_equal(classes[seen], expected[seen])
    assert np.all(classes[mask & ~seen] == NODATA)


@pytest.mark.parametrize("crs", ["auto", "EPSG:32633", "EPSG:3035", "EPSG:4326"])
def test_each_pixel_is_the_nearest_of_its_zone(
    runs: dict[int, Path], land: list[Outline], tmp_path: Path, crs: str
) -> None:
    if crs == "auto":
        folder = runs[512]
    else:
        folder = tmp_path
        tiles = [
            FinishedTile(Grid(512).tile(path.name), path)
            for path in sorted((runs[512] / "tiles" / "512").iterdir())
        ]
        for piece in tiles:
            (tmp_path / "tiles" / "512").mkdir(parents=True, exist_ok=True)
            (tmp_path / "tiles" / "512" / piece.tile.name).symlink_to(piece.folder)
        moved = [FinishedTile(t.tile, tmp_path / "tiles" / "512" / t.tile.name) for t in tiles]
        national_products(tmp_path, moved, land, BORDERLAND, FACTS, "key", crs)
    path = folder / "land_cover.tif"
    (classes,), (optical, radar) = read(path), read(folder / "observations.tif")
    interior = inner(BORDERLAND, path)
    assert interior.sum() > 50_000
    assert np.all(radar[interior] == 0), "no pixel falls between two zones"
    assert np.array_equal(optical == NODATA, radar == NODATA)
    with rasterio.open(path) as found:
        where = str(found.crs)
    lon = longitudes(path)
    for zone, mine in ((Zone(32, False), lon < 11.9998), (Zone(33, False), lon > 12.0002)):
        columns, rows = nearest(where, path, zone)
        expected = classes_of(zone, columns, rows)
        expected[(columns + rows) % 97 == 0] = NODATA
        agree = classes[interior & mine] == expected[interior & mine]
        # Interpolated places differ from projected ones in a pixel in ten thousand, by one pixel.
        assert np.mean(agree) > 0.9995
    along = interior & (np.abs(lon - 12) < 0.0002)
    assert along.sum() > 1000
    assert np.mean(classes[along] == NODATA) < 3 / 97


def test_places_do_not_depend_on_the_block(land: list[Outline]) -> None:
    canvas = canvas_over(land, "EPSG:3035")
    whole = places(canvas, Block(0, 0, 1024, 1024), Zone(33, False))
    part = places(canvas, Block(512, 256, 300, 200), Zone(33, False))
    for of_whole, of_part in zip(whole, part, strict=True):
        assert np.array_equal(of_whole[256:456, 512:812], of_part)
    region = reach(canvas, Block(0, 0, 1024, 1024), Zone(33, False))
    assert region.left < whole[0].min()
    assert whole[0].max() < region.right - 1
    assert region.top < whole[1].min()
    assert whole[1].max() < region.bottom - 1


def test_an_unfit_crs_is_refused_in_words(land: list[Outline]) -> None:
    with pytest.raises(RequestError, match='CRS "moon" is unknown; give auto'):
        canvas_over(land, "moon")
    with pytest.raises(RequestError, match="no map of two axes"):
        canvas_over(land, "EPSG:4978")
    fiji = shapely.MultiPolygon(
        [shapely.box(179, -17, 180, -16), shapely.box(-180, -17, -179, -16)]
    )
    with pytest.raises(RequestError, match="both sides of that CRS's edge"):
        canvas_over(outlines(fiji), "EPSG:4326")


def test_a_country_across_180_degrees_is_one_piece() -> None:
    fiji = shapely.MultiPolygon(
        [shapely.box(179, -17, 180, -16), shapely.box(-180, -17, -179.5, -16)]
    )
    canvas = canvas_over(outlines(fiji))
    assert canvas.crs == "EPSG:32760"
    assert 15_500 < canvas.width < 16_500, "one and a half degrees, not three hundred"


def test_a_damaged_tile_is_named(tmp_path: Path) -> None:
    small = shapely.box(11.95, 48.0, 11.96, 48.01)
    land = outlines(small)
    tiles = finished_tiles(tmp_path, land, 512)
    victim = tiles[0].folder / "confidence.tif"
    victim.write_bytes(victim.read_bytes()[:300])
    with pytest.raises(OutputError, match=r"confidence.tif cannot be read .*run again"):
        national_products(tmp_path, tiles, land, small, FACTS, "key")
    assert not is_published(tmp_path, "key")
    assert not (tmp_path / "land_cover.tif").exists()
    assert clean_leftovers(tmp_path) == []


def test_a_region_without_tiles_is_nodata(tmp_path: Path, land: list[Outline]) -> None:
    outline = land[0]
    tiles = finished_tiles(tmp_path, [outline], 512)[:1]
    (held,) = pieces_of(tiles).values()
    first = tiles[0].tile.region
    around = Region(first.zone, first.left - 100, first.top - 100, 700, 700)
    pixels = held.read(around)
    assert np.all(pixels[:, :100] == NODATA)
    assert np.any(pixels[:, 100:, 100:] != NODATA)
    far = Region(first.zone, 0, 0, 10, 10)
    assert not held.touches(far)
    assert np.all(held.read(far) == NODATA)
