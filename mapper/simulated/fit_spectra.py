"""Fits the packaged spectra: `python -m mapper.simulated.fit_spectra points.parquet pixels.npz`.

The result, spectra.npz, holds for every class and quarter of the year a mixture of components. A
component is a cluster of measured spots that look alike then: its mean, how its spots differ from
each other, and how pixels of one spot differ. A component has at least MIN_SPOTS spots or MIN_ROWS
rows, so that no measured row is copied. Two runs give the same bytes.

Sources and licences: SOURCES.md beside this file, written by the same command.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mapper.land.legend import CLASS_COUNT, CLASS_NAMES
from mapper.simulated.cover import BUILT, CROPS, GRASS, SHRUB
from mapper.simulated.fit_pieces import Pieces, cluster, cut_into_pieces
from mapper.simulated.fit_radar import with_radar
from mapper.simulated.fit_rows import OPTICAL_COLUMNS, OPTICAL_COUNT, Floats, read_rows
from mapper.simulated.fit_sources import sources_page
from mapper.simulated.spectra import QUARTERS, RADAR, RANK

Arrays = dict[str, npt.NDArray[np.generic]]

MIN_SPOTS = 3
MIN_ROWS = 20
COMPONENTS = {0: 12, 1: 20, 2: 36, 3: 10, 4: 40, 5: 24, 6: 18, 7: 20, 8: 8}
"""Most components of a class in one quarter and climate, by code: more where it is varied."""
WARM_DEG = 36.0
"""Nearer to the equator, and where no coordinates are known (Africa and India), pieces are
clustered apart from the rest: the mean of a Belgian and a Sahelian meadow would look like neither.
"""
ENOUGH_PLACES = 6
"""A class seen at fewer places in a quarter is taken from the whole year."""
NEIGHBOURS = 25
PURITY_LIMIT = 0.25
"""A piece goes when less than this share of its neighbourhood is of its class (chance: 1/9)."""
RED = OPTICAL_COLUMNS.index("B4")
RANKED_BY_RED = (GRASS, CROPS, SHRUB, BUILT)
"""Classes whose components go from dark to bright in red, from lush to dry: in it regions of
meadows and of fields differ most (tests/bench/bench_regions.py). Those of the others go by all
bands, in which a stand of trees or a rock is most like itself from one quarter to the next."""
SHRINK_ROWS = 30.0
"""Rows at which a component's own covariance weighs as much as its class's."""
SPECKLE_LEFT_DB2 = 0.8
"""Variance of the speckle left in monthly radar means, taken from the pixels' spread; the scenes
bring their own."""


def fit(points: Path, pixels: Path) -> Arrays:
    """The arrays of spectra.npz; see `spectra.Spectra` for their meaning."""
    rows, spots, counted = read_rows(points)
    pieces = with_radar(cut_into_pieces(rows, spots), pixels)
    pure = _purity(pieces) >= PURITY_LIMIT
    parts = [
        _components(pieces, pure, code, quarter, apart)
        for apart in (False, True)
        for code in range(CLASS_COUNT)
        for quarter in range(QUARTERS)
    ]
    arrays: Arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    everything = [set(pieces.spot[pieces.cover == code]) for code in range(CLASS_COUNT)]
    used = [set(pieces.spot[pure & (pieces.cover == code)]) for code in range(CLASS_COUNT)]
    kept = [len(spots) for spots in used]
    lost = [len(spots) - count for spots, count in zip(everything, kept, strict=True)]
    arrays["spots_dropped"] = np.array(lost, np.int32)
    arrays["spots_kept"] = np.array(kept, np.int32)
    arrays["page"] = np.array(sources_page(counted, CLASS_NAMES, kept, lost))
    return arrays


def _purity(pieces: Pieces) -> Floats:
    """(piece,) share of a piece's neighbours, of other places, that are of its class.

    Neighbours by the optical means, scaled by the spread between pieces; classes count equally, so
    that crops, of which there are most, do not swallow the rest.
    """
    features = pieces.mean[:, :OPTICAL_COUNT]
    features = features / features.std(axis=0)
    share = 1.0 / np.bincount(pieces.cover, minlength=CLASS_COUNT)[pieces.cover]
    purity = np.empty(len(features))
    for number, feature in enumerate(features):
        distance = np.square(features - feature).sum(axis=1)
        distance[pieces.place == pieces.place[number]] = np.inf
        distance[number] = np.inf
        near = np.flatnonzero(distance <= np.partition(distance, NEIGHBOURS)[NEIGHBOURS])
        reach = near[np.argsort(distance[near], kind="stable")[:NEIGHBOURS]]
        weight = share[reach] / (np.sqrt(distance[reach]) + 0.5)
        purity[number] = weight[pieces.cover[reach] == pieces.cover[number]].sum() / weight.sum()
    return purity


def _in_quarter(
    pieces: Pieces, own: npt.NDArray[np.bool_], quarter: int
) -> list[npt.NDArray[np.int64]]:
    """Indices of some pieces in a quarter, those of warm and of temperate places apart.

    Pieces without a date belong to every quarter. Where one climate has too few for a component,
    both are one.
    """
    temperate = pieces.latitude >= WARM_DEG  # False where unknown
    found = []
    for climate in (own & ~temperate, own & temperate):
        now = climate & ((pieces.quarter == quarter) | (pieces.quarter < 0))
        enough = len(set(pieces.place[now])) >= ENOUGH_PLACES
        found.append(np.flatnonzero(now if enough else climate))
    small = any(_is_small(*_size(pieces.spot[index], pieces.rows[index])) for index in found)
    return [np.sort(np.concatenate(found))] if small else found


def _components(
    pieces: Pieces, pure: npt.NDArray[np.bool_], code: int, quarter: int, held_out: bool
) -> Arrays:
    """Clusters of one class in one quarter, as rows of the packaged arrays, from dark to bright.

    A stand draws its kind by rank, so it is dark in every quarter if it is in one.
    """
    everything = pieces.cover == code
    usual = pieces.within[everything].sum(axis=0) / pieces.rows[everything].sum()
    most = COMPONENTS[code] // (3 if held_out else 1)
    own = pure & everything & (pieces.held_out == held_out)
    found = [
        _component(pieces, members, usual)
        for climate in _in_quarter(pieces, own, quarter)
        for members in _clusters(pieces, climate, most)
    ]
    bands = RED if code in RANKED_BY_RED else slice(OPTICAL_COUNT)
    found.sort(key=lambda part: float(part["mean"][bands].sum()))
    out: Arrays = {name: np.stack([part[name] for part in found]) for name in found[0]}
    out["cover"] = np.full(len(found), code, np.uint8)
    out["quarter"] = np.full(len(found), quarter, np.uint8)
    out["held_out"] = np.full(len(found), held_out)
    return out


def _clusters(
    pieces: Pieces, index: npt.NDArray[np.int64], most: int
) -> list[npt.NDArray[np.int64]]:
    """Some pieces of one class, by what they look like."""
    features = pieces.mean[index, :OPTICAL_COUNT]
    label = cluster(features, int(np.clip(len(index) / 3, 1, most)))
    label = _large_enough(features, label, pieces.spot[index], pieces.rows[index])
    return [index[label == number] for number in np.unique(label)]


def _component(pieces: Pieces, own: npt.NDArray[np.int64], usual: Floats) -> dict[str, Floats]:
    """One cluster: its mean, the spread of its pieces, that of their pixels, and its weight."""
    mean = pieces.mean[own].mean(axis=0)
    between = pieces.mean[own] - mean
    rows = pieces.rows[own].sum()
    pixels = (pieces.within[own].sum(axis=0) + SHRINK_ROWS * usual) / (rows + SHRINK_ROWS)
    pixels[RADAR, RADAR] = np.maximum(pixels[RADAR, RADAR] - SPECKLE_LEFT_DB2, 0.2)
    latitude = pieces.latitude[own]
    known = latitude[np.isfinite(latitude)]
    return {
        "mean": mean.astype(np.float32),
        "spot_factor": _factor(between.T @ between / len(own)),
        "pixel_factor": _factor(pixels),
        "weight": np.float32(len(set(pieces.spot[own]))),
        "latitude": np.float32(known.mean() if len(known) else np.nan),
        "rows": np.int32(rows),
    }


def _factor(covariance: Floats) -> Floats:
    """(12, RANK) with factor times its transpose nearest to a covariance; signs made unique."""
    scale = np.sqrt(np.maximum(np.diag(covariance), 1e-8))
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    top = np.argsort(values)[::-1][:RANK]
    factor: Floats = vectors[:, top] * np.sqrt(np.maximum(values[top], 0)) * scale[:, None]
    signs = np.sign(factor[np.abs(factor).argmax(axis=0), np.arange(RANK)])
    return np.asarray(factor * np.where(signs == 0, 1, signs), np.float32)


def _large_enough(
    features: Floats,
    label: npt.NDArray[np.int64],
    spot: npt.NDArray[np.int64],
    rows: Floats,
) -> npt.NDArray[np.int64]:
    """Joins clusters of too few spots and rows to the nearest other cluster."""
    label = label.copy()
    while len(np.unique(label)) > 1:
        sizes = [(*_size(spot[label == n], rows[label == n]), n) for n in set(label)]
        small = sorted(s for s in sizes if _is_small(s[0], s[1]))
        if not small:
            break
        lost = small[0][2]
        centre = features[label == lost].mean(axis=0)
        others = sorted(set(label) - {lost})
        reach = [np.square(features[label == n].mean(axis=0) - centre).sum() for n in others]
        label[label == lost] = others[int(np.argmin(reach))]
    return label


def _size(spot: npt.NDArray[np.int64], rows: Floats) -> tuple[int, float]:
    """How many spots and rows some pieces are."""
    return len(set(spot)), float(rows.sum())


def _is_small(spots: int, rows: float) -> bool:
    """Whether that is too little for a component of its own."""
    return spots < MIN_SPOTS and rows < MIN_ROWS


def main(points: Path, pixels: Path) -> None:
    """Writes spectra.npz and SOURCES.md beside this file."""
    folder = Path(__file__).parent
    arrays = fit(points, pixels)
    (folder / "SOURCES.md").write_text(str(arrays.pop("page")), encoding="utf-8")
    np.savez_compressed(folder / "spectra.npz", allow_pickle=False, **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
