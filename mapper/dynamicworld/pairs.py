"""Real chips as GeoTIFFs: one image of each sensor and, where there is one, a label raster.

    FOLDER/manifest.json                [{"id": "place_1", "lonlat": [9.5, 47.1], ...}, ...]
    FOLDER/place_1/s2_l2a.tif           digital numbers, reflectance times 10,000; bands by name
    FOLDER/place_1/s1_rtc_db.tif        VV and VH in dB; may be missing
    FOLDER/place_1/label_anything.tif   class codes, on the same grid

A manifest says of each place whether the digital numbers hold the offset of +1000 of newer
processing (`l2a_has_plus1000`) and whose codes the labels have (`labels` ends in `(... codes)`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from mapper.dynamicworld.chips import Chip
from mapper.errors import RequestError
from mapper.imagery.bands import OPTICAL_NAMES, OPTICAL_NODATA, RADAR_NAMES
from mapper.land.legend import CLASS_COUNT, CLASS_NAMES, NODATA

MANIFEST = "manifest.json"
OPTICAL_FILE = "s2_l2a.tif"
RADAR_FILES = "s1_*_db.tif"
CORRECTED_RADAR_FILE = "s1_rtc_db.tif"
LABEL_FILES = "label_*.tif"
OFFSET_DN = 1000
"""Added to all digital numbers by processing baselines from 04.00 on."""
_SAME_PLACE = 0.1
"""Part of a pixel by which the corners of two grids may differ and be one: what rounding leaves."""


@dataclass(frozen=True, slots=True)
class LabelCodes:
    """How the codes of a label raster are read, and what it cannot tell apart."""

    to_ours: Mapping[int, int]
    """Our class code by the raster's; other values are unlabelled."""
    merged: Mapping[int, int]
    """Classes of ours that it has as one: the second stands for both."""
    names: tuple[str, ...]
    """Names of our codes under this coding."""


DYNAMIC_WORLD = LabelCodes({code: code for code in range(CLASS_COUNT)}, {}, CLASS_NAMES)
"""Our own codes, 0..8."""
_RANGELAND = ("grass_or_shrub" if name == "grass" else name for name in CLASS_NAMES)
TERRAMESH = LabelCodes(
    {1: 0, 2: 1, 3: 3, 4: 4, 5: 6, 6: 7, 7: 8, 9: 2},
    {CLASS_NAMES.index("shrub_and_scrub"): CLASS_NAMES.index("grass")},
    tuple(_RANGELAND),
)
"""The nine codes of Impact Observatory's annual maps as TerraMesh numbers them; 9 is rangeland,
grass or shrub."""
LABEL_CODES: Mapping[str, LabelCodes] = {"TerraMesh": TERRAMESH, "Dynamic World": DYNAMIC_WORLD}
"""By what a manifest's `labels` says before the word codes."""


def is_pairs(folder: Path) -> bool:
    """Whether a folder has a manifest of pairs."""
    return (folder / MANIFEST).is_file()


def labelled_pairs(folder: Path) -> tuple[LabelCodes, list[Mapping[str, Any]]]:
    """The entries of a manifest that have a label raster in codes known here, and that coding.

    Raises:
        RequestError: the manifest cannot be read, has no such entry, or mixes codings.
    """
    found: dict[str, list[Mapping[str, Any]]] = {}
    for entry in _entries(folder / MANIFEST):
        name = _coding_name(str(entry.get("labels", "")))
        if name in LABEL_CODES and list((folder / str(entry["id"])).glob(LABEL_FILES)):
            found.setdefault(name, []).append(entry)
    if len(found) != 1:
        raise RequestError(
            f"{folder / MANIFEST} has labelled places in {len(found)} known codings "
            f"({', '.join(found) or 'none'}); wanted one of {', '.join(LABEL_CODES)}: give "
            '`labels` such as "a survey (Dynamic World codes)" '
            f"and a {LABEL_FILES} beside the image"
        )
    name, entries = found.popitem()
    return LABEL_CODES[name], entries


