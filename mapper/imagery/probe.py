"""What an archive is good for: asked, tried out, and one file of each sensor opened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from urllib.parse import urlsplit

import rasterio
import shapely
from rasterio.errors import RasterioError

from mapper.errors import ArchiveError
from mapper.imagery.archives import Archive, partner
from mapper.imagery.bands import Sensor
from mapper.imagery.faults import brief
from mapper.imagery.index import local_items
from mapper.imagery.items import Item, scene_of
from mapper.imagery.patience import PATIENCE, Attempt
from mapper.imagery.scenes import NEEDED, SCL, TITLES, Scene
from mapper.imagery.server import client, complaint
from mapper.imagery.signing import signed
from mapper.imagery.trials import Trial, tried

SAMPLE_ITEMS = 50
"""Items of a local index that are looked at."""
CLASSES = {
    "core": "/core",
    "item-search": "/item-search",
    "query": "item-search#query",
    "filter": "item-search#filter",
    "sort": "item-search#sort",
    "fields": "item-search#fields",
}
"""Conformance classes by the ends of their addresses (STAC API 1.0)."""
_WORLD = shapely.box(-180, -90, 180, 90)


@dataclass(frozen=True, slots=True)
class SensorProbe:
    """What an archive has of one sensor."""

    sensor: Sensor
    holder: str
    """The archive, or its partner."""
    usable: bool
    findings: tuple[str, ...]
    """One sentence each; where it is not usable, the first says why."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found out about an archive."""

    archive: Archive
    conforms: tuple[str, ...]
    """Conformance classes it claims, of those known here; empty for a local index."""
    collections: tuple[str, ...]
    """Ids of all its collections."""
    trials: tuple[Trial, ...]
    """What it does with each kind of question; empty for a local index."""
    sensors: tuple[SensorProbe, ...]

    @property
    def usable(self) -> bool:
        """Whether a map can be made: its Sentinel-2, or its partner's, can be used.

        The recipe key allow_radar_only does without; whether it is set is no matter here.
        """
        return any(probe.usable for probe in self.sensors if probe.sensor is Sensor.OPTICAL)


def probed(archive: Archive, open_files: bool = True) -> Probe:
    """Find out what an archive is good for.

    Args:
        archive: as `archives.archive` gives it.
        open_files: open the header of one band of each sensor, as reading would.

    Raises:
        ArchiveError: it cannot be reached, or is no STAC at all.
    """
    conforms, collections, trials, pages = _asked(archive)
    sensors = []
    for sensor in Sensor:
        holder = partner(archive, sensor)
        if holder is None:
            words = f"no {TITLES[sensor]} and no partner that has it"
            sensors.append(SensorProbe(sensor, archive.name, False, (words,)))
            continue
        if holder is not archive:
            _, there, _, items = _asked(holder, only=sensor)
        else:
            there, items = collections, pages
        findings = _of_sensor(holder, sensor, items.get(sensor, []), there, open_files)
        sensors.append(SensorProbe(sensor, holder.name, *findings))
    return Probe(archive, conforms, collections, trials, tuple(sensors))


_Asked = tuple[tuple[str, ...], tuple[str, ...], tuple[Trial, ...], dict[Sensor, list[Item]]]


def _asked(archive: Archive, only: Sensor | None = None) -> _Asked:
    """Conformance, collections, trials, and a sample of items of each sensor."""
    wanted = {s: p for s, p in archive.profiles.items() if only in (None, s)}
    if archive.is_local:
        names = [name for profile in wanted.values() for name in profile.collections]
        found = list(islice(local_items(archive.root, names, _WORLD), 10_000))
        pages = {
            sensor: [i for i in found if i.get("collection") in profile.collections][:SAMPLE_ITEMS]
            for sensor, profile in wanted.items()
        }
        return (), tuple(sorted({str(item.get("collection")) for item in found})), (), pages
    try:
        server = client(archive.root)
        uris = server.get_conforms_to()
        conforms = tuple(name for name, end in CLASSES.items() if any(end in uri for uri in uris))
        collections = tuple(sorted(collection.id for collection in server.get_collections()))
        trials: list[Trial] = []
        most = 0
        pages = {}
        for sensor, profile in wanted.items():
            pages[sensor] = []
            for name in (n for n in profile.collections if n in collections or not collections):
                page, outcome = tried(server, name)
                pages[sensor] += page
                if len(page) > most:  # the more items, the more can be told
                    trials, most = outcome, len(page)
    except ArchiveError:
        raise
    except Exception as problem:  # the client has a dozen kinds of them for a wrong answer
        raise ArchiveError(f"the archive {archive.root} {complaint(problem)}") from None
    return conforms, collections, tuple(trials), pages


