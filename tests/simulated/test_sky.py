"""Clouds by overpass, shadows along the sun."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ground_samples import region_at

from mapper.simulated.ground import ground, positions
from mapper.simulated.sky import Sky, clouds, opacities, sky_of, sun

SKY = Sky(99, 0.4, 1000.0, 0.0, 1.0, 45.0, 135.0)


@pytest.mark.parametrize("cover", [0.1, 0.3, 0.6, 0.9])
def test_cover_is_what_was_asked_for_on_the_whole(cover: float) -> None:
    region = region_at(20.0, 50.0, 60_000)
    opacity = opacities(*positions(region, 600), 99, replace(SKY, cover=cover).threshold)
    assert abs((opacity > 0.5).mean() - cover) < 0.12


def test_a_shadow_lies_away_from_the_sun() -> None:
    """A sun in the south-east at 45 degrees: one cloud height to the north-west."""
    assert SKY.shadow_m == pytest.approx((707.1, -707.1), abs=0.1)
    at = ground(region_at(20.0, 50.0, 192))
    limits = np.linspace(-2, 2, 17)
    cover = [opacities(at.x, at.y, at.z, SKY.seed, limit).mean() for limit in limits]
    broken = float(limits[np.abs(np.array(cover) - 0.5).argmin()])
    cloud, shadow = clouds(at.x, at.y, at.z, SKY.seed, broken, *SKY.shadow_m)
    step = round(707.1 / 20)
    assert np.ptp(cloud) > 0.3
    assert abs(cloud[step:, step:] - shadow[:-step, :-step]).max() < 0.06


def test_weather_follows_from_the_overpass() -> None:
    covers = np.array([sky_of(seed, (40.0, 150.0)).cover for seed in range(2000)])
    assert sky_of(5, (40.0, 150.0)) == sky_of(5, (40.0, 150.0))
    assert abs((covers < 0.08).mean() - 0.4) < 0.05 and covers.max() <= 0.95


def test_the_sun_stands_where_it_should() -> None:
    zenith, azimuth = sun(172, 12.0, 0.0, 50.0)
    assert zenith == pytest.approx(50 - 23.45, abs=0.1) and azimuth == pytest.approx(180, abs=0.5)
    zenith, azimuth = sun(172, 12.0, 0.0, -30.0)
    assert zenith == pytest.approx(53.45, abs=0.1) and azimuth % 360 == pytest.approx(0, abs=0.5)
    assert 90 < sun(180, 10.0, 0.0, 50.0)[1] < 180
