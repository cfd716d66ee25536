"""Another judge of clouds than the scene classification."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from small_archive import SmallArchive, region_at, smooth

from mapper.errors import RequestError
from mapper.imagery import judged
from mapper.imagery.archives import archive
from mapper.imagery.clouds import SCL_CLEAR, SCL_CLOUD
from mapper.imagery.load import read_composite
from mapper.imagery.omnicloud import NO_WEIGHTS, cloud_mask_of, weights_digest
from mapper.imagery.period import Period
from mapper.imagery.scenes import looks_of
from mapper.imagery.search import search
from mapper.land.grid import Region, Zone

ZONE = Zone(32, False)
CORNER_M = (399_960, 5_300_040)
ALL = region_at(CORNER_M, (256, 256))


class BrightIsCloud:
    """A small judge: what is bright in blue, averaged over its neighbours, is cloud."""

    name = "bright"
    bands = ("B02", "B03")
    margin_px = 1

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        blue = pixels[0].astype(np.float64)
        mean = sum(np.roll(blue, (y, x), (0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)) / 9
        return np.where(mean > 3500, SCL_CLOUD, SCL_CLEAR).astype(np.uint8)


def looks(small: SmallArchive):
    def spotted(name: str, shape: tuple[int, int]) -> np.ndarray:
        made = smooth(shape, 3, 2000, 6000)
        made[:6] = 0
        return made

    small.optical("a", "2024-06-01T10:00:00Z", digits=spotted, seed=1)
    small.optical("b", "2024-06-05T10:00:00Z", with_scl=False, seed=2)
    found = search(
        archive(str(small.index())), shapely.box(-20, 40, 30, 60), Period.parse("2024-06")
    )
    return looks_of(found, ZONE)


def test_its_answer_counts_in_place_of_the_classification(small_archive: SmallArchive) -> None:
    two = looks(small_archive)
    by_scl = read_composite(two, ALL, cloud_dilation_px=0)
    made = read_composite(two, ALL, cloud_dilation_px=0, cloud_mask=BrightIsCloud())
    assert by_scl.optical_looks[20:].min() == 2
    assert set(np.unique(made.optical_looks)) == {0, 1, 2}
    inner = (slice(20, -5), slice(5, -5))  # beyond the edges the judge sees zeros
    assert (made.optical[0][inner] < 4500).all()
    wider = read_composite(two, ALL, cloud_dilation_px=1, cloud_mask=BrightIsCloud())
    assert (wider.optical_looks <= made.optical_looks).all()
    assert wider.optical_looks.sum() < made.optical_looks.sum()


def test_no_cut_changes_what_it_judges(
    small_archive: SmallArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    two, mask = looks(small_archive), BrightIsCloud()
    monkeypatch.setattr(judged, "BLOCK_PX", 64)
    whole = read_composite(two, ALL, cloud_mask=mask)
    random = np.random.default_rng(0)
    monkeypatch.setattr(judged, "REMEMBERED", 2)
    for _ in range(4):
        y, x, height, width = (int(n) for n in random.integers(1, 128, 4))
        part = Region(ZONE, ALL.left + x, ALL.top + y, width, height)
        made = read_composite(two, part, cloud_mask=mask)
        rows, columns = part.slices_in(ALL)
        np.testing.assert_array_equal(made.optical, whole.optical[:, rows, columns])
        np.testing.assert_array_equal(made.optical_looks, whole.optical_looks[rows, columns])


def test_the_classification_is_the_default() -> None:
    assert cloud_mask_of("scl", NO_WEIGHTS) is None


def test_what_is_not_there_is_told_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"not installed|has no two files"):
        cloud_mask_of("omnicloudmask", str(tmp_path))


def test_other_weights_have_another_digest(tmp_path: Path) -> None:
    found = set()
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "PM_model_OCM_1.safetensors").write_bytes(b"12"[:number])
        found.add(weights_digest(str(folder)))
    assert len(found) == 3
