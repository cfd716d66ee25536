"""What an archive is, as a value: where it answers, what it holds, how it speaks of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from mapper.errors import RequestError
from mapper.imagery.bands import Sensor
from mapper.imagery.dialects import Dialect


@dataclass(frozen=True, slots=True)
class Profile:
    """How an archive speaks of one sensor."""

    collections: tuple[str, ...]
    """Ids of the collections that hold it; an item of any other is not looked at."""
    assets: Dialect
    """Our band name to the archive's asset names, the preferred one first."""
    uncorrected: tuple[str, ...] = ()
    """Collections of radar in ground range, without terrain correction (GRD)."""
    scale: float | None = None
    """Physical value per digit (reflectance, or linear power) of every band; None: items say it."""
    offset: float | None = None
    """Added after scaling, in reflectance or power; None: decided for each asset, as items say."""
    nodata: float | None = None
    """Raw value without data, where items do not state one."""

    def __post_init__(self) -> None:
        if self.scale is not None and self.scale <= 0:
            raise RequestError(f"scale is {self.scale:g}, wanted a number above 0")


@dataclass(frozen=True, slots=True)
class Archive:
    """A STAC endpoint or a local index, with what is peculiar to it."""

    name: str
    """Short name for people and recipes."""
    root: str
    """URL of a STAC API, or absolute path of an index file."""
    profiles: Mapping[Sensor, Profile]
    """The sensors it holds itself."""
    signing: str | None = None
    """Who signs its hrefs at reading time; tokens are never stored."""
    partners: Mapping[Sensor, str] | None = None
    """Names, paths or addresses of the archives that hold the sensors it lacks."""
    title: str = ""
    """One sentence for a list of archives."""
    notes: tuple[str, ...] = ()
    """What a person should know before reading from it, a sentence each."""

    @property
    def is_local(self) -> bool:
        """Whether the index is a file rather than a server."""
        return not is_url(self.root)


def is_url(text: str) -> bool:
    """Whether a text is the address of a server rather than a path."""
    return text.startswith(("http://", "https://"))


def plain_root(text: str) -> str:
    """The address of a STAC API without a slash at its end.

    Raises:
        RequestError: it holds a password or a query. Recipes, journals and items repeat the
            address, so that a secret in it would be published with the map.
    """
    parts = urlsplit(text)
    if parts.username or parts.password or parts.query:
        raise RequestError(
            f"the address of the archive at {parts.hostname} holds a password or a query, which"
            " would be published with the map; give the bare address of the STAC API"
        )
    return text.rstrip("/")
