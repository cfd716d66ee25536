"""Claims about patience, with a clock that passes when somebody waits."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from rasterio.errors import RasterioIOError

from mapper.errors import ReadError, SceneError
from mapper.imagery.bands import Sensor
from mapper.imagery.faults import BadBytesError
from mapper.imagery.patience import (
    LONGEST_WAIT_S,
    Answer,
    Attempt,
    Clock,
    Patience,
    patiently,
    retry_after_s,
)
from mapper.imagery.scenes import Asset, Scene
from mapper.imagery.signing import _RENEWERS

PATIENCE = Patience(read_s=100, request_s=20, connect_s=5)


class Sundial(Clock):
    """Time passes only when somebody waits for it or works."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float, stop: threading.Event | None) -> None:
        self.slept.append(seconds)
        self.time += seconds

    def jitter(self) -> float:
        return 1.0


def scene(href: str = "https://x.org/a/B04.tif", signing: str | None = None) -> Scene:
    outline = shapely.box(9, 47, 10, 48)
    return Scene(
        id="S2A",
        sensor=Sensor.OPTICAL,
        time=datetime(2024, 6, 1, tzinfo=UTC),
        footprint=outline,
        extent=outline,
        cloud_percent=1.0,
        place="32TNT",
        datatake="d",
        orbit_state=None,
        baseline=None,
        generated="",
        epsg=32632,
        assets={"B04": Asset(href, 0.0, 1.0, 0.0)},
        signing=signing,
    )


class Server:
    """Fails a read as it is told, then answers; each attempt takes a second."""

    def __init__(self, clock: Sundial, *failures: Exception, for_ever: bool = False) -> None:
        self.clock, self.failures, self.for_ever = clock, list(failures), for_ever
        self.attempts: list[Attempt] = []

    def __call__(self, attempt: Attempt) -> str:
        self.attempts.append(attempt)
        self.clock.time += 1
        if self.for_ever:
            raise self.failures[0]
        if self.failures:
            raise self.failures.pop(0)
        return "pixels"


def http(status: int) -> RasterioIOError:
    return RasterioIOError(f"HTTP response code: {status}")


HIDDEN = RasterioIOError("TIFFFillTile:Read error at row 0; got 0 bytes, expected 495571")


def says(status: int | None, wait_s: float | None = None) -> Callable[[str], Answer]:
    return lambda _: Answer(status, wait_s)


def test_a_read_that_works_waits_for_nothing() -> None:
    clock = Sundial()
    assert patiently(Server(clock), scene(), "B04", patience=PATIENCE, clock=clock) == "pixels"
    assert clock.slept == []


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again_with_growing_pauses(status: int) -> None:
    clock = Sundial()
    server = Server(clock, *[http(status)] * 4)
    answer = patiently(server, scene(), "B04", patience=PATIENCE, clock=clock, ask=says(status))
    assert answer == "pixels"
    assert clock.slept == [0.5, 1, 2, 4]


def test_a_server_that_stays_busy_is_left_at_the_deadline() -> None:
    clock = Sundial()
    server = Server(clock, http(503), for_ever=True)
    with pytest.raises(ReadError, match="HTTP 503, the server is busy or broken; 9 attempts"):
        patiently(server, scene(), "B04", patience=PATIENCE, clock=clock, ask=says(503))
    assert clock.time <= PATIENCE.read_s + 1, "no attempt begins after the deadline"
    assert max(clock.slept) <= LONGEST_WAIT_S


def test_retry_after_is_kept_to_the_second() -> None:
    clock = Sundial()
    patiently(Server(clock, http(429)), scene(), "B04", clock=clock, ask=says(429, 17))
    assert clock.slept == [17]


def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    clock = Sundial()
    with pytest.raises(ReadError, match=r"HTTP 429.* and asks to wait 600 s"):
        patiently(Server(clock, http(429)), scene(), "B04", clock=clock, ask=says(429, 600))
    assert clock.slept == []


@pytest.mark.parametrize(
    ("failure", "attempts"),
    [
        (http(404), 1),
        (http(410), 1),
        (http(403), 1),
        (BadBytesError("block 3 does not inflate"), 2),
        (BadBytesError("block 3 ends early", cut_short=True), 4),
        (RasterioIOError("'/vsicurl/x' not recognized as being in a supported format"), 4),
    ],
)
def test_each_kind_of_failure_has_its_attempts(failure: Exception, attempts: int) -> None:
    clock = Sundial()
    server = Server(clock, failure, for_ever=True)
    with pytest.raises(ReadError) as caught:
        patiently(server, scene(), "B04", patience=PATIENCE, clock=clock, ask=says(206))
    assert len(server.attempts) == attempts
    assert (caught.value.scene_id, caught.value.asset) == ("S2A", "B04")


