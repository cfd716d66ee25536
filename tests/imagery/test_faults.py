"""Claims about failures: each library's words are understood, and no secret is passed on."""

from __future__ import annotations

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from rasterio.errors import RasterioIOError

from mapper.imagery.faults import (
    BadBytesError,
    Fault,
    brief,
    finding_of,
    finding_of_status,
    is_read_failure,
    without_secrets,
)

HREF = "https://host.example/a/B04.tif"

GenericError = type("GenericError", (Exception,), {"__module__": "obstore.exceptions"})
NotSupportedError = type("NotSupportedError", (GenericError,), {})
PermissionDeniedError = type("PermissionDeniedError", (GenericError,), {})
OBSTORE_503 = (
    "Generic HTTP error: Error performing GET http://127.0.0.1/a.tif in 3 ms - Server returned "
    "non-2xx status code: 503 Service Unavailable: hello\n\nDebug source:\nGeneric {...}"
)


def caused(outer: str, inner: str) -> RasterioIOError:
    problem = RasterioIOError(outer)
    problem.__cause__ = RasterioIOError(inner)
    return problem


FILL = "TIFFFillTile:Read error at row 1, col 1, tile 0; got {} bytes, expected 495571"


@pytest.mark.parametrize(
    ("problem", "fault", "status"),
    [
        (RasterioIOError("HTTP response code: 403"), Fault.REFUSED, 403),
        (RasterioIOError("HTTP response code: 404"), Fault.GONE, 404),
        (RasterioIOError("HTTP response code: 429"), Fault.BUSY, 429),
        (RasterioIOError("HTTP response code: 400"), Fault.UNCLEAR, 400),
        (RasterioIOError("CURL error: Operation timed out after 3002 ms"), Fault.LATE, None),
        (RasterioIOError("CURL error: Could not resolve host: x"), Fault.LATE, None),
        (RasterioIOError("'/vsicurl/x' not recognized as being in a"), Fault.UNCLEAR, None),
        (caused("Read failed.", FILL.format(0)), Fault.UNCLEAR, None),
        (caused("Read failed.", FILL.format(494059)), Fault.CUT, None),
        (caused("Read failed.", "ZIPDecode:Decoding error at scanline 512"), Fault.BROKEN, None),
        (GenericError(OBSTORE_503), Fault.BUSY, 503),
        (GenericError("Generic HTTP error: error sending request"), Fault.LATE, None),
        (GenericError("HTTP error: error decoding response body"), Fault.CUT, None),
        (PermissionDeniedError("lacked the necessary privileges"), Fault.REFUSED, 403),
        (RasterioIOError("Range downloading not supported by this server!"), Fault.WHOLE, None),
        (
            NotSupportedError("Operation not supported: Range request not supported by a"),
            Fault.WHOLE,
            None,
        ),
        (FileNotFoundError("Object at location a.tif not found"), Fault.GONE, 404),
        (requests.ReadTimeout("Read timed out."), Fault.LATE, None),
        (requests.ConnectionError("Connection refused"), Fault.LATE, None),
        (BadBytesError("block 3 has 10 bytes of 20", cut_short=True), Fault.CUT, None),
        (BadBytesError("block 3 does not inflate"), Fault.BROKEN, None),
    ],
)
def test_a_failure_is_understood(problem: Exception, fault: Fault, status: int | None) -> None:
    assert is_read_failure(problem)
    found = finding_of(problem, HREF)
    assert (found.fault, found.status) == (fault, status)


def test_a_local_file_fails_for_good_whatever_it_is() -> None:
    for problem in (FileNotFoundError("no such file"), RasterioIOError("timed out")):
        assert finding_of(problem, "/data/B04.tif").fault is Fault.LOCAL


def test_an_answer_of_a_token_service_counts_as_its_status() -> None:
    answer = requests.Response()
    answer.status_code = 503
    problem = requests.HTTPError("503 Server Error for url: x?sig=SECRET", response=answer)
    assert finding_of(problem, HREF) == finding_of_status(503)


def test_a_server_that_is_not_there_is_called_so() -> None:
    problem = RasterioIOError("CURL error: Failed to connect to 127.0.0.1 port 9 after 0 ms")
    assert finding_of(problem, HREF).words == "the server cannot be reached"


@pytest.mark.parametrize("mistake", [KeyError("B04"), ValueError("shape"), AssertionError()])
def test_a_mistake_of_the_program_is_no_failed_read(mistake: Exception) -> None:
    assert not is_read_failure(mistake)


SECRET = "s3cr3tS3cr3t"


@pytest.mark.parametrize(
    "text",
    [
        f"'/vsicurl/https://x.org/a.tif?se=1&sig={SECRET}' not recognized",
        f"a.tif?sig={SECRET}, band 1: IReadBlock failed",
        f"https://user:{SECRET}@x.org/a.tif is refused",
        f"Authorization: Bearer {SECRET}",
        f"X-Amz-Signature={SECRET}&X-Amz-Security-Token={SECRET} in a cut query",
        f"at /a.tif?X-Amz-Security-Token={SECRET})",
    ],
)
def test_no_secret_is_passed_on(text: str) -> None:
    assert SECRET not in without_secrets(text)
    assert SECRET not in brief(RasterioIOError(text))


@given(st.text())
def test_what_is_passed_on_is_one_short_line(text: str) -> None:
    said = brief(text)
    assert len(said) <= 160
    assert len(said.splitlines()) <= 1


def test_ordinary_words_stay_as_they_are() -> None:
    text = "block 3 of B04 at row 12 does not decode: is it whole?"
    assert without_secrets(text) == text
