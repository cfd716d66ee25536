"""Workers: a Dask client on this machine or elsewhere, each worker with the network loaded once.

A task is one tile. It carries no network: a plugin loads that in every worker from a path and a
digest, also in a worker that is started again after a crash. Tasks ask for no Dask resources: those
bypass the scheduler's queue, and then one tile that kills its worker takes innocent ones along.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import torch
from distributed import Client, LocalCluster, WorkerPlugin, get_worker

from mapper.errors import CheckpointError, MapperError, RequestError
from mapper.imagery.warm import warm_up
from mapper.inference.precision import Precision, arithmetic, resolve_device
from mapper.inference.predict import Predictor
from mapper.lulcformer import checkpoint
from mapper.production.recipe import Resources

CONNECT_S = 60
"""How long a scheduler may take to answer, and then to have a first worker."""

SETTINGS = {
    "distributed.scheduler.worker-saturation": 1.0,  # a worker holds no tile it cannot start
    "distributed.scheduler.allowed-failures": 2,  # a tile that kills three workers is given up
    "distributed.scheduler.worker-ttl": "300s",
    # A worker that is missing so long after one died is given up, and no other takes its place. By
    # default that is 15 s: too few to start a network on a busy machine.
    "distributed.deploy.lost-worker-timeout": "365 days",
    "distributed.comm.timeouts.connect": "60s",
    "distributed.comm.timeouts.tcp": "60s",
    "distributed.worker.profile.enabled": False,  # see `still_profiler`
    "distributed.worker.memory.target": False,  # results are tiny: there is nothing to spill
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": 0.80,
    "distributed.worker.memory.terminate": 0.95,
}
"""Dask's settings for a cluster of our own, whose tasks are few, long and heavy."""


@dataclass(frozen=True, slots=True)
class Network:
    """Which network a worker loads, and how it runs it."""

    path: str
    """The checkpoint's file, readable from every worker."""
    digest: str
    """Its digest; a worker that finds another one refuses."""
    device: str
    """cpu or cuda."""
    precision: str
    """fp32, bf16 or fp16."""
    threads: int
    """Windows of one tile that run at once."""

    @property
    def plugin_name(self) -> str:
        """The same for equal networks, so that a later run on the same cluster finds its own."""
        return f"mapper-{self.digest[:16]}-{self.device}-{self.precision}-{self.threads}"

    def device_of(self, place: int | None) -> str:
        """The device of one worker.

        Args:
            place: of this worker among those of one machine, each of which takes the next GPU.
        """
        return self.device if place is None else own_gpu(self.device, place)

    def arithmetic(self, place: int | None = None) -> str:
        """What decides the last digits of a worker's answers; see `inference.precision`."""
        return arithmetic(resolve_device(self.device_of(place)), Precision(self.precision))

    def load(self, place: int | None = None) -> Predictor:
        """The network in memory, ready to predict.

        Args:
            place: see `device_of`.

        Raises:
            CheckpointError: the file is missing, damaged, or not the one the driver saw.
        """
        # A sum depends on how many threads make it: parallel work comes from windows and tiles.
        torch.set_num_threads(1)
        found = checkpoint.load(Path(self.path))
        if found.digest != self.digest:
            raise CheckpointError(
                f"checkpoint {self.path} has digest {found.digest[:12]} on this worker, "
                f"{self.digest[:12]} on the driver; give every worker the same file"
            )
        return Predictor(found, self.device_of(place), self.precision, self.threads)


def own_gpu(device: str, place: int) -> str:
    """The GPU of one of several workers, where none is named and the machine has some."""
    count = torch.cuda.device_count() if device == "cuda" else 0
    return f"cuda:{place % count}" if count > 1 else device


class NetworkPlugin(WorkerPlugin):
    """Loads the network when a worker starts; tasks find it under the plugin's name."""

    def __init__(self, network: Network, arithmetic: str, own_process: bool) -> None:
        self.network = network
        self.arithmetic = arithmetic
        """Of the worker that was asked first; one with another refuses."""
        self.own_process = own_process
        self.name = network.plugin_name

    def setup(self, worker: Any) -> None:
        """Called by Dask in the worker; what it raises reaches the driver."""
        if self.own_process and threading.current_thread() is threading.main_thread():
            # Ctrl-C reaches the whole process group; the driver alone answers it.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        # Workers of our own are named by number; elsewhere each is told its GPU by who starts it.
        place = int(worker.name) if self.own_process else None
        require_same(self.network.arithmetic(place), self.arithmetic)
        still_profiler(worker)
        warm_up()  # its disk may be another one than the driver's
        self.predictor = self.network.load(place)


