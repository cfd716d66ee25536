"""The median of many looks in one pass: mask, offset, doubling of 20 m bands, sorting, counts.

The digits of every band lie at their own resolution, and everything is done row by row in whole
numbers, in loops that a compiler turns into wide instructions: a branch per pixel would cost more
than all of it. What comes out equals `composite.median_of` of the same looks on the 10 m lattice.

Words of the compiled functions: a layer is one scene's pixels; a slot is one look in which
something is clear here, of one layer or, where scenes of one overpass meet, of several whose masks
do not touch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numba
import numpy as np
import numpy.typing as npt

from mapper.imagery.bands import OPTICAL_BANDS
from mapper.imagery.composite import MAX_COUNT, Counts, sorting_network
from mapper.imagery.resample import Digits, Mask

FINE_BANDS = tuple(n for n, band in enumerate(OPTICAL_BANDS) if band.resolution_m == 10)
"""Numbers of the bands that are stored at 10 m."""
COARSE_BANDS = tuple(n for n, band in enumerate(OPTICAL_BANDS) if band.resolution_m == 20)
"""Numbers of the bands that are stored at 20 m."""
_IS_COARSE = np.array([n in COARSE_BANDS for n in range(len(OPTICAL_BANDS))])
_RANK = np.array(
    [(COARSE_BANDS if n in COARSE_BANDS else FINE_BANDS).index(n) for n in range(len(_IS_COARSE))]
)
"""Of each band among those of its resolution."""
_CHUNK = 512
"""20 m columns done at once: their digits of all looks stay in the core's cache."""
_ONE, _FULL = np.uint16(1), np.uint16(0xFFFF)


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """Pixels of several scenes on one piece of even edges, h x w pixels of 20 m, by look."""

    fine: Digits
    """(scene, band, 2h, 2w) raw digits of the 10 m bands of scenes that are read directly."""
    coarse: Digits
    """(scene, band, h + 2, w + 2) raw digits of their 20 m bands, one pixel more on each side."""
    wide: Digits
    """(scene, band, 2h, 2w) DN of all bands of other scenes; 0 where hidden or without data."""
    take: Mask
    """(layer, h, w); True where nothing hides the ground; all layers, in order of looks."""
    source: npt.NDArray[np.int64]
    """(layer,) the scene's number in `fine` and `coarse`; -1 - n for number n in `wide`."""
    look: npt.NDArray[np.int64]
    """(layer,) which look it is of; never less than before."""
    offset: npt.NDArray[np.int64]
    """(layer, band) to be added to raw digits, within -65535..65535."""


def median_of_layers(
    layers: Layers,
    corner: tuple[int, int],
    out: Digits,
    counts: Counts,
    at: tuple[slice, slice],
) -> None:
    """Write the median of each band's clear digits, and how many looks are clear.

    Args:
        layers: the scenes' pixels; where `take` is False they may be anything.
        corner: (y, x) of the first pixel that is wanted within the piece, 0 or 1 each.
        out: (band, y, x) DN of a whole region; 0 is written where no look is clear.
        counts: (y, x) of it.
        at: (y, x) slices of the region that are written.
    """
    rows, columns = at
    looks = len(np.unique(layers.look))
    pairs, starts = _networks(looks)
    offset = layers.offset
    down = np.where(offset < 0, -offset, 0).astype(np.uint16)
    up = np.where(offset > 0, offset, 0).astype(np.uint16)
    _compose(
        (layers.fine, layers.coarse, layers.wide),
        layers.take,
        layers.source,
        layers.look,
        (down, up),
        (pairs, starts),
        (_IS_COARSE, _RANK),
        (*corner, rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start),
        out,
        counts,
    )


