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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from read_archive import BANDS, CORNER_M, INSET_PX, make

CLEAR = (2, 4, 5, 6, 7, 11)
ENGINES = ("limit", "gdal-limit", "ours", "odc-bottleneck", "odc-dask")
OVER_HTTP = ("ours", "odc-dask")


def region_of(size: int) -> Any:
    """The tile."""
    from mapper.land.grid import LATTICE_TOP_M, PIXEL_M, Region, Zone

    left = CORNER_M[0] // PIXEL_M + INSET_PX[1]
    top = (LATTICE_TOP_M - CORNER_M[1]) // PIXEL_M + INSET_PX[0]
    return Region(Zone(32, False), left, top, size, size)


def looks_of_archive(index: Path) -> Any:
    """All looks, as a run would have them."""
    import shapely

    from mapper.imagery.archives import archive
    from mapper.imagery.period import Period
    from mapper.imagery.scenes import looks_of
    from mapper.imagery.search import search
    from mapper.land.grid import Zone

    scenes = search(archive(str(index)), shapely.box(0, 40, 20, 60), Period.parse("2024-06"))
    return looks_of(scenes, Zone(32, False))


Answer = dict[str, np.ndarray]
Engine = Callable[[Path, int, int], Callable[[], Answer]]
"""Prepares, with what is not timed; the answer's call is timed."""


def ours(index: Path, size: int, threads: int) -> Callable[[], Answer]:
    from mapper.imagery.load import read_composite
    from mapper.imagery.warm import warm_up

    warm_up()
    looks, region = looks_of_archive(index), region_of(size)

    def run() -> Answer:
        made = read_composite(looks, region, threads=threads, cloud_dilation_px=0)
        return {"optical": made.optical, "looks": made.optical_looks, "radar": made.radar}

    return run


def limit(index: Path, size: int, threads: int, by_gdal: bool = False) -> Callable[[], Answer]:
    """Unpack what `ours` would, block by block in one thread, and run its kernels as often."""
    import rasterio
    from rasterio.windows import Window

    from mapper.imagery import optical, radar
    from mapper.imagery.bands import Sensor
    from mapper.imagery.blocks import Scratch, unpacked
    from mapper.imagery.composite import PowerSum, mean_of
    from mapper.imagery.crew import crew_of
    from mapper.imagery.direct import opened
    from mapper.imagery.fetch import read_range
    from mapper.imagery.fused import median_of_layers
    from mapper.imagery.layers import layers_of
    from mapper.imagery.patience import Attempt
    from mapper.imagery.placement import even, frame_of
    from mapper.imagery.schedule import schedule
    from mapper.imagery.warm import warm_up

    warm_up()
    looks, region = looks_of_archive(index), region_of(size)
    seen = [look for look in looks if look.sensor is Sensor.OPTICAL]
    heard = [look for look in looks if look.sensor is Sensor.RADAR]
    with crew_of(threads) as crew:
        ground = even(region)
        everywhere = np.ones(frame_of(ground, 2).shape, np.bool_)
        layers = layers_of(seen, ground, everywhere, 0, crew)
        pieces = schedule(layers, optical._pieces([region], layers), optical.KEPT_BYTES)
        blocks = [(j.raster, j.block) for p in pieces for g in p.groups for j in g.jobs]
        names = [(look.scenes[0], "SCL") for look in seen]
        names += [(look.scenes[0], band) for look in heard for band in ("VV", "VH")]
        for raster in [opened(scene, name, region.zone, crew) for scene, name in names]:
            assert raster is not None
            blocks += [
                (raster, b) for b in raster.blocks_over(frame_of(region, raster.place.factor))
            ]
    rooms = [optical._Room().for_piece(piece) for piece in pieces[:1]]
    for array in (rooms[0].fine, rooms[0].coarse):
        array[:] = np.random.default_rng(0).integers(1, 6000, array.shape, dtype=np.uint16)
    scratch = Scratch()
    attempt = Attempt(1, 60, 10)

    def decode() -> None:
        for raster, block in blocks:
            asset = raster.scene.assets[raster.name]
            packed = read_range(asset.href, None, *raster.bytes_of(block), attempt, scratch)
            unpacked(packed, raster.layout, scratch)

    def decode_by_gdal() -> None:
        with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_CACHEMAX=2**25):
            raster, source = None, None
            for raster, block in sorted(blocks, key=lambda b: (id(b[0]), b[1])):
                href = raster.scene.assets[raster.name].href
                if source is None or source.name != href:
                    source = rasterio.open(href)
                frame, whole = raster.block_frame(block), raster.frame
                source.read(
                    1,
                    window=Window(
                        frame.left - whole.left, frame.top - whole.top, *frame.shape[::-1]
                    ),
                )

    def run() -> Answer:
        decode_by_gdal() if by_gdal else decode()
        out = np.zeros((10, *region.shape), np.uint16)
        counts = np.zeros(region.shape, np.uint8)
        for piece in pieces:
            part = piece.region.intersection(region)
            y, x = part.slices_in(region)
            height, width = pieces[0].region.shape
            y = slice(y.start, min(y.stop, y.start + height))
            x = slice(x.start, min(x.stop, x.start + width))
            median_of_layers(rooms[0], (0, 0), out, counts, (y, x))
        power = PowerSum(
            np.zeros((2, *region.shape), np.float32), np.zeros(region.shape, np.uint16)
        )
        block = np.ones((2, 512, 512), np.float32)
        plain = np.array([(1, 0), (1, 0)], np.float32)
        nothing = np.zeros((0, 0), np.bool_)
        for _ in heard:
            for y in range(0, size, 512):
                for x in range(0, size, 512):
                    place = (y, x, 0, 0, min(512, size - y), min(512, size - x))
                    radar._add(block[0], block[1], plain, nothing, power.total, power.count, place)
        for top in range(0, size, 256):
            rows = slice(top, top + 256)
            mean_of(PowerSum(power.total[:, rows], power.count[rows]))
        return {}

    return run


