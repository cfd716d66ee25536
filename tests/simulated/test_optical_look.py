"""What Sentinel-2 sees: light on slopes, clouds, and digital numbers of two baselines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ground_samples import CLEAR, PLAIN, VALLEY

from mapper.land.grid import Region
from mapper.simulated.optical_look import DN_STEP, FINE, optical_look
from mapper.simulated.painting import surface


def test_newer_baselines_add_a_thousand_to_every_number() -> None:
    painted = surface(PLAIN)
    plain, shifted_by = optical_look(painted, CLEAR, 200), optical_look(painted, CLEAR, 200, 1000)
    for before, after in ((plain.fine, shifted_by.fine), (plain.coarse, shifted_by.coarse)):
        inside = before > DN_STEP  # the least number there is
        assert inside.mean() > 0.99 and (after - before == 1000)[inside].all()


def test_outside_the_swath_there_is_nothing() -> None:
    seen = np.ones(PLAIN.shape, np.bool_)
    seen[:, 41:] = False
    look = optical_look(surface(PLAIN), CLEAR, 200, 1000, seen)
    assert (look.fine[:, seen] > 0).all() and not look.fine[:, ~seen].any()
    assert (look.coarse[:, :, :20] > 0).all() and not look.coarse[:, :, 20:].any()
    assert not look.classes[:, 20:].any() and look.classes[:, :20].all()


def test_clouds_are_bright_and_mostly_found() -> None:
    painted = surface(VALLEY)
    under = optical_look(painted, replace(CLEAR, cover=0.995), 200)
    clear = optical_look(painted, CLEAR, 200)
    assert np.median(under.fine[0]) > 4000 > 2000 > np.median(clear.fine[0])
    assert np.isin(under.classes, (8, 9, 10)).mean() > 0.9
    assert not np.isin(clear.classes, (3, 8, 9, 10)).any()


@pytest.mark.parametrize("region", [PLAIN, VALLEY])
def test_red_of_forest_is_darker_than_its_infrared(region: Region) -> None:
    painted = surface(region)
    forest = painted.landscape.truth[4:-4, 4:-4] == 1
    look = optical_look(painted, CLEAR, 200)
    red, infrared = (look.fine[FINE.index(band)][forest] for band in (2, 6))
    assert np.median(infrared) > 3 * np.median(red)


def test_light_falls_on_slopes_that_face_the_sun() -> None:
    painted = surface(VALLEY)
    steep = painted.landscape.terrain.east_rise[4:-4, 4:-4]
    morning = optical_look(painted, replace(CLEAR, sun_azimuth_deg=90.0), 200).fine[3]
    evening = optical_look(painted, replace(CLEAR, sun_azimuth_deg=270.0), 200).fine[3]
    change = np.log(morning / evening)
    assert np.abs(steep).max() > 0.1
    assert np.corrcoef(change.ravel(), -steep.ravel())[0, 1] > 0.7
