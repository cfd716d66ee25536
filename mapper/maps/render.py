"""A picture of a map for people: title, legend with shares, scale, north, and where it came from.

Drawn from the overviews of the rasters, so a large country costs no more than a small one.
"""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import rasterio
from PIL import Image, ImageDraw, ImageFont
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from mapper.errors import OutputError
from mapper.land.legend import LEGEND, NODATA
from mapper.maps.cog import UNFINISHED, reason
from mapper.maps.layers import LAND_COVER

PICTURE_NAME = f"{LAND_COVER.name}.png"

LONGEST_PX = 1500
"""The map itself is no longer than this on either side."""
SHORTEST_PX = 700
"""A small country is enlarged in whole steps until its longer side has at least this."""
MARGIN_PX = 60
LEGEND_PX = 340
"""Width of the column with the legend."""
HEADER_PX = 150
FOOTER_PX = 120

INK = (34, 40, 46)
SOFT_INK = (108, 116, 124)
PAPER = (255, 255, 255)
UNSEEN = (226, 228, 230)
"""Colour of ground inside the area that no look showed clearly."""
UNSEEN_TITLE = "Not seen clearly"
OUTLINE = (60, 66, 72)

Pixels = npt.NDArray[np.uint8]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True)
class Caption:
    """The words and numbers around a map."""

    title: str
    """Name of the area."""
    period: str
    """First and last day, such as 2024-06-01/2024-08-31."""
    source: str
    """The line that has to stand beside the map."""
    class_px: Sequence[int]
    """Pixels of each class, by code."""
    nodata_px: int
    """Pixels of the area without a class."""


def render(land_cover: Path, observations: Path, picture: Path, caption: Caption) -> None:
    """Draw a map into a PNG.

    Args:
        land_cover: raster of classes, with overviews.
        observations: raster of looks on the same grid; 255 outside the area.
        picture: file to make or to replace.
        caption: what to write around it.

    Raises:
        OutputError: a raster cannot be read, or the picture cannot be written.
    """
    try:
        with rasterio.open(land_cover) as raster:
            classes, zoom = _overview(raster)
            metres = _metres_per_pixel(raster) * raster.width / classes.shape[1] / zoom
        with rasterio.open(observations) as raster:
            inside = _overview(raster)[0] != NODATA
    except RasterioError as error:
        raise OutputError(f"{land_cover.parent} cannot be drawn: {error}") from error
    page = _page(_coloured(_enlarged(classes, zoom), _enlarged(inside, zoom)), caption, metres)
    temporary = picture.with_name(f".{picture.name}{UNFINISHED}")
    try:
        page.save(temporary, "PNG", optimize=True)
        temporary.replace(picture)
    except OSError as error:
        said = reason(error, picture)
        temporary.unlink(missing_ok=True)
        raise OutputError(f"{picture} cannot be written: {said}") from error


