"""Rows made ready for clustering: gathered by spot and quarter, and cut into those alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mapper.simulated.fit_rows import OPTICAL_COUNT, Floats, Rows, Spots

PIECE_ROWS = 12
"""Rows of one spot and quarter are cut into pieces of about so many that look alike: fields of one
place are bare, green and ripe at the same time, and their mean would look like none of them."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """Rows of one spot and quarter that look alike: what is clustered."""

    cover: npt.NDArray[np.int64]
    spot: npt.NDArray[np.int64]
    place: npt.NDArray[np.str_]
    latitude: Floats
    held_out: npt.NDArray[np.bool_]
    quarter: npt.NDArray[np.int64]
    """(piece,) quarter of the hemisphere's year; -1 where the source gives none."""
    mean: Floats
    """(piece, 12)."""
    rows: Floats
    """(piece,) number of rows."""
    within: Floats
    """(piece, 12, 12) sum of squares about the piece's own mean."""


def cut_into_pieces(rows: Rows, spots: Spots) -> Pieces:
    """The pieces of all rows, in order of spot and quarter."""
    label, count = _cut(rows)
    order = np.argsort(label, kind="stable")
    edges = np.searchsorted(label[order], np.arange(count + 1))
    first = order[edges[:-1]]
    mean, within = np.empty((count, 12)), np.empty((count, 12, 12))
    for number in range(count):
        values = rows.values[order[edges[number] : edges[number + 1]]]
        mean[number] = _mean(values)
        rest = np.nan_to_num(values - mean[number])
        within[number] = rest.T @ rest
    spot = rows.spot[first]
    return Pieces(
        spots.cover[spot],
        spot,
        spots.place[spot],
        spots.latitude[spot],
        spots.held_out[spot],
        rows.quarter[first],
        mean,
        np.diff(edges).astype(np.float64),
        within,
    )


def _cut(rows: Rows) -> tuple[npt.NDArray[np.int64], int]:
    """(row,) index of a piece, numbered without gaps in order of spot and quarter; their number."""
    piece = np.zeros(len(rows.spot), np.int64)
    made = 0
    group = np.unique(np.stack([rows.spot, rows.quarter]), axis=1, return_inverse=True)[1].ravel()
    order = np.argsort(group, kind="stable")
    edges = np.searchsorted(group[order], np.arange(group.max() + 2))
    for number in range(len(edges) - 1):
        own = order[edges[number] : edges[number + 1]]
        label = cluster(rows.values[own, :OPTICAL_COUNT], -(-len(own) // PIECE_ROWS))
        piece[own] = made + label
        made += int(label.max()) + 1
    return piece, made


def _mean(values: Floats) -> Floats:
    """(band,) mean of the finite values; NaN where there is none."""
    seen = np.isfinite(values)
    total, count = np.where(seen, values, 0).sum(axis=0), seen.sum(axis=0)
    out = np.full(values.shape[1], np.nan)
    np.divide(total, count, out=out, where=count > 0)
    return out


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
    label = np.full(len(scaled), -1)
    for _ in range(25):
        before = label
        label = np.stack([np.square(scaled - c).sum(axis=1) for c in centres]).argmin(axis=0)
        if np.array_equal(label, before):
            break
        filled = np.unique(label)
        centres = np.stack([scaled[label == number].mean(axis=0) for number in filled])
    return np.unique(label, return_inverse=True)[1]
