"""Tensors and one text of facts on disk: in one safetensors file, or in shards that an index names.

    base.safetensors
    base.safetensors.index.json  base-00001-of-00004-9f86d081.safetensors ...

Shards are for places that refuse large files. The index is laid out as the transformers library
does it, `weight_map` from tensor to shard, and also holds the SHA-256 of every shard; a shard's
name ends in the first digits of its own. So new shards never overwrite those of the index that is
there until it is replaced, and a folder with shards of two trainings is no network.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
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
        path: ends in `INDEX_SUFFIX` where shards are wanted. The index is written when all of them
            are there; then those go that only the index before it named.
        tensors: contiguous, on the CPU.

    Raises:
        OSError: the folder cannot be written.
    """
    if not path.name.endswith(INDEX_SUFFIX):
        data = bytes_of(dict(tensors), {_FACTS: facts})
        replace_file(path, data)
        return _sha256(data)
    shards, before = _shards(tensors), _shards_named_by(path)
    stem = path.name.removesuffix(INDEX_SUFFIX)
    digests: dict[str, str] = {}
    shard_of: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        data = bytes_of(shard, {_SHARD_OF: path.name})
        digest = _sha256(data)
        name = f"{stem}-{number:05}-of-{len(shards):05}-{digest[:8]}{SUFFIX}"
        replace_file(path.with_name(name), data)
        digests[name] = digest
        shard_of |= dict.fromkeys(shard, name)
    total = sum(tensor.nbytes for tensor in tensors.values())
    index = {
        "metadata": {"total_size": total, _FACTS: facts},
        "weight_map": shard_of,
        "sha256": digests,
    }
    text = json.dumps(index, indent=1).encode()
    replace_file(path, text)
    for old in before - {path.with_name(name) for name in digests}:
        old.unlink(missing_ok=True)
    return _sha256(text)


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


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` at `path` such that a reader sees the old file or the new one, never a part.

    One process writes a path; what it leaves when it is killed, the next writing replaces.
    """
    partial = path.with_name(f".{path.name}.part")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


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


def _shards_named_by(path: Path) -> set[Path]:
    """The shards of an index; none where there is no index, or a damaged one."""
    try:
        return {path.with_name(name) for name in json.loads(path.read_bytes())["sha256"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _gathered(path: Path, data: bytes) -> Stored:
    """All shards of an index as one."""
    try:
        index = json.loads(data)
        facts = str(index["metadata"][_FACTS])
        shards = {path.with_name(name): digest for name, digest in index["sha256"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{path} is damaged or no index of a checkpoint ({type(error).__name__}: {error}); "
            f"copy it again, or give a {SUFFIX} file"
        ) from error
    tensors: dict[str, Tensor] = {}
    for shard, digest in shards.items():
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
