"""Checkpoint: weights together with everything that gives them a meaning, in one file or in shards.

The tensors carry the names of `LulcFormer.state_dict()`; the facts are one JSON text beside them.
How both lie on disk is `weight_files.py`'s matter.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from itertools import zip_longest
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mapper.errors import CheckpointError, OutputError
from mapper.lulcformer.model import LulcFormer, Variant
from mapper.lulcformer.weight_files import read, write

FORMAT_VERSION = 1
"""Raised whenever an older reader would misunderstand a newer file."""

Range = tuple[float, float, float, float]
"""Clip low, clip high, mean and standard deviation of a band, in its physical unit."""


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A trained network and what it was trained to read and to tell."""

    variant_name: str
    """`base`, `small`, `tiny`, or a name of one's own."""
    variant: Variant
    """The sizes of the network."""
    weights: dict[str, Tensor]
    """Float32 tensors on the CPU by name, as in `LulcFormer.state_dict()`."""
    optical_bands: tuple[str, ...]
    """Names of the optical channels, in order."""
    radar_bands: tuple[str, ...]
    """Names of the radar channels, in order."""
    legend: tuple[str, ...]
    """Names of the classes, in the order of their codes."""
    normalisation: dict[str, Range]
    """Clip low, clip high, mean, standard deviation by band, in the band's physical unit."""
    window: int
    """Side of the training windows in pixels: logits depend on it, so inference uses the same."""
    facts: dict[str, str]
    """Training data, steps, seed, whether simulated, scores: for people and product metadata."""
    temperature: float = 1.0
    """What logits are divided by before they become probabilities; 1.0 where none was fitted."""
    digest: str = ""
    """SHA-256 of the file or index, in hexadecimal; empty before the checkpoint has one."""

    def __post_init__(self) -> None:
        for what, names, count in (
            ("optical bands", self.optical_bands, self.variant.optical_bands),
            ("radar bands", self.radar_bands, self.variant.radar_bands),
            ("classes", self.legend, self.variant.classes),
        ):
            if len(names) != count:
                raise CheckpointError(f"{len(names)} {what} are named, the network has {count}")
        for band in (*self.optical_bands, *self.radar_bands):
            if band not in self.normalisation:
                raise CheckpointError(f"band {band} has no normalisation")
            low, high, _, std = self.normalisation[band]
            if not (low < high and std > 0):
                raise CheckpointError(
                    f"band {band} is clipped to {low}..{high} and divided by {std}; "
                    "wanted an interval and a positive deviation"
                )
        if self.window <= 0:
            raise CheckpointError(f"a window of {self.window} px; wanted a positive side")
        if not (isfinite(self.temperature) and self.temperature > 0):
            raise CheckpointError(
                f"a temperature of {self.temperature}; wanted a positive number, 1 for none"
            )


def packaged() -> Path:
    """The weights that come with the package; their training facts say how good they are."""
    return Path(str(files("mapper.lulcformer") / "weights" / "tiny.safetensors"))


def model_of(checkpoint: Checkpoint) -> LulcFormer:
    """The network with its weights, on the CPU, float32, in eval mode."""
    with torch.device("meta"):
        model = LulcFormer(checkpoint.variant)
    # Copies, so that training the model leaves the checkpoint as it is.
    weights = {name: tensor.clone() for name, tensor in checkpoint.weights.items()}
    model.load_state_dict(weights, assign=True)
    return model.eval()


def save(checkpoint: Checkpoint, path: Path, *, half: bool = False) -> str:
    """Write a checkpoint, whole or not at all.

    Args:
        path: the file to make or to replace; NAME.safetensors.index.json makes shards of at most
            16 MB beside it, which are read as one checkpoint by that name.
        half: store float16, half the size; the values must lie within +-65504.

    Returns:
        The digest.

    Raises:
        CheckpointError: a tensor does not fit the variant or is not finite.
        OutputError: `path` cannot be written.
    """
    weights = {name: tensor.detach().cpu() for name, tensor in checkpoint.weights.items()}
    if half:
        weights = {n: t.half() if t.is_floating_point() else t for n, t in weights.items()}
    check_weights(weights, checkpoint.variant, path)
    facts = {
        "format_version": FORMAT_VERSION,
        **{name: getattr(checkpoint, name) for name in DESCRIPTION},
        "variant": asdict(checkpoint.variant),
    }
    contiguous = {name: tensor.contiguous() for name, tensor in weights.items()}
    try:
        return write(path, contiguous, json.dumps(facts, sort_keys=True))
    except OSError as error:
        raise OutputError(
            f"checkpoint {path} cannot be written ({error.strerror}); free some space or choose "
            "another --out"
        ) from error


def survives_half(weights: Mapping[str, Tensor]) -> bool:
    """Whether float16 holds all weights as they are, because they were stored so before."""
    floating = (tensor for tensor in weights.values() if tensor.is_floating_point())
    return all(torch.equal(tensor.half().to(tensor.dtype), tensor) for tensor in floating)


