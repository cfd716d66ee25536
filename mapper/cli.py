"""The commands: parse, call one job, report. An error is one line on stderr and an exit code.

Jobs are imported by the command that needs them: torch and Dask take seconds to load, and `--help`
should not wait for them.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click
from rich.console import Console

from mapper.config import RECIPE_KEYS, RESOURCE_KEYS, SIMULATED, SIMULATED_PERIOD, settings
from mapper.errors import MapperError, RequestError
from mapper.imagery.scenes import Period
from mapper.land.area import Area, area_from_file, area_of
from mapper.land.countries import countries as all_countries
from mapper.land.countries import country as country_named
from mapper.production.recipe import Recipe, Resources
from mapper.production.stopping import Stopped, heeded, listen

if TYPE_CHECKING:
    from mapper.dynamicworld.learn import ChipMade

F = TypeVar("F", bound=Callable[..., Any])
PATH = click.Path(path_type=Path)
SIMULATED_BYTES = 10_000_000
"""What the smallest simulated archive takes; a larger one says itself when the disk is full."""
CHIP_BYTES = 6_000_000
"""What one chip of 512 px takes on the disk."""
BY_SIGNAL = 128
"""A command that a signal ended exits with this plus the signal's number, as shells have it."""


def main() -> NoReturn:
    """The console script."""
    sys.exit(command_line(sys.argv[1:]))


def command_line(arguments: list[str]) -> int:
    """Run one command and return its exit code; every error is one line on stderr."""
    debug = "--debug" in arguments
    listen()
    try:
        mapper.main(arguments, prog_name="mapper", standalone_mode=False)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        return _say(error.format_message(), RequestError.exit_code)
    except MapperError as error:
        return _say(str(error), error.exit_code, debug)
    except Stopped as stop:
        heeded()
        return _say("stopped; the same command goes on from here", BY_SIGNAL + stop.signum)
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return MapperError.exit_code
    except Exception as error:
        what = f"unforeseen {type(error).__name__}: {error}; run it again with --debug"
        return _say(what, MapperError.exit_code, debug)
    return 0


def _say(message: str, code: int, debug: bool = False) -> int:
    if debug:
        traceback.print_exc()
    click.echo(f"mapper: error: {' '.join(message.split())}", err=True)
    return code


