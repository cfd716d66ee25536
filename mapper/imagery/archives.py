"""The archives mapper knows, and what is peculiar to each, as data.

The shared vocabulary of all of them is ours: B02 .. B12, SCL, VV, VH. What an archive calls them is
in `dialects.py`; an archive that is not listed here can be described in a TOML file.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from mapper.errors import ArchiveError, RequestError
from mapper.imagery import dialects
from mapper.imagery.bands import Sensor
from mapper.imagery.descriptions import described
from mapper.imagery.profiles import Archive as Archive
from mapper.imagery.profiles import Profile, is_url, plain_root

SIMULATED = "simulated"
"""Name of the archive that the program makes itself, where and when it is asked for."""
INDEX_SUFFIXES = (".json", ".geojson", ".parquet")
"""Local indexes: a STAC ItemCollection, or STAC-GeoParquet."""
DESCRIPTION_SUFFIX = ".toml"
"""Descriptions of archives."""
_INDEX_NAMES = ("items.parquet", "items.json", "items.geojson")
"""Where a directory keeps its index, in order of preference."""


PLANETARY_COMPUTER = Archive(
    name="planetary-computer",
    root="https://planetarycomputer.microsoft.com/api/stac/v1",
    profiles={
        Sensor.OPTICAL: Profile(("sentinel-2-l2a",), dialects.PLANETARY_COMPUTER),
        Sensor.RADAR: Profile(("sentinel-1-rtc",), dialects.RADAR),
    },
    signing="planetary-computer",
    title="Microsoft Planetary Computer: Sentinel-2 L2A and terrain-corrected Sentinel-1",
    notes=(
        "assets are signed when they are read; tokens are asked for without an account, and renewed"
        " in mid-run",
        "Sentinel-2 pixels since baseline 04.00 carry 1000 digits that are not reflectance, which"
        " no item states: the baseline decides",
    ),
)
EARTH_SEARCH = Archive(
    name="earth-search",
    root="https://earth-search.aws.element84.com/v1",
    profiles={Sensor.OPTICAL: Profile(("sentinel-2-c1-l2a",), dialects.ELEMENT84)},
    partners={Sensor.RADAR: PLANETARY_COMPUTER.name},
    title="Earth Search on AWS: Sentinel-2 L2A (Collection 1); Sentinel-1 from its partner",
    notes=(
        "its own Sentinel-1 is ground range without terrain correction (GRD), and is not looked at",
        "an offset is stated for each band; where earthsearch:boa_offset_applied says that it is in"
        " the pixels already, it is not subtracted again",
    ),
)
CDSE = Archive(
    name="cdse",
    root="https://stac.dataspace.copernicus.eu/v1",
    profiles={Sensor.OPTICAL: Profile(("sentinel-2-l2a",), dialects.COPERNICUS)},
    partners={Sensor.RADAR: PLANETARY_COMPUTER.name},
    title="Copernicus Data Space: Sentinel-2 L2A; Sentinel-1 from its partner",
    notes=(
        "searching needs no account; reading s3://eodata needs S3 keys of your own in the"
        " environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, with"
        " AWS_S3_ENDPOINT=eodata.dataspace.copernicus.eu and AWS_VIRTUAL_HOSTING=FALSE",
        "its pixels are JPEG 2000, which takes some 14 times the CPU of GeoTIFF to decode",
        "its Sentinel-1 is ground range without terrain correction (GRD), and is not looked at",
    ),
)
KNOWN: Mapping[str, Archive] = {a.name: a for a in (PLANETARY_COMPUTER, EARTH_SEARCH, CDSE)}

ANY: Mapping[Sensor, Profile] = {
    Sensor.OPTICAL: Profile(("sentinel-2-l2a", "sentinel-2-c1-l2a"), dialects.ANY_OPTICAL),
    Sensor.RADAR: Profile(
        ("sentinel-1-rtc", "sentinel1-rtc-aws", "sentinel-1-grd"),
        dialects.RADAR,
        uncorrected=("sentinel-1-grd",),
    ),
}
"""Local indexes and unknown servers: every dialect. Ground-range products are looked at, so that
the choice can say why it leaves them out."""


def archive(text: str) -> Archive:
    """The archive that a name, a path or a URL stands for.

    Args:
        text: a name of `KNOWN`; the path of an ItemCollection, a STAC-GeoParquet file, a directory
            with one, or a TOML description; the http(s) root of a STAC API.

    Raises:
        RequestError: it is none of these; the message names the nearest known one. Or it holds
            credentials, or the description makes no sense.
        ArchiveError: it is a path with no index at it.
    """
    if text in KNOWN:
        return KNOWN[text]
    if is_url(text):
        root = plain_root(text)
        known = next((known for known in KNOWN.values() if known.root == root), None)
        return known or Archive(root, root, ANY)
    path = Path(text).expanduser()
    if path.suffix.lower() == DESCRIPTION_SUFFIX:
        return described(path, KNOWN)
    return _at(path, text)


def partner(of: Archive, sensor: Sensor) -> Archive | None:
    """The archive that holds a sensor for another one: itself, its partner, or none.

    Raises:
        RequestError, ArchiveError: as `archive` does; or the partner lacks the sensor as well.
    """
    if sensor in of.profiles:
        return of
    name = (of.partners or {}).get(sensor)
    if name is None:
        return None
    found = archive(name)
    if sensor not in found.profiles:
        raise RequestError(
            f"archive {of.name} names {name} as its partner for {sensor.value}, which has none"
            " either; name one that has"
        )
    return found


def _at(path: Path, text: str) -> Archive:
    """A local index, or an error that says what is there instead."""
    if text and path.is_dir():
        path = _index_in(path)
    if path.is_file() and path.suffix.lower() in INDEX_SUFFIXES:
        return Archive(path.name, str(path.resolve()), ANY)
    if text and (path.suffix or path.exists() or len(path.parts) > 1):
        raise ArchiveError(_no_index(path))
    if text == SIMULATED:
        raise RequestError(
            "the simulated archive is made over an area when a run asks for it, and is nowhere yet;"
            " mapper simulate makes one, whose folder is an archive"
        )
    near = get_close_matches(text, [*KNOWN, SIMULATED], n=1, cutoff=0.0)[0]
    raise RequestError(
        f'archive "{text}" is not known (the nearest is {near}); give {", ".join(KNOWN)}, a path or'
        " an https:// STAC API"
    )


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
