"""What every test of imagery may use."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_archive import SmallArchive


@pytest.fixture
def small_archive(tmp_path: Path) -> SmallArchive:
    """An empty archive in a folder of its own."""
    return SmallArchive(tmp_path)
