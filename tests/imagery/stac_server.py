"""A STAC API as a process of its own, over items in a file, with habits and faults of real ones.

    python stac_server.py FOLDER [HABITS]     prints its port, then serves until it is ended

FOLDER holds items.json and may hold landing.json, a recorded landing page that is served with its
addresses replaced. HABITS is a JSON object:

    ignores      parameters it takes no notice of: intersects, datetime, collections, limit, ...
    empties      parameters it answers nothing to
    page         most items of a page, whatever limit asks for
    busy         how many requests it refuses with `status` and Retry-After `retry_after`
    heavy        degrees2 * days of a question from which on it gives up with 504
    silent       degrees2 * days of a question from which on it says nothing and hangs up in the end
    cuts         how many answers to a search it breaks off in the middle
    repeats      its next link leads to the same page again
    inserts      how many items come in before all others once the first page is given
    trickles     seconds between two bytes of an answer
    modest       it does not say that it lists its collections

Every request is a line of FOLDER/requests.jsonl: time, method, path, body.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import shapely
import shapely.geometry

CONFORMS = [
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/item-search",
    "https://api.stacspec.org/v1.0.0/item-search#query",
    "https://api.stacspec.org/v1.0.0/item-search#sort",
]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


@cache
def time_of(number: int) -> datetime:
    found = Handler.items[number]["properties"]
    return moment(found.get("datetime") or found["start_datetime"])


@cache
def ground_of(number: int) -> Any:
    return shapely.geometry.shape(Handler.items[number]["geometry"])


def passes(number: int, name: str, value: Any) -> bool:
    """Whether an item is what one parameter of a search asks for."""
    item = Handler.items[number]
    if name == "collections":
        return item["collection"] in value
    if name == "ids":
        return item["id"] in value
    if name == "datetime":
        first, _, last = value.partition("/")
        return moment(first) <= time_of(number) <= moment(last or first)
    if name == "intersects":
        return bool(ground_of(number).intersects(shapely.geometry.shape(value)))
    if name == "bbox":
        return bool(ground_of(number).intersects(shapely.box(*value)))
    if name == "query":
        tests = {"lt": lambda a, b: a < b, "gte": lambda a, b: a >= b}
        return all(
            tests[how](item["properties"].get(key, 0), limit)
            for key, wanted in value.items()
            for how, limit in wanted.items()
        )
    return True


SILENCE_S = 8.0
"""Until a silent server hangs up: longer than a test's patience with it."""


def load_of(question: dict[str, Any]) -> float:
    """Degrees2 * days of a question."""
    west, south, east, north = shapely.geometry.shape(question["intersects"]).bounds
    first, last = (moment(text) for text in question["datetime"].split("/"))
    return (east - west) * (north - south) * (last - first).total_seconds() / 86_400


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder = Path()
    habits: dict[str, Any] = {}  # noqa: RUF012
    items: list[dict[str, Any]] = []  # noqa: RUF012
    lock = Lock()
    refused = 0
    cut = 0

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query: dict[str, Any] = dict(parse_qsl(parts.query))
        self.answer("GET", parts.path.rstrip("/"), query)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer("POST", self.path.rstrip("/"), json.loads(body))

    def answer(self, method: str, path: str, asked: dict[str, Any]) -> None:
        with self.lock, (self.folder / "requests.jsonl").open("a") as log:
            line = {"at": time.monotonic(), "method": method, "path": path, "asked": asked}
            log.write(json.dumps(line) + "\n")
        if path == "/search" and Handler.refused < self.habits.get("busy", 0):
            Handler.refused += 1
            wait = {"Retry-After": str(self.habits.get("retry_after", 0))}
            self.send(self.habits.get("status", 503), {"code": "Busy"}, wait)
        elif path == "/search" and exceeds(asked, self.habits.get("silent")):
            time.sleep(SILENCE_S)
            self.close_connection = True
        elif path == "/search" and exceeds(asked, self.habits.get("heavy")):
            self.send(504, {"code": "GatewayTimeout"})
        elif path == "":
            self.send(200, self.landing())
        elif path == "/collections":
            names = sorted({item["collection"] for item in self.items})
            self.send(200, {"collections": [self.collection(n) for n in names], "links": []})
        elif path == "/search":
            self.send(200, self.page(asked))
        else:
            self.send(404, {"code": "NotFound"})

    @property
    def root(self) -> str:
        return f"http://{self.headers['Host']}"

    def landing(self) -> dict[str, Any]:
        links = [
            {"rel": "self", "href": self.root},
            {"rel": "root", "href": self.root},
            {"rel": "data", "href": f"{self.root}/collections"},
            {"rel": "search", "href": f"{self.root}/search", "method": "POST"},
        ]
        recorded = self.folder / "landing.json"
        if recorded.exists():
            return json.loads(recorded.read_text().replace("RECORDED_ROOT", self.root))
        return {
            "type": "Catalog",
            "id": "small",
            "stac_version": "1.0.0",
            "description": "small",
            "conformsTo": CONFORMS if not self.habits.get("modest") else CONFORMS[2:],
            "links": links,
        }

    def collection(self, name: str) -> dict[str, Any]:
        return {
            "type": "Collection",
            "id": name,
            "stac_version": "1.0.0",
            "description": name,
            "license": "other",
            "extent": {
                "spatial": {"bbox": [[-180, -90, 180, 90]]},
                "temporal": {"interval": [["2015-01-01T00:00:00Z", None]]},
            },
            "links": [{"rel": "self", "href": f"{self.root}/collections/{name}"}],
        }

    def page(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The items a search asks for, as far as the habits allow, a page at a time."""
        ignores = set(self.habits.get("ignores", ()))
        heard = {name: value for name, value in asked.items() if name not in ignores}
        order = sorted(heard, key=lambda name: name in ("intersects", "bbox"))
        found = [
            number
            for number in range(len(self.items))
            if all(passes(number, name, heard[name]) for name in order)
        ]
        if set(heard) & set(self.habits.get("empties", ())):
            found = []
        for wanted in heard.get("sortby", ()):
            found.sort(key=time_of, reverse=wanted["direction"] == "desc")
        size = min(int(heard.get("limit", 10)), self.habits.get("page", 1000))
        start = int(str(asked.get("token", "next:0")).removeprefix("next:"))
        if start:
            found = [*found[:1] * self.habits.get("inserts", 0), *found]
        links = [{"rel": "root", "href": self.root}]
        if start + size < len(found):
            following = 0 if self.habits.get("repeats") else start + size
            link = {"rel": "next", "href": f"{self.root}/search", "method": "POST"}
            links.append(link | {"body": {**asked, "token": f"next:{following}"}})
        page = [self.items[number] for number in found[start : start + size]]
        return {"type": "FeatureCollection", "features": page, "links": links}

    def send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/geo+json")
        self.end_headers()
        if self.path == "/search" and Handler.cut < self.habits.get("cuts", 0):
            Handler.cut += 1
            content = content[: len(content) // 2]
            self.close_connection = True
        if pause := self.habits.get("trickles"):
            for byte in content:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(pause)
        else:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Quiet."""


def exceeds(question: dict[str, Any], load: float | None) -> bool:
    return load is not None and load_of(question) > load


if __name__ == "__main__":
    Handler.folder = Path(sys.argv[1])
    Handler.habits = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
    Handler.items = json.loads((Handler.folder / "items.json").read_text())["features"]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
