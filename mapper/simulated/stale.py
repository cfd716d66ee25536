"""Compiled code that outlived its source.

numba keeps compiled functions beside the source and compiles again when that file changes, but not
when a file changes whose functions were compiled into it. After an update of the sources, old
compiled code would go on painting old ground; so whatever is older than the newest source goes.
"""

from __future__ import annotations

from pathlib import Path

_COMPILED = ("*.nbi", "*.nbc")


def drop_stale(folder: Path) -> int:
    """Removes compiled functions older than the newest source of a folder; how many files went.

    Another process may do the same at the same time, and a folder may be read-only: both are fine.
    """
    newest = max((path.stat().st_mtime for path in folder.glob("*.py")), default=0.0)
    gone = 0
    for pattern in _COMPILED:
        for path in (folder / "__pycache__").glob(pattern):
            try:
                if path.stat().st_mtime < newest:
                    path.unlink()
                    gone += 1
            except OSError:
                continue
    return gone
