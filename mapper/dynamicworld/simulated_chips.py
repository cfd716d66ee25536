"""Chips of simulated ground, painted in memory with the pixel code of the simulated archive.

A chip follows from its seed alone, so any number of processes can share the making of a set:
`pool.map(simulated_chip, range(2000))`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial

import numpy as np
import numpy.typing as npt
import pyproj

from mapper.dynamicworld.chips import CHIP_PX, Chip
from mapper.imagery.bands import OPTICAL_BANDS, Sensor
from mapper.imagery.clouds import DEFAULT_DILATION_PX, clear_mask
from mapper.imagery.composite import Stack, compose
from mapper.imagery.resample import doubled_bilinear, doubled_nearest
from mapper.land.grid import LATTICE_TOP_M, PIXEL_M, Region, Zone
from mapper.simulated.cover import RANGELAND
from mapper.simulated.exchange import drain, exchange, snowfall
from mapper.simulated.ground import DRY, PEOPLE, RELIEF, RIVERS, ground
from mapper.simulated.optical_look import COARSE, FINE, OpticalLook, optical_look
from mapper.simulated.painting import MARGIN_PX, VERSION, Change, Surface, surface
from mapper.simulated.radar_look import Beam, radar_look
from mapper.simulated.sky import OVERPASS_HOUR, sky_of, sun
from mapper.simulated.spectra import QUARTERS, Places, season_of
from mapper.simulated.world import RANGES

Box = tuple[float, float, float, float]
"""West, south, east, north in degrees."""

TEST_BOXES: tuple[Box, ...] = (
    (5.4, 49.2, 6.8, 50.4),
    (5.7, 45.6, 10.8, 48.0),
    (13.2, 45.3, 16.8, 47.0),
)
"""Ground around Luxembourg, Switzerland with Liechtenstein, and Slovenia, each with more than a
chip's side to spare: no chip has its middle there, so no pixel of the countries is trained on."""
SOURCE = f"simulated by mapper, painting {VERSION}; spectra of mapper/simulated/SOURCES.md"
_LAND: tuple[tuple[Box, float], ...] = (
    ((-9.0, 37.0, 30.0, 59.0), 5.0),
    ((5.0, 59.0, 40.0, 70.0), 1.5),
    ((30.0, 45.0, 60.0, 62.0), 1.5),
    ((60.0, 45.0, 135.0, 66.0), 1.5),
    ((27.0, 30.0, 75.0, 45.0), 1.0),
    ((75.0, 8.0, 122.0, 40.0), 2.5),
    ((95.0, -8.0, 141.0, 18.0), 1.2),
    ((-15.0, 12.0, 38.0, 35.0), 0.5),
    ((-15.0, -34.0, 42.0, 12.0), 2.0),
    ((115.0, -39.0, 153.0, -12.0), 0.8),
    ((166.0, -46.0, 178.0, -35.0), 0.4),
    ((-125.0, 25.0, -70.0, 50.0), 2.5),
    ((-160.0, 50.0, -60.0, 68.0), 1.2),
    ((-110.0, 8.0, -78.0, 25.0), 0.7),
    ((-79.0, -35.0, -40.0, 8.0), 2.0),
    ((-74.0, -54.0, -58.0, -35.0), 0.5),
)
"""Boxes that hold most of the land, and how often a chip comes from each."""
_MOUNTAIN_SHARE = 0.22
"""Chips drawn along the great ranges: most of the snow and rock is there, on 3 % of the land."""
_WET_SHARE = 0.25
_SETTLED_SHARE = 0.35
_DRY_SHARE = 0.15
_TRIED = 5
"""These shares of the chips are the wettest, the most peopled and the most like dry rangeland of so
many and one more: marsh, lakes and towns are rare and worth seeing, and dry grass looks like a
field."""
_SEASON_DAYS = 92
_YEAR = 2024
_EXCHANGED_SHARE = 0.25
"""Of the chips to learn from; see `Variation` for this and the next ones."""
_DRAINED_SHARE = 0.5
_REPEATED_SHARE = 0.5
_SINGLE_LOOK_SHARE = 0.3
_SNOWY_SHARE = 0.9
"""Of the chips to learn from that are of a cold winter."""
_COLD_DEG = 40.0
"""Latitude from which on winters are cold."""
_WINTER_QUARTERS = 0.9
"""A chip is of winter when the middle of its season is no farther than this, 82 days, from the
middle of January, in the south of July."""
_FRAME_PX = 6
"""Pixels around a chip that the spreading of clouds and the doubling of 20 m bands look at."""
_LEAST_SHARE_SEEN = 0.5
"""A chip whose looks are too cloudy to show this much of it gets further looks."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where and when a chip is."""

    region: Region
    lon: float
    lat: float
    first: date
    """First day of its three months."""


