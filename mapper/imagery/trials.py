"""What a STAC API does with each kind of question, tried out: honoured, refused, or just ignored.

Every question is made from a first plain page, so that its right answer is known: an item that must
be there, and items that must not. `mapper` tests every answer itself and needs only the first few
kinds; the others say how far an archive's word can be taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from itertools import islice
from typing import Any

import pystac_client
import requests
import shapely
import shapely.geometry
from pystac_client.exceptions import APIError
from shapely.geometry.base import BaseGeometry

from mapper.imagery.digits import number
from mapper.imagery.faults import brief
from mapper.imagery.footprints import split_at_180
from mapper.imagery.items import Item, time_of

PLAIN_ITEMS = 20
"""Items of the first plain page."""
_NOWHERE = "no-such-collection"
_LONG_AGO = "1990-01-01T00:00:00Z/1990-12-31T00:00:00Z"
"""Before any Sentinel."""
_POINT_DEG = 1e-3
"""Half the side of the ground that is asked for in the middle of an item."""


class Answer(Enum):
    """How a server takes a kind of question."""

    HONOURED = "honoured"
    IGNORED = "ignored"
    """It answers as if nothing had been asked."""
    EMPTY = "answers nothing"
    """Not even what is surely there."""
    REFUSED = "refused"
    """It says that it cannot."""
    UNTOLD = "cannot be told"
    """The first page leaves no question whose answer is known."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One kind of question, and what came of it."""

    name: str
    """The parameter of STAC API."""
    needed: bool
    """Whether mapper asks so; it copes all the same where the answer is too much."""
    answer: Answer
    detail: str
    """A few words: what was asked, and what came."""


def tried(server: pystac_client.Client, collection: str) -> tuple[list[Item], list[Trial]]:
    """The first plain page of a collection, and a trial of each kind of question.

    Raises:
        Exception: not even the plain page is answered; `server.complaint` puts it in words.
    """
    plain = _first_page(server, collections=[collection], limit=PLAIN_ITEMS)
    if not plain:
        return [], []
    trials = [
        Trial(name, needed, *_outcome(trial, server, collection, plain))
        for name, needed, trial in _TRIALS
    ]
    return plain, trials


_Outcome = tuple[Answer, str]
_Try = Callable[[pystac_client.Client, str, Sequence[Item]], _Outcome]


def _outcome(
    trial: _Try, server: pystac_client.Client, collection: str, plain: Sequence[Item]
) -> _Outcome:
    try:
        return trial(server, collection, plain)
    except APIError as problem:
        return Answer.REFUSED, f"HTTP {problem.status_code}" if problem.status_code else brief(
            problem
        )
    except (requests.RequestException, NotImplementedError) as problem:
        return Answer.REFUSED, brief(problem)


def _pages(server: pystac_client.Client, count: int, **question: Any) -> list[list[Item]]:
    """The first pages of an answer; the client would go on for ever."""
    pages = server.search(**question).pages_as_dicts()
    return [list(page.get("features") or ()) for page in islice(pages, count)]


def _first_page(server: pystac_client.Client, **question: Any) -> list[Item]:
    return next(iter(_pages(server, 1, **question)), [])


def _collections(server: pystac_client.Client, collection: str, plain: Sequence[Item]) -> _Outcome:
    found = _first_page(server, collections=[_NOWHERE], limit=PLAIN_ITEMS)
    others = {item.get("collection") for item in (*plain, *found)} - {collection}
    if found or others:
        return Answer.IGNORED, f"items of {', '.join(sorted(map(str, others))) or collection} came"
    return Answer.HONOURED, f"only items of {collection} came"


def _intersects(server: pystac_client.Client, collection: str, plain: Sequence[Item]) -> _Outcome:
    ground = split_at_180(shapely.geometry.shape(plain[0]["geometry"]))
    return _spatial(
        lambda area: _first_page(
            server,
            collections=[collection],
            intersects=shapely.geometry.mapping(area),
            limit=PLAIN_ITEMS,
        ),
        ground,
    )


