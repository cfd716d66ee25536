"""What went wrong with a read, and how that is said without giving a secret away. Pure.

Libraries tell it in many ways: rasterio and GDAL by text alone, obstore by classes and text,
requests by an answer. They are known here by their words, so that none has to be imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

REMOTE = ("http:", "https:", "s3:", "gs:", "az:", "abfs:", "/vsi")
"""How addresses begin whose failures may pass."""
MAX_REASON = 160
"""Characters of a library's own words that are passed on."""


class Fault(Enum):
    """Kinds of failure that want different answers."""

    REFUSED = "access was refused"
    """HTTP 401 and 403: a token has expired, or there is no right to read."""
    GONE = "it is not there"
    """HTTP 404 and 410."""
    BUSY = "the server is busy or broken"
    """HTTP 408, 425, 429 and 5xx."""
    LATE = "no answer in time"
    """A whole-request deadline passed, or the server cannot be reached."""
    CUT = "its bytes end too early"
    """A connection closed in the middle of a body, or a file that is shorter than it says."""
    BROKEN = "its bytes make no pixels"
    """A block that does not decode, or a file that is no raster."""
    WHOLE = "its server answers whole files only"
    """It ignores that a part is asked for; GDAL can do with that where a file is small."""
    LOCAL = "the file cannot be read"
    """Any failure of a file on a disk: another attempt reads the same."""
    UNCLEAR = "the read failed"
    """Whatever a library does not say: GDAL hides the status of a request in mid-file."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A failure, understood as far as it can be."""

    fault: Fault
    words: str
    """One short line without query, token or password."""
    status: int | None = None
    """HTTP status, where one is known."""


class BadBytesError(Exception):
    """For a reader that decodes itself: the bytes came, and make no pixels.

    Args:
        words: what is wrong with them, in a few words.
        cut_short: whether there are too few of them, rather than wrong ones.
    """

    def __init__(self, words: str, *, cut_short: bool = False) -> None:
        super().__init__(words)
        self.cut_short = cut_short


def is_remote(href: str) -> bool:
    """Whether an address is read over a network."""
    return href.startswith(REMOTE)


def is_read_failure(problem: BaseException) -> bool:
    """Whether an exception is of the outside world, and not a mistake of this program."""
    return isinstance(problem, OSError | TimeoutError | BadBytesError) or any(
        kind.__module__.split(".")[0] in _LIBRARIES and kind.__module__ != "rasterio.coords"
        for kind in type(problem).__mro__
    )


_LIBRARIES = frozenset({"rasterio", "obstore", "requests", "urllib3"})


def finding_of(problem: BaseException, href: str) -> Finding:
    """What a failed read of an address means.

    Args:
        problem: what the reading library raised; its causes are looked at too.
        href: the address, without signature.
    """
    words = brief(_root(problem))
    if not is_remote(href):
        return Finding(Fault.LOCAL, words)
    if isinstance(problem, BadBytesError):
        return Finding(Fault.CUT if problem.cut_short else Fault.BROKEN, words)
    status = next((found for link in _chain(problem) if (found := _status(link))), None)
    if status is not None:
        return finding_of_status(status)
    text = " ".join(f"{type(link).__name__} {link}" for link in _chain(problem)).lower()
    for pattern, fault, instead in _WORDS:
        if re.search(pattern, text):
            return Finding(fault, instead or words)
    return Finding(Fault.UNCLEAR, words)


def finding_of_status(status: int) -> Finding:
    """What an HTTP status other than success means."""
    if status in (401, 403):
        fault = Fault.REFUSED
    elif status in (404, 410):
        fault = Fault.GONE
    elif status in (408, 425, 429) or status >= 500:
        fault = Fault.BUSY
    else:
        fault = Fault.UNCLEAR
    return Finding(fault, f"HTTP {status}", status)


def brief(problem: BaseException | str) -> str:
    """The first line of an exception or a text, short, without secrets."""
    text = without_secrets(str(problem))
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    line = line or type(problem).__name__
    return line if len(line) <= MAX_REASON else f"{line[: MAX_REASON - 3]}..."


def without_secrets(text: str) -> str:
    """A text without the queries and passwords of its addresses, and without tokens."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


_SECRETS = (
    (re.compile(r"(?<=[\w./%-])\?[^\s'\"<>)]*=[^\s'\"<>)]*"), ""),
    (re.compile(r"(?<=://)[^/@\s'\"]+@"), ""),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+"), r"\1 ***"),
    (re.compile(r"(?i)\b(sig|signature|token|x-amz-[\w-]+|password)=[^\s&'\"<>]+"), r"\1=***"),
)
"""Queries of addresses; users and passwords in them; headers; what is left of a cut query."""

_UNREACHABLE = "the server cannot be reached"
_WORDS = (
    (r"timed ?out|timeout|too slow|time-out", Fault.LATE, Fault.LATE.value),
    (r"could not resolve|failed to connect|could not connect", Fault.LATE, _UNREACHABLE),
    (r"range (downloading|request) not supported", Fault.WHOLE, Fault.WHOLE.value),
    (r"no such (file|key|bucket)|does not exist|notfound", Fault.GONE, Fault.GONE.value),
    (r"access ?denied|invalid ?credentials|signature ?does ?not", Fault.REFUSED, None),
    (r"got [1-9]\d* bytes, expected|response body", Fault.CUT, Fault.CUT.value),
    (r"unexpected (eof|end of file)|incomplete ?read", Fault.CUT, Fault.CUT.value),
    (r"connection.*(reset|closed)", Fault.CUT, Fault.CUT.value),
    (r"error sending request|connection ?error", Fault.LATE, _UNREACHABLE),
    (r"(zip|lzw|zstd|lerc|jpeg|packbits|fax)\w*decode|decoding error", Fault.BROKEN, None),
)
"""Words of GDAL, curl and obstore, most telling first, and what is said instead; tried on the
lower-case text of the whole chain. "not recognized" is not among them: GDAL says so of a web page
and of a request that hung."""


def _status(problem: BaseException) -> int | None:
    """The HTTP status an exception carries or names."""
    answer = getattr(problem, "response", None)
    if isinstance(code := getattr(answer, "status_code", None), int) and code >= 400:
        return code
    if isinstance(problem, FileNotFoundError):  # obstore's word for 404
        return 404
    by_class = _STATUS_BY_CLASS.get(type(problem).__name__)
    named = re.search(r"(?:response code(?: on [^:]*)?|status code):? ([45]\d\d)", str(problem))
    return int(named[1]) if named else by_class


_STATUS_BY_CLASS = {"PermissionDeniedError": 403, "UnauthenticatedError": 401}
"""Of obstore."""


def _chain(problem: BaseException) -> Iterator[BaseException]:
    """An exception and its stated causes, the outermost first."""
    link: BaseException | None = problem
    while link is not None:
        yield link
        link = link.__cause__


def _root(problem: BaseException) -> BaseException:
    *_, last = _chain(problem)
    return last
