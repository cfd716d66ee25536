"""A run: a plan over a cluster, with bounded work in flight, a journal, and products at the end."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Generator, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path

from mapper.errors import DegradedError, IncompleteError, OutputError
from mapper.imagery.losses import FailedRead
from mapper.imagery.scene_list import SCENES_NAME, write_scene_list
from mapper.imagery.warm import warm_up
from mapper.lulcformer.checkpoint import Checkpoint
from mapper.maps.cog import reason
from mapper.maps.patchwork import FinishedTile
from mapper.maps.publish import DONE_NAME, clean_leftovers, is_published
from mapper.maps.stac import Facts
from mapper.production.cluster import Network, connect, equip
from mapper.production.drive import ClusterGoneError, Lost, drive
from mapper.production.events import (
    Ended,
    Event,
    Finishing,
    Listener,
    Planned,
    Replacing,
    TileDone,
    TileFailed,
    TileKept,
)
from mapper.production.job import TileJob, job_of
from mapper.production.journal import Journal, content_key
from mapper.production.mosaic import national_products, withdraw
from mapper.production.plan import Plan
from mapper.production.prepare import checkpoint_path, scenes_of
from mapper.production.recipe import Recipe, Resources
from mapper.production.room import make_folder, require_writable
from mapper.production.software import software
from mapper.production.tally import Tally
from mapper.production.tile import map_tile_in_worker

RECIPE_NAME = "recipe.toml"


def run(
    plan: Plan,
    network: Checkpoint,
    out: Path,
    resources: Resources,
    tell: Listener,
    retry_lossy: bool = False,
) -> Path:
    """Make a planned map; tiles that are there already, made from the same things, are kept.

    Args:
        plan: from `prepare`, with the network it returned.
        out: the run's folder is made in it.
        resources: the plan was made with.
        tell: hears every event; the journal hears them as well.
        retry_lossy: make tiles again that lack scenes because reads failed; else they are kept.

    Returns:
        The run's folder.

    Raises:
        OutputError: the folder cannot be written, or another run is writing it.
        IncompleteError: some tiles failed; the others are there, the national products are not.
        DegradedError: the map is whole, but some tiles lack too many looks.
    """
    folder = out / plan.name
    require_writable(folder, plan.write_bytes)
    make_folder(folder)
    with Journal(folder) as journal:

        def tell_all(event: Event) -> None:
            record(event, journal)
            tell(event)

        try:
            _run(plan, network, folder, resources, tell_all, retry_lossy)
        except DegradedError:
            raise
        except BaseException as error:
            with suppress(OutputError):  # a full disk takes no farewell
                journal.append("run stopped", why=str(error) or type(error).__name__)
            raise
    return folder


def record(event: Event, journal: Journal) -> None:
    """The journal's reading of an event."""
    match event:
        case Planned(plan, _):
            journal.append(
                "run started",
                software=software().to_dict(),
                recipe=plan.recipe.to_dict(),
                tiles=len(plan.tiles),
                estimated_seconds=round(plan.seconds, 1),
                estimated_read_bytes=plan.read_bytes,
                notes=list(plan.notes),
            )
        case Replacing(settings):
            journal.append("map replaced", settings=list(settings))
        case TileDone(tile, losses=losses):
            _record_reads(tile, losses.failed, journal)
            facts = asdict(event) | {"losses": len(losses.failed), "degraded": losses.degraded}
            journal.append("tile done", **facts)
        case TileKept():
            journal.append("tile kept", **asdict(event))
        case TileFailed(tile, failed_reads=failed):
            _record_reads(tile, failed, journal)
            journal.append("tile failed", **asdict(event) | {"failed_reads": len(failed)})
        case Finishing(what):
            journal.append("finishing", what=what)
        case Ended():
            journal.append("run ended", **asdict(event))


def _record_reads(tile: str, failed: Iterable[FailedRead], journal: Journal) -> None:
    """A line for each scene that a tile lost."""
    for failure in failed:
        journal.append("read failed", tile=tile, **asdict(failure))


