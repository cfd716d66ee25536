"""One tile's work order, and the content key that says when its product is still good."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mapper.imagery.bands import Sensor
from mapper.imagery.losses import Losses
from mapper.imagery.omnicloud import NO_WEIGHTS, SCL_MASK, weights_digest
from mapper.imagery.scenes import TITLES, Asset, Look, Scene
from mapper.land.grid import Tile
from mapper.maps.stac import Facts
from mapper.production.journal import content_key
from mapper.production.mask import PackedMask
from mapper.production.plan import Plan, PlannedTile
from mapper.production.recipe import Recipe
from mapper.production.software import software

TILES_FOLDER = "tiles"
"""Inside a run's folder; below it one folder per tile size, then one per tile."""

READS_PER_THREAD = 4
"""Reads wait for disks and servers; several of them keep one core busy."""


@dataclass(frozen=True, slots=True)
class TileJob:
    """All a worker needs for one tile; the network it has already."""

    tile: Tile
    """Where."""
    looks: tuple[Look, ...]
    """What is read, in the order in which it is combined."""
    wanted: PackedMask
    """The area inside the tile."""
    cloud_dilation_px: int
    """How far clouds are spread, in pixels of 20 m."""
    allow_radar_only: bool
    """Whether radar alone is enough for a class."""
    reads: int
    """Reads in flight."""
    folder: Path
    """The tile's own folder."""
    key: str
    """Digest of everything its pixels follow from."""
    facts: Facts
    """What its STAC item says of the run."""
    notes: tuple[str, ...]
    """What its STAC item says of this tile alone."""
    cloud_mask: str = SCL_MASK
    """Who says what is cloud."""
    cloud_weights: str = NO_WEIGHTS
    """Where its weights are, readable from every worker."""

    @property
    def name(self) -> str:
        """The tile's name."""
        return self.tile.name

    def scenes_with(self, losses: Losses) -> tuple[str, ...]:
        """Ids of the scenes it is made from, after such losses."""
        ids = (scene.id for look in self.looks for scene in look.scenes)
        return tuple(name for name in ids if name not in losses.scenes)

    def key_with(self, losses: Losses) -> str:
        """Content key of its product after such losses: another one than that of a whole tile."""
        if not losses.failed:
            return self.key
        return content_key({"planned": self.key, "without": list(losses.scenes)})


def job_of(planned: PlannedTile, plan: Plan, folder: Path, facts: Facts) -> TileJob:
    """The work order of a planned tile.

    Args:
        planned: the tile.
        plan: it belongs to.
        folder: of the run.
        facts: of the run.
    """
    tile, wanted = planned.tile, PackedMask.pack(planned.outline.mask(planned.tile.region))
    key = content_key(
        {
            "tile": tile.name,
            "tile_px": tile.size_px,
            "area": wanted.digest,
            "looks": [[_scene_facts(scene) for scene in look.scenes] for look in planned.looks],
            "recipe": plan.recipe.pixel_facts(),
            "cloud_weights": _weights(plan.recipe),
            "checkpoint": facts.checkpoint["digest"],
            "software": software().to_dict(),
        }
    )
    return TileJob(
        tile=tile,
        looks=planned.looks,
        wanted=wanted,
        cloud_dilation_px=plan.recipe.cloud_dilation_px,
        allow_radar_only=plan.recipe.allow_radar_only,
        reads=READS_PER_THREAD * plan.team.threads,
        folder=folder / TILES_FOLDER / str(tile.size_px) / tile.name,
        key=key,
        facts=facts,
        notes=tuple(_notes(planned)),
        cloud_mask=plan.recipe.cloud_mask,
        cloud_weights=plan.recipe.cloud_weights,
    )


def _weights(recipe: Recipe) -> str | None:
    """What the judge of clouds has learnt, where it is not the scenes' own classification."""
    return None if recipe.cloud_mask == SCL_MASK else weights_digest(recipe.cloud_weights)


def _notes(planned: PlannedTile) -> Iterator[str]:
    """What is missing of this tile alone."""
    seen = {look.sensor for look in planned.looks}
    for sensor in Sensor:
        if sensor not in seen:
            yield f"no {TITLES[sensor]} scene shows this tile"


def _scene_facts(scene: Scene) -> list[Any]:
    """What of a scene can change a pixel."""
    assets = {name: _asset_facts(asset) for name, asset in sorted(scene.assets.items())}
    return [scene.id, scene.time.isoformat(), scene.epsg, assets]


def _asset_facts(asset: Asset) -> list[Any]:
    return [asset.href, asset.nodata, asset.scale, asset.offset, _file_facts(asset.href)]


@lru_cache(maxsize=100_000)
def _file_facts(href: str) -> tuple[int, int] | None:
    """Size and time of change of a local file, which may be replaced under its name."""
    if "://" in href:
        return None
    try:
        found = Path(href).stat()
    except OSError:
        return None  # reading it will say so, for this tile only
    return found.st_size, found.st_mtime_ns
