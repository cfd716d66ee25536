"""A small real product: one tile of 512 px, seen, predicted and ready to be published."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from mapper.imagery.composite import Composite
from mapper.imagery.period import Period
from mapper.inference.predict import Prediction
from mapper.land.grid import Tile, Zone
from mapper.land.legend import NODATA
from mapper.maps.publish import Published, publish_tile
from mapper.maps.stac import Facts

TILE = Tile(Zone(32, False), 104, 930, 512)
SCENES = ("S2B_32TNT_20240611", "S1A_R022_20240602")


@dataclass(frozen=True, slots=True)
class Made:
    """What a worker has in its hands before it publishes."""

    tile: Tile
    scenes: tuple[str, ...]
    composite: Composite
    prediction: Prediction
    wanted: npt.NDArray[np.bool_]


@pytest.fixture(scope="session")
def facts() -> Facts:
    return Facts(
        collection="LIE_2024-06-01_2024-08-31",
        title="Liechtenstein",
        period=Period.parse("2024-06/2024-08"),
        recipe={"archive": "simulated", "optical_looks": 4},
        software={"version": "0.1.0", "code_digest": "ab" * 32},
        checkpoint={"digest": "cd" * 32, "variant": "tiny"},
        precision="fp32",
        simulated=True,
        notes=("one scene has no cloud mask",),
    )


@pytest.fixture(scope="session")
def made() -> Made:
    """A disc of the area; a square of it was never seen."""
    region, rng = TILE.region, np.random.default_rng(5)
    y, x = np.mgrid[: region.height, : region.width]
    wanted = np.hypot(y - 256, x - 256) < 230
    seen = wanted & ~((y < 200) & (x < 200))
    classes = rng.integers(0, 9, (32, 32)).astype(np.uint8).repeat(16, 0).repeat(16, 1)
    looks = np.where(seen, 3, 0).astype(np.uint8)
    looks[300, 300] = 255
    composite = Composite(
        region=region,
        optical=np.full((10, *region.shape), 900, np.uint16),
        radar=np.full((2, *region.shape), -12, np.float32),
        optical_looks=looks,
        radar_looks=np.full(region.shape, 7, np.uint8),
    )
    prediction = Prediction(
        region=region,
        land_cover=np.where(seen, classes, NODATA).astype(np.uint8),
        confidence=np.where(seen, 40 + classes, NODATA).astype(np.uint8),
        windows=4,
    )
    return Made(TILE, SCENES, composite, prediction, wanted)


Publish = Callable[[Path, str], Published]


@pytest.fixture(scope="session")
def publish(facts: Facts, made: Made) -> Publish:
    """Publish that tile under a run's folder, with a content key."""

    def run(folder: Path, key: str) -> Published:
        place = folder / "tiles" / str(TILE.size_px) / TILE.name
        return publish_tile(
            place, TILE, made.composite, made.prediction, made.wanted, facts, SCENES, key
        )

    return run


@pytest.fixture(scope="session")
def published(publish: Publish, tmp_path_factory: pytest.TempPathFactory) -> Published:
    return publish(tmp_path_factory.mktemp("run"), "key-1")


@pytest.fixture
def internet(request: pytest.FixtureRequest) -> None:
    """Skips a test that fetches something, unless it was asked for."""
    if "online" not in str(request.config.getoption("-m")):
        pytest.skip("needs the internet; run with -m online")
