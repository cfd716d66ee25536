"""Compiled and eager agree: the folded network is one graph to torch.compile, and the same one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mapper.lulcformer.folding import for_inference
from mapper.lulcformer.model import MICRO, LulcFormer

SIDE_PX = 128
ENGINES = [
    # Traced whole and taken apart as for a compiler, then run by torch's own kernels: seconds.
    pytest.param("cpu", "fp32", "aot_eager", id="one graph on a CPU"),
    *(
        pytest.param(
            "cuda",
            precision,
            "inductor",
            id=f"compiled for CUDA in {precision}",
            marks=pytest.mark.skipif(
                not torch.cuda.is_available(), reason="needs a CUDA device; a CPU takes minutes"
            ),
        )
        for precision in ("fp32", "fp16")
    ),
]
TOLERANCE = {("cpu", "fp32"): 1e-4, ("cuda", "fp32"): 5e-3, ("cuda", "fp16"): 5e-2}
"""Of the logits' spread; CUDA's float32 convolutions may round their factors to 11 bits."""


def loud_micro() -> LulcFormer:
    """A fresh network whose classes differ."""
    torch.manual_seed(0)
    model = LulcFormer(replace(MICRO, missing_token=True)).eval()
    with torch.no_grad():
        model.head.get_parameter("pred.weight").mul_(100)
    return model


def half_blind() -> tuple[Tensor, ...]:
    """Pixels and masks of which a fifth is hidden."""
    generator = torch.Generator().manual_seed(1)
    optical, radar = (torch.randn(1, n, SIDE_PX, SIDE_PX, generator=generator) for n in (10, 2))
    masks = (torch.rand(1, 1, SIDE_PX, SIDE_PX, generator=generator) > 0.2 for _ in range(2))
    return optical, radar, *masks


@pytest.mark.slow
@pytest.mark.parametrize(("device", "precision", "backend"), ENGINES)
def test_compiled_and_eager_agree(device: str, precision: str, backend: str) -> None:
    half = torch.float16 if precision == "fp16" else None
    network = for_inference(loud_micro().to(device), half, ordinary=True)
    planes = [x.to(device) for x in half_blind()]
    try:
        with torch.inference_mode():
            eager = network(*planes)
            compiled = torch.compile(network, dynamic=False, fullgraph=True, backend=backend)
            found = compiled(*planes)
    finally:
        torch.compiler.reset()
    spread = float(eager.std())
    assert spread > 0.1
    assert float((found - eager).abs().max()) < TOLERANCE[device, precision] * spread
    assert float((found.argmax(1) == eager.argmax(1)).float().mean()) > 0.99
