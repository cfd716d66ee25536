"""How the tiles of a run stand: found, made, lossy or without a map; and how that is said."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from mapper.errors import OutputError
from mapper.maps.publish import Standing, standing
from mapper.production.events import Ended, Listener, TileDone, TileFailed
from mapper.production.job import TileJob

MAX_NAMED = 5
"""Tiles beyond this many are in the journal, not in an error's one line."""


@dataclass(slots=True)
class Tally:
    """How the tiles of a run stand."""

    there: dict[str, Standing] = field(default_factory=dict)
    """Finished tiles by name, found or made."""
    failed: list[TileFailed] = field(default_factory=list)
    """Tiles without a map."""

    @classmethod
    def of(cls, jobs: Iterable[TileJob], retry_lossy: bool) -> Tally:
        """The tiles that are there already and good enough."""
        found = {job.name: standing(job.folder, job.key) for job in jobs}
        return cls({k: v for k, v in found.items() if v and not (retry_lossy and v.lossy)})

    def keys(self, jobs: Iterable[TileJob]) -> dict[str, str]:
        """Content keys by tile; of those not there yet the planned ones."""
        return {j.name: self.there[j.name].key if j.name in self.there else j.key for j in jobs}

    def follow(self, events: Generator[TileDone | TileFailed], tell: Listener) -> None:
        """Tell every tile's end, and keep it.

        Raises:
            OutputError: a tile failed for a reason that every other tile would fail for.
        """
        with closing(events):  # ends the cluster also where this loop is left early
            for event in events:
                tell(event)
                if isinstance(event, TileDone):
                    lossy, degraded = bool(event.losses.failed), event.losses.degraded
                    self.there[event.tile] = Standing(event.key, lossy, degraded)
                    continue
                self.failed.append(event)
                if event.concerns_all:
                    raise OutputError(f"{event.reason}; then run the same command again")

    def ended(self, kept: int, seconds: float) -> Ended:
        """The event of the run's end."""
        return Ended(
            done=len(self.there) - kept,
            kept=kept,
            failed=len(self.failed),
            seconds=round(seconds, 1),
            lossy=sum(found.lossy for found in self.there.values()),
            degraded=sum(found.degraded for found in self.there.values()),
        )

    @property
    def degraded(self) -> list[str]:
        """Names of the tiles that lack too many looks."""
        return sorted(name for name, found in self.there.items() if found.degraded)

    def complaint(self) -> str:
        """The one line of a run that is not complete."""
        return (
            f"{len(self.failed)} of {len(self.failed) + len(self.there)} tiles have no map: "
            f"{_names([event.tile for event in self.failed])} ({self.failed[0].reason}); the "
            "others are kept, run the same command again to retry"
        )

    def warning(self) -> str:
        """The one line of a run whose map is whole, but poorer than it should be."""
        return (
            f"the map is whole, but {len(self.degraded)} of {len(self.there)} tiles are degraded: "
            f"{_names(self.degraded)} (the journal lists the scenes that could not be read); run "
            "the same command with --retry-lossy to make them again"
        )


def _names(tiles: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(tiles) - MAX_NAMED} more" if len(tiles) > MAX_NAMED else ""
    return ", ".join(tiles[:MAX_NAMED]) + more
