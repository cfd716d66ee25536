"""Readers of progress: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from mapper.imagery.losses import Losses
from mapper.production.events import (
    Ended,
    Event,
    Finishing,
    Planned,
    Replacing,
    TileDone,
    TileFailed,
    TileKept,
)


class PlainLines:
    """One line per event: for logs, where a moving bar would only leave its last state."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.total = 0
        self.seen = 0

    def __call__(self, event: Event) -> None:
        """Print what happened."""
        if isinstance(event, Planned):
            self.total = len(event.plan.tiles)
        if isinstance(event, TileDone | TileKept | TileFailed):
            self.seen += 1
        line = sentence(event)
        if line:
            counted = f"[{self.seen}/{self.total}] " if self.seen else ""
            self.console.print(counted + line, markup=False, highlight=False, soft_wrap=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass


class Bar:
    """A moving bar, with a line above it for whatever a person should not miss."""

    def __init__(self, console: Console) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
            console=console,
        )
        self.task = self.progress.add_task("tiles", total=None, start=True)

    def __call__(self, event: Event) -> None:
        """Move the bar."""
        if isinstance(event, Planned):
            self.progress.update(self.task, total=len(event.plan.tiles))
        if isinstance(event, TileDone | TileKept | TileFailed):
            self.progress.advance(self.task)
        lossy = isinstance(event, TileDone) and event.losses.failed
        short = isinstance(event, Ended) and event.lossy
        if lossy or short or isinstance(event, Planned | Replacing | TileFailed):
            self.progress.console.print(sentence(event), markup=False, highlight=False)
        if isinstance(event, Finishing):
            self.progress.update(self.task, description=event.what)

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.progress.stop()


class Counter:
    """Counted steps of one piece of work: a bar on a terminal, a line per tenth elsewhere."""

    def __init__(self, console: Console, title: str) -> None:
        self.console = console
        self.title = title
        self.tenth = -1
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task(title, total=None)

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """So many of so many steps are done."""
        self.bar.update(self.task, completed=done, total=total, description=self.title + note)
        tenth = 10 * done // max(total, 1)
        if tenth > self.tenth and not self.console.is_terminal:
            line = f"{self.title} {done}/{total}{note}"
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)
        self.tenth = max(tenth, self.tenth)

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.stop()


def progress_on(console: Console) -> Bar | PlainLines:
    """The reader that suits the console."""
    return Bar(console) if console.is_terminal else PlainLines(console)


def sentence(event: Event) -> str:
    """An event in words, or an empty text where there is nothing to say."""
    match event:
        case Planned(plan, folder):
            scenes = " from simulated scenes" if plan.simulated else ""
            return (
                f"mapping {plan.area.title} {plan.recipe.period}{scenes} into {folder}: "
                f"{len(plan.tiles)} tiles, {plan.windows} windows, about {plan.seconds:.0f} s"
            )
        case Replacing(settings):
            return f"replacing the map that is there, made with {'; '.join(settings)}"
        case TileKept(tile, lossy):
            without = ", without scenes that could not be read" if lossy else ""
            return f"tile {tile} is there already{without}"
        case TileDone():
            return (
                f"tile {event.tile} in {event.seconds:.1f} s ({event.read_seconds:.1f} s reading, "
                f"{event.windows} windows){_without(event.losses)}"
            )
        case TileFailed(tile, reason):
            return f"tile {tile} FAILED: {reason}"
        case Finishing(what):
            return what
        case Ended():
            return (
                f"{event.done} tiles made, {event.kept} kept, {event.failed} failed{_lossy(event)}"
            )


def _without(losses: Losses) -> str:
    """What a lossy tile lacks, to follow what is said of the tile."""
    if not losses.failed:
        return ""
    reads = "; ".join(f"{f.scene}: {f.asset}, {f.reason}" for f in losses.failed)
    return f"{' DEGRADED,' if losses.degraded else ''} without {reads}"


def _lossy(event: Ended) -> str:
    """How many tiles are poorer than planned, and how to mend it."""
    if not event.lossy:
        return ""
    return (
        f"; {event.lossy} lack scenes that could not be read, {event.degraded} of them are degraded"
        " (run with --retry-lossy to make them again)"
    )
