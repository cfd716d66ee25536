"""Claims about being asked to stop: nothing asked is lost, and the work chooses the moment."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from mapper.production.stopping import SIGNALS, Stopped, heeded, listen, noting, stop_if_asked


@pytest.fixture(autouse=True)
def listening() -> Iterator[None]:
    before = {signum: signal.getsignal(signum) for signum in (*SIGNALS, signal.SIGALRM)}
    listen()
    yield
    heeded()
    for signum, handler in before.items():
        signal.signal(signum, handler)


def ask(signum: int) -> None:
    os.kill(os.getpid(), signum)


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_signal_stops_at_once(signum: int) -> None:
    with pytest.raises(Stopped) as stop:
        ask(signum)
    assert stop.value.signum == signum


def test_a_signal_is_noted_where_somebody_looks() -> None:
    with noting():
        stop_if_asked()
        ask(signal.SIGTERM)
        with pytest.raises(Stopped):
            stop_if_asked()


def test_a_second_signal_does_not_wait() -> None:
    with noting():
        ask(signal.SIGINT)
        with pytest.raises(Stopped):
            ask(signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_stop_that_a_finaliser_swallows_comes_again() -> None:
    class Swallows:
        def __del__(self) -> None:
            ask(signal.SIGINT)

    thing = Swallows()
    del thing  # raises inside __del__, where Python forgets it
    with pytest.raises(Stopped):
        time.sleep(10)
    heeded()
    time.sleep(1.2)  # and not again, once it was heeded
