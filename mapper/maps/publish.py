"""A product's folder: there as a whole, or not there.

Everything is written into a hidden folder beside the final one, forced to the disk, marked as done
with size, digest and content key of every file, and then renamed. A run that is killed leaves a
hidden folder that nobody takes for a product, and the next run removes it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mapper.errors import OutputError
from mapper.imagery.composite import Composite
from mapper.imagery.losses import NO_LOSSES, Losses
from mapper.inference.predict import Prediction
from mapper.land.grid import Tile
from mapper.land.legend import CLASS_COUNT, NODATA
from mapper.maps.cog import SIDECAR, UNFINISHED, has_names, keep, reason, write_cog
from mapper.maps.layers import CONFIDENCE, LAND_COVER, OBSERVATIONS
from mapper.maps.stac import ITEM_NAME, Contents, Facts, tile_item

DONE_NAME = "done.json"
_MOST_LOOKS = NODATA - 1
"""Counts of looks end here in a product; 255 means outside the area."""


@dataclass(frozen=True, slots=True)
class Published:
    """A finished folder."""

    folder: Path
    files: dict[str, str]
    """SHA-256 by file name."""
    size_bytes: int
    """Of all files."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The finished tile that a folder holds, in answer to what was planned for it."""

    key: str
    """Its content key; not the planned one where it is lossy."""
    lossy: bool
    """Whether it lacks scenes that were planned and could not be read."""
    degraded: bool
    """Whether it lacks too many of them."""


def publish_tile(
    folder: Path,
    tile: Tile,
    composite: Composite,
    prediction: Prediction,
    wanted: npt.NDArray[np.bool_],
    facts: Facts,
    scenes: tuple[str, ...],
    key: str,
    notes: tuple[str, ...] = (),
    losses: Losses = NO_LOSSES,
    planned_key: str = "",
) -> Published:
    """Write a tile's three rasters and its item.

    Args:
        folder: where they will lie: tiles/<size>/<name>/ below the run's folder.
        tile: where on the ground.
        composite: for its counts of looks; covers the wanted pixels.
        prediction: of the tile's region.
        wanted: (y, x) over the tile; True inside the area.
        facts: of the run.
        scenes: ids of the scenes the tile was made from.
        key: digest of everything its pixels follow from.
        notes: what a user should know of this tile alone.
        losses: the scenes it should have been made from as well.
        planned_key: of the tile without losses, told where it has some.

    Raises:
        OutputError: the folder cannot be written.
    """
    contents = Contents(
        scenes=tuple(sorted(scenes)),
        class_px=count_classes(prediction.land_cover),
        nodata_px=int(np.count_nonzero(wanted & (prediction.land_cover == NODATA))),
        key=key,
        notes=notes,
        failed_reads=tuple(asdict(failure) for failure in losses.failed),
        degraded=losses.degraded,
    )
    geobox = tile.region.geobox
    instead = _instead_of(planned_key, losses) if losses.failed else None
    with publishing(folder, key, instead) as unfinished:
        for layer, pixels in (
            (LAND_COVER, prediction.land_cover),
            (CONFIDENCE, prediction.confidence),
            (OBSERVATIONS, observations(composite, prediction, wanted)),
        ):
            write_cog(unfinished / layer.file_name, pixels, geobox, layer, file_tags(facts))
        write_json(unfinished / ITEM_NAME, tile_item(tile, facts, contents, unfinished))
    files = (_done(folder) or {})["files"]
    return _published(folder, files)


def observations(
    composite: Composite, prediction: Prediction, wanted: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    """(2, y, x) optical and radar looks over the tile; 255 outside the area."""
    looks = np.full((2, *prediction.region.shape), NODATA, np.uint8)
    shared = prediction.region.intersection(composite.region)
    if shared is not None:
        here, there = shared.slices_in(prediction.region), shared.slices_in(composite.region)
        looks[0][here] = np.minimum(composite.optical_looks[there], _MOST_LOOKS)
        looks[1][here] = np.minimum(composite.radar_looks[there], _MOST_LOOKS)
    looks[:, ~wanted] = NODATA
    return looks


def count_classes(land_cover: npt.NDArray[np.uint8]) -> tuple[int, ...]:
    """Pixels of each class, by code."""
    counts = np.bincount(land_cover.ravel(), minlength=CLASS_COUNT)[:CLASS_COUNT]
    return tuple(int(count) for count in counts)


def file_tags(facts: Facts) -> dict[str, str]:
    """What a raster says of itself when it is alone; the same for any cut into tiles."""
    return {
        "period": str(facts.period),
        "attribution": facts.attribution,
        "checkpoint": str(facts.checkpoint["digest"]),
        "software": f"mapper {facts.software['version']}",
    }


@contextmanager
def publishing(folder: Path, key: str, facts: Mapping[str, Any] | None = None) -> Iterator[Path]:
    """A hidden folder to write into; it becomes `folder` if all goes well, else it disappears.

    Args:
        folder: to be.
        key: content key of what is written.
        facts: what else its marker says.

    Raises:
        OutputError: it cannot be made, finished or moved.
    """
    unfinished = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}{UNFINISHED}")
    try:
        unfinished.mkdir(parents=True)
        try:
            yield unfinished
            names = sorted(path.name for path in unfinished.iterdir())
            mark_done(unfinished, key, names, facts)
            _replace(folder, unfinished)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {reason(error, unfinished)}") from error


