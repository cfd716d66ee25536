"""Ground as a set of sample points that many footprints share: who sees what, counted. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil, floor

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

POINT_STEP_DEG = 0.05
"""Between sample points, in longitude and latitude: 5.5 km or less, 400 points or more per MGRS
tile. They lie on multiples of it, so that everybody samples the same ground."""

_ROW = 10_000
"""Added to a point's number from one row to the next: more than there are columns in the world."""

Counts = npt.NDArray[np.int32]
Numbers = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Sampled:
    """Which sample points each of several footprints shows."""

    size: int
    """How many points there are."""
    points: Mapping[str, Numbers]
    """Numbers of the points that each footprint shows, at least one; by its name."""

    def none(self) -> Counts:
        """A count of zero for each point."""
        return np.zeros(self.size, np.int32)

    def union(self, names: Iterable[str]) -> Counts:
        """1 for each point that any of some footprints shows, else 0."""
        shown = self.none()
        for name in names:
            shown[self.points[name]] = 1
        return shown


def sampled(footprints: Mapping[str, BaseGeometry]) -> Sampled:
    """Footprints as the sample points they show.

    A footprint between the points is sampled by a point of its own, which others may show too: what
    is smaller than the step of the lattice is still ground.

    Args:
        footprints: polygons in longitude and latitude, by name.
    """
    lattice = {name: _lattice(footprint) for name, footprint in footprints.items()}
    small = [
        shapely.point_on_surface(footprints[name])
        for name, found in lattice.items()
        if not found.size
    ]
    own = shapely.get_coordinates(small)
    every = np.unique(np.concatenate([*lattice.values(), np.empty(0, np.int64)]))
    points = {}
    for name, footprint in footprints.items():
        beside = np.flatnonzero(shapely.intersects_xy(footprint, own[:, 0], own[:, 1]))
        points[name] = np.concatenate([np.searchsorted(every, lattice[name]), len(every) + beside])
    return Sampled(len(every) + len(own), points)


def _lattice(footprint: BaseGeometry) -> npt.NDArray[np.int64]:
    """Lattice points inside a footprint, a number for each.

    Part by part, because a footprint cut at 180 degrees has its parts at either end of the map.
    """
    found = [np.empty(0, np.int64)]
    for part in shapely.get_parts(footprint):
        west, south, east, north = np.asarray(part.bounds) / POINT_STEP_DEG
        columns = np.arange(ceil(west), floor(east) + 1)
        rows = np.arange(ceil(south), floor(north) + 1)
        x, y = (axis.ravel() for axis in np.meshgrid(columns, rows))
        shapely.prepare(part)
        inside = shapely.contains_xy(part, x * POINT_STEP_DEG, y * POINT_STEP_DEG)
        found.append((y * _ROW + x)[inside])
    return np.concatenate(found)
