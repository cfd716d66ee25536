"""Archives, and what a probe of one has found, in words for people and in JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mapper.imagery.archives import KNOWN, SIMULATED, Archive, partner
from mapper.imagery.bands import Sensor
from mapper.imagery.probe import Probe
from mapper.imagery.scenes import TITLES
from mapper.imagery.trials import Answer

OTHERS = (
    (SIMULATED, "scenes made by mapper itself over the area that is asked for; needs no network"),
    ("PATH", "an ItemCollection, a STAC-GeoParquet file, or a folder with one, on this machine"),
    ("FILE.toml", "a description of any STAC API: docs/archives.md says how to write one"),
    ("https://...", "the root of any STAC API with collections and assets named like the above"),
)
"""What --archive takes beside the known names."""
_RELIED_ON = "mapper asks so, and tests what comes"
_NOT_USED = "mapper does not ask so"


def archives_facts() -> dict[str, Any]:
    """The known archives and the other forms, as JSON can hold them."""
    return {
        "known": [_archive_facts(archive) for archive in KNOWN.values()],
        "others": [{"archive": text, "title": title} for text, title in OTHERS],
    }


def archives_lines() -> Iterator[str]:
    """The same for a person."""
    for archive in KNOWN.values():
        yield f"{archive.name}"
        yield f"  {archive.title}"
        yield f"  {archive.root}"
        for sensor in Sensor:
            holder = partner(archive, sensor)
            if holder is not None:
                names = ", ".join(holder.profiles[sensor].collections)
                beside = "" if holder is archive else f", of its partner {holder.name}"
                yield f"  {TITLES[sensor]}: {names}{beside}"
        for note in archive.notes:
            yield f"  - {note}"
        yield ""
    for text, title in OTHERS:
        yield f"{text}"
        yield f"  {title}"


def probe_facts(probe: Probe) -> dict[str, Any]:
    """A probe, as JSON can hold it."""
    return {
        "archive": _archive_facts(probe.archive),
        "usable": probe.usable,
        "conforms": list(probe.conforms),
        "collections": list(probe.collections),
        "trials": [
            {
                "name": trial.name,
                "needed": trial.needed,
                "answer": trial.answer.value,
                "detail": trial.detail,
            }
            for trial in probe.trials
        ],
        "sensors": {
            found.sensor.value: {
                "usable": found.usable,
                "archive": found.holder,
                "findings": list(found.findings),
            }
            for found in probe.sensors
        },
    }


def probe_lines(probe: Probe) -> Iterator[str]:
    """The same for a person."""
    yield f"{probe.archive.name}  {probe.archive.root}"
    if not probe.archive.is_local:
        yield f"conforms to  {', '.join(probe.conforms) or 'nothing known'}"
    width = max((len(trial.detail) for trial in probe.trials), default=0)
    for trial in probe.trials:
        said = f"  {trial.name:<12} {trial.answer.value:<16} {trial.detail:<{width}}"
        use = _RELIED_ON if trial.needed else _NOT_USED
        yield said.rstrip() if trial.answer is Answer.HONOURED else f"{said}  ({use})"
    for found in probe.sensors:
        whose = "" if found.holder == probe.archive.name else f", from its partner {found.holder}"
        yield f"{TITLES[found.sensor]}  {'usable' if found.usable else 'NOT usable'}{whose}"
        for finding in found.findings:
            yield f"  {finding}"


def _archive_facts(archive: Archive) -> dict[str, Any]:
    holders = {sensor: partner(archive, sensor) for sensor in Sensor}
    return {
        "name": archive.name,
        "title": archive.title,
        "root": archive.root,
        "signing": archive.signing,
        "sensors": {
            sensor.value: {
                "archive": holder.name,
                "collections": list(holder.profiles[sensor].collections),
                "assets": {band: list(n) for band, n in holder.profiles[sensor].assets.items()},
            }
            for sensor, holder in holders.items()
            if holder is not None
        },
        "notes": list(archive.notes),
    }
