"""The packaged spectra: measured, small, traceable, and the same when fitted again."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from mapper.simulated.cover import CROPS, GRASS, SHRUB, TREES, WATER
from mapper.simulated.spectra import (
    KINDS,
    QUARTERS,
    RADAR,
    Places,
    components_on,
    nearness,
    palette,
    season_of,
    spectra,
)


@pytest.mark.parametrize("places", list(Places))
def test_every_class_has_components_in_every_set_of_places(places: Places) -> None:
    mixture = spectra(places)
    assert set(mixture.cover.tolist()) == set(range(9))
    for array in (mixture.mean, mixture.factors, mixture.latitude):
        assert np.isfinite(array).all()


def test_the_file_is_small_and_holds_no_single_row() -> None:
    path = resources.files("mapper.simulated").joinpath("spectra.npz")
    assert len(path.read_bytes()) < 1_000_000
    with path.open("rb") as file:
        arrays = dict(np.load(file))
    assert ((arrays["weight"] >= 3) | (arrays["rows"] >= 20)).all()


def test_sources_are_named_and_those_for_evaluation_only_are_not_used() -> None:
    page = resources.files("mapper.simulated").joinpath("SOURCES.md").read_text(encoding="utf-8")
    assert "spectralr_ukraine_buh" in page and "| terramesh" not in page
    assert "L1C |" not in page


def test_spectra_are_those_of_the_ground() -> None:
    """In July: forest is dark in red and bright in infrared, snow bright and then black."""
    mixture = spectra()
    summer = [np.flatnonzero((mixture.cover == code) & (mixture.quarter == 2)) for code in range(9)]
    july = [np.median(np.square(mixture.mean[own, :10]), axis=0) for own in summer]
    assert july[1][6] > 5 * july[1][2]
    assert july[0][6] < 0.1 and july[8][1] > 0.4 > 0.1 > july[8][8]
    radar = [np.median(mixture.mean[own, 10]) for own in summer]
    assert int(np.argmin(radar)) == 0 and int(np.argmax(radar)) in (1, 6)


@pytest.mark.parametrize("places", list(Places))
def test_land_is_darker_to_radar_than_in_the_points_and_crops_as_grass(
    places: Places,
) -> None:
    mixture = spectra(places)

    def level(code: int) -> float:
        own = mixture.cover == code
        return float(np.average(mixture.mean[own, RADAR[0]], weights=mixture.weight[own]))

    # Woods: -8.2 dB in the points, -10.2 in the United States.
    assert -10.2 < level(TREES) < -9
    assert abs(level(CROPS) - level(GRASS)) < 1
    assert level(WATER) < -16


def test_a_province_has_a_few_kinds_of_each_class() -> None:
    mixture = spectra()
    kinds = palette(mixture, 123_456, 47.0)
    assert kinds.shape == (QUARTERS, 9, KINDS)
    assert (mixture.cover[kinds] == np.arange(9)[:, None]).all()
    assert (mixture.quarter[kinds] == np.arange(QUARTERS)[:, None, None]).all()
    assert len(set(kinds[2, TREES].tolist())) <= 4
    assert (kinds == palette(mixture, 123_456, 47.0)).all()


def test_some_provinces_grow_one_crop_and_others_many() -> None:
    """Where fields always differed, real ones that were alike after the harvest were a meadow."""
    mixture = spectra()
    most = []
    for province in range(40):
        kinds = palette(mixture, province * 7919, 47.0)[2]
        assert np.unique(kinds[GRASS], return_counts=True)[1].min() >= KINDS // 5
        most.append(np.unique(kinds[CROPS], return_counts=True)[1].max() / KINDS)
    assert min(most) < 0.2 and 0.15 < np.median(most) < 0.45 and max(most) > 0.55


def test_provinces_have_kinds_of_their_own_climate() -> None:
    mixture = spectra()
    palettes = np.stack([palette(mixture, number * 7919, 47.0) for number in range(100)])
    drawn = palettes[:, :, [GRASS, SHRUB]]
    assert (mixture.latitude[drawn] > 25).mean() > 0.99
    assert all(len(set(kinds.tolist())) > 1 for kinds in drawn.reshape(-1, KINDS))


@pytest.mark.parametrize("places", list(Places))
def test_meadows_of_a_province_are_alike_and_dry_where_its_fields_are(places: Places) -> None:
    """As measured ones, of which a good part of what they differ by in red is between regions."""
    mixture = spectra(places)
    summer = np.stack([palette(mixture, number * 7919, 47.0)[2] for number in range(400)])
    red = mixture.mean[summer, 2]
    inside, middle = red.var(axis=2).mean(axis=0), red.mean(axis=2)
    share = 1 - inside / red.var(axis=(0, 2))
    # Of the kinds alone; what the pixels of one kind differ by makes them 0.30 and 0.28.
    assert 0.3 < share[GRASS] < 0.42 and 0.25 < share[CROPS] < 0.4 and share[TREES] < 0.2
    assert 0.15 < share[SHRUB] < 0.35
    assert np.corrcoef(middle[:, GRASS], middle[:, CROPS])[0, 1] > 0.4
    assert abs(np.corrcoef(middle[:, GRASS], middle[:, TREES])[0, 1]) < 0.15


def test_over_all_provinces_kinds_are_as_frequent_as_their_weight_says() -> None:
    mixture = spectra()
    own = np.flatnonzero((mixture.cover == GRASS) & (mixture.quarter == 2))
    wanted = nearness(mixture, own, 47.0)
    palettes = [palette(mixture, number * 7919, 47.0)[2, GRASS] for number in range(2000)]
    found = np.bincount(np.concatenate(palettes), minlength=len(mixture.cover))[own]
    assert np.abs(found / found.sum() - wanted / wanted.sum()).max() < 0.01


def test_no_meadow_is_the_mean_of_warm_and_temperate_places() -> None:
    """Both climates have hundreds of places of grass: few lie near the border between them."""
    mixture = spectra()
    latitude = mixture.latitude[mixture.cover == GRASS]
    assert (latitude > 40).sum() > 80 and (latitude < 28).sum() > 80
    assert ((latitude > 28) & (latitude < 40)).sum() < 20


def test_seasons_turn_over_at_the_equator() -> None:
    assert season_of(15, south=False) == 0 and season_of(15, south=True) == 2
    assert 0.4 < season_of(60, south=False) < 0.6
    assert 3.8 < season_of(366, south=False) < 4


def test_fields_change_on_days_of_their_own_and_woods_keep_their_rank() -> None:
    mixture = spectra()
    palettes = palette(mixture, 123_456, 47.0)[None]
    units = np.arange(4000, dtype=np.uint32).reshape(1, -1) * np.uint32(2654435761)
    province = np.zeros_like(units)

    def on(season: float, code: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
        shown = np.full(units.shape, code, np.uint8)
        return components_on(season, shown, units, province, province[0, :1], palettes)

    assert (mixture.quarter[on(2.0, CROPS)] == 2).all()
    assert 0.25 < (mixture.quarter[on(2.3, CROPS)] == 3).mean() < 0.35
    assert set(mixture.quarter[on(3.5, CROPS)].ravel()) == {3, 0}
    spring, summer = (mixture.mean[on(season, TREES)[0], :10].sum(axis=1) for season in (1.0, 2.0))
    assert np.corrcoef(spring, summer)[0, 1] > 0.5
    spring, summer = (mixture.mean[on(season, CROPS)[0], :10].sum(axis=1) for season in (1.0, 2.0))
    assert abs(np.corrcoef(spring, summer)[0, 1]) < 0.1


@pytest.mark.slow
def test_fitting_again_gives_the_packaged_arrays(shared_data: Path) -> None:
    from mapper.simulated.fit_spectra import fit

    points, pixels = shared_data / "points" / "points.parquet", shared_data / "pixels/pixels.npz"
    again = fit(points, pixels)
    with resources.files("mapper.simulated").joinpath("spectra.npz").open("rb") as file:
        packaged = dict(np.load(file))
    for name, array in packaged.items():
        assert np.allclose(again[name], array, atol=2e-3, equal_nan=True), name
