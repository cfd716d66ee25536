"""Every command that a page shows is one that the program understands."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from mapper.cli.entry import mapper

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/*.md", "mapper/lulcformer/weights/README.md", "workflows/*.toml")
BENCH = ROOT / "tests" / "bench"


def shown_commands() -> Iterator[tuple[str, str]]:
    """Pages and the commands in them: lines of code that begin with the program's name."""
    for path in (path for pattern in PAGES for path in sorted(ROOT.glob(pattern))):
        text = path.read_text(encoding="utf-8")
        code = [text] if path.suffix == ".toml" else re.findall(r"```\n(.*?)```", text, re.DOTALL)
        code += re.findall(r"(?:^    .*\n)+", text, re.MULTILINE)
        lines = "\n".join(code).replace("\\\n", " ")
        for found in re.findall(r"^[ #]*(mapper [a-z].*)$", lines, re.MULTILINE):
            yield path.name, found


@pytest.mark.parametrize(("page", "line"), sorted(set(shown_commands())))
def test_the_program_understands_what_its_pages_show(page: str, line: str) -> None:
    arguments = shlex.split(line, comments=True)[1:]
    parent = click.Context(mapper, info_name="mapper")
    name, command, rest = mapper.resolve_command(parent, arguments)
    assert name and command, page
    while isinstance(command, click.Group) and rest and rest[0] in command.commands:
        parent = command.make_context(name, [], parent, resilient_parsing=True)
        name, command, rest = command.resolve_command(parent, rest)
        assert name and command, page
    command.make_context(name, rest, parent)


def test_pages_show_commands() -> None:
    assert len({line.split()[1] for _, line in shown_commands()}) >= 5


@pytest.mark.parametrize("script", sorted(path.name for path in BENCH.glob("bench_*.py")))
def test_benchmarks_say_how_they_are_run(
    script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    monkeypatch.syspath_prepend(str(BENCH))
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(BENCH / script), run_name="__main__")
    assert "--json" in capsys.readouterr().out
