"""A STAC API over HTTP: items page by page, with patience, and errors a person can act on."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pystac_client
import requests
import shapely
import shapely.geometry
import urllib3
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from pystac_client.warnings import PystacClientWarning
from requests.exceptions import ChunkedEncodingError, RetryError
from shapely.geometry.base import BaseGeometry

from mapper.errors import ArchiveError
from mapper.imagery.faults import brief
from mapper.imagery.footprints import widened
from mapper.imagery.items import Item
from mapper.imagery.period import Period
from mapper.imagery.questions import Question, questions

# What a server promises is no matter here, where every answer is tested.
warnings.filterwarnings("ignore", category=PystacClientWarning)

PAGE_ITEMS = 250
"""Items per page asked for; the largest number that all known servers accept."""
QUESTIONS_AT_ONCE = 4
"""Connections to one server."""
_COARSE_DEG = 0.02
"""Outlines are sent this coarse, widened by as much: servers refuse large requests."""
_METRES_PER_DEGREE = 111_000
_STALE_PAGES = 3
"""Pages in a row without a new item after which an answer counts as endless. A single one is
ordinary: items that come in meanwhile push others to the next page."""
_TOO_LARGE = (413, 500, 502, 503, 504)
"""HTTP statuses by which servers give up on a question that is too much for them."""


@dataclass(frozen=True, slots=True)
class Manners:
    """How patiently a server is asked. It decides nothing of what is found."""

    connect_s: float = 10.0
    """Until it answers at all."""
    byte_s: float = 60.0
    """Until the first byte of an answer, and between any two."""
    answer_s: float = 180.0
    """The body of an answer: time-outs of sockets start again with every byte."""
    attempts: int = 5
    """Of each request that fails in a way that may pass."""
    first_wait_s: float = 0.5
    """Doubled after each attempt, and half of it by chance."""
    longest_wait_s: float = 120.0
    """Longest pause between two attempts, also where a server's Retry-After asks for more."""


MANNERS = Manners()


def served_items(
    root: str,
    collections: Iterable[str],
    ground: BaseGeometry,
    period: Period,
    manners: Manners = MANNERS,
) -> Iterator[Item]:
    """What a server answers for collections, ground and time; at least what was asked for.

    Large searches are cut by area and month, so an item may come twice.

    Args:
        root: address of the API.
        collections: their ids.
        ground: longitude and latitude; where it lies on both sides of 180 degrees, the server is
            asked for each side.
        period: days of sensing.
        manners: how patiently.

    Raises:
        ArchiveError: the server cannot be reached, refuses, or is no STAC API.
    """
    coarse = shapely.simplify(widened(ground, _COARSE_DEG * _METRES_PER_DEGREE), _COARSE_DEG)
    asked = [question for side in _sides(coarse) for question in questions(side, period)]
    wanted, clients = list(collections), threading.local()

    def answer(question: Question) -> list[Item]:
        if not hasattr(clients, "client"):
            clients.client = client(root, manners)
        return _answers(clients.client, wanted, question)

    with ThreadPoolExecutor(min(QUESTIONS_AT_ONCE, len(asked))) as pool:
        try:
            for items in pool.map(answer, asked):
                yield from items
        except Exception as problem:  # the client has a dozen kinds of them for a wrong answer
            pool.shutdown(wait=False, cancel_futures=True)
            raise ArchiveError(f"the archive {root} {complaint(problem)}") from None


def client(root: str, manners: Manners = MANNERS) -> pystac_client.Client:
    """An open client of a STAC API.

    Raises:
        Exception: of a dozen kinds; `complaint` puts them in words.
    """
    return pystac_client.Client.open(root, stac_io=_PatientIO(manners))


def _answers(
    server: pystac_client.Client, collections: list[str], question: Question, halvings: int = 3
) -> list[Item]:
    """The items of one question; asked in halves where it is too much for the server."""
    try:
        return list(_pages(server, collections, question))
    except (APIError, requests.RequestException) as problem:
        halves = question.halves() if halvings and _is_too_large(problem) else ()
        if not halves:
            raise
    return [item for half in halves for item in _answers(server, collections, half, halvings - 1)]


def _pages(
    server: pystac_client.Client, collections: list[str], question: Question
) -> Iterator[Item]:
    search = server.search(
        collections=collections,
        intersects=shapely.geometry.mapping(question.ground),
        datetime=question.datetime,
        limit=PAGE_ITEMS,
    )
    seen: set[tuple[Any, Any]] = set()
    stale = 0
    for page in search.pages_as_dicts():
        items = page.get("features") or ()
        names = {(item.get("collection"), item.get("id")) for item in items}
        stale = stale + 1 if names <= seen else 0
        if stale == _STALE_PAGES:
            raise _RepeatedError
        seen |= names
        yield from items


class _RepeatedError(Exception):
    """A server's pages would never end."""