def mark_done(
    folder: Path,
    key: str,
    names: Sequence[str],
    facts: Mapping[str, Any] | None = None,
) -> Published:
    """Force files to the disk, then write the marker that says what they are."""
    files = {}
    for name in names:
        keep(folder / name)
        size, digest = (folder / name).stat().st_size, _sha256(folder / name)
        files[name] = {"size": size, "sha256": digest}
    write_json(folder / DONE_NAME, {"key": key, **(facts or {}), "files": files})
    return _published(folder, files)


def remove_mark(folder: Path) -> None:
    """Say that what lies in a folder is no longer, or not yet, a finished product."""
    (folder / DONE_NAME).unlink(missing_ok=True)


def is_published(folder: Path, key: str, thorough: bool = False) -> bool:
    """Whether a folder holds the finished product of that content key.

    Args:
        folder: to look at.
        key: content key wanted.
        thorough: also read every file and compare its SHA-256.
    """
    done = _done(folder)
    return done is not None and done.get("key") == key and _holds(folder, done, thorough)


def standing(folder: Path, planned_key: str) -> Standing | None:
    """The finished tile in a folder, if it was made by that plan: whole, or without some scenes."""
    done = _done(folder)
    if done is None or planned_key not in (done.get("key"), done.get("instead_of")):
        return None
    if not _holds(folder, done):
        return None
    lossy = done["key"] != planned_key
    return Standing(done["key"], lossy, lossy and done.get("degraded") is True)


def _instead_of(planned_key: str, losses: Losses) -> dict[str, Any]:
    """What the marker of a lossy tile says, so that nobody takes it for a whole one."""
    return {
        "instead_of": planned_key,
        "without": list(losses.scenes),
        "degraded": losses.degraded,
    }


def _holds(folder: Path, done: Mapping[str, Any], thorough: bool = False) -> bool:
    """Whether the files of a marker are there.

    A sidecar may have changed, if the classes still have their names: GIS programs add statistics.
    """
    try:
        for name, facts in done["files"].items():
            path = folder / name
            changed = path.stat().st_size != facts["size"] or (
                thorough and _sha256(path) != facts["sha256"]
            )
            if changed and not (name.endswith(SIDECAR) and has_names(path)):
                return False
    except (OSError, KeyError, TypeError, AttributeError):
        return False
    return True


def clean_leftovers(folder: Path) -> list[Path]:
    """Remove what killed runs left below a run's folder; only its one writer may call this.

    Returns:
        The hidden folders and files that were there.
    """
    found = sorted(folder.rglob(f".*{UNFINISHED}"))
    for leftover in found:
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            with suppress(OSError):
                leftover.unlink()
    return found


def write_json(path: Path, value: Any) -> None:
    """A JSON file, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}{UNFINISHED}")
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        temporary.write_text(text, encoding="utf-8")
        keep(temporary)
        temporary.replace(path)
        keep(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"{path} cannot be written: {reason(error, path)}") from error


def _replace(folder: Path, unfinished: Path) -> None:
    """Put a finished folder in its place; an older product makes way."""
    old = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.old{UNFINISHED}")
    if folder.exists():
        folder.rename(old)
    unfinished.rename(folder)
    keep(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _published(folder: Path, files: Mapping[str, Any]) -> Published:
    size = sum(facts["size"] for facts in files.values())
    return Published(folder, {name: facts["sha256"] for name, facts in files.items()}, size)


def _done(folder: Path) -> dict[str, Any] | None:
    """The marker of a finished folder, if it is one."""
    try:
        done = json.loads((folder / DONE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return done if isinstance(done, dict) else None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
