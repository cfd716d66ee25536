"""Claims about how a run's tiles are counted and told."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from mapper.errors import OutputError
from mapper.imagery.losses import NO_LOSSES, FailedRead, Losses
from mapper.imagery.period import Period
from mapper.land.grid import Tile, Zone
from mapper.maps.publish import DONE_NAME, Standing
from mapper.maps.stac import Facts
from mapper.production.events import TileDone, TileFailed, TileKept
from mapper.production.job import TileJob
from mapper.production.journal import Journal
from mapper.production.mask import PackedMask
from mapper.production.progress import PlainLines, sentence
from mapper.production.run import record
from mapper.production.tally import Tally

GONE = FailedRead("S2A", "B04", "HTTP 404, it is not there")


def done(tile: str, losses: Losses = NO_LOSSES) -> TileDone:
    return TileDone(tile, f"key of {tile}", 1.0, 0.5, 4, 1000, {}, losses)


def followed(*events: TileDone | TileFailed) -> Tally:
    def come() -> Iterator[TileDone | TileFailed]:
        yield from events

    tally = Tally()
    tally.follow(come(), lambda _: None)  # type: ignore[arg-type]
    return tally


def test_every_tile_counts_once() -> None:
    losses = Losses((GONE,), degraded=True)
    tally = followed(done("a"), done("b", losses), done("c", Losses((GONE,))), TileFailed("d", "x"))
    ended = tally.ended(kept=1, seconds=2.04)
    assert (ended.done, ended.kept, ended.failed) == (2, 1, 1)
    assert (ended.lossy, ended.degraded, ended.seconds) == (2, 1, 2.0)
    assert tally.degraded == ["b"]
    assert "1 of 4 tiles have no map: d (x)" in tally.complaint()
    assert "2 lack scenes that could not be read, 1 of them are degraded" in sentence(ended)


def test_a_long_list_of_tiles_is_cut() -> None:
    losses = Losses((GONE,), degraded=True)
    tally = followed(*(done(f"t{number}", losses) for number in range(8)))
    assert "8 of 8 tiles are degraded: t0, t1, t2, t3, t4 and 3 more" in tally.warning()
    assert "--retry-lossy" in tally.warning()


def test_a_run_without_losses_says_nothing_of_them() -> None:
    ended = followed(done("a")).ended(kept=0, seconds=1)
    assert sentence(ended) == "1 tiles made, 0 kept, 0 failed"
    assert sentence(done("a")).endswith("windows)")
    assert sentence(TileKept("a")) == "tile a is there already"


def test_what_concerns_all_ends_the_run() -> None:
    with pytest.raises(OutputError, match="full; then run the same command again"):
        followed(TileFailed("a", "the disk is full", concerns_all=True), done("b"))


def jobs_in(folder: Path, *markers: dict[str, object]) -> list[TileJob]:
    """Work orders of neighbouring tiles, planned under one key, with what their folders hold."""
    facts = Facts(
        collection="c",
        title="t",
        period=Period.parse("2024-06"),
        recipe={},
        software={"version": "1"},
        checkpoint={"digest": "d"},
        precision="fp32",
        simulated=True,
    )
    jobs = []
    for column, marker in enumerate(markers):
        tile = Tile(Zone(32, False), column, 400, 512)
        place = folder / tile.name
        place.mkdir()
        (place / DONE_NAME).write_text(json.dumps({"files": {}, **marker}))
        area = PackedMask.pack(np.ones((512, 512), np.bool_))
        jobs.append(TileJob(tile, (), area, 2, False, 1, place, "planned", facts, ()))
    return jobs


def test_lossy_tiles_are_kept_unless_they_are_to_be_made_again(tmp_path: Path) -> None:
    lossy = {"key": "other", "instead_of": "planned", "degraded": True}
    jobs = jobs_in(tmp_path, {"key": "planned"}, lossy, {"key": "stale"})
    whole, poor, stale = (job.name for job in jobs)
    kept = Tally.of(jobs, retry_lossy=False)
    assert kept.there == {
        whole: Standing("planned", lossy=False, degraded=False),
        poor: Standing("other", lossy=True, degraded=True),
    }
    assert kept.keys(jobs) == {whole: "planned", poor: "other", stale: "planned"}
    again = Tally.of(jobs, retry_lossy=True)
    assert list(again.there) == [whole]
    assert set(again.keys(jobs).values()) == {"planned"}


def test_the_journal_has_a_line_for_each_lost_scene(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        record(done("a", Losses((GONE,), degraded=True)), journal)
        record(TileFailed("b", "why", failed_reads=(GONE, GONE)), journal)
        record(TileKept("c", lossy=True), journal)
        lines = journal.lines()
    assert [line["event"] for line in lines] == [
        *("read failed", "tile done"),
        *("read failed", "read failed", "tile failed"),
        "tile kept",
    ]
    assert {key: lines[0][key] for key in ("tile", "scene", "asset", "reason")} == {
        "tile": "a",
        **dataclasses.asdict(GONE),
    }
    assert (lines[1]["losses"], lines[1]["degraded"]) == (1, True)
    assert lines[4]["failed_reads"] == 2
    assert (lines[5]["lossy"], lines[5]["degraded"]) == (True, False)


def test_a_lossy_tile_is_told_where_a_log_is_kept() -> None:
    said = io.StringIO()
    PlainLines(Console(width=200, file=said))(done("a", Losses((GONE,), degraded=True)))
    assert "DEGRADED, without S2A: B04, HTTP 404, it is not there" in said.getvalue()
