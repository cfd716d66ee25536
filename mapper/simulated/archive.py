"""A simulated archive on disk: scenes as COGs with STAC items, and the truth beside them.

    OUT/items.json            ItemCollection, hrefs relative to it
    OUT/sentinel-2-l2a/...    one folder per scene, and a STAC collection
    OUT/sentinel-1-rtc/...
    OUT/truth/32N.tif         the true class of every pixel, uint8, 255 where not simulated
    OUT/README.md             says what this is
    OUT/simulated.json        the request it answers; written last

Scenes are written whole or not at all, and a folder without its last file is taken up where it was
left, never for finished.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from mapper.errors import OutputError, RequestError
from mapper.land.grid import Region, Zone
from mapper.pool import pool
from mapper.simulated.acquisitions import Group, groups_over
from mapper.simulated.group_files import GroupFiles, write_whole
from mapper.simulated.items import (
    COLLECTION_FILE,
    NOTE,
    OPTICAL_COLLECTION,
    RADAR_COLLECTION,
    Item,
    collection_of,
)
from mapper.simulated.need import needed_ground
from mapper.simulated.painter import TRUTH, Painted, batches, blocks_of, paint
from mapper.simulated.painting import VERSION, surface

INDEX = "items.json"
_MARKER = "simulated.json"
_STARTED = "started.json"
_TRUTH_SNAP_PX = 512
_IN_FLIGHT = 8
"""Blocks being painted or waiting to be written."""
_SMALL = Region(Zone(32, False), 50_000, 480_000, 16, 16)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a simulation has come."""

    done: int
    """Blocks painted, or found finished."""
    total: int
    group: str
    """The tile or frame that was worked on."""


OnEvent = Callable[[Progress], None]


def simulate(
    geometry: BaseGeometry,
    name: str,
    period: tuple[date, date],
    out_dir: Path,
    *,
    workers: int = 2,
    on_event: OnEvent | None = None,
) -> Path:
    """Simulates the scenes that a map of an area and a period needs.

    The same request answered before is answered at once.

    Args:
        geometry: the area, longitude and latitude, within -180..180.
        name: of the area, for the titles.
        period: first and last day.
        out_dir: a new folder, or one that an earlier simulation wrote or began.
        workers: processes that paint; 1 paints in this one.
        on_event: told of every block.

    Returns:
        the path of the index, OUT/items.json.

    Raises:
        RequestError: the area is empty or polar, or the period has no scene or ends too early.
        OutputError: the folder holds something else, or cannot be written.
    """
    first, last = period
    if last < first:
        raise RequestError(f"the period ends on {last}, before it begins on {first}; swap them")
    key = _key(geometry, period)
    if _content(out_dir / _MARKER).get("key") == key:
        return out_dir / INDEX
    needed = needed_ground(geometry)
    groups = groups_over(needed, first, last)
    _refuse_gaps(groups, name, first, last)
    groups += [_truth_group(zone.name, shape, zone) for zone, shape in needed.items()]
    try:
        _begin(out_dir, key, name)
        items = _paint_all(groups, out_dir, workers, on_event)
        _finish(out_dir, key, name, period, items)
    except OSError as error:
        raise OutputError(
            f"the simulated archive cannot be written to {out_dir} ({error.strerror}); "
            "free some space or choose another folder"
        ) from error
    return out_dir / INDEX


def _key(geometry: BaseGeometry, period: tuple[date, date]) -> str:
    """Digest of everything that decides an archive's content."""
    digest = hashlib.sha256(shapely.to_wkb(shapely.normalize(geometry), byte_order=1))
    digest.update(f"{VERSION} {period[0]} {period[1]}".encode())
    digest.update(resources.files(__package__).joinpath("spectra.npz").read_bytes())
    return digest.hexdigest()


def _refuse_gaps(groups: list[Group], name: str, first: date, last: date) -> None:
    """Refuses a period in which one of the sensors never passes."""
    for sensor, found in (
        ("Sentinel-2", any(group.optical for group in groups)),
        ("Sentinel-1", any(group.radar for group in groups)),
    ):
        if not found:
            raise RequestError(
                f"no simulated {sensor} passes over {name} in {first}/{last}; "
                "one comes every few weeks: ask for a month or more"
            )


