"""The most memory of this process above what it held before, as Linux counts it (proc(5))."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path

COUNTED = platform.libc_ver()[0] == "glibc"
"""Whether it can be told here."""


class ResidentPeak:
    """Counts from when it is made."""

    def __init__(self) -> None:
        # What earlier work freed must not hide what this one takes.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
        self._before = _mb("VmRSS")

    def above_mb(self) -> float:
        """Megabytes, until now."""
        return _mb("VmHWM") - self._before


def _mb(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    kilobytes = next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))
    return kilobytes * 1024 / 1e6
