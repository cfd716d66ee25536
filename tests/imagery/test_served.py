"""Against a real STAC API over HTTP, with the pixels behind a real range server, and their faults.

Both servers are processes of their own: the outside world, not a stand-in for our code.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from small_archive import SmallArchive, region_at

from mapper.errors import ArchiveError, SceneError
from mapper.imagery.archives import archive
from mapper.imagery.choice import Choice, choose
from mapper.imagery.load import read_composite
from mapper.imagery.period import Period
from mapper.imagery.raster import read_raster
from mapper.imagery.scenes import Scene, looks_of
from mapper.imagery.search import search
from mapper.land.grid import Zone

ZONE = Zone(32, False)
JUNE = Period.parse("2024-06")
AREA = shapely.box(7.67, 47.83, 7.69, 47.84)
RUSTAC = shutil.which("rustac", path=str(Path(sys.executable).parent)) or shutil.which("rustac")


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=10)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallArchive:
    made = SmallArchive(tmp_path_factory.mktemp("served"))
    made.optical("s1", "2024-06-01T10:00:00Z", cloud=5, seed=1)
    made.optical("s2", "2024-06-11T10:00:00Z", cloud=30, seed=2, baseline="02.14")
    made.optical("cloudy", "2024-06-21T10:00:00Z", cloud=95, seed=3)
    made.optical("may", "2024-05-21T10:00:00Z", cloud=0, seed=4)
    made.radar("r1", "2024-06-02T05:00:00Z", seed=5)
    return made


@pytest.fixture(scope="module")
def pixels_url(small: SmallArchive) -> Iterator[str]:
    script = Path(__file__).with_name("range_server.py")
    with running(sys.executable, str(script), str(small.folder)) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"


@pytest.fixture(scope="module")
def api_url(small: SmallArchive, pixels_url: str) -> Iterator[str]:
    if RUSTAC is None:
        pytest.skip("rustac, the STAC server of this test, is not installed")
    served = SmallArchive(small.folder)
    for item in small.items:
        assets = {
            name: asset | {"href": f"{pixels_url}/{asset['href']}"}
            for name, asset in item["assets"].items()
        }
        served.items.append(item | {"assets": assets})
    index = served.index("served.json")
    address = f"127.0.0.1:{free_port()}"
    with running(RUSTAC, "serve", str(index), "--addr", address):
        wait_for(f"http://{address}")
        yield f"http://{address}"


def test_a_server_and_a_file_give_the_same_map_input(small: SmallArchive, api_url: str) -> None:
    region = region_at((399_960 + 300, 5_300_040 - 300), (180, 150))
    composites = []
    for root in (api_url, str(small.index("local.json"))):
        scenes = search(archive(root), AREA, JUNE)
        assert [scene.id for scene in scenes] == ["s1", "r1", "s2", "cloudy"]
        selection = choose(scenes, Choice())
        assert [scene.id for scene in selection.kept] == ["s1", "r1", "s2"]
        composites.append(read_composite(looks_of(selection.kept, ZONE), region))
    served, local = composites
    assert served.optical_looks.min() == 2
    np.testing.assert_array_equal(served.optical, local.optical)
    np.testing.assert_array_equal(served.radar, local.radar)


def test_the_cloud_limit_holds_although_the_server_ignores_such_filters(api_url: str) -> None:
    scenes = search(archive(api_url), AREA, JUNE)
    kept = choose(scenes, Choice(max_cloud_percent=10)).kept
    assert [scene.id for scene in kept] == ["s1", "r1"]


def test_an_area_without_scenes_is_empty_and_the_choice_says_so(api_url: str) -> None:
    scenes = search(archive(api_url), shapely.box(20, 10, 20.1, 10.1), JUNE)
    assert scenes == []
    with pytest.raises(SceneError, match="no Sentinel-2 scene covers Chad in 2024-06-01"):
        choose(scenes, Choice(), area="Chad", period=JUNE)


def test_a_closed_port_is_an_archive_that_is_down() -> None:
    root = f"http://127.0.0.1:{free_port()}/stac"
    with pytest.raises(ArchiveError) as caught:
        search(archive(root), AREA, JUNE)
    assert str(caught.value) == (
        f"the archive {root} cannot be reached; check the address and the network, or try again"
        " later"
    )


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nothing", "answers HTTP 404; check the address"),
        ("refused/x", "answers HTTP 403; check the address"),
        ("html/x", "answers what is no JSON; give the root address of a STAC API"),
        ("s1/B02.tif", "answers what is no JSON"),
        ("empty.json", "is no STAC API"),
        ("local.json", "is no STAC API"),
        ("catalog.json", "is no STAC API"),
    ],
)
def test_what_is_no_stac_api_is_told_in_one_line(
    small: SmallArchive, pixels_url: str, path: str, words: str
) -> None:
    small.index("local.json")
    (small.folder / "empty.json").write_text("{}")
    (small.folder / "catalog.json").write_text(
        '{"type": "Catalog", "id": "c", "description": "", "stac_version": "1.0.0", "links": []}'
    )
    with pytest.raises(ArchiveError) as caught:
        search(archive(f"{pixels_url}/{path}"), AREA, JUNE)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def scene(api_url: str) -> Scene:
    return search(archive(api_url), AREA, JUNE)[0]


def moved(scene: Scene, prefix: str, query: str = "") -> Scene:
    """The scene with its first band behind a fault."""
    asset = scene.assets["B02"]
    scheme, _, host, path = asset.href.split("/", 3)
    href = f"{scheme}//{host}/{prefix}/{path}{query}"
    return replace(scene, assets={"B02": replace(asset, href=href)})


REGION = region_at((399_960, 5_300_040), (256, 256))


def test_a_busy_server_is_asked_again(scene: Scene) -> None:
    direct = read_raster(scene, "B02", REGION)
    np.testing.assert_array_equal(read_raster(moved(scene, "busy"), "B02", REGION), direct)


@pytest.mark.parametrize("prefix", ["cut", "refused", "html", "gone"])
def test_a_broken_asset_names_scene_and_asset_but_no_signature(scene: Scene, prefix: str) -> None:
    broken = moved(scene, prefix, "?sig=SECRET")
    with pytest.raises(SceneError) as caught:
        read_raster(broken, "B02", REGION)
    assert str(caught.value).startswith("B02 of scene s1 cannot be read (")
    assert "SECRET" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_truncated_asset_on_a_server(small: SmallArchive, scene: Scene) -> None:
    whole = (small.folder / "s1" / "B02.tif").read_bytes()
    (small.folder / "short").mkdir(exist_ok=True)
    (small.folder / "short" / "s1").mkdir(exist_ok=True)
    (small.folder / "short" / "s1" / "B02.tif").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SceneError, match="B02 of scene s1 cannot be read"):
        read_raster(moved(scene, "short"), "B02", REGION)
