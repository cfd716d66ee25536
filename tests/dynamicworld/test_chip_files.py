"""Chips in their files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mapper.dynamicworld.chips import (
    Chip,
    chip_paths,
    facts_of,
    framed,
    load_chip,
    save_chip,
)
from mapper.errors import OutputError, RequestError


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
    found = [load_chip(path) for path in chip_paths(tmp_path)]
    assert [chip.place for chip in found] == ["32N_97", "32N_98", "32N_99"]
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


def test_pixels_of_another_type_are_refused(tmp_path: Path) -> None:
    chip = _chip()
    with pytest.raises(RequestError, match="optical is float64 and radar float32; wanted uint16"):
        replace(chip, optical=chip.optical / 10_000)
    with pytest.raises(ValueError, match="labels are int16, wanted uint8"):
        replace(chip, label=np.full((64, 64), -1, np.int16))
    path = save_chip(chip, tmp_path, "one")
    with np.load(path) as arrays:
        made_by_hand = {**arrays, "label": np.full((64, 64), -1, np.int16)}
    np.savez(path, **made_by_hand)
    with pytest.raises(RequestError, match=r"one\.chip\.npz is not a chip .*labels are int16"):
        facts_of(path)


@pytest.mark.parametrize(
    "wrong", [{"lon": None}, {"lat": "north"}, {"simulated": "no"}, {"place": 3}, []]
)
def test_facts_of_another_kind_are_refused(wrong: object, tmp_path: Path) -> None:
    path = save_chip(_chip(), tmp_path, "one")
    with np.load(path) as arrays:
        held = dict(arrays)
    facts = json.loads(str(held["facts"]))
    told = {**facts, **wrong} if isinstance(wrong, dict) else wrong
    np.savez(path, **{**held, "facts": np.array(json.dumps(told))})
    for reader in (facts_of, load_chip):
        with pytest.raises(RequestError, match=r"one\.chip\.npz is not a chip or is damaged"):
            reader(path)


def test_an_array_under_the_name_of_a_chip_is_none(tmp_path: Path) -> None:
    path = tmp_path / "one.chip.npz"
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(RequestError, match=r"one\.chip\.npz is not a chip"):
        facts_of(path)


def test_facts_are_what_the_chip_says(tmp_path: Path) -> None:
    chip = replace(_chip(), label=np.full((64, 64), 255, np.uint8))
    chip.label[:2], chip.label[2] = 8, 3
    path = save_chip(chip, tmp_path, "one")
    found = facts_of(path)
    assert found.path == path and found.shape == (64, 64)
    assert found.class_counts == (0, 0, 0, 64, 0, 0, 0, 0, 128)
    for name in ("place", "lon", "lat", "simulated", "source"):
        assert getattr(found, name) == getattr(chip, name)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(RequestError, match=r"one\.chip\.npz is not a chip or is damaged"):
        facts_of(path)


def test_a_chip_of_the_right_size_is_left_alone() -> None:
    chip = _chip()
    assert framed(chip, 64) is chip
    wide = framed(chip, 67)
    assert wide.label.shape == (67, 67) and np.array_equal(wide.label[1:65, 1:65], chip.label)
    assert (wide.label[-2:] == 255).all() and not wide.optical[:, 0].any()
    assert np.isnan(wide.radar[:, :, -2:]).all()
