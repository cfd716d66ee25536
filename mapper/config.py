"""Settings from a TOML file, the environment and the command line, in rising order of weight.

The only reader of either. A recipe file has the keys of `Recipe` at its top and those of
`Resources` in a table [resources]; the environment spells both MAPPER_<KEY>. A key nobody knows is
an error.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mapper.errors import RequestError
from mapper.imagery.archives import SIMULATED
from mapper.imagery.scenes import Period
from mapper.production.recipe import ALL_LOOKS, Recipe, Resources

PREFIX = "MAPPER_"
RESOURCES_TABLE = "resources"
SIMULATED_PERIOD = Period.parse("2024-06-01/2024-08-31")
"""Days of the simulated archive where no others are asked for."""

_KUBERNETES = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP)(_\w+)?)?)$")
"""Kubernetes gives every pod such variables for a service that is called mapper: not settings."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One value somebody gave, and where."""

    key: str
    """Name of the field of Recipe or Resources."""
    value: object
    """As it was written: a string from the environment, any type from TOML or the command line."""
    source: str
    """How an error message names it: recipe.toml, the environment, the command line."""


def settings(
    recipe_file: Path | None,
    environment: Mapping[str, str],
    flags: Mapping[str, object],
    frozen: Mapping[str, object] | None = None,
) -> tuple[Recipe, Resources]:
    """The recipe and the resources of a run.

    Args:
        recipe_file: a TOML file, or None.
        environment: such as os.environ; only names that begin with MAPPER_ are looked at.
        flags: by key; None means that the flag was not given.
        frozen: by key, what a scene list was made with; anything else outweighs it.

    Raises:
        RequestError: an unknown key, a value of the wrong kind, or no archive or period.
    """
    given = [
        *(Setting(key, value, "the scene list") for key, value in (frozen or {}).items()),
        *_from_file(recipe_file),
        *_from_environment(environment),
        *_from_flags(flags),
    ]
    by_key = {setting.key: setting for setting in given}
    values = {key: _converted(setting) for key, setting in by_key.items()}
    if "archive" not in values:
        raise RequestError(
            "no archive was named; give --archive simulated, planetary-computer, earth-search, "
            "cdse, a path or an address"
        )
    if "period" not in values:
        if values["archive"] != SIMULATED:
            raise RequestError(
                f"no period was given for archive {values['archive']}; "
                "give the days to map, such as --period 2024-06-01/2024-08-31"
            )
        values["period"] = SIMULATED_PERIOD
    recipe = {key: value for key, value in values.items() if key in RECIPE_KEYS}
    resources = {key: value for key, value in values.items() if key in RESOURCE_KEYS}
    return Recipe(**recipe), Resources(**resources)


def _from_file(path: Path | None) -> list[Setting]:
    if path is None:
        return []
    table = table_in(path)
    resources = table.pop(RESOURCES_TABLE, {})
    if not isinstance(resources, dict):
        raise RequestError(f"recipe {path}: {RESOURCES_TABLE} is a table, [{RESOURCES_TABLE}]")
    refuse_unknown(table, [*RECIPE_KEYS, RESOURCES_TABLE], f"recipe {path}")
    refuse_unknown(resources, RESOURCE_KEYS, f"recipe {path}, [{RESOURCES_TABLE}]")
    return [Setting(key, value, f"recipe {path}") for key, value in {**table, **resources}.items()]


def table_in(path: Path) -> dict[str, Any]:
    """What a recipe file holds, of a run or of a training.

    Raises:
        RequestError: it cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"recipe {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"recipe {path} is not TOML: {error}") from error


def _from_environment(environment: Mapping[str, str]) -> list[Setting]:
    given = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(PREFIX) and not _KUBERNETES.search(name)
    }
    refuse_unknown(given, [*RECIPE_KEYS, *RESOURCE_KEYS], "the environment", spell=_in_environment)
    return [Setting(key, value, _in_environment(key)) for key, value in given.items()]


def _from_flags(flags: Mapping[str, object]) -> list[Setting]:
    return [
        Setting(key, value, "the command line") for key, value in flags.items() if value is not None
    ]


def _in_environment(key: str) -> str:
    return PREFIX + key.upper()


def refuse_unknown(
    given: Iterable[str], known: Iterable[str], source: str, spell: Callable[[str], str] = str
) -> None:
    """Raise RequestError for a key nobody knows, naming the nearest known one."""
    known = list(known)
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
            raise RequestError(
                f"{source}: nobody knows the setting {spell(key)}; did you mean {spell(near)}?"
            )


def _converted(setting: Setting) -> Any:
    kind, wanted = _KINDS[setting.key]
    try:
        return kind(setting.value)
    except RequestError as error:
        raise RequestError(f"{setting.source}: {error}") from error
    except (TypeError, ValueError) as error:
        raise RequestError(
            f"{setting.source}: {setting.key} is {setting.value!r}, wanted {wanted}"
        ) from error


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError
    return value


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError
    return int(value)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError
    return float(value)


def _looks(value: object) -> int | None:
    return None if value is None or value == ALL_LOOKS else _whole(value)


def _truth(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "1", "yes", "false", "0", "no"):
        return value.lower() in ("true", "1", "yes")
    raise TypeError


def _period(value: object) -> Period:
    return value if isinstance(value, Period) else Period.parse(_text(value))


_KINDS: dict[str, tuple[Callable[[object], Any], str]] = {
    "period": (_period, "days such as 2024-06-01/2024-08-31"),
    "archive": (_text, "a name, a path or an address"),
    "max_cloud_percent": (_number, "a number 0..100"),
    "optical_looks": (_whole, "a whole number"),
    "min_optical_looks": (_whole, "a whole number"),
    "allow_grd": (_truth, "true or false"),
    "radar_looks": (_looks, f'a whole number or "{ALL_LOOKS}"'),
    "cloud_dilation_px": (_whole, "a whole number of pixels"),
    "cloud_mask": (_text, "scl or omnicloudmask"),
    "cloud_weights": (_text, "a folder"),
    "allow_radar_only": (_truth, "true or false"),
    "tile_px": (_whole, "a multiple of 512"),
    "checkpoint": (_text, "a path"),
    "device": (_text, "auto, cpu or cuda"),
    "precision": (_text, "auto, fp32, bf16 or fp16"),
    "crs": (_text, "a CRS such as EPSG:3035"),
    "workers": (_whole, "a whole number"),
    "threads": (_whole, "a whole number"),
    "tiles_per_worker": (_whole, "a whole number"),
    "scheduler": (_text, "an address such as tcp://10.0.0.7:8786"),
    "read_timeout_s": (_whole, "a whole number of seconds"),
    "tile_timeout_s": (_whole, "a whole number of seconds"),
}
"""How each setting is read, and how an error message says what it wants."""

RECIPE_KEYS = tuple(entry.name for entry in fields(Recipe))
RESOURCE_KEYS = tuple(entry.name for entry in fields(Resources))
assert set(_KINDS) == {*RECIPE_KEYS, *RESOURCE_KEYS}
