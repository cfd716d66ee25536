"""The archives mapper knows, and what is peculiar to each, as data.

The shared vocabulary of all of them is ours: B02 .. B12, SCL, VV, VH. Each archive's own names are
looked up here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from mapper.errors import ArchiveError, RequestError
from mapper.imagery.bands import OPTICAL_NAMES, Sensor

SIMULATED = "simulated"
"""Name of the archive that the program makes itself, where and when it is asked for."""
INDEX_SUFFIXES = (".json", ".geojson", ".parquet")
"""Local indexes: a STAC ItemCollection, or STAC-GeoParquet."""
_INDEX_NAMES = ("items.parquet", "items.json", "items.geojson")
"""Where a directory keeps its index, in order of preference."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How an archive speaks of one sensor."""

    collections: tuple[str, ...]
    """Ids of the collections that hold it; an item of any other is not looked at."""
    assets: Mapping[str, tuple[str, ...]]
    """Our band name to the archive's asset names, the preferred one first."""


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
    """Names of the archives that hold the sensors it lacks."""
    title: str = ""
    """One sentence for a list of archives."""

    @property
    def is_local(self) -> bool:
        """Whether the index is a file rather than a server."""
        return not self.root.startswith(("http://", "https://"))


_MPC_OPTICAL = {name: (name,) for name in (*OPTICAL_NAMES, "SCL")}
_ELEMENT84_OPTICAL = {
    "B02": ("blue",),
    "B03": ("green",),
    "B04": ("red",),
    "B05": ("rededge1",),
    "B06": ("rededge2",),
    "B07": ("rededge3",),
    "B08": ("nir",),
    "B8A": ("nir08",),
    "B11": ("swir16",),
    "B12": ("swir22",),
    "SCL": ("scl",),
}
_RADAR = {"VV": ("vv", "gamma0_vv"), "VH": ("vh", "gamma0_vh")}

PLANETARY_COMPUTER = Archive(
    name="planetary-computer",
    root="https://planetarycomputer.microsoft.com/api/stac/v1",
    profiles={
        Sensor.OPTICAL: Profile(("sentinel-2-l2a",), _MPC_OPTICAL),
        Sensor.RADAR: Profile(("sentinel-1-rtc",), _RADAR),
    },
    signing="planetary-computer",
    title="Microsoft Planetary Computer: Sentinel-2 L2A and terrain-corrected Sentinel-1",
)
EARTH_SEARCH = Archive(
    name="earth-search",
    root="https://earth-search.aws.element84.com/v1",
    profiles={Sensor.OPTICAL: Profile(("sentinel-2-c1-l2a",), _ELEMENT84_OPTICAL)},
    partners={Sensor.RADAR: PLANETARY_COMPUTER.name},
    title="Earth Search on AWS: Sentinel-2 L2A (Collection 1); Sentinel-1 from its partner",
)
KNOWN: Mapping[str, Archive] = {a.name: a for a in (PLANETARY_COMPUTER, EARTH_SEARCH)}

_ANY = {
    Sensor.OPTICAL: Profile(
        ("sentinel-2-l2a", "sentinel-2-c1-l2a"),
        {name: _MPC_OPTICAL[name] + _ELEMENT84_OPTICAL[name] for name in _MPC_OPTICAL},
    ),
    Sensor.RADAR: Profile(("sentinel-1-rtc", "sentinel1-rtc-aws"), _RADAR),
}
"""Local indexes and unknown servers: every dialect above. Ground-range products without terrain
correction (sentinel-1-grd) are left out: slopes would be taken for land cover."""


def archive(text: str) -> Archive:
    """The archive that a name, a path or a URL stands for.

    Args:
        text: a name of `KNOWN`; the path of an ItemCollection, a STAC-GeoParquet file, or a
            directory with one; the http(s) root of a STAC API.

    Raises:
        RequestError: it is none of these; the message names the nearest known one.
        ArchiveError: it is a path with no index at it.
    """
    if text in KNOWN:
        return KNOWN[text]
    if text.startswith(("http://", "https://")):
        root = text.rstrip("/")
        signing = PLANETARY_COMPUTER.signing if root == PLANETARY_COMPUTER.root else None
        return Archive(root, root, _ANY, signing=signing)
    path = Path(text).expanduser()
    if text and path.is_dir():
        path = _index_in(path)
    if path.is_file() and path.suffix.lower() in INDEX_SUFFIXES:
        return Archive(path.name, str(path.resolve()), _ANY)
    if text and (path.suffix or path.exists() or len(path.parts) > 1):
        raise ArchiveError(_no_index(path))
    near = get_close_matches(text, KNOWN, n=1, cutoff=0.0)[0]
    raise RequestError(
        f'archive "{text}" is not known (the nearest is {near}); give {", ".join(KNOWN)}, a path or'
        " an https:// STAC API"
    )


def partner(of: Archive, sensor: Sensor) -> Archive | None:
    """The archive that holds a sensor for another one: itself, its partner, or none."""
    if sensor in of.profiles:
        return of
    name = (of.partners or {}).get(sensor)
    return None if name is None else KNOWN[name]


def _index_in(directory: Path) -> Path:
    for name in _INDEX_NAMES:
        if (directory / name).is_file():
            return directory / name
    raise ArchiveError(
        f"the archive {directory} has no index; put {' or '.join(_INDEX_NAMES[:2])} into it"
    )


def _no_index(path: Path) -> str:
    if not path.exists():
        return f"there is no archive at {path}; check the path"
    return f"{path} is no archive: an index ends in {', '.join(INDEX_SUFFIXES)}"
