"""A training through its command: recipes, curves and report, kills and company change nothing."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from made_chips import folder_of, noise_chip

from mapper.cli import command_line
from mapper.cli.training_files import (
    CHIP_PIXEL_BYTES,
    TrainingFiles,
    only_training,
    require_same_chips,
    training_files,
)
from mapper.cli.training_recipe import training_recipe
from mapper.dynamicworld.chips import SUFFIX, Chip, load_chip, save_chip
from mapper.dynamicworld.learn import calibrated, learn
from mapper.dynamicworld.lesson import chips_for, lesson_of
from mapper.dynamicworld.recipe import TrainingRecipe
from mapper.dynamicworld.simulated_chips import chip_name
from mapper.errors import CheckpointError, OutputError, RequestError
from mapper.land.legend import NODATA
from mapper.lulcformer.calibration import TEMPERATURE_LIMITS
from mapper.lulcformer.checkpoint import load, save
from mapper.lulcformer.curves import read_curves
from mapper.lulcformer.state import read_state

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 240


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lesson")
    folder_of(folder / "chips", range(10))
    path = folder / "recipe.toml"
    path.write_text(
        f"""
        simulated = 0
        held_out = 0
        chips = ["{folder / "chips"}"]
        validation_share = 0.4
        variant = "micro"
        steps = 12
        batch = 4
        parts = 2
        learning_rate = 2e-3
        validate_every = 3
        [augmentation]
        haze = 0.5
        """
    )
    return path


def command(recipe: Path, out: Path) -> list[str]:
    words = ["train", "--recipe", str(recipe), "--device", "cpu", "--out", str(out)]
    return ["-m", "mapper.cli", *words]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def in_one_go(recipe: Path) -> Path:
    out = recipe.parent / "whole.safetensors"
    run = [sys.executable, *command(recipe, out)]
    subprocess.run(run, check=True, env=environment(), timeout=PATIENCE_S, capture_output=True)
    return out


@pytest.mark.slow
def test_a_training_leaves_weights_curves_and_a_report(in_one_go: Path) -> None:
    made = load(in_one_go)
    assert made.window == 64 and made.temperature != 1 and "temperature" in made.facts
    assert made.facts["simulated"] == "no"
    folder = in_one_go.with_suffix(".report")
    names = {path.name for path in folder.iterdir()}
    assert {"report.md", "report.json", "curves.csv", "curves.png", "calibration.png"} <= names
    page = (folder / "report.md").read_text()
    assert "before calibration" in page and "(curves.png)" in page
    rows = list(csv.DictReader((folder / "curves.csv").open()))
    assert [int(row["step"]) for row in rows if row["mean IoU both"]] == [3, 6, 9, 12]
    assert [int(row["step"]) for row in rows if row["loss"]] == [10, 12]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_and_started_again_the_bytes_are_the_same(recipe: Path, in_one_go: Path) -> None:
    out = recipe.parent / "killed.safetensors"
    run = subprocess.Popen(
        [sys.executable, *command(recipe, out)],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + PATIENCE_S
    while not out.with_suffix(".state").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL and not out.exists()
    again = [sys.executable, *command(recipe, out)]
    subprocess.run(again, check=True, env=environment(), timeout=PATIENCE_S, capture_output=True)
    assert out.read_bytes() == in_one_go.read_bytes()
    assert command_line(command(recipe, out)[2:]) == 0
    assert out.read_bytes() == in_one_go.read_bytes(), "once more, with nothing left to do"
    curves = [path.with_suffix(".report") / "curves.csv" for path in (out, in_one_go)]
    assert [row[0] for row in csv.reader(curves[0].open())] == [
        row[0] for row in csv.reader(curves[1].open())
    ]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ctrl_c_keeps_what_was_learned_since_the_last_validation(recipe: Path) -> None:
    out = recipe.parent / "stopped.safetensors"
    long = ["--steps", "1000000"]  # validated every 3 steps, by the recipe
    run = subprocess.Popen(
        [sys.executable, *command(recipe, out), *long],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + PATIENCE_S
    while not (out.with_suffix(".report") / "curves.csv").exists():
        assert time.monotonic() < deadline and run.poll() is None
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 130, said
    assert said.splitlines()[-1].endswith("stopped; the same command goes on from here")
    rows = read_curves(out.with_suffix(".report") / "curves.csv")
    state = read_state(out.with_suffix(".state"))
    assert int(rows[-1]["step"]) <= int(state["step"]) < int(rows[-1]["step"]) + 3
    assert not out.exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_processes_make_the_weights_that_one_makes(recipe: Path, in_one_go: Path) -> None:
    out = recipe.parent / "pair.safetensors"
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    run += command(recipe, out)
    subprocess.run(run, check=True, env=environment(), timeout=PATIENCE_S, capture_output=True)
    alone, together = load(in_one_go), load(out)
    for name, tensor in alone.weights.items():
        assert torch.equal(together.weights[name], tensor), name
    assert together.temperature == alone.temperature


@pytest.mark.parametrize(
    "name", ["train-tiny.toml", "train-tiny-further.toml", "train-dynamic-world.toml"]
)
def test_the_recipes_that_come_along_are_understood(name: str) -> None:
    recipe = training_recipe(ROOT / "workflows" / name, {"steps": 70})
    assert recipe.steps == 70 and recipe.settings("cpu").steps == 70


def test_the_command_line_weighs_more_than_the_recipe(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('variant = "small"\nlearning_rate = 1\n[augmentation]\nturns = false\n')
    found = training_recipe(path, {"variant": "micro", "seed": None})
    assert (found.variant, found.learning_rate, found.seed) == ("micro", 1.0, 0)
    assert not found.augmentation.turns and found.augmentation.haze == 0.15
    assert training_recipe(None, {}) == TrainingRecipe()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepz = 3", "nobody knows the setting stepz; did you mean steps"),
        ("[augmentation]\nhase = 1", "nobody knows the setting hase; did you mean haze"),
        ("steps = 1.5", "steps is 1.5, wanted a whole number"),
        ("steps = true", "steps is True, wanted a whole number"),
        ('compile = "yes"', "compile is 'yes', wanted true or false"),
        ('chips = "here"', "chips is 'here', wanted a list of texts"),
        ("augmentation = 3", "augmentation is a table"),
        ("[augmentation]\nradar_dropout = 0.9\noptical_dropout = 0.9", "together at most 1"),
        ("steps =", "is not TOML"),
        ('variant = "huge"', 'variant "huge" is unknown; give one of base'),
        ("class_balance = 2", "class_balance is 2.0, wanted 0..1"),
        ("batch = 3\nparts = 2", "cannot be cut into 2 equal parts"),
        ("simulated = 0", "nothing to learn from"),
        ("held_out = 0", "nothing to be tried on"),
        ("validation_share = 0.1", "validation_share is of the folders in chips"),
        ("simulated = -1", "simulated is -1, wanted 0.."),
        ("first_chip = 9999999", "chips from 10000000 on are those to be tried on"),
        ("learning_rate = -1", "learning_rate is -1.0, wanted"),
        ("learning_rate = nan", "learning_rate is nan, wanted"),
        ("weight_decay = -0.1", "weight_decay is -0.1, wanted 0..1"),
        ("clip_norm = 0", "clip_norm is 0.0, wanted"),
        ("focal_gamma = -2", "focal_gamma is -2.0, wanted 0..10"),
        ("average_decay = 1", "average_decay is 1.0, wanted 0..0.99999"),
        ("warmup_steps = -1", "warmup_steps is -1, wanted"),
        ("steps = 50\nwarmup_steps = 50", "warmup_steps is 50, wanted fewer than the 50 steps"),
        ("validate_every = 0", "validate_every is 0; wanted at least 1"),
        ("chip_px = 100", "chip_px is 100, wanted a multiple of 32"),
        ("chip_px = 0", "chip_px is 0, wanted a multiple of 32"),
        ("[augmentation]\nhaze = -0.5", "haze is -0.5, wanted 0..1"),
        ("[augmentation]\nradar_dropout = 1.5", "radar_dropout is 1.5, wanted 0..1"),
        ('chips = ["nowhere"]\nvalidation_share = 0.5', "no chip (*.chip.npz) in nowhere"),
        ('start = "nothing.safetensors"', "nothing.safetensors cannot be read"),
    ],
)
def test_a_wrong_recipe_is_refused_before_any_chip_is_made(
    text: str, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    out = str(tmp_path / "x.safetensors")
    expected = CheckpointError.exit_code if "start" in text else RequestError.exit_code
    assert command_line(["train", "--recipe", str(path), "--out", out]) == expected
    said = capfd.readouterr().err
    assert message in said and said.count("\n") == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["wrong.toml"]


@pytest.mark.parametrize(
    ("out", "more", "code", "message"),
    [
        ("x", [], 2, 'wanted a file such as "x.safetensors"'),
        ("x.state", [], 2, 'wanted a file such as "x.state.safetensors"'),
        ("x.safetensors.index.json", [], 2, "`mapper calibrate` makes shards of it"),
        ("folder.safetensors", [], 6, "is a folder, wanted a file to write"),
        ("wrong.toml/x.safetensors", [], 6, "wrong.toml is a file"),
        ("x.safetensors", ["--workers", "0"], 2, "'--workers': 0 is not in the range x>=1"),
        ("x.safetensors", ["--variant", "tiny"], 5, "of variant micro, wanted tiny"),
    ],
)
def test_what_cannot_end_well_is_refused_before_any_chip_is_made(
    out: str,
    more: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    micro_checkpoint: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(f'variant = "micro"\nstart = "{micro_checkpoint}"')
    (tmp_path / "folder.safetensors").mkdir()
    before = sorted(tmp_path.rglob("*"))
    words = ["train", "--recipe", str(path), "--out", str(tmp_path / out), *more]
    assert command_line(words) == code
    said = capfd.readouterr().err
    assert message in said and said.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_training_does_not_replace_what_it_starts_from(
    tmp_path: Path, micro_checkpoint: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    own = shutil.copy(micro_checkpoint, tmp_path / "own.safetensors")
    words = ["train", "--variant", "micro", "--start", str(own)]
    words += ["--out", f"{tmp_path}/./own.safetensors"]
    assert command_line(words) == RequestError.exit_code
    assert "the weights to start from" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == [own]


def test_chips_of_another_training_are_not_taken_for_this_ones(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x.safetensors"
    words = ["train", "--simulated", "2", "--held-out", "1", "--variant", "micro"]
    words += ["--workers", "1", "--out", str(out)]
    folder = TrainingFiles(out).training
    save_chip(noise_chip(1, 64), folder, chip_name(1))
    assert command_line([*words, "--chip-size", "128"]) == 2
    assert "holds chips of 64 px, wanted 128 px; remove" in capfd.readouterr().err
    save_chip(noise_chip(2, 64), folder, chip_name(2))
    assert command_line([*words, "--chip-size", "64"]) == 2
    said = capfd.readouterr().err
    assert "holds 2 chips, 1 of them beyond the 2 that are wanted; remove" in said
    older = replace(noise_chip(1, 64), simulated=True, source="simulated by mapper, painting 1")
    save_chip(older, folder, chip_name(1))
    assert command_line([*words, "--simulated", "3", "--chip-size", "64"]) == 2
    assert 'another version ("simulated by mapper, painting 1"), wanted' in capfd.readouterr().err
    assert not TrainingFiles(out).held_out.exists() and len(list(folder.iterdir())) == 2


def test_a_training_begun_goes_on_with_whole_chips_of_an_earlier_painting(tmp_path: Path) -> None:
    older = replace(noise_chip(1, 64), simulated=True, source="simulated by mapper, painting 1")
    for seed in (1, 2):
        save_chip(older, tmp_path, chip_name(seed))
    names = [chip_name(1), chip_name(2)]
    require_same_chips(tmp_path, names, 64, begun=True)
    with pytest.raises(RequestError, match="another version"):
        require_same_chips(tmp_path, names, 64)
    with pytest.raises(RequestError, match="another version"):
        require_same_chips(tmp_path, [*names, chip_name(3)], 64, begun=True)


@pytest.mark.slow
def test_a_network_that_nobody_can_compile_is_refused_before_any_chip_is_made(
    tmp_path: Path,
) -> None:
    words = ["train", "--recipe", "r.toml", "--out", "x.safetensors", "--device", "cpu"]
    (tmp_path / "r.toml").write_text('compile = true\nvariant = "micro"\nsimulated = 1')
    without_one = {"CXX": "/nonexistent", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    found = subprocess.run(
        [sys.executable, "-m", "mapper.cli", *words],
        cwd=tmp_path,
        env={**environment(), **without_one},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert found.returncode == RequestError.exit_code
    assert "nothing can be compiled here" in found.stderr and "compile = false" in found.stderr
    assert not (tmp_path / "x.chips").exists()


def test_only_chips_that_are_missing_need_room(tmp_path: Path) -> None:
    out = tmp_path / "x.safetensors"
    fits = shutil.disk_usage(tmp_path).free // (CHIP_PIXEL_BYTES * 2048 * 2048)
    recipe = TrainingRecipe(simulated=fits + 20, chip_px=2048, variant="micro")
    with pytest.raises(OutputError, match="free some space"):
        training_files(out, recipe)
    folder = TrainingFiles(out).training
    folder.mkdir(parents=True)
    for seed in range(recipe.simulated):
        (folder / f"{chip_name(seed)}{SUFFIX}").touch()
    none_held_out = replace(recipe, held_out=0, validation=("chips",))
    assert training_files(out, none_held_out).training == folder


def test_the_state_needs_room_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=700_000_000))
    recipe = TrainingRecipe(simulated=0, held_out=0, chips=("c",), validation=("d",))
    out = tmp_path / "x.safetensors"
    assert training_files(out, recipe).weights == out
    with pytest.raises(OutputError, match=r"about 1,0\d\d MB"):
        training_files(out, replace(recipe, variant="base"))
    TrainingFiles(out).state.touch()
    assert training_files(out, replace(recipe, variant="base")).weights == out


def test_two_trainings_do_not_share_their_files(
    recipe: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = TrainingFiles(tmp_path / "x.safetensors")
    with only_training(files):
        assert command_line(command(recipe, files.weights)[2:]) == 6
    said = capfd.readouterr().err
    assert f"another training (process {os.getpid()}) is writing {files.report}" in said


def test_a_misspelt_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("[augmentaton]\nhaze = 0.5\n")
    with pytest.raises(RequestError, match=r"augmentaton; did you mean augmentation\?"):
        training_recipe(path, {})


def test_nothing_is_simulated_besides_chips_unless_asked_for() -> None:
    own = training_recipe(None, {"chips": ("mine",), "validation_share": 0.1})
    assert (own.simulated, own.held_out) == (0, 0)
    both = training_recipe(None, {"chips": ("mine",), "simulated": 7, "validation_share": 0.1})
    assert (both.simulated, both.held_out) == (7, 0)
    assert training_recipe(None, {}).simulated == 400
    with pytest.raises(RequestError, match="nothing to be tried on"):
        training_recipe(None, {"chips": ("mine",)})


def test_an_old_checkpoint_is_calibrated_by_itself(
    tmp_path: Path, micro_checkpoint: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    chips, out = folder_of(tmp_path / "chips", range(2)), tmp_path / "new.safetensors"
    words = ["calibrate", "--checkpoint", micro_checkpoint, "--on", chips, "--device", "cpu"]
    given = [str(word) for word in (*words, "--out", out)]
    assert command_line(given) == 0
    old, new = load(micro_checkpoint), load(out)
    assert old.temperature == 1 and new.temperature != 1 and new.digest != old.digest
    assert new.facts["temperature"].startswith(f"{new.temperature:g}, fitted on 2 chips of chips")
    assert f"1 before, {new.temperature:g} now" in capfd.readouterr().out
    assert all(torch.equal(new.weights[name], one) for name, one in old.weights.items())
    assert out.stat().st_size > 0.99 * micro_checkpoint.stat().st_size, "stored as it was"
    assert command_line([*given[:-1], str(tmp_path)]) == 6
    assert "is a folder, wanted a file to write" in capfd.readouterr().err
    assert command_line([*given[:-1], str(tmp_path / "new.index.json")]) == 2
    assert "wanted a file such as new.index.safetensors, or for shards" in capfd.readouterr().err
    shards = tmp_path / "folder" / "new.safetensors.index.json"
    assert command_line([*given[:-1], str(shards)]) == 0
    assert load(shards).temperature == new.temperature
    capfd.readouterr()
    assert command_line([*given, "--precision", "half"]) == 2
    assert 'precision "half" is unknown; give one of fp32' in capfd.readouterr().err
    other = replace(old, legend=(*old.legend[1:], old.legend[0]), digest="")
    save(other, tmp_path / "other.safetensors")
    given[2] = str(tmp_path / "other.safetensors")
    assert command_line(given) == 5
    assert "the checkpoint's class 0 is trees, wanted water" in capfd.readouterr().err


def test_chips_larger_than_a_window_calibrate_nothing(
    tmp_path: Path, micro_checkpoint: Path
) -> None:
    network = replace(load(micro_checkpoint), window=32)
    with pytest.raises(RequestError, match=r"has chips of 64 px, wanted at most 32 px"):
        chips_for(network, folder_of(tmp_path, range(1)))


def test_a_network_of_other_bands_is_not_trained_further(
    tmp_path: Path, micro_checkpoint: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    old = load(micro_checkpoint)
    save(
        replace(old, radar_bands=old.radar_bands[::-1], digest=""), tmp_path / "turned.safetensors"
    )
    words = ["train", "--simulated", "1", "--variant", "micro", "--device", "cpu"]
    words += ["--start", tmp_path / "turned.safetensors", "--out", tmp_path / "new.safetensors"]
    assert command_line([str(word) for word in words]) == 5
    assert "the checkpoint's radar band 0 is VH, wanted VV" in capfd.readouterr().err
    assert not (tmp_path / "new.chips").exists(), "refused before the first chip is made"


def test_chips_of_dynamic_world_make_a_network_for_the_windows_of_a_map(tmp_path: Path) -> None:
    """Its tiles have 510 px; a network that was trained with 510 px would be refused by a run."""
    learned = folder_of(tmp_path / "a", range(1), side=496)
    save_chip(cut(noise_chip(7, 512), 510), learned, "of-510")
    lesson = lesson_of(learned, folder_of(tmp_path / "b", range(1, 2)), memory_bytes=0)
    assert lesson.window_px == 512
    seen = lesson.training.take(torch.tensor([1])).label[0] != NODATA
    assert int(seen.sum()) == 510 * 510


def cut(chip: Chip, side: int) -> Chip:
    return replace(
        chip,
        optical=chip.optical[:, :side, :side],
        radar=chip.radar[:, :side, :side],
        label=chip.label[:side, :side],
    )


def test_chips_without_labels_or_with_unknown_ones_are_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    good, blank, strange = tmp_path / "good", tmp_path / "blank", tmp_path / "strange"
    folder_of(good, range(2))
    for seed in (3, 4):
        chip = noise_chip(seed)
        save_chip(replace(chip, label=np.full_like(chip.label, NODATA)), blank, f"{seed}")
    label = noise_chip(5).label
    label[3, 4] = 17
    save_chip(noise_chip(5), strange, "chip")
    rewritten(strange / "chip.chip.npz", label)
    for learned, tried, message in (
        (good, blank, "no pixel of the 2 chips to be tried on is labelled"),
        (blank, good, "no pixel of the 2 chips to learn from is labelled"),
        (good, strange, "label 17 is no class, wanted 0..8 or 255"),
    ):
        words = ["train", "--chips", learned, "--validation", tried, "--variant", "micro"]
        words += ["--out", tmp_path / "x.safetensors"]
        assert command_line([str(word) for word in words]) == 2
        said = capfd.readouterr().err
        assert message in said and said.count("\n") == 1
    with pytest.raises(RequestError, match="label 17"):
        load_chip(strange / "chip.chip.npz")


def rewritten(path: Path, label: npt.NDArray[np.uint8]) -> None:
    """Another label in the file of a chip, which mapper itself would not write."""
    with np.load(path) as arrays:
        held = dict(arrays)
    with path.open("wb") as file:
        np.savez(file, **{**held, "label": label})


def test_a_temperature_at_the_limit_is_called_so(tmp_path: Path, micro_checkpoint: Path) -> None:
    old = load(micro_checkpoint)
    flat = {
        name: t * 1e-9 if name.startswith("head.pred") else t for name, t in old.weights.items()
    }
    chips = chips_for(old, folder_of(tmp_path / "chips", range(1)))
    found = calibrated(replace(old, weights=flat), chips, "of noise")
    assert found.temperature in TEMPERATURE_LIMITS and "the limit" in found.facts["temperature"]


@pytest.mark.slow
def test_weights_are_trained_further_with_other_dropped_paths(
    tmp_path: Path, micro_checkpoint: Path
) -> None:
    path, out = tmp_path / "r.toml", tmp_path / "further.safetensors"
    painted = replace(load(micro_checkpoint), facts={"simulated": "yes", "source": "paint; oil"})
    save(painted, tmp_path / "start.safetensors")
    folder_of(tmp_path / "chips", range(8))
    save_chip(replace(noise_chip(9), source="survey; oil"), tmp_path / "chips", "nine")
    path.write_text('drop_path = 0.2\nvalidation_share = 0.4\nvariant = "micro"\nsteps = 2')
    words = ["train", "--recipe", path, "--chips", tmp_path / "chips", "--batch", 2]
    words += ["--start", tmp_path / "start.safetensors", "--device", "cpu", "--out", out]
    assert command_line([str(word) for word in words]) == 0
    made = load(out)
    assert made.variant.drop_path == 0.2
    assert made.facts["simulated"] == "in part"
    assert made.facts["source"] == f"paint; oil; {noise_chip(0).source}; survey; oil"
    assert made.normalisation == load(micro_checkpoint).normalisation


@pytest.mark.slow
def test_weights_of_painted_and_real_ground_say_so(tmp_path: Path) -> None:
    folder_of(tmp_path / "chips", range(3))
    painted = replace(noise_chip(9), simulated=True, source="paint")
    save_chip(painted, tmp_path / "chips", "simulated-9")
    folder_of(tmp_path / "others", range(5, 6))
    recipe = TrainingRecipe(variant="micro", steps=1, batch=1, held_out=1)
    lesson = lesson_of(tmp_path / "chips", tmp_path / "others")
    made = learn(lesson, recipe.settings("cpu"), recipe.variant)
    assert made.facts["simulated"] == "in part"
    assert "4 chips of 64 px (1 simulated, simulated-9 to simulated-9)" in made.facts["training 1"]
    assert made.facts["source"] == "noise; paint"
