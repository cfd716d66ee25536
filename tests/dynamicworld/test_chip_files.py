"""Chips on disk and as tensors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mapper.dynamicworld.chips import (
    Chip,
    chip_paths,
    load_chip,
    load_chips,
    normalisation_of,
    save_chip,
    tensors_of,
)
from mapper.errors import OutputError, RequestError
from mapper.imagery.bands import OPTICAL_NAMES, RADAR_NAMES, normalise


def _chip(seed: int = 0, side: int = 64) -> Chip:
    random = np.random.default_rng(seed)
    optical = random.integers(1, 9000, (10, side, side)).astype(np.uint16)
    optical[:, :5] = 0
    radar = random.normal(-12, 4, (2, side, side)).astype(np.float32)
    radar[:, :, -3:] = np.nan
    label = random.integers(0, 9, (side, side)).astype(np.uint8)
    return Chip(
        optical, radar, label, f"32N_{seed}", 9.5, 47.1, "2024-06-01/2024-08-31", 3, 4, True, "x"
    )


def test_a_chip_comes_back_from_its_file(tmp_path: Path) -> None:
    chip = _chip()
    path = save_chip(chip, tmp_path / "set", "one")
    back = load_chip(path)
    assert np.array_equal(back.optical, chip.optical) and np.array_equal(back.label, chip.label)
    assert np.array_equal(np.isnan(back.radar), np.isnan(chip.radar))
    assert np.nanmax(abs(back.radar - chip.radar)) <= 0.0051
    for name in ("place", "lon", "lat", "period", "optical_looks", "simulated", "source"):
        assert getattr(back, name) == getattr(chip, name)
    assert [p.name for p in (tmp_path / "set").iterdir()] == ["one.chip.npz"]


def test_chips_of_a_folder_come_in_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        save_chip(_chip(ord(name)), tmp_path, name)
    assert [chip.place for chip in load_chips(tmp_path)] == ["32N_97", "32N_98", "32N_99"]
    with pytest.raises(RequestError, match="no chip"):
        chip_paths(tmp_path / "nothing")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"not a chip at all"])
def test_damaged_files_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.chip.npz"
    path.write_bytes(content)
    with pytest.raises(RequestError, match=r"bad\.chip\.npz is not a chip"):
        load_chip(path)


def test_a_cut_file_is_damaged(tmp_path: Path) -> None:
    path = save_chip(_chip(), tmp_path, "one")
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(RequestError, match="damaged"):
        load_chip(path)


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot be written"):
        save_chip(_chip(), tmp_path / "file", "one")


def test_arrays_that_do_not_fit_each_other_are_refused() -> None:
    chip = _chip()
    with pytest.raises(RequestError, match="do not fit labels"):
        replace(chip, label=chip.label[:-1])


def test_statistics_are_of_valid_pixels_only() -> None:
    chips = [_chip(seed) for seed in range(4)]
    found = normalisation_of(chips)
    assert set(found) == {*OPTICAL_NAMES, *RADAR_NAMES}
    red = found["B04"]
    assert 0.0 < red.low < 0.02 and 0.88 < red.high < 0.9
    assert red.mean == pytest.approx(0.45, abs=0.01)
    assert found["VV"].mean == pytest.approx(-12, abs=0.3)
    with pytest.raises(RequestError, match="no chip has a pixel"):
        normalisation_of([replace(chips[0], radar=np.full_like(chips[0].radar, np.nan))])
    with pytest.raises(RequestError, match="no chip has a pixel"):
        normalisation_of([])


def test_tensors_are_what_the_network_is_given_in_production() -> None:
    chips = [_chip(seed) for seed in range(3)]
    rule = normalisation_of(chips)
    batch = tensors_of(chips, rule).take(torch.tensor([2, 0]))
    wanted = normalise(chips[2].optical, chips[2].radar, rule)
    assert np.abs(batch.optical[0].numpy() - wanted.optical).max() < 2e-4
    assert np.abs(batch.radar[0].numpy() - wanted.radar).max() < 2e-4
    assert np.array_equal(batch.optical_valid[0, 0].numpy(), wanted.optical_valid)
    assert np.array_equal(batch.radar_valid[0, 0].numpy(), wanted.radar_valid)
    assert np.array_equal(batch.label[1].numpy(), chips[0].label)
    with pytest.raises(RequestError, match="one size"):
        tensors_of([chips[0], _chip(1, 32)], rule)
