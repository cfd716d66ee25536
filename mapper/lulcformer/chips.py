"""What the network learns from: batches of chips, and a set of chips held in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Protocol

import torch
from torch import Tensor

UNLABELLED = 255
"""The label of a pixel from which nothing is learned."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Chips side by side; all tensors on one device."""

    optical: Tensor
    """(chip, 10 bands, y, x) floating point, standardised; anything where not valid."""
    radar: Tensor
    """(chip, 2 bands, y, x) floating point, standardised; anything where not valid."""
    optical_valid: Tensor
    """(chip, 1, y, x) bool, True where the optical sensor saw the ground."""
    radar_valid: Tensor
    """(chip, 1, y, x) bool, the same for radar."""
    label: Tensor
    """(chip, y, x) uint8 class codes, 255 where unlabelled."""

    def __post_init__(self) -> None:
        chips, *_, height, width = self.optical.shape
        for name in ("radar", "optical_valid", "radar_valid", "label"):
            shape = getattr(self, name).shape
            if (shape[0], *shape[-2:]) != (chips, height, width):
                raise ValueError(
                    f"{name} is {tuple(shape)}, but optical is {tuple(self.optical.shape)}; "
                    "chips and pixels must agree"
                )

    def to(self, device: torch.device) -> Batch:
        """The same chips on a device, pixels as float32."""
        return Batch(
            onto(device, self.optical).to(torch.float32),
            onto(device, self.radar).to(torch.float32),
            onto(device, self.optical_valid),
            onto(device, self.radar_valid),
            onto(device, self.label),
        )


def onto(device: torch.device, tensor: Tensor) -> Tensor:
    """A tensor on a device, without waiting for what that has still to do."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()  # a GPU fetches nothing else while the host goes on
    return tensor.to(device, non_blocking=True)


class Chips(Protocol):
    """A set of chips that can be drawn from, on disk or in memory."""

    def __len__(self) -> int:
        """How many chips there are."""
        ...

    def take(self, indices: Tensor) -> Batch:
        """The chips of these indices, (chip,) int64, on whichever device they live."""
        ...

    def expect(self, indices: Tensor) -> None:
        """Say which chips, (chip,) int64, will be taken next; a set on disk reads them ahead."""
        ...


@dataclass(frozen=True, slots=True)
class Coding:
    """How standardised pixels are stored as small integers: value = stored * step + lowest.

    Standardised pixels are clipped, so they span few deviations: -10..10 in uint8 has steps of
    0.08 deviations, in uint16 of 0.0003.
    """

    lowest: float = 0.0
    step: float = 1.0

    @staticmethod
    def spanning(low: float, high: float, dtype: torch.dtype) -> Coding:
        """The finest coding of low..high in an unsigned integer type."""
        return Coding(low, (high - low) / torch.iinfo(dtype).max)

    def encode(self, values: Tensor, dtype: torch.dtype) -> Tensor:
        """Standardised pixels as integers; what lies outside the span is clipped to it."""
        top = torch.iinfo(dtype).max
        codes = ((values - self.lowest) / self.step).round().clamp(0, top)
        return codes.to(torch.int32).to(dtype)

    def decode(self, stored: Tensor) -> Tensor:
        """Standardised pixels, float32."""
        return stored.float() * self.step + self.lowest


@dataclass(frozen=True, slots=True, eq=False)
class TensorChips:
    """Chips held in memory, of the CPU or of the GPU, as the tensors of one large `Batch`.

    `optical` and `radar` may be float32 or float16 as they are, or uint8 or uint16 with a coding.
    """

    optical: Tensor
    radar: Tensor
    optical_valid: Tensor
    radar_valid: Tensor
    label: Tensor
    coding: Coding = Coding()
    """How the integers of `optical` and `radar` are read; leaves floating point alone."""

    def __len__(self) -> int:
        return len(self.label)

    @property
    def nbytes(self) -> int:
        """What they take of memory."""
        masks = self.optical_valid.nbytes + self.radar_valid.nbytes
        return self.optical.nbytes + self.radar.nbytes + masks + self.label.nbytes

    def take(self, indices: Tensor) -> Batch:
        """The chips of these indices, decoded to float32."""
        # Who only hands over what to do next need not wait until all before it is done.
        here = indices.to(self.label.device, non_blocking=True)
        return Batch(
            optical=self.coding.decode(rows(self.optical, here)),
            radar=self.coding.decode(rows(self.radar, here)),
            optical_valid=self.optical_valid[here],
            radar_valid=self.radar_valid[here],
            label=self.label[here],
        )

    def expect(self, indices: Tensor) -> None:
        """Nothing: they are here."""

    def to(self, device: torch.device) -> TensorChips:
        """The same chips in the memory of a device."""
        return TensorChips(
            self.optical.to(device),
            self.radar.to(device),
            self.optical_valid.to(device),
            self.radar_valid.to(device),
            self.label.to(device),
            self.coding,
        )


@dataclass(frozen=True, slots=True)
class Some:
    """Some chips of a set."""

    chips: Chips
    places: Tensor
    """(chip,) int64 indices in the whole set."""

    def __len__(self) -> int:
        return len(self.places)

    def take(self, indices: Tensor) -> Batch:
        """The chips of these indices among the some."""
        return self.chips.take(self.places[indices])

    def expect(self, indices: Tensor) -> None:
        """Pass on what will be taken next."""
        self.chips.expect(self.places[indices])


def near(sets: Sequence[Chips], device: torch.device) -> list[Chips]:
    """Sets of chips where they are used: in a device's memory, as far as half of what is free goes.

    Others stay where they are, and each batch is moved as it is taken.
    """
    room = inf
    if device.type == "cuda":  # without a number it is the current one, which an old torch refuses
        room = torch.cuda.mem_get_info(None if device.index is None else device)[0] / 2
    placed: list[Chips] = []
    for chips in sets:
        if isinstance(chips, TensorChips) and chips.nbytes <= room:
            room -= chips.nbytes
            placed.append(chips.to(device))
        else:
            placed.append(chips)
    return placed


def concatenated(batches: Sequence[Batch]) -> Batch:
    """Batches one after the other, as one."""
    return Batch(
        torch.cat([batch.optical for batch in batches]),
        torch.cat([batch.radar for batch in batches]),
        torch.cat([batch.optical_valid for batch in batches]),
        torch.cat([batch.radar_valid for batch in batches]),
        torch.cat([batch.label for batch in batches]),
    )


def rows(stored: Tensor, indices: Tensor) -> Tensor:
    """`stored[indices]`; torch cannot index uint16 on every device, but can its bits as int16."""
    if stored.dtype == torch.uint16:
        return stored.view(torch.int16)[indices].view(torch.uint16)
    return stored[indices]
