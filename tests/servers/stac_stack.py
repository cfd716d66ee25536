"""A real archive on this machine: PostgreSQL, PostGIS, stac-fastapi-pgstac, nginx, and faults.

    python stac_stack.py ARCHIVE     an archive that `mapper simulate` wrote; prints the addresses

What it needs: `apt-get install postgresql postgis postgresql-postgis nginx`, and in a virtual
environment of its own, because their dependencies are not ours, what `requirements.txt` beside
this file names: `make servers` makes that in .venv-servers.

The items' pixels lie, as at the Planetary Computer, on a host of Azure that wants tokens; a client
reaches it by the fault proxy (http_proxy), and its tokens by PC_SDK_SAS_URL.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BLOBS = "http://simulated.blob.core.windows.net/archive"
PATIENCE_S = 60
"""Until a server answers for the first time."""


class MissingError(Exception):
    """A package that the servers need is not here."""


@dataclass(frozen=True)
class Programs:
    """Where the servers' programs are."""

    postgres: Path
    """Folder of initdb and postgres."""
    nginx: Path
    pgstac: Path
    """Folder of pypgstac and uvicorn."""


@dataclass(frozen=True)
class StacStack:
    """Addresses of running servers."""

    api: str
    """Root of the STAC API, behind nginx."""
    proxy: int
    """Port of the fault proxy."""
    folder: Path
    """Of the proxy's rules and its log."""

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to reach the pixels."""
        proxy = f"http://127.0.0.1:{self.proxy}"
        return {
            "http_proxy": proxy,
            "no_proxy": "127.0.0.1,localhost",
            "PC_SDK_SAS_URL": f"{proxy}/token",
        }

    def spoil(self, *rules: dict[str, Any]) -> None:
        """From here on requests fail by these rules, and by no others."""
        fresh = self.folder / "faults.new"
        fresh.write_text(json.dumps(rules))
        fresh.replace(self.folder / "faults.json")
        (self.folder / "requests.jsonl").write_text("")

    def requests(self) -> list[dict[str, Any]]:
        """What the proxy was asked since then."""
        return [json.loads(li) for li in (self.folder / "requests.jsonl").read_text().splitlines()]


def find_programs() -> Programs:
    """The programs, or MissingError naming the first that is not here."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb")
    places += [Path(found).resolve().parent] if found else []
    postgres = next((place for place in places if (place / "postgres").exists()), None)
    if postgres is None:
        raise MissingError("PostgreSQL is not installed (apt-get install postgresql)")
    shares = [Path("/usr/share/postgresql").joinpath(postgres.parent.name), postgres.parent]
    if not any(list(share.rglob("postgis.control")) for share in shares if share.is_dir()):
        raise MissingError("PostGIS is not installed (apt-get install postgresql-postgis)")
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if nginx is None:
        raise MissingError("nginx is not installed (apt-get install nginx)")
    own = os.environ.get("PGSTAC_VENV", str(ROOT / ".venv-servers"))
    for place in (Path(own) / "bin", Path(sys.executable).parent):
        if (place / "pypgstac").exists() and (place / "uvicorn").exists():
            return Programs(postgres, Path(nginx), place)
    raise MissingError("stac-fastapi-pgstac is not installed (make servers)")


