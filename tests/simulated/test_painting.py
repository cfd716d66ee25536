"""The painted ground as both instruments see it: by place, rough, mixed and hedged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ground_samples import CLEAR, FARMLAND, FIJI, PLAIN, VALLEY, overlapping, shifted

from mapper.land.grid import Region
from mapper.simulated.cover import CROPS, SHRUB, TREES
from mapper.simulated.landscape import FIELD
from mapper.simulated.optical_look import DN_STEP, optical_look
from mapper.simulated.painting import MARGIN_PX, surface
from mapper.simulated.radar_look import Beam, radar_look
from mapper.simulated.spectra import RANK

CLOUDY = replace(CLEAR, cover=0.6)


@pytest.mark.parametrize("region", [VALLEY, PLAIN, FIJI])
def test_overlapping_regions_see_the_same_pixels(region: Region) -> None:
    other, mine, theirs = overlapping(region, 22, 30)
    one, two = surface(region), surface(other)
    looks = [optical_look(painted, CLOUDY, 200) for painted in (one, two)]
    assert np.array_equal(looks[0].fine[:, *mine], looks[1].fine[:, *theirs])
    half = [tuple(slice(s.start // 2, s.stop // 2) for s in part) for part in (mine, theirs)]
    assert np.array_equal(looks[0].coarse[:, *half[0]], looks[1].coarse[:, *half[1]])
    assert np.array_equal(looks[0].classes[half[0]], looks[1].classes[half[1]])
    powers = [radar_look(painted, Beam(5, True), 200) for painted in (one, two)]
    assert np.array_equal(powers[0][:, *mine], powers[1][:, *theirs])


def test_a_region_of_broken_20_m_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="whole 20 m pixels"):
        surface(shifted(PLAIN, 1, 0))


def test_some_borders_of_fields_look_like_trees_and_stay_fields() -> None:
    painted = surface(FARMLAND)
    wide = painted.landscape
    here, east = wide.unit[:, :-1], wide.unit[:, 1:]
    border = (here >= FIELD) & (east >= FIELD) & (here != east)
    crops = wide.truth[:, :-1] == CROPS
    wooded = np.isin(painted.covers[0, :, :-1], (TREES, SHRUB))
    assert 0.03 < wooded[crops & border].mean() < 0.5
    assert wooded[crops & ~border].mean() < 0.5 * wooded[crops & border].mean()


def test_what_stands_in_other_ground_may_fill_part_of_a_pixel() -> None:
    painted = surface(FARMLAND)
    shown, own = painted.covers
    patches = shown != own
    assert (painted.part[~patches] == 1).all() and (painted.part > 0).all()
    assert 0.2 < (painted.part[patches] < 1).mean() < 1
    parts = [np.full_like(painted.part, share) for share in (1.0, 0.5, 0.0)]
    whole, half, none = (replace(painted, part=part) for part in parts)
    patch, both, ground = (
        optical_look(p, CLEAR, 200).fine.astype(float) for p in (whole, half, none)
    )
    inner = patches[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]
    # Sensor noise is the same in all three, and goes with the signal; numbers come in steps.
    assert (np.abs(both - (patch + ground) / 2) <= DN_STEP + 1)[:, inner].mean() > 0.99
    assert (np.abs(patch - ground)[:, inner] > 3 * DN_STEP).mean() > 0.5
    patch, both, ground = (radar_look(p, Beam(5, True), 200) for p in (whole, half, none))
    assert np.allclose(both, (patch + ground) / 2, rtol=0.02)  # powers have seven binary digits


def test_stands_of_one_class_are_rough_or_even_and_shadows_darken_all_bands() -> None:
    painted = surface(VALLEY)
    wide = painted.landscape
    trees = wide.truth == TREES
    whole = trees & (painted.covers[0] == TREES)
    step = np.abs(np.diff(painted.spread[0, RANK:], axis=2)).mean(axis=0)
    pairs = whole[:, 1:] & whole[:, :-1] & (wide.unit[:, 1:] == wide.unit[:, :-1])
    stands = [pairs & (wide.unit[:, 1:] == unit) for unit in np.unique(wide.unit[whole])]
    sizes = [step[stand].mean() for stand in stands if stand.sum() > 300]
    assert len(sizes) >= 3 and max(sizes) > 1.3 * min(sizes)
    assert (painted.shade > 0).all() and 0.01 < np.log(painted.shade[whole]).std() < 0.5

    even = replace(painted, shade=np.ones_like(painted.shade))
    shaded, plain = (optical_look(p, CLEAR, 200).fine.astype(float) for p in (painted, even))
    inner = (slice(None), whole[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX])
    ratios = (shaded / plain)[inner]
    assert all(np.corrcoef(ratios[0], other)[0, 1] > 0.7 for other in ratios[1:])
