"""The real servers, for the tests that need them; those are skipped where a package is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import planetary_computer.sas
import pytest
from planetary_computer.settings import Settings
from stac_stack import MissingError, StacStack, find_programs, stac_stack

from mapper.imagery.patience import PATIENCE, settle


@pytest.fixture(scope="session")
def servers(small_archive: Path) -> Iterator[StacStack]:
    """PostgreSQL, pgstac, nginx and the fault proxy, with the small archive in them."""
    try:
        programs = find_programs()
    except MissingError as missing:
        pytest.skip(f"the real servers cannot be started: {missing}")
    with stac_stack(small_archive.parent, programs) as running:
        yield running


@pytest.fixture
def described(servers: StacStack, tmp_path: Path) -> Path:
    """The archive as a user describes it, in TOML; every test begins without faults."""
    servers.spoil()
    path = tmp_path / "archive.toml"
    path.write_text(
        f'root = "{servers.api}"\nlike = "planetary-computer"\nsigning = "planetary-computer"\n'
    )
    return path


@pytest.fixture
def client(servers: StacStack, monkeypatch: pytest.MonkeyPatch) -> Iterator[StacStack]:
    """This process as a client: it knows the way to the pixels, and has no token yet."""
    for name, text in servers.environment.items():
        monkeypatch.setenv(name, text)
    Settings.get.cache_clear()
    planetary_computer.sas.TOKEN_CACHE.clear()
    yield servers
    settle(PATIENCE)
    Settings.get.cache_clear()
    planetary_computer.sas.TOKEN_CACHE.clear()
