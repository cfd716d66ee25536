"""Where the satellites fly, and when: repeating ground tracks of circular orbits. Pure.

Inclinations, repeat cycles and swaths are those of the missions; the tracks are fixed to the ground
by a few real scenes, and agree with reality to some tens of kilometres. Swaths of Sentinel-1 lie to
the right of the track; here the middle of the swath itself is followed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

KM_PER_DEGREE = 111.32
_SIDEREAL_MINUTES = 1440.0
"""The orbits turn with the sun, so the Earth turns under them once in a mean solar day."""
_STEEPEST = 0.985
"""Sines of latitude over sine of inclination stop here: the turning points see no new ground."""


@dataclass(frozen=True, slots=True)
class Track:
    """One half of every orbit of a mission: all its passes in one direction."""

    mission: str
    """sentinel-2 or sentinel-1."""
    ascending: bool
    orbits: int
    """Orbits in one repeat cycle."""
    cycle_days: int
    tilt_deg: float
    """Inclination beyond 90 degrees: the orbits lean against the Earth's turning."""
    period_min: float
    """Of one orbit."""
    crossing_lon: float
    """Longitude where the middle of the swath of relative orbit `reference` meets the equator."""
    reference: int
    crossing_time: datetime
    """A time at which it did."""
    half_swath_km: float
    every: int
    """One pass in so many is simulated: enough to see the ground, few enough to keep."""
    repeat_days: int
    """Days between passes on one relative orbit, all satellites together."""

    def crossing(self, orbit: int) -> float:
        """Longitude where the middle of an orbit's swath meets the equator, -180..180."""
        step = 360.0 * self.cycle_days / self.orbits
        return (self.crossing_lon - step * (orbit - self.reference) + 180) % 360 - 180

    def place(self, orbit: int, lon: Doubles, lat: Doubles) -> tuple[Doubles, Doubles]:
        """Where points lie in an orbit's swath.

        Returns:
            across: from the middle, -1 to 1 inside the swath, positive to the east.
            along: degrees of orbit past the equator, northwards.
        """
        middle, lean = self._middle(orbit, lat)
        away_deg = (lon - middle + 180) % 360 - 180
        away_km = away_deg * np.cos(np.radians(lat)) * KM_PER_DEGREE * np.cos(lean)
        foot = lat - away_km * np.sin(lean) / KM_PER_DEGREE
        return away_km / self.half_swath_km, self._along(foot)

    def at(self, orbit: int, across: float, along_deg: float) -> tuple[float, float]:
        """Longitude and latitude of a place in the swath; the inverse of `place`, nearly."""
        foot = math.degrees(math.asin(math.sin(math.radians(along_deg)) * self._sine()))
        _, lean = self._middle(orbit, np.array([foot]))
        lat = foot + across * self.half_swath_km * math.sin(lean[0]) / KM_PER_DEGREE
        middle, lean = self._middle(orbit, np.array([lat]))
        wide = across * self.half_swath_km / math.cos(lean[0]) / KM_PER_DEGREE
        lon = float(middle[0]) + wide / math.cos(math.radians(lat))
        return (lon + 180) % 360 - 180, lat

    def passes(self, orbit: int, first: date, last: date) -> Iterator[tuple[int, datetime]]:
        """(number, time of crossing the equator) of the simulated passes on two days and between.

        The number counts repeats since the reference; a pass is dated by its equator crossing.
        """
        shift = timedelta(days=(orbit - self.reference) * self.cycle_days / self.orbits)
        start = self.crossing_time + shift
        step = timedelta(days=self.repeat_days)
        number = -((start - datetime(first.year, first.month, first.day, tzinfo=UTC)) // step)
        while (time := start + number * step).date() <= last:
            if (number + orbit) % self.every == 0 and time.date() >= first:
                yield number, time
            number += 1

    def minutes_to(self, along_deg: float) -> float:
        """Minutes from the equator crossing to a place along the orbit; negative before it."""
        minutes = along_deg / 360 * self.period_min
        return minutes if self.ascending else -minutes

    def _sine(self) -> float:
        return math.cos(math.radians(self.tilt_deg))

    def _along(self, lat: Doubles) -> Doubles:
        sines = np.clip(np.sin(np.radians(lat)) / self._sine(), -_STEEPEST, _STEEPEST)
        return np.degrees(np.arcsin(sines))

    def _middle(self, orbit: int, lat: Doubles) -> tuple[Doubles, Doubles]:
        """Longitude of the middle of the swath at latitudes, and its lean from north, radians.

        The lean is positive where the swath runs to the east on its way north.
        """
        side = -1.0 if self.ascending else 1.0
        along = np.radians(self._along(lat))
        tilt = math.sin(math.radians(self.tilt_deg))
        turned = self.period_min / _SIDEREAL_MINUTES
        offset = np.arctan(tilt * np.tan(along)) + turned * along
        rate = tilt / (np.cos(along) ** 2 * (1 + (tilt * np.tan(along)) ** 2)) + turned
        slant = np.cos(np.radians(lat)) * rate * np.cos(np.radians(lat)) / np.cos(along)
        return self.crossing(orbit) + side * np.degrees(offset), side * np.arctan(slant)


SENTINEL_2 = Track(
    mission="sentinel-2",
    ascending=False,
    orbits=143,
    cycle_days=10,
    tilt_deg=8.57,
    period_min=100.7,
    crossing_lon=-168.9,
    reference=43,
    crossing_time=datetime(2019, 6, 29, 21, 43, tzinfo=UTC),
    half_swath_km=145.0,
    every=5,
    repeat_days=5,
)
"""Even passes are Sentinel-2B's, odd ones Sentinel-2A's; every 25 days one is simulated."""
SENTINEL_1_DESCENDING = Track(
    mission="sentinel-1",
    ascending=False,
    orbits=175,
    cycle_days=12,
    tilt_deg=8.18,
    period_min=98.7,
    crossing_lon=8.25,
    reference=51,
    crossing_time=datetime(2024, 4, 19, 5, 7, tzinfo=UTC),
    half_swath_km=125.0,
    every=2,
    repeat_days=12,
)
SENTINEL_1_ASCENDING = Track(
    mission="sentinel-1",
    ascending=True,
    orbits=175,
    cycle_days=12,
    tilt_deg=8.18,
    period_min=98.7,
    crossing_lon=-150.8,
    reference=51,
    crossing_time=datetime(2024, 4, 19, 4, 18, tzinfo=UTC),
    half_swath_km=125.0,
    every=2,
    repeat_days=12,
)
TRACKS = (SENTINEL_2, SENTINEL_1_DESCENDING, SENTINEL_1_ASCENDING)


def orbits_over(track: Track, lon: Doubles, lat: Doubles) -> list[int]:
    """Relative orbits whose swath holds at least one of the points."""
    return [
        orbit
        for orbit in range(1, track.orbits + 1)
        if (np.abs(track.place(orbit, lon, lat)[0]) < 1).any()
    ]
