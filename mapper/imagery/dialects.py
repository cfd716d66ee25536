"""How archives name what they hold: our bands, and the words each house uses for them. Pure data.

Our own vocabulary is B02 .. B12, SCL, VV, VH. A dialect gives, for each of these, the asset names
to look for, the preferred one first.
"""

from __future__ import annotations

from collections.abc import Mapping

from mapper.imagery.bands import OPTICAL_BANDS, OPTICAL_NAMES

SCL = "SCL"
"""Our name of the scene classification among a scene's assets."""

Dialect = Mapping[str, tuple[str, ...]]
"""Asset names by our band name."""

PLANETARY_COMPUTER: Dialect = {name: (name,) for name in (*OPTICAL_NAMES, SCL)}
"""Names of the bands themselves."""
ELEMENT84: Dialect = {
    "B02": ("blue",),
    "B03": ("green",),
    "B04": ("red",),
    "B05": ("rededge1",),
    "B06": ("rededge2",),
    "B07": ("rededge3",),
    "B08": ("nir",),
    "B8A": ("nir08",),
    "B11": ("swir16",),
    "B12": ("swir22",),
    SCL: ("scl",),
}
"""Common names. Assets such as blue-jp2 are the originals, beside COGs whose offset may differ."""
COPERNICUS: Dialect = {
    **{band.name: (f"{band.name}_{band.resolution_m}m",) for band in OPTICAL_BANDS},
    SCL: ("SCL_20m",),
}
"""Bands with the resolution of their files; each is there at coarser ones as well."""
RADAR: Dialect = {"VV": ("vv", "gamma0_vv", "VV"), "VH": ("vh", "gamma0_vh", "VH")}
"""Everybody's names of the two polarisations."""


def either(*dialects: Dialect) -> Dialect:
    """A dialect that understands several, the first one preferred."""
    names = dict.fromkeys(name for dialect in dialects for name in dialect)
    return {
        name: tuple(dict.fromkeys(word for d in dialects for word in d.get(name, ())))
        for name in names
    }


ANY_OPTICAL: Dialect = either(PLANETARY_COMPUTER, ELEMENT84, COPERNICUS)
"""For an archive nobody has described."""
