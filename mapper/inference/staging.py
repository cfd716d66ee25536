"""How windows come to a device and answers come back, while the device computes others.

On CUDA, copies run on streams of their own, from and to pinned memory, and a network's kernels are
recorded once and replayed as one. On any other device the same steps are plain copies.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, wait
from contextlib import AbstractContextManager, nullcontext
from itertools import cycle

import numpy as np
import torch
from torch import Tensor

from mapper.imagery.bands import OPTICAL_BANDS, OPTICAL_NODATA, RADAR_BANDS, RADAR_NODATA
from mapper.imagery.composite import Composite
from mapper.inference.windows import STRIDE_PX, WINDOW_PX
from mapper.land.grid import Region

log = logging.getLogger(__name__)

WARM_UPS = 3
"""Calls before a recording, in which libraries choose kernels and take memory."""


class Lane:
    """An order of copies beside the computing, where the device has streams."""

    def __init__(self, device: torch.device) -> None:
        self._stream = _new_stream(device) if device.type == "cuda" else None

    def entered(self) -> AbstractContextManager[object]:
        """Work that is told inside goes into this order."""
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)


class Mark:
    """A moment in the order of a stream, to be waited for by another stream or by the host."""

    def __init__(self, device: torch.device) -> None:
        self._event = _new_event() if device.type == "cuda" else None

    def set(self) -> None:
        """Here and now, in the stream that this thread gives its work to."""
        if self._event is not None:
            self._event.record()

    def hold(self) -> None:
        """Let that stream go on only after the mark."""
        if self._event is not None:
            self._event.wait()

    def wait(self) -> None:
        """Let the host go on only after the mark."""
        if self._event is not None:
            self._event.synchronize()


class Inbox:
    """A batch of raw windows: once on the host, since that is soon copied, and twice on the device,
    since one batch arrives there while the one before is still read."""

    def __init__(self, batch: int, device: torch.device) -> None:
        pinned, square = device.type == "cuda", (WINDOW_PX, WINDOW_PX)
        shapes = ((batch, len(OPTICAL_BANDS), *square), (batch, len(RADAR_BANDS), *square))
        kinds = list(zip(shapes, (torch.int16, torch.float32), strict=True))
        self._host = [torch.zeros(s, dtype=kind, pin_memory=pinned) for s, kind in kinds]
        self._sent, self._cuts = Mark(device), list[Future[None]]()
        places = []
        for _ in "ab":
            place = [torch.zeros(s, dtype=kind, device=device) for s, kind in kinds]
            places.append((place, Mark(device)))
            places[-1][1].set()  # a copy in another stream could be there before the zeros
        self._places = cycle(places)
        self.there, self._read = next(self._places)

    def fill(self, composite: Composite, windows: list[Region], cutters: Executor) -> None:
        """Begin to cut windows out of a composite; places that are left over become blind ones."""
        optical, radar = (x.numpy() for x in self._host)
        digits = optical.view(np.uint16)

        def cut(place: int) -> None:
            self._sent.wait()  # what was here before must have left
            if place >= len(windows):
                digits[place], radar[place] = OPTICAL_NODATA, RADAR_NODATA
                return
            here = windows[place].slices_in(composite.region)
            digits[place] = composite.optical[:, *here]
            radar[place] = composite.radar[:, *here]

        self._cuts = [cutters.submit(cut, place) for place in range(len(digits))]

    def settle(self) -> None:
        """Let nobody write here any more, even if what is being cut is not wanted."""
        wait(self._cuts)

    def send(self, lane: Lane) -> list[Tensor]:
        """Copy to the device, once all is cut; the computing stream will find the windows there."""
        for done in self._cuts:
            done.result()
        self.there, self._read = next(self._places)
        with lane.entered():
            self._read.hold()
            for there, here in zip(self.there, self._host, strict=True):
                there.copy_(here, non_blocking=True)
            self._sent.set()
        self._sent.hold()
        return self.there

    def taken(self) -> None:
        """What was sent has been read, as far as the computing stream was told up to here."""
        self._read.set()


class Outbox:
    """A batch's answers on the host: codes and percents, and whether they are numbers."""

    def __init__(self, batch: int, device: torch.device) -> None:
        pinned, shape = device.type == "cuda", (batch, 2, STRIDE_PX, STRIDE_PX)
        self._answers = torch.empty(shape, dtype=torch.uint8, pin_memory=pinned)
        self._finite = torch.empty(batch, dtype=torch.bool, pin_memory=pinned)
        self._computed, self._arrived = Mark(device), Mark(device)

    def fetch(self, answers: Tensor, finite: Tensor, lane: Lane) -> None:
        """Begin to copy from the device, once what is copied has been computed."""
        self._computed.set()
        self._kept = answers, finite  # their memory must not be used again before they are copied
        with lane.entered():
            self._computed.hold()
            self._answers.copy_(answers, non_blocking=True)
            self._finite.copy_(finite, non_blocking=True)
            self._arrived.set()

    def open(self) -> tuple[Tensor, list[bool]]:
        """(window, 2, y, x) uint8 and a truth for each window, once they are here."""
        self._arrived.wait()
        del self._kept
        return self._answers, self._finite.tolist()


Step = Callable[..., Iterable[Tensor]]


class NotRecordableError(RuntimeError):
    """A function runs on the device, but its kernels cannot be recorded."""


class Recorded:
    """A function of tensors of fixed shapes, replayed as a CUDA graph: one launch for hundreds."""

    def __init__(self, step: Step, examples: list[Tensor]) -> None:
        """Run a few times beside the current stream, then record.

        Raises:
            NotRecordableError: something in it cannot be recorded.
            RuntimeError: it does not run at all.
        """
        # A recording knows where its weights lie, but does not keep them there.
        self._step = step
        self._inputs = [x.clone() for x in examples]
        beside = _new_stream(examples[0].device)
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM_UPS):
                step(*self._inputs)
        torch.cuda.current_stream().wait_stream(beside)
        self._graph = torch.cuda.CUDAGraph()
        try:
            # Other threads may read, write or map meanwhile: only this one's calls are recorded.
            with torch.cuda.graph(self._graph, stream=beside, capture_error_mode="thread_local"):
                self._outputs = list(step(*self._inputs))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise NotRecordableError(str(error)) from error

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """The outputs, in memory of their own: the next replay writes over the recorded ones."""
        for mine, given in zip(self._inputs, inputs, strict=True):
            mine.copy_(given)
        self._graph.replay()
        return [x.clone() for x in self._outputs]


def fastest(step: Step, examples: list[Tensor]) -> Step:
    """The same function recorded, where that can be done; else as it is."""
    if examples[0].device.type != "cuda":
        return step
    try:
        # A recording that fails half-way leaves its own stream as the current one.
        with torch.cuda.stream(torch.cuda.current_stream(examples[0].device)):
            return Recorded(step, examples)
    except NotRecordableError as error:
        log.warning("no CUDA graph, each kernel is launched by itself, which is slow: %s", error)
        return step


def current(device: torch.device) -> AbstractContextManager[object]:
    """Streams, events and recordings inside belong to that device, where it is one of several."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def stay_on(device: torch.device) -> None:
    """Let a thread that works for one of several devices open nothing on the first."""
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)


def _new_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _new_event() -> torch.cuda.Event:
    # One that is waited for asleep: the cores that would spin are reading the next tile.
    return torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
