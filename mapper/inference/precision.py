"""Which device computes, and in which number format: decided from what the machine is.

Half precision is chosen by capability, never by timing, so that two runs on one kind of machine
choose alike. Formats differ in the last digits of a probability: a product names its own, and
workers of one run must be told one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

import torch
from torch.nn.attention import sdpa_kernel

from mapper.errors import CheckpointError, RequestError
from mapper.land.grid import Region
from mapper.lulcformer.blocks import ATTENTION_ON_GPU
from mapper.lulcformer.processor import Bf16, bf16_products
from mapper.lulcformer.settings import PRECISIONS

_COARSE_PRODUCTS = (
    "allow_tf32",
    "allow_fp16_accumulation",
    "allow_fp16_reduced_precision_reduction",
    "allow_bf16_reduced_precision_reduction",
)
"""Torch's names of what CUDA may do to a matrix product to be faster; an old torch lacks some."""


class Precision(Enum):
    """The number format of the network's matrix products; sums and blending are float32."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"

    @property
    def dtype(self) -> torch.dtype:
        """The format as torch names it."""
        return PRECISIONS[self.value]


def resolve_device(wanted: str = "auto") -> torch.device:
    """A device that is really there: "auto" takes CUDA where there is one, else the CPU.

    Raises:
        RequestError: no such device, or not on this machine.
    """
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = wanted.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()):
        raise RequestError(f'device "{wanted}" is unknown; give auto, cpu, cuda or cuda:0')
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise RequestError(
            f'device "{wanted}" is not here: torch {torch.__version__} sees'
            f" {torch.cuda.device_count()} CUDA devices; give --device cpu, or install a torch that"
            " is built for CUDA"
        )
    return torch.device(wanted)


def resolve_precision(device: torch.device, wanted: str = "auto") -> Precision:
    """The format to compute in on a device.

    "auto" is fp16 on CUDA, bf16 on a CPU with instructions for it, and fp32 elsewhere.

    Raises:
        RequestError: the format is unknown, or the device has none of it.
    """
    if wanted == "auto":
        if device.type == "cuda":
            return Precision.FP16
        return Precision.FP32 if bf16_products() is Bf16.NONE else Precision.BF16
    known = [precision.value for precision in Precision]
    if wanted not in known:
        raise RequestError(f'precision "{wanted}" is unknown; give auto or one of {known}')
    if wanted == "fp16" and device.type == "cpu":
        raise RequestError("precision fp16 needs a CUDA device; give bf16 or fp32 on a CPU")
    return Precision(wanted)


def arithmetic(device: torch.device, precision: Precision) -> str:
    """What else than device and precision decides the last digits of an answer, in words; "" for
    nothing that is known. Workers of one run have to agree in it."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        return f"{name}, torch {torch.__version__}, cuDNN {cudnn}"
    return bf16_products().value if precision is Precision.BF16 else ""


@contextmanager
def repeatable() -> Iterator[None]:
    """The same kernels every time, and on CUDA no format coarser than was asked for: no TF32 in
    place of float32, no sums in float16 or bfloat16."""
    products = torch.backends.cuda.matmul
    before = {name: getattr(products, name) for name in _COARSE_PRODUCTS if hasattr(products, name)}
    for name in before:
        setattr(products, name, False)
    try:
        with (
            torch.backends.cudnn.flags(
                enabled=True, benchmark=False, deterministic=True, allow_tf32=False
            ),
            sdpa_kernel(ATTENTION_ON_GPU),
        ):
            yield
    finally:
        for name, allowed in before.items():
            setattr(products, name, allowed)


def no_number(window: Region, precision: Precision) -> CheckpointError:
    """The refusal of an answer with NaN or infinity in it, which would become some class."""
    return CheckpointError(
        f"the network answered a value that is no number for the window at column {window.left},"
        f" row {window.top} of zone {window.zone.name} in {precision.value};"
        " try --precision fp32, or another checkpoint"
    )
