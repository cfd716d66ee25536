"""Chips give the same pixels wherever they are kept, those that production gives the network."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from made_chips import folder_of, noise_chip

from mapper.dynamicworld import chip_sets
from mapper.dynamicworld.chip_sets import (
    FileChips,
    bytes_of_chip,
    chip_set,
    read_ahead,
    readers,
)
from mapper.dynamicworld.chips import chip_paths, framed, load_chip
from mapper.dynamicworld.ranges import normalisation_of
from mapper.errors import RequestError
from mapper.imagery.bands import Normalisation, normalise
from mapper.lulcformer.chips import Batch, Some, TensorChips

FIELDS = ("optical", "radar", "optical_valid", "radar_valid", "label")
Rule = dict[str, Normalisation]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], Rule]:
    """Files of five chips, the last ones smaller, and their normalisation."""
    folder = tmp_path_factory.mktemp("chips")
    folder_of(folder, range(3))
    folder_of(folder, range(3, 5), side=48)
    return chip_paths(folder), normalisation_of([noise_chip(seed) for seed in range(3)])


def both(made: tuple[list[Path], Rule]) -> tuple[TensorChips, FileChips]:
    paths, rule = made
    held = chip_set(paths, 64, rule, room_bytes=5 * bytes_of_chip(64))
    read = chip_set(paths, 64, rule, room_bytes=5 * bytes_of_chip(64) - 1)
    assert isinstance(held, TensorChips) and isinstance(read, FileChips)
    return held, read


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in FIELDS)


def test_chips_are_what_the_network_is_given_in_production(
    made: tuple[list[Path], Rule],
) -> None:
    (paths, rule), (held, _) = made, both(made)
    assert held.nbytes == 5 * bytes_of_chip(64) == 5 * 64 * 64 * 27
    batch = held.take(torch.tensor([4, 0]))
    for number, path in enumerate((paths[4], paths[0])):
        chip = framed(load_chip(path), 64)
        wanted = normalise(chip.optical, chip.radar, rule)
        assert np.abs(batch.optical[number].numpy() - wanted.optical).max() < 2e-4
        assert np.abs(batch.radar[number].numpy() - wanted.radar).max() < 2e-4
        assert np.array_equal(batch.optical_valid[number, 0].numpy(), wanted.optical_valid)
        assert np.array_equal(batch.radar_valid[number, 0].numpy(), wanted.radar_valid)
        assert np.array_equal(batch.label[number].numpy(), chip.label)


@pytest.mark.parametrize("ahead", [[], [2, 3, 2, 0], [1]])
def test_from_disk_and_from_memory_chips_are_equal_to_the_bit(
    made: tuple[list[Path], Rule], ahead: list[int]
) -> None:
    held, read = both(made)
    assert len(held) == len(read) == 5
    for chips in (held, read):
        chips.expect(torch.tensor(ahead, dtype=torch.int64))
    for indices in ([2, 3, 2, 0], [4], [0, 1, 2, 3, 4]):
        assert same(read.take(torch.tensor(indices)), held.take(torch.tensor(indices)))


def test_some_chips_are_expected_by_their_places_in_the_whole(
    made: tuple[list[Path], Rule], monkeypatch: pytest.MonkeyPatch
) -> None:
    held, read = both(made)
    some = Some(read, torch.tensor([1, 3]))
    some.expect(torch.tensor([1]))
    wanted = held.take(torch.tensor([3]))
    assert same(read.take(torch.tensor([3])), wanted)
    monkeypatch.setattr(read, "paths", ())
    assert same(some.take(torch.tensor([1])), wanted), "it was read ahead"


def test_who_changes_a_chip_changes_no_other(made: tuple[list[Path], Rule]) -> None:
    _, read = both(made)
    one = torch.tensor([1])
    read.expect(one)
    first = read.take(one)
    kept = first.optical.clone()
    first.optical.zero_()
    assert torch.equal(read.take(one).optical, kept)


def test_only_what_is_expected_is_kept(made: tuple[list[Path], Rule]) -> None:
    _, read = both(made)
    for indices in ([0, 1, 2], [2, 3, 3], []):
        read.expect(torch.tensor(indices, dtype=torch.int64))
        read.take(torch.arange(5))
        assert sorted(read._coming) == sorted(set(indices))


def test_a_file_that_is_damaged_later_is_named(tmp_path: Path) -> None:
    paths = chip_paths(folder_of(tmp_path, range(2)))
    chips = FileChips(paths, 64, normalisation_of([noise_chip(0)]))
    paths[1].unlink()
    chips.expect(torch.tensor([0, 1]))
    chips.take(torch.tensor([0]))
    with pytest.raises(RequestError, match=r"noise-1\.chip\.npz is not a chip or is damaged"):
        chips.take(torch.tensor([1]))


def test_files_are_read_in_order_and_only_a_few_ahead() -> None:
    begun: list[int] = []
    lock = threading.Lock()

    def read(number: int) -> int:
        with lock:
            begun.append(number)
        return number * number

    found = read_ahead(read, range(100))
    assert [next(found) for _ in range(3)] == [0, 1, 4]
    assert len(begun) <= 3 + readers() + 1
    assert list(found) == [n * n for n in range(3, 100)] and sorted(begun) == list(range(100))


def test_readers_are_shared_among_the_processes_of_a_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chip_sets, "cores", lambda: 12)
    assert readers() == 8
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert readers() == 3
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "40")
    assert readers() == 1
