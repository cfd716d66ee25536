"""Compiled functions on disk: none older than its source, and compiled by one process at a time.

numba keeps compiled functions beside the source and compiles again when that file changes, but not
when a file changes whose functions were compiled into it. After an update of the sources, old
compiled code would go on giving old pixels; so whatever is older than the newest source goes.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_COMPILED = ("*.nbi", "*.nbc")


def drop_stale(folder: Path, sources: Iterable[str] = ("*.py",)) -> int:
    """Removes compiled functions older than the newest source of a folder; how many files went.

    Another process may do the same at the same time, and a folder may be read-only: both are fine.

    Args:
        folder: of a package.
        sources: patterns of the files whose code or constants get into compiled functions.
    """
    files = [path for pattern in sources for path in folder.glob(pattern)]
    newest = max((path.stat().st_mtime for path in files), default=0.0)
    gone = 0
    for pattern in _COMPILED:
        for path in (folder / "__pycache__").glob(pattern):
            try:
                if path.stat().st_mtime < newest:
                    path.unlink()
                    gone += 1
            except OSError:
                continue
    return gone


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Processes of this machine and user do what is inside one after the other.

    The first compiles and writes to disk, the others find it there. The lock goes with its process,
    however that ends; where no lock can be had, all of them compile, which is only slow.
    """
    path = Path(tempfile.gettempdir()) / f"mapper-{os.getuid()}-{name}.lock"
    try:
        handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        yield
        return
    try:
        with suppress(OSError):  # some file systems have no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
