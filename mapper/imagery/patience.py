"""What to do when a read fails: the one place that decides who asks again, when, and how long.

| failure | then |
|---|---|
| refused (401, 403) | a new token at once, again with a pause, then for good; unsigned: for good |
| gone (404, 410) | for good |
| busy (408, 425, 429, 5xx) | with growing pauses, or when Retry-After says, until the deadline |
| late, unreachable | with growing pauses, until the deadline |
| cut short | four attempts |
| broken pixels | once more: a proxy may have spoilt them |
| whole files only | for good |
| a local file | for good |

GDAL does not tell the status of a request in mid-file, nor any header, so after a failure that it
leaves unclear the server is asked for one byte of the same file: what it answers is the reason.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar

import requests

from mapper.errors import ReadError
from mapper.imagery.faults import (
    Fault,
    Finding,
    finding_of,
    finding_of_status,
    is_read_failure,
)
from mapper.imagery.scenes import Scene
from mapper.imagery.signing import renew, signed

T = TypeVar("T")

ATTEMPTS: Final = {
    Fault.REFUSED: 3,
    Fault.GONE: 1,
    Fault.BUSY: None,
    Fault.LATE: None,
    Fault.CUT: 4,
    Fault.BROKEN: 2,
    Fault.WHOLE: 1,
    Fault.LOCAL: 1,
    Fault.UNCLEAR: 4,
}
"""Attempts that may end in each kind of failure; None: as many as the deadline allows."""
FIRST_WAIT_S = 0.5
"""Pause after the first failure; doubled after each further one of its kind."""
LONGEST_WAIT_S = 30.0
ASK_S = (5.0, 10.0)
"""To connect and to answer, when a server is asked what is wrong."""
SLOW_BYTES_PER_S = 1000
SLOW_S = 15
"""A transfer slower than SLOW_BYTES_PER_S for so long is ended: socket timeouts are per byte."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a read may take. It shapes no pixel that is read."""

    read_s: float = 180.0
    """One read with all its attempts and pauses: no new attempt begins later."""
    request_s: float = 60.0
    """One request, from connecting to the last byte."""
    connect_s: float = 10.0
    """Until a server answers at all."""

    @classmethod
    def of(cls, read_s: float) -> Patience:
        """That of reads which may take so long; three requests fit into it, if none is quick."""
        return cls(read_s, min(cls().request_s, read_s / 3), min(cls().connect_s, read_s / 3))


PATIENCE: Final = Patience()


@dataclass(slots=True)
class _InForce:
    """The patience of this process, for reads that are given none of their own."""

    patience: Patience = PATIENCE


_in_force = _InForce()


def settle(patience: Patience) -> None:
    """From here on the patience of every read of this process that is given none of its own."""
    _in_force.patience = patience


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a read, as its reader sees it."""

    number: int
    """Counted from 1; from 2 on nothing that a library remembers of the address may be used."""
    request_s: float
    """Seconds that one request of this attempt may take."""
    connect_s: float
    """Seconds to connect."""

    def gdal_options(self) -> dict[str, Any]:
        """Settings under which GDAL makes one attempt, within these seconds, and no more.

        GDAL remembers failed addresses and cut bodies: without NON_CACHED another attempt would
        fail without a request.
        """
        options: dict[str, Any] = {
            "GDAL_HTTP_MAX_RETRY": 0,
            "GDAL_HTTP_TIMEOUT": max(1, round(self.request_s)),
            "GDAL_HTTP_CONNECTTIMEOUT": max(1, round(self.connect_s)),
            "GDAL_HTTP_LOW_SPEED_LIMIT": SLOW_BYTES_PER_S,
            "GDAL_HTTP_LOW_SPEED_TIME": max(1, min(SLOW_S, round(self.request_s))),
        }
        if self.number > 1:
            options["CPL_VSIL_CURL_NON_CACHED"] = "/vsicurl/:/vsis3/:/vsigs/:/vsiaz/"
        return options


class Clock:
    """Time as it passes; tests give one that does not."""

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def sleep(self, seconds: float, stop: threading.Event | None) -> None:
        """Wait, no longer than until `stop` is set."""
        (stop or threading.Event()).wait(seconds)

    def jitter(self) -> float:
        """A number of 0..1, so that readers who failed together do not come back together."""
        return random.random()


CLOCK: Final = Clock()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server says when it is asked for one byte."""

    status: int | None
    """HTTP status; None where nothing came in time."""
    wait_s: float | None = None
    """Its Retry-After, in seconds from now."""


