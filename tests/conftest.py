"""What every test may use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mapper.imagery.bands import OPTICAL_NAMES, RADAR_NAMES
from mapper.land.legend import CLASS_NAMES
from mapper.lulcformer.checkpoint import Checkpoint, save
from mapper.lulcformer.model import MICRO, LulcFormer

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


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
    checkpoint = Checkpoint(
        variant_name="micro",
        variant=variant,
        weights=LulcFormer(variant).state_dict(),
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
