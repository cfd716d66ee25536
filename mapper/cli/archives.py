"""The commands about archives: which there are, and what one of them is good for."""

from __future__ import annotations

import json

import click

from mapper.cli.options import debug_option, json_option
from mapper.errors import ArchiveError


@click.group(invoke_without_command=True)
@json_option
@debug_option
@click.pass_context
def archives(context: click.Context, as_json: bool, debug: bool) -> None:
    """List what --archive takes, and what is peculiar to each.

    \b
    Examples:
      mapper archives
      mapper archives check earth-search
    """
    if context.invoked_subcommand is not None:
        return
    from mapper.production.archive_report import archives_facts, archives_lines

    if as_json:
        click.echo(json.dumps(archives_facts(), indent=1, ensure_ascii=False))
    else:
        click.echo("\n".join(archives_lines()))


@archives.command()
@click.argument("archive", metavar="NAME|PATH|URL")
@click.option("--no-files", is_flag=True, help="Open no file of it; ask only its index.")
@json_option
@debug_option
def check(archive: str, no_files: bool, as_json: bool, debug: bool) -> None:
    """Find out what an archive is good for: what it honours, what it ignores, what can be read.

    Exits with 0 where a map can be made from it, and with 3 where its Sentinel-2 cannot be used or
    it cannot be reached.

    \b
    Examples:
      mapper archives check planetary-computer
      mapper archives check https://stac.example.org/v1 --json
    """
    from mapper.imagery.archives import archive as archive_named
    from mapper.imagery.probe import probed
    from mapper.production.archive_report import probe_facts, probe_lines

    found = probed(archive_named(archive), open_files=not no_files)
    if as_json:
        click.echo(json.dumps(probe_facts(found), indent=1, ensure_ascii=False))
    else:
        click.echo("\n".join(probe_lines(found)))
    if not found.usable:
        why = next((s.findings[0] for s in found.sensors if not s.usable), "no Sentinel-2")
        raise ArchiveError(
            f"no map can be made from {found.archive.name}: {why}; name another archive, or"
            " describe this one in a TOML file"
        )
