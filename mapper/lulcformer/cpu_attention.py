"""Attention of a CPU's bf16 network, a few rows of queries at a time.

torch's own kernel multiplies bf16 in float32 on processors that have bf16 products but no tiles
(AVX512-BF16 without AMX): half of a window's time is spent there. Here two products in bf16 enclose
one pass over their scores, which stay in the cache between them. The scores pass through
bf16 themselves, which on trained weights changes no more pixels than torch's kernel does
(`tests/bench/bench_network.py` prints both).
"""

from math import e, log2, sqrt

import numba
import numpy as np
import torch
from torch import Tensor

from mapper.lulcformer.cpu_stream import Bits, bits_of

SCORES_AT_ONCE = 4096
"""Rows of scores between the two products, of all heads: 2 MB with the 256 keys of a window."""

_LOWEST = np.float32(-120)
"""2 to the power of less is nothing as a weight; below -126 it is no normal float32."""
_P0, _P1, _P2, _P3 = (np.float32(x) for x in (0.99992803, 0.69326097, 0.24261137, 0.05517175))
"""2^f for f from -1/2 to 1/2 to 1e-4, a fortieth of bf16's rounding: the cubic whose largest
relative error is least."""
_HALF, _ONE = np.float32(0.5), np.float32(1)
_UPPER, _ROUNDING, _EXPONENT_SHIFT = np.uint32(16), np.uint32(0x8000), np.uint32(23)
"""A bf16 is the upper half of a float32, whose power of two begins at bit 23 (IEEE 754)."""
_SIGN_SHIFT, _WITHOUT_SIGN = np.int16(15), np.int16(0x7FFF)


def attend_by_rows(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """softmax(queries keys^T / sqrt(channels)) values, all (image, head, token, channel) bf16."""
    _, heads, count, width = queries.shape
    rows = max(1, SCORES_AT_ONCE // heads)
    scale = np.float32(log2(e) / sqrt(width))
    out = torch.empty_like(queries)
    for image, image_keys in enumerate(keys):
        turned = image_keys.transpose(1, 2)
        for top in range(0, count, rows):
            scores = torch.bmm(queries[image, :, top : top + rows], turned)
            powers_of_two(bits_of(scores), scale)
            out[image, :, top : top + rows] = torch.bmm(scores, values[image])
    return out


@numba.njit(cache=True, nogil=True)
def highest(scores: Bits) -> np.uint16:
    """The largest of some numbers in bf16; one that is none counts as larger, if its sign is +."""
    best = np.int16(-32768)
    for c in range(len(scores)):
        # Of negative numbers the one with larger bits is the smaller.
        bits = np.int16(scores[c])
        best = max(best, np.int16(bits ^ ((bits >> _SIGN_SHIFT) & _WITHOUT_SIGN)))
    return np.uint16(best ^ ((best >> _SIGN_SHIFT) & _WITHOUT_SIGN))


# Sums may be reordered to fill the vector units, always in the same way; nothing may be assumed to
# be a number, for one that is none has to reach the logits and be refused there.
@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def powers_of_two(scores: Bits, scale: np.float32) -> None:
    """2^(scale scores) of every row divided by their sum, in the place of the scores.

    Args:
        scores: (row, key) bits of bf16, rounded to nearest; changed.
        scale: positive; with log2(e) in it the answer is a softmax.
    """
    rows, keys = scores.shape
    value, whole = np.empty(keys, np.float32), np.empty(keys, np.uint32)
    bits = value.view(np.uint32)
    top = np.empty(1, np.float32)
    for r in range(rows):
        row = scores[r]
        top.view(np.uint32)[0] = np.uint32(highest(row)) << _UPPER
        most = top[0]
        for c in range(keys):
            bits[c] = np.uint32(row[c]) << _UPPER
        # 2^t = 2^n 2^f. The loop is cut in two so that both halves run in vectors.
        for c in range(keys):
            t = (value[c] - most) * scale
            t = _LOWEST if t < _LOWEST else t
            n = np.int32(t - _HALF)  # towards zero, so the nearest: t is not positive
            f = t - np.float32(n)
            value[c] = _P0 + f * (_P1 + f * (_P2 + f * _P3))
            whole[c] = np.uint32(n) << _EXPONENT_SHIFT
        for c in range(keys):
            bits[c] += whole[c]
        total = np.float32(0)
        for c in range(keys):
            total += value[c]
        share = _ONE / total
        for c in range(keys):
            value[c] *= share
        for c in range(keys):
            row[c] = (bits[c] + _ROUNDING) >> _UPPER
