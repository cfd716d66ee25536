"""Which class covers a point, from climate, relief and noise: the rules of the landscape.

Compiled scalar functions of one position. Shares of classes follow from a handful of scores; the
constants were set by looking at pictures of simulated countries beside real ones, and are no more
than that. Lengths are metres, temperatures degrees Celsius, slopes rise over run.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from mapper.simulated.noise import fractal_at, hash3, mix, nearest_cell, unit

WATER, TREES, GRASS, FLOODED, CROPS, SHRUB, BUILT, BARE, SNOW = range(9)
LAPSE_PER_M = 0.0065
"""Fall of temperature with height (the standard atmosphere)."""
TREELINE_C = -2.0
"""Mean annual temperature above which forest closes: 2,100 m in the Alps."""
SNOWLINE_C = -7.5
"""Below it snow outlasts the summer: 2,850 m in the Alps."""
DESERT = 0.72
"""Dryness from which fields need a river and rivers are dry beds."""
RANGELAND = 0.62
"""Dryness that suits shrub best."""
_NATURAL = (TREES, GRASS, FLOODED, SHRUB, BARE, SNOW)
_CHANCE = 0.62
"""What one standard deviation of noise adds to a score."""
_LARGEST_NOISE = 3.2
"""Noise beyond this is one pixel in ten thousand."""
_SEED = 5000


@numba.njit(cache=True, inline="always")
def _bell(value: float, middle: float, width: float) -> float:
    """1 at the middle, falling off on either side."""
    step = (value - middle) / width
    return math.exp(-step * step)


@numba.njit(cache=True)
def lake_excess(
    x: float, y: float, z: float, dry: float, rivers: float, slope: float, valley: float
) -> float:
    """Positive in a lake; how near one is (negative) elsewhere."""
    if slope > 0.15:
        return -3.0
    field = fractal_at(x, y, z, 6200.0, 5, 0.46, _SEED)
    basin = 0.55 if abs(valley) < 0.16 else 0.0
    return field + basin - 2.35 - 1.4 * (dry - 0.4) + 0.22 * rivers - 9.0 * slope


@numba.njit(cache=True, inline="always")
def river_width(dry: float, rivers: float) -> float:
    """Width of the river in a valley; less than two pixels means that none is mapped."""
    return (16.0 + 26.0 * max(0.0, rivers + 0.5)) * (1.25 - 0.6 * dry)


@numba.njit(cache=True, inline="always")
def _suits(
    code: int, warmth: float, dry: float, woods: float, slope: float, river_near: float, lake: float
) -> float:
    """How well a class suits a place, before chance has its say."""
    if code == TREES:
        cold = max(0.0, TREELINE_C + 1.2 - warmth)
        score = 0.65 + 2.6 * (0.5 - dry) + 0.45 * woods + 1.1 * min(slope, 0.7) - 1.3 * cold
        return score - 6.0 * max(0.0, dry - 0.6)
    if code == GRASS:
        score = 0.25 + 0.9 * _bell(warmth, TREELINE_C - 1.0, 1.9) - 0.7 * slope
        return score - 4.5 * max(0.0, dry - 0.62) - 0.30 * max(0.0, -3.5 - warmth)
    if code == FLOODED:
        near = max(river_near, math.exp(min(0.0, lake) * 3.2))
        return -1.15 + 2.3 * near + 0.9 * (0.5 - dry) - 14.0 * slope
    if code == SHRUB:
        return -0.95 + 1.75 * _bell(dry, RANGELAND, 0.16) + 0.85 * _bell(warmth, TREELINE_C, 1.3)
    if code == BARE:
        score = -1.55 + 8.5 * max(0.0, dry - 0.62) + 2.2 * max(0.0, slope - 0.62)
        return score + 0.55 * min(4.0, max(0.0, TREELINE_C - 1.2 - warmth))
    score = 0.3 + 1.1 * (SNOWLINE_C - warmth) - 1.6 * max(0.0, slope - 0.55)
    return min(score, 4.0)


@numba.njit(cache=True)
def natural_class(
    at: tuple[float, float, float],
    warmth: float,
    dry: float,
    woods: float,
    slope: float,
    river_near: float,
    lake: float,
) -> int:
    """The class of ground that nobody tills or builds on: the highest of six scores.

    A score is how well the class suits the place, and noise; classes that no noise could lift to
    the top are not tried, which saves half of the time.
    """
    highest = -1e9
    for code in _NATURAL:
        highest = max(highest, _suits(code, warmth, dry, woods, slope, river_near, lake))
    best, found = -1e9, GRASS
    for code in _NATURAL:
        score = _suits(code, warmth, dry, woods, slope, river_near, lake)
        if score < highest - 2 * _CHANCE * _LARGEST_NOISE:
            continue
        noise = fractal_at(at[0], at[1], at[2], 1500.0, 4, 0.5, _SEED + 10 + code)
        score += _CHANCE * noise
        if score > best:
            best, found = score, code
    return found


@numba.njit(cache=True)
def farm_parcel(
    u: float, v: float, band: int, province: np.uint32, tidy: float
) -> tuple[np.uint32, np.uint32]:
    """The field a point lies in and the block of fields around it: their hashes.

    Blocks of about two kilometres have one direction, and in it rows of fields of one size.
    Of the farmland of 60 random chips half lay in fields of less than 2.56 ha, the small and very
    small ones of Lesiv et al. (2019, "Estimating the global distribution of field size using
    crowdsourcing"), and an eighth in fields of more than 10 ha. Provinces differ more than the
    blocks of one, and plains have larger fields than hills.

    Args:
        u, v: metres east and north in the plane of a band of latitude.
        tidy: 0..1; how far fields may grow beyond 45 m of width.
    """
    block, east, north, _, _ = nearest_cell(u, v, 1800.0, 0.85, _SEED + 31 + band)
    share = 0.8 * unit(mix(province + np.uint32(3))) + 0.2 * unit(mix(block + np.uint32(3)))
    width = 45.0 * math.exp(3.1 * share * tidy)
    length = width * (1.3 + 3.2 * unit(mix(block + np.uint32(5))) * (1.0 - 0.5 * share))
    angle = 3.1416 * (unit(mix(province + np.uint32(7))) + 0.35 * unit(mix(block + np.uint32(7))))
    along = east * math.cos(angle) + north * math.sin(angle)
    across = north * math.cos(angle) - east * math.sin(angle)
    row = math.floor(across / width)
    shift = unit(hash3(int(row), 1, 0, int(block)))
    column = math.floor(along / length + shift)
    return hash3(int(row), int(column), 2, int(block)), block


@numba.njit(cache=True, inline="always")
def farm_class(
    parcel: np.uint32,
    block: np.uint32,
    warmth: float,
    plain: float,
    relief: float,
    province: np.uint32,
) -> int:
    """What grows in a field: meadow where it is cold or among mountains, mostly crops elsewhere.

    Provinces and blocks have habits: farmers of one till nearly all, those of the next keep cattle.
    Of the farmland of the European Union 32.9 % was permanent grassland in 2007 (Eurostat,
    "Cropping and livestock pattern statistics"); of that simulated in six of its countries it is
    0.37 (tests/bench/bench_farmland.py).
    """
    habit = 1.1 * (unit(mix(province + np.uint32(11))) - 0.5)
    habit += 0.3 * (unit(mix(block + np.uint32(11))) - 0.5)
    crops = min(0.75, max(0.1, 0.2 + 0.12 * (warmth - 1.0))) + 0.12 * plain + habit
    crops -= 0.3 * min(1.0, relief / 800.0)
    draw = unit(mix(parcel + np.uint32(13)))
    if draw < crops:
        return CROPS
    if draw < 0.94:
        return GRASS
    return TREES if draw < 0.975 else SHRUB


@numba.njit(cache=True)
def town_depth(
    u: float, v: float, band: int, people: float, edge: float
) -> tuple[float, np.uint32]:
    """How deep in a town or village a point lies: 0 at the edge, 1 in the centre; and its hash."""
    town, _, _, distance, _ = nearest_cell(u, v, 8200.0, 0.9, _SEED + 41 + band)
    size = unit(mix(town + np.uint32(1)))
    radius = (300.0 + 2300.0 * size * size * size) * math.exp(0.3 * people)
    depth = 1.0 - distance / (radius * (1.0 + 0.28 * edge))
    if unit(mix(town + np.uint32(2))) > 0.72 + 0.2 * people:
        depth = -1.0
    village, _, _, distance, _ = nearest_cell(u, v, 2500.0, 0.9, _SEED + 43 + band)
    radius = 90.0 + 260.0 * unit(mix(village + np.uint32(1)))
    small = 1.0 - distance / (radius * (1.0 + 0.28 * edge))
    if unit(mix(village + np.uint32(2))) < 0.42 + 0.15 * people and small > depth:
        return 0.55 * small, village
    return depth, town


@numba.njit(cache=True)
def town_block(u: float, v: float, town: np.uint32, depth: float) -> tuple[int, np.uint32]:
    """Class and hash of a town's block: houses, with gardens and parks between them."""
    angle = 3.1416 * unit(mix(town + np.uint32(5)))
    size = 55.0 + 60.0 * unit(mix(town + np.uint32(6)))
    along = u * math.cos(angle) + v * math.sin(angle)
    across = v * math.cos(angle) - u * math.sin(angle)
    row = math.floor(across / size)
    column = math.floor(along / (1.6 * size))
    block = hash3(int(row), int(column), 3, int(town))
    draw = unit(mix(block + np.uint32(1)))
    built = 0.66 + 0.45 * depth
    if draw < built:
        return BUILT, hash3(int(row) // 4, int(column) // 3, 4, int(town))
    return (GRASS if draw < built + 0.6 * (1.0 - built) else TREES), block
