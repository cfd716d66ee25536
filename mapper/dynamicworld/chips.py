"""Chips: squares of composited pixels with the class of each, kept one to a file.

A chip's pixels are in physical units, as a composite has them; `normalise` is applied when they
become tensors, so that a change of the normalisation never asks for new chips.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from mapper.errors import OutputError, RequestError
from mapper.imagery.bands import (
    OPTICAL_BANDS,
    OPTICAL_NAMES,
    OPTICAL_NODATA,
    RADAR_BANDS,
    RADAR_NAMES,
    REFLECTANCE_SCALE,
    Normalisation,
    normalise,
)
from mapper.lulcformer.chips import Coding, TensorChips

CHIP_PX = 512
SUFFIX = ".chip.npz"
CODING = Coding.spanning(-6.0, 10.0, torch.uint16)
"""Standardised pixels are clipped to a few deviations; in two bytes they have 0.0002 of one."""
_RADAR_STEP_DB = 0.01
"""Radar is kept in hundredths of a decibel, far below its noise."""
_RADAR_NODATA = -32768
_SAMPLE_STEP = 37
"""Every so many pixels of a chip count for its statistics; prime, so that columns vary."""
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


def save_chip(chip: Chip, folder: Path, name: str) -> Path:
    """Writes a chip as `folder/name.chip.npz`, about 3 MB; whole or not at all.

    Raises:
        OutputError: the folder cannot be written.
    """
    path = folder / f"{name}{SUFFIX}"
    partial = path.with_suffix(".part")
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
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=_ZIP_LEVEL) as file:
            for key, array in arrays.items():
                content = io.BytesIO()
                np.lib.format.write_array(content, array, allow_pickle=False)
                file.writestr(f"{key}.npy", content.getbuffer())
        partial.replace(path)
    except OSError as error:
        raise OutputError(
            f"chip {path} cannot be written ({error.strerror}); choose another folder"
        ) from error
    return path


def load_chip(path: Path) -> Chip:
    """The chip of a file.

    Raises:
        RequestError: the file is no chip, or is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            steps = arrays["radar_centi_db"]
            radar = np.where(steps == _RADAR_NODATA, np.nan, steps * _RADAR_STEP_DB)
            facts = json.loads(str(arrays["facts"]))
            known = {key: facts[key] for key in _FACTS}
            return Chip(arrays["optical"], radar.astype(np.float32), arrays["label"], **known)
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise RequestError(
            f"{path} is not a chip or is damaged ({error}); make it again or remove it"
        ) from error


def chip_paths(folder: Path) -> list[Path]:
    """The chips of a folder, in order of their names.

    Raises:
        RequestError: there is none.
    """
    found = sorted(folder.glob(f"*{SUFFIX}"))
    if not found:
        raise RequestError(f"no chip (*{SUFFIX}) in {folder}; make some first")
    return found


def load_chips(folder: Path) -> Iterator[Chip]:
    """The chips of a folder one after the other, in order of their names."""
    return (load_chip(path) for path in chip_paths(folder))


def normalisation_of(chips: Iterable[Chip]) -> dict[str, Normalisation]:
    """Each band's 1st and 99th percentile, and mean and deviation of what is clipped to them.

    A sample of every chip's valid pixels counts, so large sets need little memory.

    Raises:
        RequestError: no chip has a valid pixel of some sensor.
    """
    optical, radar = [], []
    for chip in chips:
        seen = chip.optical.reshape(len(OPTICAL_BANDS), -1)[:, ::_SAMPLE_STEP]
        optical.append(seen[:, (seen != OPTICAL_NODATA).all(axis=0)] / REFLECTANCE_SCALE)
        back = chip.radar.reshape(len(RADAR_BANDS), -1)[:, ::_SAMPLE_STEP]
        radar.append(back[:, np.isfinite(back).all(axis=0)].astype(np.float64))
    found: dict[str, Normalisation] = {}
    for names, parts in ((OPTICAL_NAMES, optical), (RADAR_NAMES, radar)):
        pixels = np.concatenate(parts, axis=1) if parts else np.empty((len(names), 0))
        if not pixels.shape[1]:
            raise RequestError(f"no chip has a pixel with {', '.join(names)}; add chips that have")
        found |= {name: _spread(band) for name, band in zip(names, pixels, strict=True)}
    return found


def _spread(values: npt.NDArray[np.float64]) -> Normalisation:
    """Clip limits of one band, and mean and deviation between them; rounded, to be read."""
    low, high = (round(float(limit), 5) for limit in np.percentile(values, [1, 99]))
    clipped = np.clip(values, low, high)
    return Normalisation(low, high, round(float(clipped.mean()), 5), round(float(clipped.std()), 5))


def tensors_of(chips: Sequence[Chip], normalisation: Mapping[str, Normalisation]) -> TensorChips:
    """Chips as the network's training takes them: standardised, two bytes a pixel and band.

    Raises:
        RequestError: there is no chip, or chips differ in size.
    """
    shapes = {chip.label.shape for chip in chips}
    if len(shapes) != 1:
        raise RequestError(f"training wants chips of one size, got {sorted(shapes)}")
    shape = shapes.pop()
    out = TensorChips(
        optical=torch.empty((len(chips), len(OPTICAL_BANDS), *shape), dtype=torch.uint16),
        radar=torch.empty((len(chips), len(RADAR_BANDS), *shape), dtype=torch.uint16),
        optical_valid=torch.empty((len(chips), 1, *shape), dtype=torch.bool),
        radar_valid=torch.empty((len(chips), 1, *shape), dtype=torch.bool),
        label=torch.empty((len(chips), *shape), dtype=torch.uint8),
        coding=CODING,
    )
    for number, chip in enumerate(chips):
        given = normalise(chip.optical, chip.radar, normalisation)
        out.optical[number] = CODING.encode(torch.from_numpy(given.optical), torch.uint16)
        out.radar[number] = CODING.encode(torch.from_numpy(given.radar), torch.uint16)
        out.optical_valid[number, 0] = torch.from_numpy(given.optical_valid)
        out.radar_valid[number, 0] = torch.from_numpy(given.radar_valid)
        out.label[number] = torch.from_numpy(np.ascontiguousarray(chip.label))
    return out
