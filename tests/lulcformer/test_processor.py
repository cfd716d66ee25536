"""A processor is known by the flags that Linux lists, whatever else is written there."""

from pathlib import Path

import pytest

from mapper.lulcformer import processor
from mapper.lulcformer.processor import Bf16, bf16_products, fastest_of


@pytest.mark.parametrize(
    ("flags", "products"),
    [
        ("fpu sse2 avx512_bf16 avx512_vnni amx_bf16 amx_tile", Bf16.TILES),
        ("fpu sse2 avx512f avx512_bf16", Bf16.VECTORS),
        ("fpu sse2 avx512f amx_tile", Bf16.NONE),
    ],
)
def test_the_fastest_products_are_found(flags: str, products: Bf16) -> None:
    told = f"processor\t: 0\nmodel name\t: amx_bf16 or not\nflags\t\t: {flags}\nbugs\t\t:\n"
    assert fastest_of(told) is products


def test_where_linux_lists_nothing_none_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "CPU_FACTS", tmp_path / "absent")
    bf16_products.cache_clear()
    assert bf16_products() is Bf16.NONE
    bf16_products.cache_clear()
    assert fastest_of("") is Bf16.NONE
