"""From a composite in memory to bytes of classes and confidence, and what the network alone takes.

`bench_predict.py --end-to-end --device cuda` prints this. Windows per second of the whole are set
against those of forward alone, batch after batch of the same size and recorded in the same way, and
both against the rate at which the device was measured to multiply matrices.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from bench_network import Peak, finish, matmul_rate, some_pixels, window_flop

from mapper.imagery.composite import Composite
from mapper.inference.on_device import BATCH
from mapper.inference.precision import repeatable
from mapper.inference.predict import Predictor
from mapper.inference.staging import Recorded, fastest
from mapper.inference.windows import needed_region
from mapper.land.grid import Region
from mapper.lulcformer.checkpoint import Checkpoint, model_of
from mapper.lulcformer.folding import for_inference

TIMES = 3
"""Each is done so often, and the fastest counts."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """What a device does in a second."""

    device: str
    variant: str
    precision: str
    side_px: int
    windows: int
    end_to_end: float
    """Windows per second, from raw pixels in (pinned) memory to bytes in memory."""
    forward: float
    """Windows per second of the network alone."""
    of_forward: float
    """The one as a share of the other: what all that is not the network costs."""
    recorded: bool
    """Whether kernels were replayed as a CUDA graph."""
    matmul_tflops: float
    share: float
    """Of that rate, by forward alone."""
    end_to_end_share: float
    peak_mb: float | None
    """Memory of the device above weights and buffers, that of the recording included; None on a
    CPU."""


def throughput(
    checkpoint: Checkpoint, device: str, precision: str, region: Region, pixels: Composite
) -> Throughput:
    """Map a region again and again, then compute batches of windows again and again."""
    predictor = Predictor(checkpoint, device, precision)
    cuda, wanted = predictor.device.type == "cuda", np.ones(region.shape, np.bool_)
    given = pinned(pixels) if cuda else pixels
    assert pixels.region == needed_region(region, wanted)
    windows = predictor.predict(given, wanted, region).windows
    peak = Peak(predictor.device.type) if cuda else None
    whole_s = best(lambda: predictor.predict(given, wanted, region), predictor.device.type)
    peak_mb = peak and peak.above_mb()
    predictor.close()
    model, dtype = model_of(checkpoint).to(predictor.device), predictor.precision.dtype
    batch = BATCH if cuda else 1
    with torch.inference_mode(), repeatable():
        inputs = [*some_pixels(batch, model, predictor.device.type)]
        inputs += [torch.ones_like(inputs[0][:, :1], dtype=torch.bool) for _ in range(2)]
        network = for_inference(model, dtype)
        step = fastest(lambda *planes: [network(*planes)], inputs)
        step(*inputs)
        forward_s = best(lambda: step(*inputs), predictor.device.type) / batch
    end_to_end, forward = windows / whole_s, 1 / forward_s
    rate = matmul_rate(predictor.device.type, dtype)
    flop = window_flop(model, "folded")
    return Throughput(
        device=torch.cuda.get_device_name() if cuda else "cpu",
        variant=checkpoint.variant_name,
        precision=predictor.precision.value,
        side_px=region.width,
        windows=windows,
        end_to_end=end_to_end,
        forward=forward,
        of_forward=end_to_end / forward,
        recorded=isinstance(step, Recorded),
        matmul_tflops=rate / 1e12,
        share=flop * forward / rate,
        end_to_end_share=flop * end_to_end / rate,
        peak_mb=peak_mb,
    )


def best(make: Callable[[], Any], device: str) -> float:
    """Seconds of the fastest time, until the device is done."""
    seconds = []
    for _ in range(TIMES):
        finish(device)
        started = time.perf_counter()
        make()
        finish(device)
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def pinned(pixels: Composite) -> Composite:
    """The same composite in memory that a device can read by itself."""
    optical = torch.empty(pixels.optical.shape, dtype=torch.int16, pin_memory=True).numpy()
    radar = torch.empty(pixels.radar.shape, dtype=torch.float32, pin_memory=True).numpy()
    digits = optical.view(np.uint16)
    digits[:], radar[:] = pixels.optical, pixels.radar
    return Composite(pixels.region, digits, radar, pixels.optical_looks, pixels.radar_looks)
