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
_TOO_LARGE = (413, 500, 502, 503, 504)
"""HTTP statuses by which servers give up on a question that is too much for them."""


@dataclass(frozen=True, slots=True)
class Manners:
    """How patiently a server is asked. It decides nothing of what is found."""

    connect_s: float = 10.0
    """Until it answers at all."""
    byte_s: float = 60.0
    """Between two bytes of an answer."""
    answer_s: float = 180.0
    """A whole answer: time-outs of sockets start again with every byte."""
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
            raise ArchiveError(f"the archive {root} {complaint(problem, manners)}") from None


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
    for page in search.pages_as_dicts():
        items = page.get("features") or ()
        names = {(item.get("collection"), item.get("id")) for item in items}
        if names <= seen:
            raise _RepeatedError("its pages repeat themselves")
        seen |= names
        yield from items


class _RepeatedError(Exception):
    """A server's pages would never end."""


def _is_too_large(problem: Exception) -> bool:
    """Whether a smaller question may be answered where this one was not."""
    if isinstance(problem, APIError):
        return problem.status_code in _TOO_LARGE
    return isinstance(problem, requests.Timeout | requests.exceptions.RetryError)


class _PatientIO(StacApiIO):
    """Requests that are tried again where that may help, and end within a deadline."""

    def __init__(self, manners: Manners) -> None:
        super().__init__(timeout=(manners.connect_s, manners.byte_s), max_retries=_retries(manners))
        self.manners = manners

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """The text of an answer."""
        verb = (method or "GET").upper()
        content, query = (parameters, None) if verb == "POST" else (None, parameters)
        deadline = time.monotonic() + self.manners.answer_s
        with self.session.request(
            verb,
            href,
            params=query,
            json=content,
            headers=headers,
            timeout=self.timeout,
            stream=True,
        ) as answer:
            body = bytearray()
            while piece := answer.raw.read1(2**16, decode_content=True):
                body += piece
                if time.monotonic() > deadline:
                    raise requests.ReadTimeout(f"no whole answer in {self.manners.answer_s:.0f} s")
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


def complaint(problem: Exception, manners: Manners = MANNERS) -> str:
    """What happened and what to do, to follow the archive's name."""
    status = getattr(problem, "status_code", None)
    if isinstance(problem, ValueError) and not isinstance(problem, requests.RequestException):
        return "answers what is no JSON; give the root address of a STAC API"
    if isinstance(problem, requests.Timeout):
        what = f"did not answer within {manners.answer_s:.0f} s"
    elif isinstance(problem, requests.ConnectionError):
        what = "cannot be reached"
    elif status in (408, 429) or (status or 0) >= 500:
        what = f"keeps answering that it is busy or broken (HTTP {status})"
    elif status:
        what = f"answers HTTP {status}"
    else:
        return f"is no STAC API ({brief(problem)}); give the root address of one"
    return f"{what}; check the address and the network, or try again later"
