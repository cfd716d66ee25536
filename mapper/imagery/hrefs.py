"""Addresses of assets: made to stand alone, and freed of any signature. Pure.

A signature is a key to the data of whoever asked for it, and expires. Scenes travel into plans,
scene lists, journals and STAC items, so it is taken off at the door, and put on again by
`signing.py` at the moment of reading.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

_SCHEMES = ("http", "https", "s3", "gs", "az")
_SECRET = re.compile(
    r"sig|signature|x-amz-.+|awsaccesskeyid|x-goog-.+|googleaccessid|token|.*[_-]?token|api_?key"
    r"|.*subscription-key|password|key"
)
"""Parameters that are a secret, or mean nothing without one (AWS, Google, Azure, and others)."""
_AZURE = re.compile(r"s(e|ip|koid|ke|ks|kt|ktid|kv|p|pr|r|rt|s|t|v)")
"""Short names that belong to a signature where one called sig is among them."""


def absolute(href: str, base: str) -> str:
    """A href that stands alone; relative ones start where the item or its index lies."""
    if urlsplit(href).scheme in _SCHEMES:
        return _straight(href)
    if href.startswith("file://"):
        return urlsplit(href).path
    if urlsplit(base).scheme in ("http", "https", "s3"):
        return urljoin(base, href)
    path = PurePosixPath(href)
    return str(path if path.is_absolute() else PurePosixPath(base).parent / path)


def _straight(href: str) -> str:
    """An address without . and .. in its path (RFC 3986, 5.2.4), which some readers refuse."""
    parts = urlsplit(href)
    if not {".", ".."} & set(parts.path.split("/")):
        return href
    return urlunsplit(parts._replace(path=urlsplit(urljoin("http://host/", parts.path)).path))


def own_link(item: Mapping[str, Any]) -> str | None:
    """Where an item itself lies, when that is a full address."""
    for link in item.get("links") or ():
        href = str(link.get("href", ""))
        if link.get("rel") == "self" and urlsplit(href).scheme in ("http", "https", "s3"):
            return href
    return None


def unsigned(href: str) -> str:
    """An address without signature, token, user or password; other parameters stay."""
    parts = urlsplit(href)
    if not parts.scheme or not (parts.query or "@" in parts.netloc):
        return href
    given = parse_qsl(parts.query, keep_blank_values=True)
    names = {name.lower() for name, _ in given}
    secret = {name for name in names if _SECRET.fullmatch(name)}
    if "sig" in names:
        secret |= {name for name in names if _AZURE.fullmatch(name)}
    if "signature" in names:  # of AWS before version 4, and of CloudFront
        secret |= names & {"expires", "policy", "key-pair-id"}
    host = parts.netloc.rpartition("@")[2]
    if not secret:
        return urlunsplit(parts._replace(netloc=host))
    kept = urlencode([(name, value) for name, value in given if name.lower() not in secret])
    return urlunsplit(parts._replace(netloc=host, query=kept))