def load_pairs(folder: Path) -> Iterator[Chip]:
    """The labelled places of a folder as chips, one after the other.

    Raises:
        RequestError: see `labelled_pairs`; or a raster is missing, damaged, lacks a band, or lies
            on another grid than the image.
    """
    coding, entries = labelled_pairs(folder)
    return (_chip(folder / str(entry["id"]), entry, coding) for entry in entries)


def named_bands(path: Path, names: tuple[str, ...]) -> tuple[list[npt.NDArray[Any]], float | None]:
    """The bands (y, x) of those names, and the raster's nodata; B2 is as good a name as B02.

    Raises:
        RequestError: the raster cannot be read, or lacks a band.
    """
    raster = _read(path)
    bands = raster.bands
    short = {name: re.sub(r"^B0", "B", name) for name in names}
    for name in names:
        if name not in bands and short[name] not in bands:
            raise RequestError(
                f"{path} has no band {name}, only {', '.join(map(str, bands))}; name its bands as "
                "the sensor's are"
            )
    found = [bands[name] if name in bands else bands[short[name]] for name in names]
    return found, raster.nodata


def _entries(manifest: Path) -> list[Mapping[str, Any]]:
    try:
        entries = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RequestError(f"{manifest} cannot be read ({error}); mend it") from error
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and "id" in entry for entry in entries
    ):
        raise RequestError(f'{manifest} is no list of places; wanted [{{"id": ...}}, ...]')
    return entries


def _coding_name(labels: str) -> str:
    """TerraMesh, of "IO annual LULC 9-class (TerraMesh codes)"."""
    match = re.search(r"\(([^()]+) codes\)", labels)
    return match[1] if match else ""


def _chip(folder: Path, entry: Mapping[str, Any], coding: LabelCodes) -> Chip:
    optical_path, label_path = folder / OPTICAL_FILE, _only(folder, LABEL_FILES)
    radar_path = _radar_file(folder)
    _require_one_grid(optical_path, label_path, *([] if radar_path is None else [radar_path]))
    label = _label(label_path, coding)
    lon, lat = _position(entry, folder.parent)
    date = str(entry.get("s2_date", ""))[:10]
    radar = (
        np.full((len(RADAR_NAMES), *label.shape), np.nan, np.float32)
        if radar_path is None
        else _radar(radar_path)
    )
    return Chip(
        optical=_optical(optical_path, _has_offset(entry, folder.parent)),
        radar=radar,
        label=label,
        place=str(entry["id"]),
        lon=lon,
        lat=lat,
        period=f"{date}/{date}",
        optical_looks=1,
        radar_looks=int(np.isfinite(radar).any()),
        simulated=False,
        source=str(entry.get("src", folder.name)),
    )


def _only(folder: Path, pattern: str) -> Path:
    """The one file of a place whose name fits.

    Raises:
        RequestError: there are several, and which is meant is for nobody to guess.
    """
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        names = ", ".join(path.name for path in found)
        raise RequestError(
            f"{folder} has {len(found)} files {pattern} ({names}), wanted one; move the others away"
        )
    return found[0]


def _radar_file(folder: Path) -> Path | None:
    """The radar of a place, terrain-corrected if there is a choice; None where it has none."""
    corrected = folder / CORRECTED_RADAR_FILE
    if corrected.exists():
        return corrected
    return _only(folder, RADAR_FILES) if list(folder.glob(RADAR_FILES)) else None


def _has_offset(entry: Mapping[str, Any], folder: Path) -> bool:
    """Whether the digital numbers of a place hold the offset; a manifest that is silent says no."""
    told = entry.get("l2a_has_plus1000") or False
    if not isinstance(told, bool):
        raise RequestError(
            f"{folder / MANIFEST} says l2a_has_plus1000 is {told!r} of {entry['id']}, wanted true "
            "or false"
        )
    return told


def _position(entry: Mapping[str, Any], folder: Path) -> tuple[float, float]:
    """Longitude and latitude of a place; zeros where its manifest does not tell."""
    told = entry.get("lonlat", (0.0, 0.0))
    try:
        lon, lat = map(float, told)
    except (TypeError, ValueError) as error:
        raise RequestError(
            f"{folder / MANIFEST} says lonlat is {told!r} of {entry['id']}, wanted two numbers"
        ) from error
    return lon, lat


