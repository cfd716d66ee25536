"""What a training frees it takes again, instead of having the kernel clear new pages."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from mapper.lulcformer.memory import keep_freed_memory

def faults(megabytes):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.empty(megabytes * 2**20, np.uint8)[::512] = 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "keep":
    assert keep_freed_memory()
    faults(200)
print(faults(100) + faults(199))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_memory_that_was_freed_is_used_again() -> None:
    def faults(how: str) -> int:
        words = [sys.executable, "-c", PROGRAM, how]
        return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)

    assert faults("keep") < 0.01 * faults("give back")
