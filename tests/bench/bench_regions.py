"""How alike the ground of one region is: measured places beside the painting's provinces.

    PYTHONPATH=. python tests/bench/bench_regions.py --points points.parquet [--json F]

Share: what part of the variance of a class's spots is between regions rather than inside them.
Together: how two classes rise and fall with the region, the covariance of their means in one region
over the root of the product of their variances between regions. Red, near and short-wave infrared
are roots of reflectance.

Measured: spots at 40 degrees and more from the equator, each less the mean of its class in that
month; a region is 0.6 degrees wide, in one month of one year, and has two spots or more (in
brackets: how many regions do). Wrong labels and clouds count as variance inside a region, and what
sources and countries differ by as variance between regions: an upper bound. Less the mean of its
source, too, nothing of that is left, nor of what countries of one source differ by: a lower bound.
Painted: provinces at 44, 50 and 54 degrees in spring and summer. `together` may exceed 1, for its
parts are estimates.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd  # type: ignore[import-untyped]

from mapper.imagery.bands import OPTICAL_NAMES
from mapper.land.legend import CLASS_NAMES
from mapper.simulated.cover import BARE, BUILT, CROPS, GRASS, SHRUB, TREES
from mapper.simulated.fit_rows import OPTICAL_COLUMNS
from mapper.simulated.spectra import QUARTERS, RANK, Places, palette, spectra
from mapper.simulated.texture import SHARED_PART

CELL_DEG = 0.6
SPOT_DEG = 0.001
SPOT = ["lat", "lon"]
"""In steps of SPOT_DEG, where a spot is."""
LEAST_LATITUDE = 40.0
LATITUDES = (44.0, 50.0, 54.0)
PROVINCES = 300
CLASSES = (TREES, GRASS, CROPS, SHRUB, BUILT, BARE)
PAIRS = ((GRASS, CROPS), (GRASS, SHRUB), (CROPS, SHRUB), (TREES, GRASS), (TREES, CROPS))
COLUMNS = ["NDVI", "red", "NIR", "SWIR"]
FEW = 5
"""Fewer regions say nothing."""


def measures(roots: npt.NDArray[np.floating]) -> dict[str, npt.NDArray[np.floating]]:
    """What is compared, of (..., 10) roots of reflectance."""
    red, near, short = (roots[..., OPTICAL_NAMES.index(name)] for name in ("B04", "B08", "B11"))
    ndvi = (near**2 - red**2) / (near**2 + red**2)
    return dict(zip(COLUMNS, (ndvi, red, near, short), strict=True))


def apart(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """The rows, of what is compared less the mean of all that are alike in some columns."""
    return rows.assign(**(rows[COLUMNS] - rows.groupby(list(by))[COLUMNS].transform("mean")))


def measured(path: Path) -> pd.DataFrame:
    """One row for each pixel-date: class, month, source, region, spot, what is compared."""
    rows = pd.read_parquet(path)
    known = (rows.dw_class >= 0) & (rows.qa == "ok") & (rows.level != "L1C") & rows.month.notna()
    rows = rows[known & (rows.lat.abs() >= LEAST_LATITUDE)]
    optical = rows[list(OPTICAL_COLUMNS)].to_numpy(np.float64)
    found = pd.DataFrame(measures(np.sqrt(optical.clip(0))))
    found["cover"] = rows.dw_class.to_numpy()
    found["month"], found["source"] = rows.month.to_numpy(), rows.source.to_numpy()
    where = [(rows[name] / CELL_DEG).round().astype(str) for name in SPOT]
    found["region"] = (where[0] + " " + where[1] + " " + rows.date.str[:4]).to_numpy()
    found["region"] += " " + found.month.astype(str)
    for name in SPOT:
        found[name] = (rows[name] / SPOT_DEG).round().to_numpy()
    return found


def spots_of(rows: pd.DataFrame, less: Sequence[str]) -> pd.DataFrame:
    """One row for each spot and region, less the mean of its class and of some columns."""
    groups = apart(rows, ["cover", *less]).groupby(["cover", "region", *SPOT])
    return groups[COLUMNS].mean().reset_index()


def painted(places: Places) -> pd.DataFrame:
    """The same of kinds in the palettes of provinces; every kind is a spot."""
    mixture, random = spectra(places), np.random.default_rng(0)
    of_place, of_pixel = mixture.factors[..., :RANK], mixture.factors[..., RANK:]
    # As texture.py has it: what is even in a parcel of how pixels differ goes with its place.
    factors = of_place + SHARED_PART * np.roll(of_pixel, 1, axis=-1)
    parts = []
    for latitude in LATITUDES:
        for province in range(PROVINCES):
            kinds = palette(mixture, province * 7919, latitude)
            for quarter in range(1, QUARTERS - 1):
                for cover in CLASSES:
                    kind = kinds[quarter, cover]
                    own = random.standard_normal((len(kind), RANK, 1))
                    roots = mixture.mean[kind] + (factors[kind] @ own)[..., 0]
                    part = pd.DataFrame(measures(roots[:, : len(OPTICAL_NAMES)]))
                    part["cover"], part["season"] = cover, quarter
                    part["region"] = f"{province} {latitude} {quarter}"
                    parts.append(part)
    return apart(pd.concat(parts, ignore_index=True), ["cover", "season"])


def of_regions(spots: pd.DataFrame, cover: int, column: str) -> tuple[pd.Series, float, float]:
    """A class: the mean of every region, the variance between regions, and that of all spots."""
    own = spots[spots.cover == cover].dropna(subset=column)
    own = own[own.groupby("region")[column].transform("count") >= 2]
    groups = own.groupby("region")[column]
    if groups.ngroups < FEW:
        return groups.mean(), np.nan, np.nan
    inside = (groups.var() * (groups.count() - 1)).sum() / (groups.count() - 1).sum()
    whole = own[column].var()
    return groups.mean(), whole - inside, whole


def rows_of(spots: pd.DataFrame) -> Iterator[tuple[str, Mapping[str, float]]]:
    """Each row of the table: its title, and a number for each thing compared."""
    known = {(c, name): of_regions(spots, c, name) for c in CLASSES for name in COLUMNS}
    for cover in CLASSES:
        shares = {name: known[cover, name][1] / known[cover, name][2] for name in COLUMNS}
        yield f"share, {CLASS_NAMES[cover]}", {**shares, "regions": len(known[cover, "red"][0])}
    for one, other in PAIRS:
        together = {}
        for name in COLUMNS:
            (first, between, _), (second, beside, _) = known[one, name], known[other, name]
            both = pd.concat([first, second], axis=1, join="inner").to_numpy()
            size = np.sqrt(between * beside) if between > 0 and beside > 0 else np.nan
            together[name] = float(np.cov(both.T)[0, 1] / size)
        together["regions"] = len(both)
        yield f"together, {CLASS_NAMES[one]} and {CLASS_NAMES[other]}", together


def cell(row: Mapping[str, float]) -> str:
    """What is compared, and of how many regions."""
    return ", ".join(f"{row[name]:.2f}" for name in COLUMNS) + f" ({row['regions']})"


def main() -> None:
    """Print one row for each class and pair, and a column for each source."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=Path, required=True, help="measured pixel-dates (parquet)")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    given = parser.parse_args()
    rows = measured(given.points)
    sources = {
        "measured": dict(rows_of(spots_of(rows, ["month"]))),
        "measured, less its source's mean": dict(rows_of(spots_of(rows, ["month", "source"]))),
    }
    for places in Places:
        sources[f"painted, {places.value}"] = dict(rows_of(painted(places)))
    print(f"| {', '.join(COLUMNS)} (regions) | " + " | ".join(sources) + " |")
    print("|" + " --- |" * (len(sources) + 1))
    for title in sources["measured"]:
        cells = [cell(found[title]) for found in sources.values()]
        print(f"| {title} | " + " | ".join(cells) + " |")
    if given.json:
        given.json.write_text(json.dumps({"python": sys.version, **sources}, indent=1) + "\n")


if __name__ == "__main__":
    main()
