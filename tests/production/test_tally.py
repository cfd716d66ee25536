"""Claims about how a run's tiles are counted and told."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from mapper.errors import OutputError
from mapper.imagery.losses import NO_LOSSES, FailedRead, Losses
from mapper.maps.publish import DONE_NAME, Standing
from mapper.production.events import TileDone, TileFailed, TileKept
from mapper.production.job import TileJob
from mapper.production.journal import Journal
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


@dataclasses.dataclass(frozen=True)
class Place:
    """As much of a job as the tally looks at."""

    name: str
    folder: Path
    key: str = "planned"


def placed(folder: Path, markers: dict[str, dict[str, object]]) -> list[TileJob]:
    jobs: list[Place] = []
    for name, marker in markers.items():
        (folder / name).mkdir()
        (folder / name / DONE_NAME).write_text(json.dumps({"files": {}, **marker}))
        jobs.append(Place(name, folder / name))
    return jobs  # type: ignore[return-value]


def test_lossy_tiles_are_kept_unless_they_are_to_be_made_again(tmp_path: Path) -> None:
    lossy = {"key": "other", "instead_of": "planned", "degraded": True}
    jobs = placed(tmp_path, {"a": {"key": "planned"}, "b": lossy, "c": {"key": "stale"}})
    kept = Tally.of(jobs, retry_lossy=False)
    assert kept.there == {
        "a": Standing("planned", lossy=False, degraded=False),
        "b": Standing("other", lossy=True, degraded=True),
    }
    assert kept.keys(jobs) == {"a": "planned", "b": "other", "c": "planned"}
    again = Tally.of(jobs, retry_lossy=True)
    assert list(again.there) == ["a"]
    assert again.keys(jobs) == {"a": "planned", "b": "planned", "c": "planned"}


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
