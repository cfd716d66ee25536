"""A run repeated from its frozen scene list, and no secret of the archive in anything it leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mapper.cli import command_line
from mapper.imagery.scene_list import SCENES_NAME, read_scene_list
from mapper.production.journal import read_journal

SECRETS = ("TOPSECRET", "X-Amz-Signature", "sig=", "me:pass")
SERVER = Path(__file__).parents[1] / "imagery" / "range_server.py"


@pytest.fixture
def signed_archive(small_archive: Path, tmp_path: Path) -> Iterator[Path]:
    """The small archive behind a file server, with signatures of several houses in its hrefs."""
    queries = (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=TOPSECRET",
        "st=1&se=2&sp=rl&sr=c&sv=3&sig=TOPSECRET",
        "token=TOPSECRET",
    )
    command = [sys.executable, str(SERVER), str(small_archive.parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        host = f"127.0.0.1:{int(server.stdout.readline())}"
        items = json.loads(small_archive.read_text())
        for number, item in enumerate(items["features"]):
            for asset in item["assets"].values():
                query = queries[number % len(queries)]
                asset["href"] = f"http://me:pass@{host}/{asset['href']}?{query}"
        index = tmp_path / "signed" / "items.json"
        index.parent.mkdir()
        index.write_text(json.dumps(items))
        yield index
        server.terminate()


@pytest.mark.slow
def test_a_run_is_repeated_without_its_archive_and_leaves_no_secret(
    signed_archive: Path,
    small_aoi: Path,
    small_period: str,
    micro_checkpoint: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "maps"
    common = [
        *("--aoi", str(small_aoi), "--checkpoint", str(micro_checkpoint)),
        *("--precision", "fp32", "--tile-size", "512", "--workers", "1", "--out", str(out)),
    ]
    searched = ["--archive", str(signed_archive), "--period", small_period, "--radar-looks", "1"]
    assert command_line(["run", *common, *searched, "--debug"]) == 0, capfd.readouterr().err
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    frozen = folder / SCENES_NAME
    first = frozen.read_bytes()
    rasters = {path: path.read_bytes() for path in sorted(folder.rglob("*.tif"))}

    signed_archive.rename(signed_archive.with_name("gone.json"))
    assert command_line(["plan", *common, *searched]) == 3, "it cannot be searched any more"
    told = capfd.readouterr()
    again = ["run", *common, "--scenes", str(frozen), "--debug"]
    assert command_line(again) == 0, capfd.readouterr().err
    lines = list(read_journal(folder / "journal.jsonl"))
    latest = max(number for number, line in enumerate(lines) if line["event"] == "run started")
    assert [line["event"] for line in lines[latest:]].count("tile kept") == 4
    assert not any(line["event"] == "tile done" for line in lines[latest:])
    assert frozen.read_bytes() == first
    assert {path: path.read_bytes() for path in sorted(folder.rglob("*.tif"))} == rasters
    assert read_scene_list(frozen).choice.radar_looks == 1

    assert command_line([*again[:-1], "--looks", "2"]) == 2
    refused = capfd.readouterr()
    assert "optical_looks is 2, but the scenes were chosen with 4" in refused.err
    assert command_line([*again[:-1], "--period", "2024-07"]) == 2

    spoken = told.out + told.err + refused.out + refused.err + capfd.readouterr().err
    written = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert frozen in written
    table = "\n".join(str(row) for row in pq.read_table(frozen).to_pylist())
    for secret in SECRETS:
        assert secret not in spoken
        assert secret not in table
        assert not [path for path, content in written.items() if secret.encode() in content]
