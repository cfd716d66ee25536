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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import RasterioError

from mapper.dynamicworld.chips import Chip
from mapper.errors import RequestError
from mapper.imagery.bands import OPTICAL_NAMES, OPTICAL_NODATA, RADAR_NAMES
from mapper.land.legend import CLASS_COUNT, CLASS_NAMES, NODATA

MANIFEST = "manifest.json"
OPTICAL_FILE = "s2_l2a.tif"
RADAR_FILES = "s1_*_db.tif"
LABEL_FILES = "label_*.tif"
OFFSET_DN = 1000
"""Added to all digital numbers by processing baselines from 04.00 on."""


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
        RequestError: see `labelled_pairs`; or a raster is missing, damaged, or lacks a band.
    """
    coding, entries = labelled_pairs(folder)
    return (_chip(folder / str(entry["id"]), entry, coding) for entry in entries)


def named_bands(path: Path, names: tuple[str, ...]) -> tuple[list[npt.NDArray[Any]], float | None]:
    """The bands (y, x) of those names, and the raster's nodata; B2 is as good a name as B02.

    Raises:
        RequestError: the raster cannot be read, or lacks a band.
    """
    bands, nodata = _read(path)
    short = {name: re.sub(r"^B0", "B", name) for name in names}
    for name in names:
        if name not in bands and short[name] not in bands:
            raise RequestError(
                f"{path} has no band {name}, only {', '.join(map(str, bands))}; name its bands as "
                "the sensor's are"
            )
    return [bands[name] if name in bands else bands[short[name]] for name in names], nodata


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
    label_path = sorted(folder.glob(LABEL_FILES))[0]
    codes = next(iter(_read(label_path)[0].values()))
    lon, lat = entry.get("lonlat", (0.0, 0.0))
    date = str(entry.get("s2_date", ""))[:10]
    optical = _optical(folder / OPTICAL_FILE, bool(entry.get("l2a_has_plus1000")))
    radar = _radar(folder, codes.shape)
    table = np.full(256, NODATA, np.uint8)
    for theirs, ours in coding.to_ours.items():
        table[theirs] = ours
    return Chip(
        optical=optical,
        radar=radar,
        label=table[np.where((codes >= 0) & (codes < NODATA), codes, NODATA).astype(np.uint8)],
        place=str(entry["id"]),
        lon=float(lon),
        lat=float(lat),
        period=f"{date}/{date}",
        optical_looks=1,
        radar_looks=int(np.isfinite(radar).any()),
        simulated=False,
        source=str(entry.get("src", folder.name)),
    )


def _optical(path: Path, has_offset: bool) -> npt.NDArray[np.uint16]:
    """(10, y, x) digital numbers without the offset; dark pixels stay above 0, which is nodata."""
    bands, nodata = named_bands(path, OPTICAL_NAMES)
    raw = np.stack([band.astype(np.float64) for band in bands])
    unseen = ~np.isfinite(raw) | (raw == OPTICAL_NODATA) | (raw == nodata)
    digits = np.clip(np.where(unseen, 1, raw) - (OFFSET_DN if has_offset else 0), 1, 65535)
    return np.where(unseen, OPTICAL_NODATA, digits).astype(np.uint16)


def _radar(folder: Path, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """(2, y, x) dB; NaN where radar saw nothing, and everywhere where it has no file."""
    paths = sorted(folder.glob(RADAR_FILES))
    if not paths:
        return np.full((len(RADAR_NAMES), *shape), np.nan, np.float32)
    bands, nodata = named_bands(paths[0], RADAR_NAMES)
    found = np.stack([band.astype(np.float32) for band in bands])
    if nodata is not None:
        found[found == np.float32(nodata)] = np.nan
    return found


def _read(path: Path) -> tuple[dict[str | None, npt.NDArray[Any]], float | None]:
    """The bands of a raster by their names, and what it says is no data."""
    try:
        with rasterio.open(path) as raster:
            return dict(zip(raster.descriptions, raster.read(), strict=True)), raster.nodata
    except RasterioError as error:
        raise RequestError(f"{path} cannot be read ({error}); copy it again") from error
