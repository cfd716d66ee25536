"""The three rasters of a product, as data: what a writer, a catalogue and a viewer must know. Pure.

All are uint8 with 255 where nothing is said: water is class 0, and 0 looks is an answer too.
"""

from __future__ import annotations

from dataclasses import dataclass

from mapper.land.legend import LEGEND, NODATA, LandCover

TRANSPARENT = (0, 0, 0, 0)
"""Colour of nodata: red, green, blue, opacity."""


@dataclass(frozen=True, slots=True)
class Plane:
    """One band of a layer."""

    name: str
    """Machine name."""
    description: str
    """For people; GIS programs show it as the band's name."""
    unit: str | None
    """Of its values, where they have one."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One raster file of a product."""

    name: str
    """Machine name; the file has it too."""
    title: str
    """For people."""
    planes: tuple[Plane, ...]
    """Its bands, in order."""
    overviews: str
    """How smaller versions are made, in GDAL's words: MODE keeps classes classes and shows no line
    between blocks; AVERAGE suits quantities."""
    predictor: str
    """GDAL's PREDICTOR: differences compress quantities, and inflate classes (1.15 times)."""
    classes: tuple[LandCover, ...] = ()
    """The legend, where the values are classes."""
    nodata: int = NODATA
    """Value of pixels about which nothing is said."""

    @property
    def file_name(self) -> str:
        """Such as land_cover.tif."""
        return f"{self.name}.tif"

    @property
    def palette(self) -> dict[int, tuple[int, int, int, int]]:
        """Red, green, blue, opacity by value; empty where the values are no classes."""
        if not self.classes:
            return {}
        colours = {cover.code: (*cover.colour, 255) for cover in self.classes}
        return colours | {self.nodata: TRANSPARENT}


LAND_COVER = Layer(
    name="land_cover",
    title="Land cover",
    planes=(Plane("land_cover", "Land cover class", None),),
    overviews="MODE",
    predictor="NO",
    classes=LEGEND,
)
CONFIDENCE = Layer(
    name="confidence",
    title="Confidence",
    planes=(Plane("confidence", "Probability of the land cover class", "%"),),
    overviews="AVERAGE",
    predictor="YES",
)
OBSERVATIONS = Layer(
    name="observations",
    title="Observations",
    planes=(
        Plane("optical_looks", "Clear Sentinel-2 looks", None),
        Plane("radar_looks", "Sentinel-1 looks", None),
    ),
    overviews="AVERAGE",
    predictor="NO",
)
LAYERS: tuple[Layer, ...] = (LAND_COVER, CONFIDENCE, OBSERVATIONS)
"""In the order in which a product lists them."""
