"""Finished tiles of several zones, read as one raster on any canvas, block by block.

A pixel of the canvas takes the lattice pixel that holds its centre. Where two zones meet it may
fall between them; it then takes the nearest neighbour that either zone has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.features
from affine import Affine
from rasterio.errors import RasterioError
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from mapper.errors import OutputError
from mapper.land.grid import Region, Tile, Zone
from mapper.land.legend import NODATA
from mapper.maps.canvas import Block, Canvas, places, reach
from mapper.maps.layers import LAYERS

BANDS = sum(len(layer.planes) for layer in LAYERS)
"""Of all layers, one after the other."""
_INSIDE = BANDS - 1
"""The last one, radar looks, is 255 outside the area only: it tells what is inside."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class FinishedTile:
    """A published tile."""

    tile: Tile
    folder: Path


@dataclass(frozen=True)
class Pieces:
    """The finished tiles of one zone, read as if they were one raster."""

    zone: Zone
    tiles: tuple[FinishedTile, ...]

    @cached_property
    def by_place(self) -> Mapping[tuple[int, int], FinishedTile]:
        """By column and row of the tile."""
        return {(piece.tile.column, piece.tile.row): piece for piece in self.tiles}

    def touches(self, region: Region) -> bool:
        """Whether some tile shares a pixel with a region."""
        return any(place in self.by_place for place in self._places(region))

    def read(self, region: Region) -> Pixels:
        """(band, y, x) of all layers over a region; 255 where there is no tile.

        Raises:
            OutputError: a tile's raster cannot be read.
        """
        out = np.full((BANDS, *region.shape), NODATA, np.uint8)
        for place in self._places(region):
            piece = self.by_place.get(place)
            shared = piece.tile.region.intersection(region) if piece else None
            if piece and shared:
                out[:, *shared.slices_in(region)] = _read(piece, shared)
        return out

    def _places(self, region: Region) -> Iterator[tuple[int, int]]:
        """Columns and rows of the tiles that a region reaches, were there any."""
        size = self.tiles[0].tile.size_px
        columns = range(region.left // size, (region.right - 1) // size + 1)
        yield from product(columns, range(region.top // size, (region.bottom - 1) // size + 1))


def pieces_of(tiles: Sequence[FinishedTile]) -> dict[Zone, Pieces]:
    """The tiles by zone, in order of zone."""
    zones = sorted({piece.tile.zone for piece in tiles})
    return {z: Pieces(z, tuple(p for p in tiles if p.tile.zone == z)) for z in zones}


def gather(
    canvas: Canvas, block: Block, pieces: Mapping[Zone, Pieces], seam: BaseGeometry
) -> Pixels | None:
    """(band, y, x) of all layers over a block; None where no tile has anything to say.

    Args:
        canvas: to draw on; if it is a zone's lattice, that zone's pixels are taken as they are.
        block: of it.
        pieces: the tiles, by zone.
        seam: from `seams`.

    Raises:
        OutputError: a tile's raster cannot be read.
    """
    own = canvas.zone
    found = (_sample(canvas, block, held) for held in pieces.values() if held.zone != own)
    samples = [sample for sample in found if sample is not None]
    on_lattice = pieces.get(own) if own else None
    region = canvas.region(block, own) if own else None
    if on_lattice and region and on_lattice.touches(region):
        out = on_lattice.read(region)
    elif samples:
        out = np.full((BANDS, *block.shape), NODATA, np.uint8)
    else:
        return None
    for sample in samples:
        _take(out, sample, np.ones(block.shape, np.bool_))
    if samples and seam.intersects(block.box):
        first = _sample(canvas, block, on_lattice) if on_lattice else None
        _close(out, block, [first, *samples] if first else samples, seam)
    return out


@dataclass(frozen=True, slots=True)
class Sample:
    """One zone's pixels under a block."""

    pixels: Pixels
    """(band, y, x) of all layers over a region of the zone's lattice."""
    columns: npt.NDArray[np.int64]
    """(y, x) over the block: the column in `pixels` that holds each pixel's centre."""
    rows: npt.NDArray[np.int64]
    """Likewise the row."""


def _sample(canvas: Canvas, block: Block, pieces: Pieces) -> Sample | None:
    """A zone's pixels under a block, if it has any there."""
    region = reach(canvas, block, pieces.zone)
    if not pieces.touches(region):
        return None
    columns, rows = places(canvas, block, pieces.zone)
    return Sample(pieces.read(region), columns - region.left, rows - region.top)


def _take(
    out: Pixels, sample: Sample, where: npt.NDArray[np.bool_], down: int = 0, right: int = 0
) -> None:
    """Let pixels that are still outside take what a zone has for them, or a neighbour of it."""
    y, x = np.nonzero(where & (out[_INSIDE] == NODATA))
    found = sample.pixels[:, sample.rows[y, x] + down, sample.columns[y, x] + right]
    inside = found[_INSIDE] != NODATA
    out[:, y[inside], x[inside]] = found[:, inside]


def _close(out: Pixels, block: Block, samples: Sequence[Sample], seam: BaseGeometry) -> None:
    """Fill the pixels that fell between two zones with the nearest that either has."""
    band = rasterio.features.rasterize(
        [seam],
        out_shape=block.shape,
        transform=Affine.translation(block.left, block.top),
        dtype=np.uint8,
    ).astype(np.bool_)
    for down, right in ((0, -1), (0, 1), (-1, 0), (1, 0)):
        for sample in samples:
            _take(out, sample, band, down, right)


def _read(piece: FinishedTile, region: Region) -> Pixels:
    """(band, y, x) of all layers of one tile over a region inside it."""
    tile = piece.tile.region
    window = Window(region.left - tile.left, region.top - tile.top, region.width, region.height)
    planes = []
    for layer in LAYERS:
        path = piece.folder / layer.file_name
        try:
            with rasterio.open(path) as raster:
                planes.append(raster.read(window=window))
        except RasterioError as error:
            raise OutputError(
                f"{path} cannot be read ({error}); remove its folder and run again"
            ) from error
    return np.concatenate(planes)
