"""Sensors, their bands, and `normalise`: the only door from pixels to the network. Pure.

Optical pixels are uint16 digital numbers of surface reflectance times 10,000 with 0 for nodata, the
offset of newer processing baselines already taken away. Radar pixels are float32 gamma nought in
decibel with NaN for nodata.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

REFLECTANCE_SCALE = 10_000
"""Digital numbers per unit of reflectance (QUANTIFICATION_VALUE of the Sentinel-2 products)."""
OPTICAL_NODATA = 0


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


def normalise(
    optical: npt.NDArray[np.uint16],
    radar: npt.NDArray[np.float32],
    normalisation: Mapping[str, Normalisation],
) -> NetworkInput:
    """Pixels as the network wants them; one bad value never spoils a window.

    Args:
        optical: (band, y, x) uint16, reflectance times 10,000, bands in the order of OPTICAL_BANDS;
            a pixel is valid where no band is 0.
        radar: (band, y, x) float32 dB, bands in the order of RADAR_BANDS; a pixel is valid where
            every band is finite.
        normalisation: by band name, in reflectance and dB.

    Returns:
        finite float32 arrays, exactly 0 (a training pixel's mean) where not valid, and the masks.
    """
    optical_valid: npt.NDArray[np.bool_] = np.all(optical != OPTICAL_NODATA, axis=0)
    radar_valid: npt.NDArray[np.bool_] = np.all(np.isfinite(radar), axis=0)
    scaled = optical.astype(np.float32) / np.float32(REFLECTANCE_SCALE)
    return NetworkInput(
        optical=_standardise(scaled, optical_valid, [normalisation[n] for n in OPTICAL_NAMES]),
        radar=_standardise(radar, radar_valid, [normalisation[n] for n in RADAR_NAMES]),
        optical_valid=optical_valid,
        radar_valid=radar_valid,
    )


def _standardise(
    values: npt.NDArray[np.float32],
    valid: npt.NDArray[np.bool_],
    normalisation: list[Normalisation],
) -> npt.NDArray[np.float32]:
    """(band, y, x) clipped, centred and scaled per band; 0 where not valid."""
    out = np.empty(values.shape, np.float32)
    for band, rule in enumerate(normalisation):
        clipped = np.clip(values[band], np.float32(rule.low), np.float32(rule.high))
        standard = (clipped - np.float32(rule.mean)) / np.float32(rule.std)
        out[band] = np.where(valid, standard, np.float32(0))
    return out
