"""How bright each class is to radar, and whether classes of one place deviate together.

    PYTHONPATH=. python tests/bench/bench_backscatter.py [--points F] [--pixels F] [--real FOLDER]
        [--chips FOLDER] [--json F]

    points      measured pixel-dates (parquet): the median of the medians of places
    pixels      pixel-months of the United States (npz): the median
    real        chips of real scenes with label rasters, as `mapper evaluate` reads them; grass and
                shrub that are one in them are in the row of grass
    chips       simulated chips, such as the folder `held-out` of a training (those to learn from
                are varied)

Of images it is the median of means of power over 5 x 5 pixels of one class, in dB. `together` is
the covariance, in dB², of two classes of land that were seen within half a degree in one month by
one source: of what each differs by from the mean of its class in that month and source. VV of both,
VH of both, VV of one and VH of the other.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd  # type: ignore[import-untyped]
import torch
import torch.nn.functional as F

from mapper.imagery.bands import RADAR_NAMES
from mapper.inference.cases import cases_in
from mapper.land.legend import CLASS_COUNT, CLASS_NAMES

RADAR = list(RADAR_NAMES)
LAND = [CLASS_NAMES.index(name) for name in ("trees", "grass", "crops", "shrub_and_scrub")]
CELL_DEG = 0.5
SIDE_PX = 5
LEAST_PX = 50
"""Fewer pixels of a class in an image say nothing of it."""


def measured_points(path: Path) -> pd.DataFrame:
    """Rows of points with radar and a class."""
    rows = pd.read_parquet(path)
    rows = rows[(rows.dw_class >= 0) & (rows.qa == "ok") & rows.VV.notna()]
    return rows.rename(columns={"dw_class": "cover"})


def measured_pixels(path: Path) -> pd.DataFrame:
    """Rows of the table of pixel-months; each is a place."""
    known = np.load(path)
    rows = pd.DataFrame(known["features"][:, :2], columns=RADAR)
    rows["cover"], rows["place"] = known["dynamic_world"], np.arange(len(rows))
    rows["lat"], rows["lon"], rows["month"] = known["lat"], known["lon"], known["month"]
    return rows.assign(source="pixels")


def of_places(rows: pd.DataFrame) -> pd.DataFrame:
    """The median of every class's places."""
    places = rows.groupby(["cover", "place"])[RADAR].median()
    return places.groupby("cover")[RADAR].median()


def together(rows: pd.DataFrame) -> tuple[float, float, float, int]:
    """Covariances of pairs of classes of land, and how many pairs there are."""
    cells = {"row": rows.lat // CELL_DEG, "column": rows.lon // CELL_DEG}
    keys = ["row", "column", "month", "source"]
    land = rows[rows.cover.isin(LAND)].assign(**cells)
    found = land.groupby([*keys, "cover"])[RADAR].median()
    apart = found - found.groupby(["cover", "month", "source"]).transform("mean")
    pairs = [
        pair
        for _, cell in apart.groupby(keys)
        for pair in combinations(cell.to_numpy(np.float64), 2)
    ]
    if not pairs:
        raise SystemExit("no two classes of land were seen in one place and month")
    first, second = np.swapaxes(pairs, 0, 1)
    vv, vh = (first * second).mean(axis=0)
    across = (first * second[:, ::-1]).mean()
    return float(vv), float(vh), float(across), len(pairs)


def of_image(
    radar: npt.NDArray[np.float32], label: npt.NDArray[np.uint8]
) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
    """(class, (VV, VH) in dB) of an image, (2, y, x) dB and (y, x) codes."""
    power = torch.from_numpy(np.power(10, radar.astype(np.float64) / 10))[None]
    level = 10 * np.log10(F.avg_pool2d(power, SIDE_PX, 1)[0].numpy())
    codes = torch.from_numpy(label.astype(np.float32))[None]
    most, least = (sign * F.max_pool2d(sign * codes, SIDE_PX, 1)[0].numpy() for sign in (1, -1))
    seen = np.isfinite(level).all(axis=0)
    for code in range(CLASS_COUNT):
        own = seen & (most == code) & (least == code)
        if own.sum() >= LEAST_PX:
            yield code, np.median(level[:, own], axis=1)


def of_images(folder: Path) -> Iterator[tuple[str, dict[int, npt.NDArray[np.float64]]]]:
    """Each labelled image of a folder, by class: simulated chips, or chips of real scenes."""
    for case in cases_in(folder).cases:
        rows, columns = case.region.slices_in(case.composite.region)
        levels = dict(of_image(case.composite.radar[:, rows, columns], case.truth))
        if levels:
            yield case.place, levels


def table(levels: dict[int, npt.NDArray[np.float64]]) -> pd.DataFrame:
    """VV and VH by class."""
    return pd.DataFrame.from_dict(levels, orient="index", columns=RADAR)


def of_chips(folder: Path) -> pd.DataFrame:
    """The median over simulated chips, by class."""
    found = defaultdict(list)
    for _, levels in of_images(folder):
        for code, level in levels.items():
            found[code].append(level)
    return table({code: np.median(levels, axis=0) for code, levels in found.items()})


def main() -> None:
    """Print one row for each class and a column for each source."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("points", "pixels", "real", "chips", "json"):
        parser.add_argument(f"--{name}", type=Path)
    given = parser.parse_args()
    tables = {}
    if given.points:
        tables["points"] = measured_points(given.points)
    if given.pixels:
        tables["pixels"] = measured_pixels(given.pixels)
    columns = {name: of_places(rows) for name, rows in tables.items()}
    if given.real:
        columns |= {place: table(levels) for place, levels in of_images(given.real)}
    if given.chips:
        columns["chips"] = of_chips(given.chips)
    print("| VV, VH in dB | " + " | ".join(columns) + " |\n|" + " --- |" * (len(columns) + 1))
    for code, name in enumerate(CLASS_NAMES):
        cells = [
            f"{level.VV[code]:.1f}, {level.VH[code]:.1f}" if code in level.index else ""
            for level in columns.values()
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")
    shared = {name: together(rows) for name, rows in tables.items()}
    for name, (vv, vh, across, count) in shared.items():
        print(f"together, {name}: {vv:.1f}, {vh:.1f}, {across:.1f} ({count} pairs)")
    if given.json:
        levels = {name: level.to_dict() for name, level in columns.items()}
        given.json.write_text(json.dumps({"levels": levels, "together": shared}, indent=1))


if __name__ == "__main__":
    main()
