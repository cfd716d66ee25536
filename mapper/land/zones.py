"""UTM zones, and the ground that belongs to each. Pure.

A pixel belongs to the zone in whose strip its centre lies, with the exceptions of Norway and
Svalbard of the Military Grid Reference System (NGA.STND.0037, "Universal Grids"), so neighbouring
zones never count a piece of ground twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import shapely
from shapely.geometry.base import BaseGeometry

NORTH_LIMIT_DEG = 84.0
SOUTH_LIMIT_DEG = -80.0
"""UTM is defined between these latitudes; the poles have another grid (UPS)."""


@dataclass(frozen=True, slots=True, order=True)
class Zone:
    """A UTM zone of one hemisphere."""

    number: int
    """1..60, counted eastwards from 180 W."""
    south: bool
    """True for the zones with a false northing of 10,000 km."""

    def __post_init__(self) -> None:
        if not 1 <= self.number <= 60:
            raise ValueError(f"UTM zones are numbered 1..60, got {self.number}")

    @property
    def name(self) -> str:
        """Such as 32N or 07S."""
        return f"{self.number:02d}{'S' if self.south else 'N'}"

    @property
    def epsg(self) -> int:
        """EPSG code of WGS 84 / UTM in this zone."""
        return (32700 if self.south else 32600) + self.number

    @property
    def strip(self) -> BaseGeometry:
        """The ground that belongs to the zone, longitude and latitude, EPSG:4326."""
        return _strip(self.number, self.south)


@lru_cache(maxsize=120)
def _strip(number: int, south: bool) -> BaseGeometry:
    """Six degrees of longitude, but for the bands V and X of Norway and Svalbard."""
    west = 6.0 * number - 186
    if south:
        return shapely.box(west, SOUTH_LIMIT_DEG, west + 6, 0)
    bands = [(0.0, 56.0, west, west + 6), (64.0, 72.0, west, west + 6)]
    bands.append((56.0, 64.0, *_NORWAY.get(number, (west, west + 6))))
    svalbard = _SVALBARD.get(number, (west, west + 6))
    if svalbard is not None:
        bands.append((72.0, NORTH_LIMIT_DEG, *svalbard))
    boxes = [shapely.box(left, low, right, high) for low, high, left, right in bands]
    return shapely.union_all(boxes)


_NORWAY: dict[int, tuple[float, float]] = {31: (0, 3), 32: (3, 12)}
"""West and east edge between 56 and 64 N, where zone 32 is widened at the cost of zone 31."""
_SVALBARD: dict[int, tuple[float, float] | None] = {
    31: (0, 9),
    32: None,
    33: (9, 21),
    34: None,
    35: (21, 33),
    36: None,
    37: (33, 42),
}
"""West and east edge north of 72 N, where the even zones of Svalbard do not exist."""