def _truth_group(name: str, shape: BaseGeometry, zone: Zone) -> Group:
    """The truth of one zone, on a grid of its own around the needed ground."""
    left, top, right, bottom = shape.bounds
    snap = _TRUTH_SNAP_PX
    left, top = int(left // snap) * snap, int(top // snap) * snap
    width, height = (-int(-(n // snap)) * snap + snap for n in (right - left, bottom - top))
    return Group(name, Region(zone, left, top, width, height), shape, (), ())


def _begin(out_dir: Path, key: str, name: str) -> None:
    """Makes the folder ready: keeps what the same request left, clears what another one left."""
    out_dir.mkdir(parents=True, exist_ok=True)
    known = _content(out_dir / _STARTED) or _content(out_dir / _MARKER)
    if not known and any(out_dir.iterdir()):
        raise OutputError(
            f"{out_dir} is not empty and holds no simulated archive; choose another folder"
        )
    if known and known.get("key") != key:
        for part in (OPTICAL_COLLECTION, RADAR_COLLECTION, TRUTH):
            shutil.rmtree(out_dir / part, ignore_errors=True)
        (out_dir / INDEX).unlink(missing_ok=True)
    (out_dir / _MARKER).unlink(missing_ok=True)
    write_whole(out_dir / _STARTED, json.dumps({"key": key, "area": name}))
    write_whole(out_dir / "README.md", _README.format(name=name, note=NOTE))


def _paint_all(
    groups: list[Group], out_dir: Path, workers: int, on_event: OnEvent | None
) -> list[Item]:
    """Paints what is not finished, batch after batch; all items."""
    left = [group for group in groups if GroupFiles.finished(group, out_dir) is None]
    parts = [(batch, blocks_of(batch)) for batch in batches(left)]
    total, done = sum(len(blocks) for _, blocks in parts), 0
    with _painters(workers if total > 1 else 1) as painters:
        for batch, blocks in parts:
            with ExitStack() as spools:
                files = {
                    group.name: GroupFiles(
                        group, out_dir, spools.enter_context(tempfile.TemporaryFile(dir=out_dir))
                    )
                    for group in batch
                }
                for painted in _painted(batch, blocks, painters):
                    for part in painted:
                        files[part.group].add(part)
                    done += 1
                    if on_event:
                        on_event(Progress(done, total, batch[0].name))
                for group in batch:
                    files[group.name].write()
    return [item for group in groups for item in GroupFiles.finished(group, out_dir) or ()]


def _painted(
    batch: tuple[Group, ...], blocks: list[Region], painters: ProcessPoolExecutor | None
) -> Iterator[list[Painted]]:
    """The blocks of a batch as they come; only a few wait to be written at any time."""
    if painters is None:
        yield from (paint(batch, block) for block in blocks)
        return
    waiting = iter(blocks)
    running = {painters.submit(paint, batch, block) for block in islice(waiting, _IN_FLIGHT)}
    while running:
        finished, running = wait(running, return_when=FIRST_COMPLETED)
        running |= {
            painters.submit(paint, batch, block) for block in islice(waiting, len(finished))
        }
        for future in finished:
            yield future.result()


@contextmanager
def _painters(workers: int) -> Iterator[ProcessPoolExecutor | None]:
    """Processes that paint; None where this one does it.

    A small block is painted here first, so that compiled code is in the cache before several
    processes would compile it at once.
    """
    if workers <= 1:
        yield None
        return
    surface(_SMALL)
    with pool(workers) as painters:
        yield painters


def _finish(
    out_dir: Path, key: str, name: str, period: tuple[date, date], items: list[Item]
) -> None:
    """Writes the index, and last of all the marker."""
    ordered = sorted(items, key=lambda item: (item["properties"]["datetime"], item["id"]))
    for sensor in (OPTICAL_COLLECTION, RADAR_COLLECTION):
        own = [item for item in ordered if item["collection"] == sensor]
        if own:
            content = json.dumps(collection_of(sensor, own))
            write_whole(out_dir / sensor / COLLECTION_FILE, content)
    index = {
        "type": "FeatureCollection",
        "title": f"Simulated Sentinel-1 and Sentinel-2 scenes of {name}",
        "description": NOTE,
        "mapper:simulated": True,
        "features": ordered,
    }
    write_whole(out_dir / INDEX, json.dumps(index))
    facts = {"key": key, "area": name, "period": [str(day) for day in period]}
    write_whole(out_dir / _MARKER, json.dumps(facts | {"mapper:simulated": True}))
    (out_dir / _STARTED).unlink(missing_ok=True)


def _content(path: Path) -> dict[str, Any]:
    """A small JSON file; nothing where it is missing or damaged."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content


_README = """# Simulated scenes of {name}

{note} The ground is drawn by a rule from its position; the
shapes of countries are real, what lies in them is not. Spectra and backscatter are those of real
places, see SOURCES.md of the program. `items.json` is a STAC ItemCollection in the manner of
Planetary Computer's sentinel-2-l2a and sentinel-1-rtc; `truth/` holds the true class of every
pixel, by UTM zone. Only the ground that a map of the area reads is filled.
"""
