"""What the instruments see: by place, at their own resolutions, with the noise they have."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from statistics import NormalDist

import numpy as np
import pytest
from ground_samples import FARMLAND, FIJI, PLAIN, VALLEY, region_at, shifted

from mapper.land.grid import Region
from mapper.simulated.cover import CROPS, GRASS, SHRUB, TREES
from mapper.simulated.landscape import FIELD
from mapper.simulated.optical_look import DN_STEP, FINE, optical_look
from mapper.simulated.painting import MARGIN_PX, surface
from mapper.simulated.radar_look import (
    EQUIVALENT_LOOKS,
    RADAR_NODATA,
    SPECKLE,
    SPECKLE_DEVIATIONS,
    Beam,
    radar_look,
)
from mapper.simulated.sky import Sky
from mapper.simulated.spectra import RADAR, RANK

CLEAR = Sky(71, 0.0, 1500.0, 0.004, 1.0, 35.0, 150.0)
CLOUDY = replace(CLEAR, cover=0.6)


@pytest.mark.parametrize("region", [VALLEY, PLAIN, FIJI])
def test_overlapping_regions_see_the_same_pixels(region: Region) -> None:
    other = shifted(region, 22, 30)
    shared = region.intersection(other)
    assert shared is not None
    one, two = surface(region), surface(other)
    mine, theirs = shared.slices_in(region), shared.slices_in(other)
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
    across = np.where(seen, 0, np.nan).astype(np.float32)
    power = radar_look(surface(PLAIN), Beam(5, True), 200, across)
    assert (power[:, seen] > 0).all() and (power[:, ~seen] == RADAR_NODATA).all()


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


def test_speckle_has_the_looks_that_the_item_states() -> None:
    edges = np.linspace(-SPECKLE_DEVIATIONS, SPECKLE_DEVIATIONS, SPECKLE.size + 1)[1:-1]
    below = [NormalDist().cdf(float(edge)) for edge in edges]
    shares = np.diff([0.0, *below, 1.0])
    mean = shares @ SPECKLE.astype(np.float64)
    assert abs(mean - 1) < 1e-6
    assert abs(1 / (shares @ np.square(SPECKLE - mean)) - EQUIVALENT_LOOKS) < 0.1
    painted = surface(PLAIN)
    first, second = (radar_look(painted, Beam(seed, True), 200)[0] for seed in (1, 2))
    ratio = np.log(first / second)
    # The log of a gamma variate of shape 4.4 has variance 0.2546 (its trigamma function).
    assert abs(ratio.var() / 2 - 0.2546) < 0.02


def test_speckle_is_alike_in_neighbouring_pixels() -> None:
    painted = surface(PLAIN)
    first, second = (radar_look(painted, Beam(seed, True), 200)[0] for seed in (1, 2))
    noise = np.log(first / second)
    noise -= noise.mean()
    near, next_but_one = (
        [np.mean(a * b) / noise.var() for a, b in pairs]
        for pairs in (
            ((noise[:, 1:], noise[:, :-1]), (noise[1:], noise[:-1])),
            ((noise[:, 2:], noise[:, :-2]), (noise[2:], noise[:-2])),
        )
    )
    # Real chips: 0.72 to 0.80 and 0.29 to 0.44, texture of the ground included.
    assert all(0.66 < share < 0.79 for share in near)
    assert all(0.2 < share < 0.4 for share in next_but_one)


def test_crops_and_grass_of_one_region_are_moist_or_dry_alike() -> None:
    """Of two overpasses, so that the weather of neither is in both."""
    edge = slice(MARGIN_PX, -MARGIN_PX)
    pairs = []
    for east, north in product(range(14), range(9)):
        painted = surface(region_at(-1 + 1.7 * east, 44.3 + 1.1 * north, 64))
        mean = painted.mixture.mean[painted.components(200)[1, edge, edge], RADAR[0]]
        deviations = [
            10 * np.log10(radar_look(painted, Beam(seed, True), 200)[0]) - mean for seed in (1, 2)
        ]
        crops, grass = (painted.landscape.truth[edge, edge] == code for code in (CROPS, GRASS))
        if min(crops.sum(), grass.sum()) > 200:
            pairs.append((deviations[0][crops].mean(), deviations[1][grass].mean()))
    assert len(pairs) > 50
    # Measured pairs of classes: 0.5 to 4.4 dB².
    assert 0.5 < np.cov(np.transpose(pairs))[0, 1] < 5


def test_light_falls_on_slopes_that_face_the_sun() -> None:
    painted = surface(VALLEY)
    steep = painted.landscape.terrain.east_rise[4:-4, 4:-4]
    morning = optical_look(painted, replace(CLEAR, sun_azimuth_deg=90.0), 200).fine[3]
    evening = optical_look(painted, replace(CLEAR, sun_azimuth_deg=270.0), 200).fine[3]
    change = np.log(morning / evening)
    assert np.abs(steep).max() > 0.1
    assert np.corrcoef(change.ravel(), -steep.ravel())[0, 1] > 0.7
