"""Plan: a whole run as a value that can be looked at before a pixel moves. Pure.

Which tiles, which windows, which overpasses in which order: everything that decides a pixel stands
in the plan, and a worker only carries it out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyproj
import shapely
from shapely.geometry.base import BaseGeometry

from mapper.errors import SceneError
from mapper.imagery.bands import Sensor
from mapper.imagery.choice import Selection
from mapper.imagery.load import looks_over
from mapper.imagery.scenes import Look, Scene, looks_of
from mapper.inference.windows import windows_over
from mapper.land.area import Area
from mapper.land.grid import LATTICE_TOP_M, PIXEL_M, Grid, Outline, Region, Tile, Zone
from mapper.production.estimate import (
    BYTES_PER_PX,
    Cost,
    Load,
    Team,
    memory_bytes,
    seconds,
    written_bytes,
)
from mapper.production.recipe import Recipe

FOOTPRINT_EDGE_DEG = 0.05
"""Longest edge of a footprint before it is projected."""


@dataclass(frozen=True, slots=True)
class PlannedTile:
    """One tile of a plan."""

    tile: Tile
    """Where."""
    outline: Outline
    """The area inside the tile's zone."""
    area_px: float
    """Pixels of the area inside the tile."""
    windows: tuple[Region, ...]
    """The windows that touch the area inside the tile, in order of row, then column."""
    read: Region
    """The rectangle round those windows: what is read."""
    looks: tuple[Look, ...]
    """The overpasses that may have pixels there, in the order in which they are combined."""
    read_bytes: int
    """Decoded bytes of those overpasses there."""

    @property
    def load(self) -> Load:
        """What the tile costs, for the estimates."""
        px = self.read.width * self.read.height
        return Load(self.read_bytes, px, self.tile.size_px**2, len(self.windows))

    def scenes(self) -> Iterator[Scene]:
        """The scenes of the looks."""
        for look in self.looks:
            yield from look.scenes


@dataclass(frozen=True, slots=True)
class Plan:
    """A run, decided but not begun."""

    area: Area
    """What is mapped."""
    recipe: Recipe
    """How."""
    simulated: bool
    """Whether the archive's pixels were made by a program."""
    tiles: tuple[PlannedTile, ...]
    """In order of zone, row, column."""
    selection: Selection
    """The scenes kept, and those dropped with the reason."""
    team: Team
    """Who does it."""
    read_bytes: int
    """Decoded bytes of all tiles; halos are read by both neighbours."""
    write_bytes: int
    """On the disk of --out when the run is done."""
    memory_per_worker_bytes: int
    """Largest resident size of one worker."""
    seconds: float
    """From start to finished map."""
    notes: tuple[str, ...]
    """What the user should know, a sentence each."""

    @property
    def name(self) -> str:
        """Of the run and its folder: area and period."""
        return f"{self.area.name}_{self.recipe.period.start}_{self.recipe.period.end}"

    @property
    def land(self) -> tuple[Outline, ...]:
        """The area's outline in each of its zones."""
        return tuple({planned.tile.zone: planned.outline for planned in self.tiles}.values())

    @property
    def windows(self) -> int:
        """Windows of all tiles; one that touches two tiles is computed by both."""
        return sum(len(planned.windows) for planned in self.tiles)

    @property
    def area_km2(self) -> float:
        """The area in square kilometres, counted in pixels."""
        return sum(planned.area_px for planned in self.tiles) * PIXEL_M**2 / 1e6


