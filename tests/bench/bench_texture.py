"""How like its neighbours a pixel is: images of satellites beside simulated chips.

    PYTHONPATH=. python tests/bench/bench_texture.py --real FOLDER --chips FOLDER [--json F]

Both are searched for files: pairs `*s2_l2a.tif` and `*s1_*db.tif` under the one (see
bench_months.py for bands and units), chips under the other, such as the folder `held-out` of a
training (those to learn from are varied). The table has medians of images. From each
image the mean of 15 x 15 pixels around is taken away; of what is left, the table has the
correlation with the next pixel and with the next but one along both axes, and the standard
deviation, for VV in dB and for B04, B08 and B11 in roots of reflectance. `rough` is 1.48 times the
median of how far pixels lie from the median of 5 x 5 around them, and `outliers` how many times
that the standard deviation of the same is: 1 where all is noise, more where single pixels and
edges stand out. `with B04` is the correlation of what a band and B04 differ by: high where shadows
make the ground rough, negative where plants do.

`fields` is how much fields differ from each other, half of what lies between the 16th and the 84th
percentile of the root of B04 under a median of 5 x 5 pixels: within the labelled crops, `--code` in
the label rasters of real places.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
import torch
import torch.nn.functional as F

from mapper.dynamicworld.chips import SUFFIX, load_chip
from mapper.dynamicworld.pairs import LABEL_FILES, OPTICAL_FILE, named_bands
from mapper.errors import RequestError
from mapper.imagery.bands import OPTICAL_NAMES
from mapper.land.legend import CLASS_NAMES

WIDE_PX = 15
LEAST_CROPS_PX = 4000
"""Fewer say little of how fields differ."""
OPTICAL = ("B04", "B08", "B11")
Floats = npt.NDArray[np.float64]


def mean_around(plane: Floats) -> Floats:
    """(y, x) mean of the pixels around each, mirrored at the edge."""
    half = WIDE_PX // 2
    wide = F.pad(torch.from_numpy(plane)[None, None], (half, half, half, half), mode="reflect")
    mean: Floats = F.avg_pool2d(wide, WIDE_PX, 1)[0, 0].numpy()
    return mean


def median_around(plane: Floats) -> Floats:
    """(y, x) median of 5 x 5 pixels, mirrored at the edge."""
    wide = np.lib.stride_tricks.sliding_window_view(np.pad(plane, 2, "reflect"), (5, 5))
    return np.median(wide, axis=(2, 3)).astype(np.float64)


def beside(plane: Floats) -> Floats:
    """(y, x) how far pixels lie from the median around them."""
    difference: Floats = plane - median_around(plane)
    return difference


def texture(plane: Floats, apart: Floats) -> list[float]:
    """Correlation with the next pixel, with the next but one, deviation, roughness, outliers.

    Args:
        apart: `beside` of the plane.
    """
    fine = plane - mean_around(plane)
    variance = fine.var()
    near = [
        ((fine[:, step:] * fine[:, :-step]).mean() + (fine[step:] * fine[:-step]).mean()) / 2
        for step in (1, 2)
    ]
    rough = 1.4826 * float(np.median(np.abs(apart)))
    correlations = (float(product / variance) for product in near)
    outliers = float(apart.std()) / max(rough, 1e-6)
    return [*correlations, float(np.sqrt(variance)), rough, outliers]


def radar_texture(vv: Floats) -> list[float]:
    """`texture` of backscatter in dB."""
    return texture(vv, beside(vv))


def optical_textures(roots: Floats) -> Iterator[tuple[str, list[float]]]:
    """`texture` of every band, and how it goes with B04."""
    apart = [beside(plane) for plane in roots]
    for band, plane, own in zip(OPTICAL, roots, apart, strict=True):
        with_red = float(np.corrcoef(own.ravel(), apart[0].ravel())[0, 1])
        yield band, [*texture(plane, own), with_red]


def difference(red: Floats, crops: npt.NDArray[np.bool_]) -> list[float]:
    """How much fields differ; nothing where there are few."""
    if crops.sum() < LEAST_CROPS_PX:
        return []
    low, high = np.percentile(median_around(red)[crops], [16, 84])
    return [float(high - low) / 2]


def real(folder: Path, code: int) -> Iterator[tuple[str, str, list[float]]]:
    """(what, band, figures) of every image that has no hole."""
    for path in sorted(folder.rglob("*s1_*db.tif")):
        (vv,), _ = named_bands(path, ("VV",))
        if np.isfinite(vv).all():
            yield path.parent.name, "VV", radar_texture(vv.astype(np.float64))
    for path in sorted(folder.rglob(f"*{OPTICAL_FILE}")):
        try:
            digits = np.stack(named_bands(path, OPTICAL)[0]).astype(np.float64)
        except RequestError:
            continue  # a place without one of the bands
        if digits.min() > 0:
            roots = np.sqrt(digits / 10_000)
            for band, figures in optical_textures(roots):
                yield path.parent.name, band, figures
            for label in path.parent.glob(LABEL_FILES):
                with rasterio.open(label) as raster:
                    yield path.parent.name, "fields", difference(roots[0], raster.read(1) == code)


def simulated(folder: Path, most: int) -> Iterator[tuple[str, str, list[float]]]:
    """The same of some chips, by their number of looks."""
    for path in sorted(folder.glob(f"*{SUFFIX}"))[:most]:
        chip = load_chip(path)
        yield f"simulated, radar looks: {chip.radar_looks}", "VV", radar_texture(chip.radar[0])
        if not chip.optical.all():
            continue
        name = f"simulated, optical looks: {chip.optical_looks}"
        roots = np.sqrt(chip.optical[[OPTICAL_NAMES.index(band) for band in OPTICAL]] / 10_000.0)
        for band, figures in optical_textures(roots):
            yield name, band, figures
        yield name, "fields", difference(roots[0], chip.label == CLASS_NAMES.index("crops"))


def main() -> None:
    """Print one line for each place or number of looks, and band."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, help="folder with places of real pixels")
    parser.add_argument("--code", type=int, default=100, help="crops in label rasters")
    parser.add_argument("--chips", type=Path, help="folder of simulated chips")
    parser.add_argument("--most", type=int, default=150, help="chips that are read")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    given = parser.parse_args()
    found: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    for source in (
        real(given.real, given.code) if given.real else (),
        simulated(given.chips, given.most) if given.chips else (),
    ):
        for what, band, figures in source:
            if figures:
                found[what, band].append(figures)
    print(
        f"{'':44s} {'band':7s} images   next  next but one  deviation   rough  outliers  with B04"
    )
    for (what, band), rows in sorted(found.items()):
        if band == "fields":
            low, middle, high = np.percentile(rows, [0, 50, 100])
            print(f"{what:44s} {band:7s} {len(rows):6d}   {low:.3f} to {high:.3f}, {middle:.3f}")
            continue
        near, second, deviation, rough, outliers, *with_red = np.median(rows, axis=0)
        print(
            f"{what:44s} {band:7s} {len(rows):6d} {near:6.2f} {second:13.2f} {deviation:10.3f} "
            f"{rough:7.4f} {outliers:9.1f} " + "".join(f"{value:9.2f}" for value in with_red)
        )
    if given.json:
        table = [{"of": of, "band": band, "figures": rows} for (of, band), rows in found.items()]
        given.json.write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