@pytest.mark.parametrize(("status", "attempts"), [(403, 1), (404, 1), (503, 9), (206, 4)])
def test_what_gdal_hides_is_asked_of_the_server(status: int, attempts: int) -> None:
    clock = Sundial()
    server = Server(clock, HIDDEN, for_ever=True)
    with pytest.raises(ReadError):
        patiently(server, scene(), "B04", patience=PATIENCE, clock=clock, ask=says(status))
    assert len(server.attempts) == attempts


@pytest.mark.parametrize("failure", [FileNotFoundError("gone"), HIDDEN, BadBytesError("bad")])
def test_a_local_file_is_read_once(failure: Exception) -> None:
    clock = Sundial()
    server = Server(clock, failure, for_ever=True)
    with pytest.raises(ReadError):
        patiently(server, scene("/data/B04.tif"), "B04", clock=clock, ask=says(206))
    assert len(server.attempts) == 1


def test_a_refused_token_is_renewed_before_another_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, renewed = Sundial(), []
    monkeypatch.setitem(_RENEWERS, "planetary-computer", lambda href, _: renewed.append(href))
    signed = scene("https://y.blob.core.windows.net/c/B04.tif", "planetary-computer")
    assert patiently(Server(clock, http(403)), signed, "B04", clock=clock) == "pixels"
    assert renewed == [signed.assets["B04"].href]
    assert clock.slept == [0]
    stubborn = Server(clock, http(403), for_ever=True)
    with pytest.raises(ReadError, match="HTTP 403, access was refused; 3 attempts"):
        patiently(stubborn, signed, "B04", clock=clock)
    assert len(renewed) == 3


def test_a_mistake_of_the_program_is_not_tried_again() -> None:
    clock = Sundial()
    server = Server(clock, KeyError("B04"), for_ever=True)
    with pytest.raises(KeyError):
        patiently(server, scene(), "B04", clock=clock)
    assert len(server.attempts) == 1


def test_nobody_goes_on_when_the_answer_is_no_longer_wanted() -> None:
    clock, stop = Sundial(), threading.Event()
    stop.set()
    server = Server(clock, http(503), for_ever=True)
    with pytest.raises(ReadError):
        patiently(server, scene(), "B04", clock=clock, ask=says(503), stop=stop)
    assert len(server.attempts) == 1


def test_a_pause_ends_when_the_answer_is_no_longer_wanted() -> None:
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    before = Clock().now()
    Clock().sleep(60, stop)
    assert Clock().now() - before < 30


@given(st.lists(st.sampled_from([http(503), http(429), HIDDEN, http(500)]), max_size=30))
def test_no_failures_whatever_keep_a_read_beyond_its_deadline(failures: list[Exception]) -> None:
    clock = Sundial()
    server = Server(clock, *failures)
    with suppress(ReadError):
        patiently(server, scene(), "B04", patience=PATIENCE, clock=clock, ask=says(503, 3))
    assert clock.time <= PATIENCE.read_s + PATIENCE.request_s
    assert all(attempt.request_s <= PATIENCE.request_s for attempt in server.attempts)


def test_gdal_makes_one_attempt_and_forgets_the_last() -> None:
    first, second = Attempt(1, 20, 5).gdal_options(), Attempt(2, 20, 5).gdal_options()
    assert first["GDAL_HTTP_MAX_RETRY"] == 0
    assert "CPL_VSIL_CURL_NON_CACHED" not in first
    assert "/vsicurl/" in second["CPL_VSIL_CURL_NON_CACHED"]


def test_the_error_travels_between_processes() -> None:
    error = ReadError("S2A", "B04", "HTTP 404, it is not there")
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, SceneError)
    assert str(copy) == str(error)
    assert (copy.scene_id, copy.asset, copy.reason) == ("S2A", "B04", error.reason)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("0", 0),
        ("120", 120),
        ("Sat, 01 Jun 2024 00:01:00 GMT", 60),
        ("Fri, 31 May 2024 23:00:00 GMT", 0),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, datetime(2024, 6, 1, tzinfo=UTC)) == seconds
