"""A large network in files of at most 16 MB is one checkpoint, or says what is missing of it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mapper.errors import CheckpointError
from mapper.imagery.bands import OPTICAL_NAMES, RADAR_NAMES
from mapper.land.legend import CLASS_NAMES
from mapper.lulcformer.checkpoint import Checkpoint, load, save
from mapper.lulcformer.model import VARIANTS, LulcFormer

INDEX = "base.safetensors.index.json"


@pytest.fixture(scope="module")
def base() -> Checkpoint:
    """The largest variant, as it would ship: in float16."""
    torch.manual_seed(0)
    variant = replace(VARIANTS["base"], missing_token=True)
    return Checkpoint(
        variant_name="base",
        variant=variant,
        weights=LulcFormer(variant).state_dict(),
        optical_bands=OPTICAL_NAMES,
        radar_bands=RADAR_NAMES,
        legend=CLASS_NAMES,
        normalisation=dict.fromkeys(OPTICAL_NAMES, (0.0, 1.0, 0.2, 0.1))
        | dict.fromkeys(RADAR_NAMES, (-30.0, 5.0, -12.5, 3.0)),
        window=512,
        facts={"simulated": "yes"},
        temperature=0.5,
    )


@pytest.fixture(scope="module")
def written(base: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    save(base, folder / INDEX, half=True)
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(written, tmp_path / "shards"))


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*-of-*.safetensors"))


def test_shards_are_small_and_load_as_one_checkpoint(
    base: Checkpoint, written: Path, tmp_path: Path
) -> None:
    sizes = [path.stat().st_size for path in shards(written)]
    assert len(sizes) == 4 and max(sizes) <= 16_000_000 and sum(sizes) < 60_000_000
    save(base, tmp_path / "base.safetensors", half=True)
    one, many = load(tmp_path / "base.safetensors"), load(written / INDEX)
    assert one.weights.keys() == many.weights.keys()
    assert all(torch.equal(one.weights[name], tensor) for name, tensor in many.weights.items())
    assert (many.variant, many.facts, many.temperature) == (one.variant, one.facts, 0.5)


def test_the_digest_tells_of_every_weight(base: Checkpoint, written: Path, tmp_path: Path) -> None:
    again = save(base, tmp_path / INDEX, half=True)
    assert again == load(written / INDEX).digest
    last = list(base.weights)[-1]
    other = replace(base, weights=base.weights | {last: base.weights[last] + 1})
    assert save(other, tmp_path / INDEX, half=True) != again
    assert len(shards(tmp_path)) == 4, "those of the weights before are gone"


def test_until_the_index_is_replaced_the_old_weights_are_whole(
    base: Checkpoint, folder: Path
) -> None:
    before = load(folder / INDEX).digest
    other = {name: tensor + 1 for name, tensor in base.weights.items()}
    index = folder / INDEX
    kept = index.read_bytes()
    index.unlink()  # a writing that ended before the index: its shards lie beside the old ones
    save(replace(base, weights=other), index, half=True)
    index.write_bytes(kept)
    assert load(index).digest == before and len(shards(folder)) == 8


def test_the_index_says_where_each_tensor_lies(base: Checkpoint, written: Path) -> None:
    index = json.loads((written / INDEX).read_text())
    assert index["weight_map"].keys() == base.weights.keys()
    assert set(index["weight_map"].values()) == {path.name for path in shards(written)}
    assert index["metadata"]["total_size"] > 50_000_000


def test_a_shard_by_itself_names_its_index(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=f"is a shard of a checkpoint; give .*{INDEX}"):
        load(shards(folder)[1])


def test_a_missing_shard_is_named(folder: Path) -> None:
    gone = shards(folder)[2]
    gone.unlink()
    with pytest.raises(CheckpointError, match=f"{gone.name} cannot be read: No such file"):
        load(folder / INDEX)


def test_a_shard_of_another_training_is_refused(base: Checkpoint, folder: Path) -> None:
    foreign = folder / "other"
    foreign.mkdir()
    shifted = {name: tensor.float() * 1.5 for name, tensor in base.weights.items()}
    kept = {name: shifted[name].to(tensor.dtype) for name, tensor in base.weights.items()}
    save(replace(base, weights=kept), foreign / INDEX, half=True)
    shards(foreign)[0].replace(shards(folder)[0])
    with pytest.raises(CheckpointError, match=r"00001-of-00004-.* is not the one that .* names"):
        load(folder / INDEX)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"metadata": {}, "sha256": {}}'])
def test_an_index_that_is_none_is_refused(folder: Path, text: str) -> None:
    (folder / INDEX).write_text(text)
    with pytest.raises(CheckpointError, match="is damaged or no index of a checkpoint"):
        load(folder / INDEX)