@dataclass(frozen=True, slots=True)
class Variation:
    """How a chip to learn from differs from what a map would show of its place."""

    ground: tuple[Change, ...] = ()
    """What is done to the ground, one after the other: nothing is flooded on some (`drain`), on
    some classes have changed places (`exchange`)."""
    snow: tuple[Change, ...] = ()
    """What covers the ground from light (`snowfall`); radar sees through dry snow."""
    repeated: bool = False
    """Whether bands of 20 m are repeated at 10 m instead of interpolated."""
    single_look: bool = False
    """Whether one look of each sensor is wanted, however many were drawn; clouds may ask for more
    optical ones (`_LEAST_SHARE_SEEN`)."""


AS_IT_IS = Variation()


def simulated_chip(
    seed: int,
    *,
    places: Places = Places.TRAINING,
    excluded: Sequence[Box] = TEST_BOXES,
    chip_px: int = CHIP_PX,
    varied: bool = False,
) -> Chip:
    """A chip at a random place and season, from a random number of looks; all follow from the seed.

    Args:
        seed: 0 or more; another seed is another place.
        places: the measured places whose spectra paint it.
        excluded: boxes of ground in which no chip has its middle.
        chip_px: side, even; 512 for training.
        varied: draw a `Variation`: for learning, not for judging.
    """
    random = np.random.default_rng((seed, 417))
    spot = _spot(random, excluded, chip_px)
    draw = random.random()
    for share, likeness in _SOUGHT:
        if draw < share:
            others = [spot, *(_spot(random, excluded, chip_px) for _ in range(_TRIED))]
            spot = max(others, key=likeness)
            break
        draw -= share
    looks = int(random.integers(1, 6)), int(random.integers(1, 9))
    weather = int(random.integers(2**31))
    variation = _variation(random, seed, spot) if varied else AS_IT_IS
    return chip_at(spot, weather, looks, places, variation)


def _variation(random: np.random.Generator, seed: int, spot: Spot) -> Variation:
    """The variation of a chip to learn from."""
    shares = (
        _EXCHANGED_SHARE,
        _REPEATED_SHARE,
        _SNOWY_SHARE if _in_cold_winter(spot) else 0,
        _SINGLE_LOOK_SHARE,
        _DRAINED_SHARE,
    )
    draws = random.random(len(shares))
    exchanged, repeated, snowy, single_look, drained = (draws < shares).tolist()
    changes = ((drain, drained), (exchange, exchanged))
    return Variation(
        tuple(partial(change, seed) for change, drawn in changes if drawn),
        (partial(snowfall, seed),) if snowy else (),
        repeated,
        single_look,
    )


def chip_name(seed: int) -> str:
    """What the file of a seed's chip is called, without its suffix."""
    return f"simulated-{seed:08d}"


