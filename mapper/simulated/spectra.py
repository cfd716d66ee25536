"""What each class looks like: the packaged mixture of measured places, and the draw from it.

A component is a cluster of real places of one class in one quarter of the hemisphere's year (see
fit_spectra.py): its mean, how its places differ, and how the pixels of one place differ. Optical
values are square roots of reflectance, radar values dB. What a field looks like in one quarter says
little of the next: it may be bare, green or ripe, and none of these lies between the others. So a
field draws a component for each quarter and changes from one to the next on a day of its own; other
ground draws by rank, and stays dark or bright. What a whole province has of lush or dry kinds it
keeps all year.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from importlib import resources
from statistics import NormalDist

import numba
import numpy as np
import numpy.typing as npt

from mapper.imagery.bands import OPTICAL_BANDS
from mapper.land.legend import CLASS_COUNT
from mapper.simulated.cover import BARE, BUILT, CROPS, GRASS, SHRUB, SNOW, WATER
from mapper.simulated.noise import mix, unit

Singles = npt.NDArray[np.float32]

QUARTERS = 4
RANK = 4
RADAR = np.arange(len(OPTICAL_BANDS), len(OPTICAL_BANDS) + 2)
"""Where VV and VH are among the 12 values of a component."""
KINDS = 60
"""Places in a province's palette of a class: a multiple of how many components it may have there,
so that each is drawn equally often."""
_KINDS_OF_CLASS = np.array([2, 4, 5, 3, 10, 3, 6, 3, 3])
"""Components of each class in one province and quarter: many crops, few kinds of forest."""
_MOST_UNEVEN = 6.0
"""How unevenly the kinds of crops of a province and quarter may share its fields, from 1, all
alike, to this: two thirds of the fields are then of one kind, as after a harvest or in a country of
one crop. In real farmland the fields of one day differ by as little as 0.02 and as much as 0.16 in
the root of red reflectance (half of what lies between the 16th and 84th percentile)."""
_REGIONAL = np.zeros(CLASS_COUNT)
"""Share of the variance of a class's kinds, by rank, that is between provinces: one has lush
meadows, another dry ones. Of what measured spots differ by in red it is 0.18 to 0.49 of meadows and
0.19 to 0.36 of fields, by whether what sources and countries differ by is left out
(tests/bench/bench_regions.py, which prints that of the painting beside it: between the two). Of
shrub, towns and bare ground few regions are known (37, 61 and 12); theirs lie between their bounds,
too, but for bare ground, 0.28 instead of 0.20. Without it every province had meadows of all kinds,
and nothing that is seen of one told of the next. Of woods it is little, 0.04 in red, and the
painting leaves out that they are dry, too, where meadows are."""
_REGIONAL[[GRASS, CROPS, SHRUB, BUILT, BARE]] = (0.35, 0.22, 0.2, 0.2, 0.1)
_TOGETHER = 0.65
"""Share of that which these classes have in common: where meadows are dry, fields are, too. That a
province keeps its level all year is assumed, not measured."""
_NORMAL = NormalDist()
_CLIMATE_DEG = 10.0
"""Difference of latitude at which a component becomes a rare choice for a province: with 14, half
of the shrub of Europe was drawn from the edge of the Sahara."""
_ANYWHERE = 0.001
"""How much a component of another climate counts beside one of the same latitude."""
_UNKNOWN_LATITUDE_DEG = 12.0
"""Components without coordinates are African and Indian."""
_DARKER_TO_RADAR_DB = np.full((CLASS_COUNT, 2), (1.5, 1.3), np.float32)
"""What is taken from VV and VH of a class. The mixture's radar is that of monthly composites
(WorldCereal), in which every class of land is brighter than in the table of pixel-months of the
United States: woods by 2.0 and 1.8 dB, meadows by 2.2 and 2.0, fields by 5.3 and 5.4, so that
fields are brighter than meadows in the one and darker in the other
(tests/bench/bench_backscatter.py). About two thirds of that is taken, and half for fields: that
country is a dry one. Water is left to its wind, and the radar of snow is that table's."""
_DARKER_TO_RADAR_DB[CROPS] = (2.8, 2.6)
_DARKER_TO_RADAR_DB[[WATER, SNOW]] = 0


class Places(Enum):
    """Which of the measured places a landscape may be painted with."""

    TRAINING = "training"
    HELD_OUT = "held out"


@dataclass(frozen=True, slots=True)
class Spectra:
    """The mixture; arrays are (component, ...)."""

    cover: npt.NDArray[np.uint8]
    """Class code."""
    quarter: npt.NDArray[np.uint8]
    """Quarter of the hemisphere's year, 0 = winter."""
    weight: Singles
    """Number of measured spots."""
    latitude: Singles
    """Mean absolute latitude of the spots, degrees."""
    mean: Singles
    """(component, 12)."""
    factors: Singles
    """(component, 12, 2 RANK): times standard normal numbers, how one place differs from the mean
    (the first RANK), and how the pixels of one place differ from each other (the rest)."""


