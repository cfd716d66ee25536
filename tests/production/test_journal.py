"""Claims about the journal: it survives kills, it has one writer, and keys mean content."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapper.errors import OutputError
from mapper.production.journal import Journal, content_key, finished_keys, read_journal


def test_what_was_written_is_read_in_order(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.append("run started", version="1")
        journal.append("tile done", tile="32N_0000_0000", key="a")
    events = [line["event"] for line in read_journal(tmp_path / "journal.jsonl")]
    assert events == ["run started", "tile done"]


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_last_line_costs_only_itself(tmp_path: Path, cut: int) -> None:
    with Journal(tmp_path) as journal:
        journal.append("tile done", tile="first", key="a")
        journal.append("tile done", tile="torn", key="b")
    path = tmp_path / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    with Journal(tmp_path) as journal:
        journal.append("tile done", tile="next", key="c")
        keys = finished_keys(journal.lines())
    assert keys["first"] == "a"
    assert keys["next"] == "c"
    assert keys.get("torn", "b") == "b"


def test_no_journal_is_an_empty_one(tmp_path: Path) -> None:
    assert list(read_journal(tmp_path / "journal.jsonl")) == []


def test_a_failed_tile_is_no_longer_finished() -> None:
    lines = [
        {"event": "tile done", "tile": "a", "key": "1"},
        {"event": "tile done", "tile": "b", "key": "2"},
        {"event": "tile failed", "tile": "a", "reason": "why"},
    ]
    assert finished_keys(lines) == {"b": "2"}


def test_one_folder_has_one_writer(tmp_path: Path) -> None:
    with Journal(tmp_path), pytest.raises(OutputError, match=f"process {os.getpid()}.*--out"):
        Journal(tmp_path)
    Journal(tmp_path).close()


def test_the_lock_dies_with_its_holder(tmp_path: Path) -> None:
    code = f"""
        import sys, time
        from pathlib import Path
        from mapper.production.journal import Journal
        journal = Journal(Path({str(tmp_path)!r}))
        journal.append("run started")
        print("held", flush=True)
        time.sleep(60)
    """
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(OutputError, match=f"process {holder.pid}"):
        Journal(tmp_path)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with Journal(tmp_path) as journal:
        assert [line["event"] for line in journal.lines()] == ["run started"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        Journal(tmp_path / "file")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), values, max_size=4))
def test_a_key_depends_on_content_and_not_on_order(parts: dict[str, object]) -> None:
    backwards = dict(reversed(list(parts.items())))
    assert content_key(parts) == content_key(backwards)
    assert content_key({**parts, "one more": 1}) != content_key({**parts, "one more": 2})
