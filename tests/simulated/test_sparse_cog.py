"""Files that GDAL reads as it reads its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from rio_cogeo import cog_validate

from mapper.land.legend import LEGEND
from mapper.simulated.sparse_cog import Level, Raster, compressed, write_cog


def _written(path: Path, raster: Raster, pixels: npt.NDArray[np.generic]) -> int:
    """Writes an array by blocks, with an overview of every eighth pixel."""
    levels = []
    for factor in (1, 8):
        level = pixels[::factor, ::factor]
        blocks = {}
        for row in range(-(-level.shape[0] // raster.block_px)):
            for column in range(-(-level.shape[1] // raster.block_px)):
                side = raster.block_px
                block = np.full((side, side), raster.nodata, raster.dtype)
                part = level[row * side : (row + 1) * side, column * side : (column + 1) * side]
                block[: part.shape[0], : part.shape[1]] = part
                if data := compressed(block, raster):
                    blocks[row, column] = data
        lengths = {place: len(data) for place, data in blocks.items()}
        levels.append(Level(factor, lengths, blocks.__getitem__))
    return write_cog(path, raster, levels)


@pytest.mark.parametrize(("dtype", "nodata"), [("uint8", 255), ("uint16", 0), ("float32", -32768)])
def test_what_is_written_is_read(tmp_path: Path, dtype: str, nodata: float) -> None:
    random = np.random.default_rng(5)
    pixels = np.full((1100, 900), nodata, dtype)
    pixels[300:700, 100:650] = random.integers(0, 9, (400, 550))
    if dtype == "float32":
        pixels[300:700, 100:650] *= np.float32(0.137)
    palette = tuple(cover.colour for cover in LEGEND) if dtype == "uint8" else None
    raster = Raster(900, 1100, dtype, 256, 32760, 300_000, 5_300_040, 10, nodata, "a test", palette)
    size = _written(tmp_path / "a.tif", raster, pixels)
    assert size == (tmp_path / "a.tif").stat().st_size
    with rasterio.open(tmp_path / "a.tif") as file:
        assert np.array_equal(file.read(1), pixels)
        assert (file.crs.to_epsg(), file.nodata, file.dtypes[0]) == (32760, nodata, dtype)
        assert file.transform == rasterio.Affine(10, 0, 300_000, 0, -10, 5_300_040)
        assert file.overviews(1) == [8]
        if palette:
            assert file.colormap(1)[4][:3] == LEGEND[4].colour
    with rasterio.open(tmp_path / "a.tif", overview_level=0) as overview:
        assert np.array_equal(overview.read(1), pixels[::8, ::8])
    assert cog_validate(tmp_path / "a.tif", strict=True)[0]


def test_empty_ground_takes_no_room(tmp_path: Path) -> None:
    pixels = np.zeros((10_980, 10_980), np.uint16)
    pixels[5000:5010, 5000:5010] = 7
    raster = Raster(10_980, 10_980, "uint16", 512, 32632, 499_980, 5_300_040, 10, 0, "a test")
    assert _written(tmp_path / "a.tif", raster, pixels) < 20_000
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.read(1).sum() == 700
