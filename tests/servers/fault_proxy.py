"""An HTTP proxy that spoils what passes, and a token service beside it.

    python fault_proxy.py UPSTREAM_PORT FOLDER     prints its port, then serves until it is ended

Whatever host a client asks for, the answer comes from the upstream server of this machine: so blobs
of hosts that are elsewhere can be read by clients that are told of a proxy. `FOLDER/faults.json` is
read at each request: a list of rules, of which the first that matches a path and is not used up for
it decides. A rule is {"path": regex, "fault": ..., "times": requests of each path, 0 for all}:

    status   answers "status" with "headers" instead
    late     begins to answer after "seconds"
    cut      closes the connection in the middle of the body
    garble   sends other bytes of the same number, but for the first ones of a file
    trickle  sends a byte every "seconds"
    token    answers 403 unless the address holds a token that was used fewer than "uses" times

GET /token/ACCOUNT/CONTAINER answers a new token each time. `FOLDER/requests.jsonl` has a line for
each request: second, path, status, and the range that was asked for; never a token.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "SECRET-TOKEN-{}-OF-THE-TEST"


class Proxy:
    """One upstream server, and the faults on the way to it."""

    def __init__(self, upstream: int, folder: Path) -> None:
        self.upstream = upstream
        self.rules = folder / "faults.json"
        self.log = (folder / "requests.jsonl").open("a", buffering=1)
        self.used: Counter[tuple[str, str]] = Counter()
        self.tokens: Counter[str] = Counter()
        self.number = itertools.count(1)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.split("\r\n")
            method, target, _ = first.split(" ", 2)
            headers = {k.lower(): v.strip() for k, _, v in (li.partition(":") for li in lines) if k}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            await self.answer(method, urlsplit(target), headers, body, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away
        finally:
            writer.close()

    async def answer(
        self, method: str, url: Any, headers: dict[str, str], body: bytes, writer: Any
    ) -> None:
        path = url.path
        if path.startswith("/token/"):
            expiry = {"token": f"sig={self.new_token()}", "msft:expiry": "2999-01-01T00:00:00Z"}
            self.note(path, 200, headers)
            await self.send(writer, 200, json.dumps(expiry).encode())
            return
        rule = self.rule_for(path, url.query)
        fault = rule.get("fault")
        if fault in ("status", "token"):
            status = rule.get("status", 403)
            self.note(path, status, headers)
            await self.send(writer, status, b"no", rule.get("headers"))
            return
        status, answered, content = await self.ask(method, url, headers, body)
        self.note(path, status, headers)
        if fault == "late":
            await asyncio.sleep(rule["seconds"])
        writer.write(answered)
        if fault == "garble" and not headers.get("range", "bytes=0-").startswith("bytes=0-"):
            content = bytes(len(content))
        if fault == "cut":
            writer.write(content[: len(content) // 2])
        elif fault == "trickle":
            for at in range(len(content)):
                writer.write(content[at : at + 1])
                await writer.drain()
                await asyncio.sleep(rule["seconds"])
        else:
            writer.write(content)
        await writer.drain()

    async def ask(
        self, method: str, url: Any, headers: dict[str, str], body: bytes
    ) -> tuple[int, bytes, bytes]:
        """Status, head and body of the upstream server's answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        passed = {
            name: text
            for name, text in headers.items()
            if name not in ("connection", "proxy-connection", "accept-encoding", "host")
        }
        passed |= {"host": headers.get("host", "localhost"), "connection": "close"}
        query = "" if "sig=" in url.query or not url.query else f"?{url.query}"
        lines = [f"{method} {url.path}{query} HTTP/1.0"]
        lines += [f"{name}: {text}" for name, text in passed.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        head = await reader.readuntil(b"\r\n\r\n")
        content = await reader.read()
        writer.close()
        return int(head.split(b" ", 2)[1]), head, content

    def rule_for(self, path: str, query: str) -> dict[str, Any]:
        """The rule that decides about a request, or an empty one."""
        try:
            rules = json.loads(self.rules.read_text())
        except (OSError, ValueError):
            return {}
        for rule in rules:
            if not re.search(rule["path"], path):
                continue
            if rule["fault"] == "token":
                if not self.is_valid(query, rule["uses"]):
                    return dict(rule)
                continue
            key = (json.dumps(rule), path)
            self.used[key] += 1
            if rule.get("times", 0) in (0, *range(self.used[key], 10_000)):
                return dict(rule)
        return {}

    def new_token(self) -> str:
        token = TOKEN.format(next(self.number))
        self.tokens[token] = 0
        return token

    def is_valid(self, query: str, uses: int) -> bool:
        """Whether a query holds a token that is not worn out."""
        token = parse_qs(query).get("sig", [""])[0]
        if token not in self.tokens:
            return False
        self.tokens[token] += 1
        return self.tokens[token] <= uses

    def note(self, path: str, status: int, headers: dict[str, str]) -> None:
        at = asyncio.get_running_loop().time()
        line = {"at": at, "path": path, "status": status, "range": headers.get("range")}
        self.log.write(json.dumps(line) + "\n")

    async def send(
        self, writer: Any, status: int, body: bytes, headers: dict[str, str] | None = None
    ) -> None:
        lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", "Connection: close"]
        lines += [f"{name}: {text}" for name, text in (headers or {}).items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()


async def main() -> None:
    proxy = Proxy(int(sys.argv[1]), Path(sys.argv[2]))
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
