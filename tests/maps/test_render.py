"""The picture shows the classes in their colours, the true scale, and who made it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from mapper.errors import OutputError
from mapper.land.grid import Region, Zone
from mapper.land.legend import LEGEND, NODATA
from mapper.maps.cog import write_cog
from mapper.maps.layers import LAND_COVER, OBSERVATIONS
from mapper.maps.render import (
    HEADER_PX,
    INK,
    LONGEST_PX,
    MARGIN_PX,
    OUTLINE,
    PAPER,
    SHORTEST_PX,
    UNSEEN,
    Caption,
    _drawable,
    _round_length,
    _share,
    render,
)

CAPTION = Caption("Saint-Élysée", "2024-06-01/2024-08-31", "A source.", (100,) * 9, 50)


def draw(folder: Path, side: int, block: int) -> npt.NDArray[np.uint8]:
    """A square country of class patches with an unseen corner and ground outside around it."""
    region = Region(Zone(32, False), 50_000, 529_000, side, side)
    y, x = np.mgrid[:side, :side]
    classes = ((x // block + y // block) % 9).astype(np.uint8)
    inside = (np.abs(x - side / 2) < 0.4 * side) & (np.abs(y - side / 2) < 0.4 * side)
    unseen = inside & (x < side / 4) & (y < side / 4)
    classes[~inside | unseen] = NODATA
    looks = np.where(inside, 1, NODATA).astype(np.uint8)
    write_cog(folder / "land_cover.tif", classes, region.geobox, LAND_COVER)
    write_cog(folder / "observations.tif", np.stack([looks, looks]), region.geobox, OBSERVATIONS)
    picture = folder / "land_cover.png"
    render(folder / "land_cover.tif", folder / "observations.tif", picture, CAPTION)
    with Image.open(picture) as image:
        return np.asarray(image.convert("RGB"))


def count(page: npt.NDArray[np.uint8], colour: tuple[int, int, int]) -> int:
    return int(np.all(page == colour, axis=-1).sum())


@pytest.mark.parametrize(("side", "block"), [(150, 10), (1000, 50), (3300, 200)])
def test_classes_unseen_ground_and_outline_are_drawn(tmp_path: Path, side: int, block: int) -> None:
    page = draw(tmp_path, side, block)
    drawn = side
    while drawn > LONGEST_PX:
        drawn //= 2
    drawn *= max(1, -(-SHORTEST_PX // drawn))
    assert SHORTEST_PX <= drawn <= LONGEST_PX
    for cover in LEGEND:
        assert count(page, cover.colour) > 0.01 * drawn**2, cover.title
    assert count(page, UNSEEN) == pytest.approx((0.15 * drawn) ** 2, rel=0.2)
    assert count(page, OUTLINE) == pytest.approx(4 * 0.8 * drawn, rel=0.1), "one pixel wide"
    assert count(page, PAPER) > 0.3 * page.shape[0] * page.shape[1]
    assert not list(tmp_path.glob(".*"))


def test_the_bar_is_as_long_as_it_says(tmp_path: Path) -> None:
    page = draw(tmp_path, 1000, 50)
    top_edge = np.all(page[HEADER_PX:, MARGIN_PX:400] == INK, axis=-1)
    runs = [int(np.argmin(row)) for row in top_edge]  # dark pixels from the left margin on
    # 1000 px of 10 m, drawn one to one: a quarter is 2.5 km, so the bar says 2 km.
    assert max(runs) == pytest.approx(200, abs=2)


@pytest.mark.parametrize(
    ("metres", "length"), [(1, 1), (1.9, 1), (499, 200), (500, 500), (2499, 2000), (73_000, 50_000)]
)
def test_lengths_are_round(metres: float, length: float) -> None:
    assert _round_length(metres) == length


def test_shares_are_honest() -> None:
    shares = [_share(value) for value in (0, 0.0004, 0.001, 0.0123, 0.1, 0.456, 1)]
    assert shares == ["0 %", "< 0.1 %", "0.1 %", "1.2 %", "10 %", "46 %", "100 %"]


def test_titles_have_only_letters_that_can_be_drawn() -> None:
    assert _drawable("Côte d'Ivoire, Türkiye, São Tomé") == "Cote d'Ivoire, Turkiye, Sao Tome"


def test_the_same_map_is_the_same_picture(tmp_path: Path) -> None:
    draw(tmp_path, 150, 10)
    first = (tmp_path / "land_cover.png").read_bytes()
    draw(tmp_path, 150, 10)
    assert (tmp_path / "land_cover.png").read_bytes() == first


def test_a_missing_raster_or_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be drawn"):
        render(tmp_path / "a.tif", tmp_path / "b.tif", tmp_path / "c.png", CAPTION)
    draw(tmp_path, 150, 10)
    rasters = (tmp_path / "land_cover.tif", tmp_path / "observations.tif")
    with pytest.raises(OutputError, match=r"gone/c.png cannot be written: No such file"):
        render(*rasters, tmp_path / "gone" / "c.png", CAPTION)
