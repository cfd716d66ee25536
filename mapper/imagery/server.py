"""A STAC API over HTTP: items page by page, with patience, and errors a person can act on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pystac_client
import requests
import shapely
import shapely.geometry
import urllib3
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from shapely.geometry.base import BaseGeometry

from mapper.errors import ArchiveError
from mapper.imagery.footprints import widened
from mapper.imagery.items import Item
from mapper.imagery.period import Period

PAGE_ITEMS = 250
"""Items per page asked for; the largest number that all known servers accept."""
TIMEOUT_S = (10.0, 60.0)
"""To connect, and between two bytes of an answer."""
RETRIES = urllib3.Retry(
    total=4,
    connect=2,
    backoff_factor=0.5,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=None,
)
"""Waits of 0.5, 1, 2, 4 s, or as long as the server's Retry-After says."""
_COARSE_DEG = 0.02
"""Outlines are sent this coarse, widened by as much: servers refuse large requests."""
_METRES_PER_DEGREE = 111_000


def served_items(
    root: str, collections: Iterable[str], ground: BaseGeometry, period: Period
) -> list[Item]:
    """What a server answers for collections, ground and time; at least what was asked for.

    Args:
        root: address of the API.
        collections: their ids.
        ground: longitude and latitude; where it lies on both sides of 180 degrees, the server is
            asked for each side.
        period: days of sensing.

    Raises:
        ArchiveError: the server cannot be reached, refuses, or is no STAC API.
    """
    coarse = shapely.simplify(widened(ground, _COARSE_DEG * _METRES_PER_DEGREE), _COARSE_DEG)
    try:
        return list(_pages(root, list(collections), _sides(coarse), period))
    except Exception as problem:  # the client has a dozen kinds of them for a wrong answer
        raise ArchiveError(f"the archive {root} {_complaint(problem)}") from problem


def _pages(
    root: str, collections: list[str], sides: list[BaseGeometry], period: Period
) -> Iterator[Item]:
    client = pystac_client.Client.open(
        root, stac_io=StacApiIO(timeout=TIMEOUT_S, max_retries=RETRIES)
    )
    for side in sides:
        yield from client.search(
            collections=collections,
            intersects=shapely.geometry.mapping(side),
            datetime=f"{period.start}T00:00:00Z/{period.end}T23:59:59Z",
            limit=PAGE_ITEMS,
        ).items_as_dicts()


def _sides(geometry: BaseGeometry) -> list[BaseGeometry]:
    """The geometry, or its western and its eastern part where it lies at both ends of the map."""
    west, south, east, north = geometry.bounds
    if east - west <= 180:
        return [geometry]
    halves = (shapely.box(west, south, 0, north), shapely.box(0, south, east, north))
    return [half for box in halves if (half := geometry.intersection(box)).area]


def _complaint(problem: Exception) -> str:
    """What happened and what to do, to follow the archive's name."""
    status = getattr(problem, "status_code", None)
    if isinstance(problem, APIError) and isinstance(problem.__context__, requests.RequestException):
        problem = problem.__context__  # the client wraps every failure of the network
    if isinstance(problem, requests.JSONDecodeError | ValueError) and not status:
        return "answers what is no JSON; give the root address of a STAC API"
    if isinstance(problem, requests.Timeout):
        what = f"did not answer within {TIMEOUT_S[1]:.0f} s"
    elif isinstance(problem, requests.exceptions.RetryError):
        what = "keeps answering that it is busy or broken"
    elif isinstance(problem, requests.ConnectionError):
        what = "cannot be reached"
    elif status:
        what = f"answers HTTP {status}"
    else:
        return f"is no STAC API ({_brief(problem)}); give the root address of one"
    return f"{what}; check the address and the network, or try again later"


def _brief(problem: Exception) -> str:
    """The first line of an exception, short enough to be part of one line."""
    text = (str(problem).splitlines() or [""])[0] or type(problem).__name__
    return text if len(text) <= 120 else f"{text[:117]}..."