def _of_sensor(
    archive: Archive,
    sensor: Sensor,
    items: Sequence[Item],
    collections: Sequence[str],
    open_files: bool,
) -> tuple[bool, tuple[str, ...]]:
    """Whether a sensor can be used, and what is to be said of it."""
    wanted = archive.profiles[sensor].collections
    if not items:
        return False, (_no_items(wanted, collections),)
    scenes = [scene for item in items if (scene := scene_of(item, archive, archive.root))]
    good = [s for s in scenes if not s.missing and (s.terrain_corrected or s.epsg is not None)]
    lines = list(_lines(items, scenes, sensor, archive))
    corrected = [scene for scene in good if scene.terrain_corrected]
    if not good:
        return False, (_nothing_good(scenes, items), *lines)
    if sensor is Sensor.RADAR and not corrected:
        return False, ("all of it is ground range (GRD): see allow_grd", *lines)
    if open_files:
        opens, words = header_of((corrected or good)[0], NEEDED[sensor][0])
        return opens, ((*lines, words) if opens else (words, *lines))
    return True, tuple(lines)


def _no_items(wanted: Sequence[str], collections: Sequence[str]) -> str:
    there = [name for name in wanted if name in collections]
    if there:
        return f"no item of {', '.join(there)}"
    near = get_close_matches(wanted[0], collections, n=5, cutoff=0.5)
    beside = f"; the nearest are {', '.join(near)}" if near else ""
    return f"no collection {' or '.join(wanted)} among {len(collections)}{beside}"


def _nothing_good(scenes: Sequence[Scene], items: Sequence[Item]) -> str:
    if all(scene.epsg is None for scene in scenes) and not scenes[0].missing:
        return "all of it is in the radar's own geometry, which cannot be read as it is"
    names = ", ".join(list(items[0].get("assets") or {})[:20])
    return f"no item has all bands: {', '.join(scenes[0].missing)} not found among {names}"


def _lines(
    items: Sequence[Item], scenes: Sequence[Scene], sensor: Sensor, archive: Archive
) -> Iterator[str]:
    """What a sample of items says of itself."""
    of = f"of {len(scenes)} items"
    names = sorted({str(item.get("collection")) for item in items})
    yield f"{len(scenes)} items of {', '.join(names)} looked at"
    lacking = Counter(name for scene in scenes for name in scene.missing)
    if lacking:
        yield "lacking: " + ", ".join(f"{name} in {n} {of}" for name, n in lacking.items())
    if flat := sum(not scene.terrain_corrected for scene in scenes):
        yield f"without terrain correction: {flat} {of}"
    if sensor is Sensor.OPTICAL:
        bare = sum(SCL not in scene.assets for scene in scenes)
        yield f"scene classification (SCL) in {len(scenes) - bare} {of}"
        offsets = Counter(a.offset for s in scenes for n, a in s.assets.items() if n != SCL)
        yield "offset, in digits: " + _counted(f"{offset:+g}" for offset in offsets.elements())
        yield "baselines: " + _counted(scene.baseline or "not stated" for scene in scenes)
        clouds = sum(scene.cloud_percent is None for scene in scenes)
        yield f"cloud cover stated in {len(scenes) - clouds} {of}"
    yield "CRS: " + _counted("not stated" if s.epsg is None else f"EPSG:{s.epsg}" for s in scenes)
    yield "places: " + _counted(scene.place for scene in scenes)
    yield from _hosts(scenes)
    if archive.signing:
        yield f"signed by {archive.signing} when they are read"


def _hosts(scenes: Sequence[Scene]) -> Iterator[str]:
    hosts = Counter(
        f"{parts.scheme or 'file'}://{parts.netloc}"
        for scene in scenes
        for asset in scene.assets.values()
        for parts in [urlsplit(asset.href)]
    )
    yield "files at " + _counted(hosts.elements())
    if any(host.startswith("s3://") for host in hosts):
        yield "s3:// is read with the AWS_* variables of the environment"


def _counted(values: Iterable[str], most: int = 6) -> str:
    """Values by how often they come, such as 05.09 (12), 05.10 (8)."""
    counts = Counter(values)
    listed = ", ".join(f"{value} ({count})" for value, count in counts.most_common(most))
    return listed if len(counts) <= most else f"{listed} and {len(counts) - most} more"


def header_of(scene: Scene, name: str) -> tuple[bool, str]:
    """Whether the header of one band can be read, and what it says."""
    asset = scene.assets[name]
    options = Attempt(1, PATIENCE.request_s, PATIENCE.connect_s).gdal_options()
    try:
        with (
            rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", **options),
            rasterio.open(signed(asset.href, scene.signing)) as raster,
        ):
            height, width = raster.shape
            block = " x ".join(map(str, raster.block_shapes[0][::-1]))
            crs = f"EPSG:{raster.crs.to_epsg()}" if raster.crs else "no CRS"
            return True, (
                f"{name} of {scene.id} opens: {width} x {height} {raster.dtypes[0]} in blocks of"
                f" {block}, {raster.res[0]:g} m, {crs}, {raster.driver}"
            )
    except (RasterioError, OSError) as problem:
        return False, f"{name} of {scene.id} cannot be opened: {brief(problem)}"