DESCRIPTION = (
    "variant_name",
    "optical_bands",
    "radar_bands",
    "legend",
    "normalisation",
    "window",
    "temperature",
    "facts",
)
"""The fields of a Checkpoint that are written as they are."""


def load(path: Path) -> Checkpoint:
    """Read a checkpoint and check that it is whole.

    Args:
        path: of the file, or of the index of its shards.

    Raises:
        CheckpointError: no file, a damaged file, a file of something else, or tensors that do not
            fit the variant it names.
    """
    stored = read(path)
    facts = described(stored.facts, path)
    check_weights(stored.tensors, facts["variant"], path)
    weights = {n: t.float() if t.is_floating_point() else t for n, t in stored.tensors.items()}
    try:
        return Checkpoint(weights=weights, digest=stored.digest, **facts)
    except CheckpointError as error:
        raise CheckpointError(f"checkpoint {path}: {error}") from error


def described(text: str | None, path: Path) -> dict[str, Any]:
    """The fields of a Checkpoint that its file tells in words, the variant among them."""
    if text is None:
        raise CheckpointError(
            f"{path} is a safetensors file but no mapper checkpoint: its metadata lack what mapper "
            "says of a network; give a file written by `mapper train`"
        )
    try:
        facts = json.loads(text)
        version = facts["format_version"]
        if version != FORMAT_VERSION:
            raise CheckpointError(
                f"checkpoint {path} has format version {version}, this mapper reads "
                f"{FORMAT_VERSION}; install the mapper that wrote it"
            )
        return {
            "variant": Variant(**{name: frozen(v) for name, v in facts["variant"].items()}),
            "variant_name": str(facts["variant_name"]),
            "optical_bands": tuple(facts["optical_bands"]),
            "radar_bands": tuple(facts["radar_bands"]),
            "legend": tuple(facts["legend"]),
            "normalisation": {band: four(r) for band, r in facts["normalisation"].items()},
            "window": int(facts["window"]),
            # Files written before there was one have none.
            "temperature": float(facts.get("temperature", 1.0)),
            "facts": {str(name): str(value) for name, value in facts["facts"].items()},
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"checkpoint {path} has metadata that cannot be understood "
            f"({type(error).__name__}: {error}); copy it again"
        ) from error


def four(numbers: Sequence[float]) -> Range:
    """Exactly four floats."""
    low, high, mean, std = map(float, numbers)
    return low, high, mean, std


def frozen(value: Any) -> Any:
    """JSON has lists where a Variant has tuples."""
    return tuple(value) if isinstance(value, list) else value


def check_weights(weights: Mapping[str, Tensor], variant: Variant, path: Path) -> None:
    """Raise unless the tensors are exactly those of the variant, and finite."""
    with torch.device("meta"):
        wanted = LulcFormer(variant).state_dict()
    for name, tensor in wanted.items():
        if name not in weights:
            raise CheckpointError(f"checkpoint {path} lacks the tensor {name}; train or copy anew")
        found = tuple(weights[name].shape)
        if found != tuple(tensor.shape):
            raise CheckpointError(
                f"tensor {name} of checkpoint {path} has shape {found}, wanted "
                f"{tuple(tensor.shape)}; the file does not fit its own variant: copy it again"
            )
        if not torch.isfinite(weights[name]).all():
            raise CheckpointError(
                f"tensor {name} of checkpoint {path} has values that are not finite in "
                f"{weights[name].dtype}; the training diverged or the file is damaged"
            )
    unexpected = sorted(weights.keys() - wanted.keys())
    if unexpected:
        raise CheckpointError(
            f"checkpoint {path} has {len(unexpected)} tensors its variant lacks, the first is "
            f"{unexpected[0]}; was it trained with another variant?"
        )


def require(
    checkpoint: Checkpoint,
    *,
    optical_bands: Sequence[str] | None = None,
    radar_bands: Sequence[str] | None = None,
    legend: Sequence[str] | None = None,
    window: int | None = None,
) -> None:
    """Raise CheckpointError at the first difference between a checkpoint and what a run feeds it.

    What is not given is not compared.
    """
    for what, found, wanted in (
        ("optical band", checkpoint.optical_bands, optical_bands),
        ("radar band", checkpoint.radar_bands, radar_bands),
        ("class", checkpoint.legend, legend),
    ):
        for place, (has, needs) in enumerate(
            zip_longest(found, found if wanted is None else wanted)
        ):
            if has != needs:
                raise CheckpointError(
                    f"the checkpoint's {what} {place} is {has or 'absent'}, wanted "
                    f"{needs or 'none'}: it was trained for {', '.join(found)}; "
                    "use another checkpoint"
                )
    if window is not None and window != checkpoint.window:
        raise CheckpointError(
            f"the checkpoint was trained on windows of {checkpoint.window} px, wanted {window} px: "
            f"its answers depend on the window; train it further on chips of {window} px"
        )
