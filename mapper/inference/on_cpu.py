"""Windows answered on the cores of a CPU, one per thread at a time.

Beside the network a window passes through memory four times: pixels to standardised planes, logits
to weighted probabilities, edges to sums, sums to classes. The planes are written into memory that
the windows before it used: pages fresh from the system cost as much as the arithmetic.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from mapper.compiled import one_at_a_time
from mapper.imagery.bands import NetworkInput, Normalisation, normalise
from mapper.imagery.composite import Composite, blank
from mapper.inference.pixelwise import most_likely, weigh
from mapper.inference.precision import Precision, no_number
from mapper.inference.windows import WINDOW_PX, blend, taper
from mapper.land.grid import Region, Zone
from mapper.lulcformer.model import COARSEST_CELL_PX
from mapper.pool import in_order

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.uint8]


class OnCpu:
    """A network on a CPU; may be asked from several threads at once."""

    def __init__(
        self,
        network: nn.Module,
        normalisation: Mapping[str, Normalisation],
        temperature: float,
        precision: Precision,
        threads: int,
    ) -> None:
        """Start the threads, and compile what is not compiled yet.

        Args:
            network: logits of (optical, radar, optical mask, radar mask).
            normalisation: by band name.
            temperature: of the calibration.
            precision: what the network computes in, for an error's message.
            threads: windows answered at the same time.
        """
        self.network = network
        self._normalisation = normalisation
        self._inverse_temperature = np.float32(1 / temperature)
        self._precision = precision
        self._at_once = max(1, threads)
        self._spare: deque[NetworkInput] = deque()
        _use_one_torch_thread()
        self.threads = ThreadPoolExecutor(self._at_once, "window", _use_one_torch_thread)
        _warm_up(network, normalisation)

    def cells(
        self, composite: Composite, windows: list[Region]
    ) -> Iterator[tuple[Region, Codes, Codes]]:
        """The finished squares of the map: where each lies, its codes and percents (y, x).

        Args:
            composite: covers every window.
            windows: in order of row, then column.

        Raises:
            CheckpointError: the network answered something that is no number.
        """
        for cell, sums in blend(self._answers(composite, windows)):
            yield cell, *most_likely(sums)

    def alone(self, composite: Composite) -> tuple[Codes, Codes]:
        """Codes and percents (y, x) of one window by itself; the composite is of its size."""
        flat = np.ones(WINDOW_PX, np.float32)
        return most_likely(self._weighted(composite, composite.region, flat))

    def close(self) -> None:
        """Let the threads go; nothing more can be asked."""
        self.threads.shutdown()

    def _answers(
        self, composite: Composite, windows: list[Region]
    ) -> Iterator[tuple[Region, Floats]]:
        """Windows in their order with weighted probabilities; a few are in flight."""
        edges = taper()

        def answer(window: Region) -> tuple[Region, Floats]:
            return window, self._weighted(composite, window, edges)

        return in_order(self.threads, answer, windows, lambda _: self._at_once)

    def _weighted(self, composite: Composite, window: Region, edges: Floats) -> Floats:
        """(class, y, x) calibrated probabilities, times `edges` on each axis."""
        here = window.slices_in(composite.region)
        given = self._memory()
        normalise(
            composite.optical[:, *here], composite.radar[:, *here], self._normalisation, given
        )
        answer = _answered(self.network, given)
        self._spare.append(given)
        if not weigh(answer, self._inverse_temperature, edges):
            raise no_number(window, self._precision)
        return answer

    def _memory(self) -> NetworkInput:
        """A window's planes to write to, used before if possible."""
        try:
            return self._spare.pop()
        except IndexError:
            return NetworkInput.empty(WINDOW_PX, WINDOW_PX)


def _warm_up(network: nn.Module, normalisation: Mapping[str, Normalisation]) -> None:
    """Compile what a window needs, or load it from disk; of several processes one does it."""
    # Smaller ones would be all the decoder lifts at once, an array of another kind than a window's.
    side = 2 * COARSEST_CELL_PX
    with one_at_a_time("inference"):
        small = blank(Region(Zone(1, False), 0, 0, side, side))
        logits = _answered(network, normalise(small.optical, small.radar, normalisation))
        weigh(logits, np.float32(1), np.ones(side, np.float32))
        most_likely(logits[:, :, :1])


def _answered(network: nn.Module, given: NetworkInput) -> Floats:
    """(class, y, x) logits of one window."""
    planes = (given.optical, given.radar, given.optical_valid[None], given.radar_valid[None])
    with torch.inference_mode():
        logits = network(*(torch.from_numpy(x)[None] for x in planes))[0].contiguous()
    answer: Floats = logits.numpy()
    return answer


def _use_one_torch_thread() -> None:
    """One thread inside each operation: sums split over more of them end in other bits."""
    torch.set_num_threads(1)
