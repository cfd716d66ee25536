"""Reading and compositing one tile: ours, the usual way, and the limit.

    python tests/bench/bench_read.py                      # the tile of 4096 px: several minutes
    python tests/bench/bench_read.py --size 1024          # a try-out
    python tests/bench/bench_read.py --engines ours limit --json read.json

It makes six Sentinel-2 looks of ten bands with scene classifications (31 to 51 % cloud) and four
Sentinel-1 looks as cloud-optimised GeoTIFFs of blocks of 512 pixels, which the tile does not begin
with, and their STAC items. Each engine runs in a process of its own, over local files and over HTTP
with a delay to the first byte; the server's work is not counted.

| engine | what it does |
|---|---|
| limit | every needed block unpacked once and the same kernels run, no arrangement, local files |
| gdal-limit | the same blocks read once by GDAL, and the kernels |
| ours | `read_composite` |
| odc-dask | odc.stac.load in chunks, clouds masked, median over time, all by dask |
| odc-bottleneck | odc.stac.load into memory, bottleneck.nanmedian band by band |

CPU seconds are those of the process in the timed part, all threads; peak memory is that of the
whole process with its libraries. Compiled code is on the disk before. Clouds are not spread: the
peers' recipe has no such step. Of an even number of clear looks the median is the mean of the two
middle digits, halves rounded up: the peers' means are exact in float32, and rounded likewise.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from read_archive import make
from read_engines import PREPARED

ENGINES = ("limit", "gdal-limit", "ours", "odc-bottleneck", "odc-dask")
OVER_HTTP = ("ours", "odc-dask")


def measure(engine: str, index: Path, size: int, threads: int, url: str | None, out: Path) -> None:
    """In the engine's own process: prepare, run, write the answer and print the numbers."""
    run = PREPARED[engine](index, size, threads)
    if url:
        counted(url)
    before = io_here()
    cpu, wall = time.process_time(), time.perf_counter()
    answer = run()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    traffic = counted(url) if url else {k: io_here()[k] - before[k] for k in before}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    for name, array in answer.items():
        np.save(out / f"{engine}-{name}.npy", array)
    print(json.dumps({"cpu_s": cpu, "wall_s": wall, "peak_bytes": peak, **traffic}))


def io_here() -> dict[str, int]:
    """Reads of this process so far, as the system counts them."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return {"requests": int(fields["syscr"]), "bytes": int(fields["rchar"])}


def counted(url: str) -> dict[str, int]:
    """What the server was asked for since it was asked this."""
    with urllib.request.urlopen(f"{url}/count") as answer:
        return dict(json.loads(answer.read()))


@contextmanager
def served(folder: Path, delay_ms: float) -> Iterator[str]:
    """The address of a slow server of a folder, in a process of its own."""
    script = Path(__file__).with_name("slow_server.py")
    command = [sys.executable, str(script), str(folder), str(delay_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            url = f"http://127.0.0.1:{int(server.stdout.readline())}"
            collection = json.loads((folder / "items.json").read_text())
            for entry in collection["features"]:
                for asset in entry["assets"].values():
                    asset["href"] = f"{url}/{asset['href']}"
            (folder / "served.json").write_text(json.dumps(collection))
            yield url
        finally:
            server.terminate()


def in_own_process(
    engine: str, index: Path, options: argparse.Namespace, url: str | None, out: Path
) -> dict[str, Any]:
    """One engine's numbers."""
    command = [sys.executable, __file__, "--one", engine, "--folder", str(index), "--out", str(out)]
    command += ["--size", str(options.size), "--threads", str(options.threads)]
    command += ["--url", url] if url else []
    one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **one}
    )
    if done.returncode:
        raise SystemExit(f"{engine}: {done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def compared(out: Path, engine: str, reference: str) -> dict[str, float]:
    """How an engine's answer differs from another's."""
    found: dict[str, float] = {}
    for name in ("optical", "looks", "radar"):
        files = [out / f"{which}-{name}.npy" for which in (engine, reference)]
        if not all(file.exists() for file in files):
            return {}
        one, other = (np.load(file, mmap_mode="r") for file in files)
        if name == "radar":
            found["radar_db"] = max(
                float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True)
            )
        else:
            layers = zip(np.atleast_3d(one), np.atleast_3d(other), strict=True)
            found[f"{name}_differing"] = int(sum(int((a != b).sum()) for a, b in layers))
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """The rows for a person."""
    lines = ["| engine | over | CPU s | wall s | peak MB | MB read | requests | against ours |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for row in rows:
        same = row.get("compared")
        words = (
            "-"
            if not same
            else f"{same['optical_differing']} digits, {same['looks_differing']} counts,"
            f" {same['radar_db']:.1e} dB differ"
        )
        lines.append(
            f"| {row['engine']} | {row['over']} | {row['cpu_s']:.1f} | {row['wall_s']:.1f} |"
            f" {row['peak_bytes'] / 1e6:.0f} | {row['bytes'] / 1e6:.0f} | {row['requests']} |"
            f" {words} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Make, measure, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=4096, help="side of the tile in pixels")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--delay-ms", type=float, default=30, help="to the first byte over HTTP")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--over", nargs="+", choices=("disk", "http"), default=("disk", "http"))
    parser.add_argument("--folder", type=Path, help="keep the archive here, and use it again")
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(
            options.one, options.folder, options.size, options.threads, options.url, options.out
        )
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)) / str(options.size)
        folder.mkdir(parents=True, exist_ok=True)
        make(folder, options.size)
        out = Path(temporary) / "answers"
        out.mkdir()
        rows = []
        for engine in options.engines if "disk" in options.over else ():
            made = in_own_process(engine, folder / "items.json", options, None, out)
            rows.append({"engine": engine, "over": "disk", **made})
        with served(folder, options.delay_ms) as url:
            for engine in options.engines if "http" in options.over else ():
                if engine in OVER_HTTP:
                    made = in_own_process(engine, folder / "served.json", options, url, out)
                    rows.append({"engine": engine, "over": "HTTP", **made})
        for row in rows:
            if row["engine"].startswith("odc"):
                row["compared"] = compared(out, row["engine"], "ours")
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps({"size": options.size, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
