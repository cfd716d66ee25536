"""A prediction is the network's blended answer, whatever the cut, the threads and bad pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch

from mapper.errors import CheckpointError, RequestError
from mapper.imagery.bands import OPTICAL_NAMES, RADAR_NAMES, Normalisation, normalise
from mapper.imagery.composite import Composite
from mapper.inference.precision import Precision, resolve_device, resolve_precision
from mapper.inference.predict import Prediction, Predictor
from mapper.inference.windows import WINDOW_PX, needed_region, taper, windows_over
from mapper.land.grid import Region, Zone
from mapper.land.legend import CLASS_COUNT, CLASS_NAMES, NODATA
from mapper.lulcformer.checkpoint import Checkpoint, model_of
from mapper.lulcformer.model import MICRO, LulcFormer
from mapper.lulcformer.processor import Bf16, bf16_products

ZONE = Zone(32, False)
TILE = Region(ZONE, 50_000, 510_000, 700, 500)


def micro_checkpoint() -> Checkpoint:
    """A fresh micro network whose classifier is loud enough to tell all classes apart."""
    torch.manual_seed(7)
    variant = replace(MICRO, missing_token=True)
    weights = LulcFormer(variant).state_dict()
    weights["head.pred.weight"] *= 200
    normalisation = dict.fromkeys(OPTICAL_NAMES, (0.0, 0.6, 0.2, 0.15))
    normalisation |= dict.fromkeys(RADAR_NAMES, (-30.0, 5.0, -12.0, 4.0))
    return Checkpoint(
        variant_name="micro",
        variant=variant,
        weights=weights,
        optical_bands=OPTICAL_NAMES,
        radar_bands=RADAR_NAMES,
        legend=CLASS_NAMES,
        normalisation=normalisation,
        window=WINDOW_PX,
        facts={},
    )


def landscape(region: Region) -> Composite:
    """Patches of 16 px with noise; everything is seen."""
    rng = np.random.default_rng(11)
    rows, columns = -(-region.height // 16), -(-region.width // 16)
    patches = rng.uniform(0, 1, (12, rows, columns)).repeat(16, 1).repeat(16, 2)
    patches = patches[:, : region.height, : region.width]
    patches += rng.normal(0, 0.03, patches.shape)
    return Composite(
        region=region,
        optical=(200 + 4000 * patches[:10].clip(0, 1)).astype(np.uint16),
        radar=(-25 + 20 * patches[10:]).astype(np.float32),
        optical_looks=np.full(region.shape, 3, np.uint8),
        radar_looks=np.full(region.shape, 4, np.uint8),
    )


def cut(composite: Composite, region: Region) -> Composite:
    here = region.slices_in(composite.region)
    return Composite(
        region=region,
        optical=composite.optical[:, *here].copy(),
        radar=composite.radar[:, *here].copy(),
        optical_looks=composite.optical_looks[here].copy(),
        radar_looks=composite.radar_looks[here].copy(),
    )


def everywhere(region: Region) -> npt.NDArray[np.bool_]:
    return np.ones(region.shape, np.bool_)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return micro_checkpoint()


@pytest.fixture(scope="module")
def predictor(checkpoint: Checkpoint) -> Predictor:
    return Predictor(checkpoint, "cpu", "fp32", threads=1)


@pytest.fixture(scope="module")
def ground() -> Composite:
    return landscape(needed_region(TILE, everywhere(TILE)))


@pytest.fixture(scope="module")
def usual(predictor: Predictor, ground: Composite) -> Prediction:
    return predictor.predict(ground, everywhere(TILE), TILE)


def test_prediction_equals_the_unfolded_network_blended_slowly(
    usual: Prediction, ground: Composite, checkpoint: Checkpoint
) -> None:
    model = model_of(checkpoint)
    rules = {band: Normalisation(*rule) for band, rule in checkpoint.normalisation.items()}
    sums = np.zeros((CLASS_COUNT, *TILE.shape))
    for window in windows_over(TILE):
        pixels = cut(ground, window)
        given = normalise(pixels.optical, pixels.radar, rules)
        with torch.no_grad():
            logits = model(
                torch.from_numpy(given.optical)[None], torch.from_numpy(given.radar)[None]
            )
        answer = torch.softmax(logits[0].double(), 0).numpy()
        weighted = answer * np.outer(taper(), taper()).astype(np.float64)
        shared = window.intersection(TILE)
        assert shared is not None
        sums[:, *shared.slices_in(TILE)] += weighted[:, *shared.slices_in(window)]
    assert len(np.unique(usual.land_cover)) >= 4, "the test wants a map with several classes"
    assert np.abs(usual.confidence - 100 * sums.max(0)).max() <= 0.5 + 1e-2
    ordered = np.sort(sums, axis=0)
    is_clear = ordered[-1] - ordered[-2] > 1e-4
    assert np.array_equal(usual.land_cover[is_clear], sums.argmax(0)[is_clear])


def test_a_temperature_changes_confidence_and_hardly_a_class(
    usual: Prediction, ground: Composite, checkpoint: Checkpoint
) -> None:
    """Where one window answers, no class may change; where several are blended, close calls may."""
    sure = Predictor(replace(checkpoint, temperature=0.5), "cpu", "fp32")
    found = sure.predict(ground, everywhere(TILE), TILE)
    sure.close()
    changed = found.land_cover != usual.land_cover
    once = np.zeros(TILE.shape, np.int64)
    for window in windows_over(TILE):
        shared = window.intersection(TILE)
        assert shared is not None
        once[shared.slices_in(TILE)] += 1
    assert not changed[once == 1].any()
    assert changed.mean() < 0.02
    assert found.confidence.mean() > usual.confidence.mean() + 5


def test_a_window_alone_is_the_network_s_own_answer(
    ground: Composite, checkpoint: Checkpoint
) -> None:
    tempered = replace(checkpoint, temperature=1.5)
    pixels = cut(ground, Region(ZONE, TILE.left - 7, TILE.top - 9, WINDOW_PX, WINDOW_PX))
    pixels.optical[:, :40] = 0
    pixels.radar[:, :20] = np.nan
    lone = Predictor(tempered, "cpu", "fp32")
    found = lone.predict_alone(pixels)
    lone.close()
    rules = {band: Normalisation(*rule) for band, rule in checkpoint.normalisation.items()}
    given = normalise(pixels.optical, pixels.radar, rules)
    inputs = (given.optical, given.radar, given.optical_valid[None], given.radar_valid[None])
    with torch.no_grad():
        logits = model_of(checkpoint)(*(torch.from_numpy(x)[None] for x in inputs))[0]
    answer = torch.softmax(logits / 1.5, dim=0)
    best, code = (x.numpy() for x in answer.max(dim=0))
    assert np.all(found.land_cover[:20] == NODATA) and np.all(found.confidence[:20] == NODATA)
    assert np.abs(found.confidence[20:] - 100 * best[20:]).max() <= 0.5 + 1e-2
    assert np.mean(found.land_cover[20:] == code[20:]) > 0.9999


def test_threads_change_no_byte(
    usual: Prediction, ground: Composite, checkpoint: Checkpoint
) -> None:
    many = Predictor(checkpoint, "cpu", "fp32", threads=3)
    again = many.predict(ground, everywhere(TILE), TILE)
    many.close()
    assert np.array_equal(again.land_cover, usual.land_cover)
    assert np.array_equal(again.confidence, usual.confidence)


def test_the_cut_changes_no_byte(
    predictor: Predictor, usual: Prediction, ground: Composite
) -> None:
    left = Region(ZONE, TILE.left, TILE.top, 333, TILE.height)
    right = Region(ZONE, left.right, TILE.top, TILE.width - 333, TILE.height)
    for part in (left, right):
        own = cut(ground, needed_region(part, everywhere(part)))
        found = predictor.predict(own, everywhere(part), part)
        assert np.array_equal(found.land_cover, usual.land_cover[part.slices_in(TILE)])
        assert np.array_equal(found.confidence, usual.confidence[part.slices_in(TILE)])


def test_only_wanted_pixels_are_mapped_and_only_their_windows_computed(
    predictor: Predictor, usual: Prediction, ground: Composite
) -> None:
    wanted = np.zeros(TILE.shape, np.bool_)
    wanted[300:305, 400:420] = True
    small = cut(ground, needed_region(TILE, wanted))
    found = predictor.predict(small, wanted, TILE)
    assert found.windows < usual.windows
    assert np.array_equal(found.land_cover[wanted], usual.land_cover[wanted])
    assert np.all(found.land_cover[~wanted] == NODATA)
    assert np.all(found.confidence[~wanted] == NODATA)


def test_bad_pixels_are_nodata_and_spoil_nothing(
    predictor: Predictor, usual: Prediction, ground: Composite
) -> None:
    broken = cut(ground, ground.region)
    y, x = TILE.slices_in(ground.region)
    broken.radar[0, y.start + 100, x.start + 100] = np.nan
    broken.radar[1, y.start + 101, x.start + 100] = np.inf
    broken.optical[3, y.start + 200, x.start + 300] = 0
    found = predictor.predict(broken, everywhere(TILE), TILE)
    blind = np.zeros(TILE.shape, np.bool_)
    blind[200, 300] = True
    assert np.array_equal(found.land_cover == NODATA, blind)
    assert np.array_equal(found.confidence == NODATA, blind)
    assert np.mean(found.land_cover == usual.land_cover) > 0.95


def test_radar_alone_is_a_class_only_where_allowed(predictor: Predictor, ground: Composite) -> None:
    cloudy = cut(ground, ground.region)
    half = TILE.slices_in(ground.region)[1].start + 400
    cloudy.optical[:, :, half:] = 0
    cloudy.radar[:, :40] = np.nan
    strict = predictor.predict(cloudy, everywhere(TILE), TILE)
    assert np.all(strict.land_cover[:, 400:] == NODATA)
    assert np.all(strict.land_cover[:, :400] < CLASS_COUNT)
    lenient = predictor.predict(cloudy, everywhere(TILE), TILE, allow_radar_only=True)
    heard = np.all(np.isfinite(cloudy.radar[:, *TILE.slices_in(ground.region)]), axis=0)
    assert np.array_equal(lenient.land_cover[:, 400:] < CLASS_COUNT, heard[:, 400:])
    # A class that both may give is the same one: the windows see the same pixels.
    assert np.array_equal(lenient.land_cover[:, :400], strict.land_cover[:, :400])


def test_where_nothing_was_seen_no_window_is_computed(
    predictor: Predictor, ground: Composite
) -> None:
    night = cut(ground, ground.region)
    night.optical[:] = 0
    found = predictor.predict(night, everywhere(TILE), TILE)
    assert found.windows == 0
    assert np.all(found.land_cover == NODATA)


def test_an_answer_that_is_no_number_is_refused_by_the_name_of_its_window(
    ground: Composite,
) -> None:
    overflowing = micro_checkpoint()
    overflowing.weights["head.pred.bias"][4] = np.inf
    with pytest.raises(CheckpointError, match="column 49920, row 509952 of zone 32N in fp32"):
        Predictor(overflowing, "cpu", "fp32").predict(
            ground, np.ones((5, 5), np.bool_), Region(ZONE, 50_300, 510_300, 5, 5)
        )


def test_a_composite_that_is_too_small_is_refused(predictor: Predictor, ground: Composite) -> None:
    with pytest.raises(ValueError, match="does not cover"):
        predictor.predict(cut(ground, TILE), everywhere(TILE), TILE)


def test_a_checkpoint_for_another_legend_or_window_is_refused(checkpoint: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match="class 0 is sea"):
        Predictor(replace(checkpoint, legend=("sea", *CLASS_NAMES[1:])))
    with pytest.raises(CheckpointError, match="256"):
        Predictor(replace(checkpoint, window=256))


def test_half_precision_agrees_on_all_but_close_calls(
    usual: Prediction, ground: Composite, checkpoint: Checkpoint
) -> None:
    half = Predictor(checkpoint, "cpu", "bf16")
    found = half.predict(ground, everywhere(TILE), TILE)
    half.close()
    assert np.mean(found.land_cover == usual.land_cover) > 0.98
    is_sure = usual.confidence >= 60
    assert np.mean(found.land_cover[is_sure] == usual.land_cover[is_sure]) > 0.999


def test_precision_follows_the_device() -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert resolve_precision(cuda) is Precision.FP16
    assert (resolve_precision(cpu) is Precision.FP32) == (bf16_products() is Bf16.NONE)
    assert resolve_precision(cpu, "fp32") is Precision.FP32
    with pytest.raises(RequestError, match="fp16 needs a CUDA device"):
        resolve_precision(cpu, "fp16")
    with pytest.raises(RequestError, match='"half" is unknown'):
        resolve_precision(cpu, "half")


def test_an_absent_device_is_refused() -> None:
    assert resolve_device("cpu").type == "cpu"
    with pytest.raises(RequestError, match='"gpu" is unknown'):
        resolve_device("gpu")
    with pytest.raises(RequestError, match="cuda:99"):
        resolve_device("cuda:99")
