"""SOURCES.md: what the packaged spectra were fitted from."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd  # type: ignore[import-untyped]

_HEAD = """# Sources of spectra.npz

The simulated archive paints its landscapes with class statistics fitted from labelled pixels that
real satellites saw: means by season, spreads and mixture weights. No measured row is in the file.
Contains modified Copernicus Sentinel data 2016-2023. Written by
`python -m mapper.simulated.fit_spectra points.parquet pixels.npz`.

| source | level | rows used | with radar | places | licence |
|---|---|---|---|---|---|
"""
_TAIL = """
Radar of snow and ice comes from a table of 9,048 pixel-months in the United States of America
(pixels.npz, MIT licence), for no labelled snow above was seen by radar. Land is painted darker to
radar than the sources above have it, crops most, for it is darker in that table (spectra.py says
by how much).

Rows of the DE Africa cropland masks that are labelled as no crops have no other class. They were
given one by their vegetation index, or all of dry Africa would look like a field: below 0.12 bare,
up to 0.45 grass or shrub by turns, which the source does not tell apart; wet and greener ones are
left out.

## What was left out, and how spots were cleaned
Left out: rows whose quality is not "ok" or that have no class, sources for evaluation only
(terramesh), top-of-atmosphere (L1C) sources, rows with a band farther than 3.5 robust deviations
from their class. Rows of one spot (a class, place and quarter degree) and one quarter of the year
that look alike go when less than a quarter of their 25 nearest neighbours of other places, classes
counting equally, are of their class: such rows are mostly mislabelled. A spot is dropped when none
of its rows stays.

| class | spots used | spots dropped |
|---|---|---|
"""


def sources_page(
    counted: pd.DataFrame, names: Sequence[str], kept: Sequence[int], dropped: Sequence[int]
) -> str:
    """The page as Markdown."""
    lines = [
        f"| {row.source} | {row.level} | {row.rows} | {row.radar} | {row.places} | {row.licence} |"
        for row in counted.itertuples()
    ]
    classes = [f"| {n} | {k} | {d} |" for n, k, d in zip(names, kept, dropped, strict=True)]
    return _HEAD + "\n".join(lines) + "\n" + _TAIL + "\n".join(classes) + "\n"
