"""The measured rows that the spectra are fitted from: which are used, and how gaps are filled.

Rows are grouped into spots: the pixels of one class, one place and one quarter degree. A spot is
what counts, with one weight, however many dates a source happens to give for it.

Values are kept as the square root of reflectance, in which the spread of a class hardly depends on
its brightness and no draw can be negative, and as decibels.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd  # type: ignore[import-untyped]

from mapper.imagery.bands import OPTICAL_BANDS
from mapper.simulated.cover import BARE, GRASS, SHRUB

Floats = npt.NDArray[np.float64]

OPTICAL_COLUMNS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
RADAR_COLUMNS = ("VV", "VH")
OPTICAL_COUNT = len(OPTICAL_BANDS)
KEPT_FOR_EVALUATION = "terramesh_"
"""Sources whose licence allows evaluation only, by the start of their name."""
TWINNED_SOURCE = "zia207_buffalo"
"""Its bands 6 and 7 are one and the same column: both are filled instead."""
SPOT_DEG = 0.25
HELD_OUT_SHARE = 0.2
"""Share of the places whose spectra are kept apart, to test on."""
UNTILLED_SOURCES = "deafrica_cropmask_"
"""Sources that tell crops from all else, by the start of their name. Of their crops alone, all dry
Africa would look like a field; so what is not tilled is told apart by its green."""
DESERT_NDVI = 0.12
"""Untilled ground with a smaller vegetation index is bare."""
WOODED_NDVI = 0.45
"""Untilled ground with a larger one may be woods, marsh or meadow, and is left out. Between the two
it is dry rangeland, whose grass and shrub the source does not tell apart: half of the rows count
as either."""
EXTREME_Z = 3.5
"""Rows beyond this many robust deviations of their class are taken for wrong (1.5 % of them)."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Labelled pixel-dates ready for fitting."""

    values: Floats
    """(row, 12): square roots of ten reflectances, then VV and VH in dB (NaN where not seen)."""
    cover: npt.NDArray[np.int64]
    """(row,) class code 0..8."""
    spot: npt.NDArray[np.int64]
    """(row,) index of the spot."""
    quarter: npt.NDArray[np.int64]
    """(row,) quarter of the hemisphere's year, 0 = winter; -1 where the source gives none."""
    source: npt.NDArray[np.str_]
    """(row,) name of the source."""


@dataclass(frozen=True, slots=True)
class Spots:
    """What is known of every spot."""

    place: npt.NDArray[np.str_]
    cover: npt.NDArray[np.int64]
    latitude: Floats
    """(spot,) absolute latitude in degrees, NaN where the source gives none."""
    held_out: npt.NDArray[np.bool_]
    """(spot,) True for spots of the places that are kept apart; decided by the place's name."""


def read_rows(points: Path) -> tuple[Rows, Spots, pd.DataFrame]:
    """Usable rows of a points table, with gaps filled; and a count of rows by source.

    Left out: rows whose quality is not "ok" or that have no class, sources for evaluation only,
    top-of-atmosphere sources (the archive simulated is surface reflectance), and extremes.
    """
    table = _with_untilled(pd.read_parquet(points))
    usable = (table.qa == "ok") & (table.dw_class >= 0) & (table.level != "L1C")
    table = table[usable & ~table.source.str.startswith(KEPT_FOR_EVALUATION)].copy()
    table.loc[table.source == TWINNED_SOURCE, ["B6", "B7"]] = np.nan
    values = np.column_stack(
        [
            _filled(np.sqrt(table[list(OPTICAL_COLUMNS)].to_numpy(np.float64).clip(0, 1.6))),
            table[list(RADAR_COLUMNS)].to_numpy(np.float64),
        ]
    )
    cover = table.dw_class.to_numpy(np.int64)
    keep = _plausible(values[:, :OPTICAL_COUNT], cover)
    table, values, cover = table[keep], values[keep], cover[keep]
    spots, spot = _spots(table, cover)
    rows = Rows(values, cover, spot, _quarter(table), table.source.to_numpy(np.str_))
    counted = table.groupby(["source", "licence", "level"], sort=True).agg(
        rows=("place", "size"), places=("place", "nunique"), radar=("VV", "count")
    )
    return rows, spots, counted.reset_index()


