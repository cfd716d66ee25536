"""The landscape painted: which measured places a pixel looks like, and how it differs from them.

A field, block or stand draws components of its province (kinds of places, one for each quarter of
the year) and a deviation within them (one place of that kind); its pixels then differ by the spread
inside one place, more where ground is rough, part of it smooth over some tens of metres and part
white. Patches of other cover may fill less than a pixel, and shadows darken all bands alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mapper.land.grid import Region
from mapper.simulated.ground import DRIFT
from mapper.simulated.landscape import Landscape, belt_latitude, landscape
from mapper.simulated.patches import shown
from mapper.simulated.spectra import (
    Places,
    Spectra,
    components_on,
    palette,
    season_of,
    spectra,
)
from mapper.simulated.texture import shade, spread

Singles = npt.NDArray[np.float32]

Change = Callable[[Landscape], Landscape]
"""What is done to the ground before it is painted."""

VERSION = 16
"""Raised whenever the same ground looks other than before: archives and chips that were made of it
are not mixed with new ones."""
MARGIN_PX = 4
"""Pixels painted around what is asked for: the point spread and 20 m pixels look at neighbours."""


@dataclass(frozen=True, slots=True)
class Surface:
    """The painted ground of a region and its margin."""

    region: Region
    """What was asked for; the arrays reach MARGIN_PX farther on every side."""
    landscape: Landscape
    """The ground under it, with the margin."""
    mixture: Spectra
    covers: npt.NDArray[np.uint8]
    """(2, y, x) classes that a pixel looks like: one that may not be its own, and its own."""
    part: Singles
    """(y, x) share of a pixel that looks like the first of its covers."""
    shade: Singles
    """(y, x) what reflectance is multiplied by, 1 on the average: shadows smaller than a pixel."""
    provinces: npt.NDArray[np.uint32]
    """Sorted."""
    palettes: npt.NDArray[np.int16]
    """(province, quarter, class, kind) index into the mixture."""
    spread: Singles
    """(2, 2 RANK, y, x) normal numbers of each cover: times the factors of a component, how a pixel
    differs from its mean; RANK for the place, standard, and RANK for the pixel, the larger the
    rougher its ground is. 0 where the cover has no part in the pixel."""

    def components(self, day_of_year: int) -> npt.NDArray[np.int16]:
        """(2, y, x) index into the mixture, of each cover on a day."""
        season, wide = season_of(day_of_year, self.region.zone.south), self.landscape
        return np.stack(
            [
                components_on(
                    season, cover, wide.unit, wide.province, self.provinces, self.palettes
                )
                for cover in self.covers
            ]
        )


def surface(
    region: Region,
    places: Places = Places.TRAINING,
    changes: Sequence[Change] = (),
) -> Surface:
    """Paints a region.

    Args:
        region: its corner lies on even columns and rows, and its sides are even, so that it is
            made of whole 20 m pixels.
        places: the measured places to paint with.
        changes: what is done to the ground before it is painted, one after the other.
    """
    if region.left % 2 or region.top % 2 or region.width % 2 or region.height % 2:
        raise ValueError(f"a painted region is made of whole 20 m pixels, got {region}")
    wide = landscape(region.widened(MARGIN_PX))
    for change in changes:
        wide = change(wide)
    mixture = spectra(places)
    seen, part = shown(wide)
    covers = np.stack([seen, wide.truth])
    layers = zip(covers, (part, 1 - part), strict=True)
    numbers = np.stack([spread(wide, cover, share) for cover, share in layers])
    # What fills most of a pixel casts its shadows.
    dark = shade(wide, np.where(part > 0.5, seen, wide.truth))
    return Surface(region, wide, mixture, covers, part, dark, *_palettes(wide, mixture), numbers)


def _palettes(
    wide: Landscape, mixture: Spectra
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int16]]:
    """The provinces, sorted, and the palette of each.

    A province lies inside one degree of latitude, so any of its pixels tells its climate.
    """
    provinces, first = np.unique(wide.province, return_index=True)
    lat, drift = wide.ground.lat.ravel()[first], wide.ground.slow[DRIFT].ravel()[first]
    palettes = [
        palette(mixture, int(p), float(np.floor(belt_latitude(a, d)) + 0.5))
        for p, a, d in zip(provinces, lat, drift, strict=True)
    ]
    return provinces, np.stack(palettes)
