"""Work shared out: among processes that end with this one, and in the order that it is asked for.

A worker of `concurrent.futures` waits for its next task on a pipe that its siblings hold open, too.
If the parent is killed, nobody ever closes it: workers with half a gigabyte each would wait for
ever. So each of them watches its parent.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import TypeVar

from dask.system import cpu_count

from mapper.errors import OutputError

Given = TypeVar("Given")
Found = TypeVar("Found")


def cores() -> int:
    """How many this process may use: of the machine, by its affinity and its container's share."""
    return cpu_count()


@contextmanager
def pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Workers for what is inside; what has not begun when it is left is dropped.

    They are spawned, not forked: the caller may have threads of numba, GDAL or CUDA.

    Args:
        workers: 1 or more.

    Raises:
        OutputError: one of them was killed, and with it what it was making.
    """
    executor = ProcessPoolExecutor(workers, get_context("spawn"), _follow_parent)
    try:
        yield executor
    except BrokenProcessPool as error:
        raise OutputError(
            f"one of {workers} processes was killed, most likely for want of memory; run the same "
            "command with fewer --workers: what was finished is kept"
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)


def in_order(
    executor: Executor,
    function: Callable[[Given], Found],
    given: Iterable[Given],
    ahead: Callable[[Given], int],
) -> Iterator[Found]:
    """What a function finds for each, in order; a few are under way.

    What has not begun when it is left, or when one fails, is dropped.

    Args:
        ahead: how many may be under way, the one asked for aside, once one has been handed in.
    """
    under_way: deque[Future[Found]] = deque()
    try:
        for one in given:
            under_way.append(executor.submit(function, one))
            while len(under_way) > ahead(one):
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        for future in under_way:
            future.cancel()


def _follow_parent() -> None:
    """End this process as soon as the one that started it has ended."""
    parent = parent_process()
    if parent is None:
        return

    def follow() -> None:
        parent.join()
        os._exit(1)  # from a thread nothing gentler ends a process

    Thread(target=follow, name="parent", daemon=True).start()
