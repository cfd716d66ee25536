"""Which measured rows count, and as what."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mapper.simulated.cover import BARE, CROPS, GRASS, SHRUB, WATER
from mapper.simulated.fit_rows import OPTICAL_COLUMNS, RADAR_COLUMNS, read_rows

SOURCE = "deafrica_cropmask_somewhere"


def table(red: float, infrared: float, shortwave: float, kind: str, source: str) -> pd.DataFrame:
    """Forty rows that differ by noise, of one colour, told to be crops or not."""
    random = np.random.default_rng(5)
    bands = dict.fromkeys(OPTICAL_COLUMNS, 0.1) | {"B4": red, "B8": infrared, "B11": shortwave}
    noisy = {band: value + random.normal(0, 0.002, 40) for band, value in bands.items()}
    facts = {
        "source": source,
        "licence": "any",
        "lat": np.nan,
        "lon": np.nan,
        "month": np.nan,
        "level": "L2A 6-month geomedian",
        "class_original": kind,
        "dw_class": float(CROPS) if kind == "crop" else np.nan,
        "place": source,
        "qa": "ok",
    }
    return pd.DataFrame(noisy | dict.fromkeys(RADAR_COLUMNS, np.nan) | facts)


@pytest.mark.parametrize(
    ("red", "infrared", "shortwave", "kind", "source", "classes"),
    [
        (0.15, 0.26, 0.36, "non-crop", SOURCE, {GRASS, SHRUB}),
        (0.30, 0.34, 0.45, "non-crop", SOURCE, {BARE}),
        (0.15, 0.26, 0.36, "crop", SOURCE, {CROPS}),
        (0.03, 0.40, 0.20, "non-crop", SOURCE, set()),  # green: woods or meadow
        (0.05, 0.06, 0.02, "non-crop", SOURCE, set()),  # water
        (0.15, 0.26, 0.36, "non-crop", "another", set()),
    ],
)
def test_untilled_ground_of_a_cropland_mask_is_told_apart_by_its_green(
    tmp_path: Path,
    red: float,
    infrared: float,
    shortwave: float,
    kind: str,
    source: str,
    classes: set[int],
) -> None:
    points = tmp_path / "points.parquet"
    own = table(red, infrared, shortwave, kind, source)
    water = table(0.02, 0.02, 0.01, "crop", "other").assign(dw_class=float(WATER))
    pd.concat([own, water]).to_parquet(points)
    rows, _, counted = read_rows(points)
    assert set(rows.cover[rows.source == source].tolist()) == classes
    assert set(rows.cover[rows.source == "other"].tolist()) == {WATER}
    assert set(counted.source) == {"other"} | ({source} if classes else set())
