"""A lesson keeps places apart and makes chips of one size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_chips import folder_of, noise_chip

from mapper.dynamicworld.apart import kept_apart, without_shared_ground
from mapper.dynamicworld.chip_sets import FileChips, bytes_of_chip
from mapper.dynamicworld.chips import chip_paths, save_chip
from mapper.dynamicworld.learn import learn
from mapper.dynamicworld.lesson import chip_memory_bytes, lesson_of, weights_of_classes
from mapper.dynamicworld.recipe import TrainingRecipe
from mapper.errors import RequestError
from mapper.lulcformer.chips import UNLABELLED, TensorChips
from mapper.lulcformer.events import Event, Validated


def test_chips_of_several_folders_and_sizes_become_one_set(tmp_path: Path) -> None:
    folders = [folder_of(tmp_path / "a", range(3)), folder_of(tmp_path / "b", range(3, 5), side=48)]
    tried = folder_of(tmp_path / "c", range(9, 10))
    lesson = lesson_of(folders, tried)
    assert len(lesson.training) == 5 and len(lesson.validation) == 1 and lesson.window_px == 64
    small = lesson.training.take(torch.tensor([3]))
    assert (small.label[0, :8] == UNLABELLED).all()
    assert (small.label[0, 8:-8, 8:-8] != UNLABELLED).all()
    assert not small.optical_valid[0, 0, :8].any()
    assert not small.radar_valid[0, 0, :, -8:].any()
    weights = weights_of_classes(lesson, 1.0)
    assert len(weights) == 9 and min(weights) > 0 and weights_of_classes(lesson, 0) == (1.0,) * 9


def test_one_folder_is_divided_by_place_alone(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a", range(12))
    lesson = lesson_of([], [], mixed=[folder], validation_share=0.4)
    ground = [(seed, noise_chip(seed)) for seed in range(12)]
    apart = [seed for seed, chip in ground if kept_apart(chip.lon, chip.lat, 0.4)]
    assert len(lesson.validation) == len(apart) and 0 < len(apart) < 12
    chip = noise_chip(apart[0])
    assert kept_apart(chip.lon + 0.05, chip.lat, 0.4), "ground nearby stays on the same side"
    share = np.mean([kept_apart(-170 + n / 3, chip.lat, 0.2) for n in range(1000)])
    assert 0.15 < share < 0.25


def test_ground_that_was_learned_is_no_validation(tmp_path: Path) -> None:
    one, two = folder_of(tmp_path / "a", range(3)), folder_of(tmp_path / "b", range(2, 4))
    with pytest.raises(RequestError, match="1 places are both to be learned from"):
        lesson_of(one, two)
    with pytest.raises(RequestError, match="3 chips to learn from and 0 to be tried on"):
        lesson_of([one], [])


def test_a_chip_that_reaches_into_ground_to_be_tried_on_is_not_learned_from(tmp_path: Path) -> None:
    """A chip of 64 px is 640 m wide: at 47 N 0.0084 degrees of longitude."""
    training, validation = tmp_path / "a", folder_of(tmp_path / "b", [7])
    middle = noise_chip(7).lon
    for seed, lon in ((1, middle + 0.008), (2, middle - 0.009)):
        save_chip(noise_chip(seed, lon=lon), training, f"noise-{seed}")
    lesson = lesson_of(training, validation)
    assert lesson.left_out == 1 and len(lesson.training) == 1
    assert not without_shared_ground([], [])


def test_chips_given_twice_are_refused(tmp_path: Path) -> None:
    training, validation = folder_of(tmp_path / "a", range(3)), folder_of(tmp_path / "b", [3])
    with pytest.raises(RequestError, match="are given 2 times; give them once"):
        lesson_of([training, tmp_path / "b" / ".." / "a"], validation)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [("lon", float("nan"), "lon is nan, wanted -180..180"), ("lat", 91.0, "lat is 91.0, wanted")],
)
def test_a_chip_that_lies_nowhere_is_refused(
    key: str, value: float, message: str, tmp_path: Path
) -> None:
    save_chip(replace(noise_chip(1), **{key: value}), tmp_path / "a", "x")
    with pytest.raises(RequestError, match=message):
        lesson_of(tmp_path / "a", folder_of(tmp_path / "b", [3]))


def test_what_does_not_fit_in_memory_stays_on_disk(tmp_path: Path) -> None:
    training, validation = (
        folder_of(tmp_path / "a", range(3)),
        folder_of(tmp_path / "b", range(3, 5)),
    )
    for chips, kinds in ((1, (FileChips, FileChips)), (4, (FileChips, TensorChips))):
        lesson = lesson_of(training, validation, memory_bytes=chips * bytes_of_chip(64))
        assert (type(lesson.training), type(lesson.validation)) == kinds
    swapped = lesson_of(validation, training, memory_bytes=2 * bytes_of_chip(64))
    assert isinstance(swapped.validation, FileChips), "three chips where two have room"
    assert isinstance(swapped.training, TensorChips), "what stays on disk takes no memory"
    held = lesson_of(training, validation, memory_bytes=5 * bytes_of_chip(64))
    assert isinstance(held.training, TensorChips) and isinstance(held.validation, TensorChips)
    assert lesson.normalisation == held.normalisation and lesson.class_counts == held.class_counts
    labels = held.training.label
    assert held.class_counts == tuple(int((labels == code).sum()) for code in range(9))


def test_a_damaged_chip_that_stays_on_disk_is_told_before_the_training(tmp_path: Path) -> None:
    training, validation = folder_of(tmp_path / "a", range(3)), folder_of(tmp_path / "b", [3])
    given = lesson_of(training, validation).normalisation
    path = chip_paths(training)[1]
    with np.load(path) as arrays:
        held = dict(arrays)
    with path.open("wb") as file:
        np.savez(file, **{**held, "optical": held["optical"][:, :9]})
    with pytest.raises(RequestError, match=path.name):
        lesson_of(training, validation, given, memory_bytes=bytes_of_chip(64))


def test_processes_of_one_machine_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = chip_memory_bytes()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1000")
    assert 0 < chip_memory_bytes() < alone / 100


def test_from_disk_and_killed_the_same_weights_are_learned(tmp_path: Path) -> None:
    training = folder_of(tmp_path / "a", range(5))
    validation = folder_of(tmp_path / "b", range(5, 8), side=48)
    lessons = [lesson_of(training, validation, memory_bytes=room) for room in (None, 0)]
    recipe = TrainingRecipe(variant="micro", steps=6, batch=4, parts=2, validate_every=2)
    settings = recipe.settings("cpu", weights_of_classes(lessons[0], 0.5))
    held = learn(lessons[0], settings, "micro")

    class Killed(Exception):
        pass

    def kill(event: Event) -> None:
        if isinstance(event, Validated) and event.step == 4:
            raise Killed

    state = tmp_path / "state"
    with pytest.raises(Killed):
        learn(lessons[1], settings, "micro", kill, state)
    again = lesson_of(training, validation, memory_bytes=0)
    read = learn(again, settings, "micro", state_file=state)
    assert all(torch.equal(read.weights[name], one) for name, one in held.weights.items())
    assert read.temperature == held.temperature and read.facts == held.facts