def _with_untilled(table: pd.DataFrame) -> pd.DataFrame:
    """The table, with classes for the rows of which a source says only that nothing is tilled."""
    untilled = table.source.str.startswith(UNTILLED_SOURCES) & (table.class_original == "non-crop")
    ndvi = (table.B8 - table.B4) / (table.B8 + table.B4)
    dry_land = untilled & (table.B3 < table.B11)  # the modified water index is negative
    bare = dry_land & (ndvi < DESERT_NDVI)
    rangeland = dry_land & ~bare & (ndvi < WOODED_NDVI)
    # By the digits of its own colour, for most of these rows have no coordinates.
    odd = (table.B8 * 1e4).round() % 2 == 1
    table.loc[bare, "dw_class"] = BARE
    table.loc[rangeland, "dw_class"] = GRASS
    table.loc[rangeland & odd, "dw_class"] = SHRUB
    return table


def _filled(optical: Floats) -> Floats:
    """Missing bands from those that are there, by least squares over the complete rows."""
    out = optical.copy()
    missing = np.isnan(optical)
    complete = optical[~missing.any(axis=1)]
    for pattern in np.unique(missing, axis=0):
        if not pattern.any():
            continue
        design = np.column_stack([complete[:, ~pattern], np.ones(len(complete))])
        solution, *_ = np.linalg.lstsq(design, complete[:, pattern], rcond=None)
        chosen = (missing == pattern).all(axis=1)
        known = np.column_stack([optical[chosen][:, ~pattern], np.ones(int(chosen.sum()))])
        out[np.ix_(chosen, pattern)] = np.clip(known @ solution, 0, None)
    return out


def _plausible(optical: Floats, cover: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """True where no band lies far outside its class (median and quartiles decide)."""
    keep = np.ones(len(optical), np.bool_)
    for code in np.unique(cover):
        own = cover == code
        low, middle, high = np.percentile(optical[own], [25, 50, 75], axis=0)
        deviation = (high - low) / 1.349
        keep[own] = (np.abs(optical[own] - middle) < EXTREME_Z * deviation).all(axis=1)
    return keep


def _spots(
    table: pd.DataFrame, cover: npt.NDArray[np.int64]
) -> tuple[Spots, npt.NDArray[np.int64]]:
    """Groups rows by class, place and quarter degree; spots come in a fixed order."""
    cells = (table[["lat", "lon"]].to_numpy(np.float64) / SPOT_DEG).round()
    places = table.place.to_numpy(np.str_)
    names = [
        f"{code} {place} {lat:.0f} {lon:.0f}"
        for code, place, (lat, lon) in zip(cover, places, cells, strict=True)
    ]
    _, first, index = np.unique(names, return_index=True, return_inverse=True)
    kept_apart = np.array([_is_held_out(place) for place in places[first]])
    latitude = table.lat.abs().to_numpy(np.float64)[first]
    return Spots(places[first], cover[first], latitude, kept_apart), index


def _is_held_out(place: str) -> bool:
    """The same answer for a place for ever, whatever else is in the table."""
    digest = hashlib.sha256(place.encode()).digest()
    return int.from_bytes(digest[:4], "big") < HELD_OUT_SHARE * 2**32


def _quarter(table: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Quarter of the hemisphere's year: December to February in the north is 0."""
    month = table.month.fillna(0).to_numpy(np.int64)
    turned = month + np.where(table.lat.to_numpy(np.float64) < 0, 6, 0)
    return np.where(month > 0, (turned % 12) // 3, -1)
