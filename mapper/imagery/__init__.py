"""What the satellites saw: archives, scenes, pixels, composites."""

from pathlib import Path

from mapper.compiled import drop_stale

COMPILED = (
    "blocks.py",
    "composite.py",
    "digits.py",
    "fused.py",
    "planes.py",
    "radar.py",
    "resample.py",
)
"""Files with compiled functions; these call nothing and use no constant of any other file."""

drop_stale(Path(__file__).parent, COMPILED)