@lru_cache(maxsize=64)
def _networks(most: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Comparisons that find the middle of 0, 1, .. `most` numbers, one after the other.

    Returns:
        (n, 2) pairs, and for each size where its pairs begin; the last one says where all end.
    """
    networks = [middle_network(size) for size in range(most + 1)]
    starts = np.cumsum([0, *(len(network) for network in networks)])
    return np.concatenate(networks), starts.astype(np.int64)


@lru_cache(maxsize=256)
def middle_network(size: int) -> npt.NDArray[np.int64]:
    """The comparisons of a sorting network that decide its middle: what `middle_places` names."""
    needed = set(middle_places(size))
    kept = []
    for low, high in reversed(sorting_network(size).tolist()):
        if needed & {low, high}:
            needed |= {low, high}
            kept.append((low, high))
    return np.array(kept[::-1], np.int64).reshape(-1, 2)


def middle_places(size: int) -> tuple[int, int]:
    """Where the middle lies among `size` sorted numbers, of which the hidden ones are made up.

    Hidden numbers are the largest and the smallest possible by turns, the largest first. Then the
    middle of n numbers among `size` is always here: of an even `size`, the lower place alone for
    odd n, both for even n; of an odd `size`, the upper place alone for odd n, both for even n.
    """
    return (max(size // 2 - 1, 0), max(size // 2 - 1, 0) + 1 if size > 1 else 0)


@numba.njit(cache=True, nogil=True)
def _compose(pixels, take, source, look, offsets, networks, bands, window, out, counts):  # type: ignore[no-untyped-def]
    fine, coarse, wide = pixels
    layers, height, width = take.shape
    seen20 = np.empty((layers, _CHUNK), np.uint16)
    pure = np.empty((layers, coarse.shape[1]), np.bool_)
    keep = np.empty((layers, 2 * _CHUNK), np.uint16)
    slot = np.empty(layers, np.int64)
    fill = np.empty((layers + 1, 2 * _CHUNK), np.uint16)
    rows = np.empty((layers + 1, 2 * _CHUNK), np.uint16)
    digits = np.empty(2 * _CHUNK, np.uint16)
    sums = np.empty(_CHUNK + 2, np.uint32)
    count = np.empty(2 * _CHUNK, np.uint16)
    is_coarse, ranks = bands
    first_row, first_column, out_top, out_left, out_height, out_width = window
    for r in range(height):
        for c in range(0, width, _CHUNK):
            n20 = min(_CHUNK, width - c)
            for layer in range(layers):
                _seen_at_20_m(coarse, take, source, layer, r, c, n20, seen20, pure)
            for half in range(2):
                y = 2 * r + half - first_row
                if y < 0 or y >= out_height:
                    continue
                slots = _keep(fine, wide, source, look, 2 * r + half, c, n20, seen20, keep, slot)
                _fill(keep, slot, slots, 2 * n20, fill, count)
                x0, x1 = max(2 * c, first_column), min(2 * (c + n20), first_column + out_width)
                inner = slice(x0 - 2 * c, x1 - 2 * c)
                shift = out_left - first_column
                target = slice(x0 + shift, x1 + shift)
                _write_counts(count[inner], counts[out_top + y, target])
                for band in range(out.shape[0]):
                    for k in range(slots):
                        _copy(fill[k], 2 * n20, rows[k])
                    for layer in range(layers):
                        if slot[layer] < 0:
                            continue
                        s, rank = source[layer], ranks[band]
                        down, up = offsets[0][layer, band], offsets[1][layer, band]
                        if s < 0:
                            line = wide[-1 - s, band, 2 * r + half, 2 * c : 2 * (c + n20)]
                            down = up = np.uint16(0)
                        elif is_coarse[band]:
                            _double(
                                coarse[s, rank], r, half, c, n20, pure[layer, rank], sums, digits
                            )
                            line = digits[: 2 * n20]
                        else:
                            line = fine[s, rank, 2 * r + half, 2 * c : 2 * (c + n20)]
                        _merge(line, down, up, keep[layer], rows[slot[layer]])
                    _middle(
                        rows, slots, 2 * n20, networks, count, inner, out[band, out_top + y, target]
                    )


@numba.njit(cache=True, nogil=True)
def _seen_at_20_m(coarse, take, source, layer, r, c, n20, seen, pure):  # type: ignore[no-untyped-def]
    """All ones where a layer may be taken at 20 m; and which bands have no gap near the row."""
    seen_row = seen[layer]
    take_row = take[layer, r, c : c + n20]
    some = np.uint16(0)
    for x in range(n20):
        seen_row[x] = _FULL if take_row[x] else np.uint16(0)
        some |= seen_row[x]
    s = source[layer]
    if s < 0 or not some:
        return
    for band in range(coarse.shape[1]):
        least = _FULL
        for row in range(r, r + 3):
            line = coarse[s, band, row, c : c + n20 + 2]
            for x in range(n20 + 2):
                least = min(least, line[x])
        pure[layer, band] = least > 0
        if least == 0:
            line = coarse[s, band, r + 1, c + 1 : c + 1 + n20]
            for x in range(n20):
                seen_row[x] &= _FULL if line[x] != 0 else np.uint16(0)


@numba.njit(cache=True, nogil=True)
def _keep(fine, wide, source, look, row, c, n20, seen, keep, slot):  # type: ignore[no-untyped-def]
    """All ones where a layer's pixel counts; each layer's slot or -1; how many slots there are."""
    slots, last = 0, -1
    for layer in range(len(source)):
        line = keep[layer]
        half = seen[layer]
        for x in range(n20):
            line[2 * x] = half[x]
            line[2 * x + 1] = half[x]
        s = source[layer]
        if s >= 0:
            for band in range(fine.shape[1]):
                digits = fine[s, band, row, 2 * c : 2 * (c + n20)]
                for x in range(2 * n20):
                    line[x] &= _FULL if digits[x] != 0 else np.uint16(0)
        else:
            for band in range(wide.shape[1]):
                digits = wide[-1 - s, band, row, 2 * c : 2 * (c + n20)]
                for x in range(2 * n20):
                    line[x] &= _FULL if digits[x] != 0 else np.uint16(0)
        some = np.uint16(0)
        for x in range(2 * n20):
            some |= line[x]
        slot[layer] = -1
        if some:
            if look[layer] != last:
                slots, last = slots + 1, look[layer]
            slot[layer] = slots - 1
    return slots


@numba.njit(cache=True, nogil=True)
def _fill(keep, slot, slots, n, fill, count):  # type: ignore[no-untyped-def]
    """What hidden pixels are made: the largest number and the smallest by turns; and the counts."""
    for k in range(slots):
        own = fill[k]
        for x in range(n):
            own[x] = 0
    for layer in range(len(slot)):
        if slot[layer] >= 0:
            line, own = keep[layer], fill[slot[layer]]
            for x in range(n):
                own[x] |= line[x]
    turn = fill[fill.shape[0] - 1]
    for x in range(n):
        count[x] = 0
        turn[x] = _FULL
    for k in range(slots):
        line = fill[k]
        for x in range(n):
            hidden = ~line[x]
            count[x] += line[x] & _ONE
            line[x] = hidden & turn[x]
            turn[x] ^= hidden


@numba.njit(cache=True, nogil=True)
def _write_counts(count, out):  # type: ignore[no-untyped-def]
    for x in range(len(out)):
        out[x] = min(count[x], np.uint16(MAX_COUNT))


@numba.njit(cache=True, nogil=True)
def _copy(line, n, out):  # type: ignore[no-untyped-def]
    """Plain; assigning a slice takes ten times longer in compiled code."""
    for x in range(n):
        out[x] = line[x]


@numba.njit(cache=True, nogil=True)
def _double(raw, r, half, c, n20, is_pure, sums, out):  # type: ignore[no-untyped-def]
    """One row of `resample.doubled_bilinear`: its weights are those of two steps, 3 and 1."""
    own = raw[r + 1, c : c + n20 + 2]
    beside = raw[r + 2 * half, c : c + n20 + 2]
    if is_pure:
        for x in range(n20 + 2):
            sums[x] = np.uint32(3) * np.uint32(own[x]) + np.uint32(beside[x])
        for x in range(n20):
            middle = np.uint32(3) * sums[x + 1] + np.uint32(8)
            out[2 * x] = (middle + sums[x]) >> np.uint32(4)
            out[2 * x + 1] = (middle + sums[x + 2]) >> np.uint32(4)
        return
    for x in range(2 * n20):
        at = x // 2 + 1
        near = at - 1 if x % 2 == 0 else at + 1
        a, b = np.uint32(own[at]), np.uint32(own[near])
        below, corner = np.uint32(beside[at]), np.uint32(beside[near])
        if a == 0:
            out[x] = 0
        else:
            total = 9 * a + 3 * b + 3 * below + corner
            weight = 9 + 3 * (b > 0) + 3 * (below > 0) + (corner > 0)
            out[x] = (2 * total + weight) // (2 * weight)


@numba.njit(cache=True, nogil=True)
def _merge(line, down, up, keep, row):  # type: ignore[no-untyped-def]
    """A layer's digits into its look's row; a pixel with data never becomes 0."""
    most = _FULL - up
    for x in range(len(line)):
        digit = np.uint16(line[x] - min(line[x], down))
        digit = np.uint16(min(digit, most) + up)
        row[x] |= max(digit, _ONE) & keep[x]


@numba.njit(cache=True, nogil=True)
def _middle(rows, slots, n, networks, count, inner, out):  # type: ignore[no-untyped-def]
    """The median of each column: what the network leaves in the middle places."""
    if slots == 0:
        out[:] = 0
        return
    pairs, starts = networks
    for k in range(starts[slots], starts[slots + 1]):
        low, high = rows[pairs[k, 0]], rows[pairs[k, 1]]
        for x in range(n):
            smaller, larger = min(low[x], high[x]), max(low[x], high[x])
            low[x], high[x] = smaller, larger
    place = max(slots // 2 - 1, 0)
    lower, upper = rows[place][inner], rows[min(place + 1, slots - 1)][inner]
    alone = lower if slots % 2 == 0 else upper
    counted = count[inner]
    for x in range(len(out)):
        mean = np.uint16((np.uint32(lower[x]) + np.uint32(upper[x]) + np.uint32(1)) >> np.uint32(1))
        middle = alone[x] if counted[x] & _ONE else mean
        out[x] = middle if counted[x] else np.uint16(0)
