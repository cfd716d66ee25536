"""Backscatter for measured spots that radar has not seen.

Where a class has been seen by both sensors at enough spots, VV and VH follow from the optical means
by a ridge regression, plus a residual drawn with the spread of the residuals. For the other classes
they follow from the class's measured level and spread alone.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mapper.land.legend import CLASS_COUNT
from mapper.simulated.fit_pieces import Pieces
from mapper.simulated.fit_rows import OPTICAL_COUNT, Floats

ENOUGH_SPOTS = 8
"""Pieces with radar from which a class is fitted; below it the pixel table's level is taken."""
RIDGE = 3.0
SEED = 20240601
"""Of the residuals; any fixed number serves, so that two fits agree."""
RESIDUAL_SHARE = 0.7
"""Share of the residual's spread that is kept: part of it is noise of few pixels, not of places."""
SIGMA_TO_GAMMA_DB = 1.1
"""Sigma nought to gamma nought at 39 degrees, the middle of the swath: -10 log10(cos 39)."""


def with_radar(pieces: Pieces, pixels: Path) -> Pieces:
    """The pieces with VV and VH filled.

    Args:
        pieces: NaN in the last two columns of `mean` where radar is missing.
        pixels: a table of pixel-months (npz: features with VV, VH in dB first; dynamic_world) that
            knows the level of classes that the pieces do not.
    """
    mean = pieces.mean.copy()
    seen = np.asarray(np.isfinite(mean[:, OPTICAL_COUNT:]).all(axis=1))
    draws = np.random.default_rng(SEED).standard_normal((len(mean), 2))
    known = np.load(pixels)
    for code in range(CLASS_COUNT):
        own = pieces.cover == code
        if (own & seen).sum() >= ENOUGH_SPOTS:
            expected, rest = _by_optical(mean, own, own & seen)
        else:
            radar = known["features"][known["dynamic_world"] == code][:, :2].astype(np.float64)
            radar = radar[(radar[:, 0] > -30) & (radar[:, 0] < 0)] + SIGMA_TO_GAMMA_DB
            expected = np.broadcast_to(np.median(radar, axis=0), (int(own.sum()), 2))
            rest = radar - np.median(radar, axis=0)
        spread = np.linalg.cholesky(np.cov(rest.T) + 0.01 * np.eye(2)) * RESIDUAL_SHARE
        filled = expected + draws[own] @ spread.T
        keep = seen[own][:, None]
        mean[own, OPTICAL_COUNT:] = np.where(keep, mean[own, OPTICAL_COUNT:], filled)
    return replace(pieces, mean=mean)


def _by_optical(
    mean: Floats, own: npt.NDArray[np.bool_], both: npt.NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """(piece, 2) expected radar of a class's pieces, and residuals where it was seen."""
    optical = mean[:, :OPTICAL_COUNT]
    seen = optical[both]
    radar = mean[both, OPTICAL_COUNT:]
    centre, scale, level = seen.mean(axis=0), seen.std(axis=0), radar.mean(axis=0)
    design = (seen - centre) / scale
    weight = RIDGE * len(design) / 10 * np.eye(OPTICAL_COUNT)
    slope = np.linalg.solve(design.T @ design + weight, design.T @ (radar - level))
    steps = np.clip((optical[own] - centre) / scale, -2, 2)
    return steps @ slope + level, radar - level - design @ slope
