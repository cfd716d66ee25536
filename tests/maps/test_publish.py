"""A product's folder is there as a whole or not there."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio

from mapper.errors import OutputError
from mapper.imagery.losses import FailedRead, Losses
from mapper.land.legend import NODATA
from mapper.maps import cog
from mapper.maps.layers import CONFIDENCE
from mapper.maps.publish import (
    DONE_NAME,
    Published,
    Standing,
    clean_leftovers,
    is_published,
    publish_tile,
    publishing,
    standing,
    write_json,
)
from mapper.maps.stac import Facts

if TYPE_CHECKING:
    from tests.maps.conftest import Made, Publish

FILES = {
    "land_cover.tif",
    "land_cover.tif.aux.xml",
    "confidence.tif",
    "observations.tif",
    "item.json",
}


def test_a_tile_has_its_files_and_a_marker(published: Published) -> None:
    assert {path.name for path in published.folder.iterdir()} == FILES | {DONE_NAME}
    assert set(published.files) == FILES
    assert published.size_bytes == sum((published.folder / n).stat().st_size for n in FILES)
    assert is_published(published.folder, "key-1", thorough=True)


LOST = Losses((FailedRead("S2A", "B04", "HTTP 404, it is not there"),), degraded=True)


def test_a_lossy_tile_stands_in_for_the_planned_one_and_is_not_taken_for_it(
    made: Made, facts: Facts, tmp_path: Path
) -> None:
    place = tmp_path / "tiles" / "512" / "x"
    tile = (made.tile, made.composite, made.prediction, made.wanted, facts, ("S2B",))
    publish_tile(place, *tile, "lossy", losses=LOST, planned_key="planned")
    assert not is_published(place, "planned")
    assert standing(place, "planned") == Standing("lossy", lossy=True, degraded=True)
    assert standing(place, "another plan") is None
    properties = json.loads((place / "item.json").read_text())["properties"]
    assert properties["mapper:failed_reads"] == [
        {"scene": "S2A", "asset": "B04", "reason": "HTTP 404, it is not there"}
    ]
    assert properties["mapper:failed_reads_count"] == 1
    assert properties["mapper:degraded"] is True
    (place / "confidence.tif").unlink()
    assert standing(place, "planned") is None
    publish_tile(place, *tile, "planned", planned_key="planned")
    assert standing(place, "planned") == Standing("planned", lossy=False, degraded=False)


def test_the_rasters_hold_what_was_predicted_and_seen(published: Published, made: Made) -> None:
    def read(name: str) -> np.ndarray:
        with rasterio.open(published.folder / name) as found:
            return found.read()

    assert np.array_equal(read("land_cover.tif")[0], made.prediction.land_cover)
    assert np.array_equal(read("confidence.tif")[0], made.prediction.confidence)
    optical, radar = read("observations.tif")
    assert np.all(optical[~made.wanted] == NODATA)
    assert np.all(radar[made.wanted] == 7)
    never_seen = made.wanted & (made.prediction.land_cover == NODATA)
    assert np.all(optical[never_seen] == 0), "inside the area, zero looks is an answer"
    assert optical[300, 300] == NODATA - 1, "255 looks or more must not read as nodata"


def test_the_same_product_is_the_same_bytes(
    published: Published, publish: Publish, tmp_path: Path
) -> None:
    assert publish(tmp_path, "key-1").files == published.files


def test_a_new_product_takes_the_place_of_the_old(publish: Publish, tmp_path: Path) -> None:
    first = publish(tmp_path, "key-1")
    second = publish(tmp_path, "key-2")
    assert first.folder == second.folder
    assert not is_published(second.folder, "key-1")
    assert is_published(second.folder, "key-2", thorough=True)
    assert [p.name for p in second.folder.parent.iterdir()] == [second.folder.name]


def test_damage_is_noticed(publish: Publish, tmp_path: Path) -> None:
    folder = publish(tmp_path, "k").folder
    raster = folder / "confidence.tif"
    whole = raster.read_bytes()
    raster.write_bytes(whole[:-1])
    assert not is_published(folder, "k")
    raster.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert is_published(folder, "k"), "the size alone is looked at when a run starts"
    assert not is_published(folder, "k", thorough=True)
    raster.unlink()
    assert not is_published(folder, "k")


def test_statistics_that_a_gis_keeps_beside_a_raster_are_no_damage(
    publish: Publish, tmp_path: Path
) -> None:
    folder = publish(tmp_path, "k").folder
    sidecar = folder / "land_cover.tif.aux.xml"
    before = sidecar.read_bytes()
    with rasterio.open(folder / "land_cover.tif") as raster:
        raster.statistics(1)
    assert sidecar.read_bytes() != before, "GDAL wrote to it"
    assert is_published(folder, "k")
    whole = sidecar.read_bytes()
    for damaged in (b"", whole[:-20], b"<PAMDataset/>"):
        sidecar.write_bytes(damaged)
        assert not is_published(folder, "k"), "without it the classes have no names"
    sidecar.unlink()
    assert not is_published(folder, "k")


@pytest.mark.parametrize("marker", ["", "{", "[]", '{"key": "k"}', '{"key": "k", "files": 3}'])
def test_a_marker_that_makes_no_sense_is_none(tmp_path: Path, marker: str) -> None:
    (tmp_path / DONE_NAME).write_text(marker)
    assert not is_published(tmp_path, "k")
    assert not is_published(tmp_path / "absent", "k")


def test_a_failure_leaves_nothing_and_keeps_the_old(publish: Publish, tmp_path: Path) -> None:
    old = publish(tmp_path, "k").folder
    with pytest.raises(ZeroDivisionError), publishing(old, "new") as unfinished:
        (unfinished / "half.tif").write_text("x")
        _ = 1 // 0
    assert is_published(old, "k", thorough=True)
    assert [path.name for path in old.parent.iterdir()] == [old.name]


def _die_while_writing(folder: Path) -> None:
    with publishing(folder, "k") as unfinished:
        (unfinished / "half.tif").write_text("x")
        os._exit(9)


def test_what_a_killed_run_left_is_removed(publish: Publish, tmp_path: Path) -> None:
    folder = publish(tmp_path, "k").folder
    victim = folder.with_name("32N_0001_0001")
    child = multiprocessing.get_context("fork").Process(target=_die_while_writing, args=(victim,))
    child.start()
    child.join(60)
    assert child.exitcode == 9
    assert not victim.exists()
    left = clean_leftovers(tmp_path)
    assert len(left) == 1
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert is_published(folder, "k", thorough=True)


def _die_while_copying(folder: Path) -> None:
    cog.keep = lambda _: os._exit(9)
    cog.copy_cog(folder / "confidence.tif", folder / "source.tif", CONFIDENCE)


def test_what_is_left_of_a_killed_copy_is_removed(publish: Publish, tmp_path: Path) -> None:
    source = publish(tmp_path / "other", "k").folder / "confidence.tif"
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "source.tif").write_bytes(source.read_bytes())
    (folder / ".item.json.1f.unfinished").write_text("{")
    child = multiprocessing.get_context("fork").Process(target=_die_while_copying, args=(folder,))
    child.start()
    child.join(60)
    assert child.exitcode == 9
    assert len(clean_leftovers(folder)) == 2
    assert [path.name for path in folder.iterdir()] == ["source.tif"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "tiles").write_text("a file stands where a folder should be")
    with (
        pytest.raises(OutputError, match=r"tiles/4096/x cannot be written: Not a directory"),
        publishing(tmp_path / "tiles" / "4096" / "x", "k"),
    ):
        pass


def test_json_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    with pytest.raises(OutputError, match="gone"):
        write_json(tmp_path / "gone" / "a.json", {})
