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
from urllib.parse import parse_qsl, unquote, urlencode, urljoin, urlsplit, urlunsplit

_SCHEMES = ("http", "https", "s3", "gs", "az")
_VSI = "/vsi"
"""How GDAL's own names of files begin, such as /vsicurl/https://...; they stand alone."""
_INSIDE = re.compile(r"\w+://[^{}]+")
"""An address in a name of GDAL's, which has it in braces where more follows."""
_SECRET = re.compile(
    r"sig|signature|x-amz-.+|awsaccesskeyid|x-goog-.+|googleaccessid|token|.*[_-]?token|api_?key"
    r"|.*subscription-key|password|key"
    r"|(proxy)?userpwd|cookie|header\..+"
)
"""Parameters that are a secret, or mean nothing without one (AWS, Google, Azure, and others; of
/vsicurl? in the last line)."""
_AZURE = re.compile(r"s(e|ip|koid|ke|ks|kt|ktid|kv|p|pr|r|rt|s|t|v)")
"""Short names that belong to a signature where one called sig is among them."""


def absolute(href: str, base: str) -> str:
    """A href that stands alone; relative ones start where the item or its index lies."""
    scheme = urlsplit(href).scheme
    if href.startswith(_VSI):
        return href
    if scheme in _SCHEMES:
        return _straight(href)
    if scheme == "file":
        return unquote(urlsplit(href).path)
    if urlsplit(base).scheme in _SCHEMES:
        return _joined(base, href)
    path = PurePosixPath(href)
    return str(path if path.is_absolute() else PurePosixPath(base).parent / path)


def _joined(base: str, href: str) -> str:
    """A relative href from an address on; Python's own `urljoin` joins none of s3 and the like."""
    scheme, _, rest = base.partition("://")
    joined = urljoin(f"http://{rest}", href)
    return joined if urlsplit(href).scheme else scheme + joined.removeprefix("http")


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
        if link.get("rel") == "self" and urlsplit(href).scheme in _SCHEMES:
            return href
    return None


def unsigned(href: str) -> str:
    """An address without signature, token, user or password; other parameters stay."""
    if href.startswith(_VSI):
        return _freed(_INSIDE.sub(lambda found: _freed(found[0]), href))
    return _freed(href) if urlsplit(href).scheme else href


def _freed(href: str) -> str:
    """What is left of an address when its secrets, and those of its parameters, are taken off."""
    parts = urlsplit(href)
    if not (parts.query or "@" in parts.netloc):
        return href
    given = parse_qsl(parts.query, keep_blank_values=True)
    names = {name.lower() for name, _ in given}
    secret = {name for name in names if _SECRET.fullmatch(name)}
    if "sig" in names:
        secret |= {name for name in names if _AZURE.fullmatch(name)}
    if "signature" in names:  # of AWS before version 4, and of CloudFront
        secret |= names & {"expires", "policy", "key-pair-id"}
    kept = [(name, unsigned(value)) for name, value in given if name.lower() not in secret]
    query = parts.query if kept == given else urlencode(kept)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query))
