"""How one place is mapped in each season: recall of one class, by the months of the composite.

    PYTHONPATH=. python tests/bench/bench_months.py --place FOLDER --code 100 --as crops [--json F]

The folder has a pair of GeoTIFFs for each date, and labels on the same grid:

    FOLDER/2021-07-01_s2_l2a.tif    digital numbers without the offset of 1000 that products have
                                    since 2022; bands by name; of B8A it may have none
    FOLDER/2021-07-01_s1_*db.tif    VV and VH in dB
    FOLDER/label_*.tif              --code is the value of the class that is looked for

A field is bare in one month and green in another, so a network that knows a class in one season may
miss it in the next. Three months make a composite, as in production: the median of the optical
images, the mean of the radar's power. Where B8A is missing, B08 stands for it: 842 and 865 nm.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio

from mapper.dynamicworld.chips import Chip
from mapper.dynamicworld.pairs import named_bands
from mapper.errors import RequestError
from mapper.imagery.bands import OPTICAL_NAMES, OPTICAL_NODATA, RADAR_NAMES
from mapper.inference.cases import case_of
from mapper.inference.predict import Predictor
from mapper.inference.windows import WINDOW_PX
from mapper.land.legend import CLASS_NAMES, NODATA
from mapper.lulcformer.checkpoint import load, packaged

MONTHS = 3
STAND_INS = {"B8A": "B08"}
"""What a raster without a band is read with."""
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Season:
    """What a composite of some months was mapped as."""

    months: str
    dates: int
    recall: float
    """Share of the labelled pixels that are mapped as the class."""
    false_alarms: float
    """Share of the others that are."""
    commonest: str
    """What most of the labelled pixels are mapped as."""


def stacked(path: Path, names: tuple[str, ...]) -> Floats:
    """(band, y, x) by name; NaN where the raster says nodata."""
    try:
        bands, nodata = named_bands(path, names)
    except RequestError:
        bands, nodata = named_bands(path, tuple(STAND_INS.get(name, name) for name in names))
    stack = np.stack(bands).astype(np.float32)
    if nodata is not None:
        stack[:, (stack == nodata).any(0)] = np.nan
    return stack


def composite(folder: Path, dates: list[str]) -> Chip:
    """The chip of some dates, without labels."""
    optical = [stacked(folder / f"{date}_s2_l2a.tif", OPTICAL_NAMES) for date in dates]
    radar = [stacked(next(folder.glob(f"{date}_s1_*db.tif")), RADAR_NAMES) for date in dates]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # pixels that no date saw stay NaN
        median = np.nanmedian(optical, axis=0)
        power = np.nanmean(np.power(10, np.divide(radar, 10)), axis=0)
    seen, shape = np.isfinite(median), median.shape[1:]
    digits = np.clip(np.round(np.where(seen, median, 1)), 1, 65535)
    return Chip(
        optical=np.where(seen, digits, OPTICAL_NODATA).astype(np.uint16),
        radar=(10 * np.log10(power)).astype(np.float32),
        label=np.full(shape, NODATA, np.uint8),
        place=folder.name,
        lon=0.0,
        lat=0.0,
        period=f"{dates[0]}/{dates[-1]}",
        optical_looks=len(dates),
        radar_looks=len(dates),
        simulated=False,
        source=folder.name,
    )


def seasons(folder: Path, code: int, wanted: int, predictor: Predictor) -> list[Season]:
    """Every run of three months that has an image of each, in order."""
    with rasterio.open(next(folder.glob("label_*.tif"))) as raster:
        labelled = raster.read(1) == code
    dates = sorted(path.name[:10] for path in folder.glob("*_s2_l2a.tif"))
    months = sorted({date[:7] for date in dates})
    runs = [months[at : at + MONTHS] for at in range(len(months) - MONTHS + 1)]
    found = []
    for run in (run for run in runs if apart(run[0], run[-1]) == MONTHS - 1):
        used = [date for date in dates if date[:7] in run]
        case = case_of(composite(folder, used))
        if not case.alone:
            height, width = labelled.shape
            sys.exit(f"{folder} has {width} x {height} px, wanted at most {WINDOW_PX}: cut it")
        answer = predictor.predict_alone(case.composite).land_cover
        mapped = answer[case.region.slices_in(case.composite.region)]
        counts = np.bincount(mapped[labelled], minlength=NODATA + 1)[: len(CLASS_NAMES)]
        found.append(
            Season(
                f"{run[0]} to {run[-1]}",
                len(used),
                float(np.mean(mapped[labelled] == wanted)),
                float(np.mean(mapped[~labelled] == wanted)),
                CLASS_NAMES[int(counts.argmax())],
            )
        )
    return found


def apart(first: str, last: str) -> int:
    """Months from one to another, as in 2021-07."""
    begun, ended = (12 * int(month[:4]) + int(month[5:]) for month in (first, last))
    return ended - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--place", type=Path, required=True, help="folder of dated images")
    parser.add_argument("--code", type=int, required=True, help="of the class in the labels")
    parser.add_argument("--as", dest="wanted", required=True, choices=CLASS_NAMES)
    parser.add_argument("--checkpoint", type=Path, help="[the packaged weights]")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    given = parser.parse_args()
    predictor = Predictor(load(given.checkpoint or packaged()), "cpu", "fp32")
    found = seasons(given.place, given.code, CLASS_NAMES.index(given.wanted), predictor)
    predictor.close()
    for season in found:
        print(
            f"{season.months}  {season.dates} dates  recall {season.recall:.2f}  "
            f"on others {season.false_alarms:.2f}  mostly {season.commonest}"
        )
    if given.json:
        given.json.write_text(json.dumps([asdict(season) for season in found], indent=1) + "\n")


if __name__ == "__main__":
    main()