def chip_at(
    spot: Spot,
    seed: int,
    looks: tuple[int, int],
    places: Places,
    variation: Variation = AS_IT_IS,
) -> Chip:
    """The chip of a place and season.

    Args:
        seed: of the overpasses and their weather.
        looks: optical and radar overpasses; more optical ones where clouds leave little seen.
        variation: what is done to its ground and pixels.
    """
    region = spot.region
    wide = region.widened(_FRAME_PX)
    looks = (1, 1) if variation.single_look else looks
    snowless = painted = surface(wide, places, variation.ground)
    if variation.snow:
        painted = surface(wide, places, variation.ground + variation.snow)
    random = np.random.default_rng(seed)
    optical = _optical(painted, region, spot, random, looks[0], variation.repeated)
    radar = _radar(snowless, region, spot, random, looks[1])
    composite = compose(optical, radar)
    inner = MARGIN_PX + _FRAME_PX
    truth = painted.landscape.truth[inner:-inner, inner:-inner]
    last = spot.first + timedelta(days=_SEASON_DAYS - 1)
    return Chip(
        optical=composite.optical,
        radar=composite.radar,
        label=np.ascontiguousarray(truth),
        place=f"{region.zone.name}_{region.left:07d}_{region.top:07d}",
        lon=round(spot.lon, 4),
        lat=round(spot.lat, 4),
        period=f"{spot.first}/{last}",
        optical_looks=len(optical.pixels),
        radar_looks=len(radar.pixels),
        simulated=True,
        source=SOURCE,
    )