def _is_too_large(problem: Exception) -> bool:
    """Whether a smaller question may be answered where this one was not."""
    if isinstance(problem, APIError):
        return problem.status_code in _TOO_LARGE
    return isinstance(problem, requests.Timeout | RetryError)


class _PatientIO(StacApiIO):
    """Requests that are tried again where that may help, and end within a deadline."""

    def __init__(self, manners: Manners) -> None:
        super().__init__(max_retries=_retries(manners))
        self.manners = manners

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """The text of an answer; one that breaks off is asked for again.

        Raises:
            APIError: the answer is a refusal; `status_code` says which.
            requests.ReadTimeout: it does not come in time.
            requests.RequestException: it does not come at all, or breaks off each time.
        """
        verb = (method or "GET").upper()
        content, query = (parameters, None) if verb == "POST" else (None, parameters)
        failure: requests.RequestException
        try:
            return self._whole(verb, href, params=query, json=content, headers=headers)
        except requests.ConnectionError as problem:
            last, failure = next(iter(problem.args), None), problem
        except urllib3.exceptions.MaxRetryError as problem:
            last, failure = problem, ChunkedEncodingError(brief(str(problem.reason)))
        if isinstance(getattr(last, "reason", None), urllib3.exceptions.ReadTimeoutError):
            failure = requests.ReadTimeout(f"no byte in {self.manners.byte_s:g} s")
        raise failure

    def _whole(self, verb: str, href: str, **content: Any) -> str:
        """An answer that comes to its end; the session itself asks again only up to its headers."""
        left = _retries(self.manners).new(read=None)
        while True:
            try:
                return self._answer(verb, href, **content)
            except urllib3.exceptions.HTTPError as problem:
                left = left.increment(verb, href, error=problem)
            left.sleep()

    def _answer(self, verb: str, href: str, **content: Any) -> str:
        """One answer, within its deadline, which starts where waiting and asking again end."""
        # The client forgets a time-out it was not opened with, so it is given with each request.
        time_out = (self.manners.connect_s, self.manners.byte_s)
        with self.session.request(verb, href, timeout=time_out, stream=True, **content) as answer:
            deadline = time.monotonic() + self.manners.answer_s
            body = bytearray()
            while piece := answer.raw.read1(2**16, decode_content=True):
                body += piece
                if time.monotonic() > deadline:
                    raise requests.ReadTimeout(f"no whole answer in {self.manners.answer_s:g} s")
            if not 200 <= answer.status_code < 300:
                failure = APIError(body.decode(errors="replace"))
                failure.status_code = answer.status_code
                raise failure
            return body.decode()


def _retries(manners: Manners) -> urllib3.Retry:
    return _CappedRetry(
        total=manners.attempts - 1,
        connect=min(2, manners.attempts - 1),
        read=min(1, manners.attempts - 1),
        backoff_factor=manners.first_wait_s,
        backoff_max=manners.longest_wait_s,
        backoff_jitter=manners.first_wait_s / 2,
        status_forcelist=(408, 429, 500, 502, 503, 504),
        allowed_methods=None,
        raise_on_status=False,
    )


class _CappedRetry(urllib3.Retry):
    """Retries that wait as long as Retry-After says, within reason."""

    def get_retry_after(self, response: urllib3.BaseHTTPResponse) -> float | None:
        """Seconds to wait."""
        asked = super().get_retry_after(response)
        return None if asked is None else min(asked, self.backoff_max)


def _sides(geometry: BaseGeometry) -> list[BaseGeometry]:
    """The geometry, or its western and its eastern part where it lies at both ends of the map."""
    west, south, east, north = geometry.bounds
    if east - west <= 180:
        return [geometry]
    halves = (shapely.box(west, south, 0, north), shapely.box(0, south, east, north))
    return [half for box in halves if (half := geometry.intersection(box)).area]


def complaint(problem: Exception) -> str:
    """What happened and what to do, to follow the archive's name."""
    status = getattr(problem, "status_code", None)
    if isinstance(problem, ValueError) and not isinstance(problem, requests.RequestException):
        return "answers what is no JSON; give the root address of a STAC API"
    if isinstance(problem, ChunkedEncodingError):
        return (
            "keeps breaking off in the middle of an answer; check the network, or try again later"
        )
    if isinstance(problem, _RepeatedError):
        return "repeats the same items page after page; report it there, or name another archive"
    if isinstance(problem, requests.ReadTimeout):
        what = f"does not answer in time ({brief(problem)})"
    elif isinstance(problem, requests.ConnectionError):
        what = "cannot be reached"
    elif status in (408, 429) or (status or 0) >= 500:
        what = f"keeps answering that it is busy or broken (HTTP {status})"
    elif status:
        what = f"answers HTTP {status}"
    else:
        return f"is no STAC API ({brief(problem)}); give the root address of one"
    return f"{what}; check the address and the network, or try again later"
