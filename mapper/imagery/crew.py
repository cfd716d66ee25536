"""Who reads: threads that wait for bytes, threads that unpack them, and the word to stop."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from mapper.imagery.blocks import Scratch
from mapper.imagery.fetch import IN_FLIGHT


@dataclass(frozen=True, slots=True, eq=False)
class Crew:
    """The threads that read one composite, and what they share."""

    fetchers: Executor
    """Wait for servers."""
    decoders: Executor
    """Unpack, and wait for GDAL."""
    stop: threading.Event = field(default_factory=threading.Event)
    """Set when what is read is no longer wanted: nobody tries again."""
    scratch: Scratch = field(default_factory=Scratch)
    """Memory for blocks, of each thread its own."""


@contextmanager
def crew_of(threads: int) -> Iterator[Crew]:
    """A crew of so many decoders, until the end of the block.

    When an error leaves the block, what waits is never begun and what is under way is not waited
    for: a request that hangs ends at its own deadline, in the background.
    """
    crew = Crew(
        ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="fetch"),
        ThreadPoolExecutor(threads, thread_name_prefix="decode"),
    )
    try:
        yield crew
    except BaseException:
        crew.stop.set()
        for pool in (crew.decoders, crew.fetchers):
            pool.shutdown(wait=False, cancel_futures=True)
        raise
    crew.decoders.shutdown()
    crew.fetchers.shutdown()
