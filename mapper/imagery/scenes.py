"""Scenes, and the looks that overpasses make of them. Pure; `choice.py` chooses among them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from shapely.geometry.base import BaseGeometry

from mapper.imagery.bands import OPTICAL_NAMES, RADAR_NAMES, Sensor
from mapper.imagery.dialects import SCL as SCL
from mapper.imagery.period import Period as Period
from mapper.land.grid import Zone

TITLES = {Sensor.OPTICAL: "Sentinel-2", Sensor.RADAR: "Sentinel-1"}
"""How a person calls the two."""
NEEDED = {Sensor.OPTICAL: OPTICAL_NAMES, Sensor.RADAR: RADAR_NAMES}
"""The assets a scene must have to be of use; the network takes all bands of a sensor or none."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One raster of a scene, and how its numbers become physical ones."""

    href: str
    """Absolute path or URL, never signed; signing happens when it is read."""
    nodata: float | None
    """The raw value that means "no data", where the archive states one."""
    scale: float
    """Physical value = raw * scale + offset. Optical: reflectance * 10,000. Radar: power."""
    offset: float
    """See `scale`; -1000 for an optical band that still carries the offset of baseline 04.00."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One item of an archive with what the choice and the reading need."""

    id: str
    """The archive's own name of the item."""
    sensor: Sensor
    time: datetime
    """Sensing time, UTC."""
    footprint: BaseGeometry
    """Ground with data: longitude and latitude, EPSG:4326, split at 180 degrees."""
    extent: BaseGeometry
    """Outline of the pixel grid in longitude and latitude; the footprint where not stated."""
    cloud_percent: float | None
    """Cloud cover of the whole scene, 0..100; None for radar and where the archive is silent."""
    place: str
    """MGRS tile such as 32TNT, relative orbit such as R022, or a name made of the grid."""
    datatake: str
    """Shared by the scenes of one overpass, whatever baseline they were processed with."""
    orbit_state: str | None
    """ascending or descending, where stated."""
    baseline: str | None
    """Processing baseline such as 05.09; None for radar and where not stated."""
    generated: str
    """When the product was made, ISO 8601, or empty; breaks ties between equal baselines."""
    epsg: int | None
    """Coordinate system of the pixels, where stated."""
    assets: Mapping[str, Asset]
    """By our band names, and SCL where the scene has one."""
    signing: str | None = None
    """Who signs the hrefs when they are read, such as planetary-computer; None for nobody."""
    simulated: bool = False
    """Whether the item says of itself that a program made its pixels."""
    collection: str = ""
    """Id of the archive's collection it is of."""
    terrain_corrected: bool = True
    """False for radar in ground range, where slopes shift and brighten what lies on them."""

    @property
    def month(self) -> str:
        """Calendar month of the sensing time, such as 2020-04."""
        return f"{self.time:%Y-%m}"

    @property
    def missing(self) -> tuple[str, ...]:
        """Bands the network needs and this scene lacks."""
        return tuple(name for name in NEEDED[self.sensor] if name not in self.assets)


@dataclass(frozen=True, slots=True)
class Look:
    """One overpass of one sensor over an area: the unit of compositing."""

    sensor: Sensor
    time: datetime
    """Sensing time of its earliest scene, UTC."""
    scenes: tuple[Scene, ...]
    """A pixel takes the first of these that has data there."""


def looks_of(kept: Iterable[Scene], zone: Zone) -> tuple[Look, ...]:
    """The overpasses that a selection shows, in the one order they are always combined in.

    Inside a look terrain-corrected scenes come first; then those of the zone's own grid, because
    they are read without resampling; then by place and id.
    """

    def rank(scene: Scene) -> tuple[bool, bool, str, str]:
        return (not scene.terrain_corrected, scene.epsg != zone.epsg, scene.place, scene.id)

    looks = []
    for _, group in grouped(kept, lambda s: (s.sensor.value, s.datatake)):
        scenes = sorted(group, key=rank)
        time = min(scene.time for scene in scenes)
        looks.append((time, scenes[0].datatake, Look(scenes[0].sensor, time, tuple(scenes))))
    return tuple(look for _, _, look in sorted(looks, key=lambda item: item[:2]))


def in_order(scene: Scene) -> tuple[datetime, str]:
    """The one order of scenes: by time, then id."""
    return (scene.time, scene.id)


def grouped(
    scenes: Iterable[Scene], key: Callable[[Scene], tuple[str, ...]]
) -> Iterable[tuple[tuple[str, ...], Iterable[Scene]]]:
    """Scenes by a key, groups in order of the key, scenes of a group in their own order."""
    return groupby(sorted(scenes, key=lambda s: (key(s), in_order(s))), key)
