"""Augmentation turns all layers together, hides what it says, and labels nothing unseen."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Generator

from mapper.lulcformer.augment import (
    NONE,
    SPECKLE_SPREAD,
    Augmentation,
    augment,
    clouds,
    grainy,
    half_planes,
    hazy,
    rectangles,
    symmetry,
    turned,
)
from mapper.lulcformer.chips import UNLABELLED, Batch
from mapper.simulated.radar_look import RADAR_SPREAD

CPU = torch.device("cpu")


def seeded(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def batch(chips: int = 16, side: int = 32) -> Batch:
    """Every layer holds the pixel's own number, so that layers can be compared after a turn."""
    number = torch.arange(side * side).view(1, 1, side, side) % 251
    valid = (number % 7 != 0).expand(chips, 1, side, side)
    return Batch(
        number.float().expand(chips, 10, side, side).clone(),
        number.float().expand(chips, 2, side, side).clone(),
        valid.clone(),
        valid.clone(),
        number[0].to(torch.uint8).expand(chips, side, side).clone(),
    )


def test_nothing_happens_when_nothing_may() -> None:
    before = batch()
    after = augment(before, NONE, seeded())
    for name in ("optical", "radar", "optical_valid", "radar_valid"):
        assert torch.equal(getattr(after, name), getattr(before, name))
    blind = ~before.optical_valid.squeeze(1)
    assert torch.equal(after.label[~blind], before.label[~blind])
    assert (after.label[blind] == UNLABELLED).all()


def test_the_eight_symmetries_differ_and_all_layers_take_the_same() -> None:
    after = turned(batch(8), list(range(8)))
    assert len({tuple(label.flatten().tolist()) for label in after.label}) == 8
    for layer in (after.optical, after.radar):
        assert torch.equal(layer, after.label[:, None].float().expand_as(layer))
    assert torch.equal(after.optical_valid, after.label[:, None] % 7 != 0)


def test_a_mirrored_quarter_turn_is_undone_by_itself() -> None:
    chip = torch.arange(12.0).view(1, 3, 4)
    assert torch.equal(symmetry(symmetry(chip, 5), 5), chip)


def test_jitter_moves_whole_chips_and_bands() -> None:
    before = batch()
    how = replace(NONE, optical_offset=0.5, band_offset=0.2, radar_offset=0.3)
    after = augment(before, how, seeded())
    shift = after.optical - before.optical
    assert shift.flatten(2).std(2).max() < 1e-4
    assert shift[:, :, 0, 0].std(0).min() > 0.3
    assert (after.radar - before.radar)[:, 0, 0, 0].unique().numel() == 16


def test_a_sensor_may_be_gone_but_never_both() -> None:
    everything = torch.ones(400, 1, 8, 8, dtype=torch.bool)
    small = batch(400, 8)
    before = replace(small, optical_valid=everything, radar_valid=everything)
    after = augment(before, replace(NONE, radar_dropout=0.5, optical_dropout=0.25), seeded())
    optical = after.optical_valid.flatten(1).any(1)
    radar = after.radar_valid.flatten(1).any(1)
    assert (optical | radar).all()
    assert 0.4 < (~radar).float().mean() < 0.6
    assert 0.18 < (~optical).float().mean() < 0.32
    assert (after.label == before.label).all()


def test_dropping_more_than_everything_is_refused() -> None:
    with pytest.raises(ValueError, match="together at most 1"):
        Augmentation(radar_dropout=0.7, optical_dropout=0.4)


def test_margins_are_one_sensors_or_both() -> None:
    everything = torch.ones(400, 1, 16, 16, dtype=torch.bool)
    before = replace(batch(400, 16), optical_valid=everything, radar_valid=everything)
    after = augment(before, replace(NONE, margin_dropout=1.0), seeded())
    optical = ~after.optical_valid.flatten(1).all(1)
    radar = ~after.radar_valid.flatten(1).all(1)
    assert 0.4 < (optical & radar).float().mean() < 0.6
    assert 0.15 < (optical & ~radar).float().mean() < 0.35
    assert 0.15 < (radar & ~optical).float().mean() < 0.35
    blind = ~(after.optical_valid | after.radar_valid).squeeze(1)
    assert torch.equal(after.label == UNLABELLED, blind)


@pytest.mark.parametrize("shape", [rectangles, half_planes, clouds])
def test_hidden_areas_differ_between_chips_and_leave_something(shape) -> None:  # type: ignore[no-untyped-def]
    seen = shape(200, 64, 64, seeded(), CPU)
    assert seen.shape == (200, 1, 64, 64) and seen.dtype == torch.bool
    share = seen.float().mean((1, 2, 3))
    assert share.std() > 0.1
    assert 0.3 < share.mean() < 0.8
    assert (share > 0.8).any() and (share < 0.3).any()


def test_one_seed_gives_one_augmentation() -> None:
    first, again, other = (augment(batch(), Augmentation(), seeded(s)) for s in (1, 1, 2))
    for name in ("optical", "radar", "optical_valid", "radar_valid", "label"):
        assert torch.equal(getattr(first, name), getattr(again, name))
    assert not torch.equal(first.optical, other.optical)


def test_haze_brightens_the_first_band_most_and_drifts() -> None:
    before = batch()
    added = hazy(before, replace(NONE, haze=1.0), seeded()).optical - before.optical
    assert (added > -1e-3).all() and float(added[:, 0].max()) > 0.5
    assert float(added[:, -1].max()) < 0.1 * float(added[:, 0].max())
    assert float(added[:, 0].std(dim=(1, 2)).min()) > 0
    some = hazy(before, replace(NONE, haze=0.5), seeded(1)).optical != before.optical
    assert 2 < int(some.flatten(1).any(1).sum()) < 14


def test_fewer_looks_are_noise_of_each_pixel_in_some_chips() -> None:
    before = batch()
    after = grainy(before, replace(NONE, fewer_looks=0.5), seeded())
    for name in ("optical", "radar"):
        added = (getattr(after, name) - getattr(before, name)).flatten(1)
        touched = added.abs().sum(1) > 0
        assert 2 < int(touched.sum()) < 14
        assert float(added[touched].mean().abs()) < 0.02 and float(added.std(1).max()) < 0.6


def test_noise_of_radar_is_alike_in_neighbouring_pixels() -> None:
    before = batch(side=64)
    after = grainy(before, replace(NONE, fewer_looks=1.0), seeded())
    shares = []
    for name in ("optical", "radar"):
        added = getattr(after, name) - getattr(before, name)
        shares.append(float((added[..., 1:] * added[..., :-1]).mean() / added.square().mean()))
    assert abs(shares[0]) < 0.02 and 0.7 < shares[1] < 0.76
    np.testing.assert_allclose(SPECKLE_SPREAD, RADAR_SPREAD, rtol=1e-6)


def test_what_happens_to_a_chip_is_its_generators_alone() -> None:
    how, one = Augmentation(haze=0.5, fewer_looks=0.5), batch(1)
    first, again, other = (augment(one, how, seeded(seed)) for seed in (3, 3, 4))
    for name in ("optical", "radar", "optical_valid", "label"):
        assert torch.equal(getattr(first, name), getattr(again, name))
    assert not torch.equal(first.optical, other.optical)
