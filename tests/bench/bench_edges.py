"""Where a network errs: how far from the next edge between two classes of the truth.

    PYTHONPATH=. python tests/bench/bench_edges.py --on CHIPS [--checkpoint C] [--json F]

LULC-Former answers for every fourth pixel along each axis and interpolates between, so beside an
edge it cannot be right everywhere. How much it could be is shown by an observer who is told the
share of each class around those pixels and interpolates shares as the network does logits.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mapper.dynamicworld.lesson import chips_for
from mapper.land.legend import CLASS_COUNT
from mapper.lulcformer.checkpoint import load, model_of, packaged
from mapper.lulcformer.chips import UNLABELLED
from mapper.lulcformer.model import CELL_PX
from mapper.lulcformer.scores import answers

RINGS_PX = (0, 1, 2, 4, 8)
"""Least distance of a pixel of each ring to one that touches an edge; the last ring has no end."""


@dataclass(frozen=True, slots=True)
class Ring:
    """Pixels at some distance from the edges of the truth."""

    from_px: int
    share: float
    """Of all labelled pixels."""
    error: float
    """Share of them that the network answers wrongly."""
    error_of_cells: float
    """The same of the observer who knows the shares of classes in cells."""


def distance(label: Tensor) -> Tensor:
    """(chip, y, x) steps, diagonal ones too, to the next pixel that touches another class."""
    near, known = torch.zeros(label.shape, dtype=torch.bool), label != UNLABELLED
    across = (label[:, :, 1:] != label[:, :, :-1]) & known[:, :, 1:] & known[:, :, :-1]
    down = (label[:, 1:] != label[:, :-1]) & known[:, 1:] & known[:, :-1]
    near[:, :, 1:] |= across
    near[:, :, :-1] |= across
    near[:, 1:] |= down
    near[:, :-1] |= down
    found = torch.zeros(label.shape, dtype=torch.int64)
    for _ in range(RINGS_PX[-1]):
        found += ~near
        near = F.max_pool2d(near[:, None].float(), 3, 1, 1)[:, 0] > 0
    return found


def of_cells(label: Tensor) -> Tensor:
    """(chip, y, x) the classes that the shares in cells tell."""
    known = label != UNLABELLED
    codes = label.long().masked_fill(~known, 0)
    shares = (F.one_hot(codes, CLASS_COUNT) * known[..., None]).permute(0, 3, 1, 2).float()
    # Weights as of a network's logits: one at the cell's middle, none at the next one's.
    ramp = 1 - torch.arange(1 - CELL_PX, CELL_PX).abs() / CELL_PX
    kernel = (ramp[:, None] * ramp / CELL_PX**2).expand(CLASS_COUNT, 1, -1, -1)
    wide = F.pad(shares, [CELL_PX - 1] * 4, mode="replicate")
    cells = F.conv2d(wide, kernel, stride=CELL_PX, groups=CLASS_COUNT)
    return F.interpolate(cells, label.shape[1:], mode="bilinear", align_corners=True).argmax(1)


def main() -> None:
    """Print a table of rings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--on", type=Path, required=True, help="folder of chips")
    parser.add_argument("--checkpoint", type=Path, help="default: the packaged weights")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    given = parser.parse_args()
    checkpoint = load(given.checkpoint or packaged())
    model = model_of(checkpoint).eval()
    counts = np.zeros((3, len(RINGS_PX)))
    for label, logits in answers(model, chips_for(checkpoint, given.on)):
        labelled = label != UNLABELLED
        ring = torch.bucketize(distance(label), torch.tensor(RINGS_PX), right=True) - 1
        wrong, missed = logits.argmax(1) != label, of_cells(label) != label
        for row, chosen in enumerate((labelled, labelled & wrong, labelled & missed)):
            counts[row] += np.bincount(ring[chosen].numpy(), minlength=len(RINGS_PX))
    total = counts[0].sum()
    found = [
        Ring(first, n / total, wrong / n, missed / n)
        for first, (n, wrong, missed) in zip(RINGS_PX, counts.T, strict=True)
    ]
    print("| from, px | share of pixels | error | share of all errors | error of cells |")
    print("| --- | --- | --- | --- | --- |")
    for ring in found:
        part = ring.error * ring.share * total / counts[1].sum()
        cells = (ring.share, ring.error, part, ring.error_of_cells)
        print(f"| {ring.from_px} | {' | '.join(f'{value:.3f}' for value in cells)} |")
    errors = counts[1:].sum(axis=1) / total
    print(f"| all | 1 | {errors[0]:.3f} | 1 | {errors[1]:.3f} |")
    if given.json:
        rows = [asdict(ring) for ring in found]
        given.json.write_text(json.dumps({"python": sys.version, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
