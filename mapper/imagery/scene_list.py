"""The frozen scene list: which scenes a run kept and dropped, and why, as a GeoParquet file.

A run repeated from it searches nothing and chooses nothing: it reads the same files with the same
offsets, whatever the archive has taken in or processed again since. Addresses in it are unsigned.
Any GeoParquet reader opens it, QGIS too: a row per scene, its footprint as the geometry.
"""

from __future__ import annotations

import filecmp
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from mapper.errors import OutputError, RequestError
from mapper.imagery.bands import Sensor
from mapper.imagery.choice import Choice, Rule, Selection, Verdict
from mapper.imagery.period import Period
from mapper.imagery.scenes import Asset, Scene

SCENES_NAME = "scenes.parquet"
"""Of the list beside a map."""
_VERSION = 1
_FACTS = b"mapper:scenes"
"""Where the file keeps what is true of the whole list."""
_ASSET = pa.struct(
    [
        ("name", pa.string()),
        ("href", pa.string()),
        ("nodata", pa.float64()),
        ("scale", pa.float64()),
        ("offset", pa.float64()),
    ]
)
_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("collection", pa.string()),
        ("sensor", pa.string()),
        ("datetime", pa.timestamp("us", tz="UTC")),
        ("place", pa.string()),
        ("kept", pa.bool_()),
        ("rule", pa.string()),
        ("reason", pa.string()),
        ("cloud_percent", pa.float64()),
        ("datatake", pa.string()),
        ("orbit_state", pa.string()),
        ("baseline", pa.string()),
        ("generated", pa.string()),
        ("epsg", pa.int32()),
        ("terrain_corrected", pa.bool_()),
        ("simulated", pa.bool_()),
        ("signing", pa.string()),
        ("assets", pa.list_(_ASSET)),
        ("extent", pa.binary()),
        ("geometry", pa.binary()),
    ]
)
_SAME = (
    *("id", "collection", "place", "cloud_percent", "datatake", "orbit_state", "baseline"),
    *("generated", "epsg", "terrain_corrected", "simulated", "signing"),
)
"""Columns that hold a field of Scene as it is."""


@dataclass(frozen=True, slots=True)
class SceneList:
    """A choice among scenes, with what it was made from."""

    selection: Selection
    """Every scene, kept or dropped."""
    archive: str
    """As the recipe named it."""
    period: Period
    """Days that were searched."""
    choice: Choice
    """Rules that were applied."""
    area: str
    """Name of the area that was searched."""
    bounds: tuple[float, float, float, float]
    """Of that area: west, south, east, north, degrees."""

    @property
    def settings(self) -> dict[str, object]:
        """What the list has decided, by the keys of a recipe."""
        return {"archive": self.archive, "period": str(self.period), **asdict(self.choice)}


def write_scene_list(path: Path, scenes: SceneList) -> None:
    """Write a list, whole or not at all; equal lists make equal files, which are left untouched.

    Raises:
        OutputError: it cannot be written.
    """
    facts = {
        "version": _VERSION,
        "archive": scenes.archive,
        "period": str(scenes.period),
        "choice": asdict(scenes.choice),
        "area": scenes.area,
        "bounds": scenes.bounds,
    }
    schema = _SCHEMA.with_metadata({b"geo": json.dumps(_geo()), _FACTS: json.dumps(facts)})
    table = pa.Table.from_pylist([_row(v) for v in scenes.selection.verdicts], schema=schema)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pq.write_table(table, unfinished, compression="zstd")
        if path.exists() and filecmp.cmp(unfinished, path, shallow=False):
            unfinished.unlink()
        else:
            unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise OutputError(
            f"scene list {path} cannot be written: {error.strerror or error}; free some space or"
            " choose another --out"
        ) from error


def read_scene_list(path: Path) -> SceneList:
    """A list as it was written.

    Raises:
        RequestError: there is none at the path, or it is damaged or something else.
    """
    try:
        table = pq.read_table(path)
        facts = json.loads((table.schema.metadata or {})[_FACTS])
        if facts["version"] != _VERSION:
            raise ValueError(f"its version is {facts['version']}, wanted {_VERSION}")
        return SceneList(
            Selection(tuple(_verdict(row) for row in table.to_pylist())),
            str(facts["archive"]),
            Period.parse(facts["period"]),
            Choice(**facts["choice"]),
            str(facts["area"]),
            tuple(facts["bounds"]),
        )
    except FileNotFoundError as error:
        raise RequestError(f"there is no scene list at {path}; check the path") from error
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        pa.ArrowException,
        shapely.GEOSException,
    ) as e:
        what = (str(e).splitlines() or [type(e).__name__])[0]
        raise RequestError(
            f"{path} is no scene list of mapper ({what}); give the {SCENES_NAME} beside a map"
        ) from e


def _row(verdict: Verdict) -> dict[str, Any]:
    scene = verdict.scene
    return {
        **{name: getattr(scene, name) for name in _SAME},
        "sensor": scene.sensor.value,
        "datetime": scene.time,
        "kept": verdict.kept,
        "rule": verdict.rule.value,
        "reason": verdict.reason,
        "assets": [{"name": n, **asdict(a)} for n, a in sorted(scene.assets.items())],
        "extent": shapely.to_wkb(scene.extent),
        "geometry": shapely.to_wkb(scene.footprint),
    }


def _verdict(row: Mapping[str, Any]) -> Verdict:
    scene = Scene(
        **{name: row[name] for name in _SAME},
        sensor=Sensor(row["sensor"]),
        time=row["datetime"].astimezone(UTC),
        footprint=shapely.from_wkb(row["geometry"]),
        extent=shapely.from_wkb(row["extent"]),
        assets={
            asset["name"]: Asset(asset["href"], asset["nodata"], asset["scale"], asset["offset"])
            for asset in row["assets"]
        },
    )
    return Verdict(scene, row["kept"], Rule(row["rule"]), row["reason"])


def _geo() -> dict[str, Any]:
    """What GeoParquet 1.1 asks of a file: the columns that are geometries, and their encoding."""
    column = {"encoding": "WKB", "geometry_types": ["Polygon", "MultiPolygon"]}
    return {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {"geometry": column, "extent": column},
    }
