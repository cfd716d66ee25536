"""Claims about driving a cluster: bounded, and never hung by a crash or a dead scheduler."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import dask
import pytest
from distributed import Client, LocalCluster, wait

from mapper.production.cluster import SETTINGS
from mapper.production.drive import IN_FLIGHT_PER_SLOT, ClusterGoneError, Lost, _Flight, drive


@dataclass(frozen=True, slots=True)
class Errand:
    name: str
    does: str = "answer"
    notes: str = ""


def run(errand: Errand) -> str:
    if errand.does == "die":
        os._exit(1)
    if errand.does == "die once" and not Path(errand.notes).exists():
        Path(errand.notes).touch()
        os._exit(1)
    if errand.does == "hang":
        time.sleep(600)
    return errand.name.upper()


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        dask.config.set(SETTINGS),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        yield client


def test_every_job_gives_one_result_and_few_are_in_flight(client: Client) -> None:
    taken: list[int] = []
    given = 0

    def jobs() -> Iterator[Errand]:
        for number in range(12):
            taken.append(number - given)
            yield Errand(f"job{number}")

    results = []
    for job, result in drive(client, run, jobs()):
        given += 1
        results.append(result)
        assert result == job.name.upper()
    assert sorted(results) == sorted(f"JOB{number}" for number in range(12))
    assert max(taken) < 2 * IN_FLIGHT_PER_SLOT


def test_a_job_that_kills_its_worker_takes_no_other_with_it(client: Client, tmp_path: Path) -> None:
    jobs = [Errand("good"), Errand("poison", "die"), *(Errand(f"good{n}") for n in range(5))]
    jobs.append(Errand("unlucky", "die once", str(tmp_path / "died")))
    results = {job.name: result for job, result in drive(client, run, jobs)}
    poison = results.pop("poison")
    assert isinstance(poison, Lost)
    assert "died" in poison.reason
    assert results == {name: name.upper() for name in results}
    assert len(results) == 7


def test_an_answer_that_dies_with_its_worker_is_worked_out_again(client: Client) -> None:
    flight = _Flight(client, run)
    assert flight.fill(iter([Errand("first"), Errand("second")]))
    wait(list(flight.running))
    holders = {address for found in client.who_has().values() for address in found}
    with suppress(OSError):
        client.run(os._exit, 1, workers=list(holders), nanny=False)
    answers: list[object] = []
    while flight.running:
        answers += [result for _, result in flight.finished()]
    assert sorted(answers) == ["FIRST", "SECOND"]


def started(*command: str) -> subprocess.Popen[bytes]:
    dask_command = Path(sys.executable).with_name("dask")
    quiet = subprocess.DEVNULL
    # A worker of its own unpickles the functions of this file by name.
    paths = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.Popen([dask_command, *command], stdout=quiet, stderr=quiet, env=paths)


def test_a_scheduler_killed_in_the_middle_ends_the_run_instead_of_hanging_it(
    tmp_path: Path,
) -> None:
    file = str(tmp_path / "scheduler.json")
    local = ["--host", "127.0.0.1"]
    scheduler = started("scheduler", *local, "--port", "0", "--scheduler-file", file)
    worker = started(
        "worker", *local, "--nthreads", "1", "--no-dashboard", "--scheduler-file", file
    )
    try:
        while not Path(file).exists():
            time.sleep(0.1)
        with dask.config.set({"distributed.comm.timeouts.connect": "3s"}):
            client = Client(scheduler_file=file, set_as_default=False)
            jobs = [Errand("first"), Errand("stuck", "hang"), Errand("never")]
            results = drive(client, run, jobs)
            assert next(results)[1] == "FIRST"
            scheduler.kill()
            with pytest.raises(ClusterGoneError):
                next(results)
            client.close(timeout=1)
    finally:
        scheduler.kill()
        worker.kill()
        scheduler.wait()
        worker.wait()