def _overview(raster: DatasetReader) -> tuple[Pixels, int]:
    """(y, x) last band in the size of a picture, and how often to enlarge it."""
    longest = max(raster.shape)
    factor = 1
    while longest / factor > LONGEST_PX:
        factor *= 2  # the sizes of overviews: anything between would sample them badly
    shape = (-(-raster.height // factor), -(-raster.width // factor))
    band: Pixels = raster.read(raster.count, out_shape=shape)
    return band, max(1, -(-SHORTEST_PX // max(shape)))


def _metres_per_pixel(raster: DatasetReader) -> float:
    """Length on the ground of a pixel in the middle of the map, whatever the CRS."""
    at, half = raster.transform, float(raster.width / 4)
    y = at.f + at.e * raster.height / 2
    ends = [at.c + at.a * (raster.width / 2 + shift) for shift in (-half, half)]
    to_degrees = pyproj.Transformer.from_crs(raster.crs, 4326, always_xy=True)
    (west, south), (east, north) = (to_degrees.transform(x, y) for x in ends)
    _, _, length = pyproj.Geod(ellps="WGS84").inv(west, south, east, north)
    return float(length) / (2 * half)


def _enlarged(pixels: npt.NDArray[Any], zoom: int) -> npt.NDArray[Any]:
    """Each pixel as a square of pixels."""
    return pixels.repeat(zoom, axis=0).repeat(zoom, axis=1)


def _coloured(classes: Pixels, inside: npt.NDArray[np.bool_]) -> Image.Image:
    """Colours of the legend, grey where nothing was seen, a fine line round the area."""
    palette = np.full((256, 3), PAPER, np.uint8)
    for cover in LEGEND:
        palette[cover.code] = cover.colour
    colours = palette[classes]
    colours[inside & (classes == NODATA)] = UNSEEN
    padded = np.pad(inside, 1)
    surrounded = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    colours[inside & ~surrounded] = OUTLINE
    return Image.fromarray(colours)


def _page(drawn: Image.Image, caption: Caption, metres_per_pixel: float) -> Image.Image:
    """The map with everything around it."""
    width = drawn.width + LEGEND_PX + 3 * MARGIN_PX
    height = max(drawn.height, _legend_height(caption)) + HEADER_PX + FOOTER_PX
    page = Image.new("RGB", (width, height), PAPER)
    page.paste(drawn, (MARGIN_PX, HEADER_PX))
    draw = ImageDraw.Draw(page)
    draw.text((MARGIN_PX, 38), _drawable(caption.title), INK, _font(54))
    first, _, last = caption.period.partition("/")
    days = first if first == last else f"{first} to {last}"
    draw.text((MARGIN_PX, 102), f"Land cover, {days}", SOFT_INK, _font(26))
    _legend(draw, (drawn.width + 2 * MARGIN_PX, HEADER_PX), caption)
    _scale_bar(draw, (MARGIN_PX, height - FOOTER_PX + 24), drawn.width, metres_per_pixel)
    _north(draw, (width - MARGIN_PX - 16, 40))
    letters = max(30, (width - 2 * MARGIN_PX) // 9)
    lines = textwrap.wrap(caption.source, letters)
    draw.text((MARGIN_PX, height - 48), "\n".join(lines), SOFT_INK, _font(17))
    return page


ROW_PX = 46
"""From one class of the legend to the next."""


def _rows(caption: Caption) -> list[tuple[str, tuple[int, int, int], int]]:
    """Title, colour and pixels of each line of the legend."""
    rows = [(cover.title, cover.colour, caption.class_px[cover.code]) for cover in LEGEND]
    if caption.nodata_px:
        rows.append((UNSEEN_TITLE, UNSEEN, caption.nodata_px))
    return rows


def _legend_height(caption: Caption) -> int:
    return ROW_PX * len(_rows(caption))


def _legend(draw: ImageDraw.ImageDraw, corner: tuple[int, int], caption: Caption) -> None:
    """Each class with its colour and its share of the area."""
    x, y = corner
    rows = _rows(caption)
    total = max(1, sum(count for _, _, count in rows))
    for title, colour, count in rows:
        draw.rounded_rectangle((x, y, x + 34, y + 26), 4, colour)
        draw.text((x + 48, y + 13), title, INK, _font(22), anchor="lm")
        draw.text((x + LEGEND_PX, y + 13), _share(count / total), SOFT_INK, _font(22), anchor="rm")
        y += ROW_PX


def _share(share: float) -> str:
    """A share in percent, honest about the smallest."""
    percent = 100 * share
    if 0 < percent < 0.1:
        return "< 0.1 %"
    return f"{percent:.1f} %" if 0 < percent < 10 else f"{percent:.0f} %"


def _scale_bar(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], room_px: int, metres_per_pixel: float
) -> None:
    """A bar of a round length, about a quarter of the map."""
    x, y = corner
    length_m = _round_length(room_px * metres_per_pixel / 4)
    end = x + round(length_m / metres_per_pixel)
    middle = (x + end) // 2
    draw.rectangle((x, y, end, y + 7), PAPER, INK)
    draw.rectangle((x, y, middle, y + 7), INK)
    label = f"{length_m / 1000:g} km" if length_m >= 1000 else f"{length_m:g} m"
    draw.text((end + 12, y + 4), label, INK, _font(20), anchor="lm")


def _round_length(metres: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not longer."""
    power: float = 10.0 ** math.floor(math.log10(metres))
    return max(step * power for step in (1, 2, 5) if step * power <= metres)


def _north(draw: ImageDraw.ImageDraw, top: tuple[int, int]) -> None:
    """An arrow; grids lean from true north by two degrees or so, which is not worth drawing."""
    x, y = top
    draw.polygon([(x, y), (x + 14, y + 44), (x, y + 34)], INK)
    draw.polygon([(x, y), (x - 14, y + 44), (x, y + 34)], PAPER, INK)
    draw.text((x, y + 62), "N", INK, _font(24), anchor="mm")


def _drawable(text: str) -> str:
    """Letters that the typeface has; it knows no accents, and would draw boxes."""
    letters = unicodedata.normalize("NFKD", text)
    return letters.encode("ascii", "ignore").decode()


def _font(size: int) -> Font:
    """The typeface that comes with Pillow: no file of the machine decides how a map looks."""
    return ImageFont.load_default(size)
