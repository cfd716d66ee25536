"""What made a map: the version and digest of this program, and the libraries that touch pixels."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import mapper

PIXEL_PACKAGES = ("land", "imagery", "lulcformer", "inference", "maps", "production")
"""Parts of the package whose code decides or writes pixels. A change in any of them makes tiles
anew: sometimes in vain, but a stale tile among fresh ones would break the promise in silence."""
PIXEL_LIBRARIES = (
    "numpy",
    "torch",
    "rasterio",
    "pyproj",
    "shapely",
    "odc-geo",
    "numba",
)
"""Libraries whose other version may end in other bits."""


@dataclass(frozen=True, slots=True)
class Software:
    """The program as it is installed here."""

    version: str
    """Of mapper."""
    code_digest: str
    """SHA-256 over the sources of PIXEL_PACKAGES."""
    libraries: dict[str, str]
    """Version by name."""

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


@cache
def software() -> Software:
    """The program as it is installed here; read once."""
    return Software(
        version=version("mapper"),
        code_digest=_digest_of_sources(Path(mapper.__file__).parent),
        libraries={name: version(name) for name in PIXEL_LIBRARIES},
    )


def _digest_of_sources(package: Path) -> str:
    digest = hashlib.sha256()
    sources = (path for name in PIXEL_PACKAGES for path in (package / name).rglob("*.py"))
    for path in sorted(sources):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
