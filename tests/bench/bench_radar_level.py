"""What becomes of a map when all of its radar is brighter or darker.

    PYTHONPATH=. python tests/bench/bench_radar_level.py --on FOLDER [--checkpoint C] [--json F]

The folder is one that `mapper evaluate` reads. Decibels are added to VV and VH alike before the
network sees them, and agreement with the labels is printed for each place. A network that has
learned classes by their level, and not by what they are beside each other, does best on real
images when something is added; one that knows their level does best with nothing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from mapper.inference.cases import Case, cases_in
from mapper.inference.judge import with_merged
from mapper.inference.predict import Predictor
from mapper.land.legend import NODATA
from mapper.lulcformer.checkpoint import load, packaged

ADDED_DB = (-2.0, -1.0, 0.0, 1.0, 2.0, 3.0)


def agreement(
    case: Case, predictor: Predictor, added_db: float, merged: Mapping[int, int] | None
) -> float:
    """Share of a place's labelled pixels that are mapped as labelled."""
    seen = replace(case.composite, radar=case.composite.radar + np.float32(added_db))
    mapped = predictor.predict_alone(seen).land_cover[case.region.slices_in(seen.region)]
    labelled = case.truth != NODATA
    agrees = with_merged(mapped, merged) == with_merged(case.truth, merged)
    return float(agrees[labelled].mean())


def main() -> None:
    """Print a row for each place."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--on", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, help="default: the packaged weights")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    given = parser.parse_args()
    predictor = Predictor(load(given.checkpoint or packaged()), "cpu", "auto", 1)
    cases = cases_in(given.on)
    print("| place | " + " | ".join(f"{added:+.0f} dB" for added in ADDED_DB) + " |")
    print("|" + " --- |" * (len(ADDED_DB) + 1))
    rows = {}
    for case in cases.cases:
        if not case.alone:
            raise SystemExit(f"{case.place} is more than one window shows: cut it")
        rows[case.place] = [agreement(case, predictor, added, cases.merged) for added in ADDED_DB]
        print(
            f"| {case.place} | " + " | ".join(f"{share:.3f}" for share in rows[case.place]) + " |"
        )
    if given.json:
        given.json.write_text(json.dumps({"added_db": ADDED_DB, "agreement": rows}, indent=1))


if __name__ == "__main__":
    main()
