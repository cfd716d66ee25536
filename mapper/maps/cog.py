"""Cloud-optimised GeoTIFFs that open with their colours and names, whole or not at all.

Pixels go into a plain GeoTIFF, a VRT dresses it with palette, class names and descriptions, and
GDAL's COG driver copies that. Class names are written twice: as metadata of the band inside the
file, and as categories and an attribute table in the `.aux.xml` beside it, where GDAL keeps them
and where QGIS looks for them. Compression is DEFLATE: every GIS reads it, and ZSTD, 8 % smaller,
some do not.

The bytes depend on the pixels and their place alone: no time of writing, no number of threads.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.shutil
from odc.geo.geobox import GeoBox
from rasterio._err import CPLE_BaseError  # GDAL's errors that rasterio.shutil lets through
from rasterio.errors import RasterioError

from mapper.errors import OutputError
from mapper.maps.layers import Layer, Plane

BLOCK_PX = 512
"""Side of a block inside the files; a tile is a whole number of them."""
DEFLATE_LEVEL = 6
"""Level 9 saves 12 % and takes 7.5 times as long."""
UNFINISHED = ".unfinished"
"""Ends the hidden names under which something is being written; the next run removes them."""
SIDECAR = ".aux.xml"
"""What GDAL appends to a raster's name for what a TIFF cannot hold."""
_LITTLE_SPACE = 1 << 20
"""With less free than this after a failed write, the disk was full, whatever GDAL called it."""
_ENVIRONMENT = {
    "GDAL_PAM_ENABLED": "YES",
    "GDAL_NUM_THREADS": "1",
    "GDAL_TIFF_ENDIANNESS": "LITTLE",
}
"""Settings of the reader's environment that would change or lose what is written."""

WRITE_FAILURES = (OSError, RasterioError, CPLE_BaseError)
"""What GDAL and the system raise when a write fails."""

Pixels = npt.NDArray[np.uint8]


def write_cog(
    path: Path, pixels: Pixels, geobox: GeoBox, layer: Layer, tags: Mapping[str, str] | None = None
) -> None:
    """Write an array as a COG, dressed as a layer.

    Args:
        path: of the file to make or to replace; its `.aux.xml` is made beside it.
        pixels: (y, x), or (band, y, x) where the layer has several.
        geobox: where they lie.
        layer: what they mean.
        tags: metadata of the file.

    Raises:
        OutputError: it cannot be written, or reads back differently.
    """
    planes = pixels.reshape(len(layer.planes), *geobox.shape)

    def plain(folder: Path) -> Path:
        return _plain_tiff(folder / "plain.tif", planes, geobox, layer)

    def check(made: Path) -> None:
        with rasterio.open(made) as found:
            if not np.array_equal(found.read(), planes):
                raise OutputError(f"{path} does not read back as it was written; check the disk")

    _write(path, plain, layer, tags or {}, check)


def copy_cog(path: Path, source: Path, layer: Layer, tags: Mapping[str, str] | None = None) -> None:
    """Write a COG from another raster, such as a VRT over many tiles, block by block.

    Args:
        path: of the file to make or to replace.
        source: one band of uint8 for each plane of the layer; its overviews are not used.
        layer: what its values mean.
        tags: metadata of the file.

    Raises:
        OutputError: it cannot be written, or the source cannot be read.
    """

    def check(made: Path) -> None:
        with rasterio.open(made) as found:
            for band in found.indexes:
                found.checksum(band)  # reads every block, and fails on the first that is cut short

    _write(path, lambda _: source, layer, tags or {}, check)


def _write(
    path: Path,
    source: Callable[[Path], Path],
    layer: Layer,
    tags: Mapping[str, str],
    check: Callable[[Path], None],
) -> None:
    """Make a COG in a folder of its own beside `path`, then move it there.

    The names' sidecar goes first: a raster that is there has its names.
    """
    try:
        with tempfile.TemporaryDirectory(
            prefix=f".{path.name}.", suffix=UNFINISHED, dir=path.parent
        ) as made_in:
            folder = Path(made_in)
            try:
                with rasterio.Env(**_ENVIRONMENT):
                    made = folder / path.name
                    dressed = _dressed(source(folder), folder / "dressed.vrt", layer, tags)
                    rasterio.shutil.copy(dressed, made, driver="COG", **_creation_options(layer))
                    check(made)
                for file in (made.with_name(made.name + SIDECAR), made):
                    if file.exists():  # only a palette needs a sidecar
                        keep(file)
                        file.replace(path.with_name(file.name))
                keep(path.parent)
            except WRITE_FAILURES as error:
                # Here, while what was written still takes its place on the disk.
                raise OutputError(f"{path} cannot be written: {reason(error, path)}") from error
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {reason(error, path)}") from error


def has_names(sidecar: Path) -> bool:
    """Whether a raster's sidecar names its classes.

    Raises:
        OSError: it cannot be read.
    """
    try:
        return ElementTree.parse(sidecar).find(".//CategoryNames/Category") is not None
    except ElementTree.ParseError:
        return False


