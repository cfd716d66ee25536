"""Claims about reading on: a scene that cannot be read is left out everywhere, and it is told."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_archive import SmallArchive, region_at

from mapper.errors import LooksLostError, ReadError
from mapper.imagery.archives import archive
from mapper.imagery.bands import OPTICAL_NAMES, Sensor
from mapper.imagery.composite import Composite, blank
from mapper.imagery.items import scene_of
from mapper.imagery.load import read_composite
from mapper.imagery.losses import (
    DEGRADED_SHARE,
    MOST_LOST,
    is_degraded,
    read_without_losses,
    without,
)
from mapper.imagery.scenes import Look, Scene, looks_of
from mapper.land.grid import Zone

ZONE = Zone(32, False)
REGION = region_at((399_960, 5_300_040), (64, 64))


@pytest.fixture
def scenes(small_archive: SmallArchive) -> list[Scene]:
    """Four looks of each sensor."""
    for day in (1, 6, 11, 16):
        small_archive.optical(f"o{day}", f"2024-06-{day:02}T10:00:00Z", size_px=64, seed=day)
        small_archive.radar(f"r{day}", f"2024-06-{day:02}T05:00:00Z", seed=100 + day)
    index = small_archive.index()
    found = [scene_of(item, archive(str(index)), str(index)) for item in small_archive.items]
    return [scene for scene in found if scene is not None]


def read(looks: Sequence[Look]) -> Composite:
    return read_composite(looks, REGION)


def spoil(scene: Scene, asset: str) -> None:
    path = Path(scene.assets[asset].href)
    path.write_bytes(path.read_bytes()[:200])


def test_without_a_failure_nothing_is_lost(scenes: list[Scene]) -> None:
    looks = looks_of(scenes, ZONE)
    composite, losses = read_without_losses(looks, read)
    assert losses.failed == ()
    assert not losses.degraded
    np.testing.assert_array_equal(composite.optical, read(looks).optical)


def test_a_broken_scene_is_left_out_of_every_pixel(scenes: list[Scene]) -> None:
    spoil(next(scene for scene in scenes if scene.id == "o6"), "B8A")
    composite, losses = read_without_losses(looks_of(scenes, ZONE), read)
    assert [(f.scene, f.asset) for f in losses.failed] == [("o6", "B8A")]
    assert losses.failed[0].reason
    wanted = read(looks_of([scene for scene in scenes if scene.id != "o6"], ZONE))
    np.testing.assert_array_equal(composite.optical, wanted.optical)
    np.testing.assert_array_equal(composite.optical_looks, wanted.optical_looks)
    np.testing.assert_array_equal(composite.radar, wanted.radar)


@pytest.mark.parametrize("asset", ["B02", "SCL"])
@pytest.mark.parametrize("directory", [2**63, 2**64 - 4])
def test_a_header_that_points_beyond_any_file_loses_its_scene_alone(
    scenes: list[Scene], asset: str, directory: int
) -> None:
    broken = next(scene for scene in scenes if scene.id == "o6")
    header = b"II\x2b\0\x08\0\0\0" + directory.to_bytes(8, "little")  # of a BigTIFF
    Path(broken.assets[asset].href).write_bytes(header + bytes(500))
    _, losses = read_without_losses(looks_of(scenes, ZONE), read)
    assert [(f.scene, f.asset) for f in losses.failed] == [("o6", asset)]


def test_losses_of_both_sensors_are_sorted_and_judged(scenes: list[Scene]) -> None:
    for name, asset in (("r6", "VV"), ("o11", "SCL"), ("o1", "B02")):
        spoil(next(scene for scene in scenes if scene.id == name), asset)
    composite, losses = read_without_losses(looks_of(scenes, ZONE), read)
    assert losses.scenes == ("o1", "o11", "r6")
    assert losses.degraded
    assert composite.optical_looks.max() == 2
    assert composite.radar_looks.max() == 3


def composites() -> int:
    """How many there are in this process."""
    return sum(isinstance(found, Composite) for found in gc.get_objects())


def test_failed_composites_do_not_pile_up(scenes: list[Scene]) -> None:
    """Of a tile each is half a gigabyte, and up to MOST_LOST scenes are lost."""
    for scene in [scene for scene in scenes if scene.sensor is Sensor.OPTICAL][:3]:
        for name in OPTICAL_NAMES:  # so that several reads fail at once
            path = Path(scene.assets[name].href)
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    gc.collect()
    before, most = composites(), 0

    def read_and_count(looks: Sequence[Look]) -> Composite:
        nonlocal most
        most = max(most, composites() - before)
        return read(looks)

    gc.disable()
    try:
        _, losses = read_without_losses(looks_of(scenes, ZONE), read_and_count)
    finally:
        gc.enable()
    assert len(losses.failed) == 3
    assert most <= 1, "a thread that is still reading may hold the last one for a while"


def test_the_last_optical_look_is_not_done_without(scenes: list[Scene]) -> None:
    mine = [scene for scene in scenes if scene.id in ("o1", "o6", "r1")]
    for scene in mine:
        if scene.sensor is Sensor.OPTICAL:
            spoil(scene, "B03")
    with pytest.raises(LooksLostError, match="the last of its Sentinel-2 looks is lost") as caught:
        read_without_losses(looks_of(mine, ZONE), read)
    assert sorted(error.scene_id for error in caught.value.failed) == ["o1", "o6"]
    assert not any(error.__traceback__ or error.__context__ for error in caught.value.failed)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value)
    assert [str(error) for error in copy.failed] == [str(error) for error in caught.value.failed]


def test_radar_may_be_lost_altogether(scenes: list[Scene]) -> None:
    for scene in scenes:
        if scene.sensor is Sensor.RADAR:
            spoil(scene, "VH")
    composite, losses = read_without_losses(looks_of(scenes, ZONE), read)
    assert losses.degraded
    assert composite.radar_looks.max() == 0
    assert composite.optical_looks.max() > 0


def numbered(scenes: list[Scene], count: int) -> tuple[Look, ...]:
    """So many optical looks of one scene each."""
    first = next(scene for scene in scenes if scene.sensor is Sensor.OPTICAL)
    return tuple(
        Look(first.sensor, first.time, (replace(first, id=f"o{number}"),))
        for number in range(count)
    )


def test_an_archive_that_is_down_is_not_asked_for_ever(scenes: list[Scene]) -> None:
    asked = []

    def down(looks: Sequence[Look]) -> Composite:
        asked.append(len(looks))
        raise ReadError(looks[0].scenes[0].id, "B02", "HTTP 503")

    with pytest.raises(LooksLostError, match=f"{MOST_LOST} of its scenes are lost"):
        read_without_losses(numbered(scenes, 30), down)
    assert asked == list(range(30, 30 - MOST_LOST, -1))


@pytest.mark.parametrize("count", [1, 3, 4, 7, 8, 20])
def test_the_share_that_degrades_is_the_one_stated(scenes: list[Scene], count: int) -> None:
    looks, share = numbered(scenes, count), DEGRADED_SHARE[Sensor.OPTICAL]
    for lost in range(count + 1):
        gone = {f"o{number}" for number in range(lost)}
        assert is_degraded(looks, gone) is (lost / count > share)


def test_a_look_that_keeps_a_scene_stays(scenes: list[Scene]) -> None:
    one, two = (scene for scene in scenes if scene.id in ("o1", "o6"))
    both = Look(one.sensor, one.time, (one, two))
    assert [look.scenes for look in without([both], "o1")] == [(two,)]
    assert without(without([both], "o1"), "o6") == ()
    assert is_degraded([both], {"o1"})


def test_a_mistake_is_not_taken_for_a_loss(scenes: list[Scene]) -> None:
    def mistaken(looks: Sequence[Look]) -> Composite:
        if len(looks) == 3:
            raise KeyError("mine")
        return blank(REGION)

    with pytest.raises(KeyError):
        read_without_losses(numbered(scenes, 3), mistaken)
