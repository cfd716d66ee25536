"""The command that lists what can be mapped."""

from __future__ import annotations

import json

import click

from mapper.cli.options import debug_option, json_option
from mapper.land.countries import countries as all_countries


@click.command()
@json_option
@debug_option
def countries(as_json: bool, debug: bool) -> None:
    """List what --country takes: codes, area in km2, name.

    \b
    Example:
      mapper countries
    """
    facts = all_countries()
    if as_json:
        rows = [{"code": f.code, "name": f.name, "area_km2": round(f.area_km2, 1)} for f in facts]
        click.echo(json.dumps(rows, indent=1, ensure_ascii=False))
    else:
        for fact in facts:
            click.echo(f"{fact.code}  {fact.alpha2}  {fact.area_km2:>12,.1f}  {fact.name}")