def keep(path: Path) -> None:
    """Force a file, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def reason(error: Exception, path: Path) -> str:
    """Why a write failed and what to do, in the words of a person rather than of GDAL."""
    with suppress(OSError):
        free = shutil.disk_usage(path.parent).free
        if free < _LITTLE_SPACE:
            return (
                f"the disk is full ({free // 1024} KiB free); free space or choose another folder"
            )
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}; check the folder's permissions, or choose another one"
    causes = [error, error.__cause__, error.__context__]
    said = " / ".join(dict.fromkeys(str(cause) for cause in causes if cause))
    return f"{said or type(error).__name__}; check the disk, or choose another folder"


def _plain_tiff(path: Path, planes: Pixels, geobox: GeoBox, layer: Layer) -> Path:
    """The pixels, their place and nothing else."""
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        dtype="uint8",
        count=len(planes),
        height=planes.shape[1],
        width=planes.shape[2],
        crs=str(geobox.crs),
        transform=geobox.transform,
        nodata=layer.nodata,
        tiled=True,
        blockxsize=BLOCK_PX,
        blockysize=BLOCK_PX,
        interleave="band",
    ) as out:
        out.write(planes)
    return path


def _creation_options(layer: Layer) -> dict[str, str | int]:
    """For GDAL's COG driver; overviews of the source are never taken over, they know its cut."""
    return {
        "COMPRESS": "DEFLATE",
        "LEVEL": DEFLATE_LEVEL,
        "PREDICTOR": layer.predictor,
        "BLOCKSIZE": BLOCK_PX,
        "OVERVIEWS": "IGNORE_EXISTING",
        "OVERVIEW_RESAMPLING": layer.overviews,
        "OVERVIEW_COMPRESS": "DEFLATE",
        "OVERVIEW_PREDICTOR": layer.predictor,
        "NUM_THREADS": 1,
        "BIGTIFF": "IF_SAFER",
    }


def _dressed(source: Path, vrt: Path, layer: Layer, tags: Mapping[str, str]) -> Path:
    """A VRT of a raster with the layer's colours, names and descriptions."""
    rasterio.shutil.copy(source, vrt, driver="VRT")
    tree = ElementTree.parse(vrt)
    root = tree.getroot()
    for stale in root.findall("Metadata"):
        root.remove(stale)
    root.insert(0, _metadata({"title": layer.title, **tags}))
    for band, plane in zip(root.iter("VRTRasterBand"), layer.planes, strict=True):
        for stale in [e for e in band if e.tag in ("Metadata", "Description", "ColorInterp")]:
            band.remove(stale)
        band.insert(0, _text("Description", plane.description))
        band.append(_text("ColorInterp", _interpretation(layer, plane)))
        if plane.unit:
            band.append(_text("UnitType", plane.unit))
        if layer.classes:
            names = {f"class_{cover.code}": cover.title for cover in layer.classes}
            band.insert(0, _metadata(names))
            band.extend([_colour_table(layer), _categories(layer), _attribute_table(layer)])
    tree.write(vrt)
    return vrt


def _interpretation(layer: Layer, plane: Plane) -> str:
    """A TIFF can say grey of its first band only; of another it would need a sidecar."""
    if layer.classes:
        return "Palette"
    return "Gray" if plane is layer.planes[0] else "Undefined"


def _text(tag: str, text: str) -> ElementTree.Element:
    element = ElementTree.Element(tag)
    element.text = text
    return element


def _metadata(pairs: Mapping[str, str]) -> ElementTree.Element:
    element = ElementTree.Element("Metadata")
    for key, value in pairs.items():
        item = _text("MDI", value)
        item.set("key", key)
        element.append(item)
    return element


def _colour_table(layer: Layer) -> ElementTree.Element:
    """All 256 entries: a TIFF's palette has no fewer."""
    table = ElementTree.Element("ColorTable")
    for value in range(256):
        colour = layer.palette.get(value, layer.palette[layer.nodata])
        parts = {f"c{place}": str(part) for place, part in enumerate(colour, 1)}
        ElementTree.SubElement(table, "Entry", parts)
    return table


def _categories(layer: Layer) -> ElementTree.Element:
    """Names in the order of the codes, which count from 0."""
    element = ElementTree.Element("CategoryNames")
    element.extend(_text("Category", cover.title) for cover in layer.classes)
    return element


_ATTRIBUTES = (("Value", 0, 5), ("Class", 2, 2), ("Red", 0, 6), ("Green", 0, 7), ("Blue", 0, 8))
"""Columns of the attribute table: name, GDALRATFieldType, GDALRATFieldUsage."""


def _attribute_table(layer: Layer) -> ElementTree.Element:
    """Value, name and colour, from which QGIS and ArcGIS draw a legend by themselves."""
    table = ElementTree.Element("GDALRasterAttributeTable", tableType="thematic")
    for index, (name, kind, usage) in enumerate(_ATTRIBUTES):
        field = ElementTree.SubElement(table, "FieldDefn", index=str(index))
        field.extend([_text("Name", name), _text("Type", str(kind)), _text("Usage", str(usage))])
    for index, cover in enumerate(layer.classes):
        row = ElementTree.SubElement(table, "Row", index=str(index))
        row.extend(_text("F", str(value)) for value in (cover.code, cover.title, *cover.colour))
    return table
