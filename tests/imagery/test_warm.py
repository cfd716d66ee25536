"""Compiled once for all, and never older than what it was compiled from."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import shapely
from small_archive import SmallArchive, region_at, smooth

import mapper.imagery
from mapper.compiled import one_at_a_time
from mapper.imagery import COMPILED, blocks, digits, fused, radar, resample, warm
from mapper.imagery.archives import archive
from mapper.imagery.load import read_composite
from mapper.imagery.period import Period
from mapper.imagery.scenes import looks_of
from mapper.imagery.search import search
from mapper.land.grid import Zone

FOLDER = Path(mapper.imagery.__file__).parent


def test_the_files_with_compiled_functions_are_known() -> None:
    found = [path.name for path in FOLDER.glob("*.py") if "numba.njit" in path.read_text()]
    assert sorted(found) == sorted(COMPILED)


def test_compiled_functions_use_nothing_of_files_that_are_not_watched() -> None:
    """numba sees a change of the function's own file only; drop_stale watches COMPILED."""
    for name in COMPILED:
        tree = ast.parse((FOLDER / name).read_text())
        foreign = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mapper")
            for alias in node.names
            if f"{(node.module or '').rpartition('.')[2]}.py" not in COMPILED
        }
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef) and "njit" in ast.dump(
                ast.Module([ast.Expr(d) for d in function.decorator_list], [])
            ):
                used = {
                    n.id
                    for part in function.body
                    for n in ast.walk(part)
                    if isinstance(n, ast.Name)
                }
                assert not used & foreign, f"{name}: {function.name} uses {used & foreign}"


def signatures() -> dict[str, list[object]]:
    return {
        f"{module.__name__}.{name}": list(thing.signatures)
        for module in (blocks, digits, fused, radar, resample)
        for name, thing in vars(module).items()
        if isinstance(thing, numba.core.registry.CPUDispatcher)
    }


def test_nothing_is_left_to_compile_when_a_tile_is_read(small_archive: SmallArchive) -> None:
    def gap(name: str, shape: tuple[int, int]) -> np.ndarray:
        made = smooth(shape, 1, 1100, 6000)
        made[:9] = 0
        return made

    small = small_archive
    small.optical("own", "2024-06-01T10:00:00Z", digits=gap)
    small.optical("same", "2024-06-01T10:00:20Z", tile="32TLX", corner_m=(400_980, 5_300_040))
    small.optical("between", "2024-06-07T10:00:00Z", corner_m=(399_963.8, 5_300_036.3))
    small.radar("r1", "2024-06-02T05:00:00Z")
    small.radar("r2", "2024-06-02T05:00:25Z", corner_m=(400_980, 5_300_040))
    where = shapely.box(-20, 40, 30, 60)
    found = search(archive(str(small.index())), where, Period.parse("2024-06"))
    warm.warm_up()
    before = signatures()
    region = region_at((399_960 + 210, 5_300_040 - 310), (201, 203))
    made = read_composite(looks_of(found, Zone(32, False)), region)
    assert made.optical_looks.max() == 2
    assert made.radar_looks.max() == 1
    assert signatures() == before


WAITING = """
import sys, time
from mapper.compiled import one_at_a_time
with one_at_a_time(sys.argv[1]):
    print("in", flush=True)
    time.sleep(0.2)
    print("out", flush=True)
"""


def test_processes_take_turns(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with out.open("w") as log, one_at_a_time(tmp_path.name):
        command = [sys.executable, "-c", WAITING, tmp_path.name]
        waiting = [subprocess.Popen(command, stdout=log) for _ in range(3)]
        assert all(process.poll() is None for process in waiting)
    assert [process.wait(60) for process in waiting] == [0, 0, 0]
    assert out.read_text().split() == ["in", "out"] * 3
