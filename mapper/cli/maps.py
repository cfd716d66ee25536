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
)
from mapper.cli.simulated import simulated_archive
from mapper.config import RECIPE_KEYS, RESOURCE_KEYS, settings
from mapper.imagery.archives import SIMULATED

if TYPE_CHECKING:
    from mapper.production.prepare import Request


@click.command()
@area_options
@recipe_options
@maps_option
@debug_option
def run(out: Path, debug: bool, **options: Any) -> None:
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
    with progress_on(console) as progress:
        folder = run_plan(made, request.network, out, request.resources, progress)
    click.echo("\n".join(map_lines(folder)))


@click.command()
@area_options
@recipe_options
@maps_option
@json_option
@debug_option
def plan(out: Path, as_json: bool, debug: bool, **options: Any) -> None:
    """Say what a run would read, take and make; no pixel is read.

    \b
    Example:
      mapper plan --country LUX --archive planetary-computer --period 2024-06/2024-08
    """
    from mapper.production.prepare import prepare
    from mapper.production.report import plan_facts, plan_lines

    request = _request(options, out, Console(stderr=True))
    made = prepare(request)
    if as_json:
        click.echo(json.dumps(plan_facts(made, request.network), indent=1, ensure_ascii=False))
    else:
        click.echo("\n".join(plan_lines(made, request.network)))


def _request(options: Mapping[str, Any], out: Path, console: Console) -> Request:
    """The checked request that the options make; a simulated archive is made when all is well."""
    from mapper.production.prepare import check

    known = {*RECIPE_KEYS, *RESOURCE_KEYS}
    flags = {key: value for key, value in options.items() if key in known}
    recipe, resources = settings(options["recipe_file"], os.environ, flags)
    request = check(area_in(options), recipe, resources, out)
    if recipe.archive != SIMULATED:
        return request
    area, period = request.area, recipe.period
    folder = out / SIMULATED / f"{area.name}_{period.start}_{period.end}"
    index = simulated_archive(area, period, folder, resources.workers, console)
    return replace(request, recipe=replace(request.recipe, archive=str(index)))
