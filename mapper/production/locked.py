"""One writer of a folder at a time; the system frees it when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from mapper.errors import OutputError

LOCK_NAME = ".lock"


def locked(folder: Path, writer: str) -> IO[str]:
    """The lock file of a folder, open and held, with this process's number in it.

    Args:
        folder: it must exist.
        writer: what this process is, for who comes second.

    Raises:
        OutputError: another process holds it.
        OSError: the folder cannot be written.
    """
    file = (folder / LOCK_NAME).open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise OutputError(
            f"another {writer} (process {holder}) is writing {folder}; "
            "wait for it to end, or choose another --out"
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
