"""What each class looks like: the packaged mixture of measured places, and the draw from it.

A component is a cluster of real places of one class (see fit_spectra.py): its mean in each quarter
of the hemisphere's year, how its places differ, and how the pixels of one place differ. Optical
values are square roots of reflectance, radar values dB.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from importlib import resources

import numba
import numpy as np
import numpy.typing as npt

from mapper.land.legend import CLASS_COUNT
from mapper.simulated.noise import mix, unit

Singles = npt.NDArray[np.float32]

QUARTERS = 4
RANK = 4
KINDS = 10
"""Most components that one class has in one province."""
_KINDS_OF_CLASS = np.array([2, 4, 5, 3, 10, 3, 6, 3, 3])
"""Components of each class in one province: many crops, few kinds of forest."""
_CLIMATE_DEG = 14.0
"""Difference of latitude at which a component becomes a rare choice for a province."""
_UNKNOWN_LATITUDE_DEG = 12.0
"""Components without coordinates are all of the African croplands."""


class Places(Enum):
    """Which of the measured places a landscape may be painted with."""

    TRAINING = "training"
    HELD_OUT = "held out"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Spectra:
    """The mixture; arrays are (component, ...)."""

    cover: npt.NDArray[np.uint8]
    """Class code."""
    weight: Singles
    """Number of measured spots."""
    latitude: Singles
    """Mean absolute latitude of the spots, degrees."""
    mean: Singles
    """(component, quarter, 12)."""
    spot_factor: Singles
    """(component, 12, RANK): times standard normal numbers, how one place differs from the mean."""
    pixel_factor: Singles
    """(component, 12, RANK): how the pixels of one place differ from each other."""


@lru_cache(maxsize=3)
def spectra(places: Places = Places.TRAINING) -> Spectra:
    """The packaged mixture, of the places asked for."""
    with resources.files(__package__).joinpath("spectra.npz").open("rb") as file:
        arrays = dict(np.load(file))
    keep = np.ones(len(arrays["cover"]), np.bool_)
    if places is not Places.ALL:
        keep = arrays["held_out"] == (places is Places.HELD_OUT)
    latitude = arrays["latitude"][keep]
    return Spectra(
        arrays["cover"][keep],
        arrays["weight"][keep],
        np.where(np.isfinite(latitude), latitude, _UNKNOWN_LATITUDE_DEG).astype(np.float32),
        np.ascontiguousarray(arrays["mean"][keep]),
        np.ascontiguousarray(arrays["spot_factor"][keep]),
        np.ascontiguousarray(arrays["pixel_factor"][keep]),
    )


def palette(mixture: Spectra, province: int, latitude: float) -> npt.NDArray[np.int16]:
    """(class, KINDS) components that grow in a province; by chance, climate and weight.

    The chance comes from the province's hash alone, so every region agrees on it.
    """
    out = np.empty((CLASS_COUNT, KINDS), np.int16)
    for code in range(CLASS_COUNT):
        own = np.flatnonzero(mixture.cover == code)
        near = np.exp(-np.square((np.abs(latitude) - mixture.latitude[own]) / _CLIMATE_DEG))
        share = np.sqrt(mixture.weight[own]) * (near + 0.05)
        edges = np.cumsum(share) / share.sum()
        wanted = int(_KINDS_OF_CLASS[code])
        for kind in range(KINDS):
            draw = _draw(province, code * 64 + kind % wanted)
            out[code, kind] = own[min(int(np.searchsorted(edges, draw)), len(own) - 1)]
    return out


def _draw(province: int, number: int) -> float:
    """A number from 0 to 1 of a province."""
    value = (province * 0x9E3779B1 + number * 0x85EBCA77 + 12345) & 0xFFFFFFFF
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
        value = ((value ^ (value >> shift)) * factor) & 0xFFFFFFFF
    return value / 2**32


def quarter_of(day_of_year: int, south: bool) -> tuple[int, int, float]:
    """The two quarters a day lies between, and the share of the second.

    Quarters are centred on the middle of January, April, July and October in the north, and half a
    year later in the south.
    """
    place = ((day_of_year - 15) / 365.25 * QUARTERS + (2 if south else 0)) % QUARTERS
    first = int(place) % QUARTERS
    return first, (first + 1) % QUARTERS, place - int(place)


@numba.njit(cache=True)
def components_of(
    truth: npt.NDArray[np.uint8],
    unit_hash: npt.NDArray[np.uint32],
    province: npt.NDArray[np.uint32],
    provinces: npt.NDArray[np.uint32],
    palettes: npt.NDArray[np.int16],
) -> npt.NDArray[np.int16]:
    """(y, x) component of every pixel: each unit draws one of its province's kinds."""
    out = np.empty(truth.shape, np.int16)
    for row in range(truth.shape[0]):
        for column in range(truth.shape[1]):
            place = np.searchsorted(provinces, province[row, column])
            draw = unit(mix(unit_hash[row, column] ^ np.uint32(0x5BD1E995)))
            kind = np.int64(draw * palettes.shape[2])
            out[row, column] = palettes[place, truth[row, column], kind]
    return out