def spot_at(lon: float, lat: float, first: date, chip_px: int = CHIP_PX) -> Spot:
    """The spot whose chip has its middle near a longitude and latitude."""
    zone = Zone(int((lon + 180) // 6) % 60 + 1, lat < 0)
    forward = pyproj.Transformer.from_crs(4326, zone.epsg, always_xy=True)
    east, north = forward.transform(lon, lat)
    left = int(east // PIXEL_M) - chip_px // 2
    top = int((LATTICE_TOP_M - north) // PIXEL_M) - chip_px // 2
    return Spot(Region(zone, left // 2 * 2, top // 2 * 2, chip_px, chip_px), lon, lat, first)


def _spot(random: np.random.Generator, excluded: Sequence[Box], chip_px: int) -> Spot:
    """A random place outside the excluded boxes, and a random three months of the year."""
    shares = np.array([share for _, share in _LAND])
    while True:
        if random.random() < _MOUNTAIN_SHARE:
            relief = np.array([belt.amount for belt in RANGES]) ** 1.5
            belt = RANGES[int(random.choice(len(RANGES), p=relief / relief.sum()))]
            share = random.random()
            lon, lat = (a + share * (b - a) for a, b in zip(belt.start, belt.end, strict=True))
            lon, lat = lon + random.normal(0, 0.3), lat + random.normal(0, 0.25)
        else:
            west, south, east, north = _LAND[random.choice(len(shares), p=shares / shares.sum())][0]
            lon, lat = random.uniform(west, east), random.uniform(south, north)
        first = date(_YEAR, 1, 1) + timedelta(days=_first_day(random, lat))
        if not any(w <= lon <= e and s <= lat <= n for w, s, e, n in excluded):
            return spot_at(lon, lat, first, chip_px)


def _in_cold_winter(spot: Spot) -> bool:
    """Whether snow may lie on plains in its season."""
    middle = spot.first + timedelta(days=_SEASON_DAYS // 2)
    season = season_of(middle.timetuple().tm_yday, spot.lat < 0)
    return abs(spot.lat) >= _COLD_DEG and min(season, QUARTERS - season) < _WINTER_QUARTERS


def _wetness(spot: Spot) -> float:
    """How much water a place is likely to have."""
    slow = _slow(spot)
    steep = float(slow[RELIEF]) / 400
    return float(slow[RIVERS]) - 3 * float(slow[DRY]) - min(steep, 3.0)


def _peopled(spot: Spot) -> float:
    """How many people a place is likely to have."""
    slow = _slow(spot)
    return float(slow[PEOPLE]) - 1.5 * max(0.0, float(slow[DRY]) - 0.6)


def _aridity(spot: Spot) -> float:
    """How like a savanna or a steppe the climate of a place is."""
    return -abs(float(_slow(spot)[DRY]) - RANGELAND)


_SOUGHT = ((_WET_SHARE, _wetness), (_SETTLED_SHARE, _peopled), (_DRY_SHARE, _aridity))


def _slow(spot: Spot) -> npt.NDArray[np.float32]:
    """The slow fields at the chip's middle."""
    region = spot.region
    middle = Region(
        region.zone, region.left + region.width // 2, region.top + region.height // 2, 1, 1
    )
    return ground(middle).slow[:, 0, 0]


def _first_day(random: np.random.Generator, lat: float) -> int:
    """First day of the season: six in ten in the growing half of the year, else any day."""
    if random.random() < 0.6:
        return int(random.integers(90, 200) + (0 if lat >= 0 else 183)) % 365
    return int(random.integers(365))


def _optical(
    painted: Surface,
    region: Region,
    spot: Spot,
    random: np.random.Generator,
    wanted: int,
    repeated: bool,
) -> Stack:
    """Looks at random days of the season; more than wanted where clouds leave too little seen."""
    pixels: list[npt.NDArray[np.uint16]] = []
    valid: list[npt.NDArray[np.bool_]] = []
    while len(pixels) < wanted or (
        len(pixels) < 2 * wanted + 2 and np.any(valid, axis=0).mean() < _LEAST_SHARE_SEEN
    ):
        day = spot.first + timedelta(days=int(random.integers(_SEASON_DAYS)))
        number = day.timetuple().tm_yday
        hour = OVERPASS_HOUR - spot.lon / 15
        sky = sky_of(int(random.integers(2**31)), sun(number, hour, spot.lon, spot.lat))
        digits, clear = _seen(optical_look(painted, sky, number), region.shape, repeated)
        pixels.append(digits)
        valid.append(clear)
    return Stack(region, Sensor.OPTICAL, np.stack(pixels), np.stack(valid))


def _seen(
    look: OpticalLook, shape: tuple[int, int], repeated: bool
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.bool_]]:
    """A look's bands at 10 m, (10, y, x), and where they are clear, without the frame."""
    digits = np.empty((len(OPTICAL_BANDS), *shape), np.uint16)
    doubled = doubled_nearest if repeated else doubled_bilinear
    edge, half = _FRAME_PX, _FRAME_PX // 2
    for number, band in enumerate(FINE):
        digits[band] = look.fine[number, edge:-edge, edge:-edge]
    for number, band in enumerate(COARSE):
        raw = look.coarse[number, half - 1 : 1 - half, half - 1 : 1 - half]
        digits[band] = doubled(raw, (0, 0), shape)
    reach = 2 * DEFAULT_DILATION_PX
    cut = half - DEFAULT_DILATION_PX - 1
    classes = look.classes[cut : look.classes.shape[0] - cut, cut : look.classes.shape[1] - cut]
    wide = doubled_nearest(classes, (0, 0), (shape[0] + 2 * reach, shape[1] + 2 * reach))
    return digits, clear_mask(wide, reach)


def _radar(
    painted: Surface, region: Region, spot: Spot, random: np.random.Generator, wanted: int
) -> Stack:
    """Looks from both sides at random days of the season."""
    edge = _FRAME_PX
    pixels = np.empty((wanted, 2, *region.shape), np.float32)
    for number in range(wanted):
        day = spot.first + timedelta(days=int(random.integers(_SEASON_DAYS)))
        beam = Beam(int(random.integers(2**31)), bool(random.integers(2)))
        across = np.full(painted.region.shape, random.uniform(-1, 1), np.float32)
        look = radar_look(painted, beam, day.timetuple().tm_yday, across)
        pixels[number] = look[:, edge:-edge, edge:-edge]
    return Stack(region, Sensor.RADAR, pixels, np.ones((wanted, *region.shape), np.bool_))
