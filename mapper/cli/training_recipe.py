"""A training recipe out of a TOML file and the command line, which weighs more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from mapper.config import refuse_unknown, table_in
from mapper.dynamicworld.recipe import TrainingRecipe
from mapper.errors import RequestError
from mapper.lulcformer.augment import Augmentation

AUGMENTATION_TABLE = "augmentation"
_WANTED = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    tuple: "a list of texts",
}


def training_recipe(path: Path | None, flags: Mapping[str, Any]) -> TrainingRecipe:
    """The recipe of a training.

    Where folders of chips are given, nothing is simulated besides unless that is asked for.

    Args:
        path: a TOML file with the keys of TrainingRecipe and a table [augmentation], or None.
        flags: by key; None means that the flag was not given.

    Raises:
        RequestError: an unknown key, or a value of the wrong kind or size.
    """
    table = {} if path is None else table_in(path)
    source = f"recipe {path}"
    refuse_unknown(table, [entry.name for entry in fields(TrainingRecipe)], source)
    changes = table.pop(AUGMENTATION_TABLE, {})
    if not isinstance(changes, dict):
        raise RequestError(f"{source}: {AUGMENTATION_TABLE} is a table, [{AUGMENTATION_TABLE}]")
    values = _values(TrainingRecipe, table, source)
    values |= {key: value for key, value in flags.items() if value is not None}
    if values.get("chips"):
        values = {"simulated": 0, "held_out": 0} | values
    try:
        changed = Augmentation(**_values(Augmentation, changes, source))
        return TrainingRecipe(augmentation=changed, **values)
    except ValueError as error:
        raise RequestError(f"{source}: {error}") from error


def _values(kind: type, table: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The values of a table, each of the type that the field of its name has."""
    hints = get_type_hints(kind)
    known = [entry.name for entry in fields(kind) if entry.name != AUGMENTATION_TABLE]
    refuse_unknown(table, known, source)
    return {key: _value(key, value, hints[key], source) for key, value in table.items()}


def _value(key: str, value: Any, hint: Any, source: str) -> Any:
    if isinstance(hint, UnionType):
        (hint,) = (part for part in get_args(hint) if part is not NoneType)
    wanted = get_origin(hint) or hint
    if wanted is float and type(value) is int:
        return float(value)
    if wanted is tuple and isinstance(value, list) and all(isinstance(v, str) for v in value):
        return tuple(value)
    if type(value) is wanted:
        return value
    raise RequestError(f"{source}: {key} is {value!r}, wanted {_WANTED[wanted]}")
