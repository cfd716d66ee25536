"""Why a tile sees the scenes it sees: the choice, told for one tile. Pure.

Every verdict was given per MGRS tile or relative orbit, never per tile of the map, so two
neighbouring tiles are told the same of a scene they share.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from mapper.errors import RequestError
from mapper.imagery.choice import Verdict
from mapper.imagery.load import looks_over
from mapper.imagery.scenes import TITLES, Look
from mapper.production.plan import Plan, PlannedTile

_HEADINGS = ("", "time (UTC)", "scene", "place", "cloud", "rule", "reason")


def verdicts_at(plan: Plan, name: str) -> tuple[Verdict, ...]:
    """What became of every scene that may show a tile or its halo, in order of time, then id.

    Raises:
        RequestError: the plan has no such tile; the message names the nearest.
    """
    every = [v.scene for v in plan.selection.verdicts]
    looks = [Look(scene.sensor, scene.time, (scene,)) for scene in every]
    near = {look.scenes[0].id for look in looks_over(looks, _planned(plan, name).read)}
    return tuple(v for v in plan.selection.verdicts if v.scene.id in near)


def why_facts(plan: Plan, name: str) -> dict[str, Any]:
    """The story of one tile, as JSON can hold it."""
    return {
        "tile": name,
        "scenes": [
            {
                "id": verdict.scene.id,
                "sensor": verdict.scene.sensor.value,
                "collection": verdict.scene.collection,
                "time": verdict.scene.time.isoformat().replace("+00:00", "Z"),
                "place": verdict.scene.place,
                "datatake": verdict.scene.datatake,
                "cloud_percent": verdict.scene.cloud_percent,
                "kept": verdict.kept,
                "rule": verdict.rule.value,
                "reason": verdict.reason,
            }
            for verdict in verdicts_at(plan, name)
        ],
    }


def why_lines(plan: Plan, name: str) -> Iterator[str]:
    """The same as a table for a person."""
    verdicts = verdicts_at(plan, name)
    kept = sum(verdict.kept for verdict in verdicts)
    yield f"{name}: {kept} of {len(verdicts)} scenes that may show it are read"
    rows = [_HEADINGS, *(_cells(verdict) for verdict in verdicts)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    for row in rows:
        yield "  ".join(
            f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)
        ).rstrip()


def _planned(plan: Plan, name: str) -> PlannedTile:
    for planned in plan.tiles:
        if planned.tile.name == name:
            return planned
    names = [planned.tile.name for planned in plan.tiles]
    near = get_close_matches(name, names, n=1, cutoff=0.0)[0]
    raise RequestError(
        f"the plan has no tile {name} (the nearest of its {len(names)} is {near}); name one that"
        " mapper plan lists"
    )


def _cells(verdict: Verdict) -> Sequence[str]:
    scene = verdict.scene
    cover = "" if scene.cloud_percent is None else f"{scene.cloud_percent:.0f} %"
    return (
        "kept" if verdict.kept else "dropped",
        f"{scene.time:%Y-%m-%d %H:%M}",
        f"{TITLES[scene.sensor]} {scene.id}",
        scene.place,
        cover,
        verdict.rule.value,
        verdict.reason,
    )
