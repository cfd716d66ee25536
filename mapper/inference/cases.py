"""Ground with known classes, as production would see it: what a checkpoint is judged by.

Three kinds of folder have such ground: chips (`*.chip.npz`), real pixels with a manifest (see
`mapper.dynamicworld.pairs`), and an archive with its truth beside it, as `mapper simulate` makes
it. An archive goes the way of a run: searched, chosen from, read, composited, cut into windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
import shapely
from rasterio.windows import from_bounds
from shapely.geometry.base import BaseGeometry

from mapper.dynamicworld.chips import SUFFIX, Chip, chip_paths, facts_of, load_chip
from mapper.dynamicworld.pairs import is_pairs, labelled_pairs, load_pairs
from mapper.errors import RequestError
from mapper.imagery.archives import archive
from mapper.imagery.choice import Choice, choose
from mapper.imagery.composite import Composite, blank
from mapper.imagery.load import read_composite
from mapper.imagery.period import Period
from mapper.imagery.scenes import Scene, looks_of
from mapper.imagery.search import search
from mapper.inference.windows import WINDOW_PX, needed_region, windows_touching
from mapper.land.grid import LATTICE_TOP_M, PIXEL_M, Grid, Outline, Region, Zone, ground, outlines
from mapper.land.legend import CLASS_NAMES, NODATA

TRUTH = "truth"
"""Folder beside an archive's index with the true class of each pixel, a raster for each zone."""
TILE_PX = 2048
"""An archive is read in squares of this side; a map does not depend on how it is cut."""
EVER = Period.parse("1970-01-01/2099-12-31")
"""Judged by all that an archive has, unless told otherwise."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A piece of ground with its classes."""

    place: str
    """Its name: a chip's place, or a tile."""
    composite: Composite
    """What was seen of it and around it."""
    region: Region
    """Where the truth lies, inside the composite."""
    truth: npt.NDArray[np.uint8]
    """(y, x) over `region`: class codes, 255 where unknown."""
    alone: bool
    """Whether one window shows all there is; else windows of the lattice are blended."""


@dataclass(frozen=True, slots=True)
class Cases:
    """A set of cases, made one after the other as they are asked for."""

    title: str
    """What they are, in words."""
    simulated: bool
    """True where any of them is painted ground."""
    count: int
    cases: Iterable[Case]
    names: tuple[str, ...] = CLASS_NAMES
    """Of the classes that the truth tells apart."""
    merged: Mapping[int, int] | None = None
    """Classes that the truth has as one: the second stands for both."""


def cases_in(
    folder: Path, geometry: BaseGeometry | None = None, period: Period | None = None
) -> Cases:
    """The cases of a folder, whichever kind it is.

    Args:
        geometry: of an archive only this ground, longitude and latitude; None for all its truth.
        period: of an archive only these days; None for all it has.

    Raises:
        RequestError: the folder is none of the kinds, or a part is asked of what has none.
    """
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise RequestError(f"{folder} {found}; wanted a folder of chips, or an archive with truth")
    has_chips = any(True for _ in folder.glob(f"*{SUFFIX}"))
    if (has_chips or is_pairs(folder)) and (geometry is not None or period is not None):
        raise RequestError(
            f"{folder} holds chips, which are judged one and all; only an archive can be cut by "
            "--country, --aoi or --period: leave them out"
        )
    if has_chips:
        return _chip_cases(folder)
    if is_pairs(folder):
        coding, entries = labelled_pairs(folder)
        title = f"{len(entries)} real places, labels: {entries[0]['labels']}"
        chips = (case_of(chip) for chip in load_pairs(folder))
        return Cases(title, False, len(entries), chips, coding.names, coding.merged)
    if (folder / TRUTH).is_dir():
        return _archive_cases(folder, geometry, EVER if period is None else period)
    raise RequestError(
        f"{folder} has nothing to judge by; give a folder of chips (*{SUFFIX}), of real pixels "
        f"with a manifest.json, or an archive with its {TRUTH}/ beside the index, as mapper "
        "simulate makes it"
    )


