"""Scenes, and the choice among them: global, explained, and the same whoever asks. Pure.

No rule here looks at a tile of the map or at an area: each is applied to one Sentinel-2 MGRS tile
(or one Sentinel-1 relative orbit) and one calendar month. Two neighbouring tiles of the map
therefore never see different scenes at their shared edge, and a country chosen as a whole keeps the
same scenes as its districts chosen one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from shapely.geometry.base import BaseGeometry

from mapper.errors import RequestError, SceneError
from mapper.imagery.bands import OPTICAL_NAMES, RADAR_NAMES, Sensor
from mapper.imagery.period import Period as Period
from mapper.land.grid import Zone

SCL = "SCL"
"""Our name of the scene classification among a scene's assets."""
TITLES = {Sensor.OPTICAL: "Sentinel-2", Sensor.RADAR: "Sentinel-1"}
"""How a person calls the two."""
NEEDED = {Sensor.OPTICAL: OPTICAL_NAMES, Sensor.RADAR: RADAR_NAMES}
"""The assets a scene must have to be of use; the network takes all bands of a sensor or none."""

_DOUBLE_SHARE = 0.5
"""A scene with this share of its footprint in a newer one of the same overpass is its double;
halves of a split scene and neighbouring slices of a radar pass share a few percent."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One raster of a scene, and how its numbers become physical ones."""

    href: str
    """Absolute path or URL, never signed; signing happens when it is read."""
    nodata: float | None
    """The raw value that means "no data", where the archive states one."""
    scale: float
    """Physical value = raw * scale + offset. Optical: reflectance * 10,000. Radar: power."""
    offset: float
    """See `scale`; -1000 for an optical band that still carries the offset of baseline 04.00."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One item of an archive with what the choice and the reading need."""

    id: str
    """The archive's own name of the item."""
    sensor: Sensor
    time: datetime
    """Sensing time, UTC."""
    footprint: BaseGeometry
    """Ground with data: longitude and latitude, EPSG:4326, split at 180 degrees."""
    extent: BaseGeometry
    """Outline of the pixel grid in longitude and latitude; the footprint where not stated."""
    cloud_percent: float | None
    """Cloud cover of the whole scene, 0..100; None for radar and where the archive is silent."""
    place: str
    """MGRS tile such as 32TNT, relative orbit such as R022, or a name made of the grid."""
    datatake: str
    """Shared by the scenes of one overpass, whatever baseline they were processed with."""
    orbit_state: str | None
    """ascending or descending, where stated."""
    baseline: str | None
    """Processing baseline such as 05.09; None for radar and where not stated."""
    generated: str
    """When the product was made, ISO 8601, or empty; breaks ties between equal baselines."""
    epsg: int | None
    """Coordinate system of the pixels, where stated."""
    assets: Mapping[str, Asset]
    """By our band names, and SCL where the scene has one."""
    signing: str | None = None
    """Who signs the hrefs when they are read, such as planetary-computer; None for nobody."""
    simulated: bool = False
    """Whether the item says of itself that a program made its pixels."""

    @property
    def month(self) -> str:
        """Calendar month of the sensing time, such as 2020-04."""
        return f"{self.time:%Y-%m}"

    @property
    def missing(self) -> tuple[str, ...]:
        """Bands the network needs and this scene lacks."""
        return tuple(name for name in NEEDED[self.sensor] if name not in self.assets)


@dataclass(frozen=True, slots=True)
class Choice:
    """The rules by which scenes are kept; part of the recipe."""

    max_cloud_percent: float = 60.0
    """Optical scenes cloudier than this are left out, 0..100."""
    optical_looks: int = 4
    """The clearest overpasses kept per MGRS tile and month."""
    radar_looks: int | None = None
    """The earliest overpasses kept per relative orbit and month; None keeps all of them, which
    alone is sure not to depend on how much of an orbit the area sees."""

    def __post_init__(self) -> None:
        if not 0 <= self.max_cloud_percent <= 100:
            raise RequestError(
                f"the cloud limit is {self.max_cloud_percent:g} %; give one between 0 and 100"
            )
        for name, looks in (("optical", self.optical_looks), ("radar", self.radar_looks)):
            if looks is not None and looks < 1:
                raise RequestError(f"{looks} {name} looks were asked for; ask for 1 or more")


@dataclass(frozen=True, slots=True)
class Dropped:
    """A scene that is not used, and the rule that left it out."""

    scene: Scene
    reason: str


