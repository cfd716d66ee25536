"""A training through its command: recipes, curves and report, kills and company change nothing."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from made_chips import folder_of

from mapper.cli import command_line
from mapper.cli.training_recipe import training_recipe
from mapper.dynamicworld.recipe import TrainingRecipe
from mapper.errors import RequestError
from mapper.lulcformer.checkpoint import load
from mapper.production.stopping import SIGNALS

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 240


@pytest.fixture(autouse=True)
def signals_as_before() -> object:
    kept = (*SIGNALS, signal.SIGALRM)
    before = {signum: signal.getsignal(signum) for signum in kept}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


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
    curves = [path.with_suffix(".report") / "curves.csv" for path in (out, in_one_go)]
    assert [row[0] for row in csv.reader(curves[0].open())] == [
        row[0] for row in csv.reader(curves[1].open())
    ]


@pytest.mark.slow
def test_two_processes_make_the_weights_that_one_makes(recipe: Path, in_one_go: Path) -> None:
    out = recipe.parent / "pair.safetensors"
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    run += command(recipe, out)
    subprocess.run(run, check=True, env=environment(), timeout=PATIENCE_S, capture_output=True)
    alone, together = load(in_one_go), load(out)
    for name, tensor in alone.weights.items():
        assert (together.weights[name] - tensor).abs().max() <= 1e-3 * (1 + tensor.abs().max())
    assert together.temperature == pytest.approx(alone.temperature, rel=0.01)


@pytest.mark.parametrize("name", ["train-tiny.toml", "train-dynamic-world.toml"])
def test_the_recipes_that_come_along_are_understood(name: str) -> None:
    recipe = training_recipe(ROOT / "workflows" / name, {"steps": 7})
    assert recipe.steps == 7 and recipe.settings("cpu").steps == 7


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
        ("simulated = -1", "wanted 0 or more"),
    ],
)
def test_a_wrong_recipe_is_refused_before_any_chip_is_made(
    text: str, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    assert command_line(["train", "--recipe", str(path), "--out", str(tmp_path / "x")]) == 2
    said = capfd.readouterr().err
    assert message in said and said.count("\n") == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["wrong.toml"]
    with pytest.raises(RequestError):
        training_recipe(path, {})


def test_an_old_checkpoint_is_calibrated_by_itself(
    tmp_path: Path, micro_checkpoint: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    chips, out = folder_of(tmp_path / "chips", range(2)), tmp_path / "new.safetensors"
    words = ["calibrate", "--checkpoint", micro_checkpoint, "--on", chips, "--device", "cpu"]
    given = [str(word) for word in (*words, "--out", out)]
    assert command_line(given) == 0
    old, new = load(micro_checkpoint), load(out)
    assert old.temperature == 1 and new.temperature != 1 and new.digest != old.digest
    assert new.facts["temperature"].startswith(f"{new.temperature:g}, fitted on 2 chips")
    assert f"1 before, {new.temperature:g} now" in capfd.readouterr().out
    assert command_line([*given, "--precision", "half"]) == 2
    assert 'precision "half" is unknown; give one of fp32' in capfd.readouterr().err
