"""Everything mapper refuses to do, as one small tree.

    MapperError            1  the parent; never raised by itself
    ├── RequestError       2  what was asked for: a country, an area, a period, an option
    ├── ArchiveError       3  the archive cannot be reached, or answers what cannot be used
    ├── SceneError         4  no scene fits the request, or a scene cannot be read
    │   ├── ReadError      4  one asset of a scene cannot be read, for good
    │   └── LooksLostError 4  so many scenes of a tile cannot be read that it has no map
    ├── CheckpointError    5  the weights are missing, damaged, or made for something else
    ├── OutputError        6  a product cannot be written, or is not what was written
    ├── IncompleteError    7  the run ended, but some tiles failed
    └── DegradedError      8  the map is whole, but parts of it lack many looks

The number is the exit code of the command. A message is one line: the thing, the value found, the
value wanted, the next step. docs/errors.md lists them all.
"""

from __future__ import annotations

from typing import ClassVar


class MapperError(Exception):
    """Something a person can act on; `str(error)` is the one line they read."""

    exit_code: ClassVar[int] = 1


class RequestError(MapperError):
    """The request itself is wrong: country, area, period, option or recipe."""

    exit_code: ClassVar[int] = 2


class ArchiveError(MapperError):
    """The archive is down, unknown, or answers something that is no STAC."""

    exit_code: ClassVar[int] = 3


class SceneError(MapperError):
    """No scene fits the request, or the pixels of a scene cannot be used."""

    exit_code: ClassVar[int] = 4


class ReadError(SceneError):
    """One asset of a scene cannot be read, whatever was tried.

    Args:
        scene_id: of the scene.
        asset: its name, such as B04.
        reason: a few words, without query or token of any address.
    """

    def __init__(self, scene_id: str, asset: str, reason: str) -> None:
        super().__init__(
            f"{asset} of scene {scene_id} cannot be read ({reason}); run again, and if it fails"
            " again check this file in the archive"
        )
        self.scene_id = scene_id
        self.asset = asset
        self.reason = reason

    def __reduce__(self) -> tuple[type[ReadError], tuple[str, str, str]]:
        """As pickle needs it, which would call it with the message alone."""
        return ReadError, (self.scene_id, self.asset, self.reason)


class LooksLostError(SceneError):
    """Too many scenes of a tile cannot be read for a map of what is left.

    Args:
        message: which, and why.
        failed: an error for each of them.
    """

    def __init__(self, message: str, failed: tuple[ReadError, ...]) -> None:
        super().__init__(message)
        self.failed = failed

    def __reduce__(self) -> tuple[type[LooksLostError], tuple[str, tuple[ReadError, ...]]]:
        """As pickle needs it, which would call it with the message alone."""
        return LooksLostError, (str(self), self.failed)


class CheckpointError(MapperError):
    """The checkpoint is missing, damaged, or made for other bands or another legend."""

    exit_code: ClassVar[int] = 5


class OutputError(MapperError):
    """A product cannot be written: no permission, no space, or damaged afterwards."""

    exit_code: ClassVar[int] = 6


class IncompleteError(MapperError):
    """The run came to its end, but some tiles have no map; running again retries them."""

    exit_code: ClassVar[int] = 7


class DegradedError(MapperError):
    """The map is whole, but some tiles lack more looks than they should: reads failed."""

    exit_code: ClassVar[int] = 8
