"""Who does the work, and in which number format: found out from the machine or the scheduler."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from math import ceil
from typing import Any

import torch
from distributed import Client
from distributed.system import MEMORY_LIMIT

from mapper.errors import RequestError
from mapper.inference.precision import (
    Precision,
    arithmetic,
    resolve_device,
    resolve_precision,
)
from mapper.pool import cores
from mapper.production.cluster import connected
from mapper.production.estimate import Team
from mapper.production.recipe import Recipe, Resources

THREADS_PER_WORKER = 4
"""Cores of one worker where there are many: more of them wait for each other inside a tile."""
WORKER_BYTES = 3e9
"""Memory a worker should find free before another one is started beside it."""
TILES_PER_GPU = 3
"""Tiles a GPU worker has in hand: with three, one is always ready while others are read."""


def settled(recipe: Recipe, resources: Resources) -> Recipe:
    """The recipe with its device and precision decided, so that every worker computes alike.

    Raises:
        RequestError: the device is not there, or workers of one cluster differ.
    """
    if resources.scheduler is None:
        device, precision = _resolved(recipe.device, recipe.precision)
        return replace(recipe, device=str(device), precision=precision.value)
    with connected(resources.scheduler) as client:
        agreed_device, agreed_precision = _agreed(client, recipe)
    return replace(recipe, device=agreed_device, precision=agreed_precision)


def team_for(resources: Resources, device: str, tiles: int) -> Team:
    """The workers for so many tiles; what the resources leave open is measured here."""
    if resources.scheduler is not None:
        with connected(resources.scheduler) as client:
            return _team_there(client, resources)
    if device.startswith("cuda"):
        at_once = resources.tiles_per_worker or TILES_PER_GPU
        workers = resources.workers or (torch.cuda.device_count() if device == "cuda" else 1)
    else:
        at_once = resources.tiles_per_worker or 1
        by_memory = int(MEMORY_LIMIT // WORKER_BYTES)
        workers = resources.workers or max(1, min(cores() // THREADS_PER_WORKER, by_memory))
    # More workers than tiles would idle; the tiles there are get their cores.
    workers = max(1, min(workers, ceil(tiles / at_once)))
    return Team(workers, at_once, resources.threads or max(1, cores() // (workers * at_once)))


def _resolved(wanted_device: str, wanted_precision: str) -> tuple[torch.device, Precision]:
    """Device and precision as this process would choose them."""
    device = resolve_device(wanted_device)
    return device, resolve_precision(device, wanted_precision)


def _told(wanted_device: str, wanted_precision: str) -> tuple[str, str, str]:
    """The same in words, of a worker, and what else decides its last digits.

    A GPU is opened to be asked: for workers, not for the driver, which needs none.
    """
    device, precision = _resolved(wanted_device, wanted_precision)
    return str(device), precision.value, arithmetic(device, precision)


def _agreed(client: Client, recipe: Recipe) -> tuple[str, str]:
    return agreed(client.run(_told, recipe.device, recipe.precision))


def agreed(answers: Mapping[str, tuple[str, str, str]]) -> tuple[str, str]:
    """The device and precision of all workers.

    Args:
        answers: by worker, device, precision, and what else decides the last digits.

    Raises:
        RequestError: they are not the same.
    """
    different = Counter(answers.values())
    if len(different) > 1:
        found = ", ".join(
            f"{count} x {device}/{precision}" + (f" by {rest}" if rest else "")
            for (device, precision, rest), count in different.items()
        )
        settled = {(device, precision) for device, precision, _ in different}
        if len(settled) > 1:
            remedy = "give --device and --precision, or workers of one kind"
        elif settled == {("cpu", "bf16")}:
            remedy = "give --precision fp32, or workers of one kind"
        else:
            remedy = "take workers of one kind"
        raise RequestError(
            f"the workers would compute differently ({found}) and the map would depend on who made "
            f"a tile; {remedy}"
        )
    device, precision, _ = next(iter(different))
    return device, precision


def _team_there(client: Client, resources: Resources) -> Team:
    """The workers of a scheduler that is already there."""
    workers: dict[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
    slots = [int(worker["nthreads"]) for worker in workers.values()]
    found: dict[str, int] = client.run(cores)
    beside = Counter(worker["host"] for worker in workers.values())
    threads = min(
        found.get(address, 1) // (beside[worker["host"]] * int(worker["nthreads"]))
        for address, worker in workers.items()
    )
    return Team(len(slots), max(slots), resources.threads or max(1, threads))
