"""Byte ranges of files, local and over HTTP, many in flight and not too far ahead.

Files on a disk are read where they are needed. Over HTTP a request spends most of its life waiting,
so many are under way at once, in the order in which their bytes will be wanted; how far they run
ahead is bounded by the bytes that wait.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from functools import lru_cache
from typing import Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

import numpy as np
import numpy.typing as npt
import obstore
from obstore.store import HTTPStore

from mapper.imagery.blocks import Scratch
from mapper.imagery.patience import Attempt
from mapper.imagery.signing import signed

IN_FLIGHT = 32
"""Requests under way at once; with 30 ms to the first byte fewer leave a core waiting."""
LOOK_AHEAD_BYTES = 20 * 2**20
"""Packed bytes that may be under way or wait to be unpacked: room for 32 requests of two blocks."""
_PLAIN_PATH = re.compile(r"/?[\w\-.=+:,@ ]+(/[\w\-.=+:,@ ]+)*", re.ASCII)
"""Paths that reach the server as they are; obstore rewrites others, and GDAL reads them."""

Bytes = bytes | memoryview


def is_fetchable(href: str) -> bool:
    """Whether an address is read here; what is not is left to GDAL."""
    if "://" not in href:
        return not href.startswith("/vsi")
    parts = urlsplit(href)
    plain = _PLAIN_PATH.fullmatch(unquote(parts.path)) and ".." not in parts.path
    return parts.scheme in ("http", "https") and bool(plain) and parts.username is None


def is_waited_for(href: str) -> bool:
    """Whether a read of an address is mostly waiting."""
    return "://" in href


def read_range(
    href: str, signing: str | None, start: int, stop: int, attempt: Attempt, scratch: Scratch
) -> Bytes:
    """The bytes from `start` to before `stop`, fewer where the file ends; one attempt.

    Those of a local file are valid until the thread reads another range with the same scratch.

    Raises:
        OSError, obstore.exceptions.BaseError: it failed.
    """
    if not is_waited_for(href):
        return _from_disk(href, start, scratch.bytes_of("packed", stop - start))
    parts = urlsplit(signed(href, signing))
    root = urlunsplit((parts.scheme, parts.netloc, "", parts.query, ""))
    store = _store(root, round(attempt.request_s), round(attempt.connect_s))
    return memoryview(obstore.get_range(store, unquote(parts.path), start=start, end=stop))


def _from_disk(path: str, start: int, room: npt.NDArray[np.uint8]) -> Bytes:
    """Opened for each read: a year of scenes has more files than a process may hold open."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.preadv(handle, [room.data], start)
    finally:
        os.close(handle)
    return room[:size].data


@lru_cache(maxsize=64)
def _store(root: str, request_s: int, connect_s: int) -> HTTPStore:
    """One per server and token, so that connections are used again."""
    return HTTPStore.from_url(
        root,
        client_options={
            "allow_http": True,
            "timeout": f"{max(1, request_s)}s",
            "connect_timeout": f"{max(1, connect_s)}s",
            "pool_max_idle_per_host": str(IN_FLIGHT),
        },
        retry_config={"max_retries": 0},  # patience is the caller's
    )


class Span(Protocol):
    """What `Ahead` is told of a request."""

    @property
    def size(self) -> int:
        """Bytes it will bring."""

    @property
    def is_waited_for(self) -> bool:
        """Whether it is worth starting before its bytes are wanted."""


class Ahead:
    """Requests started before they are needed, in order.

    Args:
        spans: all requests, in the order in which they will be taken, more or less.
        fetch: makes the n-th request.
        pool: where requests wait for their bytes.
        look_ahead_bytes: what may be under way or waiting to be taken.
    """

    def __init__(
        self,
        spans: Sequence[Span],
        fetch: Callable[[int], Bytes],
        pool: Executor,
        look_ahead_bytes: int = LOOK_AHEAD_BYTES,
    ) -> None:
        self._spans, self._fetch, self._pool = spans, fetch, pool
        self._room = look_ahead_bytes
        self._next = 0
        self._under_way: dict[int, Future[Bytes]] = {}
        self._lock = threading.Lock()
        with self._lock:
            self._start()

    def take(self, number: int) -> Bytes:
        """The bytes of one request; each can be taken once."""
        if not self._spans[number].is_waited_for:
            return self._fetch(number)
        with self._lock:
            while self._next <= number:
                self._submit()
            future = self._under_way.pop(number)
        found = future.result()
        with self._lock:
            self._room += self._spans[number].size
            self._start()
        return found

    def _start(self) -> None:
        """Start requests as long as there is room for their bytes."""
        while self._next < len(self._spans) and self._spans[self._next].size <= self._room:
            self._submit()

    def _submit(self) -> None:
        span = self._spans[self._next]
        if span.is_waited_for:
            self._room -= span.size
            self._under_way[self._next] = self._pool.submit(self._fetch, self._next)
        self._next += 1
