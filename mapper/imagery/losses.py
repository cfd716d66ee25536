"""Reading on without the scenes that cannot be read: each is left out of the whole tile, and told.

A scene is left out everywhere or nowhere in a tile: blocks with it beside blocks without it would
show as seams. So after a loss the tile is read again, without that scene.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from mapper.errors import LooksLostError, ReadError
from mapper.imagery.bands import Sensor
from mapper.imagery.composite import Composite
from mapper.imagery.scenes import TITLES, Look

DEGRADED_SHARE: Final = {Sensor.OPTICAL: 0.25, Sensor.RADAR: 0.5}
"""A tile that lost more than this share of a sensor's looks is degraded. A median of few optical
looks soon leans on clouds that were missed; radar looks are many, alike, and averaged."""
MOST_LOST = 8
"""A tile that lost so many scenes is given up: the archive is down, and would take as long as its
patience for each scene."""


@dataclass(frozen=True, slots=True)
class FailedRead:
    """One read that failed for good, by which a scene was lost."""

    scene: str
    """The scene's id."""
    asset: str
    """Which of its assets."""
    reason: str
    """A few words, without query or token."""


@dataclass(frozen=True, slots=True)
class Losses:
    """What a tile had to do without."""

    failed: tuple[FailedRead, ...] = ()
    """One for each scene left out, sorted by the scene's id."""
    degraded: bool = False
    """Whether more than DEGRADED_SHARE of a sensor's looks are gone."""

    @property
    def scenes(self) -> tuple[str, ...]:
        """Ids of the scenes left out, sorted."""
        return tuple(failure.scene for failure in self.failed)


NO_LOSSES: Final = Losses()


def read_without_losses(
    looks: Sequence[Look], read: Callable[[Sequence[Look]], Composite]
) -> tuple[Composite, Losses]:
    """A composite of the looks that can be read, and which scenes it lacks.

    Args:
        looks: of both sensors, in order.
        read: makes the composite of looks; raises ReadError for a scene that cannot be read.

    Raises:
        LooksLostError: no optical look is left of those there were, no look at all, or MOST_LOST
            scenes are lost.
    """
    left, errors = tuple(looks), list[ReadError]()
    while True:
        try:
            composite = read(left)
        except ReadError as error:
            # Anew: the one that was raised knows the frames behind it, and so the failed composite.
            errors.append(ReadError(error.scene_id, error.asset, error.reason))
        else:
            failed = failed_reads(errors)
            return composite, Losses(failed, is_degraded(looks, {f.scene for f in failed}))
        gc.collect()  # other reads failed beside it, whose futures and frames hold each other
        left = without(left, errors[-1].scene_id)
        _require_enough(looks, left, errors)


def failed_reads(errors: Iterable[ReadError]) -> tuple[FailedRead, ...]:
    """The facts of errors, sorted by scene."""
    found = (FailedRead(error.scene_id, error.asset, error.reason) for error in errors)
    return tuple(sorted(found, key=lambda failure: failure.scene))


def without(looks: Iterable[Look], scene_id: str) -> tuple[Look, ...]:
    """The looks without a scene; a look that has no other is gone."""
    cut = (
        Look(look.sensor, look.time, tuple(s for s in look.scenes if s.id != scene_id))
        for look in looks
    )
    return tuple(look for look in cut if look.scenes)


def is_degraded(looks: Sequence[Look], lost: Collection[str]) -> bool:
    """Whether too many looks of a sensor lost a scene; a look that lost one of two counts too.

    Args:
        looks: all that there were.
        lost: ids of the scenes left out.
    """
    for sensor, share in DEGRADED_SHARE.items():
        mine = [look for look in looks if look.sensor is sensor]
        hurt = sum(any(scene.id in lost for scene in look.scenes) for look in mine)
        if hurt > share * len(mine):
            return True
    return False


def _require_enough(
    before: Sequence[Look], after: Sequence[Look], errors: Sequence[ReadError]
) -> None:
    """Refuse to go on where a map would show nothing, or the archive answers nothing."""
    had, has = ({look.sensor for look in looks} for looks in (before, after))
    if Sensor.OPTICAL in had - has:
        what = f"the last of its {TITLES[Sensor.OPTICAL]} looks is lost"
    elif not has:
        what = "the last of its looks is lost"
    elif len(errors) >= MOST_LOST:
        what = f"{len(errors)} of its scenes are lost, as when an archive is down"
    else:
        return
    last = errors[-1]
    raise LooksLostError(
        f"{last.asset} of scene {last.scene_id} cannot be read ({last.reason}): {what}; run again,"
        " and if it fails again check this file in the archive",
        tuple(errors),
    ) from None  # the chain may quote a signed URL
