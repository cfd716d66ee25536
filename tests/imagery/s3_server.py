"""An object store as a process of its own: ranges of files, only for requests that are signed.

    python s3_server.py FOLDER KEY SECRET     prints its port, then serves until it is ended

The signature (AWS version 4) is computed anew and compared, so that a client with a wrong secret,
or with none, is refused as a real store would refuse it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit


def signature_of(handler: BaseHTTPRequestHandler, secret: str, scope: str, signed: str) -> str:
    """The signature a request should have (AWS General Reference, Signature Version 4)."""
    parts = urlsplit(handler.path)
    names = signed.split(";")
    headers = "".join(f"{n}:{' '.join((handler.headers[n] or '').split())}\n" for n in names)
    body = handler.headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
    path = quote(unquote(parts.path))
    query = "&".join(sorted(parts.query.split("&"))) if parts.query else ""
    request = "\n".join([handler.command, path, query, headers, signed, body])
    day, region, service, end = scope.split("/")
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", handler.headers["x-amz-date"], scope, digest])
    key = b"AWS4" + secret.encode()
    for word in (day, region, service, end):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder = Path()
    key = secret = ""

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, with_body: bool) -> None:
        file = self.folder / unquote(urlsplit(self.path).path).lstrip("/")
        if not self.is_signed():
            self.send(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>", {}, with_body)
        elif not file.is_file():
            self.send(404, b"<Error><Code>NoSuchKey</Code></Error>", {}, with_body)
        else:
            self.send_file(file.read_bytes(), with_body)

    def is_signed(self) -> bool:
        found = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/([^,]+), ?SignedHeaders=([^,]+),"
            r" ?Signature=(\w+)",
            self.headers.get("Authorization", ""),
        )
        if found is None or found[1] != self.key:
            return False
        return hmac.compare_digest(signature_of(self, self.secret, found[2], found[3]), found[4])

    def send_file(self, body: bytes, with_body: bool) -> None:
        headers, status = {"Accept-Ranges": "bytes"}, 200
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(wanted[1]), min(int(wanted[2] or len(body) - 1), len(body) - 1)
            if first > last:
                self.send(416, b"", {"Content-Range": f"bytes */{len(body)}"}, with_body)
                return
            headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
            body, status = body[first : last + 1], 206
        self.send(status, body, headers, with_body)

    def send(self, status: int, body: bytes, headers: dict[str, str], with_body: bool) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


if __name__ == "__main__":
    Handler.folder, Handler.key, Handler.secret = Path(sys.argv[1]), *sys.argv[2:4]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
