"""How the pixels of chips are spread: the ranges by which a network's input is normalised."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil, gcd

import numpy as np
import numpy.typing as npt

from mapper.dynamicworld.chips import Chip
from mapper.errors import RequestError
from mapper.imagery.bands import (
    OPTICAL_NAMES,
    OPTICAL_NODATA,
    RADAR_NAMES,
    REFLECTANCE_SCALE,
    Normalisation,
)

SAMPLE_STEP = 37
"""Of every so many pixels of a chip one counts, if the chips are few."""
SAMPLED_PIXELS = 8_000_000
"""At most about so many pixels count, 28 bytes each, however many chips there are: they place a
percentile to within 0.01 % of the pixels, and the variety between chips is not thinned out."""
_CLIPPED_PERCENT = (1, 99)


def sample_step(chips: int, side: int) -> int:
    """The step at which so many chips of a side in pixels are sampled."""
    return max(SAMPLE_STEP, ceil(chips * side * side / SAMPLED_PIXELS))


def _coprime(step: int, width: int) -> int:
    """The step, or the next with no divisor in common with a width: it meets all columns."""
    while gcd(step, width) > 1:
        step += 1
    return step


def normalisation_of(chips: Iterable[Chip], step: int = SAMPLE_STEP) -> dict[str, Normalisation]:
    """Each band's 1st and 99th percentile, and mean and deviation of what is clipped to them.

    Args:
        chips: looked at one after the other; only a sample of their valid pixels is kept.
        step: of every so many pixels about one counts, see `sample_step`.

    Raises:
        RequestError: no chip has a valid pixel of some sensor.
    """
    optical: list[npt.NDArray[np.uint16]] = []
    radar: list[npt.NDArray[np.float32]] = []
    for chip in chips:
        own = _coprime(step, chip.label.shape[1])
        seen = chip.optical.reshape(len(OPTICAL_NAMES), -1)[:, ::own]
        optical.append(seen[:, (seen != OPTICAL_NODATA).all(axis=0)])
        heard = chip.radar.reshape(len(RADAR_NAMES), -1)[:, ::own]
        radar.append(heard[:, np.isfinite(heard).all(axis=0)])
    return {
        **_ranges(OPTICAL_NAMES, optical, REFLECTANCE_SCALE),
        **_ranges(RADAR_NAMES, radar, 1),
    }


def _ranges(
    names: tuple[str, ...],
    parts: list[npt.NDArray[np.uint16]] | list[npt.NDArray[np.float32]],
    per_unit: int,
) -> dict[str, Normalisation]:
    """By band, one at a time: as float64 a band takes more room than it does sampled."""
    if not any(part.shape[1] for part in parts):
        raise RequestError(f"no chip has a pixel with {', '.join(names)}; add chips that have")
    return {
        name: _spread(
            name, np.concatenate([part[band] for part in parts]).astype(np.float64) / per_unit
        )
        for band, name in enumerate(names)
    }


def _spread(name: str, values: npt.NDArray[np.float64]) -> Normalisation:
    """Clip limits of one band, and mean and deviation between them; rounded, to be read."""
    low, high = (round(float(limit), 5) for limit in np.percentile(values, _CLIPPED_PERCENT))
    if low == high:
        raise RequestError(
            f"band {name} is {low:g} all over the chips, so nothing can be learned from it; give "
            "chips in which it was measured"
        )
    clipped = np.clip(values, low, high)
    return Normalisation(low, high, round(float(clipped.mean()), 5), round(float(clipped.std()), 5))
