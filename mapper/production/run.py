"""A run: a plan over a cluster, with bounded work in flight, a journal, and products at the end."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path

from mapper.errors import IncompleteError, OutputError
from mapper.lulcformer.checkpoint import Checkpoint
from mapper.maps.cog import reason
from mapper.maps.patchwork import FinishedTile
from mapper.maps.publish import clean_leftovers, is_published, remove_mark
from mapper.maps.stac import Facts
from mapper.production.cluster import Network, connect, equip
from mapper.production.drive import ClusterGoneError, Lost, drive
from mapper.production.events import (
    Ended,
    Event,
    Finishing,
    Listener,
    Planned,
    TileDone,
    TileFailed,
    TileKept,
)
from mapper.production.job import TileJob, job_of
from mapper.production.journal import JOURNAL_NAME, LOCK_NAME, Journal, content_key
from mapper.production.mosaic import national_products
from mapper.production.plan import Plan
from mapper.production.prepare import checkpoint_path
from mapper.production.recipe import Resources
from mapper.production.room import require_writable
from mapper.production.software import software
from mapper.production.tile import map_tile_in_worker

RECIPE_NAME = "recipe.toml"
MAX_NAMED = 5
"""Failed tiles beyond this many are in the journal, not in the error's one line."""


def run(plan: Plan, network: Checkpoint, out: Path, resources: Resources, tell: Listener) -> Path:
    """Make a planned map; tiles that are there already, made from the same things, are kept.

    Args:
        plan: from `prepare`, with the network it returned.
        out: the run's folder is made in it.
        resources: the plan was made with.
        tell: hears every event; the journal hears them as well.

    Returns:
        The run's folder.

    Raises:
        OutputError: the folder cannot be written, or another run is writing it.
        IncompleteError: some tiles failed; the others are there, the national products are not.
    """
    folder = out / plan.name
    require_writable(folder, plan.write_bytes)
    _make(folder)
    with Journal(folder) as journal:

        def tell_all(event: Event) -> None:
            record(event, journal)
            tell(event)

        try:
            _run(plan, network, folder, resources, tell_all)
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
        case TileDone():
            journal.append("tile done", **asdict(event))
        case TileKept(tile):
            journal.append("tile kept", tile=tile)
        case TileFailed():
            journal.append("tile failed", **asdict(event))
        case Finishing(what):
            journal.append("finishing", what=what)
        case Ended():
            journal.append("run ended", **asdict(event))


def _run(
    plan: Plan, network: Checkpoint, folder: Path, resources: Resources, tell: Listener
) -> None:
    """The run itself, in a folder that is made and locked."""
    started = time.monotonic()
    tell(Planned(plan, folder))
    clean_leftovers(folder)
    facts = facts_of(plan, network)
    jobs = [job_of(planned, plan, folder, facts) for planned in plan.tiles]
    if not is_published(folder, national_key(plan, jobs)):
        _withdraw(folder)
    _write_recipe(plan, folder)
    kept = {job.name for job in jobs if is_published(job.folder, job.key)}
    for name in sorted(kept):
        tell(TileKept(name))
    missing = [job for job in jobs if job.name not in kept]
    failed = _failures(_mapped(missing, plan, network, resources), tell)
    if not failed:
        tell(Finishing("national products"))
        finish(plan, jobs, facts, folder)
    done = len(missing) - len(failed)
    tell(Ended(done, len(kept), len(failed), round(time.monotonic() - started, 1)))
    if failed:
        raise IncompleteError(_sentence(failed, len(jobs)))


def _failures(events: Generator[TileDone | TileFailed], tell: Listener) -> list[TileFailed]:
    """Tell every tile's end, and keep those without a map.

    Raises:
        OutputError: a tile failed for a reason that every other tile would fail for.
    """
    failed = []
    with closing(events):  # ends the cluster also where this loop is left early
        for event in events:
            tell(event)
            if isinstance(event, TileFailed):
                failed.append(event)
                if event.concerns_all:
                    raise OutputError(f"{event.reason}; then run the same command again")
    return failed


def finish(plan: Plan, jobs: list[TileJob], facts: Facts, folder: Path) -> None:
    """The products of the whole area, unless they are there already."""
    key = national_key(plan, jobs)
    if is_published(folder, key):
        return
    tiles = [FinishedTile(job.tile, job.folder) for job in jobs]
    national_products(folder, tiles, plan.land, plan.area.geometry, facts, key, plan.recipe.crs)


def national_key(plan: Plan, jobs: list[TileJob]) -> str:
    """What the national products follow from."""
    return content_key(
        {"tiles": {job.name: job.key for job in jobs}, "crs": plan.recipe.crs, "name": plan.name}
    )


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


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"folder {folder} cannot be made: {error.strerror}; choose another --out"
        ) from error


def _withdraw(folder: Path) -> None:
    """Take away national products of other tiles, which would pass for those of this recipe."""
    try:
        remove_mark(folder)
        for path in folder.iterdir():
            if path.is_file() and path.name not in (JOURNAL_NAME, LOCK_NAME):
                path.unlink()
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {reason(error, folder)}") from error


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
    with connect(resources, team.workers, team.tiles_per_worker) as client:
        equip(client, there, own_process=resources.scheduler is None)
        work = partial(
            map_tile_in_worker,
            plugin_name=there.plugin_name,
            timeout_s=resources.tile_timeout_s,
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


def _sentence(failed: list[TileFailed], tiles: int) -> str:
    """The one line of a run that is not complete."""
    names = ", ".join(event.tile for event in failed[:MAX_NAMED])
    more = f" and {len(failed) - MAX_NAMED} more" if len(failed) > MAX_NAMED else ""
    return (
        f"{len(failed)} of {tiles} tiles have no map: {names}{more} ({failed[0].reason}); the "
        "others are kept, run the same command again to retry"
    )
