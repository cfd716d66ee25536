"""Chips of noise in patches, for tests that need files and no landscape."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mapper.dynamicworld.chips import Chip, save_chip


def noise_chip(seed: int, side: int = 64, lon: float | None = None) -> Chip:
    random = np.random.default_rng(seed)
    label = random.integers(0, 9, (side // 16, side // 16)).repeat(16, 0).repeat(16, 1)
    patches = (label + random.normal(0, 0.5, (12, side, side))) / 9
    return Chip(
        optical=np.clip(300 + 4000 * patches[:10], 1, 65535).astype(np.uint16),
        radar=(-25 + 20 * patches[10:]).astype(np.float32),
        label=label.astype(np.uint8),
        place=f"32N_{seed:07d}",
        lon=9.1 + seed if lon is None else lon,
        lat=47.1,
        period="2024-06-01/2024-08-31",
        optical_looks=3,
        radar_looks=4,
        simulated=False,
        source="noise",
    )


def folder_of(folder: Path, seeds: range, side: int = 64) -> Path:
    for seed in seeds:
        save_chip(noise_chip(seed, side), folder, f"noise-{seed}")
    return folder
