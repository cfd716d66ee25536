"""Sensors, their bands, and `normalise`: the only door from pixels to the network. Pure.

Optical pixels are uint16 digital numbers of surface reflectance times 10,000 with 0 for nodata, the
offset of newer processing baselines already taken away. Radar pixels are float32 gamma nought in
decibel with NaN for nodata.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Self

import numpy as np
import numpy.typing as npt

from mapper.imagery.planes import standardise, valid_pixels

REFLECTANCE_SCALE = 10_000
"""Digital numbers per unit of reflectance (QUANTIFICATION_VALUE of the Sentinel-2 products)."""
OPTICAL_NODATA = 0
RADAR_NODATA = np.nan


class Sensor(Enum):
    """The two instruments a map is made from."""

    OPTICAL = "sentinel-2"
    RADAR = "sentinel-1"


@dataclass(frozen=True, slots=True)
class Band:
    """One channel of a sensor."""

    name: str
    """The field's usual name: B02 .. B12, VV, VH."""
    sensor: Sensor
    resolution_m: int
    """Pixel size the archive delivers the band at, in metres."""
    wavelength_nm: int | None
    """Centre wavelength of an optical band (Sentinel-2A, MSI user guide); None for radar."""


OPTICAL_BANDS: tuple[Band, ...] = (
    Band("B02", Sensor.OPTICAL, 10, 490),
    Band("B03", Sensor.OPTICAL, 10, 560),
    Band("B04", Sensor.OPTICAL, 10, 665),
    Band("B05", Sensor.OPTICAL, 20, 704),
    Band("B06", Sensor.OPTICAL, 20, 740),
    Band("B07", Sensor.OPTICAL, 20, 783),
    Band("B08", Sensor.OPTICAL, 10, 842),
    Band("B8A", Sensor.OPTICAL, 20, 865),
    Band("B11", Sensor.OPTICAL, 20, 1610),
    Band("B12", Sensor.OPTICAL, 20, 2190),
)
RADAR_BANDS: tuple[Band, ...] = (
    Band("VV", Sensor.RADAR, 10, None),
    Band("VH", Sensor.RADAR, 10, None),
)
OPTICAL_NAMES: tuple[str, ...] = tuple(band.name for band in OPTICAL_BANDS)
RADAR_NAMES: tuple[str, ...] = tuple(band.name for band in RADAR_BANDS)


@dataclass(frozen=True, slots=True)
class Normalisation:
    """How one band's physical values become the network's input: clip, then standardise."""

    low: float
    """Clip below this: the training pixels' 1st percentile (reflectance 0..1, or dB)."""
    high: float
    """Clip above this: the 99th percentile, same unit."""
    mean: float
    """Mean of the clipped training pixels, same unit."""
    std: float
    """Their standard deviation, same unit; positive."""

    def __post_init__(self) -> None:
        if not (self.low < self.high and self.std > 0):
            raise ValueError(f"normalisation needs low < high and std > 0, got {self}")


@dataclass(frozen=True, slots=True)
class NetworkInput:
    """What the network is given for one window or chip."""

    optical: npt.NDArray[np.float32]
    """(band, y, x), standardised; 0 where not valid."""
    radar: npt.NDArray[np.float32]
    """(band, y, x), standardised; 0 where not valid."""
    optical_valid: npt.NDArray[np.bool_]
    """(y, x); True means use this pixel."""
    radar_valid: npt.NDArray[np.bool_]
    """(y, x); True means use this pixel."""

    @classmethod
    def empty(cls, height: int, width: int) -> Self:
        """Memory for a window of that size, whatever stands in it."""
        return cls(
            np.empty((len(OPTICAL_BANDS), height, width), np.float32),
            np.empty((len(RADAR_BANDS), height, width), np.float32),
            np.empty((height, width), np.bool_),
            np.empty((height, width), np.bool_),
        )


def normalise(
    optical: npt.NDArray[np.uint16],
    radar: npt.NDArray[np.float32],
    normalisation: Mapping[str, Normalisation],
    into: NetworkInput | None = None,
) -> NetworkInput:
    """Pixels as the network wants them; one bad value never spoils a window.

    Args:
        optical: (band, y, x) uint16, reflectance times 10,000, bands in the order of OPTICAL_BANDS;
            a pixel is valid where no band is 0.
        radar: (band, y, x) float32 dB, bands in the order of RADAR_BANDS; a pixel is valid where
            every band is finite.
        normalisation: by band name, in reflectance and dB.
        into: what to write to and return, of the same shapes; new memory costs more than the work.

    Returns:
        finite float32 arrays, exactly 0 (a training pixel's mean) where not valid, and the masks.
    """
    out = NetworkInput.empty(*optical.shape[1:]) if into is None else into
    digits = _rules(normalisation, OPTICAL_NAMES)
    standardise(optical, OPTICAL_NODATA, REFLECTANCE_SCALE, digits, out.optical, out.optical_valid)
    decibel = _rules(normalisation, RADAR_NAMES)
    standardise(radar, RADAR_NODATA, 1, decibel, out.radar, out.radar_valid)
    return out


def optical_valid(optical: npt.NDArray[np.uint16]) -> npt.NDArray[np.bool_]:
    """(y, x) True where no band of (band, y, x) is nodata."""
    return valid_pixels(optical, OPTICAL_NODATA)


def radar_valid(radar: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """(y, x) True where every band of (band, y, x) is finite."""
    return valid_pixels(radar, RADAR_NODATA)


def _rules(
    normalisation: Mapping[str, Normalisation], names: tuple[str, ...]
) -> npt.NDArray[np.float32]:
    """(band, 4) low, high, mean and std."""
    rules = (normalisation[name] for name in names)
    return np.array([(r.low, r.high, r.mean, r.std) for r in rules], np.float32)
