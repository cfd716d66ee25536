"""Scenes made by hand, for claims about the choice among them and what becomes of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import shapely

from mapper.imagery.bands import OPTICAL_NAMES, RADAR_NAMES, Sensor
from mapper.imagery.scenes import Asset, Scene

SQUARE = shapely.box(8, 47, 9, 48)
BANDS = {Sensor.OPTICAL: (*OPTICAL_NAMES, "SCL"), Sensor.RADAR: RADAR_NAMES}


def scene(
    name: str,
    sensor: Sensor = Sensor.OPTICAL,
    *,
    day: float = 1.0,
    cloud: float | None = 10.0,
    place: str = "32TNT",
    datatake: str | None = None,
    baseline: str | None = "05.09",
    footprint: shapely.Geometry = SQUARE,
    without: tuple[str, ...] = (),
    epsg: int = 32632,
) -> Scene:
    return Scene(
        id=name,
        sensor=sensor,
        time=datetime(2024, 6, 1, 10, tzinfo=UTC) + timedelta(days=day - 1),
        footprint=footprint,
        extent=footprint,
        cloud_percent=cloud if sensor is Sensor.OPTICAL else None,
        place=place,
        datatake=datatake or f"take of {name}",
        orbit_state=None,
        baseline=baseline,
        generated="",
        epsg=epsg,
        assets={n: Asset(f"/{n}.tif", 0, 1, 0) for n in BANDS[sensor] if n not in without},
    )


def ids(scenes: tuple[Scene, ...]) -> list[str]:
    return [scene.id for scene in scenes]
