"""Chips: squares of composited pixels with the class of each, kept one to a file.

A chip's pixels are in physical units, as a composite has them; `normalise` is applied when they
become tensors, so that a change of the normalisation never asks for new chips.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mapper.errors import OutputError, RequestError
from mapper.imagery.bands import OPTICAL_BANDS, OPTICAL_NODATA, RADAR_BANDS
from mapper.land.legend import CLASS_COUNT, NODATA
from mapper.lulcformer.losses import count_classes
from mapper.lulcformer.weight_files import replace_file

CHIP_PX = 512
SUFFIX = ".chip.npz"
_RADAR_STEP_DB = 0.01
"""Radar is kept in hundredths of a decibel, far below its noise."""
_RADAR_NODATA = -32768
_ZIP_LEVEL = 1
"""Noise hardly compresses; higher levels cost ten times the time for a few per cent."""


@dataclass(frozen=True, slots=True, eq=False)
class Chip:
    """The unit of training: one image of each sensor, and the class of every pixel."""

    optical: npt.NDArray[np.uint16]
    """(10, y, x) digital numbers, reflectance times 10,000; 0 where no look was clear."""
    radar: npt.NDArray[np.float32]
    """(2, y, x) dB; NaN where radar saw nothing."""
    label: npt.NDArray[np.uint8]
    """(y, x) class codes 0..8, 255 where unlabelled."""
    place: str
    """Stable name of the ground, such as 32N_0012345_0467890: zone, column and row of its corner;
    the unit of any split."""
    lon: float
    """Longitude of the middle, degrees."""
    lat: float
    """Latitude of the middle, degrees."""
    period: str
    """First and last day of the looks, such as 2024-06-01/2024-08-31."""
    optical_looks: int
    """Optical looks that went into the composite."""
    radar_looks: int
    simulated: bool
    """True for painted ground, False for pixels a satellite saw."""
    source: str
    """Where the pixels and the labels come from, for the model card."""

    def __post_init__(self) -> None:
        shape = self.label.shape
        wanted = ((len(OPTICAL_BANDS), *shape), (len(RADAR_BANDS), *shape))
        if (self.optical.shape, self.radar.shape) != wanted:
            raise RequestError(
                f"chip {self.place}: optical {self.optical.shape} and radar {self.radar.shape} do "
                f"not fit labels {shape}; wanted {wanted[0]} and {wanted[1]}"
            )
        if self.optical.dtype != np.uint16 or not np.issubdtype(self.radar.dtype, np.floating):
            raise RequestError(
                f"chip {self.place}: optical is {self.optical.dtype} and radar {self.radar.dtype}; "
                "wanted uint16 (reflectance times 10,000) and float32 (dB)"
            )
        _require_codes(self.label)


@dataclass(frozen=True, slots=True)
class ChipFacts:
    """What is known of a chip without its pixels; fields are named as those of `Chip`."""

    path: Path
    """Its file."""
    place: str
    lon: float
    lat: float
    simulated: bool
    source: str
    shape: tuple[int, int]
    """(y, x) in pixels."""
    class_counts: tuple[int, ...]
    """Labelled pixels of each class."""


_FACTS = (
    "place",
    "lon",
    "lat",
    "period",
    "optical_looks",
    "radar_looks",
    "simulated",
    "source",
)

_KINDS: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("lon", "lat"), (int, float)),
    **dict.fromkeys(("optical_looks", "radar_looks"), int),
    "simulated": bool,
}
"""Of the facts that are no text."""


def save_chip(chip: Chip, folder: Path, name: str) -> Path:
    """Writes a chip as `folder/name.chip.npz`, 3 to 5 MB; whole or not at all.

    Raises:
        OutputError: the folder cannot be written.
    """
    path = folder / f"{name}{SUFFIX}"
    steps = np.round(np.nan_to_num(chip.radar, nan=0) / _RADAR_STEP_DB)
    radar = np.where(np.isfinite(chip.radar), np.clip(steps, -32767, 32767), _RADAR_NODATA)
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "optical": chip.optical,
        "radar_centi_db": radar.astype(np.int16),
        "label": chip.label,
        "facts": np.array(json.dumps({key: getattr(chip, key) for key in _FACTS})),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(path, _zipped(arrays))
    except OSError as error:
        raise OutputError(
            f"chip {path} cannot be written ({error.strerror}); choose another folder"
        ) from error
    return path


def _zipped(arrays: Mapping[str, npt.NDArray[np.generic]]) -> bytes:
    """What numpy's savez_compressed would write, at a lower level of compression."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED, compresslevel=_ZIP_LEVEL) as file:
        for key, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            file.writestr(f"{key}.npy", content.getbuffer())
    return whole.getvalue()


