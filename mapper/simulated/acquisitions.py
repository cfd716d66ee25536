"""Which scenes exist over some ground in some days: the archive's plan, before a pixel is made.

A scene's existence, time, weather and baseline follow from its satellite's orbit alone, so every
area and period that holds it sees the same scene.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyproj
import shapely
from shapely.geometry.base import BaseGeometry

from mapper.land.grid import LATTICE_TOP_M, PIXEL_M, Region, Zone
from mapper.simulated.mgrs import MgrsTile, box_of, tiles_over
from mapper.simulated.need import ground_in, in_strip, lonlat_of, zones_near
from mapper.simulated.noise import hash3, unit
from mapper.simulated.orbits import (
    SENTINEL_1_ASCENDING,
    SENTINEL_1_DESCENDING,
    SENTINEL_2,
    Track,
    orbits_over,
)
from mapper.simulated.sky import Sky, sky_of, sun

FRAME_DEG = 1.65
"""Length of a Sentinel-1 scene along the orbit: 25 seconds, 180 km."""
BASELINES = (("03.01", 0.35), ("04.00", 0.65), ("05.10", 1.0))
"""Processing baselines, and up to which share of the overpasses each is used."""
OFFSET_BASELINE = "04.00"
OFFSET_DN = 1000
"""What products add to every digital number from that baseline on."""
SAMPLE_PX = 96
"""Spacing of the points at which swaths are tried against the ground."""
_FRAME_SNAP_PX = 512
_S2A_ORBIT, _S2B_ORBIT, _S1A_ORBIT = 46_000, 37_000, 53_000
"""Absolute orbits of the satellites around 2024; only their looks matter."""
_SEED = 31_000
_A_DAY = timedelta(days=1)
"""A scene may be sensed on the day before or after its satellite crosses the equator."""


@dataclass(frozen=True, slots=True)
class Group:
    """Scenes of one satellite track on one grid: their pixels are painted together."""

    name: str
    """Such as 32TNT or 168-D-12: tile, or orbit, direction and frame."""
    region: Region
    """The grid of all its scenes."""
    ground: BaseGeometry
    """What of it is needed, in lattice pixels."""
    optical: tuple[OpticalPass, ...]
    """In order of time; empty in a group of radar scenes."""
    radar: tuple[RadarPass, ...]
    """In order of time; empty in a group of optical scenes, and both in the truth's."""

    @property
    def scenes(self) -> tuple[OpticalPass | RadarPass, ...]:
        """All of them."""
        return (*self.optical, *self.radar)


@dataclass(frozen=True, slots=True)
class OpticalPass:
    """One Sentinel-2 scene."""

    id: str
    time: datetime
    orbit: int
    """Relative orbit, 1..143."""
    platform: str
    baseline: str
    datatake: str
    sky: Sky
    tile: str

    @property
    def offset_dn(self) -> int:
        """Added to every digital number."""
        return OFFSET_DN if self.baseline >= OFFSET_BASELINE else 0


@dataclass(frozen=True, slots=True)
class RadarPass:
    """One Sentinel-1 scene."""

    id: str
    time: datetime
    orbit: int
    """Relative orbit, 1..175."""
    ascending: bool
    frame: int
    seed: int
    """Of the overpass: the same for all its frames."""
    absolute_orbit: int

    @property
    def track(self) -> Track:
        """The passes it is one of."""
        return SENTINEL_1_ASCENDING if self.ascending else SENTINEL_1_DESCENDING


def groups_over(needed: dict[Zone, BaseGeometry], first: date, last: date) -> list[Group]:
    """Every group with a scene that shows some of the needed ground, in a fixed order."""
    found = [group for zone in zones_near(needed) for group in _optical(zone, needed, first, last)]
    return found + _radar(needed, first, last)


def _optical(zone: Zone, needed: dict[Zone, BaseGeometry], first: date, last: date) -> list[Group]:
    """The tiles of one zone that show needed ground, with their scenes."""
    groups = []
    ground = ground_in(zone, needed)
    if ground.is_empty:
        return []
    for tile in tiles_over(zone, ground):
        own = shapely.intersection(ground, box_of(tile.region))
        points = sample(own)
        if not len(points) or not in_strip(tile.region):
            continue
        lonlat = lonlat_of(zone, points)
        scenes = (
            _optical_pass(tile, orbit, number, time)
            for orbit in orbits_over(SENTINEL_2, lonlat[:, 0], lonlat[:, 1])
            for number, time in SENTINEL_2.passes(orbit, first - _A_DAY, last + _A_DAY)
        )
        passes = [scene for scene in scenes if first <= scene.time.date() <= last]
        if passes:
            ordered = tuple(sorted(passes, key=lambda p: (p.time, p.id)))
            groups.append(Group(tile.name, tile.region, own, ordered, ()))
    return groups


