"""Sets of chips as training draws from them: held in memory, or read from their files when drawn.

Both give the same pixels to the bit, so where chips are kept changes no weight.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from mapper.dynamicworld.chips import framed, load_chip
from mapper.imagery.bands import OPTICAL_BANDS, RADAR_BANDS, Normalisation, normalise
from mapper.lulcformer.chips import Batch, Coding, TensorChips, concatenated
from mapper.pool import Found, Given, cores, in_order

CODING = Coding.spanning(-10.0, 10.0, torch.uint16)
"""What is clipped to its 1st and 99th percentile lies at most 9.95 deviations, the root of 99, from
its mean; in two bytes pixels have steps of 0.0003 of one."""
MOST_READERS = 8
"""Threads that read files; a chip of 512 px costs one of them 0.04 s."""
_FIRST = torch.tensor([0])


class FileChips:
    """Chips read from their files when they are taken, for a set larger than memory.

    What is expected next is read ahead by a few threads; no more of it is kept than that.
    """

    def __init__(
        self, paths: Sequence[Path], side: int, normalisation: Mapping[str, Normalisation]
    ) -> None:
        """Chips of these files, framed to squares of a side in pixels."""
        self.paths = tuple(paths)
        self.side = side
        self.normalisation = normalisation
        self._readers = ThreadPoolExecutor(readers(), "chips")
        self._coming: dict[int, Future[Batch]] = {}

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def nbytes(self) -> int:
        """What they take of memory: nothing that stays."""
        return 0

    def take(self, indices: Tensor) -> Batch:
        """The chips of these indices, float32 as `TensorChips` gives them.

        Raises:
            RequestError: a file is gone or damaged.
        """
        # Joined even if there is but one: who takes a chip may change it, and it may come again.
        return concatenated([self._one(index) for index in indices.tolist()])

    def expect(self, indices: Tensor) -> None:
        """Read these chips ahead, and let go of all that were expected before."""
        before, self._coming = self._coming, {}
        for index in dict.fromkeys(indices.tolist()):
            coming = before.pop(index, None)
            self._coming[index] = coming or self._readers.submit(self._read, index)
        for given_up in before.values():
            given_up.cancel()

    def _one(self, index: int) -> Batch:
        coming = self._coming.get(index)
        return self._read(index) if coming is None else coming.result()

    def _read(self, index: int) -> Batch:
        # Through the integers that a set in memory keeps: the same pixels to the bit.
        return read(self.paths[index], self.side, self.normalisation).take(_FIRST)


def chip_set(
    paths: Sequence[Path],
    side: int,
    normalisation: Mapping[str, Normalisation],
    room_bytes: float,
) -> TensorChips | FileChips:
    """The chips of some files, framed to squares: in memory if there is room, else left on disk.

    Raises:
        RequestError: a file is no chip, or is damaged.
    """
    if len(paths) * bytes_of_chip(side) > room_bytes:
        return FileChips(paths, side, normalisation)
    whole = blank(len(paths), side)
    chips = read_ahead(lambda path: read(path, side, normalisation), paths)
    for number, chip in enumerate(chips):
        whole.optical[number] = chip.optical[0]
        whole.radar[number] = chip.radar[0]
        whole.optical_valid[number] = chip.optical_valid[0]
        whole.radar_valid[number] = chip.radar_valid[0]
        whole.label[number] = chip.label[0]
    return whole


def on_disk(chips: TensorChips | FileChips) -> Sequence[Path]:
    """The files of a set that stays on disk; none of one in memory."""
    return chips.paths if isinstance(chips, FileChips) else ()


def require_readable(paths: Iterable[Path]) -> None:
    """Read each file once: a damaged one is told before hours of work.

    Raises:
        RequestError: a file is no chip, or is damaged.
    """
    for _ in read_ahead(load_chip, paths):
        pass


def read(path: Path, side: int, normalisation: Mapping[str, Normalisation]) -> TensorChips:
    """The one chip of a file as training takes it: standardised, two bytes a pixel and band."""
    chip = framed(load_chip(path), side)
    given = normalise(chip.optical, chip.radar, normalisation)
    return TensorChips(
        optical=CODING.encode(torch.from_numpy(given.optical), torch.uint16)[None],
        radar=CODING.encode(torch.from_numpy(given.radar), torch.uint16)[None],
        optical_valid=torch.from_numpy(given.optical_valid)[None, None],
        radar_valid=torch.from_numpy(given.radar_valid)[None, None],
        label=torch.from_numpy(chip.label)[None],
        coding=CODING,
    )


def blank(chips: int, side: int) -> TensorChips:
    """Room for chips, to be filled."""
    return TensorChips(
        optical=torch.empty((chips, len(OPTICAL_BANDS), side, side), dtype=torch.uint16),
        radar=torch.empty((chips, len(RADAR_BANDS), side, side), dtype=torch.uint16),
        optical_valid=torch.empty((chips, 1, side, side), dtype=torch.bool),
        radar_valid=torch.empty((chips, 1, side, side), dtype=torch.bool),
        label=torch.empty((chips, side, side), dtype=torch.uint8),
        coding=CODING,
    )


def bytes_of_chip(side: int) -> int:
    """What a chip takes of memory; 7 MB for 512 px."""
    return blank(1, side).nbytes


def read_ahead(function: Callable[[Given], Found], given: Iterable[Given]) -> Iterator[Found]:
    """What a function that reads a file finds for each, in order; a few are read ahead."""
    threads = readers()
    with ThreadPoolExecutor(threads, "chips") as pool:
        yield from in_order(pool, function, given, lambda _: threads)


def readers() -> int:
    """How many threads read: the cores, shared with the other processes that torchrun started."""
    return max(1, min(MOST_READERS, cores() // processes_here()))


def processes_here() -> int:
    """How many processes train together on this machine, by what torchrun tells."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
