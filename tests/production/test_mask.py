"""Claims about packed masks: they come back whole, and are small."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mapper.production.mask import PackedMask


@given(arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_a_mask_comes_back_as_it_was(mask: np.ndarray) -> None:
    assert np.array_equal(PackedMask.pack(mask).unpack(), mask)


def test_a_full_tile_travels_in_a_few_kilobytes() -> None:
    assert len(PackedMask.pack(np.ones((4096, 4096), np.bool_)).data) < 20_000


def test_masks_that_differ_in_one_pixel_have_other_digests() -> None:
    mask = np.zeros((64, 64), np.bool_)
    other = mask.copy()
    other[63, 63] = True
    assert PackedMask.pack(mask).digest != PackedMask.pack(other).digest
