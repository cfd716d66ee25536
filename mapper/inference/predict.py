"""A composite and a checkpoint in, classes and confidence out.

Windows stream through: a window's pixels are cut out, normalised, answered by the network, weighted
and added to its neighbours, and a square of the map is final as soon as its last window is in. What
is held besides the input and the two result layers is a row of window edges and a few windows in
flight, whatever the size of the tile.

The same pixels give the same bytes: batches have one shape, the last one is padded, torch uses one
thread in each, and sums are made in the order of the windows, not in that of their completion.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mapper.imagery.bands import (
    OPTICAL_NAMES,
    RADAR_NAMES,
    Normalisation,
    optical_valid,
    radar_valid,
)
from mapper.imagery.composite import Composite
from mapper.inference.on_cpu import OnCpu
from mapper.inference.on_device import OnDevice
from mapper.inference.precision import resolve_device, resolve_precision
from mapper.inference.windows import WINDOW_PX, windows_touching
from mapper.land.grid import Region
from mapper.land.legend import CLASS_NAMES, NODATA
from mapper.lulcformer.checkpoint import Checkpoint, model_of, require
from mapper.lulcformer.folding import for_inference


@dataclass(frozen=True, slots=True)
class Prediction:
    """The map of one region."""

    region: Region
    """Where the pixels lie."""
    land_cover: npt.NDArray[np.uint8]
    """(y, x) class codes 0..8; 255 where not wanted or not seen."""
    confidence: npt.NDArray[np.uint8]
    """(y, x) probability of that class in percent, 0..100, blended; 255 where there is no class."""
    windows: int
    """How many windows the network answered."""


class Predictor:
    """Owns a network on its device; may be asked from several threads at once."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: str = "auto",
        precision: str = "auto",
        threads: int = 1,
    ) -> None:
        """Put the weights of a checkpoint where they will be used.

        Args:
            checkpoint: what the network is, and how its input is normalised.
            device: auto, cpu, cuda or cuda:0.
            precision: auto, fp32, bf16 or fp16.
            threads: batches computed at the same time on a CPU; a GPU takes one after the other.

        Raises:
            RequestError: the device or the precision is not to be had here.
            CheckpointError: it was made for other bands, another legend or another window.
        """
        require(
            checkpoint,
            optical_bands=OPTICAL_NAMES,
            radar_bands=RADAR_NAMES,
            legend=CLASS_NAMES,
            window=WINDOW_PX,
        )
        self.device = resolve_device(device)
        self.precision = resolve_precision(self.device, precision)
        network = for_inference(model_of(checkpoint).to(self.device), self.precision.dtype)
        rules = {band: Normalisation(*rule) for band, rule in checkpoint.normalisation.items()}
        facts = (network, rules, checkpoint.temperature, self.precision)
        self._engine = (
            OnCpu(*facts, threads) if self.device.type == "cpu" else OnDevice(*facts, self.device)
        )

    def predict(
        self,
        composite: Composite,
        wanted: npt.NDArray[np.bool_],
        region: Region,
        allow_radar_only: bool = False,
    ) -> Prediction:
        """Classes and confidence of the wanted pixels that were seen.

        Args:
            composite: what was seen of every window that holds a wanted pixel (`needed_region`).
            wanted: (y, x) over `region`; True means this pixel is to be mapped.
            region: the tile.
            allow_radar_only: also map pixels that radar saw but no clear optical look did.

        Raises:
            CheckpointError: the network answered something that is no number.
        """
        mapped = _seen(composite, region, allow_radar_only, self._engine.threads)
        mapped &= wanted
        land_cover = np.full(region.shape, NODATA, np.uint8)
        confidence = np.full(region.shape, NODATA, np.uint8)
        # All bits are set in nodata, so "or" hides a class; a copy by mask takes ten times as long.
        hidden = np.where(mapped, np.uint8(0), np.uint8(NODATA))
        # A window without a pixel to map would only add to sums that nobody reads.
        windows = windows_touching(region, mapped)
        for window in windows:
            if window.intersection(composite.region) != window:
                raise ValueError(
                    f"{composite.region} does not cover {window}; read `needed_region`"
                )
        for cell, code, percent in self._engine.cells(composite, windows):
            shared = cell.intersection(region)
            if shared is None:
                continue
            here, there = shared.slices_in(region), shared.slices_in(cell)
            for layer, answer in ((land_cover, code), (confidence, percent)):
                np.bitwise_or(answer[there], hidden[here], out=layer[here])
        return Prediction(region, land_cover, confidence, len(windows))

    def predict_alone(self, composite: Composite) -> Prediction:
        """The answer for one window by itself, unblended, radar alone included: to judge chips by.

        Args:
            composite: over a square of a window's size, wherever it lies.
        """
        seen = _seen(composite, composite.region, True, self._engine.threads)
        answer = self._engine.alone(composite)
        land_cover, confidence = (np.where(seen, x, NODATA) for x in answer)
        return Prediction(composite.region, land_cover, confidence, 1)

    def close(self) -> None:
        """Let the threads go; the predictor can no longer be used."""
        self._engine.close()


def _seen(
    composite: Composite, region: Region, allow_radar_only: bool, threads: Executor
) -> npt.NDArray[np.bool_]:
    """(y, x) over `region`: True where the archive showed enough for a class."""
    seen = np.zeros(region.shape, np.bool_)
    shared = region.intersection(composite.region)
    if shared is None:
        return seen

    def see(top: int) -> None:
        rows = Region(
            region.zone, shared.left, top, shared.width, min(WINDOW_PX, shared.bottom - top)
        )
        here = rows.slices_in(composite.region)
        found = optical_valid(composite.optical[:, *here])
        if allow_radar_only:
            found |= radar_valid(composite.radar[:, *here])
        seen[rows.slices_in(region)] = found

    # By many threads: a GPU that waits for this could have answered half a tile meanwhile.
    list(threads.map(see, range(shared.top, shared.bottom, WINDOW_PX)))
    return seen