def _bbox(server: pystac_client.Client, collection: str, plain: Sequence[Item]) -> _Outcome:
    ground = split_at_180(shapely.geometry.shape(plain[0]["geometry"]))
    return _spatial(
        lambda area: _first_page(
            server, collections=[collection], bbox=list(area.bounds), limit=PLAIN_ITEMS
        ),
        ground,
    )


def _spatial(ask: Callable[[BaseGeometry], list[Item]], ground: BaseGeometry) -> _Outcome:
    """A small area inside an item must give items there; its antipode must not give that item."""
    x, y = shapely.get_coordinates(shapely.point_on_surface(ground))[0]
    here = _square(x, y)
    there = _square((x + 360) % 360 - 180, -y)
    found = ask(here)
    if stray := [item for item in (*found, *ask(there)) if _misses(item, here, there)]:
        return Answer.IGNORED, f"{stray[0].get('id')} lies elsewhere"
    if not found:
        return Answer.EMPTY, f"no item at {x:.3f}, {y:.3f}, where one is"
    return Answer.HONOURED, f"{len(found)} items at {x:.3f}, {y:.3f}, all of them there"


def _square(x: float, y: float) -> BaseGeometry:
    """A small square round a point, inside the map of the world."""
    reach = 180 - _POINT_DEG
    x = min(max(x, -reach), reach)
    return shapely.box(x - _POINT_DEG, y - _POINT_DEG, x + _POINT_DEG, y + _POINT_DEG)


def _misses(item: Item, *areas: BaseGeometry) -> bool:
    """Whether an item meets none of some areas, by its bounding box, which is generous."""
    ground = split_at_180(shapely.geometry.shape(item["geometry"]))
    return not any(ground.envelope.intersects(area) for area in areas)


def _datetime(server: pystac_client.Client, collection: str, plain: Sequence[Item]) -> _Outcome:
    moment = time_of(plain[0])
    if moment is None:
        return Answer.UNTOLD, "the first item states no time"
    day = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    span = f"{day:%Y-%m-%dT%H:%M:%SZ}/{day + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
    found = _first_page(server, collections=[collection], datetime=span, limit=PLAIN_ITEMS)
    old = _first_page(server, collections=[collection], datetime=_LONG_AGO, limit=PLAIN_ITEMS)
    if old or any(_off(item, day) for item in found):
        return Answer.IGNORED, f"asked for {day:%Y-%m-%d} and for 1990, items of other days came"
    if not found:
        return Answer.EMPTY, f"no item of {day:%Y-%m-%d}, when one is"
    return Answer.HONOURED, f"{len(found)} items of {day:%Y-%m-%d}, none of 1990"


def _off(item: Item, day: datetime) -> bool:
    """Whether an item is of another day; one with a span of time may be of several."""
    moment = time_of(item)
    return moment is None or not day - timedelta(days=1) <= moment <= day + timedelta(days=1)


def _limit(server: pystac_client.Client, collection: str, plain: Sequence[Item]) -> _Outcome:
    if len(plain) < 3:
        return Answer.UNTOLD, f"there are {len(plain)} items"
    found = _first_page(server, collections=[collection], limit=2)
    verdict = Answer.HONOURED if 0 < len(found) <= 2 else Answer.IGNORED
    return verdict, f"2 were asked for, {len(found)} came"


def _paging(server: pystac_client.Client, collection: str, plain: Sequence[Item]) -> _Outcome:
    if len(plain) < 3:
        return Answer.UNTOLD, f"there are {len(plain)} items"
    pages = _pages(server, 2, collections=[collection], limit=2)
    if len(pages) < 2:
        return Answer.IGNORED, "there is no second page, although there are more items"
    names = [{item.get("id") for item in page} for page in pages]
    if names[0] & names[1]:
        return Answer.IGNORED, "the second page repeats items of the first"
    return Answer.HONOURED, "the second page has other items than the first"


