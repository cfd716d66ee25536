"""Small pieces of ground that several tests look at, and a clear sky."""

from __future__ import annotations

import pyproj

from mapper.land.grid import LATTICE_TOP_M, PIXEL_M, Region, Zone
from mapper.simulated.sky import Sky


def region_at(lon: float, lat: float, size_px: int) -> Region:
    """A square near a place, on even columns and rows."""
    zone = Zone(int((lon + 180) // 6) % 60 + 1, lat < 0)
    forward = pyproj.Transformer.from_crs(4326, zone.epsg, always_xy=True)
    east, north = forward.transform(lon, lat)
    left, top = int(east // PIXEL_M), int((LATTICE_TOP_M - north) // PIXEL_M)
    return Region(zone, left // 2 * 2, top // 2 * 2, size_px, size_px)


def shifted(region: Region, right: int, down: int) -> Region:
    """The same square some pixels farther east and south."""
    return Region(region.zone, region.left + right, region.top + down, region.width, region.height)


def overlapping(
    region: Region, right: int, down: int
) -> tuple[Region, tuple[slice, slice], tuple[slice, slice]]:
    """The shifted square, and where what both share lies in the one and in the other."""
    other = shifted(region, right, down)
    shared = region.intersection(other)
    assert shared is not None
    return other, shared.slices_in(region), shared.slices_in(other)


CLEAR = Sky(71, 0.0, 1500.0, 0.004, 1.0, 35.0, 150.0)
VALLEY = region_at(9.5, 47.2, 96)
PLAIN = region_at(5.5, 52.2, 96)
FIJI = region_at(179.99, -16.6, 64)
EQUATOR = region_at(36.5, 0.001, 64)
FARMLAND = region_at(5.5, 52.2, 512)