@dataclass(frozen=True, slots=True)
class Selection:
    """What a run reads, and what it does not read and why."""

    kept: tuple[Scene, ...]
    """Sorted by time, then id."""
    dropped: tuple[Dropped, ...]
    """Sorted likewise."""

    def of(self, sensor: Sensor) -> tuple[Scene, ...]:
        """The kept scenes of one sensor."""
        return tuple(scene for scene in self.kept if scene.sensor is sensor)

    @property
    def scenes_without_scl(self) -> tuple[str, ...]:
        """Ids of optical scenes whose clouds cannot be masked."""
        return tuple(s.id for s in self.of(Sensor.OPTICAL) if SCL not in s.assets)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about the choice, one sentence each."""
        optical, radar = self.of(Sensor.OPTICAL), self.of(Sensor.RADAR)
        notes = []
        if not optical:
            notes.append("no Sentinel-2 scene is used: the map rests on radar alone")
        if not radar:
            notes.append("no Sentinel-1 scene is used: the map rests on optical pixels alone")
        if bare := len(self.scenes_without_scl):
            notes.append(
                f"{bare} of {len(optical)} Sentinel-2 scenes have no scene classification: every"
                " pixel with data counts as clear in them"
            )
        if silent := sum(scene.cloud_percent is None for scene in optical):
            notes.append(
                f"{silent} of {len(optical)} Sentinel-2 scenes state no cloud cover: they were"
                " ranked after those that do"
            )
        return tuple(notes)


def choose(
    scenes: Iterable[Scene],
    choice: Choice,
    *,
    area: str = "the area",
    period: Period | None = None,
    allow_radar_only: bool = False,
) -> Selection:
    """The scenes a map is made from; every other scene with the rule that left it out.

    The same for any order of `scenes`, and for any subset of places: what is kept of one MGRS tile
    or relative orbit depends on nothing elsewhere.

    Args:
        scenes: candidates of both sensors, complete for each place they are of.
        choice: the rules.
        area, period: only for the words of errors.
        allow_radar_only: accept a selection without an optical scene.

    Raises:
        SceneError: nothing is left; the message says whether there was no scene at all, or none
            clear enough, or none with the bands that are needed.
    """
    candidates = {scene.id: scene for scene in sorted(scenes, key=_order)}.values()
    kept: list[Scene] = []
    dropped: list[Dropped] = []
    for sensor in Sensor:
        remaining = [scene for scene in candidates if scene.sensor is sensor]
        for rule in _rules(sensor, choice):
            remaining, refused = rule(remaining)
            dropped += refused
        kept += remaining
    selection = Selection(
        tuple(sorted(kept, key=_order)), tuple(sorted(dropped, key=lambda d: _order(d.scene)))
    )
    where = area if period is None else f"{area} in {period}"
    if not selection.of(Sensor.OPTICAL) and not (allow_radar_only and selection.kept):
        raise SceneError(_why_nothing(selection, choice, where, allow_radar_only))
    return selection


_Outcome = tuple[list[Scene], list[Dropped]]
_Rule = Callable[[list[Scene]], _Outcome]


def _rules(sensor: Sensor, choice: Choice) -> tuple[_Rule, ...]:
    """In the order they are applied; an incomplete scene must not win over a complete double."""
    if sensor is Sensor.OPTICAL:
        return (
            _complete,
            _newest,
            lambda scenes: _clear_enough(scenes, choice.max_cloud_percent),
            lambda scenes: _best(scenes, choice.optical_looks, _cloudiness, "clearest"),
        )
    looks = choice.radar_looks
    if looks is None:
        return (_complete, _newest)
    return (_complete, _newest, lambda scenes: _best(scenes, looks, lambda _: 0.0, "earliest"))


def _complete(scenes: list[Scene]) -> _Outcome:
    """Scenes with every band the network needs."""
    dropped = [Dropped(s, f"has no {', '.join(s.missing)}") for s in scenes if s.missing]
    return [scene for scene in scenes if not scene.missing], dropped


def _newest(scenes: list[Scene]) -> _Outcome:
    """Of scenes that show the same ground in the same overpass, the latest processing.

    An archive may hold one overpass of one place twice (processed again), or in two items that
    show a half each; only the former are doubles, and their footprints tell.
    """
    kept: list[Scene] = []
    dropped: list[Dropped] = []
    for _, group in _grouped(scenes, lambda s: (s.datatake, s.place)):
        newer: list[Scene] = []
        for scene in sorted(group, key=_recency, reverse=True):
            double = next((other for other in newer if _same_ground(scene, other)), None)
            if double is None:
                newer.append(scene)
            else:
                dropped.append(Dropped(scene, f"is an older double of {double.id}"))
        kept += newer
    return kept, dropped


def _same_ground(scene: Scene, newer: Scene) -> bool:
    """Whether most of a scene's footprint is in the newer one's."""
    shared = scene.footprint.intersection(newer.footprint).area
    return bool(shared >= _DOUBLE_SHARE * scene.footprint.area)


def _clear_enough(scenes: list[Scene], max_percent: float) -> _Outcome:
    """Scenes within the cloud limit; nothing is held against one whose cover is not known."""
    kept, dropped = [], []
    for scene in scenes:
        if scene.cloud_percent is None or scene.cloud_percent <= max_percent:
            kept.append(scene)
        else:
            cover = f"{scene.cloud_percent:.0f} % of it is cloudy, more than {max_percent:g} %"
            dropped.append(Dropped(scene, cover))
    return kept, dropped


def _best(
    scenes: list[Scene], looks: int, rank: Callable[[Sequence[Scene]], float], word: str
) -> _Outcome:
    """The best overpasses of each place and month; ties go to the earlier, then the lesser id.

    An overpass is counted once however many items its place is split over.
    """
    kept, dropped = [], []
    for (place, month), group in _grouped(scenes, lambda s: (s.place, s.month)):
        overpasses = [list(parts) for _, parts in _grouped(group, lambda s: (s.datatake,))]
        overpasses.sort(key=lambda parts: (rank(parts), *min(map(_order, parts))))
        kept += [scene for parts in overpasses[:looks] for scene in parts]
        reason = f"is not among the {looks} {word} of {place} in {month}"
        dropped += [Dropped(scene, reason) for parts in overpasses[looks:] for scene in parts]
    return kept, dropped


def _cloudiness(parts: Sequence[Scene]) -> float:
    """Mean cloud cover of an overpass over one place; unknown cover ranks behind any known."""
    known = [part.cloud_percent for part in parts if part.cloud_percent is not None]
    return sum(known) / len(known) if known else 101.0


def _why_nothing(selection: Selection, choice: Choice, where: str, allow_radar_only: bool) -> str:
    """One line for a person: what was found, and what to change."""
    seen = [item.scene for item in selection.dropped if item.scene.sensor is Sensor.OPTICAL]
    usable = [scene for scene in seen if not scene.missing]
    if usable:
        covers = [scene.cloud_percent or 0.0 for scene in usable]
        clearest = min(cover for cover in covers if cover > choice.max_cloud_percent)
        return (
            f"every Sentinel-2 scene over {where} is cloudier than {choice.max_cloud_percent:g} %"
            f" (the clearest has {clearest:.0f} %); raise --max-cloud or widen --period"
        )
    if seen:
        return (
            f"none of the {len(seen)} Sentinel-2 scenes over {where} has all bands"
            f" ({seen[0].id} has no {', '.join(seen[0].missing)}); choose another --archive"
        )
    sensors = "Sentinel-2 or Sentinel-1" if allow_radar_only else "Sentinel-2"
    return f"no {sensors} scene covers {where}; widen --period or choose another --archive"


def _grouped(
    scenes: Iterable[Scene], key: Callable[[Scene], tuple[str, ...]]
) -> Iterable[tuple[tuple[str, ...], Iterable[Scene]]]:
    return groupby(sorted(scenes, key=lambda s: (key(s), _order(s))), key)


def _order(scene: Scene) -> tuple[datetime, str]:
    return (scene.time, scene.id)


def _recency(scene: Scene) -> tuple[tuple[int, ...], str, str]:
    return (_version(scene.baseline), scene.generated, scene.id)


def _version(baseline: str | None) -> tuple[int, ...]:
    """Baseline as numbers, so that 10.00 comes after 05.09; unknown comes first."""
    digits = (baseline or "").split(".")
    return tuple(int(part) for part in digits if part.isdigit())


@dataclass(frozen=True, slots=True)
class Look:
    """One overpass of one sensor over an area: the unit of compositing."""

    sensor: Sensor
    time: datetime
    """Sensing time of its earliest scene, UTC."""
    scenes: tuple[Scene, ...]
    """A pixel takes the first of these that has data there."""


def looks_of(kept: Iterable[Scene], zone: Zone) -> tuple[Look, ...]:
    """The overpasses that a selection shows, in the one order they are always combined in.

    Inside a look the scenes of the zone's own grid come first, because they are read without
    resampling; then by place and id.
    """

    def rank(scene: Scene) -> tuple[bool, str, str]:
        return (scene.epsg != zone.epsg, scene.place, scene.id)

    looks = []
    for _, group in _grouped(kept, lambda s: (s.sensor.value, s.datatake)):
        scenes = sorted(group, key=rank)
        time = min(scene.time for scene in scenes)
        looks.append((time, scenes[0].datatake, Look(scenes[0].sensor, time, tuple(scenes))))
    return tuple(look for _, _, look in sorted(looks, key=lambda item: item[:2]))
