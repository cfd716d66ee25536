"""Which pixels of a Sentinel-2 scene are clear, by its classification or another judge. Pure.

Classes as in the Level-2A product format (Sen2Cor):

    0 no data      3 cloud shadow     6 water               9 cloud, high probability
    1 defective    4 vegetation       7 unclassified       10 thin cirrus
    2 dark area    5 not vegetated    8 cloud, medium      11 snow or ice

Another judge of clouds is a `CloudMask`: it looks at pixels and answers in the same classes, so
that what is clear, what is spread and which scene claims a pixel follow the same rules whoever
judges.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from mapper.imagery.resample import Digits, Mask, spread

SCL_NODATA = 0
CLEAR_CLASSES = (2, 4, 5, 6, 7, 11)
"""Clear. Dark areas (2) are mostly slopes in shade, which would stay empty all winter if masked.
Unclassified (7) is where the classifier found neither cloud nor surface; roofs and bright soils
often land there, and the median over looks removes the haze among them."""
SPREAD_CLASSES = (3, 8, 9)
"""Cloud and shadow, whose soft edges reach beyond what is marked. Thin cirrus (10) is masked but
not spread: it has no edge, and is often marked in specks over clear ground."""
DEFAULT_DILATION_PX = 2
"""How far cloud and shadow are spread, in pixels of 20 m. More would cut holes into towns, whose
brightest roofs are taken for cloud in every look."""

SCL_CLEAR, SCL_SHADOW, SCL_CLOUD, SCL_CIRRUS = 7, 3, 9, 10
"""What a judge that knows no land cover answers: clear is "unclassified"."""


class CloudMask(Protocol):
    """A judge of clouds, in place of the classification that comes with a scene.

    It is asked for fixed blocks of the lattice with a margin around them, never for what happens to
    be read, so that its answer cannot depend on how a map is cut; and always through one thread.
    """

    @property
    def name(self) -> str:
        """For recipes and products."""

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands it looks at."""

    @property
    def margin_px(self) -> int:
        """How far around a block it looks, in lattice pixels."""

    def __call__(self, pixels: Digits) -> npt.NDArray[np.uint8]:
        """(y, x) classes of the scene classification, 0 where there is no data.

        Args:
            pixels: (band, y, x) DN of reflectance * 10,000 at 10 m; 0 where there is no data.
        """


_CLEAR = np.isin(np.arange(256), CLEAR_CLASSES)
_SPREAD = np.isin(np.arange(256), SPREAD_CLASSES)


def clear_mask(scl: npt.NDArray[np.uint8], margin_px: int) -> Mask:
    """True where a pixel is clear and no cloud or shadow is within reach.

    Args:
        scl: (y, x) classes on the 10 m lattice, with `margin_px` more on every side than wanted.
        margin_px: reach in lattice pixels: twice the dilation in pixels of 20 m. Spreading by a
            square at 10 m gives the same as spreading at 20 m, since it repeats pixels.

    Returns:
        (y, x) without the margin.
    """
    inner = scl[margin_px : scl.shape[0] - margin_px, margin_px : scl.shape[1] - margin_px]
    clear: Mask = _CLEAR[inner] & ~spread(_SPREAD[scl], margin_px)
    return clear
