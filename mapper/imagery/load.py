"""From looks to a composite of a region: in bounded memory, each block unpacked once.

A pixel takes a look's first scene that has data there, whatever region asks: each scene claims
pixels by its scene classification, or by its bands where it has none. What is not clear is not
read.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

from mapper.imagery.bands import OPTICAL_BANDS, RADAR_BANDS, Sensor
from mapper.imagery.clouds import DEFAULT_DILATION_PX, CloudMask
from mapper.imagery.composite import Composite
from mapper.imagery.crew import crew_of
from mapper.imagery.near import looks_over as looks_over
from mapper.imagery.optical import read_optical
from mapper.imagery.radar import read_radar
from mapper.imagery.scenes import Look
from mapper.land.grid import Region

DEFAULT_THREADS = 4
"""Threads that unpack, or wait for GDAL."""


def read_composite(
    looks: Sequence[Look],
    region: Region,
    *,
    wanted: Sequence[Region] | None = None,
    threads: int = DEFAULT_THREADS,
    cloud_dilation_px: int = DEFAULT_DILATION_PX,
    cloud_mask: CloudMask | None = None,
) -> Composite:
    """One image per sensor over a region, from all looks that show it.

    Any cut of the region gives the same pixels. Beside the answer (30 bytes per pixel) it needs
    about 400 MB, whatever the size of the region and the number of looks. When an asset cannot be
    read, what is under way is given up.

    Args:
        looks: of both sensors, in the order of `looks_of`.
        region: what is answered.
        wanted: parts of the region that will be used; ground outside them may be left unseen.
        threads: blocks unpacked at once.
        cloud_dilation_px: how far clouds and shadows are spread, in pixels of 20 m.
        cloud_mask: judges clouds; None for the classification that comes with each scene.

    Raises:
        ReadError: an asset cannot be read.
    """
    composite = _unread(region)
    near = looks_over(looks, region)
    parts = [region] if wanted is None else _inside(wanted, region)
    optical = [look for look in near if look.sensor is Sensor.OPTICAL]
    radar = [look for look in near if look.sensor is Sensor.RADAR]
    with crew_of(threads) as crew:
        read_optical(optical, region, parts, cloud_dilation_px, crew, composite, cloud_mask)
        _give_back()
        read_radar(radar, region, parts, crew, composite)
    return composite


def _give_back() -> None:
    """Freed memory back to the system, before the other half of the answer takes its own.

    glibc keeps what many threads freed, up to 150 MB here; other C libraries have no such call.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _unread(region: Region) -> Composite:
    """Like `composite.blank`, but memory is taken only as it is written to, and no power is 0."""
    return Composite(
        region,
        np.zeros((len(OPTICAL_BANDS), *region.shape), np.uint16),
        np.zeros((len(RADAR_BANDS), *region.shape), np.float32),
        np.zeros(region.shape, np.uint8),
        np.zeros(region.shape, np.uint8),
    )


def _inside(wanted: Sequence[Region], region: Region) -> list[Region]:
    return [part for w in wanted if (part := w.intersection(region)) is not None]
