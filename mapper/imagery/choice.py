"""The choice among scenes: global, explained, and the same whoever asks. Pure.

No rule here looks at a tile of the map or at an area: each is applied to one Sentinel-2 MGRS tile
(or one Sentinel-1 relative orbit) and one calendar month. Two neighbouring tiles of the map
therefore never see different scenes at their shared edge, and a country chosen as a whole keeps the
same scenes as its districts chosen one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from shapely.geometry.base import BaseGeometry

from mapper.errors import RequestError, SceneError
from mapper.imagery.bands import Sensor
from mapper.imagery.doubles import without_doubles
from mapper.imagery.ground import sampled
from mapper.imagery.period import Period
from mapper.imagery.scenes import SCL, TITLES, Scene, grouped, in_order


class Rule(Enum):
    """What decided about a scene."""

    BANDS = "bands"
    """A band that the network needs is lacking."""
    TERRAIN = "terrain"
    """Radar without terrain correction."""
    DOUBLE = "double"
    """The same ground in the same overpass, processed twice: the newest is kept."""
    CLOUD = "cloud"
    """The cloud limit."""
    CLEAREST = "clearest"
    """The clearest looks of an MGRS tile and month."""
    MINIMUM = "minimum"
    """Beyond the cloud limit, but an MGRS tile has too few looks without it."""
    EARLIEST = "earliest"
    """The earliest passes of a relative orbit and month."""
    EVERY = "every pass"
    """No limit on radar passes is set."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The rules by which scenes are kept; part of the recipe."""

    max_cloud_percent: float = 60.0
    """Optical scenes cloudier than this are left out, 0..100."""
    optical_looks: int = 4
    """The clearest overpasses kept per MGRS tile and month, wherever in the tile one looks."""
    min_optical_looks: int = 0
    """Looks that an MGRS tile has in the whole period even if they are beyond the cloud limit."""
    radar_looks: int | None = None
    """The earliest overpasses kept per relative orbit and month, wherever one looks; None: all."""
    allow_grd: bool = False
    """Whether radar in ground range, without terrain correction, is taken where it can be read."""

    def __post_init__(self) -> None:
        if not 0 <= self.max_cloud_percent <= 100:
            raise RequestError(
                f"the cloud limit is {self.max_cloud_percent:g} %; give one between 0 and 100"
            )
        for name, looks in (("optical", self.optical_looks), ("radar", self.radar_looks)):
            if looks is not None and looks < 1:
                raise RequestError(f"{looks} {name} looks were asked for; ask for 1 or more")
        if not 0 <= self.min_optical_looks <= self.optical_looks:
            raise RequestError(
                f"min_optical_looks is {self.min_optical_looks}, wanted a number from 0 to"
                f" optical_looks, which is {self.optical_looks}"
            )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a scene, and why."""

    scene: Scene
    kept: bool
    rule: Rule
    reason: str
    """Words that follow the scene's name, such as `is an older double of ...`."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What a run reads, and what it does not read and why."""

    verdicts: tuple[Verdict, ...]
    """Of every candidate, sorted by time, then id."""

    @property
    def kept(self) -> tuple[Scene, ...]:
        """The scenes that are read, in order."""
        return tuple(verdict.scene for verdict in self.verdicts if verdict.kept)

    @property
    def dropped(self) -> tuple[Verdict, ...]:
        """The others, in order."""
        return tuple(verdict for verdict in self.verdicts if not verdict.kept)

    def of(self, sensor: Sensor) -> tuple[Scene, ...]:
        """The kept scenes of one sensor."""
        return tuple(scene for scene in self.kept if scene.sensor is sensor)

    def near(self, ground: BaseGeometry) -> Selection:
        """The same, without the scenes that show nothing of some ground (EPSG:4326, prepared)."""
        return Selection(tuple(v for v in self.verdicts if ground.intersects(v.scene.footprint)))

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
        if flat := sum(not scene.terrain_corrected for scene in radar):
            notes.append(
                f"{flat} of {len(radar)} Sentinel-1 scenes are not terrain-corrected: slopes may"
                " pass for land cover"
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
    candidates = {scene.id: scene for scene in sorted(scenes, key=in_order)}.values()
    verdicts = [
        *_optical([s for s in candidates if s.sensor is Sensor.OPTICAL], choice),
        *_radar([s for s in candidates if s.sensor is Sensor.RADAR], choice),
    ]
    selection = Selection(tuple(sorted(verdicts, key=lambda v: in_order(v.scene))))
    require_some(
        selection, choice, area if period is None else f"{area} in {period}", allow_radar_only
    )
    return selection


def require_some(selection: Selection, choice: Choice, where: str, allow_radar_only: bool) -> None:
    """Refuse a selection that no map can be made from.

    Raises:
        SceneError: it has no optical scene, and radar alone is not there or not allowed.
    """
    if not selection.of(Sensor.OPTICAL) and not (allow_radar_only and selection.kept):
        raise SceneError(_why_nothing(selection, choice, where, allow_radar_only))


_Outcome = tuple[list[Scene], list[Verdict]]
"""Scenes still in the running, and verdicts on the others."""


def _optical(scenes: list[Scene], choice: Choice) -> list[Verdict]:
    """The rules in their order; an incomplete scene must not win over a complete double."""
    whole, lacking = _complete(scenes)
    newest, doubles = _newest(whole)
    clear, cloudy = _clear_enough(newest, choice.max_cloud_percent)
    best = _clearest(clear, choice.optical_looks)
    if choice.min_optical_looks:
        kept = [verdict.scene for verdict in best if verdict.kept]
        cloudy = _at_least(cloudy, kept, choice)
    return [*lacking, *doubles, *cloudy, *best]


def _radar(scenes: list[Scene], choice: Choice) -> list[Verdict]:
    whole, lacking = _complete(scenes)
    level, tilted = _corrected(whole, choice.allow_grd)
    newest, doubles = _newest(level)
    return [*lacking, *tilted, *doubles, *_earliest(newest, choice.radar_looks)]


def _complete(scenes: list[Scene]) -> _Outcome:
    """Scenes with every band the network needs."""
    dropped = [
        Verdict(s, False, Rule.BANDS, f"has no {', '.join(s.missing)}") for s in scenes if s.missing
    ]
    return [scene for scene in scenes if not scene.missing], dropped


def _corrected(scenes: list[Scene], allow_grd: bool) -> _Outcome:
    """Radar scenes whose pixels are where the ground is, and as bright as flat ground would be."""
    kept, dropped = [], []
    for scene in scenes:
        if scene.terrain_corrected or (allow_grd and scene.epsg is not None):
            kept.append(scene)
        elif scene.epsg is None:
            reason = (
                "is ground range in the radar's own geometry (GRD): its digits are not calibrated"
                " and on no map, and cannot be read as they are"
            )
            dropped.append(Verdict(scene, False, Rule.TERRAIN, reason))
        else:
            reason = (
                "is ground range without terrain correction (GRD): slopes would pass for land"
                " cover; the recipe key allow_grd takes it all the same"
            )
            dropped.append(Verdict(scene, False, Rule.TERRAIN, reason))
    return kept, dropped


def _newest(scenes: list[Scene]) -> _Outcome:
    """Of scenes that show the same ground in the same overpass, the latest processing."""
    kept, doubles = without_doubles(scenes)
    dropped = [
        Verdict(scene, False, Rule.DOUBLE, f"is an older double of {newer.id}")
        for scene, newer in doubles
    ]
    return kept, dropped


def _clear_enough(scenes: list[Scene], max_percent: float) -> _Outcome:
    """Scenes within the cloud limit; nothing is held against one whose cover is not known."""
    kept, dropped = [], []
    for scene in scenes:
        if scene.cloud_percent is None or scene.cloud_percent <= max_percent:
            kept.append(scene)
        else:
            cover = f"{scene.cloud_percent:.0f} % of it is cloudy, more than {max_percent:g} %"
            dropped.append(Verdict(scene, False, Rule.CLOUD, cover))
    return kept, dropped


def _clearest(scenes: list[Scene], looks: int) -> list[Verdict]:
    """Of each place and month the clearest overpasses, counted on the ground.

    A scene is dropped where everything it shows is seen in `looks` clearer overpasses. So a clear
    sliver at the edge of a swath cannot push out the scene that shows the rest of the tile.
    """
    verdicts = []
    for (place, month), group in grouped(scenes, lambda s: (s.place, s.month)):
        where = f"of {place} in {month}"
        for scene, rank, spare in _ranked(list(group), _cloudiness, looks):
            if spare:
                reason = f"is the {_nth(rank)} clearest {where}"
            else:
                reason = f"is not among the {looks} clearest {where}"
            verdicts.append(Verdict(scene, spare, Rule.CLEAREST, reason))
    return verdicts


def _earliest(scenes: list[Scene], looks: int | None) -> list[Verdict]:
    """Of each relative orbit and month the earliest passes, counted on the ground."""
    if looks is None:
        return [Verdict(s, True, Rule.EVERY, f"is a pass of {s.place}") for s in scenes]
    verdicts = []
    for (place, month), group in grouped(scenes, lambda s: (s.place, s.month)):
        where = f"of {place} in {month}"
        for scene, rank, spare in _ranked(list(group), lambda _: 0.0, looks):
            if spare:
                reason = f"is the {_nth(rank)} pass {where}"
            else:
                reason = f"is not among the {looks} earliest {where}"
            verdicts.append(Verdict(scene, spare, Rule.EARLIEST, reason))
    return verdicts


def _ranked(
    scenes: list[Scene], rank: Callable[[Sequence[Scene]], float], looks: int
) -> Iterable[tuple[Scene, int, bool]]:
    """Each scene with its rank on the ground it shows, and whether that is among the first `looks`.

    Overpasses are ranked, ties going to the earlier, then the lesser id; each counts once however
    many items its place is split over. A scene's rank is its best one anywhere: 1 where it is the
    first to show some of its ground.
    """
    ground = sampled({scene.id: scene.footprint for scene in scenes})
    counts = ground.none()
    for parts in _overpasses(scenes, rank):
        for part in parts:
            seen = int(counts[ground.points[part.id]].min())
            yield part, seen + 1, seen < looks
        counts += ground.union(part.id for part in parts)


def _at_least(cloudy: list[Verdict], kept: list[Scene], choice: Choice) -> list[Verdict]:
    """Scenes beyond the cloud limit, of which the clearest are kept where a place has too few."""
    few, verdicts = choice.min_optical_looks, []
    by_id = {verdict.scene.id: verdict for verdict in cloudy}
    for (place,), group in grouped([v.scene for v in cloudy], lambda s: (s.place,)):
        candidates = list(group)
        there = [scene for scene in kept if scene.place == place]
        ground = sampled({scene.id: scene.footprint for scene in (*there, *candidates)})
        counts = ground.none()
        for parts in _overpasses(there, lambda _: 0.0):
            counts += ground.union(part.id for part in parts)
        for parts in _overpasses(candidates, _cloudiness):
            for part in parts:
                is_wanted = counts[ground.points[part.id]].min() < few
                verdicts.append(_wanted(by_id[part.id], few) if is_wanted else by_id[part.id])
            counts += ground.union(part.id for part in parts)
    return verdicts


def _wanted(verdict: Verdict, few: int) -> Verdict:
    """The verdict on a scene that is too cloudy, and kept all the same."""
    reason = (
        f"{verdict.reason}, but {verdict.scene.place} has fewer than {few} clearer looks in the"
        " whole period"
    )
    return replace(verdict, kept=True, rule=Rule.MINIMUM, reason=reason)


def _overpasses(scenes: list[Scene], rank: Callable[[Sequence[Scene]], float]) -> list[list[Scene]]:
    """The scenes of each overpass, the overpasses in order of rank, then time, then id."""
    parts = [list(group) for _, group in grouped(scenes, lambda s: (s.datatake,))]
    return sorted(parts, key=lambda group: (rank(group), *min(map(in_order, group))))


def _cloudiness(parts: Sequence[Scene]) -> float:
    """Mean cloud cover of an overpass over one place; unknown cover ranks behind any known."""
    known = [part.cloud_percent for part in parts if part.cloud_percent is not None]
    return sum(known) / len(known) if known else 101.0


def _nth(rank: int) -> str:
    """1st, 2nd, 3rd, 4th ... 11th."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank}{'th' if rank % 100 in (11, 12, 13) else ending}"


def _why_nothing(selection: Selection, choice: Choice, where: str, allow_radar_only: bool) -> str:
    """One line for a person: what was found, and what to change."""
    optical = [item for item in selection.dropped if item.scene.sensor is Sensor.OPTICAL]
    covers = [item.scene.cloud_percent or 0.0 for item in optical if item.rule is Rule.CLOUD]
    seen = [item.scene for item in optical if item.rule is Rule.BANDS]
    if covers:
        clearest = min(covers)
        return (
            f"every Sentinel-2 scene over {where} is cloudier than {choice.max_cloud_percent:g} %"
            f" (the clearest has {clearest:.0f} %); raise --max-cloud or widen --period"
        )
    if seen:
        return (
            f"none of the {len(seen)} Sentinel-2 scenes over {where} has all bands"
            f" ({seen[0].id} has no {', '.join(seen[0].missing)}); choose another --archive"
        )
    sensors = f"{TITLES[Sensor.OPTICAL]} or {TITLES[Sensor.RADAR]}"
    sensors = sensors if allow_radar_only else TITLES[Sensor.OPTICAL]
    return f"no {sensors} scene covers {where}; widen --period or choose another --archive"