def _options(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, listed in this order."""

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


area_options = _options(
    click.option("--country", help='ISO 3166-1 code or name; "mapper countries" lists them.'),
    click.option("--aoi", type=PATH, help="GeoJSON or GPKG file with the area, instead."),
    click.option("--aoi-id", help="Which feature of that file, by its property id."),
)
recipe_options = _options(
    click.option("--archive", help="simulated, planetary-computer, earth-search, path or URL."),
    click.option("--period", help="Days to map: 2024-06-01/2024-08-31, 2024-06 or 2024."),
    click.option("--recipe", "recipe_file", type=PATH, help="TOML file with any of the settings."),
    click.option("--max-cloud", "max_cloud_percent", type=float, help="Most cloud, %. [60]"),
    click.option("--looks", "optical_looks", type=int, help="Clearest per month and place. [4]"),
    click.option("--radar-looks", help="Earliest per month and orbit, or all. [all]"),
    click.option("--allow-radar-only", is_flag=True, default=None, help="Map below clouds, too."),
    click.option("--tile-size", "tile_px", type=int, help="Pixels, a multiple of 512. [4096]"),
    click.option("--crs", help="Of the national rasters. [the UTM zone with most land]"),
    click.option("--checkpoint", help="Weights, a .safetensors file. [the packaged ones]"),
    click.option("--device", help="cpu, cuda or auto. [auto]"),
    click.option("--precision", help="fp32, bf16, fp16 or auto. [auto]"),
    click.option("--workers", type=int, help="Processes. [what cores and memory allow]"),
    click.option("--threads", type=int, help="Cores per tile. [the cores over the workers]"),
    click.option("--scheduler", help="Address of a Dask scheduler that is running already."),
)
debug_option = click.option("--debug", is_flag=True, help="Show the Python trace of an error.")
json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")
maps_option = click.option(
    "--out", type=PATH, default=Path("maps"), show_default=True, help="Folder of the maps."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="mapper", message="%(version)s")
def mapper() -> None:
    """National 10 m land-cover maps from Sentinel-1 and Sentinel-2."""


@mapper.command()
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


@mapper.command()
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


@mapper.command()
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


@mapper.command()
@area_options
@click.option("--period", default=str(SIMULATED_PERIOD), show_default=True)
@click.option("--out", type=PATH, default=Path("archive"), show_default=True, help="Folder.")
@click.option("--workers", type=int, help="Processes. [the cores]")
@debug_option
def simulate(out: Path, period: str, workers: int | None, debug: bool, **options: Any) -> None:
    """Make an archive of simulated scenes, with the truth beside them.

    \b
    Example:
      mapper simulate --country LIE --out archive
    """
    console = Console(stderr=True)
    click.echo(_simulated(_area(options), Period.parse(period), out, workers, console))


@mapper.command()
@click.option("--simulated", "chips", type=int, default=400, show_default=True, help="Chips.")
@click.option("--held-out", type=int, default=40, show_default=True, help="Chips to be tried on.")
@click.option("--chip-size", "chip_px", type=int, default=512, show_default=True, help="Pixels.")
@click.option("--variant", default="tiny", show_default=True, help="base, small, tiny or micro.")
@click.option("--steps", type=int, default=2000, show_default=True)
@click.option("--batch", type=int, default=8, show_default=True, help="Chips per step.")
@click.option("--learning-rate", type=float, default=1e-3, show_default=True, help="At its peak.")
@click.option(
    "--class-balance",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    help="0: every pixel counts alike; 1: every class.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--start", type=PATH, help="Weights to train further.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda or auto.")
@click.option("--precision", default="fp32", show_default=True, help="fp32, bf16 or fp16.")
@click.option("--workers", type=int, help="Processes that make chips. [the cores]")
@click.option("--out", type=PATH, required=True, help="The .safetensors file to make.")
@debug_option
def train(
    chips: int,
    held_out: int,
    chip_px: int,
    variant: str,
    steps: int,
    batch: int,
    learning_rate: float,
    class_balance: float,
    seed: int,
    start: Path | None,
    device: str,
    precision: str,
    workers: int | None,
    out: Path,
    debug: bool,
) -> None:
    """Train a network on simulated ground; chips and state are kept beside --out.

    \b
    Example:
      mapper train --simulated 400 --steps 2000 --out tiny.safetensors
    """
    from mapper.dynamicworld.learn import learn, lesson_of, normalisation_in, weights_of_classes
    from mapper.inference.precision import resolve_device
    from mapper.lulcformer import checkpoint
    from mapper.lulcformer.model import VARIANTS
    from mapper.lulcformer.training import Event, Stepped, TrainingSettings
    from mapper.production.progress import Counter
    from mapper.production.room import require_writable

    if variant not in VARIANTS:
        raise RequestError(f'variant "{variant}" is unknown; give one of {", ".join(VARIANTS)}')
    settings = TrainingSettings(
        variant=replace(VARIANTS[variant], missing_token=True),
        steps=steps,
        batch=batch,
        learning_rate=learning_rate,
        warmup_steps=max(1, min(100, steps // 10)),
        # An average over a tenth of a short training would lag behind it.
        average_decay=min(0.999, 1 - 12 / max(steps, 24)),
        validate_every=max(1, steps // 5),
        seed=seed,
        device=str(resolve_device(device)),
        precision=precision,
    )
    require_writable(out, (chips + held_out) * CHIP_BYTES)
    console, before = Console(stderr=True), None if start is None else checkpoint.load(start)
    folders = _chips(out.with_suffix(".chips"), chips, held_out, chip_px, workers, console)
    lesson = lesson_of(*folders, None if before is None else normalisation_in(before))
    chosen = replace(settings, class_weights=weights_of_classes(lesson, class_balance))
    with Counter(console, "training") as count:

        def tell(event: Event) -> None:
            if isinstance(event, Stepped):
                count(event.step, event.of, f", loss {event.loss:.3f}")

        trained = learn(
            lesson,
            chosen,
            variant,
            tell,
            out.with_suffix(".state"),
            before,
        )
    checkpoint.save(trained, out, half=True)
    click.echo("\n".join(f"{name}: {value}" for name, value in trained.facts.items()))


def _chips(
    folder: Path, chips: int, held_out: int, chip_px: int, workers: int | None, console: Console
) -> tuple[Path, Path]:
    """Folders of training chips and of held-out ones; those that are there already are kept."""
    from mapper.dynamicworld.learn import VALIDATION_SEED, make_simulated_chips
    from mapper.production.progress import Counter
    from mapper.simulated.spectra import Places

    training, validation = folder / "training", folder / "held out"
    for part, first, number, places in (
        (training, 0, chips, Places.TRAINING),
        (validation, VALIDATION_SEED, held_out, Places.HELD_OUT),
    ):
        with Counter(console, f"making chips, {part.name}") as count:
            make_simulated_chips(
                part,
                range(first, first + number),
                places,
                chip_px=chip_px,
                processes=workers or os.cpu_count() or 1,
                on_event=partial(_count_chip, count),
            )
    return training, validation


def _count_chip(count: Callable[[int, int], None], event: ChipMade) -> None:
    count(event.done, event.of)


def _request(
    options: Mapping[str, Any], out: Path, console: Console
) -> tuple[Area, Recipe, Resources]:
    """Area, recipe and resources out of the options; the simulated archive is made if need be."""
    known = {*RECIPE_KEYS, *RESOURCE_KEYS}
    flags = {key: value for key, value in options.items() if key in known}
    recipe, resources = settings(options["recipe_file"], os.environ, flags)
    area = _area(options)
    if recipe.archive == SIMULATED:
        folder = out / SIMULATED / f"{area.name}_{recipe.period.start}_{recipe.period.end}"
        index = _simulated(area, recipe.period, folder, resources.workers, console)
        recipe = replace(recipe, archive=str(index))
    return area, recipe, resources


def _simulated(
    area: Area, period: Period, folder: Path, workers: int | None, console: Console
) -> Path:
    """The index of the simulated archive in a folder, made where it is not there yet."""
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
            workers=workers or os.cpu_count() or 1,
            on_event=lambda event: count(event.done, event.total),
        )


def _area(options: Mapping[str, Any]) -> Area:
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


if __name__ == "__main__":
    main()
