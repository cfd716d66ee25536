"""Where a training keeps what, and what is refused before the first chip is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import torch

from mapper.dynamicworld.chips import SUFFIX, chip_paths, facts_of
from mapper.dynamicworld.recipe import TrainingRecipe
from mapper.dynamicworld.simulated_chips import SOURCE
from mapper.errors import CheckpointError, OutputError, RequestError
from mapper.imagery.bands import OPTICAL_NAMES, RADAR_NAMES
from mapper.land.legend import CLASS_NAMES
from mapper.lulcformer.checkpoint import Checkpoint, require
from mapper.lulcformer.model import LulcFormer, Variant
from mapper.lulcformer.weight_files import INDEX_SUFFIX
from mapper.lulcformer.weight_files import SUFFIX as WEIGHTS
from mapper.production.locked import locked
from mapper.production.room import make_folder, require_writable_file

STATE_BYTES = 5 * 4
"""Of each parameter: the weights, their average, two moments of the optimiser, the best."""
CHIP_PIXEL_BYTES = 25
"""What a pixel of a chip takes on the disk before it is zipped; two thirds of that are usual."""


@dataclass(frozen=True, slots=True)
class TrainingFiles:
    """What a training keeps beside its weights."""

    weights: Path
    """The checkpoint that it ends with."""

    @property
    def training(self) -> Path:
        """Folder of the simulated chips to learn from."""
        return self.weights.with_suffix(".chips") / "training"

    @property
    def held_out(self) -> Path:
        """Folder of the simulated chips to be tried on."""
        return self.weights.with_suffix(".chips") / "held-out"

    @property
    def state(self) -> Path:
        """What a training goes on from."""
        return self.weights.with_suffix(".state")

    @property
    def report(self) -> Path:
        """Folder of curves, scores and calibration."""
        return self.weights.with_suffix(".report")

    @property
    def curves(self) -> Path:
        """The course of the training; its picture lies beside it."""
        return self.report / "curves.csv"


def training_files(out: Path, recipe: TrainingRecipe) -> TrainingFiles:
    """Where everything of a training goes.

    Raises:
        RequestError: `out` does not end in .safetensors: what is kept beside it is named by the
            rest, and two trainings must not share that; or it is what is started from.
        OutputError: it cannot be written, or there is no room for the chips and the state.
    """
    if out.name.endswith(INDEX_SUFFIX):
        raise RequestError(
            f"--out is {out}, wanted a {WEIGHTS} file; `mapper calibrate` makes shards of it"
        )
    if out.suffix != WEIGHTS:
        raise RequestError(f'--out is {out}, wanted a file such as "{out.name}{WEIGHTS}"')
    if recipe.start and Path(recipe.start).resolve() == out.resolve():
        raise RequestError(
            f"--out is {out}, the weights to start from: a training that replaced them could not "
            "be gone on with; give another --out"
        )
    files = TrainingFiles(out)
    made = sum(len(list(folder.glob(f"*{SUFFIX}"))) for folder in (files.training, files.held_out))
    missing = max(0, recipe.simulated + recipe.held_out - made)
    state = STATE_BYTES * _parameters(recipe.network())
    # The old state is there until the new one is whole.
    kept = state if files.state.exists() else 2 * state
    require_writable_file(out, missing * recipe.chip_px**2 * CHIP_PIXEL_BYTES + kept)
    return files


def _parameters(variant: Variant) -> int:
    """How many numbers a network learns; none of them is made."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in LulcFormer(variant).parameters())


def only_training(files: TrainingFiles) -> IO[str]:
    """The lock of a training's report, held while it is open: two would write the same files.

    Raises:
        OutputError: another training holds it, or the folder cannot be made or written.
    """
    make_folder(files.report)  # and with it the folder of the state and of the weights
    try:
        return locked(files.report, "training")
    except OSError as error:
        raise OutputError(
            f"{files.report} cannot be written: {error.strerror}; choose another --out"
        ) from error


def require_chips(folders: Sequence[str]) -> None:
    """Refuse a folder without chips before others are made for hours.

    Raises:
        RequestError: a folder has none.
    """
    for folder in folders:
        chip_paths(Path(folder))


def require_compiler(device: torch.device) -> None:
    """Refuse to compile a network where nothing can be compiled, before chips are made for hours.

    Raises:
        RequestError: torch.compile fails on a function that needs a kernel of its own.
    """
    made = torch.compile(lambda x: torch.nn.functional.gelu(x) + 1)
    try:
        made(torch.zeros(8, device=device))
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # of whatever kind the compiler's is
        reason = str(error).strip().partition("\n")[0]
        raise RequestError(
            f"compile is true and nothing can be compiled here ({type(error).__name__}: {reason}); "
            "install a C++ compiler, on a GPU Triton, too, or give compile = false"
        ) from error
    finally:
        torch.compiler.reset()


def require_same_chips(
    folder: Path, names: Sequence[str], chip_px: int, begun: bool = False
) -> None:
    """Refuse a folder whose chips were made for another training.

    Args:
        names: of the chips that it is to hold in the end, without suffix.
        begun: whether a training has learned from them already: then it goes on with chips that an
            earlier version painted, if all of them are there.

    Raises:
        RequestError: it holds others, or some of another size or painted by another version.
    """
    found = sorted(folder.glob(f"*{SUFFIX}")) if folder.is_dir() else []
    others = len({path.name for path in found} - {f"{name}{SUFFIX}" for name in names})
    advice = f"remove {folder}, or choose another --out"
    if others:
        raise RequestError(
            f"{folder} holds {len(found)} chips, {others} of them beyond the {len(names)} that "
            f"are wanted; {advice}"
        )
    # They are made in the order of their names, so an older version's are the first ones.
    for path in found[:1]:
        chip = facts_of(path)
        if chip.shape[0] != chip_px:
            raise RequestError(
                f"{folder} holds chips of {chip.shape[0]} px, wanted {chip_px} px; {advice}"
            )
        whole = len(found) == len(names)
        if chip.source != SOURCE and not (begun and whole):
            raise RequestError(
                f'{folder} holds chips of another version ("{chip.source}"), wanted "{SOURCE}"; '
                f"{advice}"
            )


def require_ours(found: Checkpoint) -> None:
    """Refuse a network that reads other bands, or answers other classes, than chips have.

    Raises:
        CheckpointError: it does, or has them in another order.
    """
    require(found, optical_bands=OPTICAL_NAMES, radar_bands=RADAR_NAMES, legend=CLASS_NAMES)


def require_start(start: Checkpoint, recipe: TrainingRecipe) -> None:
    """Refuse to go on from a network of other bands, classes or sizes than the recipe's.

    Raises:
        CheckpointError: it has others.
    """
    require_ours(start)
    if start.variant_name != recipe.variant:
        raise CheckpointError(
            f"the weights to start from, {recipe.start}, are of variant {start.variant_name}, "
            f"wanted {recipe.variant}; give --variant {start.variant_name}, or other weights"
        )
    # How often paths are dropped in training is no part of what the weights are.
    if replace(start.variant, drop_path=recipe.network().drop_path) != recipe.network():
        raise CheckpointError(
            f"the weights to start from, {recipe.start}, are {start.variant}, wanted "
            f"{recipe.network()}; give other weights"
        )
