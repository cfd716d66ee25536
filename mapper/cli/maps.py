"""The commands that make maps: run, and plan, which only says what a run would do."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

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
from mapper.config import RECIPE_KEYS, RESOURCE_KEYS, SIMULATED, settings
from mapper.land.area import Area
from mapper.production.recipe import Recipe, Resources


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
    area, recipe, resources = _request(options, out, console)
    made, network = prepare(area, recipe, resources)
    with progress_on(console) as progress:
        folder = run_plan(made, network, out, resources, progress)
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
    from mapper.production.room import require_writable

    area, recipe, resources = _request(options, out, Console(stderr=True))
    made, network = prepare(area, recipe, resources)
    require_writable(out, made.write_bytes)
    if as_json:
        click.echo(json.dumps(plan_facts(made, network), indent=1, ensure_ascii=False))
    else:
        click.echo("\n".join(plan_lines(made, network)))


def _request(
    options: Mapping[str, Any], out: Path, console: Console
) -> tuple[Area, Recipe, Resources]:
    """Area, recipe and resources out of the options; the simulated archive is made if need be."""
    known = {*RECIPE_KEYS, *RESOURCE_KEYS}
    flags = {key: value for key, value in options.items() if key in known}
    recipe, resources = settings(options["recipe_file"], os.environ, flags)
    area = area_in(options)
    if recipe.archive == SIMULATED:
        folder = out / SIMULATED / f"{area.name}_{recipe.period.start}_{recipe.period.end}"
        index = simulated_archive(area, recipe.period, folder, resources.workers, console)
        recipe = replace(recipe, archive=str(index))
    return area, recipe, resources
