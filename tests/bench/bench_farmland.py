"""What the simulated farmland of some countries is made of: crops or meadow, and fields how large.

    PYTHONPATH=. python tests/bench/bench_farmland.py [--places 24] [--json F]

Of the farmland of the European Union 60.5 % was arable in 2007, 32.9 % permanent grassland and
6.4 % permanent crops (Eurostat, "Cropping and livestock pattern statistics"). Half of the farmland
of the world lies in small and very small fields, of less than 2.56 ha (Lesiv et al. 2019).
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mapper.dynamicworld.simulated_chips import spot_at
from mapper.simulated.cover import CROPS, GRASS
from mapper.simulated.landscape import FIELD, landscape

BOXES = {
    "Denmark": (8.3, 55.2, 10.5, 57.3),
    "Ireland": (-9.0, 52.0, -6.5, 54.0),
    "Germany": (8.0, 48.5, 13.0, 53.0),
    "France": (-0.5, 45.0, 5.0, 49.5),
    "Poland": (16.0, 50.5, 22.0, 53.5),
    "Luxembourg": (5.8, 49.5, 6.4, 50.1),
    "Iowa": (-96.0, 41.0, -91.0, 43.5),
    "Ganges": (76.0, 25.0, 85.0, 28.5),
}
"""West, south, east, north in degrees: well inside the country or plain."""
SIDE_PX = 384
LEAST_FARMED = 0.05
"""Share of a place that is farmland, below which its crops say nothing."""
HECTARE_PX = 100


@dataclass(frozen=True, slots=True)
class Farmland:
    """The fields of some random places of a country."""

    country: str
    farmed: float
    """Share of the ground that lies in fields of crops or grass."""
    crops: float
    """Share of the fields' area: the mean over places that are farmed, and three percentiles."""
    crops_10: float
    crops_50: float
    crops_90: float
    half_below_ha: float
    """Size of field below which half of the farmland lies."""


def measured(country: str, places: int, random: np.random.Generator) -> Farmland:
    """Some random places of a country."""
    west, south, east, north = BOXES[country]
    farmed, crops, sizes = [], [], []
    for _ in range(places):
        spot = spot_at(
            random.uniform(west, east), random.uniform(south, north), date(2024, 6, 1), SIDE_PX
        )
        ground = landscape(spot.region)
        fields = (ground.unit >= FIELD) & np.isin(ground.truth, (CROPS, GRASS))
        farmed.append(fields.mean())
        sizes.append(field_sizes(ground.unit[fields]))
        if fields.mean() >= LEAST_FARMED:
            crops.append((ground.truth[fields] == CROPS).mean())
    if not crops:
        raise SystemExit(f"none of {places} places of {country} is farmed; give more --places")
    areas = np.sort(np.concatenate(sizes))
    half = areas[np.searchsorted(np.cumsum(areas), areas.sum() / 2)]
    low, middle, high = np.percentile(crops, [10, 50, 90])
    shares = (np.mean(farmed), np.mean(crops), low, middle, high, half / HECTARE_PX)
    return Farmland(country, *(round(float(share), 2) for share in shares))


def field_sizes(units: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
    """Pixels of each field; those that the edge of a place cuts are smaller than they are."""
    return np.unique(units, return_counts=True)[1]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--places", type=int, default=24, help="of every country")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    given = parser.parse_args()
    print("| | farmed | crops of it | 10th, 50th, 90th percentile | half in fields below, ha |")
    print("| --- | --- | --- | --- | --- |")
    found = []
    for country in BOXES:
        row = measured(country, given.places, np.random.default_rng(0))
        spread = f"{row.crops_10:.2f}, {row.crops_50:.2f}, {row.crops_90:.2f}"
        print(
            f"| {country} | {row.farmed:.2f} | {row.crops:.2f} | {spread} | {row.half_below_ha} |",
            flush=True,
        )
        found.append(asdict(row))
    if given.json:
        given.json.write_text(json.dumps({"python": sys.version, "rows": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
