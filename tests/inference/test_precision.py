"""Half precision is a decision with evidence: the weights that ship give the same map in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import mapper.lulcformer
from mapper.dynamicworld.simulated_chips import simulated_chip
from mapper.imagery.bands import Normalisation, normalise
from mapper.imagery.composite import Composite
from mapper.inference.predict import Prediction, Predictor
from mapper.land.grid import Region, Zone
from mapper.lulcformer.checkpoint import load, model_of
from mapper.lulcformer.folding import for_inference
from mapper.lulcformer.processor import Bf16, bf16_products

WEIGHTS = Path(mapper.lulcformer.__file__).parent / "weights" / "tiny.safetensors"
SIDE_PX = 512
HALVES = ["bf16"] + ["fp16"] * torch.cuda.is_available()


@pytest.fixture(scope="module")
def scenery() -> list[Composite]:
    """Two simulated places, as production would see them."""
    region = Region(Zone(32, False), 0, 0, SIDE_PX, SIDE_PX)
    chips = [simulated_chip(seed, chip_px=SIDE_PX) for seed in (900_001, 900_002)]
    looks = np.full(region.shape, 3, np.uint8)
    return [Composite(region, chip.optical, chip.radar, looks, looks) for chip in chips]


def mapped(scenery: list[Composite], precision: str) -> list[Prediction]:
    device = "cuda" if precision == "fp16" else "cpu"
    predictor = Predictor(load(WEIGHTS), device, precision)
    try:
        return [predictor.predict_alone(place) for place in scenery]
    finally:
        predictor.close()


@pytest.mark.slow
@pytest.mark.parametrize("half", HALVES)
def test_shipped_weights_give_the_same_classes_in_half_precision(
    scenery: list[Composite], half: str
) -> None:
    """99.5 % of pixels at the least; what differs was a close call."""
    pairs = list(zip(mapped(scenery, "fp32"), mapped(scenery, half), strict=True))
    same = np.mean([exact.land_cover == rough.land_cover for exact, rough in pairs])
    assert len(np.unique([exact.land_cover for exact, _ in pairs])) >= 3
    assert same >= 0.995
    for exact, rough in pairs:
        off = np.abs(exact.confidence.astype(int) - rough.confidence)
        assert off.max() <= 5 and off.mean() < 0.5


@pytest.mark.slow
def test_shipped_weights_give_the_same_classes_with_products_in_fp16(
    scenery: list[Composite],
) -> None:
    """The numbers of fp16, wherever they are computed; a GPU adds its own order of sums."""
    checkpoint = load(WEIGHTS)
    network = model_of(checkpoint).eval()
    rules = {band: Normalisation(*rule) for band, rule in checkpoint.normalisation.items()}
    given = normalise(scenery[0].optical, scenery[0].radar, rules)
    planes = (given.optical, given.radar, given.optical_valid[None], given.radar_valid[None])
    images = [torch.from_numpy(plane)[None] for plane in planes]
    exact, rough = (
        for_inference(network, dtype, ordinary=True)(*images)
        for dtype in (torch.float32, torch.float16)
    )
    assert torch.isfinite(rough).all()
    assert (rough.argmax(1) == exact.argmax(1)).float().mean() >= 0.995


def test_this_machine_names_what_it_computes_in() -> None:
    predictor = Predictor(load(WEIGHTS), "cpu")
    assert predictor.precision.value == ("fp32" if bf16_products() is Bf16.NONE else "bf16")
    predictor.close()
