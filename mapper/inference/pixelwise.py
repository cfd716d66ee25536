"""From logits to weighted probabilities, and from their sums to a class: one pass each, on a CPU.

torch takes a pass over 9 MB for each of maximum, exponential, sum, quotient and weight; here a row
of pixels stays in the cache through all of them. The order of sums is that of the classes.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from mapper.imagery.planes import as_line

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.uint8]

_ZERO, _HALF, _ONE, _PERCENT = (np.float32(x) for x in (0, 0.5, 1, 100))
_LOWEST = np.float32(-87)
"""exp of less is no normal float32; as a probability it is nothing."""
_LOG2_E = np.float32(1.4426950408889634)
_LN2_HIGH = np.float32(0.693145751953125)
_LN2_LOW = np.float32(1.42860682030941723e-6)
"""ln 2 in two parts, the first of so few digits that its multiples are exact (Cody, Waite 1980)."""
_E2, _E3, _E4, _E5, _E6, _E7 = (np.float32(1 / n) for n in (2, 6, 24, 120, 720, 5040))
"""Taylor's series of exp; on half a ln 2 to either side its next term is below 1e-8."""
_EXPONENT_BIAS, _EXPONENT_SHIFT = np.int32(127), np.int32(23)
"""How float32 keeps its power of two (IEEE 754)."""


@numba.njit(cache=True, nogil=True, fastmath={"contract"})
def weigh(logits: Floats, inverse_temperature: np.float32, taper: Floats) -> bool:
    """softmax(logits / temperature) taper_y taper_x, in the place of the logits.

    Args:
        logits: (class, y, x); within 3e-7 of the exact answer when this returns.
        inverse_temperature: of the calibration; positive.
        taper: (side,), the weight of a pixel along one axis.

    Returns:
        whether all logits were finite numbers; where one is not, the answer means nothing.
    """
    classes, height, width = logits.shape
    top, total = np.empty(width, np.float32), np.empty(width, np.float32)
    # Stays zero as long as all are finite: zero times infinity, or times none, is no number.
    nothing = np.zeros(width, np.float32)
    power = np.empty(width, np.float32)
    bits = power.view(np.int32)
    for y in range(height):
        top[:] = logits[0, y]
        for k in range(classes):
            row = logits[k, y]
            for x in range(width):
                nothing[x] += row[x] * _ZERO
                top[x] = row[x] if row[x] > top[x] else top[x]
        total[:] = _ZERO
        for k in range(classes):
            row = logits[k, y]
            # e^v = 2^n e^r. The loop is cut in two so that both halves run in vectors.
            for x in range(width):
                v = (row[x] - top[x]) * inverse_temperature
                v = _LOWEST if v < _LOWEST else v
                n = np.floor(v * _LOG2_E + _HALF)
                r = (v - n * _LN2_HIGH) - n * _LN2_LOW
                series = _E4 + r * (_E5 + r * (_E6 + r * _E7))
                row[x] = _ONE + r * (_ONE + r * (_E2 + r * (_E3 + r * series)))
                bits[x] = (np.int32(n) + _EXPONENT_BIAS) << _EXPONENT_SHIFT
            for x in range(width):
                row[x] *= power[x]
                total[x] += row[x]
        for x in range(width):
            total[x] = taper[y] * taper[x] / total[x]
        for k in range(classes):
            row = logits[k, y]
            for x in range(width):
                row[x] *= total[x]
    finite = True
    for x in range(width):
        finite &= nothing[x] == _ZERO
    return finite


def most_likely(sums: Floats) -> tuple[Codes, Codes]:
    """(y, x) code and percent of the most likely class; the lower code where two are equal.

    Args:
        sums: (class, y, x) probabilities, of any strides.
    """
    codes, percents = (np.empty(sums.shape[1:], np.uint8) for _ in range(2))
    _most_likely(*as_line(sums), len(sums), codes, percents)
    return codes, percents


@numba.njit(cache=True, nogil=True)
def _most_likely(
    line: Floats, plane: int, step: int, classes: int, codes: Codes, percents: Codes
) -> None:
    """Of a (class, y, x) view given as a line and the steps to the next class and row."""
    height, width = codes.shape
    best, code = np.empty(width, np.float32), np.empty(width, np.float32)
    for y in range(height):
        best[:] = line[y * step : y * step + width]
        code[:] = _ZERO
        for k in range(1, classes):
            first = k * plane + y * step
            row, own = line[first : first + width], np.float32(k)
            for x in range(width):
                code[x] = own if row[x] > best[x] else code[x]
                best[x] = row[x] if row[x] > best[x] else best[x]
        for x in range(width):
            codes[y, x] = np.uint8(np.int32(code[x]))
            percent = np.rint(best[x] * _PERCENT)
            percent = _PERCENT if percent > _PERCENT else percent
            percents[y, x] = np.uint8(np.int32(percent))
