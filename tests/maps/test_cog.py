"""Rasters open with colours and names, are valid COGs, and are the same bytes every time."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rio_cogeo.cogeo import cog_validate

from mapper.errors import OutputError
from mapper.land.grid import Region, Zone
from mapper.land.legend import LEGEND, NODATA
from mapper.maps.cog import SIDECAR, Pixels, copy_cog, write_cog
from mapper.maps.layers import CONFIDENCE, LAND_COVER, LAYERS, OBSERVATIONS, Layer

REGION = Region(Zone(32, False), 13 * 4096, 116 * 4096, 1536, 1024)
IS_ROOT = os.geteuid() == 0


def pixels(layer: Layer) -> Pixels:
    """Patches of valid values with nodata in a corner."""
    rng = np.random.default_rng(3)
    top = len(layer.classes) or 100
    coarse = rng.integers(0, top, (len(layer.planes), 64, 96)).astype(np.uint8)
    planes = coarse.repeat(16, 1).repeat(16, 2)
    planes[:, :300, :400] = NODATA
    return planes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("cogs")
    for layer in LAYERS:
        write_cog(made / layer.file_name, pixels(layer), REGION.geobox, layer, {"period": "2024"})
    return made


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_every_layer_is_a_valid_cog_with_its_pixels_in_place(folder: Path, layer: Layer) -> None:
    is_valid, errors, warnings = cog_validate(folder / layer.file_name, strict=True, quiet=True)
    assert is_valid, (errors, warnings)
    with rasterio.open(folder / layer.file_name) as found:
        assert np.array_equal(found.read(), pixels(layer))
        assert found.nodata == NODATA
        assert found.dtypes == ("uint8",) * len(layer.planes)
        assert found.crs.to_epsg() == 32632
        assert found.transform == REGION.geobox.transform
        assert found.tags()["period"] == "2024"
        assert found.block_shapes == [(512, 512)] * len(layer.planes)


def test_classes_carry_palette_and_names_inside_the_file(folder: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone.tif"
    alone.write_bytes((folder / LAND_COVER.file_name).read_bytes())
    with rasterio.open(alone) as found:
        colours, tags = found.colormap(1), found.tags(1)
        assert found.colorinterp[0].name == "palette"
    for cover in LEGEND:
        assert colours[cover.code][:3] == cover.colour
        assert tags[f"class_{cover.code}"] == cover.title


def test_classes_carry_categories_and_a_table_beside_the_file(folder: Path) -> None:
    sidecar = (folder / (LAND_COVER.file_name + SIDECAR)).read_text()
    for cover in LEGEND:
        title = cover.title.replace("&", "&amp;")
        assert f"<Category>{title}</Category>" in sidecar
        assert f"<F>{title}</F>" in sidecar
    assert not (folder / (CONFIDENCE.file_name + SIDECAR)).exists()
    assert not (folder / (OBSERVATIONS.file_name + SIDECAR)).exists()


def test_bands_say_what_they_are(folder: Path) -> None:
    with rasterio.open(folder / OBSERVATIONS.file_name) as found:
        assert found.descriptions == ("Clear Sentinel-2 looks", "Sentinel-1 looks")
    with rasterio.open(folder / CONFIDENCE.file_name) as found:
        assert found.units == ("%",)


def test_overviews_of_classes_hold_the_most_frequent_class(tmp_path: Path) -> None:
    quarter = np.array([[1, 1], [1, 8]], np.uint8)
    classes = np.tile(quarter, (1024, 1024))
    classes[:1024, :1024] = np.tile(np.array([[0, NODATA], [0, NODATA]], np.uint8), (512, 512))
    region = Region(REGION.zone, 0, 0, 2048, 2048)
    write_cog(tmp_path / "a.tif", classes, region.geobox, LAND_COVER)
    with rasterio.open(tmp_path / "a.tif") as found:
        assert found.overviews(1) == [2, 4]
        half = found.read(1, out_shape=(1024, 1024))
    assert np.all(half[:512, :512] == 0), "water counts, nodata does not"
    assert np.all(half[512:, 512:] == 1), "an average of 1 and 8 would be another class"


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_bytes_depend_on_pixels_alone(folder: Path, layer: Layer, tmp_path: Path) -> None:
    for threads in ("1", "ALL_CPUS"):
        with rasterio.Env(GDAL_NUM_THREADS=threads, GDAL_PAM_ENABLED="NO"):
            write_cog(
                tmp_path / "again.tif", pixels(layer), REGION.geobox, layer, {"period": "2024"}
            )
        again = (tmp_path / "again.tif").read_bytes()
        assert again == (folder / layer.file_name).read_bytes()
    with rasterio.Env():
        copy_cog(tmp_path / "copy.tif", folder / layer.file_name, layer, {"period": "2024"})
    assert (tmp_path / "copy.tif").read_bytes() == again
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_gdal_itself_reads_the_names(folder: Path) -> None:
    """Through a VRT, since rasterio has no API for categories."""
    vrt = folder / "seen.vrt"
    rasterio.shutil.copy(folder / LAND_COVER.file_name, vrt, driver="VRT")
    text = vrt.read_text()
    vrt.unlink()
    assert "<Category>Water</Category>" in text
    assert "<Category>Snow &amp; ice</Category>" in text


def exit_code(target: Callable[..., None], *args: object) -> int | None:
    """How a process of its own ends."""
    child = multiprocessing.get_context("fork").Process(target=target, args=args)
    child.start()
    child.join(60)
    return child.exitcode


def _write_as_nobody(path: Path) -> None:
    """In a process of its own, which may not write here."""
    if IS_ROOT:
        os.setuid(65534)
    try:
        write_cog(path, pixels(LAND_COVER), REGION.geobox, LAND_COVER)
    except OutputError as error:
        os._exit(6 if f"{path} cannot be written: Permission denied" in str(error) else 1)
    os._exit(0)


def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        assert exit_code(_write_as_nobody, tmp_path / "a.tif") == 6
    finally:
        tmp_path.chmod(0o700)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"gone.*No such file"):
        write_cog(tmp_path / "gone" / "a.tif", pixels(LAND_COVER), REGION.geobox, LAND_COVER)


def _write_with_small_files(path: Path, limit: int) -> None:
    """In a process of its own, where no file may grow beyond `limit` bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        write_cog(path, pixels(CONFIDENCE), REGION.geobox, CONFIDENCE)
    except OutputError as error:
        os._exit(6 if path.name in str(error) else 1)
    os._exit(0)


@pytest.mark.parametrize("limit", [1_000, 100_000, 1_500_000])
def test_a_write_that_is_cut_short_leaves_nothing(tmp_path: Path, limit: int) -> None:
    assert exit_code(_write_with_small_files, tmp_path / "a.tif", limit) == 6
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not IS_ROOT, reason="only root may mount a small disk")
def test_a_full_disk_is_said_in_plain_words(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        rng = np.random.default_rng(0)
        noise = rng.integers(0, 100, REGION.shape).astype(np.uint8)
        with pytest.raises(OutputError, match=r"a.tif cannot be written: the disk is full"):
            write_cog(disk / "a.tif", noise, REGION.geobox, CONFIDENCE)
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)
