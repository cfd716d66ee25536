"""Compiled code does not outlive its source."""

from __future__ import annotations

import os
from pathlib import Path

from mapper.compiled import drop_stale


def test_code_compiled_before_the_newest_source_goes(tmp_path: Path) -> None:
    cache = tmp_path / "__pycache__"
    cache.mkdir()
    for name, time in (("a.py", 100), ("b.py", 200)):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (time, time))
    for name, time in (("old.nbi", 150), ("old.nbc", 150), ("new.nbi", 250), ("old.pyc", 150)):
        (cache / name).write_text("")
        os.utime(cache / name, (time, time))
    assert drop_stale(tmp_path) == 2
    assert sorted(path.name for path in cache.iterdir()) == ["new.nbi", "old.pyc"]
    assert drop_stale(tmp_path / "nowhere") == 0
