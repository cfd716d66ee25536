"""National products out of finished tiles: three rasters in one CRS, an item, a picture.

The rasters are made block by block, so a country of any size needs the memory of one block. They
depend on the area, the CRS and the pixels, not on the cut into tiles: they are the same bytes for
any tile size.
"""

from __future__ import annotations

import json
import shutil
import uuid
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from rasterio.io import DatasetWriter
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from mapper.errors import OutputError
from mapper.land.grid import Outline, Zone
from mapper.land.legend import CLASS_COUNT, NODATA
from mapper.maps.canvas import AUTO, Block, Canvas, canvas_over, seams
from mapper.maps.cog import BLOCK_PX, SIDECAR, UNFINISHED, WRITE_FAILURES, copy_cog, reason
from mapper.maps.layers import LAND_COVER, LAYERS, OBSERVATIONS
from mapper.maps.patchwork import FinishedTile, Pieces, gather, pieces_of
from mapper.maps.publish import Published, file_tags, mark_done, remove_mark, write_json
from mapper.maps.render import PICTURE_NAME, Caption, render
from mapper.maps.stac import COLLECTION_NAME, ITEM_NAME, Contents, Facts, collection, national_item

SIDE_PX = 1024
"""Blocks of a national raster are made in squares of this side."""


def national_products(
    folder: Path,
    tiles: Sequence[FinishedTile],
    land: Sequence[Outline],
    area: BaseGeometry,
    facts: Facts,
    key: str,
    crs: str = AUTO,
) -> Published:
    """Make the rasters, the picture, the item and the collection of a whole area.

    Args:
        folder: of the run; the products are put there.
        tiles: every tile of the area, finished.
        land: the area's outline in each of its zones.
        area: the same in longitude and latitude.
        facts: of the run.
        key: digest of everything the products follow from.
        crs: "auto" for the zone with most land, or another.

    Raises:
        RequestError: the CRS is unknown or unsuitable.
        OutputError: a tile cannot be read, or a product cannot be written.
    """
    canvas = canvas_over(land, crs)
    remove_mark(folder)
    with _workshop(folder) as workshop:
        plain = [workshop / layer.file_name for layer in LAYERS]
        _fill(plain, canvas, pieces_of(tiles), seams(canvas, land, area))
        for layer, source in zip(LAYERS, plain, strict=True):
            copy_cog(folder / layer.file_name, source, layer, file_tags(facts))
            source.unlink()
    contents = _sum_of(tiles, facts, key)
    _draw(folder, facts, contents)
    item = national_item(area, canvas.geobox, facts, contents, folder)
    write_json(folder / ITEM_NAME, item)
    hrefs = [f"./{piece.folder.relative_to(folder)}/{ITEM_NAME}" for piece in tiles]
    held = collection(area, facts, contents, [f"./{ITEM_NAME}", *hrefs])
    write_json(folder / COLLECTION_NAME, held)
    return mark_done(folder, key, [*_products(folder)])


def withdraw(folder: Path) -> None:
    """Take the national products out of a folder; whatever else lies in it stays.

    Raises:
        OutputError: one cannot be removed.
    """
    try:
        remove_mark(folder)
        for name in _products(folder):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {reason(error, folder)}") from error


def _products(folder: Path) -> Iterator[str]:
    """Names of the files that belong to the national products."""
    for layer in LAYERS:
        for name in (layer.file_name, layer.file_name + SIDECAR):
            if (folder / name).exists():
                yield name
    yield from (PICTURE_NAME, ITEM_NAME, COLLECTION_NAME)


