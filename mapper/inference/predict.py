"""A composite and a checkpoint in, classes and confidence out.

Windows stream through: a window's pixels are cut out, normalised, answered by the network, weighted
and added to its neighbours, and a square of the map is final as soon as its last window is in. What
is held besides the input and the two result layers is a row of window edges and a few windows in
flight, whatever the size of the tile.

The same pixels give the same bytes: batches have one shape, the last one is padded, torch uses one
thread in each, and sums are made in the order of the windows, not in that of their completion.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mapper.errors import CheckpointError
from mapper.imagery.bands import (
    OPTICAL_NAMES,
    RADAR_NAMES,
    NetworkInput,
    Normalisation,
    normalise,
    optical_valid,
    radar_valid,
)
from mapper.imagery.composite import Composite
from mapper.inference.pixelwise import most_likely, weigh
from mapper.inference.precision import resolve_device, resolve_precision
from mapper.inference.windows import WINDOW_PX, blend, taper, windows_touching
from mapper.land.grid import Region
from mapper.land.legend import CLASS_NAMES, NODATA
from mapper.lulcformer.checkpoint import Checkpoint, model_of, require
from mapper.lulcformer.folding import for_inference

CPU_BATCH = 1
"""Windows per batch on a core: more gain nothing there and cost memory."""
CUDA_BATCH = 16
"""Windows per batch on a GPU."""
PERCENT = 100


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
        on_cpu = self.device.type == "cpu"
        self._batch = CPU_BATCH if on_cpu else CUDA_BATCH
        self._threads = max(1, threads) if on_cpu else 1
        self._network = for_inference(model_of(checkpoint).to(self.device), self.precision.dtype)
        self._normalisation = {
            band: Normalisation(*rule) for band, rule in checkpoint.normalisation.items()
        }
        self._inverse_temperature = np.float32(1 / checkpoint.temperature)
        _use_one_torch_thread()
        self._pool = ThreadPoolExecutor(self._threads, "window", _use_one_torch_thread)

    @torch.inference_mode()
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
        mapped = wanted & _seen(composite, region, allow_radar_only)
        land_cover = np.full(region.shape, NODATA, np.uint8)
        confidence = np.full(region.shape, NODATA, np.uint8)
        # A window without a pixel to map would only add to sums that nobody reads.
        windows = windows_touching(region, mapped)
        for cell, sums in blend(self._answers(composite, windows)):
            shared = cell.intersection(region)
            if shared is None:
                continue
            code, percent = _most_likely(sums[:, *shared.slices_in(cell)])
            here = shared.slices_in(region)
            np.copyto(land_cover[here], code, where=mapped[here])
            np.copyto(confidence[here], percent, where=mapped[here])
        return Prediction(region, land_cover, confidence, len(windows))

    def predict_alone(self, composite: Composite) -> Prediction:
        """The answer for one window by itself, unblended, radar alone included: to judge chips by.

        Args:
            composite: over a square of a window's size, wherever it lies.
        """
        region = composite.region
        seen = _seen(composite, region, allow_radar_only=True)
        flat = np.ones(WINDOW_PX, np.float32)
        code, percent = _most_likely(self._weighted(composite, [region], flat)[0])
        land_cover, confidence = (np.where(seen, x, NODATA) for x in (code, percent))
        return Prediction(region, land_cover, confidence, 1)

    def close(self) -> None:
        """Let the threads go; the predictor can no longer be used."""
        self._pool.shutdown()

    def _answers(
        self, composite: Composite, windows: list[Region]
    ) -> Iterator[tuple[Region, Tensor]]:
        """Windows in their order with weighted probabilities; a few batches are in flight."""
        edges = taper()
        in_flight: deque[tuple[list[Region], Future[Tensor]]] = deque()
        try:
            for first in range(0, len(windows), self._batch):
                batch = windows[first : first + self._batch]
                in_flight.append(
                    (batch, self._pool.submit(self._weighted, composite, batch, edges))
                )
                if len(in_flight) > self._threads:
                    yield from _pairs(*in_flight.popleft())
            while in_flight:
                yield from _pairs(*in_flight.popleft())
        finally:
            for _, future in in_flight:
                future.cancel()

    def _weighted(
        self, composite: Composite, windows: list[Region], edges: npt.NDArray[np.float32]
    ) -> Tensor:
        """(window, class, y, x) float32 calibrated probabilities, times `edges` on each axis."""
        inputs = self._batch_of([self._input(composite, window) for window in windows])
        with torch.inference_mode():
            logits: Tensor = self._network(*inputs)[: len(windows)].contiguous()
            _require_numbers(logits, windows, self.precision.value)
            if self.device.type == "cpu":
                for answer in logits.numpy():
                    weigh(answer, self._inverse_temperature, edges)
                return logits
            along = torch.from_numpy(edges).to(self.device)
            answers = torch.softmax(logits * float(self._inverse_temperature), dim=1)
            return answers.mul_(along[:, None] * along)

    def _input(self, composite: Composite, window: Region) -> NetworkInput:
        """A window's pixels, normalised."""
        if window.intersection(composite.region) != window:
            raise ValueError(f"{composite.region} does not cover {window}; read `needed_region`")
        here = window.slices_in(composite.region)
        pixels = (composite.optical[:, *here], composite.radar[:, *here])
        return normalise(*pixels, self._normalisation)

    def _batch_of(self, inputs: list[NetworkInput]) -> list[Tensor]:
        """Optical, radar and their masks on the device, padded with blind windows to the batch."""
        fields = zip(
            *((i.optical, i.radar, i.optical_valid[None], i.radar_valid[None]) for i in inputs),
            strict=True,
        )
        return [torch.from_numpy(_padded(field, self._batch)).to(self.device) for field in fields]


