"""Ranges fetched ahead, in bounds, and stopped."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from small_archive import SmallArchive, region_at

from mapper.errors import ReadError
from mapper.imagery.archives import archive
from mapper.imagery.blocks import Scratch
from mapper.imagery.crew import Crew, crew_of
from mapper.imagery.direct import fetched, opened, with_bytes
from mapper.imagery.fetch import Ahead, is_fetchable, read_range
from mapper.imagery.items import scene_of
from mapper.imagery.load import read_composite
from mapper.imagery.patience import Attempt
from mapper.imagery.raster import read_raster
from mapper.imagery.scenes import Scene, looks_of
from mapper.land.grid import Zone

ZONE = Zone(32, False)
ONCE = Attempt(1, 5.0, 2.0)


@dataclass(frozen=True)
class Span:
    size: int
    is_waited_for: bool = True


@pytest.mark.parametrize("room", [1, 100, 10_000])
def test_everything_comes_once_and_never_too_far_ahead(room: int) -> None:
    spans = [Span(40 + 10 * (n % 3), n % 7 > 0) for n in range(60)]
    lock, begun, taken, most = threading.Lock(), 0, 0, 0
    asked: list[int] = []

    def fetch(number: int) -> bytes:
        nonlocal begun, most
        with lock:
            asked.append(number)
            if spans[number].is_waited_for:
                begun += spans[number].size
                most = max(most, begun - taken)
        return str(number).encode()

    with ThreadPoolExecutor(4) as pool:
        ahead = Ahead(spans, fetch, pool, room)
        for number, span in enumerate(spans):
            assert ahead.take(number) == str(number).encode()
            with lock:
                taken += span.size * span.is_waited_for
    assert sorted(asked) == list(range(60))
    assert most <= max(room, 60) + 60  # what is taken is counted off a moment later


def test_a_failed_fetch_fails_its_taker_only() -> None:
    def fetch(number: int) -> bytes:
        if number == 1:
            raise OSError("gone")
        return b"x"

    with ThreadPoolExecutor(2) as pool:
        ahead = Ahead([Span(1)] * 3, fetch, pool)
        with pytest.raises(OSError, match="gone"):
            ahead.take(1)
        assert ahead.take(2) == b"x"


@pytest.mark.parametrize(
    ("href", "here"),
    [
        ("/data/a.tif", True),
        ("/vsizip/a.zip/a.tif", False),
        ("s3://bucket/a.tif", False),
        ("gs://bucket/a.tif", False),
        ("ftp://host/a.tif", False),
        ("https://host/a/b.tif", True),
        ("https://host/a%20b/c+d/x=1/b.tif?sig=a%2Bb", True),
        ("https://user:secret@host/a.tif", False),
        ("https://host/a/../b.tif", False),
        ("https://host/a//b.tif", False),
        ("https://host/a*b.tif", False),
        ("https://host/", False),
    ],
)
def test_what_is_read_here_and_what_is_left_to_gdal(href: str, here: bool) -> None:
    assert is_fetchable(href) == here


@pytest.fixture
def served(small_archive: SmallArchive) -> Iterator[str]:
    script = Path(__file__).with_name("range_server.py")
    command = [sys.executable, str(script), str(small_archive.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()


def test_ranges_over_http_and_from_disk_are_the_same(
    small_archive: SmallArchive, served: str
) -> None:
    path = small_archive.folder / "a b.bin"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    (small_archive.folder / "a%20b.bin").write_bytes(
        path.read_bytes()
    )  # the server decodes nothing
    for start, stop in ((0, 100), (4000, 5000), (4990, 6000)):
        local = bytes(read_range(str(path), None, start, stop, ONCE, Scratch()))
        href = f"{served}/a%20b.bin?sig=SECRET"
        assert bytes(read_range(href, None, start, stop, ONCE, Scratch())) == local
        assert local == path.read_bytes()[start:stop]


def scene_in(small: SmallArchive, prefix: str = "") -> Scene:
    index = small.index()
    found = scene_of(small.items[0], archive(str(index)), str(index))
    assert found is not None
    if not prefix:
        return found
    asset = found.assets["B02"]
    return replace(found, assets={"B02": replace(asset, href=f"{prefix}/s/B02.tif?sig=SECRET")})


def test_bytes_spoilt_on_the_way_are_fetched_once_more(
    small_archive: SmallArchive, served: str
) -> None:
    small_archive.optical("s", "2024-06-01T10:00:00Z")
    with crew_of(1) as crew:
        raster = opened(scene_in(small_archive, served), "B02", ZONE, crew)
        assert raster is not None
        whole = bytes(fetched(raster, *raster.bytes_of(0), crew))
        assert bytes(with_bytes(raster, 0, b"spoilt", crew, lambda own: right(own, whole))) == whole


def right(own: bytes | memoryview, whole: bytes) -> bytes | memoryview:
    from mapper.imagery.faults import BadBytesError

    if bytes(own) != whole:
        raise BadBytesError("spoilt")
    return own


@pytest.mark.parametrize("fault", ["refused", "gone"])
def test_a_failure_is_one_line_without_the_signature(
    small_archive: SmallArchive, served: str, fault: str
) -> None:
    small_archive.optical("s", "2024-06-01T10:00:00Z")
    with crew_of(1) as crew, pytest.raises(ReadError) as caught:
        opened(scene_in(small_archive, f"{served}/{fault}"), "B02", ZONE, crew)
    assert "SECRET" not in str(caught.value)
    assert "\n" not in str(caught.value)


def left_to_gdal(small_archive: SmallArchive, served: str, size_px: int) -> Scene:
    """A scene of a server that ignores ranges, seen to be left to GDAL."""
    small_archive.optical("s", "2024-06-01T10:00:00Z", size_px=size_px)
    scene = scene_in(small_archive, f"{served}/whole")
    with crew_of(1) as crew:
        assert opened(scene, "B02", ZONE, crew) is None
    return scene


def test_a_small_file_of_a_server_that_ignores_ranges_is_read_by_gdal(
    small_archive: SmallArchive, served: str
) -> None:
    scene = left_to_gdal(small_archive, served, 64)
    region = region_at((399_960, 5_300_040), (64, 64))
    wanted = read_raster(scene_in(small_archive), "B02", region)
    np.testing.assert_array_equal(read_raster(scene, "B02", region), wanted)


def test_a_large_file_of_such_a_server_is_given_up_at_once(
    small_archive: SmallArchive, served: str
) -> None:
    scene = left_to_gdal(small_archive, served, 512)
    with pytest.raises(ReadError, match=r"\(its server answers whole files only\)"):
        read_raster(scene, "B02", region_at((399_960, 5_300_040), (64, 64)))


def test_a_server_that_never_answers_ends_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        href = f"http://127.0.0.1:{silent.getsockname()[1]}/a.tif"
        with pytest.raises(Exception, match=r"(?i)time|error"):
            read_range(href, None, 0, 10, Attempt(1, 1.0, 1.0), Scratch())


def test_an_error_leaves_at_once_and_what_waits_is_never_begun() -> None:
    begun: list[int] = []
    hold = threading.Event()
    crews: list[Crew] = []

    def wait(number: int) -> None:
        begun.append(number)
        hold.wait(20)

    def fail() -> None:
        with crew_of(1) as crew:
            crews.append(crew)
            for number in range(200):
                crew.fetchers.submit(wait, number)
            raise ReadError("s", "B02", "gone")

    with pytest.raises(ReadError):
        fail()
    assert crews[0].stop.is_set()
    hold.set()
    crews[0].fetchers.shutdown(wait=True)
    assert len(begun) <= 40


def test_after_an_error_nobody_asks_again_through_gdal(
    small_archive: SmallArchive, served: str
) -> None:
    small_archive.optical("s", "2024-06-01T10:00:00Z", size_px=64, with_scl=False)
    scene = scene_in(small_archive)
    assets = dict(scene.assets)
    for name, fault in (("B02", "gone"), ("B03", "down")):
        href = f"{served}/{fault}//s/{name}.tif"  # two slashes: obstore would make one of them
        assets[name] = replace(assets[name], href=href)
    looks = looks_of([replace(scene, assets=assets)], ZONE)
    region = region_at((399_960, 5_300_040), (64, 64))
    with pytest.raises(ReadError, match=r"B02 of scene s .*HTTP 404"):
        read_composite(looks, region)
    reading = [thread for thread in threading.enumerate() if thread.name.startswith("decode")]
    for thread in reading:
        thread.join(10)
    assert not any(thread.is_alive() for thread in reading), "the patience of a read is minutes"
