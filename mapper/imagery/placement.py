"""Where a raster's pixels lie on the lattice of its zone. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from affine import Affine

from mapper.land.frame import Frame
from mapper.land.grid import LATTICE_TOP_M, PIXEL_M, Region

_TOUCH_PX = 1e-4
"""Corners this close to a lattice point are on it: transforms are written with rounding."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a raster's pixels lie on the lattice of its zone."""

    left: int
    """Lattice column of its left edge."""
    top: int
    """Lattice row of its upper edge."""
    factor: int
    """Lattice pixels per pixel of the raster: 1 or 2."""

    @property
    def is_whole(self) -> bool:
        """Whether each pixel of 20 m begins on an even lattice pixel, as all of Sentinel-2 do."""
        return self.left % self.factor == 0 == self.top % self.factor


def placement(transform: Affine) -> Placement | None:
    """The place of a raster in its zone, or None where its pixels are no lattice pixels."""
    if not all(map(isfinite, transform)):  # of a spoilt header
        return None
    factor = round(transform.a / PIXEL_M)
    corner = (transform.c / PIXEL_M, (LATTICE_TOP_M - transform.f) / PIXEL_M)
    size = (transform.a, -transform.e)
    straight = transform.b == 0 == transform.d and size == (factor * PIXEL_M,) * 2
    if factor not in (1, 2) or not straight or any(abs(v - round(v)) > _TOUCH_PX for v in corner):
        return None
    return Placement(round(corner[0]), round(corner[1]), factor)


def frame_of(region: Region | Frame, factor: int) -> Frame:
    """The pixels of `factor` lattice pixels that cover a region, or a frame of lattice pixels."""
    return Frame(
        region.left // factor,
        region.top // factor,
        -(-region.right // factor),
        -(-region.bottom // factor),
    )


def even(region: Region) -> Region:
    """A region widened to whole 20 m pixels, by at most one lattice pixel on each side."""
    cover = frame_of(region, 2)
    height, width = cover.shape
    return Region(region.zone, 2 * cover.left, 2 * cover.top, 2 * width, 2 * height)
