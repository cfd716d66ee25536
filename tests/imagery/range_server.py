"""A file server that honours Range, as object stores do and Python's own does not.

    python range_server.py FOLDER     prints its port, then serves until it is ended

Paths may start with a fault: /busy/ answers 503 to the first request of each path, /cut/ closes the
connection in the middle of every body, /refused/ answers 403, /html/ answers a web page,
/whole/ answers whole files only, /down/ answers 503 for ever.
"""

from __future__ import annotations

import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

FAULTS = ("busy", "cut", "refused", "html", "whole", "down")


class Handler(BaseHTTPRequestHandler):
    """GET and HEAD of files below the folder."""

    protocol_version = "HTTP/1.1"
    folder = Path()
    seen: ClassVar[set[str]] = set()

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, with_body: bool) -> None:
        path = self.path.partition("?")[0].lstrip("/")
        fault, _, rest = path.partition("/")
        if fault in FAULTS:
            path = rest
        file = self.folder / path
        if fault == "html":
            self.send(200, b"<html>please sign in</html>", {"Content-Type": "text/html"})
        elif fault == "refused":
            self.send(403, b"", {})
        elif fault == "down":
            self.send(503, b"", {})
        elif fault == "busy" and path not in self.seen:
            self.seen.add(path)
            self.send(503, b"", {"Retry-After": "0"})
        elif not file.is_file():
            self.send(404, b"", {})
        else:
            if fault == "whole":
                del self.headers["Range"]
            self.send_file(file, with_body, cut=fault == "cut")

    def send_file(self, file: Path, with_body: bool, cut: bool) -> None:
        body, headers, status = file.read_bytes(), {"Accept-Ranges": "bytes"}, 200
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first = int(wanted[1])
            last = min(int(wanted[2] or len(body) - 1), len(body) - 1)
            if first > last:
                self.send(416, b"", {"Content-Range": f"bytes */{len(body)}"})
                return
            headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
            body, status = body[first : last + 1], 206
        self.send(status, body, headers, with_body=with_body, cut=cut)

    def send(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str],
        *,
        with_body: bool = True,
        cut: bool = False,
    ) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Quiet."""


if __name__ == "__main__":
    Handler.folder = Path(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