def make_plan(
    area: Area,
    recipe: Recipe,
    selection: Selection,
    tiles: Sequence[PlannedTile],
    team: Team,
    cost: Cost,
    simulated: bool = False,
) -> Plan:
    """The plan of a run.

    Args:
        area: what to map.
        recipe: how.
        selection: the scenes chosen from everything the archive has over the area.
        tiles: from `planned_tiles`.
        team: who does it.
        cost: of the network on this machine.
        simulated: whether the archive's pixels were made by a program.

    Raises:
        SceneError: no scene shows any tile.
    """
    if not any(planned.looks for planned in tiles):
        raise SceneError(
            f"none of the {len(selection.kept)} scenes that were chosen shows {area.title}; "
            "check the outlines of the archive's items"
        )
    loads = [planned.load for planned in tiles]
    return Plan(
        area=area,
        recipe=recipe,
        simulated=simulated,
        tiles=tuple(tiles),
        selection=selection,
        team=team,
        read_bytes=sum(load.read_bytes for load in loads),
        write_bytes=written_bytes(sum(planned.area_px for planned in tiles)),
        memory_per_worker_bytes=memory_bytes(loads, team),
        seconds=seconds(loads, team, cost),
        notes=tuple(_notes(tiles, recipe, selection)),
    )


def planned_tiles(land: Sequence[Outline], tile_px: int, selection: Selection) -> list[PlannedTile]:
    """The tiles over an area, in order of zone, row, column, each with what may be seen of it."""
    return [tile for outline in land for tile in _planned_tiles(outline, tile_px, selection)]


def _planned_tiles(outline: Outline, tile_px: int, selection: Selection) -> list[PlannedTile]:
    looks = looks_of(selection.kept, outline.zone)
    grounds = {scene.id: _in_pixels(scene.footprint, outline.zone) for scene in selection.kept}
    return [_planned(tile, outline, looks, grounds) for tile in Grid(tile_px).tiles_over(outline)]


def _planned(
    tile: Tile, outline: Outline, looks: Sequence[Look], grounds: Mapping[str, BaseGeometry]
) -> PlannedTile:
    area = outline.shape.intersection(_box(tile.region))
    candidates = windows_over(tile.region)
    touching = shapely.intersects(area, [_box(window) for window in candidates])
    windows = tuple(w for w, touches in zip(candidates, touching, strict=True) if touches)
    read = _hull(windows)
    near = tuple(looks_over(looks, read))
    read_bytes = sum(
        BYTES_PER_PX[scene.sensor] * grounds[scene.id].intersection(_box(read)).area
        for look in near
        for scene in look.scenes
    )
    return PlannedTile(tile, outline, area.area, windows, read, near, round(read_bytes))


def _hull(regions: Sequence[Region]) -> Region:
    """The bounding rectangle of regions of one zone."""
    left, top = min(r.left for r in regions), min(r.top for r in regions)
    right, bottom = max(r.right for r in regions), max(r.bottom for r in regions)
    return Region(regions[0].zone, left, top, right - left, bottom - top)


def _box(region: Region) -> BaseGeometry:
    return shapely.box(region.left, region.top, region.right, region.bottom)


def _in_pixels(footprint: BaseGeometry, zone: Zone) -> BaseGeometry:
    """A footprint in longitude and latitude as (column, row) of a zone's lattice."""
    projection = pyproj.Transformer.from_crs(4326, zone.epsg, always_xy=True)

    def project(lonlat: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        east, north = projection.transform(lonlat[:, 0], lonlat[:, 1])
        return np.column_stack([east, LATTICE_TOP_M - north]) / PIXEL_M

    dense = shapely.segmentize(footprint, FOOTPRINT_EDGE_DEG)
    return shapely.make_valid(shapely.transform(dense, project))


def _notes(tiles: Sequence[PlannedTile], recipe: Recipe, selection: Selection) -> Iterator[str]:
    """What somebody should know before starting."""
    yield from selection.notes
    blind = sum(not _sees(planned, Sensor.OPTICAL) for planned in tiles)
    deaf = sum(not _sees(planned, Sensor.RADAR) for planned in tiles)
    if blind:
        instead = (
            "are mapped from radar alone" if recipe.allow_radar_only else "stay without a class"
        )
        yield f"{blind} of {len(tiles)} tiles have no Sentinel-2 scene: they {instead}"
    if deaf and selection.of(Sensor.RADAR):
        yield f"{deaf} of {len(tiles)} tiles have no Sentinel-1 scene: they lack radar"


def _sees(planned: PlannedTile, sensor: Sensor) -> bool:
    return any(look.sensor is sensor for look in planned.looks)
