"""Whether products can be written to a folder: asked before any work is done."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from mapper.errors import OutputError


def require_writable(out: Path, wanted_bytes: int) -> None:
    """Refuse a folder that products could not be written to, or that lacks the room.

    Creates nothing: the nearest existing folder above is what is looked at.

    Raises:
        OutputError: no permission, no folder, or too little space.
    """
    place = out.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise OutputError(f"{out} cannot be a folder: {place} is a file; choose another --out")
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputError(f"{place} cannot be written to; choose another --out")
    free = shutil.disk_usage(place).free
    if free < wanted_bytes:
        raise OutputError(
            f"the products need about {wanted_bytes / 1e6:,.0f} MB, {place} has "
            f"{free / 1e6:,.0f} MB free; free some space or choose another --out"
        )


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; it may be there already.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"folder {folder} cannot be made: {error.strerror}; choose another --out"
        ) from error


def require_writable_file(out: Path, wanted_bytes: int) -> None:
    """Refuse a file that could not be written.

    Args:
        wanted_bytes: of it and of all that is kept beside it.

    Raises:
        OutputError: it is a folder, or see `require_writable`.
    """
    if out.is_dir():
        raise OutputError(f"{out} is a folder, wanted a file to write; choose another --out")
    require_writable(out.parent, wanted_bytes)
