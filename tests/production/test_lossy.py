"""Tiles without scenes that cannot be read: made, told, kept, and made again when asked."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mapper.production.journal import read_journal


class Maps:
    """A small request whose archive can be spoilt and mended."""

    def __init__(self, folder: Path, archive: Path, options: list[str]) -> None:
        self.whole, self.archive, self.out = archive.parent, folder / "archive", folder / "maps"
        self.cut: list[Path] = []
        shutil.copytree(self.whole, self.archive)
        self.options = [*options, "--archive", str(self.archive / archive.name)]

    def run(self, *options: str) -> tuple[int, str]:
        """Exit code, and what was said on both channels."""
        mapper = str(Path(sys.executable).with_name("mapper"))
        done = subprocess.run(
            [mapper, "run", *self.options, *options, "--out", str(self.out)],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def spoil(self, scene: str, asset: str) -> str:
        """Cut an asset of the first scene with such a name; gives the scene's id."""
        path = sorted(self.archive.rglob(f"*{scene}*/*{asset}.tif"))[0]
        path.write_bytes(path.read_bytes()[:300])
        self.cut.append(path)
        return path.parent.name

    def mend(self) -> None:
        """Put the assets back."""
        for path in self.cut:
            shutil.copy2(self.whole / path.relative_to(self.archive), path)

    @property
    def folder(self) -> Path:
        (found,) = self.out.iterdir()
        return found

    def events(self, *names: str) -> list[dict[str, Any]]:
        lines = read_journal(self.folder / "journal.jsonl")
        return [dict(line) for line in lines if line["event"] in names]

    def properties(self, item: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / item).read_text())["properties"]
        return found

    def digest(self, name: str) -> str:
        return hashlib.sha256((self.folder / name).read_bytes()).hexdigest()


@pytest.fixture
def maps(
    tmp_path: Path,
    small_archive: Path,
    small_aoi: Path,
    small_period: str,
    micro_checkpoint: Path,
) -> Maps:
    options = ["--aoi", str(small_aoi), "--period", small_period, "--max-cloud", "90"]
    options += ["--checkpoint", str(micro_checkpoint), "--tile-size", "1024", "--workers", "1"]
    return Maps(tmp_path, small_archive, options)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_lossy_tile_is_made_told_kept_and_mended(maps: Maps) -> None:
    lost = {maps.spoil("20240724", "B04"): "B04", maps.spoil("S1", "vv"): "VV"}
    code, said = maps.run()
    assert code == 8, said
    assert "--retry-lossy" in said.splitlines()[-1]
    assert "1 lack scenes that could not be read, 1 of them are degraded" in said
    failed = maps.events("read failed")
    assert {read["scene"]: read["asset"] for read in failed} == lost
    assert all(read["reason"] for read in failed)
    tile = failed[0]["tile"]
    (done,) = maps.events("tile done")
    assert (done["tile"], done["losses"], done["degraded"]) == (tile, 2, True)
    (ended,) = maps.events("run ended")
    assert (ended["done"], ended["lossy"], ended["degraded"]) == (1, 1, 1)
    told = [{key: read[key] for key in ("scene", "asset", "reason")} for read in failed]
    for item, where in ((f"tiles/1024/{tile}/item.json", {}), ("item.json", {"tile": tile})):
        properties = maps.properties(item)
        assert properties["mapper:failed_reads"] == [where | read for read in told]
        assert properties["mapper:degraded"] is True
        assert not lost.keys() & set(properties["mapper:scenes"])
        assert any("left out" in note for note in properties["mapper:notes"])
    assert maps.properties("item.json")["mapper:degraded_tiles"] == [tile]

    poorer = maps.digest("observations.tif")
    code, said = maps.run()
    assert code == 8, said
    (kept,) = maps.events("tile kept")
    assert (kept["lossy"], kept["degraded"]) == (True, True)
    assert maps.digest("observations.tif") == poorer

    maps.mend()
    code, said = maps.run()
    assert code == 0, said
    assert maps.digest("observations.tif") != poorer
    assert maps.properties("item.json")["mapper:failed_reads"] == []
    assert maps.properties("item.json")["mapper:degraded"] is False