def require_same(found: str, wanted: str) -> None:
    """Refuse a worker whose answers would end in other digits than those of the others.

    Raises:
        RequestError: its arithmetic is another one.
    """
    if found != wanted:
        raise RequestError(
            f"this worker computes by {found}, others by {wanted}, and the map would depend on who "
            "made a tile; take workers of one kind, or give --precision fp32 where they are CPUs"
        )


def still_profiler(worker: Any) -> None:
    """Stop Dask's sampling of a worker's threads, in clusters that others have set up, too.

    It calls sys._current_frames() a hundred times a second, and in Python before 3.12 that can
    start a garbage collection while it holds the interpreter's lock on threads; if what is
    collected has thread-local data, the worker waits for itself for ever.
    """
    for name in ("profile", "profile-cycle"):
        callback = worker.periodic_callbacks.pop(name, None)
        if callback is not None:
            callback.stop()


def predictor_here(plugin_name: str) -> Predictor:
    """The network of the worker in which this task runs."""
    plugin = get_worker().plugins[plugin_name]
    assert isinstance(plugin, NetworkPlugin)
    return plugin.predictor


@contextmanager
def connect(resources: Resources, workers: int, tiles_per_worker: int) -> Iterator[Client]:
    """A client with at least one worker; a cluster of our own ends with it, at once.

    Args:
        resources: where to find a scheduler, if not here.
        workers: processes of a cluster of our own.
        tiles_per_worker: tiles that one of them works on at once.

    Raises:
        RequestError: no scheduler answers at the address, or it has no worker.
    """
    if resources.scheduler is not None:
        with connected(resources.scheduler) as client:
            yield client
        return
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with (
        dask.config.set(SETTINGS),
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=workers,
            threads_per_worker=tiles_per_worker,
            processes=True,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
            env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        ) as cluster,
        Client(cluster) as client,  # type: ignore[no-untyped-call]
    ):
        try:
            yield client
        except BaseException:
            # Nothing that a tile leaves behind needs a tidy end: products are whole or not there.
            _kill(cluster)
            raise


@contextmanager
def connected(address: str) -> Iterator[Client]:
    """A client of a scheduler that is already there, with at least one worker.

    Raises:
        RequestError: nothing answers at the address, or it has no worker.
    """
    try:
        client = Client(  # type: ignore[no-untyped-call]
            address, timeout=CONNECT_S, set_as_default=False
        )
    except (OSError, TimeoutError, ValueError) as error:
        raise RequestError(
            f"no Dask scheduler answers at {address} ({type(error).__name__}); "
            "start one, or leave --scheduler out to use this machine"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_S)
        except TimeoutError as error:
            raise RequestError(
                f"the scheduler at {address} had no worker for {CONNECT_S} s; "
                f"start one with: dask worker {address}"
            ) from error
        yield client


def equip(client: Client, network: Network, own_process: bool) -> None:
    """Load the network in every worker, and in every one that joins later.

    Raises:
        CheckpointError: a worker cannot read the checkpoint, or finds another one.
        RequestError: workers would compute differently.
    """
    one_worker = next(iter(client.scheduler_info()["workers"]))
    told = client.run(network.arithmetic, workers=[one_worker])[one_worker]
    try:
        plugin = NetworkPlugin(network, told, own_process)
        client.register_plugin(plugin, name=network.plugin_name)
    except MapperError:
        raise
    except Exception as error:  # Dask wraps what does not travel
        raise CheckpointError(
            f"a worker cannot load checkpoint {network.path} ({type(error).__name__}: {error}); "
            "put the same mapper and the same file on every worker"
        ) from error


def _kill(cluster: LocalCluster) -> None:
    """End the workers without waiting for their tiles."""
    for nanny in list(cluster.workers.values()):
        process = getattr(getattr(nanny, "process", None), "process", None)
        pid = getattr(process, "pid", None)
        if pid:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
