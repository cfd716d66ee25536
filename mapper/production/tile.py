"""map_tile: the story of the system in a few lines. It runs without a cluster."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from mapper.errors import LooksLostError, MapperError, OutputError
from mapper.imagery.faults import without_secrets
from mapper.imagery.load import read_composite
from mapper.imagery.losses import Losses, failed_reads, read_without_losses
from mapper.imagery.omnicloud import cloud_mask_of
from mapper.imagery.patience import Patience, settle
from mapper.inference.predict import Predictor
from mapper.inference.windows import needed_region, windows_touching
from mapper.maps.publish import publish_tile
from mapper.production.cluster import predictor_here
from mapper.production.events import TileDone, TileFailed
from mapper.production.job import TileJob

OVER_TIME = 75
"""Exit code of a worker that had a tile in hand for too long (EX_TEMPFAIL of sysexits.h)."""


def map_tile(job: TileJob, predictor: Predictor) -> TileDone:
    """Read, composite, predict and publish one tile; a scene that cannot be read is left out.

    Raises:
        LooksLostError: too many scenes cannot be read.
        OutputError: the product cannot be written.
    """
    started = time.monotonic()
    region, wanted = job.tile.region, job.wanted.unpack()
    read_looks = partial(
        read_composite,
        region=needed_region(region, wanted),
        wanted=windows_touching(region, wanted),
        threads=job.reads,
        cloud_dilation_px=job.cloud_dilation_px,
        cloud_mask=cloud_mask_of(job.cloud_mask, job.cloud_weights),
    )
    composite, losses = read_without_losses(job.looks, read_looks)
    key = job.key_with(losses)
    read = time.monotonic()
    prediction = predictor.predict(composite, wanted, region, job.allow_radar_only)
    published = publish_tile(
        job.folder,
        job.tile,
        composite,
        prediction,
        wanted,
        job.facts,
        job.scenes_with(losses),
        key,
        (*job.notes, *_notes(losses)),
        losses,
        planned_key=job.key,
    )
    return TileDone(
        tile=job.name,
        key=key,
        seconds=round(time.monotonic() - started, 3),
        read_seconds=round(read - started, 3),
        windows=prediction.windows,
        written_bytes=published.size_bytes,
        files=published.files,
        losses=losses,
    )


def _notes(losses: Losses) -> Iterator[str]:
    """What a lossy tile says to people; its item lists the reads."""
    if losses.failed:
        yield "scenes that could not be read are left out; mapper:failed_reads lists them"
    if losses.degraded:
        yield "degraded: too many looks of a sensor are left out"


def map_tile_in_worker(
    job: TileJob, plugin_name: str, timeout_s: float, read_timeout_s: float
) -> TileDone | TileFailed:
    """The same as a task: with the worker's network, within a time limit, and never raising.

    Exceptions do not travel well between processes; this small result does.
    """
    settle(Patience.of(read_timeout_s))
    try:
        with _time_limit(timeout_s):
            return map_tile(job, predictor_here(plugin_name))
    except MapperError as error:
        lost = failed_reads(error.failed) if isinstance(error, LooksLostError) else ()
        everywhere = isinstance(error, OutputError)
        return TileFailed(job.name, str(error), concerns_all=everywhere, failed_reads=lost)
    except Exception as error:
        reason = without_secrets(f"unforeseen: {type(error).__name__}: {error}")
        return TileFailed(job.name, reason, without_secrets(traceback.format_exc()))


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """End this process when the time is over: a thread that hangs cannot be ended otherwise."""
    timer = threading.Timer(seconds, os._exit, [OVER_TIME])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
