"""The files of one group of scenes, gathered block by block and then written whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from mapper.simulated.acquisitions import Group, OpticalPass, RadarPass
from mapper.simulated.ground import positions
from mapper.simulated.items import (
    OPTICAL_COLLECTION,
    RADAR_COLLECTION,
    Item,
    optical_item,
    radar_item,
)
from mapper.simulated.painter import (
    BLOCK_PX,
    CELL_PX,
    THINNING,
    TRUTH,
    Key,
    Painted,
    assets_of,
    raster_of,
)
from mapper.simulated.sky import CIRRUS_OPACITY, HIGH_OPACITY, MEDIUM_OPACITY, Sky, opacities
from mapper.simulated.sparse_cog import Level, Place, Raster, compressed, write_cog

_WEATHER_STEP_PX = 64
"""Spacing of the points at which a whole tile's cloud is counted."""
_DONE = "done.json"
"""A scene's item, written when its files are; hrefs in it are relative to the index."""

Array = npt.NDArray[np.generic]


class GroupFiles:
    """Collects painted blocks of a group in a temporary file, then writes every scene.

    Memory holds only where each block lies, and every eighth pixel.
    """

    def __init__(self, group: Group, out_dir: Path, spool: IO[bytes]) -> None:
        """Nothing is written to `out_dir` before `write`; `spool` is read and written."""
        self._group, self._out, self._spool = group, out_dir, spool
        self._lies: dict[Key, dict[Place, tuple[int, int]]] = {}
        self._thin: dict[Key, dict[Place, Array]] = {}
        self._seen: dict[str, dict[Place, npt.NDArray[np.bool_]]] = {}

    @staticmethod
    def finished(group: Group, out_dir: Path) -> list[Item] | None:
        """The items of a group written before; None where something is missing."""
        if not group.scenes:
            return [] if _truth_path(group, out_dir).exists() else None
        try:
            return [
                json.loads((_folder(group, scene.id, out_dir) / _DONE).read_text(encoding="utf-8"))
                for scene in group.scenes
                if not (_folder(group, scene.id, out_dir) / _EMPTY).exists()
            ]
        except (OSError, ValueError):
            return None

    def add(self, painted: Painted) -> None:
        """Takes in one block of every file."""
        for key, data in painted.data.items():
            self._lies.setdefault(key, {})[painted.place] = (self._spool.tell(), len(data))
            self._spool.write(data)
        for key, thin in painted.thin.items():
            self._thin.setdefault(key, {})[painted.place] = thin
        for scene, cells in painted.seen.items():
            if cells.any():
                self._seen.setdefault(scene, {})[painted.place] = cells

    def write(self) -> list[Item]:
        """Writes the files of every scene with pixels, each scene's item last; the items."""
        if not self._group.scenes:
            self._raster(Key(TRUTH, TRUTH), _truth_path(self._group, self._out))
            return []
        items = []
        for scene in self._group.scenes:
            folder = _folder(self._group, scene.id, self._out)
            folder.mkdir(parents=True, exist_ok=True)
            if scene.id not in self._seen:
                write_whole(folder / _EMPTY, "the swath ends before the needed ground\n")
                continue
            hrefs = {}
            for asset in assets_of(self._group):
                path = folder / f"{asset}.tif"
                self._raster(Key(scene.id, asset), path)
                hrefs[asset] = f"./{path.relative_to(self._out).as_posix()}"
            item = self._item(scene, hrefs)
            write_whole(folder / _DONE, json.dumps(item))
            items.append(item)
        return items

    def _item(self, scene: OpticalPass | RadarPass, hrefs: Mapping[str, str]) -> Item:
        footprint = self._footprint(scene.id)
        if isinstance(scene, RadarPass):
            return radar_item(self._group, scene, footprint, hrefs)
        region = self._group.region
        shares = _weather(self._group, scene.sky)
        shares["nodata"] = 100 * (1 - footprint.area / (region.width * region.height))
        return optical_item(self._group, scene, footprint, shares, hrefs)

    def _footprint(self, scene: str) -> BaseGeometry:
        """Where a scene has pixels, by cells, in lattice pixels."""
        boxes = []
        for (row, column), cells in self._seen[scene].items():
            top = self._group.region.top + row * BLOCK_PX
            left = self._group.region.left + column * BLOCK_PX
            rows, columns = np.nonzero(cells)
            x, y = left + columns * CELL_PX, top + rows * CELL_PX
            boxes.append(shapely.box(x, y, x + CELL_PX, y + CELL_PX))
        return shapely.union_all(np.concatenate(boxes))

    def _raster(self, key: Key, path: Path) -> None:
        """One file, full resolution and overview; whole or not at all."""
        raster = raster_of(self._group, key.asset)
        lies = self._lies.get(key, {})
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        full = Level(1, {p: length for p, (_, length) in lies.items()}, lambda p: self._at(lies[p]))
        thin = _overview(raster, self._thin.get(key, {}))
        small = Level(THINNING, {p: len(data) for p, data in thin.items()}, thin.__getitem__)
        write_cog(partial, raster, [full, small])
        partial.replace(path)

    def _at(self, lies: tuple[int, int]) -> bytes:
        end = self._spool.tell()
        self._spool.seek(lies[0])
        data = self._spool.read(lies[1])
        self._spool.seek(end)
        return data


_EMPTY = "empty.txt"


def _folder(group: Group, scene: str, out_dir: Path) -> Path:
    return out_dir / (OPTICAL_COLLECTION if group.optical else RADAR_COLLECTION) / scene


def _truth_path(group: Group, out_dir: Path) -> Path:
    return out_dir / TRUTH / f"{group.name}.tif"


def _overview(raster: Raster, thin: Mapping[Place, Array]) -> dict[Place, bytes]:
    """Compressed blocks of the overview, each from eight by eight thinned blocks."""
    side = raster.block_px // THINNING
    blocks: dict[Place, Array] = {}
    for (row, column), pixels in thin.items():
        place = (row // THINNING, column // THINNING)
        if place not in blocks:
            size = (raster.block_px, raster.block_px)
            blocks[place] = np.full(size, raster.nodata, raster.dtype)
        top, left = row % THINNING * side, column % THINNING * side
        blocks[place][top : top + side, left : left + side] = pixels
    packed = {place: compressed(block, raster) for place, block in blocks.items()}
    return {place: data for place, data in packed.items() if data}


def _weather(group: Group, sky: Sky) -> dict[str, Any]:
    """Per cent of the whole tile under each kind of cloud, whatever part of it is painted."""
    opacity = opacities(*positions(group.region, _WEATHER_STEP_PX), sky.seed, sky.threshold)
    high = float((opacity > HIGH_OPACITY).mean() * 100)
    medium = float((opacity > MEDIUM_OPACITY).mean() * 100) - high
    cirrus = float((opacity > CIRRUS_OPACITY).mean() * 100) - high - medium
    return {"high": high, "medium": medium, "cirrus": cirrus, "cloud": high + medium + cirrus}


def write_whole(path: Path, text: str) -> None:
    """Writes a text file; another process sees all of it or nothing."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
