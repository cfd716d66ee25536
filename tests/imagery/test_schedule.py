"""Each block once, its pixels where they belong, what waits in bounds."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from mapper.imagery.bands import OPTICAL_NAMES, Sensor
from mapper.imagery.direct import Direct
from mapper.imagery.fused import COARSE_BANDS
from mapper.imagery.layers import Layer
from mapper.imagery.pieces import cells_of
from mapper.imagery.placement import Placement, even, frame_of
from mapper.imagery.scenes import Asset, Scene
from mapper.imagery.schedule import Piece, schedule, window_of
from mapper.imagery.tiff import Layout
from mapper.land.grid import Region, Zone

ZONE = Zone(32, False)


def raster(scene: Scene, band: int, corner: tuple[int, int], side: int, block: int) -> Direct:
    """A raster that is nowhere; its blocks are bytes 100, 200, .."""
    factor = 2 if band in COARSE_BANDS else 1
    across = -(-side // factor // block)
    offsets = np.arange(1, across**2 + 1, dtype=np.uint64) * np.uint64(100)
    layout = Layout(
        side // factor,
        side // factor,
        block,
        block,
        np.dtype(np.uint16),
        8,
        2,
        offsets,
        np.full(across**2, 90, np.uint64),
        ZONE.epsg,
        Affine.identity(),
        0.0,
    )
    return Direct(scene, OPTICAL_NAMES[band], layout, Placement(*corner, factor))


def layer(number: int, corner: tuple[int, int], side: int, region: Region, share: float) -> Layer:
    ground = shapely.box(0, 0, 1, 1)
    assets = {name: Asset(f"/nowhere/{name}.tif", 0, 1, 0) for name in OPTICAL_NAMES}
    scene = Scene(
        f"s{number}",
        Sensor.OPTICAL,
        datetime(2024, 6, 1, tzinfo=UTC),
        ground,
        ground,
        0.0,
        "32TLT",
        "d",
        None,
        None,
        "",
        ZONE.epsg,
        assets,
    )
    frame = frame_of(region, 2)
    take = np.random.default_rng(number).random(frame.shape) < share
    bands = tuple(raster(scene, n, corner, side, 32) for n in range(len(OPTICAL_NAMES)))
    return Layer(number, (scene,), frame, take, bands)


def filled(pieces: list[Piece]) -> dict[tuple[int, int, int], np.ndarray]:
    """What each piece's arrays hold in the end: for each pixel the block that it came from."""
    arrays: dict[tuple[int, int, int], np.ndarray] = {}
    for piece in pieces:
        for number, one in enumerate(piece.direct):
            for band, source in enumerate(one.bands or ()):
                shape = window_of(piece.region, source).shape
                arrays[piece.number, number, band] = np.full(shape, -1)
    for piece in pieces:
        for group in piece.groups:
            for job in group.jobs:
                frame = job.raster.block_frame(job.block)
                for target in job.targets:
                    assert target.piece >= piece.number
                    goal = arrays[target.piece, target.layer, job.band][target.goal]
                    assert goal.shape == np.empty(frame.shape)[target.source].shape
                    goal[:] = job.block
    return arrays


@given(
    st.integers(-40, 40),
    st.integers(-40, 40),
    st.sampled_from([0.001, 0.02, 1.0]),
    st.sampled_from([(64, 32), (48, 80), (200, 200)]),
    st.sampled_from([0, 5000, 10**9]),
)
@settings(max_examples=30, deadline=None)
def test_every_pixel_that_is_taken_gets_its_block(
    x: int, y: int, share: float, shape: tuple[int, int], kept: int
) -> None:
    region = even(Region(ZONE, 1000, 2000, 150, 130))
    corner = (1000 + 2 * x, 2000 + 2 * y)
    layers = [layer(0, corner, 160, region, share), layer(1, (1020, 2020), 96, region, share)]
    regions = list(cells_of(region, shape, (1000, 2000)))
    pieces = schedule(layers, regions, kept)
    jobs = [j for piece in pieces for group in piece.groups for j in group.jobs]
    times = Counter((id(job.raster), job.block) for job in jobs)
    if kept == 10**9:
        assert not times or max(times.values()) == 1
    arrays = filled(pieces)
    for piece in pieces:
        for number, one in enumerate(piece.direct):
            for band, source in enumerate(one.bands or ()):
                window = window_of(piece.region, source)
                array = arrays[piece.number, number, band]
                for block in source.blocks_over(window):
                    frame = source.block_frame(block)
                    part = frame.intersection(window)
                    assert part is not None
                    if one.takes(frame, source.place.factor):
                        assert (array[part.slices_in(window)] == block).all()


def test_neighbours_in_a_file_are_one_request() -> None:
    region = Region(ZONE, 1000, 2000, 128, 128)
    (piece,) = schedule([layer(0, (1000, 2000), 128, region, 1.0)], [region], 10**9)
    assert len(piece.groups) == len(OPTICAL_NAMES)
    for group in piece.groups:
        assert (group.start, group.stop) == (100, 100 * len(group.jobs) + 90)


def test_a_layer_with_nothing_to_take_is_not_read() -> None:
    region = Region(ZONE, 1000, 2000, 128, 128)
    (piece,) = schedule([layer(0, (1000, 2000), 128, region, 0.0)], [region], 10**9)
    assert piece.layers == ()
    assert piece.groups == ()


@pytest.mark.parametrize("kept", [0, 4000])
def test_what_is_kept_stays_within_its_bound(kept: int) -> None:
    region = Region(ZONE, 1000, 2000, 256, 256)
    regions = list(cells_of(region, (48, 48), (1000, 2000)))
    pieces = schedule([layer(0, (1000, 2000), 256, region, 1.0)], regions, kept)
    waiting: Counter[int] = Counter()
    for piece in pieces:
        for group in piece.groups:
            for job in group.jobs:
                for target in job.targets[1:]:
                    waiting[target.piece] += target.size
        assert sum(size for number, size in waiting.items() if number > piece.number) <= kept