def patiently(
    read: Callable[[Attempt], T],
    scene: Scene,
    name: str,
    *,
    patience: Patience | None = None,
    stop: threading.Event | None = None,
    clock: Clock = CLOCK,
    ask: Callable[[str], Answer] | None = None,
) -> T:
    """What `read` returns, asked as often as its kind of failure deserves.

    Args:
        read: one attempt; it signs the address itself, each time anew, and lets what its library
            raises rise. It makes no attempts of its own.
        scene: whose asset is read.
        name: of the asset.
        patience: how long all attempts may take; by default, as was settled for this process.
        stop: when set, the answer is no longer wanted: no new attempt begins.
        clock: passes the time.
        ask: tells what the server says of an address; by default, it is asked.

    Raises:
        ReadError: it failed for good; the reason is one line without query or token.
    """
    href = scene.assets[name].href
    failures: Counter[Fault] = Counter()
    patience = patience or _in_force.patience
    deadline = clock.now() + patience.read_s
    while True:
        begun = clock.now()
        seconds = max(1.0, min(patience.request_s, deadline - begun))
        try:
            return read(Attempt(failures.total() + 1, seconds, patience.connect_s))
        except Exception as problem:
            if not is_read_failure(problem):
                raise
            finding = finding_of(problem, href)
        finding, wait_s = _asked(finding, href, scene.signing, ask or _server_says)
        failures[finding.fault] += 1
        pause_s = _pause(finding.fault, failures[finding.fault], wait_s, clock)
        last = finding.fault is Fault.REFUSED and scene.signing is None
        limit = ATTEMPTS[finding.fault]
        last |= limit is not None and failures[finding.fault] >= limit
        if last or clock.now() + pause_s >= deadline or (stop and stop.is_set()):
            raise ReadError(scene.id, name, _reason(finding, failures.total(), wait_s)) from None
        if finding.fault is Fault.REFUSED:
            renew(href, scene.signing, clock.now() - begun)
        clock.sleep(pause_s, stop)


def _asked(
    finding: Finding, href: str, signing: str | None, ask: Callable[[str], Answer]
) -> tuple[Finding, float | None]:
    """A failure made clear by the server where the library leaves it open; its Retry-After."""
    if finding.fault not in (Fault.UNCLEAR, Fault.BUSY) or not href.startswith("http"):
        return finding, None
    try:
        answer = ask(signed(href, signing))
    except OSError:  # there is no token to be had
        return finding, None
    if answer.status is None:
        return Finding(Fault.LATE, Fault.LATE.value), None
    if answer.status >= 400 and (finding.fault is Fault.UNCLEAR or answer.status in (429, 503)):
        finding = finding_of_status(answer.status)
    return finding, answer.wait_s


def _pause(fault: Fault, failures: int, wait_s: float | None, clock: Clock) -> float:
    """Seconds until the next attempt: doubled each time, half by chance, or as the server says."""
    if fault is Fault.REFUSED and failures == 1:
        return 0.0
    longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(failures - 1, 16))
    return max(wait_s or 0.0, longest * (1 + clock.jitter()) / 2)


def _reason(finding: Finding, attempts: int, wait_s: float | None) -> str:
    """The failure in a few words."""
    words = finding.words
    if finding.status is not None and finding.fault is not Fault.UNCLEAR:
        words = f"{words}, {finding.fault.value}"
    if wait_s:
        words += f" and asks to wait {wait_s:.0f} s"
    return words if attempts == 1 else f"{words}; {attempts} attempts"


def _server_says(url: str) -> Answer:
    """Ask for one byte of a file."""
    try:
        with requests.get(
            url, headers={"Range": "bytes=0-0"}, stream=True, timeout=ASK_S, allow_redirects=True
        ) as answer:
            return Answer(answer.status_code, retry_after_s(answer.headers.get("Retry-After")))
    except (requests.RequestException, OSError):
        return Answer(None)


def retry_after_s(header: str | None, now: datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks for, or None (RFC 9110, 10.2.3: seconds or a date)."""
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())
