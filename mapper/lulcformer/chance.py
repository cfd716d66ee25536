"""Chance in a training: every draw follows from the seed, the step and its purpose alone."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import torch
from torch import Tensor


def seed_of(seed: int, what: str, step: int = 0, place: int = 0) -> int:
    """A seed for one purpose in one step and place, unrelated to all others."""
    digest = hashlib.sha256(f"{seed}/{what}/{step}/{place}".encode()).digest()
    return int.from_bytes(digest[:7], "little")


def draw(chips: int, batch: int, step: int, seed: int) -> Tensor:
    """(batch,) indices of a step's chips: every chip once, in random order, then all over again."""
    places = range(step * batch, (step + 1) * batch)
    return torch.stack([shuffled(chips, at // chips, seed)[at % chips] for at in places])


@lru_cache(maxsize=2)
def shuffled(chips: int, epoch: int, seed: int) -> Tensor:
    """(chips,) the order in which an epoch takes the chips."""
    generator = torch.Generator().manual_seed(seed_of(seed, "order", epoch))
    return torch.randperm(chips, generator=generator)
