"""Driving many tasks over Dask with few of them in flight, and leaving when the cluster is gone."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

from distributed import Client, Future, KilledWorker, wait

from mapper.production.stopping import noting, stop_if_asked

TICK_S = 0.5
"""How often the driver looks whether the cluster is still there, and whether it is to stop."""
NO_WORKER_S = 180.0
"""How long a cluster may be without any worker before the run gives up."""
IN_FLIGHT_PER_SLOT = 2
"""Tasks handed over per task that can run: one runs, the next waits beside it."""


class Job(Protocol):
    """What a task is given."""

    @property
    def name(self) -> str:
        """Unique among the jobs of one run."""


J = TypeVar("J", bound=Job)
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Lost:
    """A task that gave no result of its own."""

    reason: str
    """One line."""
    died: bool
    """Whether workers died under it; perhaps another task on the same worker was to blame."""


class ClusterGoneError(Exception):
    """The scheduler or all workers went away; what was not yet finished was not done."""


def drive(
    client: Client, work: Callable[[J], R], jobs: Iterable[J]
) -> Iterator[tuple[J, R | Lost]]:
    """Run `work` over the jobs and give each result as it comes, in no fixed order.

    A job under which workers died is tried once more at the end, alone: if another one killed them,
    it is not made to pay for that.

    Args:
        client: connected, with workers.
        work: returns a small value and never raises; runs in a worker.
        jobs: taken one by one, as room for them appears.

    Raises:
        ClusterGoneError: the scheduler died, or no worker was there for a long time.
        Stopped: a signal asked for it.
    """
    suspects: list[J] = []
    with noting():
        for job, result in _flown(client, work, jobs):
            if isinstance(result, Lost) and result.died:
                suspects.append(job)
            else:
                yield job, result
        for job in suspects:
            yield from _flown(client, work, [job])


def _flown(
    client: Client, work: Callable[[J], R], jobs: Iterable[J]
) -> Iterator[tuple[J, R | Lost]]:
    flight = _Flight(client, work)
    waiting = iter(jobs)
    while flight.fill(waiting):
        yield from flight.finished()
        stop_if_asked()


@dataclass(slots=True)
class _Flight(Generic[J, R]):
    """The tasks in flight, and what is known of them."""

    client: Client
    work: Callable[[J], R]
    group: str = field(default_factory=lambda: f"tile-{uuid.uuid4().hex[:12]}")
    """Dask queues tasks of one group on the scheduler; others it hands to busy workers at once."""
    running: dict[Future[Any], J] = field(default_factory=dict)
    last_worker: float = field(default_factory=time.monotonic)
    """When a worker was last seen."""

    def fill(self, waiting: Iterator[J]) -> bool:
        """Hand over as many as there is room for; False when nothing is left to wait for."""
        for job in islice(waiting, self.room()):
            key = (self.group, job.name)
            self.running[self.client.submit(self.work, job, key=key, pure=False)] = job
        return bool(self.running)

    def room(self) -> int:
        """How many more tasks may be handed over."""
        slots: int = sum(self.ask(self.client.nthreads).values())
        now = time.monotonic()
        if slots:
            self.last_worker = now
        elif now - self.last_worker > NO_WORKER_S:
            raise ClusterGoneError(f"the cluster had no worker for {NO_WORKER_S:.0f} s")
        return max(0, IN_FLIGHT_PER_SLOT * max(1, slots) - len(self.running))

    def finished(self) -> list[tuple[J, R | Lost]]:
        """What ended within a tick."""
        try:
            done = wait(  # type: ignore[no-untyped-call]
                list(self.running), timeout=TICK_S, return_when="FIRST_COMPLETED"
            ).done
        except TimeoutError:
            return []
        except CancelledError as error:
            raise ClusterGoneError("the scheduler dropped the tasks") from error
        if self.client.status != "running":
            raise ClusterGoneError(f"the scheduler is gone (client {self.client.status})")
        ended = []
        for future in done:
            # An answer that died with its worker before it was fetched is worked out again.
            if future.status != "lost":
                ended.append((self.running.pop(future), self.outcome(future)))
        return ended

    def outcome(self, future: Future[Any]) -> R | Lost:
        if future.status not in ("finished", "error"):
            raise ClusterGoneError(f"task {future.key} was {future.status}")
        try:
            result: R = self.ask(future.result)
        except KilledWorker:  # also where the worker died between its answer and our question
            what = "every worker that tried it died: too little memory, or over its time limit"
            return Lost(what, died=True)
        except ClusterGoneError:
            raise
        except Exception as error:  # what could not be sent, or not be read on the other side
            return Lost(f"{type(error).__name__}: {' '.join(str(error).split())}", died=False)
        return result

    def ask(self, question: Callable[[], Any]) -> Any:
        """An answer of the scheduler; if it cannot give one, it is gone."""
        try:
            return question()
        except (OSError, TimeoutError, CancelledError) as error:
            raise ClusterGoneError(
                f"the scheduler does not answer ({type(error).__name__})"
            ) from error
