"""Being asked to stop, by Ctrl-C or by a scheduler's SIGTERM, and stopping at a good moment.

An exception raised by a signal's handler appears wherever the program happens to be, and is lost
where that is a finaliser: Python prints and forgets it there. So the long part of a run only takes
note of the signal and asks for it between two steps; elsewhere the exception is raised at once, and
again after a moment if it was lost.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
AGAIN_S = 1.0
"""After this long an exception that nobody caught was lost."""


class Stopped(BaseException):
    """Somebody asked the program to end: no error, and nothing on the way should catch it."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"signal {signum}")
        self.signum = signum
        """The signal that asked."""


@dataclass(slots=True)
class _Request:
    """What is known of the signals of this process."""

    signum: int | None = None
    """The signal that came, if one did."""
    noting: bool = False
    """Whether signals are only noted, because somebody looks at them."""


_request = _Request()


def listen() -> None:
    """From here on signals stop the program with `Stopped`; only the main thread may call this."""
    _request.signum, _request.noting = None, False
    for signum in SIGNALS:
        signal.signal(signum, _heard)
    signal.signal(signal.SIGALRM, _heard_again)


def heeded() -> None:
    """The exception arrived where it should: it need not be raised again."""
    signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def noting() -> Iterator[None]:
    """Within, a first signal is only noted, for `stop_if_asked` to find; a second one is raised."""
    _request.noting = True
    try:
        yield
    finally:
        _request.noting = False


def stop_if_asked() -> None:
    """Raise Stopped if a signal came."""
    if _request.signum is not None:
        raise Stopped(_request.signum)


def _heard(signum: int, frame: FrameType | None) -> None:
    first = _request.signum is None
    _request.signum = signum
    if not (first and _request.noting):
        signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        raise Stopped(signum)


def _heard_again(_: int, frame: FrameType | None) -> None:
    if _request.signum is not None:
        _heard(_request.signum, frame)
