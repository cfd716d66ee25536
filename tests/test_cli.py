"""Claims about the commands: each has help and an example, and says what it says in JSON too."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import click
import pytest

from mapper.cli import command_line, mapper
from mapper.config import settings
from mapper.lulcformer import checkpoint
from mapper.production.recipe import Recipe

COMMANDS = ("run", "plan", "countries", "archives", "simulate", "train", "evaluate", "calibrate")
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def says(capfd: pytest.CaptureFixture[str]) -> object:
    """Run a command that must succeed; gives what it writes to stdout."""

    def run(*arguments: object) -> str:
        code = command_line([str(argument) for argument in arguments])
        written = capfd.readouterr()
        assert code == 0, written.err
        return written.out

    return run


def test_there_are_these_commands() -> None:
    assert set(mapper.list_commands(click.Context(mapper))) == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_an_example_that_parses(command: str, says) -> None:  # type: ignore[no-untyped-def]
    text = says(command, "--help")
    examples = [line.split() for line in text.splitlines() if line.startswith("    mapper ")]
    assert examples
    for _, name, *arguments in examples:
        assert name == command
        mapper.commands[command].make_context(command, arguments)


def test_checking_an_archive_has_help_and_examples_that_parse(says) -> None:  # type: ignore[no-untyped-def]
    text = says("archives", "check", "--help")
    examples = [line.split() for line in text.splitlines() if line.startswith("    mapper ")]
    assert len(examples) == 2
    check = mapper.commands["archives"].commands["check"]  # type: ignore[attr-defined]
    for _, _, name, *arguments in examples:
        check.make_context(name, arguments)


def test_archives_say_the_same_to_people_and_programs(says) -> None:  # type: ignore[no-untyped-def]
    facts = json.loads(says("archives", "--json"))
    text = says("archives")
    assert [archive["name"] for archive in facts["known"]] == [
        *("planetary-computer", "earth-search", "cdse")
    ]
    for archive in facts["known"]:
        assert archive["root"] in text
        for note in archive["notes"]:
            assert note in text
    for other in facts["others"]:
        assert other["title"] in text


def test_a_checked_archive_says_what_can_be_used(  # type: ignore[no-untyped-def]
    says, small_archive: Path
) -> None:
    facts = json.loads(says("archives", "check", small_archive, "--json"))
    assert facts["usable"]
    assert {name: found["usable"] for name, found in facts["sensors"].items()} == {
        "sentinel-2": True,
        "sentinel-1": True,
    }
    text = says("archives", "check", small_archive)
    for found in facts["sensors"].values():
        for finding in found["findings"]:
            assert finding in text
    assert "B02 of" in text
    assert "10980 x 10980 uint16" in text, "a header was opened"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_says_what_it_is(command: str) -> None:
    for option in mapper.commands[command].params:
        assert isinstance(option, click.Option)
        assert option.help or option.show_default, option.name


def test_help_does_not_wait_for_torch(says) -> None:  # type: ignore[no-untyped-def]
    import subprocess
    import sys

    code = (
        "import sys, mapper.cli; sys.exit('torch' in sys.modules or 'distributed' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_countries_are_listed_with_code_area_and_name(says) -> None:  # type: ignore[no-untyped-def]
    rows = json.loads(says("countries", "--json"))
    assert len(rows) == 250
    lines = says("countries").splitlines()
    assert len(lines) == 250
    assert any(line.startswith("LIE  LI") and line.endswith("Liechtenstein") for line in lines)


def test_a_plan_says_the_same_to_people_and_programs(  # type: ignore[no-untyped-def]
    says,
    small_aoi: Path,
    small_archive: Path,
    small_period: str,
    micro_checkpoint: Path,
    tmp_path: Path,
) -> None:
    request = [
        *("plan", "--aoi", small_aoi, "--archive", small_archive, "--period", small_period),
        *("--checkpoint", micro_checkpoint, "--tile-size", 512, "--out", tmp_path / "maps"),
    ]
    facts = json.loads(says(*request, "--json"))
    text = says(*request)
    assert len(facts["tiles"]) == 4
    assert f"windows   {facts['windows']}" in text
    for tile in facts["tiles"]:
        assert tile["name"] in text
    assert [drop["reason"] for drop in facts["scenes"]["dropped"]] == [
        "78 % of it is cloudy, more than 60 %"
    ]
    assert not (tmp_path / "maps").exists(), "a plan writes nothing"


def test_a_plan_reads_no_pixel_and_tells_why(  # type: ignore[no-untyped-def]
    says,
    small_aoi: Path,
    small_archive: Path,
    small_period: str,
    micro_checkpoint: Path,
    tmp_path: Path,
) -> None:
    """No file of the archive is there: a plan does not miss them."""
    index = tmp_path / "items.json"
    index.write_text(small_archive.read_text())
    request = [
        *("plan", "--aoi", small_aoi, "--archive", index, "--period", small_period),
        *("--checkpoint", micro_checkpoint, "--tile-size", 512, "--out", tmp_path / "maps"),
    ]
    tiles = [tile["name"] for tile in json.loads(says(*request, "--json"))["tiles"]]
    both = ["--why", tiles[0], "--why", tiles[1]]
    one, other = json.loads(says(*request, *both, "--json"))
    assert (one["tile"], other["tile"]) == (tiles[0], tiles[1])
    assert one["scenes"] == other["scenes"], "both see the same scenes, and are told the same"
    assert [scene["rule"] for scene in one["scenes"] if not scene["kept"]] == ["cloud"]
    text = says(*request, *both)
    for scene in one["scenes"]:
        assert text.count(f" {scene['id']} ") == 2
        assert scene["reason"] in text


def test_the_example_recipe_is_whole_and_canonical_text_reads_back(tmp_path: Path) -> None:
    path = ROOT / "workflows" / "summer.toml"
    recipe, _ = settings(path, {}, {})
    said = {key for key in tomllib.loads(path.read_text()) if key != "resources"}
    assert said <= set(recipe.to_dict())
    again = tmp_path / "recipe.toml"
    again.write_text(recipe.to_toml())
    assert settings(again, {}, {})[0] == recipe
    assert isinstance(recipe, Recipe)


@pytest.mark.slow
def test_training_ends_in_a_checkpoint_that_says_what_it_learned_from(  # type: ignore[no-untyped-def]
    says, tmp_path: Path
) -> None:
    out = tmp_path / "micro.safetensors"
    said = says(
        *("train", "--simulated", 2, "--held-out", 1, "--chip-size", 128, "--variant", "micro"),
        *("--steps", 2, "--batch", 1, "--workers", 1, "--device", "cpu", "--out", out),
    )
    made = checkpoint.load(out)
    assert (made.variant_name, made.window) == ("micro", 128)
    assert made.facts["simulated"] == "yes"
    assert "validation overall accuracy, both: 0." in said