@contextmanager
def _workshop(folder: Path) -> Iterator[Path]:
    """A hidden folder for what is taken away again; like a tile's, it is no product if left."""
    made = folder / f".national.{uuid.uuid4().hex}{UNFINISHED}"
    try:
        made.mkdir()
        yield made
    except WRITE_FAILURES as error:
        raise OutputError(f"{folder} cannot be written: {reason(error, made)}") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _fill(
    paths: Sequence[Path], canvas: Canvas, pieces: Mapping[Zone, Pieces], seam: BaseGeometry
) -> None:
    """Write every block that holds land; the others stay nodata.

    Raises:
        OutputError: what was written does not read back: GDAL tells of a full disk only on closing,
            and not always.
    """
    shapely.prepare(seam)
    written: dict[Block, list[int]] = {}
    with ExitStack() as stack:
        rasters = [
            stack.enter_context(_plain_raster(path, canvas, len(layer.planes)))
            for path, layer in zip(paths, LAYERS, strict=True)
        ]
        for block in canvas.blocks(SIDE_PX):
            pixels = gather(canvas, block, pieces, seam)
            if pixels is not None:
                planes = np.split(pixels, _FIRST_BANDS)
                written[block] = [zlib.crc32(plane.tobytes()) for plane in planes]
                for raster, plane in zip(rasters, planes, strict=True):
                    raster.write(plane, window=_window(block))
    for place, path in enumerate(paths):
        with rasterio.open(path) as raster:
            for block, digests in written.items():
                if zlib.crc32(raster.read(window=_window(block)).tobytes()) != digests[place]:
                    raise OutputError(f"{path} does not read back as written; is the disk full?")


_FIRST_BANDS = np.cumsum([len(layer.planes) for layer in LAYERS])[:-1].tolist()
"""Where each layer but the first begins among the bands of all."""


def _window(block: Block) -> Window:
    return Window(block.left, block.top, block.width, block.height)


def _plain_raster(path: Path, canvas: Canvas, count: int) -> DatasetWriter:
    """A raster to be filled block by block; what is not written stays nodata and takes no room."""
    return rasterio.open(
        path,
        "w",
        driver="GTiff",
        dtype="uint8",
        count=count,
        height=canvas.height,
        width=canvas.width,
        crs=canvas.crs,
        transform=canvas.geobox.transform,
        nodata=NODATA,
        tiled=True,
        blockxsize=BLOCK_PX,
        blockysize=BLOCK_PX,
        interleave="band",
        compress="LZW",
        sparse_ok=True,
        bigtiff="IF_SAFER",
    )


def _draw(folder: Path, facts: Facts, contents: Contents) -> None:
    """The picture of the map."""
    caption = Caption(
        facts.title, str(facts.period), facts.attribution, contents.class_px, contents.nodata_px
    )
    layers = (folder / LAND_COVER.file_name, folder / OBSERVATIONS.file_name)
    render(*layers, folder / PICTURE_NAME, caption)


def _sum_of(tiles: Sequence[FinishedTile], facts: Facts, key: str) -> Contents:
    """What all tiles together were made from and hold, by their items."""
    scenes: set[str] = set()
    notes: set[str] = set()
    failed: list[dict[str, str]] = []
    degraded: list[str] = []
    class_px, nodata_px = [0] * CLASS_COUNT, 0
    for piece in tiles:
        said = _properties(piece)
        scenes.update(said["mapper:scenes"])
        class_px = [a + b for a, b in zip(class_px, said["mapper:class_px"], strict=True)]
        nodata_px += said["mapper:nodata_px"]
        notes.update(said["mapper:notes"])
        failed += [{"tile": piece.tile.name, **read} for read in said["mapper:failed_reads"]]
        if said["mapper:degraded"]:
            degraded.append(piece.tile.name)
    return Contents(
        tuple(sorted(scenes)),
        tuple(class_px),
        nodata_px,
        key,
        tuple(sorted(notes - set(facts.notes))),
        failed_reads=tuple(failed),
        degraded=bool(degraded),
        degraded_tiles=tuple(degraded),
    )


def _properties(piece: FinishedTile) -> dict[str, Any]:
    path = piece.folder / ITEM_NAME
    try:
        said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["properties"]
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(
            f"{path} cannot be read ({error}); remove its folder and run again"
        ) from error
    return said
