"""Windows answered on a GPU, batch after batch, while the host cuts the next and files the last.

Raw pixels go there and bytes come back: normalising, softmax, weights, sums and classes are the
device's work, in float32. Runs on torch's CPU device as well, which is how it is tested.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import cycle, islice
from threading import Lock

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mapper.imagery.bands import Normalisation
from mapper.imagery.composite import Composite
from mapper.inference.answers import Answers, most_likely
from mapper.inference.precision import Precision, no_number, repeatable
from mapper.inference.staging import Inbox, Lane, Outbox, current, fastest, stay_on
from mapper.inference.windows import STRIDE_PX, Seams, cell_of, taper
from mapper.land.grid import Region
from mapper.pool import cores

BATCH = 16
"""Windows per batch on a GPU."""
IN_FLIGHT = 2
"""Batches whose answers are awaited while the next is prepared."""
MOST_CUTTERS = 8
"""Threads that copy windows into pinned memory: one gives 8 GB/s, a GPU eats as much."""

Codes = npt.NDArray[np.uint8]


class OnDevice:
    """A network on a device of torch; threads that ask at the same time wait for one another."""

    def __init__(
        self,
        network: nn.Module,
        normalisation: Mapping[str, Normalisation],
        temperature: float,
        precision: Precision,
        device: torch.device,
        batch: int = BATCH,
    ) -> None:
        """Take memory on both sides and record the network.

        Args:
            network: logits of (optical, radar, optical mask, radar mask), on the device.
            normalisation: by band name.
            temperature: of the calibration.
            precision: what the network computes in.
            device: where.
            batch: windows answered at once; one shape for all, so that bytes repeat.
        """
        self._precision, self._device, self._batch = precision, device, batch
        self._lock = Lock()
        cutters = min(MOST_CUTTERS, cores())
        self.threads = ThreadPoolExecutor(cutters, "cutter", partial(stay_on, device))
        self._answers = Answers(network, normalisation, temperature).to(device)
        self._edges = torch.from_numpy(taper()).to(device)
        with current(device), torch.inference_mode():
            self._inbox = Inbox(batch, device)
            self._outboxes = cycle([Outbox(batch, device) for _ in range(IN_FLIGHT + 1)])
            self._there, self._back = Lane(device), Lane(device)
            step = partial(_answer, self._answers)  # no method: a recording keeps its step
            self._step = fastest(step, [*self._inbox.there, self._edges])

    def cells(
        self, composite: Composite, windows: list[Region]
    ) -> Iterator[tuple[Region, Codes, Codes]]:
        """The finished squares of the map: where each lies, its codes and percents (y, x).

        They are views, to be used before the next is asked for.

        Args:
            composite: covers every window.
            windows: in order of row, then column.

        Raises:
            CheckpointError: the network answered something that is no number.
        """
        starts = range(0, len(windows), self._batch)
        batches = [windows[first : first + self._batch] for first in starts]
        seams: Seams[Tensor] = Seams()
        waiting: deque[tuple[list[Region], Outbox]] = deque()
        with self._lock, self._cutting(composite, batches) as cut_next:
            for batch in batches:
                waiting.append((batch, self._begin(batch, seams)))
                cut_next()  # while the last are filed
                if len(waiting) > IN_FLIGHT:
                    yield from self._finished(*waiting.popleft())
            while waiting:
                yield from self._finished(*waiting.popleft())

    def alone(self, composite: Composite) -> tuple[Codes, Codes]:
        """Codes and percents (y, x) of one window by itself; the composite is of its size."""
        with self._lock, current(self._device), torch.inference_mode():
            flat = torch.ones_like(self._edges)
            with self._cutting(composite, [[composite.region]]):
                answers, finite = self._weighted(flat)
            if not bool(finite[0]):
                raise no_number(composite.region, self._precision)
            code, percent = most_likely(answers[:1])[0].cpu().numpy()
            return code, percent

    def close(self) -> None:
        """Let the threads go; nothing more can be asked."""
        self.threads.shutdown()

    @contextmanager
    def _cutting(
        self, composite: Composite, batches: Sequence[list[Region]]
    ) -> Iterator[Callable[[], None]]:
        """Has the first batch cut, and the next one whenever asked; none after the end."""
        left = iter(batches)

        def cut_next() -> None:
            for batch in islice(left, 1):
                self._inbox.fill(composite, batch, self.threads)

        cut_next()
        try:
            yield cut_next
        finally:
            self._inbox.settle()

    def _begin(self, windows: list[Region], seams: Seams[Tensor]) -> Outbox:
        """Tell the device all it has to do for a batch that is cut, without waiting for any."""
        with current(self._device), torch.inference_mode():
            answers, finite = self._weighted(self._edges)
            for window, answer in zip(windows, answers, strict=False):
                seams.join(window, answer)
            # Whatever windows come later, these squares are final.
            codes = most_likely(answers[:, :, :STRIDE_PX, :STRIDE_PX])
            outbox = next(self._outboxes)
            outbox.fetch(codes, finite, self._back)
            return outbox

    def _weighted(self, edges: Tensor) -> tuple[Tensor, Tensor]:
        """(window, class, y, x) probabilities times `edges`, and (window,) whether numbers."""
        answers, finite = self._step(*self._inbox.send(self._there), edges)
        self._inbox.taken()
        return answers, finite

    def _finished(
        self, windows: list[Region], outbox: Outbox
    ) -> Iterator[tuple[Region, Codes, Codes]]:
        """The cells of a batch, as soon as they have arrived."""
        with current(self._device):
            answers, finite = outbox.open()
        for window, is_finite, (code, percent) in zip(
            windows, finite, answers.numpy(), strict=False
        ):
            if not is_finite:
                raise no_number(window, self._precision)
            yield cell_of(window), code, percent


def _answer(answers: Answers, *inputs: Tensor) -> tuple[Tensor, Tensor]:
    """See `Answers.forward`; the same bytes each time."""
    with repeatable():
        out: tuple[Tensor, Tensor] = answers(*inputs)
        return out
