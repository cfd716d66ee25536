"""The append-only record of a run: what was started, what is done, what failed, and why.

One JSON object per line, each forced to the disk before the run goes on. A kill can only tear the
last line: a reader skips it and the next writer starts on a line of its own. Beside the journal is
a lock, so that a folder has one writer; the system frees it when its holder dies, however it dies.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from mapper.errors import OutputError
from mapper.production.locked import locked

JOURNAL_NAME = "journal.jsonl"

Line = Mapping[str, Any]
"""One line of a journal: always `at` (UTC) and `event`, the rest depends on the event."""


def content_key(parts: Mapping[str, Any]) -> str:
    """A digest of everything a product is made from; equal keys mean equal pixels.

    Args:
        parts: values that JSON can hold; the order of keys does not matter.

    Returns:
        64 hexadecimal digits (SHA-256 of the canonical JSON).
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def read_journal(path: Path) -> Iterator[Line]:
    """The whole lines of a journal, oldest first; none where there is no journal yet."""
    if not path.exists():
        return
    for raw in path.read_bytes().split(b"\n"):
        try:
            line = json.loads(raw)
        except ValueError:  # torn by a kill, or the empty end
            continue
        if isinstance(line, dict) and "event" in line:
            yield line


def finished_keys(lines: Iterable[Line]) -> dict[str, str]:
    """The content key under which each tile was last done, by the tile's name."""
    keys: dict[str, str] = {}
    for line in lines:
        if line["event"] == "tile done":
            keys[line["tile"]] = line["key"]
        elif line["event"] == "tile failed":
            keys.pop(line["tile"], None)
    return keys


@dataclass(slots=True)
class Journal:
    """The open journal of one run folder, and the lock on that folder while it is open.

    Raises:
        OutputError: another run holds the folder, or the folder cannot be written.
    """

    folder: Path
    """The run's folder; it must exist."""
    _lock: IO[str] = field(init=False, repr=False)
    _file: IO[bytes] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        try:
            self._lock = locked(self.folder, "run")
            self._file = (self.folder / JOURNAL_NAME).open("ab")
            if self._file.tell() and not _ends_whole(self.folder / JOURNAL_NAME):
                self._file.write(b"\n")
        except OSError as error:
            raise OutputError(
                f"journal in {self.folder} cannot be written: {error.strerror}; "
                "choose another --out"
            ) from error

    def lines(self) -> list[Line]:
        """What the journal says so far."""
        return list(read_journal(self.folder / JOURNAL_NAME))

    def append(self, event: str, **facts: Any) -> None:
        """Add one line; when this returns it survives a power cut."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = json.dumps({"at": now, "event": event, **facts}, ensure_ascii=False)
        try:
            self._file.write(line.encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OutputError(
                f"journal in {self.folder} cannot be written: {error.strerror}; "
                "free some space and run the same command again"
            ) from error

    def close(self) -> None:
        """Let the folder go."""
        self._file.close()
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _ends_whole(path: Path) -> bool:
    """Whether the last byte of a file that is not empty ends a line."""
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
