"""What a window needs is compiled when a predictor is made, not while windows wait for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from mapper.imagery.composite import blank
from mapper.inference import pixelwise
from mapper.inference.predict import Predictor
from mapper.land.grid import Region, Zone
from mapper.lulcformer import cpu, cpu_attention, cpu_stream
from mapper.lulcformer.checkpoint import load

kernels = {
    "between": cpu.between,
    "classify_rows": cpu.classify_rows,
    "powers_of_two": cpu_attention.powers_of_two,
    "add_and_norm": cpu_stream.add_and_norm,
    "weigh": pixelwise.weigh,
    "most_likely": pixelwise._most_likely,
}
predictor = Predictor(load(Path(sys.argv[1])), "cpu", sys.argv[2])
before = {name: len(kernel.signatures) for name, kernel in kernels.items()}
assert before["classify_rows"] and before["weigh"] and before["most_likely"], before
window = blank(Region(Zone(32, False), 0, 0, 512, 512))
window.optical[:] = np.random.default_rng(0).integers(1, 5000, window.optical.shape)
predictor.predict_alone(window)
assert before == {name: len(kernel.signatures) for name, kernel in kernels.items()}, before
predictor.close()
"""


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_first_window_compiles_nothing(micro_checkpoint: Path, precision: str) -> None:
    """In a process of its own: others have compiled what they needed."""
    words = [sys.executable, "-c", SCRIPT, str(micro_checkpoint), precision]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
