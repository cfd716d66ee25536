"""Chips in memory come back as they were stored, whatever they were stored as."""

import pytest
import torch

from mapper.lulcformer.chips import Batch, Coding, TensorChips

SPAN = (-6.0, 10.0)


def chips(dtype: torch.dtype) -> tuple[TensorChips, torch.Tensor]:
    """Five chips of random pixels, and the optical pixels before they were stored."""
    generator = torch.Generator().manual_seed(0)
    optical = torch.randn(5, 10, 8, 8, generator=generator)
    radar = torch.randn(5, 2, 8, 8, generator=generator)
    coding = Coding()
    stored = optical.to(dtype), radar.to(dtype)
    if not dtype.is_floating_point:
        coding = Coding.spanning(*SPAN, dtype)
        stored = coding.encode(optical, dtype), coding.encode(radar, dtype)
    valid = torch.rand(5, 1, 8, 8, generator=generator) > 0.5
    label = torch.randint(0, 9, (5, 8, 8), generator=generator, dtype=torch.uint8)
    return TensorChips(*stored, valid, ~valid, label, coding), optical


@pytest.mark.parametrize(
    ("dtype", "step"),
    [
        (torch.float32, 0.0),
        (torch.float16, 0.004),
        (torch.uint8, 16 / 255),
        (torch.uint16, 16 / 65535),
    ],
)
def test_taken_chips_are_the_stored_ones(dtype: torch.dtype, step: float) -> None:
    held, optical = chips(dtype)
    assert held.optical.dtype == dtype
    taken = held.take(torch.tensor([4, 0, 4]))
    assert taken.optical.dtype == taken.radar.dtype == torch.float32
    assert (taken.optical - optical[[4, 0, 4]]).abs().max() <= step / 2 + 1e-6
    assert torch.equal(taken.label, held.label[[4, 0, 4]])
    assert torch.equal(taken.optical_valid, ~taken.radar_valid)


def test_what_lies_outside_the_span_is_clipped_to_it() -> None:
    coding = Coding.spanning(*SPAN, torch.uint16)
    pixels = torch.tensor([-100.0, -6.0, 10.0, 100.0])
    back = coding.decode(coding.encode(pixels, torch.uint16))
    torch.testing.assert_close(back, torch.tensor([-6.0, -6.0, 10.0, 10.0]))


def test_moving_chips_keeps_them() -> None:
    held, _ = chips(torch.uint16)
    moved = held.to(torch.device("cpu"))
    indices = torch.arange(5)
    assert torch.equal(moved.take(indices).radar, held.take(indices).radar)


def test_chips_that_do_not_lie_on_each_other_are_refused() -> None:
    valid = torch.ones(1, 1, 8, 8, dtype=torch.bool)
    label = torch.zeros(1, 8, 9, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"label is \(1, 8, 9\), but optical is \(1, 10, 8, 8\)"):
        Batch(torch.zeros(1, 10, 8, 8), torch.zeros(1, 2, 8, 8), valid, valid, label)
