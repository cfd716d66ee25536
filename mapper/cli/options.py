"""Options that several commands take, and the values they stand for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from mapper.errors import RequestError
from mapper.land.area import Area, area_from_file, area_of
from mapper.land.countries import country as country_named

F = TypeVar("F", bound=Callable[..., Any])
PATH = click.Path(path_type=Path)


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, listed in this order."""

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


area_options = together(
    click.option("--country", help='ISO 3166-1 code or name; "mapper countries" lists them.'),
    click.option("--aoi", type=PATH, help="GeoJSON or GPKG file with the area, instead."),
    click.option("--aoi-id", help="Which feature of that file: its id, fid, name or number."),
)
recipe_options = together(
    click.option("--archive", help='Name, path or URL; "mapper archives" lists them.'),
    click.option("--period", help="Days to map: 2024-06-01/2024-08-31, 2024-06 or 2024."),
    click.option("--recipe", "recipe_file", type=PATH, help="TOML file with any of the settings."),
    click.option("--max-cloud", "max_cloud_percent", type=float, help="Most cloud, %. [60]"),
    click.option("--looks", "optical_looks", type=int, help="Clearest per month and place. [4]"),
    click.option("--min-looks", "min_optical_looks", type=int, help="Kept even if too cloudy. [0]"),
    click.option("--radar-looks", help="Earliest per month and orbit, or all. [all]"),
    click.option("--allow-radar-only", is_flag=True, default=None, help="Map below clouds, too."),
    click.option("--tile-size", "tile_px", type=int, help="Pixels, a multiple of 512. [4096]"),
    click.option("--crs", help="Of the national rasters. [the UTM zone with most land]"),
    click.option(
        "--checkpoint",
        help="Weights, a .safetensors file or an index of shards. [the packaged ones]",
    ),
    click.option("--device", help="cpu, cuda or auto. [auto]"),
    click.option("--precision", help="fp32, bf16, fp16 or auto. [auto]"),
    click.option("--workers", type=int, help="Processes. [what cores and memory allow]"),
    click.option("--threads", type=int, help="Cores per tile. [the cores over the workers]"),
    click.option("--scheduler", help="Address of a Dask scheduler that is running already."),
)
scenes_option = click.option(
    "--scenes", type=PATH, help="The scenes.parquet of an earlier map: reads the same scenes again."
)
debug_option = click.option("--debug", is_flag=True, help="Show the Python trace of an error.")
json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")
maps_option = click.option(
    "--out", type=PATH, default=Path("maps"), show_default=True, help="Folder of the maps."
)


def area_in(options: Mapping[str, Any]) -> Area:
    """What --country, or --aoi with --aoi-id, stands for."""
    country, aoi, aoi_id = options["country"], options["aoi"], options["aoi_id"]
    if (country is None) == (aoi is None):
        both = "both --country and --aoi were" if country else "neither --country nor --aoi was"
        raise RequestError(f"{both} given; give one of them, such as --country LIE")
    if country is None:
        return area_from_file(aoi, aoi_id)
    if aoi_id is not None:
        raise RequestError("--aoi-id names a feature of an --aoi file; leave it out")
    return area_of(country_named(country))
