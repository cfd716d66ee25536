"""Processes that share the work of this one, and end when it ends, however that happens.

A worker of `concurrent.futures` waits for its next task on a pipe that its siblings hold open, too.
If the parent is killed, nobody ever closes it: workers with half a gigabyte each would wait for
ever. So each of them watches its parent.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from threading import Thread

from mapper.errors import OutputError


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


def _follow_parent() -> None:
    """End this process as soon as the one that started it has ended."""
    parent = parent_process()
    if parent is None:
        return

    def follow() -> None:
        parent.join()
        os._exit(1)  # from a thread nothing gentler ends a process

    Thread(target=follow, name="parent", daemon=True).start()
