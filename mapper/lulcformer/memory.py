"""Memory of a training on a CPU: what one step frees, the next takes again.

A step makes and frees maps of up to a hundred megabytes. glibc fetches blocks of that size from the
system and gives them back at once, so every step writes to fresh pages, and a page costs the kernel
more to find and clear than the network needs to fill it.
"""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
"""Parameters of mallopt(3)."""
_NEVER = -1
"""As mallopt(3) has it: what is free at the end of the heap is never given back."""
_GROWTH_BYTES = 2**28
"""By what the heap grows beyond what is asked for."""


def keep_freed_memory() -> bool:
    """Have the C library of this process keep what is freed, for good; whether it can.

    For a process that does nothing but train: what is kept, up to some gigabytes, no other process
    gets before this one ends. Elsewhere than under glibc nothing is changed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # Without mapped blocks all memory is of the heap, whose parts are used again.
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _NEVER), (_M_TOP_PAD, _GROWTH_BYTES))
    return all(mallopt(parameter, value) for parameter, value in settings)
