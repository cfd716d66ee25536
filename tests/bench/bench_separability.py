"""How well painted ground can be told apart at best: an ideal observer of whole parcels.

    PYTHONPATH=. python tests/bench/bench_separability.py --latitude 49.7 --json separability.json

A parcel is drawn as the simulated archive draws it, a component of its province's palette and a
place within that, and is observed as one spectrum of twelve bands: what its pixels share, with
normal noise. The observer knows the whole mixture and the share of each class, and names the class
that is most probable. It comes in two kinds: one that knows the province's palette, as if it had
learned the place by heart, and one that knows only which components are usual at that latitude.

No network that sees composites of one quarter of the year does better than the first on such
parcels. It may do better than the second, which judges each parcel alone: a view shows whether its
province is a lush or a dry one. What both leave out makes real work harder (mixed pixels, haze,
dates of two quarters in one composite, patches of other cover) and easier (shape, texture).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from mapper.imagery.bands import OPTICAL_BANDS, RADAR_BANDS
from mapper.land.legend import CLASS_COUNT, CLASS_NAMES
from mapper.lulcformer.report import MEASURES
from mapper.simulated.spectra import RANK, Places, Spectra, nearness, palette, spectra
from mapper.simulated.texture import SHARED_PART

Floats = npt.NDArray[np.float64]

LUXEMBOURG = (0.011, 0.124, 0.547, 0.002, 0.236, 0.021, 0.06, 0.0, 0.0)
"""Shares of the classes in a part of simulated Luxembourg."""
NOISES = ((0.003, 0.3), (0.01, 0.6), (0.02, 1.0), (0.03, 1.5))
"""Standard deviations of what a composite adds to a parcel: in square roots of reflectance (0.01 is
0.006 in reflectance where that is 0.09) and in dB."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One observer under one noise."""

    knows_palette: bool
    optical_noise: float
    radar_noise_db: float
    scores: dict[str, float]


@dataclass(frozen=True, slots=True)
class Parcels:
    """How the parcels of some components are spread: normal, with these means and covariances."""

    mean: Floats
    """(component, 12)."""
    covariance: Floats
    """(component, 12, 12), noise included."""

    def log_density(self, spectrum: Floats, component: int) -> Floats:
        """(parcel,) of spectra (parcel, 12) under one component, less a constant."""
        root = np.linalg.cholesky(self.covariance[component])
        steps = np.linalg.solve(root, (spectrum - self.mean[component]).T)
        log_volume = np.log(np.diag(root)).sum()
        return np.asarray(-np.square(steps).sum(axis=0) / 2 - log_volume)


def parcels_of(mixture: Spectra, noise: tuple[float, float]) -> Parcels:
    """Means and covariances of parcels: how places differ, and what the pixels of one share."""
    place, pixel = np.split(mixture.factors.astype(np.float64), [RANK], axis=2)
    shared = np.concatenate([place, SHARED_PART * pixel], axis=2)
    deviations = np.repeat(noise, (len(OPTICAL_BANDS), len(RADAR_BANDS)))
    covariance = shared @ shared.transpose(0, 2, 1) + np.diag(np.square(deviations))
    return Parcels(mixture.mean.astype(np.float64), covariance)


def observed(
    mixture: Spectra,
    parcels: Parcels,
    given: argparse.Namespace,
    province: int,
    knows_palette: bool,
) -> npt.NDArray[np.int64]:
    """Confusion matrix (class, named class) of one province."""
    random = np.random.default_rng(province)
    shares = np.array(given.shares) / sum(given.shares)
    grown = palette(mixture, province, given.latitude)[given.quarter]
    truth = random.choice(CLASS_COUNT, given.parcels, p=shares)
    kind = grown[truth, random.integers(grown.shape[1], size=given.parcels)]
    spectrum = np.stack(
        [random.multivariate_normal(parcels.mean[k], parcels.covariance[k]) for k in kind]
    )
    belief = np.full((CLASS_COUNT, given.parcels), -np.inf)
    for code in np.flatnonzero(shares):
        if knows_palette:
            components, counts = np.unique(grown[code], return_counts=True)
            weights = counts / counts.sum()
        else:
            own = (mixture.cover == code) & (mixture.quarter == given.quarter)
            components = np.flatnonzero(own)
            weights = nearness(mixture, components, given.latitude)
            weights = weights / weights.sum()
        densities = [
            np.log(weight) + parcels.log_density(spectrum, component)
            for component, weight in zip(components, weights, strict=True)
        ]
        belief[code] = np.logaddexp.reduce(densities, axis=0) + np.log(shares[code])
    matrix = np.zeros((CLASS_COUNT, CLASS_COUNT), np.int64)
    np.add.at(matrix, (truth, belief.argmax(axis=0)), 1)
    return matrix


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--latitude", type=float, default=49.7, help="of the provinces, degrees")
    parser.add_argument("--quarter", type=int, default=2, help="0 winter .. 3 autumn")
    parser.add_argument("--shares", type=float, nargs=CLASS_COUNT, default=LUXEMBOURG)
    parser.add_argument("--provinces", type=int, default=25)
    parser.add_argument("--parcels", type=int, default=1500, help="in each province")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    return parser.parse_args()


def main() -> None:
    """Print a table of both observers under every noise."""
    given = arguments()
    mixture = spectra(Places.TRAINING)
    print(f"simulated parcels at {given.latitude:g} degrees, quarter {given.quarter}; shares:")
    print(", ".join(f"{n} {s:g}" for n, s in zip(CLASS_NAMES, given.shares, strict=True)))
    print(f"| knows the palette | noise | {' | '.join(MEASURES)} |")
    print(f"| --- | --- |{' --- |' * len(MEASURES)}")
    found = []
    for noise in NOISES:
        parcels = parcels_of(mixture, noise)
        for knows_palette in (True, False):
            provinces = range(given.provinces)
            total = sum(observed(mixture, parcels, given, p, knows_palette) for p in provinces)
            matrix = torch.from_numpy(np.asarray(total))
            scores = {name: float(measure(matrix)) for name, measure in MEASURES.items()}
            found.append(Figures(knows_palette, *noise, scores))
            cells = " | ".join(f"{value:.3f}" for value in scores.values())
            known = "yes" if knows_palette else "no"
            print(f"| {known} | {noise[0]:g}, {noise[1]:g} dB | {cells} |", flush=True)
    if given.json:
        given.json.write_text(json.dumps([asdict(one) for one in found], indent=1))


if __name__ == "__main__":
    main()
