"""The command that makes an archive of simulated scenes, and the archive that a run asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from mapper.cli.options import PATH, area_in, area_options, debug_option
from mapper.config import SIMULATED_PERIOD
from mapper.imagery.scenes import Period
from mapper.land.area import Area

SIMULATED_BYTES = 10_000_000
"""What the smallest simulated archive takes; a larger one says itself when the disk is full."""


@click.command()
@area_options
@click.option("--period", default=str(SIMULATED_PERIOD), show_default=True)
@click.option("--out", type=PATH, default=Path("archive"), show_default=True, help="Folder.")
@click.option("--workers", type=click.IntRange(1), help="Processes. [the cores]")
@debug_option
def simulate(out: Path, period: str, workers: int | None, debug: bool, **options: Any) -> None:
    """Make an archive of simulated scenes, with the truth beside them.

    \b
    Example:
      mapper simulate --country LIE --out archive
    """
    console = Console(stderr=True)
    click.echo(simulated_archive(area_in(options), Period.parse(period), out, workers, console))


def simulated_archive(
    area: Area, period: Period, folder: Path, workers: int | None, console: Console
) -> Path:
    """The index of the simulated archive in a folder, made where it is not there yet."""
    from mapper.pool import cores
    from mapper.production.progress import Counter
    from mapper.production.room import require_writable
    from mapper.simulated.archive import simulate as make_archive

    require_writable(folder, SIMULATED_BYTES)
    with Counter(console, f"simulating scenes of {area.title}") as count:
        return make_archive(
            area.geometry,
            area.title,
            (period.start, period.end),
            folder,
            workers=workers or cores(),
            on_event=lambda event: count(event.done, event.total),
        )
