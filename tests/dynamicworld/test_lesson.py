"""A lesson keeps places apart and makes chips of one size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_chips import folder_of, noise_chip

from mapper.dynamicworld.lesson import framed, kept_apart, lesson_of, weights_of_classes
from mapper.errors import RequestError
from mapper.lulcformer.chips import UNLABELLED


def test_chips_of_several_folders_and_sizes_become_one_set(tmp_path: Path) -> None:
    folders = [folder_of(tmp_path / "a", range(3)), folder_of(tmp_path / "b", range(3, 5), side=48)]
    tried = folder_of(tmp_path / "c", range(9, 10))
    lesson = lesson_of(folders, tried)
    assert len(lesson.training) == 5 and len(lesson.validation) == 1 and lesson.window_px == 64
    small = lesson.training.label[3]
    assert (small[:8] == UNLABELLED).all() and (small[8:-8, 8:-8] != UNLABELLED).all()
    assert not lesson.training.optical_valid[3, 0, :8].any()
    assert not lesson.training.radar_valid[3, 0, :, -8:].any()
    weights = weights_of_classes(lesson, 1.0)
    assert len(weights) == 9 and min(weights) > 0 and weights_of_classes(lesson, 0) == (1.0,) * 9


def test_one_folder_is_divided_by_place_alone(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a", range(12))
    lesson = lesson_of([], [], mixed=[folder], validation_share=0.4)
    apart = [seed for seed in range(12) if kept_apart(noise_chip(seed), 0.4)]
    assert len(lesson.validation) == len(apart) and 0 < len(apart) < 12
    chip = noise_chip(apart[0])
    neighbour = replace(chip, lon=chip.lon + 0.05, place="another")
    assert kept_apart(neighbour, 0.4), "ground nearby stays on the same side"
    share = np.mean([kept_apart(noise_chip(0, 16, lon=-170 + n / 3), 0.2) for n in range(1000)])
    assert 0.15 < share < 0.25


def test_ground_that_was_learned_is_no_validation(tmp_path: Path) -> None:
    one, two = folder_of(tmp_path / "a", range(3)), folder_of(tmp_path / "b", range(2, 4))
    with pytest.raises(RequestError, match="1 places are both to be learned from"):
        lesson_of(one, two)
    with pytest.raises(RequestError, match="3 chips to learn from and 0 to be tried on"):
        lesson_of([one], [])


def test_a_chip_of_the_right_size_is_left_alone() -> None:
    chip = noise_chip(0)
    assert framed(chip, 64) is chip
    wide = framed(chip, 67)
    assert wide.label.shape == (67, 67) and np.array_equal(wide.label[1:65, 1:65], chip.label)
