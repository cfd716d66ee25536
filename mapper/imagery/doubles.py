"""Scenes that show the same ground in the same overpass, processed twice. Pure.

An archive may hold one overpass of one place twice (processed again), or in two items that show a
half each; only the former are doubles, and their footprints tell. A scene is held against every
newer one, whatever became of that: scenes elsewhere must not decide about it.
"""

from __future__ import annotations

from collections.abc import Iterable

from mapper.imagery.bands import Sensor
from mapper.imagery.footprints import widened
from mapper.imagery.scenes import Scene, grouped

_DOUBLE_SHARE = 0.9
"""An optical scene with this share of its footprint in a newer one is its double, since outlines of
data are drawn anew by each processing; halves of a split scene share a few percent. A search finds
all scenes of an MGRS tile, so whoever asks finds the newer one."""
_MARGIN_M = 500.0
"""A radar scene is a double if it reaches no farther than this beyond a newer one. Slices of a pass
may be cut anew, and who asks for the end of an older one may find no other: it has to be kept for
all who ask. A search looks farther beyond an area than pixels can matter by more than this."""


def without_doubles(scenes: Iterable[Scene]) -> tuple[list[Scene], list[tuple[Scene, Scene]]]:
    """The scenes that are kept, and each double with the newer scene that shows its ground."""
    kept: list[Scene] = []
    doubles: list[tuple[Scene, Scene]] = []
    for _, group in grouped(scenes, lambda s: (s.datatake, s.place)):
        newer: list[Scene] = []
        for scene in sorted(group, key=_recency, reverse=True):
            double = next((other for other in newer if _same_ground(scene, other)), None)
            newer.append(scene)
            if double is None:
                kept.append(scene)
            else:
                doubles.append((scene, double))
    return kept, doubles


def _same_ground(scene: Scene, newer: Scene) -> bool:
    """Whether a newer scene shows a scene's ground, up to what outlines differ by."""
    shared = scene.footprint.intersection(newer.footprint).area
    if shared < _DOUBLE_SHARE * scene.footprint.area:
        return False
    if scene.sensor is Sensor.OPTICAL:
        return True
    return bool(widened(newer.footprint, _MARGIN_M).covers(scene.footprint))


def _recency(scene: Scene) -> tuple[bool, tuple[int, ...], str, str]:
    return (scene.terrain_corrected, _version(scene.baseline), scene.generated, scene.id)


def _version(baseline: str | None) -> tuple[int, ...]:
    """Baseline as numbers, so that 10.00 comes after 05.09; unknown comes first."""
    digits = (baseline or "").split(".")
    return tuple(int(part) for part in digits if part.isdigit())