def loaded(index: Path, size: int, chunks: dict[str, int] | None) -> tuple[Any, Any]:
    """Both sensors as odc.stac loads them."""
    import odc.stac
    import pystac

    items = [pystac.Item.from_dict(f) for f in json.loads(index.read_text())["features"]]
    for entry in items:
        for asset in entry.assets.values():
            if "://" not in asset.href:
                asset.href = str(index.parent / asset.href)
    odc.stac.configure_rio(cloud_defaults=True)
    geobox = region_of(size).geobox
    common = {"geobox": geobox, "chunks": chunks, "groupby": "id"}
    optical = odc.stac.load(
        [i for i in items if i.id[0] == "s"],
        bands=["SCL", *BANDS],
        resampling={"SCL": "nearest", "*": "bilinear"},
        stac_cfg={
            "*": {
                "assets": {
                    "*": {"data_type": "uint16", "nodata": 0},
                    "SCL": {"data_type": "uint8", "nodata": 0},
                }
            }
        },
        **common,
    )
    radar = odc.stac.load(
        [i for i in items if i.id[0] == "r"],
        bands=["vv", "vh"],
        stac_cfg={"*": {"assets": {"*": {"data_type": "float32", "nodata": -32768}}}},
        **common,
    )
    return optical, radar


def finished(medians: list[np.ndarray], looks: np.ndarray, means: list[np.ndarray]) -> Answer:
    """The peers' answers in our units: halves rounded up, decibel."""
    optical = np.stack([np.floor(np.nan_to_num(m) + 0.5).astype(np.uint16) for m in medians])
    radar = np.stack([(10 * np.log10(m, dtype=np.float64)).astype(np.float32) for m in means])
    return {"optical": optical, "looks": looks.astype(np.uint8), "radar": radar}


def odc_dask(index: Path, size: int, threads: int) -> Callable[[], Answer]:
    import dask
    import xarray

    def run() -> Answer:
        optical, radar = loaded(index, size, {"x": 2048, "y": 2048})
        clear = optical.SCL.isin(CLEAR)
        medians = {}
        for band in BANDS:
            digits = optical[band]
            valid = clear & (digits != 0)
            shifted = xarray.where(digits > 1001, digits, 1001) - np.uint16(1000)
            medians[band] = shifted.where(valid).astype("float32").median("time", skipna=True)
        medians["looks"] = clear.sum("time")
        means = {
            b: radar[b].where(radar[b] > 0).astype("float64").mean("time") for b in ("vv", "vh")
        }
        with dask.config.set(scheduler="threads", num_workers=threads):
            made, power = dask.compute(xarray.Dataset(medians), xarray.Dataset(means))
        return finished(
            [made[b].values for b in BANDS], made["looks"].values, [power[b].values for b in power]
        )

    return run


def odc_bottleneck(index: Path, size: int, threads: int) -> Callable[[], Answer]:
    import bottleneck

    def run() -> Answer:
        optical, radar = loaded(index, size, None)
        clear = np.isin(optical.SCL.values, CLEAR)
        medians = []
        for band in BANDS:
            digits = optical[band].values
            shifted = (np.maximum(digits, 1001) - 1000).astype(np.float32)
            shifted[~clear | (digits == 0)] = np.nan
            medians.append(bottleneck.nanmedian(shifted, axis=0))
            del optical[band]
        means = []
        for band in ("vv", "vh"):
            power = radar[band].values.astype(np.float64)
            means.append(bottleneck.nanmean(np.where(power > 0, power, np.nan), axis=0))
        return finished(medians, clear.sum(axis=0), means)

    return run


PREPARED: dict[str, Engine] = {
    "limit": limit,
    "gdal-limit": lambda index, size, threads: limit(index, size, threads, by_gdal=True),
    "ours": ours,
    "odc-dask": odc_dask,
    "odc-bottleneck": odc_bottleneck,
}


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
