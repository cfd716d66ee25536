"""What runs on a GPU, run on torch's CPU device: it answers as the passes written for a CPU do."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_predict import ZONE, cut, everywhere, landscape, micro_checkpoint

from mapper.errors import CheckpointError
from mapper.imagery.bands import Normalisation, normalise
from mapper.imagery.composite import Composite
from mapper.inference.answers import Answers, Standardise, most_likely
from mapper.inference.on_device import OnDevice
from mapper.inference.pixelwise import most_likely as most_likely_in_one_pass
from mapper.inference.precision import repeatable
from mapper.inference.predict import Prediction, Predictor
from mapper.inference.staging import Recorded, stay_on
from mapper.inference.windows import WINDOW_PX, needed_region, windows_touching
from mapper.land.grid import Region
from mapper.land.legend import CLASS_COUNT
from mapper.lulcformer.checkpoint import Checkpoint
from mapper.lulcformer.folding import for_inference
from mapper.lulcformer.model import VARIANTS, LulcFormer

CPU = torch.device("cpu")
TILE = Region(ZONE, 50_000, 510_000, 420, 300)
WINDOWS = 6
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(scope="module")
def ground() -> Composite:
    """A landscape with holes in both sensors, and digital numbers that need all 16 bits."""
    made = landscape(needed_region(TILE, everywhere(TILE)))
    made.optical[:, 500:640, 500:620] = 0
    made.optical[3, 600:700, 700:800] = 0
    made.optical[:, 450:460, 500:800] = 65_535
    made.radar[0, 600:, 700:] = np.nan
    made.radar[1, 200:210, 200:210] = np.inf
    return made


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return replace(micro_checkpoint(), temperature=0.8)


@pytest.fixture(scope="module")
def usual(ground: Composite, checkpoint: Checkpoint) -> Prediction:
    predictor = Predictor(checkpoint, "cpu", "fp32")
    made = predictor.predict(ground, everywhere(TILE), TILE)
    predictor.close()
    return made


def on_device(checkpoint: Checkpoint, batch: int) -> Predictor:
    """A predictor that computes as on a GPU."""
    predictor = Predictor(checkpoint, "cpu", "fp32")
    mine = predictor._engine
    facts = (mine.network, mine._normalisation, checkpoint.temperature, predictor.precision)
    mine.close()
    predictor._engine = OnDevice(*facts, CPU, batch)
    return predictor


@pytest.fixture(scope="module")
def batching(checkpoint: Checkpoint) -> Iterator[Predictor]:
    predictor = on_device(checkpoint, 2)
    yield predictor
    predictor.close()


def agree(one: Prediction, other: Prediction) -> None:
    """Equal but for pixels that lie on the edge between two answers."""
    assert one.windows == other.windows
    assert np.mean(one.land_cover == other.land_cover) > 0.9999
    assert np.array_equal(one.land_cover == 255, other.land_cover == 255)
    assert np.abs(one.confidence.astype(int) - other.confidence).max() <= 1


def test_windows_are_normalised_to_the_same_bits(ground: Composite, checkpoint: Checkpoint) -> None:
    rules = {band: Normalisation(*rule) for band, rule in checkpoint.normalisation.items()}
    window = Region(ZONE, ground.region.left + 90, ground.region.top + 190, WINDOW_PX, WINDOW_PX)
    pixels = cut(ground, window)
    wanted = normalise(pixels.optical, pixels.radar, rules)
    sides = (
        (pixels.optical.astype(np.float32), 10_000, wanted.optical, wanted.optical_valid),
        (pixels.radar, 1, wanted.radar, wanted.radar_valid),
    )
    names = tuple(checkpoint.optical_bands), tuple(checkpoint.radar_bands)
    for (raw, per_unit, planes, valid), own in zip(sides, names, strict=True):
        mask = torch.from_numpy(valid)[None, None]
        found = Standardise(rules, own, per_unit)(torch.from_numpy(raw.copy())[None], mask)
        assert np.array_equal(found[0].numpy().view(np.int32), planes.view(np.int32))


class Echo(torch.nn.Module):
    """Says what it was given, in nine classes."""

    def forward(self, *planes: torch.Tensor) -> torch.Tensor:
        self.planes = planes
        return 30 * planes[0][:, :9]


def test_raw_bits_become_what_the_network_is_given(
    ground: Composite, checkpoint: Checkpoint
) -> None:
    rules = {band: Normalisation(*rule) for band, rule in checkpoint.normalisation.items()}
    digits, decibel = (x[:, 250:350, 250:350].copy() for x in (ground.optical, ground.radar))
    decibel[0, 5] = np.nan
    wanted = normalise(digits, decibel, rules)
    echo = Echo()
    given = torch.from_numpy(digits.view(np.int16))[None], torch.from_numpy(decibel)[None]
    edges = torch.linspace(0, 1, 100)
    weighted, finite = Answers(echo, rules, 0.8)(*given, edges)
    expected = (wanted.optical, wanted.radar, wanted.optical_valid[None], wanted.radar_valid[None])
    for plane, own in zip(echo.planes, expected, strict=True):
        assert np.array_equal(plane[0].numpy(), own)
    exact = torch.softmax(30 * torch.from_numpy(wanted.optical[:9]).double() / 0.8, 0)
    assert finite.tolist() == [True]
    assert float((weighted[0] - exact * torch.outer(edges, edges)).abs().max()) < 1e-5
    assert np.array_equal(given[1][0].numpy(), decibel, equal_nan=True), "the input was changed"


def test_most_likely_classes_are_those_of_one_pass() -> None:
    sums = np.random.default_rng(2).dirichlet(np.ones(9), (3, 40, 31)).transpose(0, 3, 1, 2)
    sums = sums.astype(np.float32)
    sums[1, :, 0, 0] = 0
    sums[1, 7, 0, 0] = 1.0000002
    sums[2, 3:5, 1, 1] = 0.5
    found = most_likely(torch.from_numpy(sums.copy())).numpy()
    for window, (code, percent) in zip(sums, found, strict=True):
        own_code, own_percent = most_likely_in_one_pass(window)
        assert np.array_equal(code, own_code) and np.array_equal(percent, own_percent)


@pytest.mark.parametrize("batch", [1, 4, 7])
def test_batches_of_whatever_size_make_the_same_map(
    batch: int, usual: Prediction, ground: Composite, checkpoint: Checkpoint
) -> None:
    """Six windows: each memory used many times, a last batch padded, one batch with room left."""
    predictor = on_device(checkpoint, batch)
    agree(predictor.predict(ground, everywhere(TILE), TILE), usual)
    predictor.close()


def test_only_windows_with_wanted_pixels_are_computed(
    batching: Predictor, usual: Prediction, ground: Composite
) -> None:
    wanted = np.zeros(TILE.shape, np.bool_)
    wanted[290:295, 400:420] = True
    found = batching.predict(ground, wanted, TILE)
    assert (
        found.windows == len(windows_touching(TILE, wanted & (usual.land_cover != 255))) < WINDOWS
    )
    assert np.mean(found.land_cover[wanted] == usual.land_cover[wanted]) > 0.999
    assert np.all(found.land_cover[~wanted] == 255)


def test_a_window_alone_is_answered_alike(
    batching: Predictor, ground: Composite, checkpoint: Checkpoint
) -> None:
    pixels = cut(ground, Region(ZONE, TILE.left - 7, TILE.top - 59, WINDOW_PX, WINDOW_PX))
    lone = Predictor(checkpoint, "cpu", "fp32")
    agree(batching.predict_alone(pixels), lone.predict_alone(pixels))
    lone.close()


def test_a_map_left_half_made_does_not_stand_in_the_next_one_s_way(
    batching: Predictor, usual: Prediction, ground: Composite
) -> None:
    cells = batching._engine.cells(ground, windows_touching(TILE, everywhere(TILE)))
    next(cells)
    cells.close()
    agree(batching.predict(ground, everywhere(TILE), TILE), usual)


def test_threads_that_ask_at_once_do_not_mix(
    batching: Predictor, usual: Prediction, ground: Composite
) -> None:
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(batching.predict, ground, everywhere(TILE), TILE) for _ in range(2)]
        for answer in asked:
            agree(answer.result(), usual)


def test_an_answer_that_is_no_number_names_its_window(ground: Composite) -> None:
    overflowing = micro_checkpoint()
    overflowing.weights["head.pred.bias"][4] = np.inf
    predictor = on_device(overflowing, 3)
    with pytest.raises(CheckpointError, match="column 49920, row 509952 of zone 32N in fp32"):
        predictor.predict(ground, np.ones((5, 5), np.bool_), Region(ZONE, 50_300, 510_300, 5, 5))
    with pytest.raises(CheckpointError, match="no number"):
        predictor.predict_alone(cut(ground, Region(ZONE, 49_920, 509_952, 512, 512)))
    predictor.close()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_nothing_on_the_device_waits_for_the_host(
    dtype: torch.dtype, checkpoint: Checkpoint
) -> None:
    """Tensors of torch's meta device have no values: it refuses what a recording could not hold,
    such as a look at a number, and what lies on another device."""
    meta = torch.device("meta")
    network = for_inference(LulcFormer(checkpoint.variant).to(meta), dtype)
    rules = {band: Normalisation(*rule) for band, rule in checkpoint.normalisation.items()}
    answer = Answers(network, rules, 0.8).to(meta)
    side = (WINDOW_PX, WINDOW_PX)
    digits = torch.empty((2, 10, *side), dtype=torch.int16, device=meta)
    decibel = torch.empty((2, 2, *side), device=meta)
    with torch.inference_mode():
        weighted, finite = answer(digits, decibel, torch.empty(WINDOW_PX, device=meta))
        codes = most_likely(weighted)
    assert (weighted.dtype, weighted.shape) == (torch.float32, (2, CLASS_COUNT, *side))
    assert finite.shape == (2,)
    # What is copied to the host lies in one piece, or each copy would be made twice.
    assert codes.is_contiguous() and weighted.is_contiguous()


def test_a_cut_that_fails_stops_the_map_and_no_later_one(
    batching: Predictor, usual: Prediction, ground: Composite
) -> None:
    windows = windows_touching(TILE, everywhere(TILE))
    too_small = cut(ground, windows[0])
    with pytest.raises(ValueError, match="broadcast"):
        list(batching._engine.cells(too_small, windows))
    agree(batching.predict(ground, everywhere(TILE), TILE), usual)


@needs_cuda
def test_cuda_answers_as_the_cpu_does(
    usual: Prediction, ground: Composite, checkpoint: Checkpoint
) -> None:
    """Exactly in float32, on all but close calls in float16; and twice the same bytes."""
    for precision, share in (("fp32", 0.9995), ("fp16", 0.98)):
        predictor = Predictor(checkpoint, "cuda", precision)
        made, again = (predictor.predict(ground, everywhere(TILE), TILE) for _ in range(2))
        predictor.close()
        assert np.mean(made.land_cover == usual.land_cover) > share
        assert np.array_equal(made.land_cover == 255, usual.land_cover == 255)
        assert np.array_equal(made.land_cover, again.land_cover)
        assert np.array_equal(made.confidence, again.confidence)


@needs_cuda
def test_on_cuda_the_network_is_recorded_and_replays_what_it_is_given(
    ground: Composite, checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "mapper.inference.staging")
    predictor = Predictor(checkpoint, "cuda", "fp16")
    engine = predictor._engine
    assert isinstance(engine, OnDevice)
    assert isinstance(engine._step, Recorded), caplog.text
    windows = windows_touching(TILE, everywhere(TILE))[:5]
    with torch.inference_mode(), engine._cutting(ground, [windows]):
        replayed, finite = engine._weighted(engine._edges)
        with repeatable():
            plain, _ = engine._answers(*engine._inbox.there, engine._edges)
    assert bool(finite.all())
    assert float((replayed - plain).abs().max()) < 1e-5
    predictor.close()


@needs_cuda
@pytest.mark.parametrize("variant", ["micro", "tiny", "base"])
def test_on_cuda_an_answer_does_not_depend_on_its_place_in_a_batch(
    variant: str, ground: Composite, checkpoint: Checkpoint
) -> None:
    """A window at the edge of two tiles is answered twice, among other neighbours."""
    sizes = replace(VARIANTS[variant], missing_token=True)
    torch.manual_seed(0)
    fresh = replace(checkpoint, variant=sizes, weights=LulcFormer(sizes).state_dict())
    predictor = Predictor(fresh, "cuda", "fp16")
    engine = predictor._engine
    assert isinstance(engine, OnDevice)
    one, *others = windows_touching(TILE, everywhere(TILE))
    found = []
    with torch.inference_mode():
        for place in range(engine._batch):
            around = [others[(place + n) % len(others)] for n in range(engine._batch)]
            batch = [*around[:place], one, *around[place + 1 :]]
            with engine._cutting(ground, [batch]):
                answers, _ = engine._weighted(engine._edges)
            found.append(answers[place].cpu())
    predictor.close()
    assert all(torch.equal(found[0], other) for other in found[1:])


@needs_cuda
def test_a_recording_keeps_the_weights_that_it_reads() -> None:
    def recorded(pixels: torch.Tensor) -> tuple[Recorded, torch.Tensor]:
        layer = torch.nn.Linear(512, 512, device="cuda")
        return Recorded(lambda x: [layer(x)], [pixels]), layer(pixels)

    with torch.inference_mode():
        pixels = torch.randn(8, 512, device="cuda")
        replay, wanted = recorded(pixels)
        gc.collect()
        torch.cuda.empty_cache()
        spoilt = [torch.full((512, 512), torch.nan, device="cuda") for _ in range(8)]
        assert torch.allclose(replay(pixels)[0], wanted, atol=1e-5), len(spoilt)


def test_cutters_stay_on_whatever_device_is_named() -> None:
    """`auto` is "cuda" without a number, where there is one GPU."""
    for name in ("cpu", "cuda"):
        stay_on(torch.device(name))
