"""The same map by MONAI's sliding window: what `bench_predict.py` measures beside ours.

MONAI wants one normalised image and gives one blended image of logits, so what comes before and
after is done on the whole: normalise, then softmax, most likely class and its percent, in torch.
"""

from __future__ import annotations

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from torch import Tensor, nn

from mapper.imagery.bands import OPTICAL_NAMES, Normalisation, normalise
from mapper.imagery.composite import Composite
from mapper.inference.windows import OVERLAP_PX, WINDOW_PX
from mapper.lulcformer.checkpoint import Checkpoint

OVERLAP = OVERLAP_PX / WINDOW_PX
OPTICAL = len(OPTICAL_NAMES)


@torch.inference_mode()
def slide(
    checkpoint: Checkpoint, network: nn.Module, pixels: Composite
) -> tuple[Tensor, Tensor, int]:
    """(y, x) uint8 codes and percents, and how many windows were answered."""
    rules = {band: Normalisation(*rule) for band, rule in checkpoint.normalisation.items()}
    given = normalise(pixels.optical, pixels.radar, rules)
    image = torch.from_numpy(np.concatenate((given.optical, given.radar)))[None]
    del given
    windows = 0

    def answer(window: Tensor) -> Tensor:
        nonlocal windows
        windows += 1
        logits: Tensor = network(window[:, :OPTICAL], window[:, OPTICAL:])
        return logits

    logits = sliding_window_inference(image, WINDOW_PX, 1, answer, OVERLAP, mode="gaussian")
    del image
    best, code = torch.softmax(logits[0], dim=0).max(dim=0)
    return code.to(torch.uint8), (best * 100).round_().to(torch.uint8), windows
