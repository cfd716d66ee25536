"""An archive described in a TOML file: every value is checked, every error names its key.

root = "https://stac.example.org/v1"     a STAC API, or the path of an index beside this file
title = "One sentence"                   optional, like all that follows
like = "earth-search"                    take over what is not said here from a known archive
signing = "planetary-computer"           who signs; "none" for nobody
partner = "planetary-computer"           who holds the sensor this one lacks

[optical]                                and likewise [radar]
collections = ["sentinel-2-l2a"]
scale = 0.0001                           of every band; left out: what items say
offset = -0.1                            left out: decided for each asset
nodata = 0
scl = "scl"                              optical only; "none" where there is none
[optical.assets]
B02 = "blue"                             or several names, the preferred one first
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from typing import Any

from mapper.errors import ArchiveError, RequestError
from mapper.imagery.bands import OPTICAL_NAMES, RADAR_NAMES, Sensor
from mapper.imagery.dialects import ANY_OPTICAL, RADAR, SCL, Dialect
from mapper.imagery.profiles import Archive, Profile, is_url, plain_root

NONE = "none"
"""How a description says that there is nothing, where leaving a key out would mean the usual."""
SIGNINGS = ("planetary-computer", NONE)
"""Who can sign."""
_TABLES = {"optical": Sensor.OPTICAL, "radar": Sensor.RADAR}
_TOP_KEYS = ("root", "title", "like", "signing", "partner", *_TABLES)
_PROFILE_KEYS = ("collections", "uncorrected", "scale", "offset", "nodata", "scl", "assets")
_BANDS = {Sensor.OPTICAL: OPTICAL_NAMES, Sensor.RADAR: RADAR_NAMES}
_USUAL = {Sensor.OPTICAL: ANY_OPTICAL, Sensor.RADAR: RADAR}
_FEW_DIGITS = 1.0
"""Scales and offsets of reflectance are below this; larger ones count digits, and were misread."""


def described(path: Path, known: Mapping[str, Archive]) -> Archive:
    """The archive that a TOML file describes; its name is the file's own path.

    Args:
        path: of the description.
        known: archives that `like` may name.

    Raises:
        ArchiveError: there is no such file.
        RequestError: it is no TOML, or a key or value makes no sense.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArchiveError(f"archive {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"archive {path} is not TOML: {error}") from error
    return _archive(_Reader(str(path), table), path, known)


def _archive(top: _Reader, path: Path, known: Mapping[str, Archive]) -> Archive:
    top.refuse_unknown(_TOP_KEYS)
    like = top.choice("like", known)
    start = known[like] if like else Archive("", "", {})
    root = top.text("root") or start.root
    if not root:
        raise top.refused("root", "nothing", 'an address such as "https://stac.example.org/v1"')
    signing = top.choice("signing", SIGNINGS) or start.signing
    profiles = dict(start.profiles)
    for name, sensor in _TABLES.items():
        if (part := top.table(name)) is not None:
            profiles[sensor] = _profile(part, sensor, start.profiles.get(sensor))
    if not profiles:
        raise top.refused("optical", "nothing", "a table [optical] or [radar], or a key like")
    return Archive(
        name=str(path),
        root=plain_root(root) if is_url(root) else str((path.parent / root).resolve()),
        profiles=profiles,
        signing=None if signing == NONE else signing,
        partners=_partners(top, start, profiles),
        title=top.text("title") or start.title,
        notes=start.notes,
    )


def _partners(
    top: _Reader, start: Archive, profiles: Mapping[Sensor, Profile]
) -> Mapping[Sensor, str] | None:
    """The stated partner, or those of the known archive, for the sensors that are lacking."""
    name = top.text("partner")
    lacking = [sensor for sensor in Sensor if sensor not in profiles]
    if name is None:
        return {s: p for s, p in (start.partners or {}).items() if s in lacking} or None
    if not lacking:
        raise top.refused("partner", f'"{name}"', "no partner, since both sensors are described")
    return dict.fromkeys(lacking, name)


def _profile(part: _Reader, sensor: Sensor, start: Profile | None) -> Profile:
    part.refuse_unknown(k for k in _PROFILE_KEYS if k != "scl" or sensor is Sensor.OPTICAL)
    usual = start or Profile((), _USUAL[sensor])
    collections = part.names("collections") or usual.collections
    if not collections:
        raise part.refused("collections", "nothing", 'a list such as ["sentinel-2-l2a"]')
    uncorrected = part.names("uncorrected")
    assets = {**usual.assets, **_assets(part, sensor)}
    scl = part.names("scl")
    if scl is not None:
        assets[SCL] = () if scl == (NONE,) else scl
    scale, offset = part.number("scale"), part.number("offset")
    for key, value in (("scale", scale), ("offset", offset)):
        if sensor is Sensor.OPTICAL and value is not None and abs(value) > _FEW_DIGITS:
            raise part.refused(key, f"{value:g}", "it in reflectance, such as 0.0001 and -0.1")
    if scale is not None and scale <= 0:
        raise part.refused("scale", f"{scale:g}", "a number above 0")
    if offset is not None and scale is None:
        raise part.refused("offset", f"{offset:g}", "a scale beside it")
    return replace(
        usual,
        collections=(*collections, *(c for c in uncorrected or () if c not in collections)),
        assets=assets,
        uncorrected=usual.uncorrected if uncorrected is None else uncorrected,
        scale=usual.scale if scale is None else scale,
        offset=usual.offset if offset is None else offset,
        nodata=usual.nodata if (nodata := part.number("nodata")) is None else nodata,
    )


def _assets(part: _Reader, sensor: Sensor) -> Dialect:
    table = part.table("assets")
    if table is None:
        return {}
    table.refuse_unknown((*_BANDS[sensor], *((SCL,) if sensor is Sensor.OPTICAL else ())))
    return {band: names for band in table.values if (names := table.names(band))}


@dataclass(frozen=True, slots=True)
class _Reader:
    """A table of the file, and the words by which errors name it."""

    where: str
    """The file, and the table in it."""
    values: Mapping[str, Any]
    """What stands there."""

    def refused(self, key: str, found: str, wanted: str) -> RequestError:
        return RequestError(f"archive {self.where}: {key} is {found}, wanted {wanted}")

    def refuse_unknown(self, known: Iterable[str]) -> None:
        known = list(known)
        for key in self.values:
            if key not in known:
                near = get_close_matches(key, known, n=1, cutoff=0.0)[0]
                raise RequestError(
                    f"archive {self.where}: nobody knows the key {key}; did you mean {near}?"
                )

    def text(self, key: str) -> str | None:
        value = self.values.get(key)
        if value is None or (isinstance(value, str) and value):
            return value
        raise self.refused(key, repr(value), "a text")

    def choice(self, key: str, known: Iterable[str]) -> str | None:
        value = self.text(key)
        if value is not None and value not in known:
            raise self.refused(key, f'"{value}"', f"one of {', '.join(known)}")
        return value

    def names(self, key: str) -> tuple[str, ...] | None:
        """One name, or a list of them."""
        value = self.values.get(key)
        if value is None:
            return None
        names = [value] if isinstance(value, str) else value
        if isinstance(names, list) and names and all(isinstance(n, str) and n for n in names):
            return tuple(names)
        raise self.refused(key, repr(value), "a name or a list of names")

    def number(self, key: str) -> float | None:
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise self.refused(key, repr(value), "a number")
        return float(value)

    def table(self, key: str) -> _Reader | None:
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.refused(key, repr(value), f"a table, [{key}]")
        return _Reader(f"{self.where}, [{key}]", value)
