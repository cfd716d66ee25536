"""Which products of bf16 this machine's processor has: formats and algorithms are chosen by it.

By capability, never by timing, so that two runs on one kind of machine choose alike.
"""

from enum import Enum
from functools import cache
from pathlib import Path

CPU_FACTS = Path("/proc/cpuinfo")


class Bf16(Enum):
    """Instructions that multiply bf16 faster than float32, by Linux's names of them."""

    NONE = "none"
    VECTORS = "avx512_bf16"
    TILES = "amx_bf16"


@cache
def bf16_products() -> Bf16:
    """The fastest of this processor, by the flags that Linux lists; elsewhere none is known."""
    try:
        facts = CPU_FACTS.read_text()
    except OSError:
        return Bf16.NONE
    return fastest_of(facts)


def fastest_of(facts: str) -> Bf16:
    """The fastest products of the first processor in a text such as /proc/cpuinfo."""
    flags = next((line for line in facts.splitlines() if line.startswith("flags")), "").split()
    known = (kind for kind in (Bf16.TILES, Bf16.VECTORS) if kind.value in flags)
    return next(known, Bf16.NONE)
