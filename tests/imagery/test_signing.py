from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import planetary_computer.sas
import pytest
from planetary_computer.settings import Settings

from mapper.imagery.archives import KNOWN
from mapper.imagery.faults import Fault, finding_of
from mapper.imagery.signing import renew, signed

HREF = "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/32/T/B02.tif"
HOUSE = "planetary-computer"


@pytest.fixture
def tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A token service of our own; the answer to give is a file."""
    script = Path(__file__).with_name("range_server.py")
    command = [sys.executable, str(script), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        monkeypatch.setenv("PC_SDK_SAS_URL", f"http://127.0.0.1:{port}/token")
        Settings.get.cache_clear()
        planetary_computer.sas.TOKEN_CACHE.clear()
        answer = tmp_path / "token" / "sentinel2l2a01" / "sentinel2-l2"
        answer.parent.mkdir(parents=True)
        yield answer
        server.terminate()
    Settings.get.cache_clear()
    planetary_computer.sas.TOKEN_CACHE.clear()


def token(text: str, expiry: str) -> str:
    return json.dumps({"token": text, "msft:expiry": expiry})


def test_a_token_is_added_and_kept_until_it_expires(tokens: Path) -> None:
    tokens.write_text(token("sig=one", "2000-01-01T00:00:00Z"))
    assert signed(HREF, HOUSE) == f"{HREF}?sig=one"
    tokens.write_text(token("sig=two", "2999-01-01T00:00:00Z"))
    assert signed(HREF, HOUSE) == f"{HREF}?sig=two"
    tokens.write_text(token("sig=three", "2999-01-01T00:00:00Z"))
    assert signed(HREF, HOUSE) == f"{HREF}?sig=two"


def test_a_refused_token_is_replaced_once_for_all_who_were_refused(tokens: Path) -> None:
    tokens.write_text(token("sig=one", "2999-01-01T00:00:00Z"))
    assert signed(HREF, HOUSE) == f"{HREF}?sig=one"
    tokens.write_text(token("sig=two", "2999-01-01T00:00:00Z"))
    renew(HREF, HOUSE, age_s=0.0)
    assert signed(HREF, HOUSE) == f"{HREF}?sig=two"
    tokens.write_text(token("sig=three", "2999-01-01T00:00:00Z"))
    renew(HREF, HOUSE, age_s=60.0)  # its read began before the token was renewed
    assert signed(HREF, HOUSE) == f"{HREF}?sig=two"
    renew(HREF, HOUSE, age_s=0.0)
    assert signed(HREF, HOUSE) == f"{HREF}?sig=three"


@pytest.mark.parametrize("answer", ["<html>", "{}", "[]", "1", None])
def test_no_token_is_a_failure_of_reading(tokens: Path, answer: str | None) -> None:
    if answer is not None:
        tokens.write_text(answer)
    with pytest.raises(OSError):
        signed(HREF, HOUSE)


def test_readers_who_wait_for_a_token_share_its_failure(
    tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Busy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            time.sleep(0.3)
            self.send_error(503)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PC_SDK_SAS_URL", f"http://127.0.0.1:{server.server_port}")
        Settings.get.cache_clear()
        with ThreadPoolExecutor(8) as pool:
            waiting = [pool.submit(signed, HREF, HOUSE) for _ in range(8)]
            failures = [future.exception() for future in waiting]
        server.shutdown()
    assert all(isinstance(failure, OSError) for failure in failures)
    assert {finding_of(f, HREF).fault for f in failures if f} == {Fault.BUSY}
    assert len(asked) < 8


def test_a_failed_question_keeps_nothing_of_its_reader(tokens: Path) -> None:
    def refused() -> weakref.ref[np.ndarray]:
        pixels = np.zeros(8)
        with suppress(OSError):
            signed(HREF, HOUSE)
        return weakref.ref(pixels)

    tokens.write_text("<html>")
    assert refused()() is None


def test_a_service_that_cannot_be_reached_is_late(
    tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PC_SDK_SAS_URL", "http://127.0.0.1:1/token")
    Settings.get.cache_clear()
    with pytest.raises(OSError, match="the token service for sentinel2l2a01 cannot be") as caught:
        signed(HREF, HOUSE)
    assert finding_of(caught.value, HREF).fault is Fault.LATE


@pytest.mark.parametrize("href", ["/a/B02.tif", "https://x.org/B02.tif", f"{HREF}?sig=own"])
def test_what_needs_no_token_gets_none(href: str) -> None:
    assert signed(href, HOUSE) == href
    assert signed(href, None) == href


def test_every_known_archive_can_be_signed_for() -> None:
    for known in KNOWN.values():
        assert signed("/a/B02.tif", known.signing) == "/a/B02.tif"