@lru_cache(maxsize=2)
def spectra(places: Places = Places.TRAINING) -> Spectra:
    """The packaged mixture, of the places asked for."""
    with resources.files(__package__).joinpath("spectra.npz").open("rb") as file:
        arrays = dict(np.load(file))
    keep = arrays["held_out"] == (places is Places.HELD_OUT)
    latitude, cover, mean = (arrays[name][keep] for name in ("latitude", "cover", "mean"))
    mean[:, RADAR] -= _DARKER_TO_RADAR_DB[cover]
    return Spectra(
        cover,
        arrays["quarter"][keep],
        arrays["weight"][keep],
        np.where(np.isfinite(latitude), latitude, _UNKNOWN_LATITUDE_DEG).astype(np.float32),
        np.ascontiguousarray(mean),
        np.concatenate([arrays["spot_factor"][keep], arrays["pixel_factor"][keep]], axis=2),
    )


def palette(mixture: Spectra, province: int, latitude: float) -> npt.NDArray[np.int16]:
    """(quarter, class, KINDS) components that grow in a province; by chance, climate and weight.

    The components of a class lie in order from dark to bright, in red or in all bands. A province
    has a level of its own in that order (`_REGIONAL`), around which its kinds lie, darker and
    brighter ones alike. Each is then as frequent as the others, crops aside (`_MOST_UNEVEN`). The
    chance comes from the province's hash alone, so every region agrees on it.
    """
    out = np.empty((QUARTERS, CLASS_COUNT, KINDS), np.int16)
    ranks = [_ranks(province, code) for code in range(CLASS_COUNT)]
    for quarter, code in np.ndindex(QUARTERS, CLASS_COUNT):
        own = np.flatnonzero((mixture.cover == code) & (mixture.quarter == quarter))
        share = nearness(mixture, own, latitude)
        edges = np.cumsum(share) / share.sum()
        drawn = own[np.searchsorted(edges, ranks[code]).clip(max=len(own) - 1)]
        evenly = np.arange(KINDS) * len(drawn) // KINDS
        which = _unevenly(len(drawn), province, quarter) if code == CROPS else evenly
        out[quarter, code] = drawn[which]
    return out


def _ranks(province: int, code: int) -> list[float]:
    """Where a province's kinds of a class lie in order from dark, 0, to bright, 1.

    By way of normal numbers, so that over all provinces every rank is as likely as any other.
    """
    common, own = (_NORMAL.inv_cdf(_draw(province, 3000 + k)) for k in (CLASS_COUNT, code))
    level = math.sqrt(_TOGETHER) * common + math.sqrt(1 - _TOGETHER) * own
    regional, rest = math.sqrt(_REGIONAL[code]) * level, math.sqrt(1 - _REGIONAL[code])
    wanted = int(_KINDS_OF_CLASS[code])
    draws = [(kind + _draw(province, code * 64 + kind)) / wanted for kind in range(wanted)]
    return [_NORMAL.cdf(regional + rest * _NORMAL.inv_cdf(draw)) for draw in draws]


def _unevenly(wanted: int, province: int, quarter: int) -> npt.NDArray[np.int64]:
    """(KINDS,) which of so many kinds stands in each place of a palette."""
    power = 1 + (_MOST_UNEVEN - 1) * _draw(province, 1000 + quarter) ** 2
    first = int(wanted * _draw(province, 2000 + quarter))
    shares = (np.arange(KINDS) + 0.5) / KINDS
    return (first + (wanted * shares**power).astype(np.int64)) % wanted


def nearness(mixture: Spectra, components: npt.NDArray[np.int64], latitude: float) -> Singles:
    """(component,) how often some components are drawn at a latitude, relative to each other."""
    near = np.exp(-np.square((np.abs(latitude) - mixture.latitude[components]) / _CLIMATE_DEG))
    return np.asarray(np.sqrt(mixture.weight[components]) * (near + _ANYWHERE))


def _draw(province: int, number: int) -> float:
    """A number between 0 and 1 of a province."""
    value = (province * 0x9E3779B1 + number * 0x85EBCA77 + 12345) & 0xFFFFFFFF
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
        value = ((value ^ (value >> shift)) * factor) & 0xFFFFFFFF
    return (value + 0.5) / 2**32


def season_of(day_of_year: int, south: bool) -> float:
    """Place in the hemisphere's year, 0 up to QUARTERS.

    Whole numbers are the middles of January, April, July and October in the north, and half a year
    later in the south.
    """
    return ((day_of_year - 15) / 365.25 * QUARTERS + (2 if south else 0)) % QUARTERS


@numba.njit(cache=True)
def components_on(
    season: float,
    shown: npt.NDArray[np.uint8],
    unit_hash: npt.NDArray[np.uint32],
    province: npt.NDArray[np.uint32],
    provinces: npt.NDArray[np.uint32],
    palettes: npt.NDArray[np.int16],
) -> npt.NDArray[np.int16]:
    """(y, x) component of every pixel on a day: each unit draws one of its province's kinds.

    Args:
        season: see `season_of`.
        shown: (y, x) class that a pixel looks like.
        palettes: (province, quarter, class, KINDS) of the sorted `provinces`.
    """
    out = np.empty(shown.shape, np.int16)
    for row in range(shown.shape[0]):
        for column in range(shown.shape[1]):
            place = np.searchsorted(provinces, province[row, column])
            code, own = shown[row, column], mix(unit_hash[row, column] ^ np.uint32(0x5BD1E995))
            quarter = np.int64(season + unit(mix(own + np.uint32(7)))) % QUARTERS
            if code == CROPS:
                own = mix(own + np.uint32(quarter))
            kind = np.int64(unit(own) * palettes.shape[3])
            out[row, column] = palettes[place, quarter, code, kind]
    return out
