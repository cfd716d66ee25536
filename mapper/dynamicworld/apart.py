"""Ground to learn from and ground to be tried on, kept apart: by place, and by where chips lie."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import cos, floor, radians

import numpy as np

from mapper.dynamicworld.chips import ChipFacts
from mapper.errors import RequestError
from mapper.land.grid import PIXEL_M
from mapper.simulated.ground import METRES_PER_DEGREE

CELL_DEG = 0.25
"""Ground is kept apart in cells of this size, so that most neighbours stay on one side."""


def kept_apart(lon: float, lat: float, share: float) -> bool:
    """Whether ground is to be tried on: its cell alone decides, not the set that it is met in."""
    cell = f"{floor(lon / CELL_DEG)} {floor(lat / CELL_DEG)}"
    digest = hashlib.sha256(cell.encode()).digest()
    return int.from_bytes(digest[:6], "big") < share * 2**48


def without_shared_ground(
    learned: Sequence[ChipFacts], tried: Sequence[ChipFacts]
) -> list[ChipFacts]:
    """The chips to learn from that share no ground with one to be tried on.

    A chip belongs to the cell of its middle, and may reach into the next one.
    """
    lon, lat = (np.array([getattr(chip, name) for chip in learned]) for name in ("lon", "lat"))
    half = np.array([max(chip.shape) for chip in learned]) * (PIXEL_M / 2)
    shared = np.zeros(len(learned), np.bool_)
    for chip in tried:
        reach = half + max(chip.shape) * (PIXEL_M / 2)
        east = np.abs((lon - chip.lon + 180) % 360 - 180) * cos(radians(chip.lat))
        north = np.abs(lat - chip.lat)
        shared |= np.maximum(east, north) * METRES_PER_DEGREE < reach
    return [chip for chip, drop in zip(learned, shared, strict=True) if not drop]


def require_apart(learned: Sequence[ChipFacts], tried: Sequence[ChipFacts]) -> None:
    """Refuse places that are on both sides.

    Raises:
        RequestError: one is.
    """
    shared = {chip.place for chip in learned} & {chip.place for chip in tried}
    if shared:
        raise RequestError(
            f"{len(shared)} places are both to be learned from and to be tried on, such as "
            f"{min(shared)}; a validation on ground that was learned says nothing: split by place"
        )
