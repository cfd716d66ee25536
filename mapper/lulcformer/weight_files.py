"""Tensors and one text of facts on disk: in one safetensors file, or in shards that an index names.

    base.safetensors
    base.safetensors.index.json  base-00001-of-00004.safetensors ...

Shards are for places that refuse large files. The index is laid out as the transformers library
does it, `weight_map` from tensor to shard, and also holds the SHA-256 of every shard: a folder with
shards of two trainings is an error, not a network.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from safetensors.torch import save as bytes_of
from torch import Tensor

from mapper.errors import CheckpointError

SUFFIX = ".safetensors"
INDEX_SUFFIX = f"{SUFFIX}.index.json"
SHARD_BYTES = 16_000_000
"""No shard is larger, unless it is of a single tensor."""
_HEADER_BYTES = 256
"""More than what a file says of one tensor."""
_FACTS = "mapper"
"""One key, because safetensors orders several at random and equal weights would differ in bytes."""
_SHARD_OF = "mapper_shard_of"


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """What was found on disk."""

    tensors: dict[str, Tensor]
    facts: str | None
    """None in a file that somebody else wrote."""
    digest: str
    """SHA-256 of the file, or of the index, which names those of its shards."""


def write(path: Path, tensors: Mapping[str, Tensor], facts: str) -> str:
    """Write tensors and facts; the digest.

    Args:
        path: ends in `INDEX_SUFFIX` where shards are wanted. The index is written last.
        tensors: contiguous, on the CPU.

    Raises:
        OSError: the folder cannot be written.
    """
    if not path.name.endswith(INDEX_SUFFIX):
        return replace_file(path, bytes_of(dict(tensors), {_FACTS: facts}))
    shards = _shards(tensors)
    stem = path.name.removesuffix(INDEX_SUFFIX)
    digests: dict[str, str] = {}
    shard_of: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        name = f"{stem}-{number:05}-of-{len(shards):05}{SUFFIX}"
        digests[name] = replace_file(path.with_name(name), bytes_of(shard, {_SHARD_OF: path.name}))
        shard_of |= dict.fromkeys(shard, name)
    total = sum(tensor.nbytes for tensor in tensors.values())
    index = {
        "metadata": {"total_size": total, _FACTS: facts},
        "weight_map": shard_of,
        "sha256": digests,
    }
    return replace_file(path, json.dumps(index, indent=1).encode())


def read(path: Path) -> Stored:
    """What a file holds, or an index with its shards.

    Raises:
        CheckpointError: no file, a damaged file, a file of something else, a shard by itself, or
            an index and shards that do not belong together.
    """
    data = _bytes(path)
    if path.name.endswith(INDEX_SUFFIX):
        return _gathered(path, data)
    tensors, metadata = _opened(path, data)
    if _SHARD_OF in metadata:
        whole = path.with_name(metadata[_SHARD_OF])
        raise CheckpointError(f"{path} is a shard of a checkpoint; give {whole}")
    return Stored(tensors, metadata.get(_FACTS), _sha256(data))


def replace_file(path: Path, data: bytes) -> str:
    """Put `data` at `path` such that a reader sees the old file or the new one, never a part.

    Returns:
        The SHA-256 of the data.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)  # mkstemp's 0600 would shut out other users' workers
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise
    return _sha256(data)


def _shards(tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """The tensors in their order, cut wherever a shard is full."""
    shards: list[dict[str, Tensor]] = [{}]
    used = 0
    for name, tensor in tensors.items():
        size = tensor.nbytes + _HEADER_BYTES
        if shards[-1] and used + size > SHARD_BYTES:
            shards.append({})
            used = 0
        shards[-1][name] = tensor
        used += size
    return shards


def _gathered(path: Path, data: bytes) -> Stored:
    """All shards of an index as one."""
    try:
        index = json.loads(data)
        facts, digests = str(index["metadata"][_FACTS]), dict(index["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} is damaged or no index of a checkpoint ({type(error).__name__}: {error}); "
            f"copy it again, or give a {SUFFIX} file"
        ) from error
    tensors: dict[str, Tensor] = {}
    for name, digest in digests.items():
        shard = path.with_name(name)
        content = _bytes(shard)
        if _sha256(content) != digest:
            raise CheckpointError(
                f"shard {shard} ({len(content)} bytes) is not the one that {path.name} names; copy "
                "the index and all its shards again"
            )
        tensors |= _opened(shard, content)[0]
    return Stored(tensors, facts, _sha256(data))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"checkpoint {path} cannot be read: {error.strerror}; give the path of a {SUFFIX} file "
            f"written by mapper, or of a {INDEX_SUFFIX} with its shards beside it"
        ) from error


def _opened(path: Path, data: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a safetensors file."""
    try:
        tensors = tensors_of(data)
    except SafetensorError as error:
        raise CheckpointError(
            f"checkpoint {path} ({len(data)} bytes) is damaged or no safetensors file: {error}; "
            "copy it again"
        ) from error
    (length,) = struct.unpack("<Q", data[:8])
    return tensors, json.loads(data[8 : 8 + length]).get("__metadata__", {})


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
