from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mapper.imagery.clouds import clear_mask


@pytest.mark.parametrize(
    ("scl", "clear"),
    [
        (0, 0),
        (1, 0),
        (2, 1),
        (3, 0),
        (4, 1),
        (5, 1),
        (6, 1),
        (7, 1),
        (8, 0),
        (9, 0),
        (10, 0),
        (11, 1),
        (12, 0),
        (255, 0),
    ],
)
def test_every_class_is_clear_or_not(scl: int, clear: int) -> None:
    assert clear_mask(np.full((3, 3), scl, np.uint8), 0).all() == bool(clear)


def test_cloud_is_spread_and_cirrus_is_not() -> None:
    scl = np.full((11, 11), 4, np.uint8)
    scl[5, 5] = 9
    assert (~clear_mask(scl, 2)).sum() == 25
    scl[5, 5] = 10
    assert (~clear_mask(scl, 2)).sum() == 1


@given(hnp.arrays(np.uint8, (12, 12), elements=st.integers(0, 11)), st.integers(0, 2))
@settings(max_examples=50, deadline=None)
def test_spreading_at_10_m_equals_spreading_at_20_m(scl: np.ndarray, dilation_px: int) -> None:
    at_20 = clear_mask(scl, dilation_px)
    fine = scl.repeat(2, 0).repeat(2, 1)
    at_10 = clear_mask(fine, 2 * dilation_px)
    np.testing.assert_array_equal(at_10, at_20.repeat(2, 0).repeat(2, 1))