def load_chip(path: Path) -> Chip:
    """The chip of a file.

    Raises:
        RequestError: the file is no chip, or is damaged.
    """
    with _opened(path) as arrays:
        steps = arrays["radar_centi_db"]
        if steps.dtype != np.int16:
            raise TypeError(f"radar_centi_db is {steps.dtype}, wanted int16")
        radar = np.where(steps == _RADAR_NODATA, np.nan, steps * _RADAR_STEP_DB)
        known = _told(arrays, _FACTS)
        return Chip(arrays["optical"], radar.astype(np.float32), arrays["label"], **known)


def chip_paths(folder: Path) -> list[Path]:
    """The chips of a folder, in order of their names.

    Raises:
        RequestError: there is none.
    """
    found = sorted(folder.glob(f"*{SUFFIX}"))
    if not found:
        raise RequestError(f"no chip (*{SUFFIX}) in {folder}; make some first")
    return found


def facts_of(path: Path) -> ChipFacts:
    """What is known of a chip without its pixels; forty times faster than all of it.

    Raises:
        RequestError: the file is no chip, or is cut short.
    """
    with _opened(path) as arrays:
        label = arrays["label"]
        _require_codes(label)
        height, width = label.shape
        counts = count_classes(torch.from_numpy(label), CLASS_COUNT)
        return ChipFacts(
            path=path,
            shape=(height, width),
            class_counts=tuple(counts.tolist()),
            **_told(arrays, ("place", "lon", "lat", "simulated", "source")),
        )


def framed(chip: Chip, side: int) -> Chip:
    """A chip in the middle of a square, around which nothing is seen or labelled."""
    height, width = chip.label.shape
    if (height, width) == (side, side):
        return chip
    before = ((side - height) // 2, (side - width) // 2)
    frame = [(n, side - size - n) for n, size in zip(before, (height, width), strict=True)]
    return replace(
        chip,
        optical=np.pad(chip.optical, [(0, 0), *frame], constant_values=OPTICAL_NODATA),
        radar=np.pad(chip.radar, [(0, 0), *frame], constant_values=np.nan),
        label=np.pad(chip.label, frame, constant_values=NODATA),
    )


def _told(arrays: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """Some facts of a chip; raises TypeError where one is of another kind than it should be."""
    facts = json.loads(str(arrays["facts"]))
    for key in keys:
        if not isinstance(facts[key], _KINDS.get(key, str)):
            raise TypeError(f"{key} is {facts[key]!r}")
    for key, most in (("lon", 180), ("lat", 90)):
        if not abs(facts[key]) <= most:  # not a number, too
            raise ValueError(f"{key} is {facts[key]}, wanted -{most}..{most}")
    return {key: facts[key] for key in keys}


def _require_codes(label: npt.NDArray[np.uint8]) -> None:
    """Raise ValueError where labels are no uint8, or one is neither a class nor 255."""
    if label.dtype != np.uint8:
        raise ValueError(f"labels are {label.dtype}, wanted uint8")
    strange = label[(label >= CLASS_COUNT) & (label != NODATA)]
    if strange.size:
        raise ValueError(f"label {strange[0]} is no class, wanted 0..{CLASS_COUNT - 1} or {NODATA}")


_DAMAGE = (
    *(OSError, KeyError, TypeError, ValueError, EOFError, RequestError),
    *(zipfile.BadZipFile, zlib.error),
)
"""What is raised of a file that is no chip: by its reading, and by what is in it."""


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The arrays of a chip's file; what is wrong with any of them is said of the file."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            yield arrays
    except _DAMAGE as error:
        raise RequestError(
            f"{path} is not a chip or is damaged ({error}); make it again or remove it"
        ) from error
