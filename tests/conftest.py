"""What every test may use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from signal import SIGALRM, getsignal, signal

import pytest
import torch

from mapper.imagery.bands import OPTICAL_NAMES, RADAR_NAMES
from mapper.imagery.scenes import Period
from mapper.land.area import area_from_file
from mapper.land.legend import CLASS_NAMES
from mapper.lulcformer.checkpoint import Checkpoint, save
from mapper.lulcformer.model import MICRO, LulcFormer
from mapper.production.stopping import SIGNALS, listen
from mapper.simulated.archive import simulate

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """A command listens to signals and remembers one that came; after a test both are forgotten."""
    before = {signum: getsignal(signum) for signum in (*SIGNALS, SIGALRM)}
    yield
    listen()
    for signum, handler in before.items():
        signal(signum, handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real pixels beside the project; the test is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real pixels are not here: {SHARED_DATA.name} beside the project is absent")
    return SHARED_DATA


@pytest.fixture(scope="session")
def micro_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the smallest network, drawn and never trained: fast, and the same every time."""
    torch.manual_seed(0)
    variant = replace(MICRO, missing_token=True)
    optical = dict.fromkeys(OPTICAL_NAMES, (0.0, 0.6, 0.2, 0.12))
    radar = dict.fromkeys(RADAR_NAMES, (-28.0, 2.0, -13.0, 5.0))
    weights = LulcFormer(variant).state_dict()
    weights["head.pred.weight"] *= 100  # fresh ones have no opinion: every pixel would be alike
    checkpoint = Checkpoint(
        variant_name="micro",
        variant=variant,
        weights=weights,
        optical_bands=OPTICAL_NAMES,
        radar_bands=RADAR_NAMES,
        legend=CLASS_NAMES,
        normalisation={**optical, **radar},
        window=512,
        facts={"training": "none"},
    )
    path = tmp_path_factory.mktemp("weights") / "micro.safetensors"
    save(checkpoint, path)
    return path


SMALL_PERIOD = "2024-07-24/2024-08-18"
"""A clear and a cloudy Sentinel-2 scene, and seven of Sentinel-1."""


@pytest.fixture(scope="session")
def small_period() -> str:
    """The days that the small archive has scenes of."""
    return SMALL_PERIOD


@pytest.fixture(scope="session")
def small_aoi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a square of 2.4 km round a corner of tiles of 512 px: four of them share it."""
    west, south, east, north = 9.481, 47.149, 9.512, 47.171
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    path = tmp_path_factory.mktemp("aoi") / "corner.geojson"
    path.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    return path


@pytest.fixture(scope="session")
def small_archive(small_aoi: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of a simulated archive of that square; nobody may change it."""
    area, period = area_from_file(small_aoi), Period.parse(SMALL_PERIOD)
    folder = tmp_path_factory.mktemp("archive")
    return simulate(area.geometry, area.name, (period.start, period.end), folder)