def _ids(server: pystac_client.Client, collection: str, plain: Sequence[Item]) -> _Outcome:
    wanted = plain[-1]["id"]
    found = _first_page(server, collections=[collection], ids=[wanted], limit=PLAIN_ITEMS)
    if any(item.get("id") != wanted for item in found):
        return Answer.IGNORED, "other items came"
    return (Answer.HONOURED if found else Answer.EMPTY), f"asked for {wanted}"


@dataclass(frozen=True, slots=True)
class _Comparison:
    """A property of the first page, and a value that some of its items reach."""

    name: str
    value: float


def _comparison(plain: Sequence[Item]) -> _Comparison | None:
    for name in ("eo:cloud_cover", "sat:relative_orbit", "sat:absolute_orbit"):
        if values := [v for i in plain if (v := number(i["properties"].get(name))) is not None]:
            return _Comparison(name, (min(values) + max(values)) / 2)
    return None


def _compared(plain: Sequence[Item], ask: Callable[[_Comparison, bool], list[Item]]) -> _Outcome:
    """Items that reach a value, some of which are there, and items that do not."""
    comparison = _comparison(plain)
    if comparison is None:
        return Answer.UNTOLD, "no number is stated that could be compared"
    name, value = comparison.name, comparison.value
    words = f"asked for {name} below {value:g} and from there on"
    above, below = ask(comparison, True), ask(comparison, False)
    reach = [(v := number(i["properties"].get(name))) is not None and v >= value for i in above]
    fail = [(v := number(i["properties"].get(name))) is not None and v < value for i in below]
    if not all(reach) or not all(fail):
        return Answer.IGNORED, f"{words}, others came"
    if not above:
        return Answer.EMPTY, f"{words}, which the first page has"
    return Answer.HONOURED, words


def _query(server: pystac_client.Client, collection: str, plain: Sequence[Item]) -> _Outcome:
    return _compared(
        plain,
        lambda c, above: _first_page(
            server,
            collections=[collection],
            query={c.name: {"gte" if above else "lt": c.value}},
            limit=PLAIN_ITEMS,
        ),
    )


def _filter(server: pystac_client.Client, collection: str, plain: Sequence[Item]) -> _Outcome:
    return _compared(
        plain,
        lambda c, above: _first_page(
            server,
            collections=[collection],
            filter={"op": ">=" if above else "<", "args": [{"property": c.name}, c.value]},
            filter_lang="cql2-json",
            limit=PLAIN_ITEMS,
        ),
    )


def _sort(server: pystac_client.Client, collection: str, plain: Sequence[Item]) -> _Outcome:
    if len({time_of(item) for item in plain}) < 2:
        return Answer.UNTOLD, "all items of the first page are of one moment"
    orders = []
    for direction in ("asc", "desc"):
        sortby = [{"field": "properties.datetime", "direction": direction}]
        found = _first_page(server, collections=[collection], sortby=sortby, limit=PLAIN_ITEMS)
        orders.append([moment for item in found if (moment := time_of(item))])
    up, down = orders
    if not up or not down:
        return Answer.EMPTY, "asked for datetime up and down"
    if up == sorted(up) and down == sorted(down, reverse=True) and up[0] < down[0]:
        return Answer.HONOURED, "datetime up and down"
    return Answer.IGNORED, "asked for datetime up and down, the order is another"


_TRIALS: tuple[tuple[str, bool, _Try], ...] = (
    ("collections", True, _collections),
    ("intersects", True, _intersects),
    ("datetime", True, _datetime),
    ("limit", True, _limit),
    ("paging", True, _paging),
    ("bbox", False, _bbox),
    ("ids", False, _ids),
    ("query", False, _query),
    ("filter", False, _filter),
    ("sortby", False, _sort),
)
