"""Hrefs signed at the moment they are read; signed ones are never stored, logged or shown."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from planetary_computer.sas import TOKEN_CACHE, get_token

_BLOB_HOST = ".blob.core.windows.net"
_TOKEN_RETRIES = 4
"""The library's own ten, with their doubled waits, would hold a run for seven minutes."""
_asking = threading.Lock()


def signed(href: str, signing: str | None) -> str:
    """The address to read an asset at.

    Tokens are kept by the library and asked for again shortly before they expire, so a run may
    last longer than any of them.

    Args:
        href: as the archive's item has it.
        signing: who signs, as in `Scene.signing`.

    Raises:
        OSError: there is no token to be had.
    """
    return href if signing is None else _SIGNERS[signing](href)


def renew(href: str, signing: str | None, age_s: float) -> None:
    """Forget the token of an asset that was refused, so that the next `signed` asks for another.

    Args:
        href: as the archive's item has it.
        signing: who signs.
        age_s: seconds since the refused read began. A token asked for since then is kept: of many
            readers that are refused at once, one has it renewed for all.
    """
    if signing is not None:
        _RENEWERS[signing](href, time.monotonic() - age_s)


_renewed: dict[str, float] = {}
"""When the tokens of each container were last forgotten, by `time.monotonic`."""


def _renew_planetary_computer(href: str, since: float) -> None:
    account, container = _container(href)
    with _asking:
        if _renewed.get(f"{account}/{container}", since) > since:
            return
        for key in [key for key in TOKEN_CACHE if key.endswith(f"/{account}/{container}")]:
            del TOKEN_CACHE[key]
        _renewed[f"{account}/{container}"] = time.monotonic()


def _container(href: str) -> tuple[str, str]:
    """Storage account and container of a blob's address."""
    parts = urlsplit(href)
    return (parts.hostname or "").removesuffix(_BLOB_HOST), parts.path.split("/")[1]


def _by_planetary_computer(href: str) -> str:
    parts = urlsplit(href)
    host = parts.hostname or ""
    if not host.endswith(_BLOB_HOST) or parts.query:
        return href
    account, container = _container(href)
    with _asking:  # many readers start at once, and one token does for all of them
        try:
            token = get_token(account, container, retry_total=_TOKEN_RETRIES)
        except ValueError as problem:
            raise OSError(f"the token service for {account} answers no token") from problem
    return str(token.sign(href).href)


_SIGNERS: dict[str, Callable[[str], str]] = {"planetary-computer": _by_planetary_computer}
_RENEWERS: dict[str, Callable[[str, float], None]] = {
    "planetary-computer": _renew_planetary_computer
}