@contextmanager
def stac_stack(archive: Path, programs: Programs) -> Iterator[StacStack]:
    """Servers of an archive, as long as the block lasts."""
    # Not below a test's own folder: the database runs as another user, who may not go there.
    folder = Path(tempfile.mkdtemp(prefix="stac-stack-"))
    folder.chmod(0o755)
    try:
        with ExitStack() as stack:
            database = stack.enter_context(_database(folder, programs))
            _fill(folder, archive, programs, database)
            api = stack.enter_context(_api(folder, programs, database))
            files = stack.enter_context(_nginx(folder, programs, archive, api))
            proxy = stack.enter_context(_fault_proxy(folder, files))
            yield StacStack(f"http://127.0.0.1:{files}/stac", proxy, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(command: list[str], log: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _database(folder: Path, programs: Programs) -> Iterator[dict[str, str]]:
    """PostgreSQL with an empty database; gives the variables that clients connect by."""
    data, port = folder / "db", free_port()
    data.mkdir()
    someone: dict[str, Any] = {"cwd": str(folder)}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        try:
            account = pwd.getpwnam("postgres")
        except KeyError:
            raise MissingError("there is no user postgres for root to run PostgreSQL as") from None
        os.chown(data, account.pw_uid, account.pw_gid)
        someone |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    begin = [str(programs.postgres / "initdb"), "-D", str(data), "-U", "mapper", "-A", "trust"]
    made = subprocess.run(
        [*begin, "--no-sync", "-E", "UTF8", "--locale", "C.UTF-8"],
        capture_output=True,
        text=True,
        check=False,
        **someone,
    )
    if made.returncode:
        raise MissingError(f"initdb does not work here ({made.stderr.strip().splitlines()[-1:]})")
    server = [str(programs.postgres / "postgres"), "-D", str(data), "-p", str(port)]
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "off",
        "synchronous_commit": "off",
    }
    server += [text for key, value in settings.items() for text in ("-c", f"{key}={value}")]
    with _running(server, folder / "postgres.log", **someone):
        _wait_for_port(port)
        yield {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(port),
            "PGUSER": "mapper",
            "PGPASSWORD": "none",
            "PGDATABASE": "postgres",
        }


def _fill(folder: Path, archive: Path, programs: Programs, database: dict[str, str]) -> None:
    """Collections and items of the archive, with hrefs on a host that wants tokens."""
    items = json.loads((archive / "items.json").read_text())["features"]
    for item in items:
        for asset in item["assets"].values():
            asset["href"] = f"{BLOBS}/{asset['href'].removeprefix('./')}"
        item["links"] = []
    names = sorted({item["collection"] for item in items})
    collections = [json.loads((archive / n / "collection.json").read_text()) for n in names]
    for collection in collections:
        collection["links"] = []
    _lines(folder / "collections.ndjson", collections)
    _lines(folder / "items.ndjson", items)
    for words in (
        ["migrate"],
        ["load", "collections", str(folder / "collections.ndjson"), "--method", "insert"],
        ["load", "items", str(folder / "items.ndjson"), "--method", "insert"],
    ):
        done = subprocess.run(
            [str(programs.pgstac / "pypgstac"), *words],
            env={**os.environ, **database},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, f"pypgstac {words}: {done.stderr[-2000:]}"


def _lines(path: Path, values: list[Any]) -> None:
    path.write_text("".join(json.dumps(value) + "\n" for value in values))


@contextmanager
def _api(folder: Path, programs: Programs, database: dict[str, str]) -> Iterator[int]:
    """stac-fastapi-pgstac; gives its port."""
    port = free_port()
    settings = {**os.environ, **database, "DB_MAX_CONN_SIZE": "4"}
    command = [str(programs.pgstac / "uvicorn"), "--factory", "stac_fastapi.pgstac.app:create_app"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    command += ["--root-path", "/stac"]
    with _running(command, folder / "api.log", env=settings) as process:
        _wait_for_url(f"http://127.0.0.1:{port}/", process, folder / "api.log")
        yield port


@contextmanager
def _nginx(folder: Path, programs: Programs, archive: Path, api: int) -> Iterator[int]:
    """Ranges of files, and the API below /stac/; gives its port."""
    port = free_port()
    user = f"user {pwd.getpwuid(os.geteuid()).pw_name};" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"""{user}
        daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
        events {{}}
        http {{
          access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
          fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
          server {{
            listen 127.0.0.1:{port};
            location /archive/ {{ alias {archive}/; }}
            location /narrow/ {{ alias {archive}/; limit_rate 4k; }}
            location /stac/ {{
              proxy_pass http://127.0.0.1:{api}/; proxy_set_header Host $http_host;
            }}
          }}
        }}
        """
    )
    command = [str(programs.nginx), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with _running(command, folder / "nginx.out") as process:
        _wait_for_url(f"http://127.0.0.1:{port}/stac/", process, folder / "nginx.log")
        yield port


@contextmanager
def _fault_proxy(folder: Path, upstream: int) -> Iterator[int]:
    script = Path(__file__).with_name("fault_proxy.py")
    (folder / "requests.jsonl").write_text("")
    command = [sys.executable, str(script), str(upstream), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, "PostgreSQL does not answer"
            time.sleep(0.1)
        else:
            return


def _wait_for_url(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            opener.open(url, timeout=5).close()
        except OSError:
            late = time.monotonic() > deadline or process.poll() is not None
            assert not late, f"{url} does not answer: {log.read_text()[-2000:]}"
            time.sleep(0.1)
        else:
            return


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the servers end with us either way
    with stac_stack(Path(sys.argv[1]).resolve(), find_programs()) as servers:
        print(f"STAC API    {servers.api}")
        print(f"faults      {servers.folder / 'faults.json'}")
        for name, text in servers.environment.items():
            print(f"export {name}={text}")
        print("Ctrl-C ends them", flush=True)
        try:
            time.sleep(10**9)
        except KeyboardInterrupt:
            print("ended")
