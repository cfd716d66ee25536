"""Every compiled function of imagery, compiled before it is needed."""

from __future__ import annotations

import numpy as np

from mapper.compiled import one_at_a_time
from mapper.imagery import blocks, digits, fused, radar, resample
from mapper.imagery.bands import OPTICAL_BANDS


def warm_up() -> None:
    """Compile what reading needs, or load it from disk; seconds the first time, then a moment.

    To be called by whoever starts workers, before they start, so that they find it on the disk; and
    by every worker before its first tile, since its disk may be another one. Processes that call it
    at the same time compile once: the others wait.
    """
    with one_at_a_time("imagery"):
        _unpack()
        _median()
        _power()
        _general_path()


def _unpack() -> None:
    for kind in (np.uint8, np.uint16, np.uint32):
        blocks._undo_differences(np.zeros((2, 2), kind))
    digits = np.zeros((2, 2), np.uint16)
    blocks._undo_into(digits, digits.copy(), (0, 0, 0, 0, 2, 2))
    blocks._join_planes(np.zeros((2, 8), np.uint8), np.zeros((2, 2, 4), np.uint8))


def _median() -> None:
    fine, coarse, bands = len(fused.FINE_BANDS), len(fused.COARSE_BANDS), len(OPTICAL_BANDS)
    layers = fused.Layers(
        np.ones((1, fine, 2, 2), np.uint16),
        np.ones((1, coarse, 3, 3), np.uint16),
        np.ones((1, bands, 2, 2), np.uint16),
        np.ones((2, 1, 1), np.bool_),
        np.array([0, -1]),
        np.array([0, 1]),
        np.zeros((2, bands), np.int64),
    )
    out, counts = np.zeros((bands, 2, 2), np.uint16), np.zeros((2, 2), np.uint8)
    fused.median_of_layers(layers, (0, 0), out, counts, (slice(0, 2), slice(0, 2)))


def _power() -> None:
    power = np.ones((2, 2), np.float32)
    plain = np.array([(1, 0), (1, 0)], np.float32)
    total, count = np.zeros((2, 2, 2), np.float32), np.zeros((2, 2), np.uint16)
    place = (0, 0, 0, 0, 2, 2)
    radar._add(power, power, plain, np.zeros((0, 0), np.bool_), total, count, place)


def _general_path() -> None:
    resample.doubled_bilinear(np.ones((3, 3), np.uint16), (0, 0), (2, 2))
    resample.spread(np.zeros((5, 5), np.bool_), 1)
    some = np.ones((4, 4), np.uint16)
    take, out = np.ones((4, 4), np.bool_), np.zeros((4, 4), np.uint16)
    for part in (slice(None), slice(1, 3)):  # in one piece of memory, and cut out of a larger one
        digits.write_dn(some, (1, 0), take[:, part], out[:, part])
