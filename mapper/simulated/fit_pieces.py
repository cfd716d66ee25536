"""Spots made ready for clustering: large ones cut, and each given its mean in every quarter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mapper.land.legend import CLASS_COUNT
from mapper.simulated.fit_rows import OPTICAL_COUNT, TROPICS_DEG, Floats, Rows, Spots

QUARTERS = 4
PIECE_ROWS = 120
"""A spot seen in one season only, with more rows than this, is cut into pieces that look alike."""
TROPICAL_SWING = 0.4
"""Share of the seasons' swing that is left within the tropics."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """Spots, large ones cut: what is clustered."""

    cover: npt.NDArray[np.int64]
    place: npt.NDArray[np.str_]
    latitude: Floats
    held_out: npt.NDArray[np.bool_]
    mean: Floats
    """(piece, quarter, 12)."""
    rows: Floats
    """(piece,) number of rows."""
    within: Floats
    """(piece, 12, 12) sum of squares about the piece's own mean of each quarter."""


def cut_into_pieces(rows: Rows, spots: Spots) -> Pieces:
    """Cuts large spots and gives each piece its mean in every quarter."""
    piece = _cut(rows)
    index = np.unique(piece, return_index=True)[1]
    spot = rows.spot[index]
    swing = _swing(rows, piece)
    count = len(index)
    mean, within = np.empty((count, QUARTERS, 12)), np.empty((count, 12, 12))
    order = np.argsort(piece, kind="stable")
    edges = np.searchsorted(piece[order], np.arange(count + 1))
    for number in range(count):
        own = order[edges[number] : edges[number + 1]]
        tropical = spots.latitude[spot[number]] < TROPICS_DEG
        change = swing[spots.cover[spot[number]]] * (TROPICAL_SWING if tropical else 1.0)
        mean[number], within[number] = _year(rows.values[own], rows.quarter[own], change)
    return Pieces(
        spots.cover[spot],
        spots.place[spot],
        spots.latitude[spot],
        spots.held_out[spot],
        mean,
        np.bincount(piece, minlength=count).astype(np.float64),
        within,
    )


def _cut(rows: Rows) -> npt.NDArray[np.int64]:
    """(row,) index of a piece, numbered without gaps in order of spot."""
    piece = np.zeros(len(rows.spot), np.int64)
    made = 0
    order = np.argsort(rows.spot, kind="stable")
    edges = np.searchsorted(rows.spot[order], np.arange(rows.spot.max() + 2))
    for number in range(len(edges) - 1):
        own = order[edges[number] : edges[number + 1]]
        wanted = max(1, round(len(own) / PIECE_ROWS))
        if len(np.unique(rows.quarter[own])) > 1:
            wanted = 1
        label = cluster(rows.values[own, :OPTICAL_COUNT], wanted)
        piece[own] = made + label
        made += int(label.max()) + 1
    return piece


def _swing(rows: Rows, piece: npt.NDArray[np.int64]) -> Floats:
    """(class, quarter, 12) how far a quarter lies from the year's mean, from pieces that show both.

    Two-way means (piece and quarter) by a few alternations; classes that are seldom seen in several
    quarters are pulled towards no change.
    """
    swing = np.zeros((CLASS_COUNT, QUARTERS, 12))
    for code in range(CLASS_COUNT):
        own = (rows.cover == code) & (rows.quarter >= 0)
        _, place = np.unique(piece[own], return_inverse=True)
        quarter, values = rows.quarter[own], rows.values[own]
        for _ in range(12):
            level = _mean_by(values - swing[code][quarter], place, int(place.max()) + 1)
            rest = values - level[place]
            seen = np.bincount(quarter, minlength=QUARTERS)[:, None]
            found = _mean_by(rest, quarter, QUARTERS) * seen / (seen + 50)
            swing[code] = np.nan_to_num(found - np.nan_to_num(found).mean(axis=0))
    return swing


def _mean_by(values: Floats, index: npt.NDArray[np.int64], count: int) -> Floats:
    """(count, band) mean of the finite values of each index; NaN where there is none."""
    out = np.full((count, values.shape[1]), np.nan)
    for band in range(values.shape[1]):
        good = np.isfinite(values[:, band])
        size = np.bincount(index[good], minlength=count)
        total = np.bincount(index[good], values[good, band], minlength=count)
        np.divide(total, size, out=out[:, band], where=size > 0)
    return out


def _year(values: Floats, quarter: npt.NDArray[np.int64], swing: Floats) -> tuple[Floats, Floats]:
    """A piece's mean of each quarter, and the sum of squares about it.

    A quarter with three rows or more is its own mean; others are the year's level of the piece plus
    the class's usual swing.
    """
    usual = np.where(quarter[:, None] >= 0, swing[quarter], 0.0)
    level = _mean_by(values - usual, np.zeros(len(values), np.int64), 1)[0]
    mean = level + swing
    for number in range(QUARTERS):
        own = quarter == number
        if own.sum() >= 3:
            seen = _mean_by(values[own], np.zeros(int(own.sum()), np.int64), 1)[0]
            mean[number] = np.where(np.isfinite(seen), seen, mean[number])
    rest = values - np.where(quarter[:, None] >= 0, mean[quarter], level)
    rest = np.nan_to_num(rest)
    return mean, rest.T @ rest


def cluster(features: Floats, wanted: int) -> npt.NDArray[np.int64]:
    """(item,) label 0.. of Lloyd's k-means from farthest-point seeds: no random start."""
    wanted = min(wanted, len(features))
    scale = features.std(axis=0)
    scaled = features / np.where(scale > 0, scale, 1)
    seeds = [int(np.square(scaled - scaled.mean(axis=0)).sum(axis=1).argmin())]
    nearest = np.square(scaled - scaled[seeds[0]]).sum(axis=1)
    while len(seeds) < wanted:
        seeds.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.square(scaled - scaled[seeds[-1]]).sum(axis=1))
    centres = scaled[seeds]
    label = np.zeros(len(scaled), np.int64)
    for _ in range(25):
        label = np.stack([np.square(scaled - c).sum(axis=1) for c in centres]).argmin(axis=0)
        filled = np.unique(label)
        centres = np.stack([scaled[label == number].mean(axis=0) for number in filled])
    return np.unique(label, return_inverse=True)[1]