def _chip_cases(folder: Path) -> Cases:
    """The chips of a folder, read when they are asked for."""
    paths = chip_paths(folder)
    known = [facts_of(path) for path in paths]
    sides = sorted({side for chip in known for side in chip.shape})
    size = f"{sides[0]} px" if len(sides) == 1 else f"{sides[0]} to {sides[-1]} px"
    title = f"{len(paths)} chips of {size}: {'; '.join(sorted({chip.source for chip in known}))}"
    chips = (case_of(load_chip(path)) for path in paths)
    return Cases(title, any(chip.simulated for chip in known), len(paths), chips)


def case_of(chip: Chip) -> Case:
    """A chip in the middle of a window; a larger one is covered by windows of the lattice.

    Outside the chip nothing is seen, as at the end of an archive. Chips are carried to one place of
    the lattice: nothing that is computed depends on where it lies.
    """
    height, width = chip.label.shape
    alone = max(height, width) <= WINDOW_PX
    left, top = ((WINDOW_PX - side) // 2 if alone else 0 for side in (width, height))
    region = Region(Zone(32, False), left, top, width, height)
    everywhere = np.ones(region.shape, np.bool_)
    around = Region(region.zone, 0, 0, WINDOW_PX, WINDOW_PX)
    composite = blank(around if alone else needed_region(region, everywhere))
    y, x = region.slices_in(composite.region)
    composite.optical[:, y, x] = chip.optical
    composite.radar[:, y, x] = chip.radar
    return Case(chip.place, composite, region, chip.label, alone)


def _archive_cases(folder: Path, geometry: BaseGeometry | None, period: Period) -> Cases:
    """The tiles of an archive's truth, read when they are asked for."""
    rasters = {path.stem: path for path in sorted((folder / TRUTH).glob("*.tif"))}
    if not rasters:
        raise RequestError(f"{folder / TRUTH} has no raster such as 32N.tif; make the archive anew")
    around = geometry if geometry is not None else _ground_of(rasters.values())
    scenes = choose(
        search(archive(str(folder)), around, period), Choice(), area=folder.name, period=period
    ).kept
    land = [outline for outline in outlines(around) if outline.zone.name in rasters]
    tiles = [
        (outline, tile)
        for outline in land
        for tile in Grid(TILE_PX).tiles_over(outline)
        if (_truth(rasters[tile.zone.name], outline, tile.region) != NODATA).any()
    ]
    cases = (
        _tile_case(rasters[tile.zone.name], outline, tile.region, scenes, tile.name)
        for outline, tile in tiles
    )
    return Cases(f"the archive {folder.name}", _simulated(scenes), len(tiles), cases)


def _simulated(scenes: Iterable[Scene]) -> bool:
    return any(scene.simulated for scene in scenes)


def _tile_case(
    path: Path, outline: Outline, region: Region, scenes: Iterable[Scene], name: str
) -> Case:
    """A tile of an archive whose truth is known somewhere, read as a run reads it."""
    truth = _truth(path, outline, region)
    known = truth != NODATA
    needed = needed_region(region, known)
    composite = read_composite(
        looks_of(scenes, region.zone), needed, wanted=windows_touching(region, known)
    )
    inside = region.intersection(needed)
    assert inside is not None, "windows that touch known pixels hold them"
    return Case(name, composite, inside, truth[inside.slices_in(region)], alone=False)


def _truth(path: Path, outline: Outline, region: Region) -> npt.NDArray[np.uint8]:
    """(y, x) over a region, NODATA outside the outline; the raster lies on its zone's lattice."""
    west, south, east, north = region.geobox.extent.boundingbox
    with rasterio.open(path) as raster:
        window = from_bounds(west, south, east, north, raster.transform)
        window = window.round_offsets().round_lengths()
        found: npt.NDArray[np.uint8] = raster.read(
            1, window=window, boundless=True, fill_value=NODATA
        )
    found[~outline.mask(region)] = NODATA
    return found


def _ground_of(rasters: Iterable[Path]) -> BaseGeometry:
    """Longitude and latitude of the rectangles of truth rasters, of each what its zone owns."""
    boxes = []
    for path in rasters:
        zone = Zone(int(path.stem[:2]), path.stem.endswith("S"))
        with rasterio.open(path) as raster:
            left, top = (
                round(raster.transform.c / PIXEL_M),
                round((LATTICE_TOP_M - raster.transform.f) / PIXEL_M),
            )
            boxes.append(ground(Region(zone, left, top, raster.width, raster.height)))
    return shapely.union_all(boxes)
