"""What a run tells while it goes: small values, read by the journal, the progress bar, the log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mapper.imagery.losses import NO_LOSSES, FailedRead, Losses
from mapper.production.plan import Plan


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan stands and the folder is ours; pixels begin to move."""

    plan: Plan
    folder: Path
    """Where the run writes."""


@dataclass(frozen=True, slots=True)
class Replacing:
    """A finished map of the same area and days lies there, made with other settings; it goes."""

    settings: tuple[str, ...]
    """Those that differ, such as "optical_looks 4, now 2"."""


@dataclass(frozen=True, slots=True)
class TileKept:
    """A tile was already there, made from the same things."""

    tile: str
    """The tile's name."""
    lossy: bool = False
    """Whether it was made without some scenes, because they could not be read then."""
    degraded: bool = False
    """Whether it lacks too many of them."""


@dataclass(frozen=True, slots=True)
class TileDone:
    """A tile is published."""

    tile: str
    key: str
    """Its content key."""
    seconds: float
    """In the worker, from the first byte read to the last one written."""
    read_seconds: float
    """Of those, reading and compositing."""
    windows: int
    """The network answered so many."""
    written_bytes: int
    """Size of its files."""
    files: dict[str, str]
    """SHA-256 by file name."""
    losses: Losses = NO_LOSSES
    """The scenes it had to do without."""


@dataclass(frozen=True, slots=True)
class TileFailed:
    """A tile has no map; the run goes on."""

    tile: str
    reason: str
    """One line."""
    trace: str = ""
    """The Python trace, where the reason was not foreseen."""
    concerns_all: bool = False
    """Whether every other tile would fail likewise: the disk is full, the folder is gone."""
    failed_reads: tuple[FailedRead, ...] = ()
    """The reads that failed, where it failed for them."""


@dataclass(frozen=True, slots=True)
class Finishing:
    """The tiles are done; what follows is said in a few words."""

    what: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The run came to its end."""

    done: int
    """Tiles made now."""
    kept: int
    """Tiles found from before."""
    failed: int
    """Tiles without a map."""
    seconds: float
    """From the plan to here."""
    lossy: int = 0
    """Of those made or kept, tiles without some scenes that could not be read."""
    degraded: int = 0
    """Of those, tiles that lack too many."""


Event = Planned | Replacing | TileKept | TileDone | TileFailed | Finishing | Ended
Listener = Callable[[Event], None]
