"""map_tile: the story of the system in a few lines. It runs without a cluster."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from mapper.errors import MapperError, OutputError
from mapper.imagery.load import read_composite
from mapper.inference.predict import Predictor
from mapper.inference.windows import needed_region, windows_touching
from mapper.maps.publish import publish_tile
from mapper.production.cluster import predictor_here
from mapper.production.events import TileDone, TileFailed
from mapper.production.job import TileJob

OVER_TIME = 75
"""Exit code of a worker that had a tile in hand for too long (EX_TEMPFAIL of sysexits.h)."""


def map_tile(job: TileJob, predictor: Predictor) -> TileDone:
    """Read, composite, predict and publish one tile.

    Raises:
        SceneError: a scene cannot be read.
        OutputError: the product cannot be written.
    """
    started = time.monotonic()
    region, wanted = job.tile.region, job.wanted.unpack()
    composite = read_composite(
        job.looks,
        needed_region(region, wanted),
        wanted=windows_touching(region, wanted),
        threads=job.reads,
        cloud_dilation_px=job.cloud_dilation_px,
    )
    read = time.monotonic()
    prediction = predictor.predict(composite, wanted, region, job.allow_radar_only)
    published = publish_tile(
        job.folder,
        job.tile,
        composite,
        prediction,
        wanted,
        job.facts,
        job.scene_ids,
        job.key,
        job.notes,
    )
    return TileDone(
        tile=job.name,
        key=job.key,
        seconds=round(time.monotonic() - started, 3),
        read_seconds=round(read - started, 3),
        windows=prediction.windows,
        written_bytes=published.size_bytes,
        files=published.files,
    )


def map_tile_in_worker(job: TileJob, plugin_name: str, timeout_s: float) -> TileDone | TileFailed:
    """The same as a task: with the worker's network, within a time limit, and never raising.

    Exceptions do not travel well between processes; this small result does.
    """
    try:
        with _time_limit(timeout_s):
            return map_tile(job, predictor_here(plugin_name))
    except MapperError as error:
        return TileFailed(job.name, str(error), concerns_all=isinstance(error, OutputError))
    except Exception as error:
        reason = f"unforeseen: {type(error).__name__}: {error}"
        return TileFailed(job.name, reason, traceback.format_exc())


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
