"""The commands that judge a network and calibrate its confidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from mapper.cli.options import PATH, area_in, area_options, debug_option

REPORT_BYTES = 2_000_000
"""A page, its numbers and a few pictures."""


@click.command()
@click.option(
    "--checkpoint",
    type=PATH,
    help="Weights, a .safetensors file or an index of shards. [the packaged ones]",
)
@click.option("--on", "folder", type=PATH, required=True, help="Chips, or an archive with truth.")
@area_options
@click.option("--period", help="Of an archive only these days. [all]")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda or auto.")
@click.option("--precision", default="auto", show_default=True, help="fp32, bf16, fp16 or auto.")
@click.option("--threads", type=click.IntRange(1), help="Windows at once. [the cores]")
@click.option("--out", type=PATH, help="Folder of the report. [only a summary is shown]")
@debug_option
def evaluate(
    checkpoint: Path | None,
    folder: Path,
    period: str | None,
    device: str,
    precision: str,
    threads: int | None,
    out: Path | None,
    debug: bool,
    **options: Any,
) -> None:
    """Say how often a network is right: with both sensors, and with each missing in turn.

    --on takes a folder of chips, of real pixels with a manifest.json, or an archive with its truth,
    of which --country or --aoi cut a piece. Pixels are read, normalised and mapped as in a run.

    \b
    Examples:
      mapper evaluate --on tiny.chips/held-out --out report
      mapper evaluate --checkpoint tiny.safetensors --on archive --country LIE
    """
    from mapper.imagery.period import Period
    from mapper.inference.cases import cases_in
    from mapper.inference.judge import CaseJudged, judge
    from mapper.lulcformer.checkpoint import load, packaged
    from mapper.lulcformer.report import summary_lines, write_report
    from mapper.pool import cores
    from mapper.production.progress import Counter
    from mapper.production.room import require_writable

    if out is not None:
        require_writable(out, REPORT_BYTES)
    network = load(packaged() if checkpoint is None else checkpoint)
    cut = any(options[name] for name in ("country", "aoi", "aoi_id"))
    area = area_in(options) if cut else None
    cases = cases_in(
        folder, area and area.geometry, None if period is None else Period.parse(period)
    )
    with Counter(Console(stderr=True), "judging") as count:

        def tell(event: CaseJudged) -> None:
            count(event.done, event.of)

        report = judge(
            network,
            cases,
            device=device,
            precision=precision,
            threads=threads or cores(),
            on_event=tell,
        )
    click.echo("\n".join(summary_lines(report)))
    if out is not None:
        click.echo(write_report(report, out))


@click.command()
@click.option(
    "--checkpoint",
    type=PATH,
    required=True,
    help="Weights, a .safetensors file or the index of its shards.",
)
@click.option("--on", "folder", type=PATH, required=True, help="Chips it has not learned from.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda or auto.")
@click.option("--precision", default="fp32", show_default=True, help="fp32, bf16 or fp16.")
@click.option(
    "--out",
    type=PATH,
    required=True,
    help="The .safetensors file to make; a .safetensors.index.json has shards of at most 16 MB.",
)
@debug_option
def calibrate(
    checkpoint: Path, folder: Path, device: str, precision: str, out: Path, debug: bool
) -> None:
    """Fit the temperature of a network's confidence; `train` does so by itself.

    The weights stay as they are. The temperature is that of both sensors together.

    \b
    Example:
      mapper calibrate --checkpoint old.safetensors --on chips/held-out --out new.safetensors
    """
    from mapper.cli.training_files import require_ours
    from mapper.dynamicworld.learn import calibrated
    from mapper.dynamicworld.lesson import chips_for
    from mapper.errors import RequestError
    from mapper.inference.precision import resolve_device
    from mapper.lulcformer.checkpoint import load, save, survives_half
    from mapper.lulcformer.settings import require_precision
    from mapper.lulcformer.weight_files import INDEX_SUFFIX, SUFFIX
    from mapper.production.room import make_folder, require_writable_file

    before = load(checkpoint)
    require_ours(before)
    require_writable_file(out, sum(tensor.nbytes for tensor in before.weights.values()))
    if not out.name.endswith((SUFFIX, INDEX_SUFFIX)):
        raise RequestError(
            f"--out is {out}, wanted a file such as {out.stem}{SUFFIX}, or for shards "
            f"{out.stem}{INDEX_SUFFIX}"
        )
    where = str(resolve_device(device))
    require_precision(precision)
    chips = chips_for(before, folder)
    make_folder(out.parent)
    after = calibrated(before, chips, f"of {folder.resolve().name}", where, precision)
    save(after, out, half=survives_half(after.weights))
    click.echo(f"temperature: {before.temperature:g} before, {after.temperature:g} now")