def _run(
    plan: Plan,
    network: Checkpoint,
    folder: Path,
    resources: Resources,
    tell: Listener,
    retry_lossy: bool,
) -> None:
    """The run itself, in a folder that is made and locked."""
    started = time.monotonic()
    tell(Planned(plan, folder))
    clean_leftovers(folder)
    facts = facts_of(plan, network)
    jobs = [job_of(planned, plan, folder, facts) for planned in plan.tiles]
    tally = Tally.of(jobs, retry_lossy)
    if not is_published(folder, national_key(plan, tally.keys(jobs))):
        changed = changed_settings(folder, plan.recipe)
        if changed:
            tell(Replacing(changed))
        withdraw(folder)  # or they would pass for those of this recipe
    _write_recipe(plan, folder)
    write_scene_list(folder / SCENES_NAME, scenes_of(plan))
    kept = dict(tally.there)
    for name, found in sorted(kept.items()):
        tell(TileKept(name, found.lossy, found.degraded))
    missing = [job for job in jobs if job.name not in kept]
    tally.follow(_mapped(missing, plan, network, resources), tell)
    if not tally.failed:
        tell(Finishing("national products"))
        finish(plan, jobs, facts, folder, tally.keys(jobs))
    tell(tally.ended(len(kept), time.monotonic() - started))
    if tally.failed:
        raise IncompleteError(tally.complaint())
    if tally.degraded:
        raise DegradedError(tally.warning())


def finish(
    plan: Plan, jobs: list[TileJob], facts: Facts, folder: Path, keys: Mapping[str, str]
) -> None:
    """The products of the whole area, unless they are there already."""
    key = national_key(plan, keys)
    if is_published(folder, key):
        return
    tiles = [FinishedTile(job.tile, job.folder) for job in jobs]
    national_products(folder, tiles, plan.land, plan.area.geometry, facts, key, plan.recipe.crs)


def national_key(plan: Plan, keys: Mapping[str, str]) -> str:
    """What the national products follow from: each tile as it is, whole or lossy."""
    return content_key({"tiles": dict(keys), "crs": plan.recipe.crs, "name": plan.name})


def facts_of(plan: Plan, network: Checkpoint) -> Facts:
    """What every product of a run says of its making."""
    return Facts(
        collection=plan.name,
        title=plan.area.title,
        period=plan.recipe.period,
        recipe=plan.recipe.to_dict(),
        software=software().to_dict(),
        checkpoint={
            "digest": network.digest,
            "variant": network.variant_name,
            **network.facts,
        },
        precision=plan.recipe.precision,
        simulated=plan.simulated,
        notes=plan.notes,
    )


def changed_settings(folder: Path, recipe: Recipe) -> tuple[str, ...]:
    """In what the finished map in a folder was made otherwise; nothing where there is none."""
    if not (folder / DONE_NAME).exists():
        return ()
    try:
        before = tomllib.loads((folder / RECIPE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # without its recipe nobody can tell
        return ()
    now = recipe.to_dict().items()
    return tuple(
        f"{key} {before[key]}, now {value}" for key, value in now if before.get(key, value) != value
    )


def _write_recipe(plan: Plan, folder: Path) -> None:
    """The recipe beside the map: with it, the same command makes the same map again."""
    path = folder / RECIPE_NAME
    try:
        path.write_text(plan.recipe.to_toml(), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {reason(error, path)}") from error


def _mapped(
    jobs: list[TileJob], plan: Plan, network: Checkpoint, resources: Resources
) -> Generator[TileDone | TileFailed]:
    """Each job's end, as it comes; every job has one, even where the cluster goes away."""
    if not jobs:
        return
    recipe, team = plan.recipe, plan.team
    there = Network(
        str(checkpoint_path(recipe)), network.digest, recipe.device, recipe.precision, team.threads
    )
    left = {job.name for job in jobs}
    if resources.scheduler is None:
        warm_up()  # here, so that the workers do not all compile the same at once
    with connect(resources, team.workers, team.tiles_per_worker) as client:
        equip(client, there, own_process=resources.scheduler is None)
        work = partial(
            map_tile_in_worker,
            plugin_name=there.plugin_name,
            timeout_s=resources.tile_timeout_s,
            read_timeout_s=resources.read_timeout_s,
        )
        try:
            for job, result in drive(client, work, jobs):
                left.discard(job.name)
                yield _outcome(job, result)
        except ClusterGoneError as error:
            for name in sorted(left):
                yield TileFailed(name, f"not made: {error}")


def _outcome(job: TileJob, result: TileDone | TileFailed | Lost) -> TileDone | TileFailed:
    if isinstance(result, Lost):
        return TileFailed(job.name, f"its worker was lost ({result.reason})")
    return result
