"""Fits the packaged spectra: `python -m mapper.simulated.fit_spectra points.parquet pixels.npz`.

The result, spectra.npz, holds for every class a mixture of components. A component is a cluster of
measured spots that look alike through the year: its mean in each quarter, how its spots differ from
each other, and how pixels of one spot differ. Every spot counts once. A component has at least
MIN_SPOTS spots or MIN_ROWS rows, so that no measured row is copied. Two runs give the same bytes.

Sources and licences: SOURCES.md beside this file, written by the same command.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mapper.land.legend import CLASS_COUNT, CLASS_NAMES
from mapper.simulated.fit_pieces import QUARTERS, Pieces, cluster, cut_into_pieces
from mapper.simulated.fit_radar import with_radar
from mapper.simulated.fit_rows import OPTICAL_COUNT, Floats, read_rows
from mapper.simulated.fit_sources import sources_page

Arrays = dict[str, npt.NDArray[np.generic]]

MIN_SPOTS = 3
MIN_ROWS = 20
COMPONENTS = {0: 20, 1: 28, 2: 36, 3: 14, 4: 56, 5: 16, 6: 22, 7: 16, 8: 14}
"""Most components of a class, by code: about a fifth of its spots, more where it is varied."""
NEIGHBOURS = 25
PURITY_LIMIT = 0.25
"""A spot goes when less than this share of its neighbourhood is of its class (chance: 1/9)."""
SHRINK_ROWS = 30.0
"""Rows at which a component's own covariance weighs as much as its class's."""
RANK = 4
SPECKLE_LEFT_DB2 = 0.8
"""Variance of the speckle left in monthly radar means, taken from the pixels' spread; the scenes
bring their own."""


def fit(points: Path, pixels: Path) -> Arrays:
    """The arrays of spectra.npz; see `spectra.Spectra` for their meaning."""
    rows, spots, counted = read_rows(points)
    pieces = with_radar(cut_into_pieces(rows, spots), pixels)
    pure = _purity(pieces) >= PURITY_LIMIT
    parts = [
        _components(pieces, pure & (pieces.cover == code) & (pieces.held_out == apart), code, apart)
        for apart in (False, True)
        for code in range(CLASS_COUNT)
    ]
    arrays: Arrays = {
        name: np.concatenate([part[name] for part in parts if part]) for name in parts[0]
    }
    lost = [int((~pure & (pieces.cover == code)).sum()) for code in range(CLASS_COUNT)]
    kept = [int((pure & (pieces.cover == code)).sum()) for code in range(CLASS_COUNT)]
    arrays["pieces_dropped"] = np.array(lost, np.int32)
    arrays["pieces_kept"] = np.array(kept, np.int32)
    arrays["page"] = np.array(sources_page(counted, CLASS_NAMES, kept, lost))
    return arrays


def _purity(pieces: Pieces) -> Floats:
    """(piece,) share of a piece's neighbours, of other places, that are of its class.

    Neighbours by the optical means of all quarters, scaled by the spread between pieces; classes
    count equally, so that crops, of which there are most, do not swallow the rest.
    """
    features = pieces.mean[:, :, :OPTICAL_COUNT].reshape(len(pieces.cover), -1)
    features = features / features.std(axis=0)
    share = 1.0 / np.bincount(pieces.cover, minlength=CLASS_COUNT)[pieces.cover]
    purity = np.empty(len(features))
    for number, feature in enumerate(features):
        distance = np.square(features - feature).sum(axis=1)
        distance[pieces.place == pieces.place[number]] = np.inf
        distance[number] = np.inf
        reach = np.argsort(distance, kind="stable")[:NEIGHBOURS]
        weight = share[reach] / (np.sqrt(distance[reach]) + 0.5)
        purity[number] = weight[pieces.cover[reach] == pieces.cover[number]].sum() / weight.sum()
    return purity


def _components(pieces: Pieces, chosen: npt.NDArray[np.bool_], code: int, held_out: bool) -> Arrays:
    """Clusters of the chosen pieces of one class, as rows of the packaged arrays."""
    index = np.flatnonzero(chosen)
    everything = pieces.cover == code
    usual = pieces.within[everything].sum(axis=0) / pieces.rows[everything].sum()
    wanted = int(np.clip(len(index) / 2.5, 1, COMPONENTS[code] // (3 if held_out else 1)))
    features = pieces.mean[index, :, :OPTICAL_COUNT].reshape(len(index), -1)
    label = _large_enough(features, cluster(features, wanted), pieces.rows[index])
    found = [_component(pieces, index[label == number], usual) for number in np.unique(label)]
    out: Arrays = {name: np.stack([part[name] for part in found]) for name in found[0]}
    out["cover"] = np.full(len(found), code, np.uint8)
    out["held_out"] = np.full(len(found), held_out)
    return out


def _component(pieces: Pieces, own: npt.NDArray[np.int64], usual: Floats) -> dict[str, Floats]:
    """One cluster: means, the spread of its pieces, the spread of their pixels, and its weight."""
    mean = pieces.mean[own].mean(axis=0)
    between = pieces.mean[own] - mean
    spots = np.einsum("pqa,pqb->ab", between, between) / max(1, len(own) * QUARTERS)
    rows = pieces.rows[own].sum()
    pixels = (pieces.within[own].sum(axis=0) + SHRINK_ROWS * usual) / (rows + SHRINK_ROWS)
    radar = np.arange(OPTICAL_COUNT, 12)
    pixels[radar, radar] = np.maximum(pixels[radar, radar] - SPECKLE_LEFT_DB2, 0.2)
    latitude = pieces.latitude[own]
    known = latitude[np.isfinite(latitude)]
    return {
        "mean": mean.astype(np.float32),
        "spot_factor": _factor(spots),
        "pixel_factor": _factor(pixels),
        "weight": np.float32(len(own)),
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
    features: Floats, label: npt.NDArray[np.int64], rows: Floats
) -> npt.NDArray[np.int64]:
    """Joins clusters of too few spots and rows to the nearest other cluster."""
    label = label.copy()
    while len(np.unique(label)) > 1:
        sizes = [(int((label == n).sum()), float(rows[label == n].sum()), n) for n in set(label)]
        small = sorted(s for s in sizes if s[0] < MIN_SPOTS and s[1] < MIN_ROWS)
        if not small:
            break
        lost = small[0][2]
        centre = features[label == lost].mean(axis=0)
        others = sorted(set(label) - {lost})
        reach = [np.square(features[label == n].mean(axis=0) - centre).sum() for n in others]
        label[label == lost] = others[int(np.argmin(reach))]
    return label


def main(points: Path, pixels: Path) -> None:
    """Writes spectra.npz and SOURCES.md beside this file."""
    folder = Path(__file__).parent
    arrays = fit(points, pixels)
    (folder / "SOURCES.md").write_text(str(arrays.pop("page")), encoding="utf-8")
    np.savez_compressed(folder / "spectra.npz", allow_pickle=False, **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
