"""The legend: the nine land-cover classes of Dynamic World, and the only place that has them.

Codes, names, order and colours follow Brown et al. 2022, "Dynamic World, Near real-time global
10 m land use land cover mapping", Scientific Data 9:251, doi 10.1038/s41597-022-01307-4.
"""

from __future__ import annotations

from dataclasses import dataclass

NODATA = 255
"""Value of a pixel without a class: outside the area, or never seen clearly. Water is 0."""


@dataclass(frozen=True, slots=True)
class LandCover:
    """One class of the legend."""

    code: int
    """Pixel value in a land-cover raster, 0..8."""
    name: str
    """Machine name: lower case with underscores, stable for ever."""
    title: str
    """Name to show to people."""
    colour: tuple[int, int, int]
    """Red, green, blue, each 0..255."""
    description: str
    """What belongs to the class."""


LEGEND: tuple[LandCover, ...] = (
    LandCover(
        0,
        "water",
        "Water",
        (65, 155, 223),
        "Water present all year: rivers, lakes, ponds, sea",
    ),
    LandCover(
        1,
        "trees",
        "Trees",
        (57, 125, 73),
        "Dense woody vegetation, usually taller than 15 m",
    ),
    LandCover(
        2,
        "grass",
        "Grass",
        (136, 176, 83),
        "Homogeneous low grasses: meadow, pasture, lawn",
    ),
    LandCover(
        3,
        "flooded_vegetation",
        "Flooded vegetation",
        (122, 135, 198),
        "Vegetation with water mixed in for much of the year: marsh, mangrove, paddy",
    ),
    LandCover(
        4,
        "crops",
        "Crops",
        (228, 150, 53),
        "Fields sown and harvested by people, fallow included",
    ),
    LandCover(
        5,
        "shrub_and_scrub",
        "Shrub & scrub",
        (223, 195, 90),
        "Small clusters of plants or single shrubs with exposed soil or rock between",
    ),
    LandCover(
        6,
        "built",
        "Built",
        (196, 40, 27),
        "Buildings, roads and other sealed or made surfaces",
    ),
    LandCover(
        7,
        "bare",
        "Bare",
        (165, 155, 143),
        "Rock or soil with very sparse vegetation all year",
    ),
    LandCover(
        8,
        "snow_and_ice",
        "Snow & ice",
        (179, 159, 225),
        "Large areas of lasting snow or ice: glaciers, permanent snowpack",
    ),
)

CLASS_NAMES: tuple[str, ...] = tuple(cover.name for cover in LEGEND)
CLASS_COUNT = len(LEGEND)
