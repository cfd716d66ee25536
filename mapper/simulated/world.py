"""Rough facts of the real Earth that make one simulated country differ from another. Pure.

Where the great ranges and deserts are, to a few tens of kilometres: enough for the Alps to be high,
the Netherlands flat and the Sahara dry. Everything finer is noise. Heights are the usual relief
between valley floor and crest, from any atlas.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

EARTH_RADIUS_M = 6_371_000.0


@dataclass(frozen=True, slots=True)
class Belt:
    """A band of country along a line on the Earth."""

    name: str
    start: tuple[float, float]
    """Longitude and latitude, degrees."""
    end: tuple[float, float]
    width_km: float
    """Distance from the line at which the belt has faded to a third."""
    amount: float
    """Relief in metres, or dryness from -1 (wet) to 1 (desert)."""


RANGES: tuple[Belt, ...] = (
    Belt("Western Alps", (6.8, 44.2), (7.6, 46.3), 70, 2500),
    Belt("Alps", (7.6, 46.3), (13.5, 47.2), 75, 2400),
    Belt("Dinarides", (13.8, 46.2), (20.0, 42.3), 60, 1200),
    Belt("Pyrenees", (-1.5, 42.9), (2.5, 42.5), 45, 2000),
    Belt("Cantabria", (-7.0, 43.0), (-3.5, 43.0), 40, 1300),
    Belt("Iberian System", (-6.0, 40.3), (-3.0, 41.0), 45, 1000),
    Belt("Sierra Nevada", (-4.0, 37.0), (-2.0, 37.3), 40, 1500),
    Belt("Apennines", (9.5, 44.4), (15.8, 40.0), 45, 1100),
    Belt("Carpathians", (18.5, 49.3), (25.5, 47.2), 55, 1100),
    Belt("Southern Carpathians", (25.5, 47.2), (22.5, 45.3), 45, 1500),
    Belt("Balkans", (21.5, 42.0), (25.5, 42.5), 60, 1400),
    Belt("Scandes", (7.5, 60.5), (18.5, 68.8), 110, 1300),
    Belt("Scotland", (-5.5, 56.5), (-4.0, 58.0), 60, 700),
    Belt("Caucasus", (39.0, 43.8), (48.0, 41.3), 70, 2600),
    Belt("Anatolia", (30.0, 37.0), (43.0, 39.0), 130, 1500),
    Belt("Zagros", (45.0, 36.5), (54.0, 29.0), 130, 1700),
    Belt("Elburz", (49.0, 36.8), (55.0, 36.8), 60, 2200),
    Belt("Urals", (59.0, 52.0), (60.0, 66.0), 70, 700),
    Belt("Hindu Kush", (66.0, 34.5), (74.0, 36.5), 150, 2800),
    Belt("Himalaya", (74.0, 35.0), (97.0, 28.5), 140, 3200),
    Belt("Tien Shan", (70.0, 41.5), (86.0, 43.0), 140, 2600),
    Belt("Altai", (85.0, 50.0), (98.0, 47.5), 180, 1800),
    Belt("Yunnan", (98.0, 28.0), (103.0, 24.0), 200, 1700),
    Belt("Annam", (103.0, 20.0), (107.5, 14.0), 90, 1100),
    Belt("Japan", (133.0, 35.0), (140.5, 38.0), 70, 1500),
    Belt("Eastern Siberia", (120.0, 57.0), (160.0, 64.0), 300, 1000),
    Belt("Atlas", (-8.0, 31.0), (4.0, 35.5), 80, 1700),
    Belt("Ethiopia", (38.0, 8.0), (39.0, 13.0), 160, 1700),
    Belt("Rift", (29.5, -8.0), (36.5, 0.5), 120, 1100),
    Belt("Drakensberg", (27.5, -31.0), (30.5, -27.0), 90, 1300),
    Belt("Cameroon", (9.0, 4.5), (11.5, 7.0), 80, 1100),
    Belt("Madagascar", (46.0, -22.0), (48.5, -15.0), 90, 900),
    Belt("Rockies", (-106.0, 36.0), (-122.0, 55.0), 200, 1700),
    Belt("Cascades", (-121.5, 40.0), (-122.5, 50.0), 70, 1800),
    Belt("Sierra Nevada", (-118.0, 36.0), (-121.0, 40.0), 60, 2000),
    Belt("Alaska", (-153.0, 61.5), (-138.0, 60.5), 120, 2600),
    Belt("Coast Mountains", (-122.5, 50.0), (-137.0, 60.0), 110, 2300),
    Belt("Appalachians", (-84.0, 35.0), (-72.0, 44.0), 90, 600),
    Belt("Sierra Madre", (-107.0, 28.0), (-96.0, 17.0), 130, 1500),
    Belt("Central America", (-91.0, 15.0), (-83.0, 9.5), 60, 1400),
    Belt("Northern Andes", (-74.0, 7.0), (-79.0, -4.0), 110, 2400),
    Belt("Central Andes", (-78.0, -8.0), (-68.0, -20.0), 170, 2600),
    Belt("Southern Andes", (-69.5, -28.0), (-72.5, -50.0), 80, 2300),
    Belt("Great Dividing Range", (148.0, -37.0), (152.0, -27.0), 90, 700),
    Belt("New Guinea", (134.0, -4.0), (147.0, -8.0), 80, 2400),
    Belt("Southern Alps", (167.5, -45.0), (172.5, -42.5), 55, 2300),
    Belt("Sumatra", (96.0, 4.5), (104.5, -5.0), 60, 1400),
    Belt("Java", (106.5, -7.0), (115.0, -8.2), 40, 1500),
    Belt("Borneo", (111.0, 1.0), (117.0, 6.0), 90, 1000),
    Belt("Taiwan", (120.9, 22.8), (121.5, 24.6), 35, 2400),
    Belt("Fiji", (177.3, -17.9), (180.0, -16.6), 50, 700),
    Belt("Eastern Greenland", (-45.0, 61.0), (-24.0, 72.0), 150, 1800),
    Belt("Iceland", (-22.0, 64.5), (-14.5, 65.0), 90, 900),
)

DRYNESS: tuple[Belt, ...] = (
    Belt("Western Sahara", (-13.0, 22.0), (10.0, 26.0), 750, 1.0),
    Belt("Eastern Sahara", (10.0, 24.0), (32.0, 23.0), 700, 1.0),
    Belt("Arabia", (38.0, 28.0), (52.0, 19.0), 600, 1.0),
    Belt("Iran", (52.0, 33.0), (66.0, 29.0), 450, 0.8),
    Belt("Thar", (69.0, 27.0), (72.0, 27.0), 250, 0.6),
    Belt("Turan", (54.0, 42.0), (68.0, 42.0), 450, 0.8),
    Belt("Tarim and Gobi", (78.0, 39.0), (108.0, 43.0), 450, 0.9),
    Belt("Tibet", (80.0, 33.0), (93.0, 33.0), 250, 0.6),
    Belt("Horn of Africa", (44.0, 4.0), (50.0, 10.0), 350, 0.8),
    Belt("Namib and Kalahari", (15.0, -22.0), (22.0, -25.0), 400, 0.85),
    Belt("Australia", (120.0, -25.0), (138.0, -27.0), 850, 0.9),
    Belt("Great Basin", (-117.0, 40.0), (-110.0, 34.0), 420, 0.75),
    Belt("Chihuahua", (-109.0, 30.0), (-103.0, 26.0), 300, 0.7),
    Belt("Atacama", (-70.0, -18.0), (-69.5, -27.0), 180, 1.0),
    Belt("Patagonia", (-69.0, -38.0), (-69.0, -48.0), 230, 0.7),
    Belt("Iberia", (-4.5, 40.0), (-1.0, 38.0), 260, 0.3),
    Belt("Anatolia", (32.0, 38.5), (40.0, 38.5), 250, 0.35),
    Belt("Congo", (12.0, 0.0), (28.0, 0.0), 650, -0.5),
    Belt("Amazon", (-72.0, -4.0), (-52.0, -3.0), 850, -0.5),
    Belt("Indonesia", (98.0, 0.0), (140.0, -4.0), 650, -0.5),
    Belt("Northern Europe", (5.0, 52.0), (40.0, 58.0), 600, -0.15),
)

FLATNESS: tuple[Belt, ...] = (
    Belt("North European Plain", (3.5, 52.0), (30.0, 53.5), 160, 1.0),
    Belt("Po", (8.5, 45.2), (12.3, 45.0), 35, 1.0),
    Belt("Pannonia", (17.5, 46.8), (21.5, 46.5), 120, 1.0),
    Belt("Ganges", (75.0, 29.0), (90.0, 24.5), 140, 1.0),
    Belt("North China", (114.0, 35.0), (118.0, 37.5), 250, 1.0),
    Belt("Prairies", (-100.0, 35.0), (-105.0, 53.0), 350, 0.8),
    Belt("Mississippi", (-90.0, 30.0), (-89.0, 40.0), 250, 0.8),
    Belt("Pampas", (-62.0, -30.0), (-61.0, -37.0), 300, 1.0),
    Belt("Western Siberia", (65.0, 57.0), (80.0, 62.0), 500, 1.0),
)
"""Plains, where the background hills sink: 1 leaves a tenth of them."""


def on_sphere(lon_deg: Doubles, lat_deg: Doubles) -> Doubles:
    """(..., 3) unit vectors."""
    lon, lat = np.radians(lon_deg), np.radians(lat_deg)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def belt_field(points: Doubles, belts: tuple[Belt, ...]) -> Doubles:
    """What every belt adds at points on the unit sphere, (belt, ...), by a bell across the line."""
    out = np.empty((len(belts), *points.shape[:-1]))
    for number, belt in enumerate(belts):
        start = on_sphere(np.array(belt.start[0]), np.array(belt.start[1]))
        along = on_sphere(np.array(belt.end[0]), np.array(belt.end[1])) - start
        share = np.clip(((points - start) * along).sum(axis=-1) / (along * along).sum(), 0, 1)
        away = points - start - share[..., None] * along
        distance = np.sqrt((away * away).sum(axis=-1)) * EARTH_RADIUS_M / 1000
        out[number] = belt.amount * np.exp(-np.square(distance / belt.width_km))
    return out
