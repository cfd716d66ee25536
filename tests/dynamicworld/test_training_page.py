"""The program in docs/training.md makes a chip that a training takes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from mapper.dynamicworld.chips import chip_paths, load_chip

ROOT = Path(__file__).parents[2]


def test_the_program_of_the_page_writes_a_chip(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path, env=environment)
    (path,) = chip_paths(tmp_path / "mine")
    chip = load_chip(path)
    assert chip.optical.shape == (10, 512, 512) and not chip.simulated and chip.lon == 9.53
