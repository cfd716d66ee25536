"""What attention costs on a CPU by the channels of a head: forward, and with its gradients.

    PYTHONPATH=. python tests/bench/bench_heads.py [--json F]

The shapes are those of the four stages of a window of 512 px, whose queries all see 256 keys; time
is that of one thread. Heads narrower than 16 channels are padded with zeros (lulcformer/blocks.py):
the last two columns say what that is worth where 8 are padded to 16, the copies included. By rows
is how a network in bf16 attends on processors with AVX512-BF16 but no AMX (cpu_attention.py).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from mapper.lulcformer.blocks import attend
from mapper.lulcformer.cpu_attention import attend_by_rows
from mapper.lulcformer.settings import PRECISIONS

STAGES = ((16384, 1), (4096, 2), (1024, 5), (256, 8))
"""Queries and heads."""
KEYS = 256
WIDTHS = (8, 16, 24, 32, 48, 64)
TURNS = 8


def fastest_ms(work: Callable[[], object]) -> float:
    """CPU milliseconds of the fastest of a few turns."""
    found = []
    for _ in range(TURNS):
        started = time.thread_time()
        work()
        found.append(time.thread_time() - started)
    return 1000 * min(found)


def noise(queries: int, heads: int, width: int, precision: str) -> list[Tensor]:
    """Queries, keys and values, (image, head, token, channel)."""
    shapes = [(1, tokens, heads, width) for tokens in (queries, KEYS, KEYS)]
    return [torch.randn(shape).to(PRECISIONS[precision]).transpose(1, 2) for shape in shapes]


def forward(how: Callable[..., Tensor], parts: list[Tensor]) -> None:
    with torch.inference_mode():
        how(*parts)


def both_ways(how: Callable[..., Tensor], parts: list[Tensor]) -> None:
    leaves = [part.detach().requires_grad_() for part in parts]
    answer = how(*leaves)
    torch.autograd.backward(answer, torch.ones_like(answer))


def main() -> None:
    """Print a table; times are in ms."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    plain = F.scaled_dot_product_attention
    ways = (
        ("fp32", forward, plain, ""),
        ("fp32", both_ways, plain, ""),
        ("bf16", forward, plain, ""),
        ("bf16", forward, attend_by_rows, ", by rows"),
        ("bf16", both_ways, plain, ""),
    )
    print("| queries, heads | | " + " | ".join(map(str, WIDTHS)) + " | 8, padded | times as fast |")
    print("| --- |" + " --- |" * (len(WIDTHS) + 3))
    found = []
    for queries, heads in STAGES:
        for name, work, how, note in ways:
            parts = {width: noise(queries, heads, width, name) for width in WIDTHS}
            ms = {width: fastest_ms(partial(work, how, parts[width])) for width in WIDTHS}
            what = f"{name}, {work.__name__.replace('_', ' ')}{note}"
            cells = [f"{value:.2f}" for value in ms.values()]
            padded = fastest_ms(partial(work, attend, parts[8])) if how is plain else None
            cells += ["-", "-"] if padded is None else [f"{padded:.2f}", f"{ms[8] / padded:.2f}"]
            print(f"| {queries}, {heads} | {what} | {' | '.join(cells)} |", flush=True)
            found.append(
                {"queries": queries, "heads": heads, "what": what, "ms": ms, "padded_ms": padded}
            )
    if given.json:
        given.json.write_text(json.dumps({"python": sys.version, "rows": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
