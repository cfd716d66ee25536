"""The state of a training under way, in a file: what a killed one goes on from."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from mapper.errors import OutputError, RequestError
from mapper.lulcformer.chips import Chips
from mapper.lulcformer.weight_files import replace_file

ADVICE = "remove it to start anew, or choose another --out"


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Put a state in the place of an earlier one, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    try:
        replace_file(path, buffer.getvalue())
    except OSError as error:
        raise OutputError(
            f"training state {path} cannot be written ({error.strerror}); free some space, then "
            "run the same command again"
        ) from error


def read_state(path: Path) -> dict[str, Any]:
    """A state that was written.

    Raises:
        RequestError: it cannot be read.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
        raise RequestError(f"training state {path} is damaged or none; {ADVICE}") from error
    if not isinstance(state, dict) or "settings" not in state:
        raise RequestError(f"training state {path} is another file of torch's; {ADVICE}")
    return state


def require_same(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse a state of another training.

    Raises:
        RequestError: what it was written with differs from what is wanted now.
    """
    for name, value in wanted.items():
        # What an earlier version did not write down cannot be compared.
        if found.get(name, value) != value:
            raise RequestError(
                f"training state {path} was written with {name} {found[name]}, now it is {value}; "
                f"give the same, or {ADVICE}"
            )


def mark_of_chips(chips: Chips) -> str:
    """A text that other chips have another of: their number, and a digest of the first and last."""
    ends = chips.take(torch.tensor([0, len(chips) - 1]))
    return f"{len(chips)} of digest {_digest(ends.optical, ends.radar, ends.label)}"


def mark_of_weights(weights: Mapping[str, Tensor] | None) -> str:
    """A text that other weights have another of."""
    if weights is None:
        return "none"
    # By name: a file's tensors come in another order each time it is read.
    return f"of digest {_digest(*(weights[name] for name in sorted(weights)))}"


def _digest(*tensors: Tensor) -> str:
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:12]