def _optical_pass(tile: MgrsTile, orbit: int, number: int, crossing: datetime) -> OpticalPass:
    """The scene of a tile at one overpass."""
    region = tile.region
    middle = np.array([[region.left + region.width / 2, region.top + region.height / 2]])
    lon, lat = lonlat_of(tile.zone, middle)[0]
    _, along = SENTINEL_2.place(orbit, np.array([lon]), np.array([lat]))
    time = crossing + timedelta(minutes=SENTINEL_2.minutes_to(float(along[0])))
    time = time.replace(microsecond=24_000)
    seed = int(hash3(orbit, number, 2, _SEED)) >> 1
    share = float(unit(hash3(orbit, number, 3, _SEED)))
    baseline = next(name for name, limit in BASELINES if share < limit)
    odd = number % 2 != 0
    platform, start = ("Sentinel-2A", _S2A_ORBIT) if odd else ("Sentinel-2B", _S2B_ORBIT)
    stamp = crossing.strftime("%Y%m%dT%H%M%S")
    absolute = start + (number * 143) // 2 % 9000
    short = platform[-2:]
    sky = sky_of(seed, sun(time.timetuple().tm_yday, time.hour + time.minute / 60, lon, lat))
    made = (crossing + timedelta(hours=6)).strftime("%Y%m%dT%H%M%S")
    return OpticalPass(
        f"S{short}_MSIL2A_{stamp}_R{orbit:03d}_T{tile.name}_{made}",
        time,
        orbit,
        platform,
        baseline,
        f"GS{short}_{stamp}_{absolute:06d}_N{baseline}",
        sky,
        tile.name,
    )


def _radar(needed: dict[Zone, BaseGeometry], first: date, last: date) -> list[Group]:
    """Frames of both directions that show needed ground."""
    lonlat = np.concatenate([lonlat_of(zone, sample(shape)) for zone, shape in needed.items()])
    groups = []
    for track in (SENTINEL_1_DESCENDING, SENTINEL_1_ASCENDING):
        for orbit in orbits_over(track, lonlat[:, 0], lonlat[:, 1]):
            passes = list(track.passes(orbit, first - _A_DAY, last + _A_DAY))
            across, along = track.place(orbit, lonlat[:, 0], lonlat[:, 1])
            frames = np.unique(np.floor(along[np.abs(across) < 1] / FRAME_DEG).astype(int))
            for frame in frames:
                scenes = [_radar_pass(track, orbit, int(frame), n, time) for n, time in passes]
                inside = tuple(s for s in scenes if first <= s.time.date() <= last)
                group = _frame(track, orbit, int(frame), inside, needed) if inside else None
                groups += [group] if group else []
    return groups


def _frame(
    track: Track,
    orbit: int,
    frame: int,
    scenes: tuple[RadarPass, ...],
    needed: dict[Zone, BaseGeometry],
) -> Group | None:
    """The scenes of one frame, on the grid of the zone its middle lies in."""
    lon, lat = track.at(orbit, 0.0, (frame + 0.5) * FRAME_DEG)
    zone = Zone(int((lon + 180) // 6) % 60 + 1, lat < 0)
    region = _frame_region(track, orbit, frame, zone)
    ground = shapely.intersection(ground_in(zone, needed), box_of(region))
    if ground.is_empty or not ground.area:
        return None
    name = f"{orbit:03d}-{'A' if track.ascending else 'D'}-{frame}"
    return Group(name, region, ground, (), scenes)


def _frame_region(track: Track, orbit: int, frame: int, zone: Zone) -> Region:
    """The box of a frame on a zone's lattice, its corners multiples of 512 px."""
    steps = np.linspace(0, 1, 9)
    edge = [(across, along) for across in (-1.0, 0.0, 1.0) for along in steps]
    corners = np.array([track.at(orbit, a, (frame + b) * FRAME_DEG) for a, b in edge])
    forward = pyproj.Transformer.from_crs(4326, zone.epsg, always_xy=True)
    east, north = forward.transform(corners[:, 0], corners[:, 1])
    columns, rows = np.asarray(east) / PIXEL_M, (LATTICE_TOP_M - np.asarray(north)) / PIXEL_M
    snap = _FRAME_SNAP_PX
    left, top = (math.floor(v.min() / snap) * snap for v in (columns, rows))
    right, bottom = (math.ceil(v.max() / snap) * snap for v in (columns, rows))
    return Region(zone, left, top, right - left, bottom - top)


def _radar_pass(track: Track, orbit: int, frame: int, number: int, crossing: datetime) -> RadarPass:
    """One scene of a frame."""
    start = crossing + timedelta(minutes=track.minutes_to((frame + 0.5) * FRAME_DEG))
    absolute = _S1A_ORBIT + (number * 175) % 9000 + orbit
    begin, end = start - timedelta(seconds=12), start + timedelta(seconds=13)
    seed = int(hash3(orbit, number, 5 if track.ascending else 6, _SEED)) >> 1
    stamp = "%Y%m%dT%H%M%S"
    return RadarPass(
        f"S1A_IW_GRDH_1SDV_{begin.strftime(stamp)}_{end.strftime(stamp)}_{absolute:06d}"
        f"_{seed & 0xFFFFFF:06X}_rtc",
        start,
        orbit,
        track.ascending,
        frame,
        seed,
        absolute,
    )


def sample(ground: BaseGeometry) -> npt.NDArray[np.float64]:
    """(n, 2) points (column, row) in some ground, at multiples of SAMPLE_PX from the origin."""
    if ground.is_empty:
        return np.empty((0, 2))
    left, top, right, bottom = ground.bounds
    columns = np.arange(math.ceil(left / SAMPLE_PX), math.floor(right / SAMPLE_PX) + 1)
    rows = np.arange(math.ceil(top / SAMPLE_PX), math.floor(bottom / SAMPLE_PX) + 1)
    grid = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2) * float(SAMPLE_PX)
    inside = shapely.contains_xy(ground, grid[:, 0], grid[:, 1])
    return np.asarray(grid[inside])