def _require_one_grid(image: Path, *others: Path) -> None:
    """Refuse rasters whose pixels are not of the same ground as an image's."""
    grid = _grid(image)
    for path in others:
        other = _grid(path)
        apart = max(abs(a - b) for a, b in zip(grid.corners, other.corners, strict=True))
        alike = (grid.crs, grid.shape) == (other.crs, other.shape)
        if not alike or apart > _SAME_PLACE * abs(grid.transform.a):
            raise RequestError(
                f"{path} lies on another grid ({other}) than {image.name} ({grid}); warp it to that"
            )


def _label(path: Path, coding: LabelCodes) -> npt.NDArray[np.uint8]:
    """(y, x) classes of ours, 255 where the raster has no data or a code of none."""
    raster = _read(path)
    if raster.count != 1:
        raise RequestError(f"{path} has {raster.count} bands, wanted one of class codes")
    (codes,) = raster.bands.values()
    table = np.full(256, NODATA, np.uint8)
    for theirs, ours in coding.to_ours.items():
        table[theirs] = ours
    known = (codes >= 0) & (codes < NODATA) & (codes != raster.nodata)
    return table[np.where(known, codes, NODATA).astype(np.uint8)]


def _optical(path: Path, has_offset: bool) -> npt.NDArray[np.uint16]:
    """(10, y, x) digital numbers without the offset; dark pixels stay above 0, which is nodata."""
    bands, nodata = named_bands(path, OPTICAL_NAMES)
    raw = np.stack([band.astype(np.float64) for band in bands])
    unseen = ~np.isfinite(raw) | (raw == OPTICAL_NODATA) | (raw == nodata)
    digits = np.clip(np.where(unseen, 1, raw) - (OFFSET_DN if has_offset else 0), 1, 65535)
    return np.where(unseen, OPTICAL_NODATA, digits).astype(np.uint16)


def _radar(path: Path) -> npt.NDArray[np.float32]:
    """(2, y, x) dB; NaN where radar saw nothing."""
    bands, nodata = named_bands(path, RADAR_NAMES)
    found = np.stack([band.astype(np.float32) for band in bands])
    if nodata is not None:
        found[found == np.float32(nodata)] = np.nan
    return found


@dataclass(frozen=True, slots=True)
class _Raster:
    """The pixels of a GeoTIFF."""

    bands: Mapping[str | None, npt.NDArray[Any]]
    """(y, x) by their names."""
    count: int
    """Of bands, those without a name as well."""
    nodata: float | None


@dataclass(frozen=True, slots=True)
class _Grid:
    """Where the pixels of a GeoTIFF lie."""

    crs: rasterio.CRS | None
    transform: Affine
    shape: tuple[int, int]

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """Of the first pixel and of the last one, x and y of each."""
        height, width = self.shape
        return *(self.transform @ (0, 0)), *(self.transform @ (width, height))

    def __str__(self) -> str:
        height, width = self.shape
        left, top, right, bottom = self.corners
        corners = f"{left:.10g}, {top:.10g} to {right:.10g}, {bottom:.10g}"
        return f"{width} x {height} px from {corners} in {self.crs or 'no CRS'}"


def _read(path: Path) -> _Raster:
    """The pixels of a raster.

    Raises:
        RequestError: it cannot be read.
    """
    with _opened(path) as raster:
        bands = dict(zip(raster.descriptions, raster.read(), strict=True))
        return _Raster(bands, raster.count, raster.nodata)


def _grid(path: Path) -> _Grid:
    """The grid of a raster.

    Raises:
        RequestError: it cannot be read.
    """
    with _opened(path) as raster:
        return _Grid(raster.crs, raster.transform, raster.shape)


@contextmanager
def _opened(path: Path) -> Iterator[DatasetReader]:
    try:
        with rasterio.open(path) as raster:
            yield raster
    except RasterioError as error:
        raise RequestError(f"{path} cannot be read ({error}); copy it again") from error
