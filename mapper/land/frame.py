"""A rectangle of pixels without a zone: the arithmetic of windows. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Frame:
    """A rectangle of pixels of one size, counted from one origin; it may be empty."""

    left: int
    """First column."""
    top: int
    """First row."""
    right: int
    """Column after the last."""
    bottom: int
    """Row after the last."""

    @property
    def shape(self) -> tuple[int, int]:
        """(y, x), in pixels."""
        return (self.bottom - self.top, self.right - self.left)

    def intersection(self, other: Frame) -> Frame | None:
        """The pixels in both, or None."""
        left, top = max(self.left, other.left), max(self.top, other.top)
        right, bottom = min(self.right, other.right), min(self.bottom, other.bottom)
        return Frame(left, top, right, bottom) if left < right and top < bottom else None

    def holds(self, other: Frame) -> bool:
        """Whether every pixel of another frame is in this one."""
        return self.intersection(other) == other

    def slices_in(self, outer: Frame) -> tuple[slice, slice]:
        """(y, x) slices that cut this frame out of an array over `outer`."""
        return (
            slice(self.top - outer.top, self.bottom - outer.top),
            slice(self.left - outer.left, self.right - outer.left),
        )

    def widened(self, margin_px: int) -> Frame:
        """With so many more pixels on every side."""
        return Frame(
            self.left - margin_px,
            self.top - margin_px,
            self.right + margin_px,
            self.bottom + margin_px,
        )
