"""The packaged spectra: measured, small, traceable, and the same when fitted again."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from mapper.simulated.spectra import KINDS, Places, palette, quarter_of, spectra


@pytest.mark.parametrize("places", list(Places))
def test_every_class_has_components_in_every_set_of_places(places: Places) -> None:
    mixture = spectra(places)
    assert set(mixture.cover.tolist()) == set(range(9))
    for array in (mixture.mean, mixture.spot_factor, mixture.pixel_factor, mixture.latitude):
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
    july = np.square(mixture.mean[:, 2, :10])
    by_class = [np.median(july[mixture.cover == code], axis=0) for code in range(9)]
    assert by_class[1][6] > 5 * by_class[1][2]
    assert by_class[0][6] < 0.1 and by_class[8][1] > 0.4 > 0.1 > by_class[8][8]
    radar = [np.median(mixture.mean[mixture.cover == code, 2, 10]) for code in range(9)]
    assert int(np.argmin(radar)) == 0 and int(np.argmax(radar)) in (1, 6)


def test_a_province_has_a_few_kinds_of_each_class() -> None:
    mixture = spectra()
    kinds = palette(mixture, 123_456, 47.0)
    assert kinds.shape == (9, KINDS)
    assert (mixture.cover[kinds] == np.arange(9)[:, None]).all()
    assert len(set(kinds[1].tolist())) <= 4
    assert (kinds == palette(mixture, 123_456, 47.0)).all()


def test_seasons_turn_over_at_the_equator() -> None:
    assert quarter_of(15, south=False)[0] == 0 and quarter_of(15, south=True)[0] == 2
    first, second, share = quarter_of(60, south=False)
    assert (first, second) == (0, 1) and 0.4 < share < 0.6
    assert quarter_of(366, south=False)[:2] == (3, 0)


@pytest.mark.slow
def test_fitting_again_gives_the_packaged_arrays(shared_data: Path) -> None:
    from mapper.simulated.fit_spectra import fit

    points, pixels = shared_data / "points" / "points.parquet", shared_data / "pixels/pixels.npz"
    again = fit(points, pixels)
    with resources.files("mapper.simulated").joinpath("spectra.npz").open("rb") as file:
        packaged = dict(np.load(file))
    for name, array in packaged.items():
        assert np.allclose(again[name], array, atol=2e-3, equal_nan=True), name
