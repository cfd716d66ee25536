"""From an area and a period to scenes: every archive alike, and every filter checked again here.

Servers ignore what they do not understand, some without a word, so nothing they answer is trusted:
collection, time and ground of every item are tested on this side. What is found is completed to
whole MGRS tiles, so that the choice among scenes cannot depend on the area that asked.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import NoReturn

import pystac.errors
import pystac_client
import requests
import shapely
import shapely.geometry
import urllib3
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from shapely.geometry.base import BaseGeometry

from mapper.errors import ArchiveError, SceneError
from mapper.imagery.archives import Archive, partner
from mapper.imagery.bands import Sensor
from mapper.imagery.footprints import widened
from mapper.imagery.index import coverage, local_items
from mapper.imagery.items import Item, scene_of
from mapper.imagery.period import Period
from mapper.imagery.scenes import Scene

log = logging.getLogger(__name__)

REACH_M = 6_000.0
"""How far beyond an area its pixels look: a window of 512 px (5,120 m), and what reading adds."""
PAGE_ITEMS = 250
"""Items per page asked of a server; the largest that all known ones accept."""
TIMEOUT_S = (10.0, 60.0)
"""To connect, and between two bytes of an answer."""
RETRIES = urllib3.Retry(
    total=4,
    connect=2,
    backoff_factor=0.5,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=None,
)
"""Waits of 0.5, 1, 2, 4 s, or as long as the server's Retry-After says."""
_COARSE_DEG = 0.02
"""Outlines are sent to servers this coarse, widened by as much: they refuse large requests."""


def search(
    archive: Archive, geometry: BaseGeometry, period: Period, *, reach_m: float = REACH_M
) -> list[Scene]:
    """The scenes that may show an area or its surroundings in a period, of both sensors.

    Args:
        archive: where to look; a sensor it lacks is looked for in its partner.
        geometry: the area, polygons in longitude and latitude within -180..180.
        period: days of sensing.
        reach_m: how far around the area scenes are wanted, in metres.

    Returns:
        scenes sorted by time and id; complete for every MGRS tile one of them is of. Empty where
        a server has none; whether that will do is for `choose` to say.

    Raises:
        ArchiveError: the archive is down or answers what is no STAC.
        SceneError: a local archive has no scene there; the message says what it covers.
    """
    around = widened(geometry, reach_m)
    shapely.prepare(around)
    found: dict[str, Scene] = {}
    for sensor in Sensor:
        holder = partner(archive, sensor)
        if holder is not None:
            found |= _of_sensor(holder, sensor, around, period)
    if not any(scene.footprint.intersects(geometry) for scene in found.values()):
        found = {}
        if archive.is_local:
            _refuse_outside(archive, geometry, period)
    return sorted(found.values(), key=lambda scene: (scene.time, scene.id))


def _of_sensor(
    archive: Archive, sensor: Sensor, around: BaseGeometry, period: Period
) -> dict[str, Scene]:
    """Scenes of one sensor by id; of Sentinel-2 all those of every tile that is touched."""
    scenes = _find(archive, sensor, around, period)
    if sensor is Sensor.OPTICAL and scenes:
        places = {scene.place for scene in scenes.values()}
        tiles = shapely.union_all([scene.extent for scene in scenes.values()])
        shapely.prepare(tiles)
        whole = _find(archive, sensor, tiles, period)
        scenes |= {key: scene for key, scene in whole.items() if scene.place in places}
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
        items = _served_items(archive, collections, ground, period)
    scenes = (scene_of(item, archive, archive.root) for item in items)
    return {
        scene.id: scene
        for scene in scenes
        if scene is not None
        and scene.sensor is sensor
        and period.contains(scene.time)
        and ground.intersects(scene.footprint)
    }


def _served_items(
    archive: Archive, collections: Iterable[str], ground: BaseGeometry, period: Period
) -> list[Item]:
    """What a server answers, page by page; areas on both sides of 180 degrees ask twice."""
    coarse = shapely.simplify(widened(ground, _COARSE_DEG * 111_000), _COARSE_DEG)
    found: list[Item] = []
    try:
        client = pystac_client.Client.open(
            archive.root, stac_io=StacApiIO(timeout=TIMEOUT_S, max_retries=RETRIES)
        )
        for side in _sides(coarse):
            query = client.search(
                collections=list(collections),
                intersects=shapely.geometry.mapping(side),
                datetime=f"{period.start}T00:00:00Z/{period.end}T23:59:59Z",
                limit=PAGE_ITEMS,
            )
            found += query.items_as_dicts()
    except requests.RequestException as problem:
        raise ArchiveError(_down(archive, problem)) from problem
    except APIError as problem:
        status = getattr(problem, "status_code", None)
        said = f"HTTP {status}" if status else _brief(problem)
        raise ArchiveError(
            f"the archive {archive.root} refused the search ({said}); try again later, or choose"
            " another --archive"
        ) from problem
    except (
        pystac.errors.STACError,
        ValueError,
        KeyError,
        TypeError,
        NotImplementedError,
    ) as problem:
        raise ArchiveError(
            f"{archive.root} does not answer as a STAC API does ({_brief(problem)}); give the root"
            " address of one"
        ) from problem
    return found


def _sides(geometry: BaseGeometry) -> list[BaseGeometry]:
    """The geometry, or its western and its eastern part where it lies at both ends of the map."""
    west, south, east, north = geometry.bounds
    if east - west <= 180:
        return [geometry]
    halves = (shapely.box(west, south, 0, north), shapely.box(0, south, east, north))
    return [half for box in halves if (half := geometry.intersection(box)).area]


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


def _down(archive: Archive, problem: requests.RequestException) -> str:
    """One line for a person: which address, what happened, what to do."""
    if isinstance(problem, requests.Timeout):
        what = f"did not answer within {TIMEOUT_S[1]:.0f} s"
    elif isinstance(problem, requests.exceptions.JSONDecodeError):
        return f"{archive.root} answers what is no JSON; give the root address of a STAC API"
    elif isinstance(problem, requests.exceptions.RetryError):
        what = "keeps answering that it is busy or broken"
    elif isinstance(problem, requests.ConnectionError):
        what = "cannot be reached"
    else:
        what = f"failed ({_brief(problem)})"
    return f"the archive {archive.root} {what}; check the address and the network, or try later"


def _brief(problem: Exception) -> str:
    """The first line of an exception, short enough for one line of ours."""
    text = (str(problem).splitlines() or [""])[0] or type(problem).__name__
    return text if len(text) <= 120 else f"{text[:117]}..."
