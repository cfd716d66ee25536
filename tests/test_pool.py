"""Workers end with the process that started them, even if that is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mapper.errors import OutputError
from mapper.pool import pool

PROGRAM = """
import os, time
from mapper.pool import pool


def who(seconds):
    time.sleep(seconds)
    return os.getpid()


if __name__ == "__main__":
    with pool(2) as workers:
        print(*set(workers.map(who, [0.2] * 4)), flush=True)
        time.sleep(600)
"""


def test_what_has_begun_is_finished_and_the_rest_dropped_when_the_work_is_given_up() -> None:
    with pytest.raises(KeyboardInterrupt), pool(1) as workers:
        waiting = [workers.submit(time.sleep, 0.01) for _ in range(5000)]
        raise KeyboardInterrupt
    assert waiting[-1].cancelled()


def test_a_worker_that_is_killed_is_told_of_in_a_line() -> None:
    with pytest.raises(OutputError, match="one of 1 processes was killed"), pool(1) as workers:
        workers.submit(signal.raise_signal, signal.SIGKILL).result()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="counts processes in /proc")
def test_workers_do_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "parent.py"
    program.write_text(PROGRAM)
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        workers = [int(number) for number in parent.stdout.readline().split()]
        assert workers and all(alive(number) for number in workers)
        parent.kill()
    deadline = time.monotonic() + 60
    while any(alive(number) for number in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [number for number in workers if alive(number)]


def alive(process: int) -> bool:
    """Whether a process runs; one that ended and was not fetched by its parent does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
