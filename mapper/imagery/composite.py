"""From stacks of looks to one image per sensor: median of clear digits, mean of power. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numba
import numpy as np
import numpy.typing as npt

from mapper.imagery.bands import OPTICAL_BANDS, OPTICAL_NODATA, RADAR_BANDS, Sensor
from mapper.imagery.resample import Digits, Mask
from mapper.land.grid import Region

Power = npt.NDArray[np.float32]
Counts = npt.NDArray[np.uint8]
MAX_COUNT = 255
"""Counts of looks are kept in a byte; more than this many are written as this many."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Pixels of several looks of one sensor on one region."""

    region: Region
    sensor: Sensor
    pixels: Digits | Power
    """(time, band, y, x): uint16 DN of reflectance * 10,000, or float32 linear power."""
    valid: Mask
    """(time, y, x); True where every band of a look has data and nothing hides the ground."""


@dataclass(frozen=True, slots=True)
class Composite:
    """One image per sensor on one region, with the number of looks behind each pixel."""

    region: Region
    optical: Digits
    """(band, y, x) uint16 DN of reflectance * 10,000; 0 where no look is clear."""
    radar: Power
    """(band, y, x) float32 dB; NaN where no look has data."""
    optical_looks: Counts
    """(y, x) uint8: clear looks, 255 meaning 255 or more."""
    radar_looks: Counts
    """(y, x) uint8, likewise."""


@dataclass(frozen=True, slots=True)
class PowerSum:
    """Radar looks added up so far, so that any number of them needs the memory of one."""

    total: Power
    """(band, y, x) float32 linear power, summed in the order of the looks."""
    count: npt.NDArray[np.uint16]
    """(y, x) looks summed."""


def blank(region: Region) -> Composite:
    """A composite in which no pixel has been seen."""
    return Composite(
        region,
        np.full((len(OPTICAL_BANDS), *region.shape), OPTICAL_NODATA, np.uint16),
        np.full((len(RADAR_BANDS), *region.shape), np.nan, np.float32),
        np.zeros(region.shape, np.uint8),
        np.zeros(region.shape, np.uint8),
    )


def compose(optical: Stack, radar: Stack) -> Composite:
    """Median of the clear optical looks and mean of the radar looks, with their counts."""
    assert optical.region == radar.region, "a composite is of one region"
    median, optical_looks = median_of(optical)
    mean, radar_looks = mean_of(added(no_power(radar.region), radar))
    return Composite(optical.region, median, mean, optical_looks, radar_looks)


def median_of(stack: Stack, into: Digits | None = None) -> tuple[Digits, Counts]:
    """Median over time of each band's valid digits, and the number of valid looks.

    Of an even number of looks it is the mean of the two middle ones, halves rounded up. All bands
    share one mask, so a pixel's ten digits come from the same set of looks.

    Args:
        stack: optical looks.
        into: (band, y, x) uint16 to write to; without it a new array.

    Returns:
        (band, y, x) uint16, 0 where there is no valid look; (y, x) uint8.
    """
    digits = stack.pixels.astype(np.uint16, copy=False)
    looks, bands, height, width = digits.shape
    median = np.empty((bands, height, width), np.uint16) if into is None else into
    count = np.empty((height, width), np.uint16)
    _median(digits, stack.valid, sorting_network(looks), median, count)
    return median, np.minimum(count, MAX_COUNT).astype(np.uint8)


def no_power(region: Region) -> PowerSum:
    """The sum of no looks."""
    bands = len(RADAR_BANDS)
    return PowerSum(np.zeros((bands, *region.shape), np.float32), np.zeros(region.shape, np.uint16))


def added(so_far: PowerSum, stack: Stack) -> PowerSum:
    """The sum with more looks in it, added one by one in float32.

    The order of looks alone decides the last bit, not how many are added at a time.
    """
    for pixels, valid in zip(stack.pixels, stack.valid, strict=True):
        np.add(so_far.total, pixels, out=so_far.total, where=valid)
        np.add(so_far.count, 1, out=so_far.count, where=valid)
    return so_far


def mean_of(power: PowerSum) -> tuple[Power, Counts]:
    """Mean of linear power in dB, and the number of looks; decibels themselves must not be
    averaged, which would weigh dark looks too much.

    Returns:
        (band, y, x) float32 dB, NaN without a look; (y, x) uint8.
    """
    seen = power.count > 0
    mean = np.divide(power.total, power.count, where=seen, out=np.ones_like(power.total))
    decibel = np.where(seen, 10 * np.log10(mean, dtype=np.float64), np.nan).astype(np.float32)
    return decibel, np.minimum(power.count, MAX_COUNT).astype(np.uint8)


@lru_cache(maxsize=64)
def sorting_network(size: int) -> npt.NDArray[np.int64]:
    """(n, 2) pairs to compare and exchange, in order, that sort any `size` numbers.

    Batcher's merge exchange (Knuth, The Art of Computer Programming 3, 5.2.2, algorithm M).
    Its comparisons do not depend on the numbers, so a row of pixels is sorted at once.
    """
    pairs: list[tuple[int, int]] = []
    power = 1 << max(size - 1, 0).bit_length() >> 1
    step = power
    while step > 0:
        stride, residue, distance = power, 0, step
        while True:
            pairs += [(i, i + distance) for i in range(size - distance) if i & step == residue]
            if stride == step:
                break
            distance, stride, residue = stride - step, stride >> 1, step
        step >>= 1
    return np.array(pairs, np.int64).reshape(-1, 2)


@numba.njit(cache=True, nogil=True)
def _median(
    pixels: Digits,
    valid: Mask,
    network: npt.NDArray[np.int64],
    out: Digits,
    counts: npt.NDArray[np.uint16],
) -> None:
    """Row by row; digits of hidden looks become the largest number and are sorted to the end."""
    looks, bands, height, width = pixels.shape
    row = np.empty((looks, width), np.uint16)
    for y in range(height):
        for x in range(width):
            counts[y, x] = 0
        for t in range(looks):
            for x in range(width):
                counts[y, x] += valid[t, y, x]
        for b in range(bands):
            for t in range(looks):
                for x in range(width):
                    row[t, x] = pixels[t, b, y, x] if valid[t, y, x] else np.uint16(65535)
            for k in range(network.shape[0]):
                low, high = row[network[k, 0]], row[network[k, 1]]
                for x in range(width):
                    smaller, larger = min(low[x], high[x]), max(low[x], high[x])
                    low[x], high[x] = smaller, larger
            for x in range(width):
                n = np.int64(counts[y, x])
                if n == 0:
                    out[b, y, x] = 0
                else:
                    middle = np.uint32(row[(n - 1) // 2, x]) + np.uint32(row[n // 2, x])
                    out[b, y, x] = (middle + 1) >> 1
