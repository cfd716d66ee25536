"""Workers of a cluster compute alike, or the run does not start."""

from __future__ import annotations

import pytest

from mapper.errors import RequestError
from mapper.production.team import agreed


def test_workers_that_agree_settle_device_and_precision() -> None:
    gpu = ("cuda", "fp16", "NVIDIA H100, torch 2.13.0, cuDNN 91501")
    assert agreed({"a": gpu, "b": gpu}) == ("cuda", "fp16")
    vectors = ("cpu", "bf16", "avx512_bf16")
    assert agreed({"a": vectors, "b": vectors}) == ("cpu", "bf16")


@pytest.mark.parametrize(
    ("other", "found", "remedy"),
    [
        (
            ("cpu", "bf16", "amx_bf16"),
            "2 x cpu/bf16 by avx512_bf16, 1 x cpu/bf16 by amx_bf16",
            "--precision fp32, or",
        ),
        (("cpu", "fp32", ""), "2 x cpu/bf16 by avx512_bf16, 1 x cpu/fp32", "--device and"),
        (("cuda", "fp16", ""), "1 x cuda/fp16", "give --device and --precision"),
    ],
)
def test_workers_that_would_compute_differently_are_refused(
    other: tuple[str, str, str], found: str, remedy: str
) -> None:
    vectors = ("cpu", "bf16", "avx512_bf16")
    with pytest.raises(RequestError, match="would compute differently") as raised:
        agreed({"a": vectors, "b": vectors, "c": other})
    assert found in str(raised.value) and remedy in str(raised.value)


def test_gpus_of_two_kinds_are_refused() -> None:
    kinds = [("cuda", "fp16", f"NVIDIA {name}, torch 2.13.0, cuDNN 91501") for name in "AB"]
    with pytest.raises(RequestError, match=r"NVIDIA A, .* take workers of one kind$"):
        agreed(dict(zip("ab", kinds, strict=True)))
