"""The commands that make maps: run, and plan, which only says what a run would do."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from mapper.cli.options import (
    area_in,
    area_options,
    debug_option,
    json_option,
    maps_option,
    recipe_options,
    scenes_option,
)
from mapper.cli.simulated import simulated_archive
from mapper.config import RECIPE_KEYS, RESOURCE_KEYS, settings
from mapper.errors import DegradedError
from mapper.imagery.archives import SIMULATED

if TYPE_CHECKING:
    from mapper.production.prepare import Request


@click.command()
@area_options
@recipe_options
@scenes_option
@maps_option
@click.option("--retry-lossy", is_flag=True, help="Make tiles again that lack unreadable scenes.")
@debug_option
def run(out: Path, retry_lossy: bool, debug: bool, **options: Any) -> None:
    """Make a map. Run again, and it goes on where it stopped.

    \b
    Examples:
      mapper run --country LIE --archive simulated --out maps
      mapper run --country LUX --archive planetary-computer --period 2024-06/2024-08
    """
    from mapper.production.prepare import prepare
    from mapper.production.progress import progress_on
    from mapper.production.report import map_lines
    from mapper.production.run import run as run_plan

    console = Console(stderr=True)
    request = _request(options, out, console)
    made = prepare(request)
    try:
        with progress_on(console) as progress:
            run_plan(made, request.network, out, request.resources, progress, retry_lossy)
    except DegradedError:  # the map is there all the same
        click.echo("\n".join(map_lines(out / made.name)))
        raise
    click.echo("\n".join(map_lines(out / made.name)))


@click.command()
@area_options
@recipe_options
@scenes_option
@maps_option
@click.option(
    "--why", "tiles", multiple=True, help="Instead: each scene of this tile, kept or dropped, why."
)
@json_option
@debug_option
def plan(out: Path, tiles: tuple[str, ...], as_json: bool, debug: bool, **options: Any) -> None:
    """Say what a run would read, take and make; no pixel is read.

    With --archive simulated the scenes are made first.

    \b
    Examples:
      mapper plan --country LUX --archive planetary-computer --period 2024-06/2024-08
      mapper plan --country LIE --archive simulated --why 32N_0013_0116
    """
    from mapper.production.prepare import prepare
    from mapper.production.report import plan_facts, plan_lines
    from mapper.production.why import why_facts, why_lines

    request = _request(options, out, Console(stderr=True))
    made = prepare(request)
    if as_json:
        facts: Any = [why_facts(made, tile) for tile in tiles]
        if not tiles:
            facts = plan_facts(made, request.network)
        click.echo(json.dumps(facts, indent=1, ensure_ascii=False))
    elif tiles:
        click.echo("\n\n".join("\n".join(why_lines(made, tile)) for tile in tiles))
    else:
        click.echo("\n".join(plan_lines(made, request.network)))


def _request(options: Mapping[str, Any], out: Path, console: Console) -> Request:
    """The checked request that the options make; a simulated archive is made when all is well."""
    from mapper.imagery.scene_list import read_scene_list
    from mapper.production.prepare import check

    known = {*RECIPE_KEYS, *RESOURCE_KEYS}
    flags = {key: value for key, value in options.items() if key in known}
    frozen = None if options["scenes"] is None else read_scene_list(options["scenes"])
    recipe, resources = settings(
        options["recipe_file"], os.environ, flags, None if frozen is None else frozen.settings
    )
    request = check(area_in(options), recipe, resources, out, frozen)
    if recipe.archive != SIMULATED or frozen is not None:
        return request
    area, period = request.area, recipe.period
    folder = out / SIMULATED / f"{area.name}_{period.start}_{period.end}"
    index = simulated_archive(area, period, folder, resources.workers, console)
    return replace(request, recipe=replace(request.recipe, archive=str(index)))
