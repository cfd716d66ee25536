"""Several processes that train one network together, as torchrun starts them.

They share a batch, never its order: what is summed over processes is what one process sums over the
parts of a batch, so their number changes a training only by the rounding of those sums.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from mapper.errors import RequestError

PATIENCE = timedelta(hours=12)
"""How long one process waits for the others: the first may be making chips. A process that ends is
noticed by torchrun, which stops the rest; so one that fails ends without waiting for them."""


@dataclass(frozen=True, slots=True)
class Processes:
    """Who trains: this process and how many there are."""

    rank: int = 0
    """This one's place, from 0."""
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and talks to people."""
        return self.rank == 0

    def require_even(self, parts: int) -> None:
        """Refuse parts that these processes cannot share.

        Raises:
            RequestError: some would have more of them than others.
        """
        if parts % self.count:
            raise RequestError(
                f"{self.count} processes cannot share {parts} parts of a batch evenly; make parts "
                f"a multiple of {self.count}"
            )

    def share(self, parts: int) -> range:
        """Which of the equal parts of a batch this process computes; `count` divides `parts`."""
        each = parts // self.count
        return range(self.rank * each, (self.rank + 1) * each)

    def among(self, things: int) -> range:
        """Which of so many things are this process's; none, if there are too few."""
        return range(self.rank, things, self.count)

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors of one type by their sums over all processes."""
        if self.count == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        sizes = [tensor.numel() for tensor in tensors]
        for tensor, whole in zip(tensors, torch.split(flat, sizes), strict=True):
            tensor.copy_(whole.view_as(tensor))

    def wait(self) -> None:
        """Go on when all processes have come here."""
        if self.count > 1:
            dist.barrier()


ALONE = Processes()


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """The processes that torchrun started, this one among them; alone where it did not.

    After an error this process must end: it has not left the others' group.
    """
    count = _started()
    if count == 1:
        yield ALONE
        return
    _told("RANK", "which it is")
    if device.type == "cuda":
        # Told its GPU, each process meets the others here, not where it first waits for them.
        dist.init_process_group("nccl", timeout=PATIENCE, device_id=device)
    else:
        dist.init_process_group("gloo", timeout=PATIENCE)
    yield Processes(dist.get_rank(), count)
    # Not after an error: NCCL would wait for sums that the others are in and this one never joins.
    dist.destroy_process_group()


def own_device(device: torch.device) -> torch.device:
    """The GPU of this process, where several processes share a machine's GPUs.

    Raises:
        RequestError: there are more processes than GPUs, or nobody says which is whose.
    """
    if device.type != "cuda":
        return device
    if "LOCAL_RANK" not in os.environ and _started() == 1:
        return device
    mine, there = torch.device("cuda", _told("LOCAL_RANK", "its GPU")), torch.cuda.device_count()
    if mine.index >= there:
        raise RequestError(
            f"process {mine.index} of this machine has no GPU of its own, torch sees {there}; "
            f"start {there} with --nproc-per-node, or give --device cpu"
        )
    torch.cuda.set_device(mine)
    return mine


def _started() -> int:
    """How many processes torchrun, or whoever stands for it, says that it started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _told(variable: str, what: str) -> int:
    """What torchrun tells each of several processes in a variable.

    Raises:
        RequestError: nobody does, so none knows `what`.
    """
    if variable not in os.environ:
        raise RequestError(
            f"WORLD_SIZE is set but {variable} is not, so no process knows {what}; start the "
            "processes with torchrun"
        )
    return int(os.environ[variable])
