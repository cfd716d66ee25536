"""Files over HTTP with ranges and a delay to the first byte, as an object store far away has.

    python slow_server.py FOLDER DELAY_MS     prints its port, then serves until it is ended

It runs in a process of its own, so that its work is not counted among that of its clients. `/count`
answers how many requests were made of files and how many bytes were sent, and begins anew.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

_RANGE = re.compile(rb"\r\nrange: *bytes=(\d+)-(\d*)", re.IGNORECASE)


class Server:
    """Serves the files below a folder."""

    def __init__(self, folder: Path, delay_s: float) -> None:
        self.folder, self.delay_s = folder, delay_s
        self.requests = self.sent = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                method, path, _ = head.split(b" ", 2)
                await self.answer(method, path.decode().partition("?")[0], head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(
        self, method: bytes, path: str, head: bytes, writer: asyncio.StreamWriter
    ) -> None:
        if path == "/count":
            counted = json.dumps({"requests": self.requests, "bytes": self.sent}).encode()
            self.requests = self.sent = 0
            self.send(writer, "200 OK", len(counted), "")
            writer.write(counted)
            return
        self.requests += 1
        await asyncio.sleep(self.delay_s)
        file = self.folder / path.lstrip("/")
        if not file.is_file():
            self.send(writer, "404 Not Found", 0, "")
            return
        size = file.stat().st_size
        wanted = _RANGE.search(head)
        first = int(wanted[1]) if wanted else 0
        last = min(int(wanted[2]) if wanted and wanted[2] else size - 1, size - 1)
        status = "206 Partial Content" if wanted else "200 OK"
        place = f"Content-Range: bytes {first}-{last}/{size}\r\n" if wanted else ""
        self.send(writer, status, last + 1 - first, place)
        if method != b"HEAD":
            with file.open("rb") as source:
                source.seek(first)
                body = source.read(last + 1 - first)
            self.sent += len(body)
            writer.write(body)
            await writer.drain()

    def send(self, writer: asyncio.StreamWriter, status: str, size: int, more: str) -> None:
        head = f"HTTP/1.1 {status}\r\nAccept-Ranges: bytes\r\nContent-Length: {size}\r\n"
        writer.write(f"{head}{more}\r\n".encode())


async def main(folder: Path, delay_ms: float) -> None:
    """Serve until the process is ended."""
    handler = Server(folder, delay_ms / 1000)
    server = await asyncio.start_server(handler.serve, "127.0.0.1", 0, limit=2**16)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2])))
