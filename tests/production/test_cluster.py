"""Claims about workers: each has the network, loaded once, or the run does not start."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import dask
import pytest
import torch
from distributed import Client, LocalCluster, get_worker

from mapper.errors import CheckpointError, RequestError
from mapper.lulcformer.processor import bf16_products
from mapper.production.cluster import (
    Network,
    NetworkPlugin,
    connect,
    equip,
    own_gpu,
    predictor_here,
)
from mapper.production.recipe import Resources


def network(path: Path, digest: str | None = None) -> Network:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    return Network(str(path), digest or found, "cpu", "fp32", 1)


def seen(plugin_name: str) -> tuple[int, str]:
    predictor = predictor_here(plugin_name)
    return id(predictor), predictor.precision.value


def equipped(client: Client, wanted: Network) -> list[tuple[int, str]]:
    equip(client, wanted, own_process=True)
    name = wanted.plugin_name
    return [client.submit(seen, name, pure=False).result() for _ in range(3)]


def test_a_worker_loads_the_network_once_and_again_after_a_crash(micro_checkpoint: Path) -> None:
    wanted = network(micro_checkpoint)
    with connect(Resources(), workers=1, tiles_per_worker=1) as client:
        answers = equipped(client, wanted)
        assert len(set(answers)) == 1
        assert answers[0][1] == "fp32"
        client.restart()
        assert client.submit(seen, wanted.plugin_name, pure=False).result()[1] == "fp32"


SLOW_START_S = 17
"""Longer than the 15 s after which Dask by itself stops watching a worker that died: it may come
back, but is not replaced when it dies again."""


def test_a_worker_that_was_slow_to_come_back_is_replaced_again(tmp_path: Path) -> None:
    marker, preload = tmp_path / "slow", tmp_path / "slow_once.py"
    preload.write_text(
        f"import pathlib, time\nmarker = pathlib.Path({str(marker)!r})\n"
        f"if marker.exists():\n    marker.unlink()\n    time.sleep({SLOW_START_S})\n"
    )
    with (
        dask.config.set({"distributed.worker.preload": [str(preload)]}),
        connect(Resources(), workers=1, tiles_per_worker=1) as client,
    ):
        processes = {client.submit(os.getpid, pure=False).result()}
        marker.touch()
        for _ in range(2):
            with suppress(OSError):  # nobody is left to answer
                client.run(os._exit, 1, nanny=False)
            processes.add(client.submit(os.getpid, pure=False).result(timeout=60))
    assert len(processes) == 3
    assert not marker.exists()


def test_no_worker_is_sampled_by_a_profiler_that_may_lock_it_up(micro_checkpoint: Path) -> None:
    wanted = network(micro_checkpoint)
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        assert client.submit(has_profiler, pure=False).result()
        equip(client, wanted, own_process=False)
        assert not client.submit(has_profiler, pure=False).result()


def has_profiler() -> bool:
    return "profile" in get_worker().periodic_callbacks


def test_each_worker_has_a_gpu_of_its_own_where_there_are_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [own_gpu("cuda", place) for place in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert own_gpu("cuda:0", 1) == "cuda:0", "who names a GPU gets it"
    assert own_gpu("cpu", 1) == "cpu"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert own_gpu("cuda", 2) == "cuda"


def test_a_worker_that_finds_another_network_stops_the_run(
    micro_checkpoint: Path, tmp_path: Path
) -> None:
    damaged = shutil.copy(micro_checkpoint, tmp_path / "cut.safetensors")
    damaged.write_bytes(damaged.read_bytes()[:-100])
    with connect(Resources(), workers=1, tiles_per_worker=1) as client:
        with pytest.raises(CheckpointError, match="give every worker the same file"):
            equip(client, network(micro_checkpoint, "0" * 64), own_process=True)
        with pytest.raises(CheckpointError, match=r"cut\.safetensors"):
            equip(client, network(damaged), own_process=True)


def test_a_worker_of_another_kind_does_not_join(micro_checkpoint: Path) -> None:
    """The map would depend on who made a tile."""
    half = replace(network(micro_checkpoint), precision="bf16")
    mine = half.arithmetic()
    assert mine == bf16_products().value and network(micro_checkpoint).arithmetic() == ""
    with connect(Resources(), workers=1, tiles_per_worker=1) as client:
        equip(client, half, own_process=True)
        late = NetworkPlugin(half, "another way", own_process=True)
        with pytest.raises(RequestError, match=f"computes by {mine}, others by another way"):
            client.register_plugin(late, name="late")


def test_an_address_where_nobody_answers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mapper.production.cluster.CONNECT_S", 1)
    with (
        pytest.raises(RequestError, match=r"tcp://127\.0\.0\.1:9"),
        connect(Resources(scheduler="tcp://127.0.0.1:9"), 1, 1),
    ):
        pass
