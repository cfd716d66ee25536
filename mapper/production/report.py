"""Plans and finished maps in words for people, and plans in JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mapper.imagery.bands import Sensor
from mapper.imagery.scenes import TITLES
from mapper.land.grid import PIXEL_M
from mapper.land.legend import LEGEND
from mapper.lulcformer.checkpoint import Checkpoint
from mapper.maps.stac import ITEM_NAME, SIMULATED
from mapper.production.plan import Plan

MAX_LISTED = 12
"""Tiles and reasons beyond this many are summed up in one line."""


def plan_facts(plan: Plan, network: Checkpoint) -> dict[str, Any]:
    """Everything a plan says, as JSON can hold it."""
    return {
        "area": {
            "name": plan.area.name,
            "title": plan.area.title,
            "km2": round(plan.area_km2, 1),
        },
        "recipe": plan.recipe.to_dict(),
        "checkpoint": {"variant": network.variant_name, "digest": network.digest},
        "tiles": [
            {
                "name": planned.tile.name,
                "area_px": round(planned.area_px),
                "windows": len(planned.windows),
                "scenes": [scene.id for scene in planned.scenes()],
                "read_bytes": planned.read_bytes,
            }
            for planned in plan.tiles
        ],
        "windows": plan.windows,
        "scenes": {
            "kept": [scene.id for scene in plan.selection.kept],
            "dropped": [
                {"id": dropped.scene.id, "reason": dropped.reason}
                for dropped in plan.selection.dropped
            ],
        },
        "read_bytes": plan.read_bytes,
        "write_bytes": plan.write_bytes,
        "workers": plan.team.workers,
        "tiles_per_worker": plan.team.tiles_per_worker,
        "threads": plan.team.threads,
        "memory_per_worker_bytes": plan.memory_per_worker_bytes,
        "seconds": round(plan.seconds, 1),
        "notes": list(plan.notes),
    }


def plan_lines(plan: Plan, network: Checkpoint) -> Iterator[str]:
    """The same for a person, a line at a time."""
    recipe, team = plan.recipe, plan.team
    yield f"{plan.area.title}, {plan.area_km2:,.1f} km2, {recipe.period}, {recipe.archive}"
    yield ""
    yield f"tiles     {len(plan.tiles)} of {recipe.tile_px} px"
    for planned in plan.tiles[:MAX_LISTED]:
        yield (
            f"          {planned.tile.name}  {planned.area_px / 1e4:>9,.1f} km2  "
            f"{len(planned.windows):>3} windows  {len(planned.looks):>3} looks  "
            f"{_bytes(planned.read_bytes):>8}"
        )
    if len(plan.tiles) > MAX_LISTED:
        yield f"          and {len(plan.tiles) - MAX_LISTED} more (--json lists them)"
    yield f"windows   {plan.windows}"
    for sensor in Sensor:
        looks = {scene.datatake for scene in plan.selection.of(sensor)}
        yield (
            f"scenes    {len(plan.selection.of(sensor))} of {TITLES[sensor]} "
            f"in {len(looks)} overpasses"
        )
    yield from _dropped_lines(plan)
    yield f"read      {_bytes(plan.read_bytes)}, decoded"
    yield f"write     {_bytes(plan.write_bytes)} at most"
    yield f"network   {network.variant_name}, {recipe.precision} on {recipe.device}"
    yield (
        f"workers   {team.workers}, {team.threads} threads per tile, "
        f"{_bytes(plan.memory_per_worker_bytes)} each"
    )
    yield f"time      about {_duration(plan.seconds)}"
    if plan.simulated:
        yield "note      the scenes are simulated: this will be no map of the real ground"
    for note in plan.notes:
        yield f"note      {note}"


def map_lines(folder: Path) -> Iterator[str]:
    """A finished map in a few lines: where it is, and how much of each class."""
    properties = json.loads((folder / ITEM_NAME).read_text(encoding="utf-8"))["properties"]
    pixels, blank = properties["mapper:class_px"], properties["mapper:nodata_px"]
    total = sum(pixels) + blank
    yield f"{folder}"
    for cover, count in zip(LEGEND, pixels, strict=True):
        yield _area_line(cover.title, count, total)
    yield _area_line("no class", blank, total)
    if properties["mapper:simulated"]:
        yield f"  {SIMULATED}"


def _area_line(title: str, pixels: int, total: int) -> str:
    return f"  {title:<18} {pixels * PIXEL_M**2 / 1e6:>12,.2f} km2  {pixels / total:>6.1%}"


def _dropped_lines(plan: Plan) -> Iterator[str]:
    """How many scenes were left out, and for which reasons."""
    reasons = Counter(dropped.reason for dropped in plan.selection.dropped)
    for reason, count in reasons.most_common(MAX_LISTED):
        yield f"          {count} left out: {reason}"
    if len(reasons) > MAX_LISTED:
        yield f"          and {len(reasons) - MAX_LISTED} more reasons (--json lists them)"


def _bytes(count: float) -> str:
    """Such as 12 kB, 3.4 GB."""
    units = ["B", "kB", "MB", "GB", "TB"]
    while count >= 1000 and len(units) > 1:
        count, units = count / 1000, units[1:]
    return f"{count:.0f} {units[0]}" if count >= 10 else f"{count:.1f} {units[0]}"


def _duration(seconds: float) -> str:
    """Such as 40 s, 12 min, 3.5 h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
