"""Which pixels of a tile are wanted, small enough to travel with a task. Pure."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class PackedMask:
    """A mask as compressed bits: a few kilobytes, where an outline may have a million points."""

    shape: tuple[int, int]
    """(y, x), in pixels."""
    data: bytes
    """Bits in row-major order, deflated."""
    digest: str
    """SHA-256 of the bits; part of the tile's content key."""

    @classmethod
    def pack(cls, mask: npt.NDArray[np.bool_]) -> Self:
        """From (y, x) bool; True means this pixel is to be mapped."""
        bits = np.packbits(mask).tobytes()
        height, width = mask.shape
        return cls((height, width), zlib.compress(bits, 1), hashlib.sha256(bits).hexdigest())

    def unpack(self) -> npt.NDArray[np.bool_]:
        """The inverse of `pack`."""
        height, width = self.shape
        bits = np.frombuffer(zlib.decompress(self.data), np.uint8)
        return np.unpackbits(bits, count=height * width).reshape(self.shape).astype(np.bool_)