def _padded(arrays: tuple[npt.NDArray[Any], ...], count: int) -> npt.NDArray[Any]:
    """Arrays of one shape stacked, with zeros up to `count` of them; one alone is not copied."""
    if count == 1:
        return arrays[0][None]
    empty = np.zeros_like(arrays[0])
    return np.stack([*arrays, *[empty] * (count - len(arrays))])


def _pairs(windows: list[Region], answer: Future[Tensor]) -> Iterator[tuple[Region, Tensor]]:
    """Each window of a batch with its own answer."""
    return zip(windows, answer.result(), strict=True)


def _seen(composite: Composite, region: Region, allow_radar_only: bool) -> npt.NDArray[np.bool_]:
    """(y, x) over `region`: True where the archive showed enough for a class."""
    seen = np.zeros(region.shape, np.bool_)
    shared = region.intersection(composite.region)
    if shared is None:
        return seen
    for top in range(shared.top, shared.bottom, WINDOW_PX):
        rows = Region(
            region.zone, shared.left, top, shared.width, min(WINDOW_PX, shared.bottom - top)
        )
        here = rows.slices_in(composite.region)
        found = optical_valid(composite.optical[:, *here])
        if allow_radar_only:
            found |= radar_valid(composite.radar[:, *here])
        seen[rows.slices_in(region)] = found
    return seen


def _most_likely(
    sums: Tensor,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """(y, x) code and percent of the most likely class; the lower code where two are equal."""
    if sums.device.type == "cpu":
        answer: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]] = most_likely(sums.numpy())
        return answer
    best, code = sums.max(dim=0)
    percent = (best * PERCENT).round_().clamp_(0, PERCENT)
    return code.to(torch.uint8).cpu().numpy(), percent.to(torch.uint8).cpu().numpy()


def _require_numbers(logits: Tensor, windows: list[Region], precision: str) -> None:
    """Refuse NaN and infinity, which would become some class in silence."""
    finite = torch.isfinite(logits.sum(dim=(1, 2, 3))).tolist()
    for window, is_finite in zip(windows, finite, strict=True):
        if not is_finite:
            raise CheckpointError(
                f"the network answered a value that is no number for the window at column"
                f" {window.left}, row {window.top} of zone {window.zone.name} in {precision};"
                " try --precision fp32, or another checkpoint"
            )


def _use_one_torch_thread() -> None:
    """One thread inside each operation: sums split over more of them end in other bits."""
    torch.set_num_threads(1)
