"""A checkpoint comes back as it was, or says in one line what is wrong with it."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mapper.errors import CheckpointError, OutputError
from mapper.lulcformer.checkpoint import Checkpoint, load, model_of, require, save
from mapper.lulcformer.model import MICRO, LulcFormer

OPTICAL = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
RADAR = ("VV", "VH")
LEGEND = ("water", "trees", "grass", "flooded", "crops", "shrub", "built", "bare", "snow")


@pytest.fixture
def checkpoint() -> Checkpoint:
    torch.manual_seed(0)
    variant = replace(MICRO, missing_token=True)
    return Checkpoint(
        variant_name="micro",
        variant=variant,
        weights=LulcFormer(variant).state_dict(),
        optical_bands=OPTICAL,
        radar_bands=RADAR,
        legend=LEGEND,
        normalisation=dict.fromkeys(OPTICAL, (0.0, 1.0, 0.2, 0.1))
        | dict.fromkeys(RADAR, (-30.0, 5.0, -12.5, 3.0)),
        window=64,
        facts={"simulated": "yes", "steps": "0"},
    )


def test_what_is_loaded_is_what_was_saved(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "micro.safetensors"
    digest = save(checkpoint, path)
    loaded = load(path)
    for field in ("variant_name", "variant", "optical_bands", "radar_bands", "legend", "window"):
        assert getattr(loaded, field) == getattr(checkpoint, field)
    assert loaded.normalisation == checkpoint.normalisation
    assert loaded.facts == checkpoint.facts
    assert loaded.weights.keys() == checkpoint.weights.keys()
    assert all(torch.equal(loaded.weights[n], t) for n, t in checkpoint.weights.items())
    assert loaded.digest == digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_equal_checkpoints_are_equal_files(checkpoint: Checkpoint, tmp_path: Path) -> None:
    assert save(checkpoint, tmp_path / "a") == save(checkpoint, tmp_path / "b")


def test_half_storage_halves_the_file_and_loads_as_float32(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    save(checkpoint, tmp_path / "whole")
    save(checkpoint, tmp_path / "half", half=True)
    assert (tmp_path / "half").stat().st_size < 0.55 * (tmp_path / "whole").stat().st_size
    loaded = load(tmp_path / "half")
    for name, tensor in checkpoint.weights.items():
        assert loaded.weights[name].dtype == tensor.dtype
        torch.testing.assert_close(loaded.weights[name], tensor, atol=1e-4, rtol=1e-3)


def test_the_model_is_ready_to_infer_and_apart_from_the_checkpoint(checkpoint: Checkpoint) -> None:
    model = model_of(checkpoint)
    assert not model.training
    with torch.no_grad():
        model.missing_p.add_(1)
        logits = model(torch.zeros(1, 10, 64, 64), torch.zeros(1, 2, 64, 64))
    assert logits.shape == (1, 9, 64, 64)
    assert not torch.equal(model.missing_p, checkpoint.weights["missing_p"])


def test_saving_leaves_nothing_else_behind(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save(checkpoint, tmp_path / "a")
    save(checkpoint, tmp_path / "a")
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_an_unwritable_place_is_said(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot be written .No such file"):
        save(checkpoint, tmp_path / "absent" / "a")


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read: No such file"):
        load(tmp_path / "absent")


@pytest.mark.parametrize("kept", [0, 5, 100, 30_000, -1])
def test_a_truncated_file_is_said(checkpoint: Checkpoint, tmp_path: Path, kept: int) -> None:
    save(checkpoint, tmp_path / "a")
    (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"damaged or no safetensors file"):
        load(tmp_path / "a")


def test_another_safetensors_file_is_said() -> None:
    golden = Path(__file__).resolve().parents[1] / "golden" / "micro_weights.safetensors"
    with pytest.raises(CheckpointError, match="no mapper checkpoint"):
        load(golden)


def rewrite(path: Path, checkpoint: Checkpoint, **facts: object) -> None:
    """The file of a checkpoint with some of its metadata changed."""
    save(checkpoint, path)
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    changed = json.loads(header["__metadata__"]["mapper"]) | facts
    save_file(load_file(path), path, {"mapper": json.dumps(changed)})


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"format_version": 2}, "has format version 2, this mapper reads 1"),
        ({"variant": {"widths": [16]}}, "cannot be understood"),
        ({"normalisation": None}, "cannot be understood"),
        ({"normalisation": {"B2": [0, 1, 2]}}, "cannot be understood"),
        ({"normalisation": {"B2": [0, 1, 0, 1]}}, "band B3 has no normalisation"),
        ({"legend": ["water"]}, "1 classes are named, the network has 9"),
        ({"window": 0}, "window of 0 px"),
    ],
)
def test_wrong_metadata_is_said(
    checkpoint: Checkpoint, tmp_path: Path, facts: dict[str, object], message: str
) -> None:
    rewrite(tmp_path / "a", checkpoint, **facts)
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path / "a")


def test_wrong_tensors_are_named(checkpoint: Checkpoint, tmp_path: Path) -> None:
    weights = checkpoint.weights
    nan = weights["norms.1.bias"].clone().fill_(torch.nan)
    cases = {
        r"lacks the tensor embed_s\.proj\.bias": {
            name: t for name, t in weights.items() if name != "embed_s.proj.bias"
        },
        r"tensors its variant lacks, the first is extra": weights | {"extra": torch.zeros(1)},
        r"head\.pred\.bias .* has shape \(8,\), wanted \(9,\)": weights
        | {"head.pred.bias": torch.zeros(8)},
        r"norms\.1\.bias .* not finite": weights | {"norms.1.bias": nan},
    }
    save(checkpoint, tmp_path / "good")
    raw = (tmp_path / "good").read_bytes()
    metadata = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"]
    for message, wrong in cases.items():
        with pytest.raises(CheckpointError, match=message):
            save(replace(checkpoint, weights=wrong), tmp_path / "never")
        save_file(wrong, tmp_path / "bad", metadata)
        with pytest.raises(CheckpointError, match=message):
            load(tmp_path / "bad")
    assert not (tmp_path / "never").exists()


def test_weights_beyond_half_precision_are_not_stored_in_it(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    large = checkpoint.weights | {"head.bn.running_var": torch.full((32,), 1e5)}
    with pytest.raises(CheckpointError, match=r"running_var .* not finite in torch.float16"):
        save(replace(checkpoint, weights=large), tmp_path / "a", half=True)


def test_a_fitting_request_passes(checkpoint: Checkpoint) -> None:
    require(checkpoint)
    require(checkpoint, optical_bands=OPTICAL, radar_bands=list(RADAR), legend=LEGEND, window=64)


def test_a_mismatch_is_refused_by_name(checkpoint: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match=r"optical band 1 is B3, wanted B4"):
        require(checkpoint, optical_bands=("B2", "B4", *OPTICAL[2:]))
    with pytest.raises(CheckpointError, match=r"radar band 1 is VH, wanted none"):
        require(checkpoint, radar_bands=("VV",))
    with pytest.raises(CheckpointError, match=r"class 9 is absent, wanted cloud"):
        require(checkpoint, legend=(*LEGEND, "cloud"))
    with pytest.raises(CheckpointError, match=r"windows of 64 px, wanted 512 px"):
        require(checkpoint, window=512)
