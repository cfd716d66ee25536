"""Hrefs signed at the moment they are read; signed ones are never stored, logged or shown."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import requests
from planetary_computer.sas import TOKEN_CACHE, SASToken
from planetary_computer.settings import Settings

from mapper.imagery.faults import brief

_BLOB_HOST = ".blob.core.windows.net"
_TOKEN_S = (10.0, 20.0)
"""To connect to the token service, and for it to answer. The library's own question has no end."""
_FRESH_S = 60.0
"""A token that expires sooner is replaced, as the library has it."""
_asking = threading.Lock()


def signed(href: str, signing: str | None) -> str:
    """The address to read an asset at.

    Tokens are kept and asked for again shortly before they expire, so a run may last longer than
    any of them. A token service that fails is asked once: patience is the caller's.

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
    since = time.monotonic()
    with _asking:  # many readers start at once, and one token does for all of them
        failed_at, failure = _failures.get(f"{account}/{container}", (0.0, ""))
        if failed_at > since:  # and so does one failure
            raise OSError(failure)
        try:
            token = _token(account, container)
        except (ValueError, TypeError, OSError) as problem:
            failure = f"the token service for {account} {_complaint(problem)}"
            _failures[f"{account}/{container}"] = time.monotonic(), failure
            raise OSError(failure) from None
    return str(token.sign(href).href)


_failures: dict[str, tuple[float, str]] = {}
"""When the last question for a token of each container failed, by `time.monotonic`, and how: in
words, since an exception would keep what every reader that met it was about to fill."""


def _complaint(problem: Exception) -> str:
    """What went wrong, in words that `faults` knows."""
    if isinstance(problem, requests.HTTPError) and problem.response is not None:
        return f"answers with status code {problem.response.status_code}"
    if isinstance(problem, OSError) and not isinstance(problem, ValueError):
        return f"cannot be asked: {type(problem).__name__}: {brief(problem)}"
    return "answers no token"


def _token(account: str, container: str) -> SASToken:
    settings = Settings.get()
    url = f"{settings.sas_url}/{account}/{container}"
    token = TOKEN_CACHE.get(url)
    if token is None or token.ttl() < _FRESH_S:
        key = settings.subscription_key
        headers = {"Ocp-Apim-Subscription-Key": key} if key else None
        with requests.get(url, headers=headers, timeout=_TOKEN_S) as answer:
            answer.raise_for_status()
            token = TOKEN_CACHE[url] = SASToken(**answer.json())
    return token


_SIGNERS: dict[str, Callable[[str], str]] = {"planetary-computer": _by_planetary_computer}
_RENEWERS: dict[str, Callable[[str, float], None]] = {
    "planetary-computer": _renew_planetary_computer
}
