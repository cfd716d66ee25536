"""How well finished maps agree with the truth of the simulated archives they were made from.

    mapper simulate --country SMR --out archive
    mapper run --country SMR --archive archive --period 2024-06-01/2024-08-31 --out maps
    python tests/bench/bench_accuracy.py --truth archive/truth maps/SMR_2024-06-01_2024-08-31

Prints overall accuracy, balanced accuracy, mean IoU and the IoU of each class; --json keeps them.
Simulated scenes and simulated truth: the figures say nothing of real ground.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.windows import from_bounds

from mapper.land.grid import Grid
from mapper.land.legend import CLASS_COUNT, CLASS_NAMES, NODATA


def confusion(run: Path, truth: Path) -> npt.NDArray[np.int64]:
    """(true class, mapped class) pixels of all tiles of a run, where both have one."""
    total = np.zeros((CLASS_COUNT, CLASS_COUNT), np.int64)
    for path in sorted(run.glob("tiles/*/*/land_cover.tif")):
        zone = Grid().tile(path.parent.name).zone
        with rasterio.open(path) as mapped, rasterio.open(truth / f"{zone.name}.tif") as true:
            answer = mapped.read(1)
            window = from_bounds(*mapped.bounds, true.transform)
            wanted = true.read(1, window=window, boundless=True, fill_value=NODATA)
        both = (answer != NODATA) & (wanted != NODATA)
        cells = wanted[both].astype(np.int64) * CLASS_COUNT + answer[both]
        total += np.bincount(cells, minlength=CLASS_COUNT**2).reshape(total.shape)
    return total


def scores(matrix: npt.NDArray[np.int64]) -> dict[str, float]:
    """The usual figures of a confusion matrix; classes that do not occur are left out of means."""
    right, true, answered = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
    occurs = true > 0
    iou = {
        CLASS_NAMES[code]: right[code] / (true[code] + answered[code] - right[code])
        for code in np.flatnonzero(true + answered)
    }
    return {
        "pixels": float(matrix.sum()),
        "overall accuracy": float(right.sum() / matrix.sum()),
        "balanced accuracy": float((right[occurs] / true[occurs]).mean()),
        "mean IoU": float(np.mean(list(iou.values()))),
        **{f"IoU {name}": float(value) for name, value in iou.items()},
    }


def main() -> None:
    """Score each run given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="folders that `mapper run` made")
    parser.add_argument("--truth", type=Path, required=True, help="the archive's truth folder")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    arguments = parser.parse_args()
    found = {run.name: scores(confusion(run, arguments.truth)) for run in arguments.runs}
    for name, figures in found.items():
        print(f"{name}, simulated")
        for what, value in figures.items():
            print(f"  {what:<28}{value:>14,.3f}" if value <= 1 else f"  {what:<28}{value:>14,.0f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
