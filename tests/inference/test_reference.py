"""The blend equals one written from its definition in float64, wherever windows and data end."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import numpy.typing as npt
import pytest
import torch
from test_predict import cut, everywhere, landscape, micro_checkpoint

from mapper.imagery.bands import Normalisation, normalise
from mapper.imagery.composite import Composite
from mapper.inference.on_device import OnDevice
from mapper.inference.predict import Predictor
from mapper.inference.windows import Seams, blend, cell_of, needed_region, windows_touching
from mapper.land.grid import Region, Zone
from mapper.land.legend import CLASS_COUNT, NODATA

TEMPERATURE = 0.7
NORTH, SOUTH = Zone(32, False), Zone(32, True)
AREAS = {
    "the origin of a zone": Region(NORTH, 0, 0, 70, 60),
    "west and north of the origin": Region(NORTH, -300, -20, 40, 30),
    "the equator, from the south": Region(SOUTH, 38_300, 0, 300, 140),
    "the corner of four windows": Region(NORTH, 100 * 384 - 4, 1300 * 384 - 4, 9, 9),
    "from an overlap to an overlap": Region(NORTH, 100 * 384 + 60, 1300 * 384 + 300, 450, 110),
    "one pixel": Region(NORTH, 100 * 384 + 127, 1300 * 384 + 128, 1, 1),
    "a strip": Region(SOUTH, 100 * 384 - 130, 1300 * 384 + 383, 500, 2),
}
"""Where they lie among windows at multiples of 384 px, and which of them reach below zero."""


def broken(region: Region) -> Composite:
    """Patches seen up to a slanting edge of each swath, with holes in them."""
    ground = landscape(region)
    y, x = np.mgrid[: region.height, : region.width]
    ground.optical[:, x > 0.8 * region.width + 0.1 * y] = 0
    ground.radar[:, y > 0.9 * region.height - 0.2 * x] = np.nan
    rng = np.random.default_rng(5)
    for _ in range(12):
        top, left = rng.integers(0, region.height), rng.integers(0, region.width)
        ground.optical[:, top : top + 50, left : left + 70] = 0
        ground.radar[1, top : top + 20, left + 9 : left + 99] = -np.inf
    return ground


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(replace(micro_checkpoint(), temperature=TEMPERATURE), "cpu", "fp32")


def weight(offset: int) -> float:
    """Of a pixel so far into its window, along one axis: sin^2 up, one, and down again."""
    into = min(offset, 511 - offset)
    ramp = np.sin((into + 0.5) / 128 * np.pi / 2) ** 2 if into < 128 else 1.0
    return float(np.round(ramp * 2048) / 2048)


def logits_of(predictor: Predictor, ground: Composite, window: Region) -> npt.NDArray[np.float32]:
    """What the network says about one window."""
    rules = {band: Normalisation(*rule) for band, rule in micro_checkpoint().normalisation.items()}
    pixels = cut(ground, window)
    given = normalise(pixels.optical, pixels.radar, rules)
    planes = (given.optical, given.radar, given.optical_valid[None], given.radar_valid[None])
    with torch.inference_mode():
        answer = predictor._engine.network(*(torch.from_numpy(x)[None] for x in planes))
    return answer[0].numpy().copy()


def reference(predictor: Predictor, ground: Composite, region: Region) -> npt.NDArray[np.float64]:
    """(class, y, x) sum of weight times softmax over the windows that hold a pixel."""
    sums = np.zeros((CLASS_COUNT, *region.shape))
    total = np.zeros(region.shape)
    lefts, tops = (
        [k * 384 for k in range(-3, 1400) if k * 384 + 512 > first and k * 384 < end]
        for first, end in ((region.left, region.right), (region.top, region.bottom))
    )
    for top, left in product(tops, lefts):
        scaled = logits_of(predictor, ground, Region(region.zone, left, top, 512, 512))
        powers = np.exp((scaled.astype(np.float64) - scaled.max(0)) / TEMPERATURE)
        probability = powers / powers.sum(0)
        rows = range(max(top, region.top), min(top + 512, region.bottom))
        columns = range(max(left, region.left), min(left + 512, region.right))
        plane = np.outer([weight(y - top) for y in rows], [weight(x - left) for x in columns])
        here = np.ix_([y - region.top for y in rows], [x - region.left for x in columns])
        there = np.ix_([y - top for y in rows], [x - left for x in columns])
        total[here] += plane
        for k in range(CLASS_COUNT):
            sums[k][here] += plane * probability[k][there]
    assert np.all(total == 1)
    return sums


def over(region: Region, cells: object) -> npt.NDArray[np.float32]:
    """(class, y, x) blended probabilities, put together from cells."""
    out = np.full((CLASS_COUNT, *region.shape), np.nan, np.float32)
    for cell, sums in cells:  # type: ignore[attr-defined]
        shared = cell.intersection(region)
        if shared is not None:
            out[:, *shared.slices_in(region)] = sums[:, *shared.slices_in(cell)]
    return out


@pytest.mark.parametrize("region", AREAS.values(), ids=AREAS)
def test_probabilities_are_those_of_the_definition(predictor: Predictor, region: Region) -> None:
    ground = broken(needed_region(region, everywhere(region)))
    wanted = reference(predictor, ground, region)
    windows = windows_touching(region, everywhere(region))
    found = over(region, blend(predictor._engine._answers(ground, windows)))
    assert np.abs(found - wanted).max() < 1e-5

    made = predictor.predict(ground, everywhere(region), region)
    seen = np.all(cut(ground, region).optical != 0, axis=0)
    assert np.array_equal(made.land_cover != NODATA, seen)
    first, second = np.sort(wanted, axis=0)[:-3:-1]
    is_clear = seen & (first - second > 2e-5)
    assert np.array_equal(made.land_cover[is_clear], wanted.argmax(0)[is_clear])
    assert np.all(np.abs(made.confidence[seen] - 100 * first[seen]) <= 0.5 + 1e-3)


def test_a_device_s_probabilities_are_those_of_the_definition(predictor: Predictor) -> None:
    region = AREAS["from an overlap to an overlap"]
    ground = broken(needed_region(region, everywhere(region)))
    mine = predictor._engine
    rules = mine._normalisation
    device = OnDevice(
        mine.network, rules, TEMPERATURE, predictor.precision, torch.device("cpu"), batch=4
    )
    windows, seams, cells = windows_touching(region, everywhere(region)), Seams(), []
    with torch.inference_mode():
        for first in range(0, len(windows), 4):
            batch = windows[first : first + 4]
            with device._cutting(ground, [batch]):
                answers, finite = device._weighted(device._edges)
            assert bool(finite.all())
            for window, answer in zip(batch, answers, strict=False):
                seams.join(window, answer)
                cells.append((cell_of(window), answer.numpy()[:, :384, :384]))
    device.close()
    assert np.abs(over(region, cells) - reference(predictor, ground, region)).max() < 1e-5
