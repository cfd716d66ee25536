"""From an area and a period to scenes: every archive alike, and every filter checked again here.

Servers ignore what they do not understand, some without a word, so nothing they answer is trusted:
collection, time and ground of every item are tested on this side. What is found is completed to
whole MGRS tiles, so that the choice among scenes cannot depend on the area that asked.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import NoReturn

import shapely
from shapely.geometry.base import BaseGeometry

from mapper.errors import SceneError
from mapper.imagery.archives import Archive, partner
from mapper.imagery.bands import Sensor
from mapper.imagery.footprints import widened
from mapper.imagery.index import coverage, local_items
from mapper.imagery.items import Item, scene_of
from mapper.imagery.period import Period
from mapper.imagery.scenes import Scene
from mapper.imagery.server import served_items

log = logging.getLogger(__name__)

REACH_M = 6_000.0
"""How far beyond an area its pixels look: a window of 512 px (5,120 m), and what reading adds."""


def surroundings(geometry: BaseGeometry, reach_m: float = REACH_M) -> BaseGeometry:
    """All ground within reach of an area's pixels, prepared for many tests."""
    around = widened(geometry, reach_m)
    shapely.prepare(around)
    return around


def search(
    archive: Archive,
    geometry: BaseGeometry,
    period: Period,
    *,
    reach_m: float = REACH_M,
    whole_orbits: bool = False,
) -> list[Scene]:
    """The scenes that may show an area or its surroundings in a period, of both sensors.

    Args:
        archive: where to look; a sensor it lacks is looked for in its partner.
        geometry: the area, polygons in longitude and latitude within -180..180.
        period: days of sensing.
        reach_m: how far around the area scenes are wanted, in metres.
        whole_orbits: complete radar as well, which a limit on radar looks needs: for each scene
            that may show the area, all those of its relative orbit that share ground with it.

    Returns:
        scenes sorted by time and id; complete for every MGRS tile one of them is of. Empty where
        a server has none; whether that will do is for `choose` to say.

    Raises:
        ArchiveError: the archive is down or answers what is no STAC.
        SceneError: a local archive has no scene there; the message says what it covers.
    """
    around = surroundings(geometry, reach_m)
    found: dict[str, Scene] = {}
    for sensor in Sensor:
        holder = partner(archive, sensor)
        if holder is not None:
            whole = sensor is Sensor.OPTICAL or whole_orbits
            found |= _of_sensor(holder, sensor, around, period, whole)
    shapely.prepare(geometry)
    if not any(geometry.intersects(scene.footprint) for scene in found.values()):
        found = {}
        if archive.is_local:
            _refuse_outside(archive, geometry, period)
    return sorted(found.values(), key=lambda scene: (scene.time, scene.id))


def _of_sensor(
    archive: Archive, sensor: Sensor, around: BaseGeometry, period: Period, whole: bool
) -> dict[str, Scene]:
    """Scenes of one sensor by id; if wanted, with the others of every place that is touched."""
    scenes = _find(archive, sensor, around, period)
    if whole and scenes:
        places = {scene.place for scene in scenes.values()}
        ground = shapely.union_all([scene.extent for scene in scenes.values()])
        shapely.prepare(ground)
        others = _find(archive, sensor, ground, period)
        scenes |= {key: scene for key, scene in others.items() if scene.place in places}
    log.debug("%s: %d scenes of %s in %s", archive.name, len(scenes), sensor.value, period)
    return scenes


def _find(
    archive: Archive, sensor: Sensor, ground: BaseGeometry, period: Period
) -> dict[str, Scene]:
    """One search; what the archive answers is tested again, because servers ignore filters."""
    collections = archive.profiles[sensor].collections
    if archive.is_local:
        items: Iterable[Item] = local_items(archive.root, collections, ground)
    else:
        items = served_items(archive.root, collections, ground, period)
    scenes = (scene_of(item, archive, archive.root) for item in items)
    return {
        scene.id: scene
        for scene in scenes
        if scene is not None
        and scene.sensor is sensor
        and period.contains(scene.time)
        and ground.intersects(scene.footprint)
    }


def _refuse_outside(archive: Archive, geometry: BaseGeometry, period: Period) -> NoReturn:
    """Say what a local archive covers, because nobody else can."""
    collections = [name for profile in archive.profiles.values() for name in profile.collections]
    everywhere = coverage(archive.root, collections)
    if everywhere is None:
        raise SceneError(
            f"the archive {archive.root} has no item of {', '.join(collections)}; choose another"
            " --archive"
        )
    here = coverage(archive.root, collections, geometry)
    if here is not None:
        raise SceneError(
            f"the archive {archive.name} has no scene of the area in {period}; its scenes there are"
            f" from {here.first:%Y-%m-%d} to {here.last:%Y-%m-%d}; choose another --period"
        )
    west, south, east, north = geometry.bounds
    raise SceneError(
        f"the area (longitudes {west:.2f} to {east:.2f}, latitudes {south:.2f} to {north:.2f}) lies"
        f" outside the archive {archive.name}, which covers {everywhere}; choose an area inside"
    )
