"""Chips as they might also have been: turned, brighter or hazier, partly or wholly unseen.

Everything works on whole batches on whatever device they live. What is drawn at random is drawn on
the CPU, so that one seed gives one training on every device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from math import log10, pi

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from mapper.lulcformer.chips import UNLABELLED, Batch, onto

CLOUD_CELLS = 8
"""Cells along a chip's side of the noise whose peaks are clouds: 64 cells, clouds of 0.3-3 km."""
HAZE_CELLS = 4
"""Cells along a chip's side of the noise that haze drifts in: banks of a kilometre or two."""
MOST_HAZE = 1.5
"""Thickest mean haze, in deviations of the first band: some 0.06 of reflectance in blue."""
HAZE_IN_LAST_BAND = 0.05
"""Of the first band's haze; scattering falls from blue (490 nm) to short-wave infrared (2190 nm)
about with the square of the wavelength."""
HAZE_UNEVENNESS = 0.5
"""Spread of a veil's thickness over its ground, as a part of its mean."""
CLOUD_COVER = (0.05, 0.7)
"""Least and largest share of a chip that clouds hide, where there are any."""
LEAST_SIDE_SEEN = 0.2
"""Of a chip's side, where only a rectangle of it is seen."""
ONE_SENSOR_SHARE = 0.25
"""Margins that are of optical alone, and as many of radar alone; the others are of both."""
MOST_GRAIN = 0.15
"""Largest noise of optical pixels, in deviations."""
MOST_SPECKLE = 0.5
"""Largest added noise of radar pixels, in deviations: 2-3 dB, the speckle of a single look of an
IW product (4.3 dB over the square root of its 4.4 looks)."""
SPECKLE_SPREAD = (0.038, 0.24, 0.444, 0.24, 0.038)
"""Weights that make speckle of white noise, per axis: pixels are 10 m, the radar resolves 20 m. As
in mapper/simulated/radar_look.py."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What may happen to a chip. Shares are of chips; spreads are normal, in deviations of a band.

    A band's deviation is the one it was standardised with, so 0.1 is a tenth of the land's spread.
    """

    turns: bool = True
    """The eight flips and rotations; needs square chips."""
    optical_gain: float = 0.1
    """Relative spread of one factor for all optical bands: sun, slope, sensor."""
    optical_offset: float = 0.15
    """Spread of one offset for all optical bands: sun, terrain, the atmosphere that was left."""
    band_offset: float = 0.1
    """Spread of an offset of each optical band: atmosphere, calibration."""
    radar_offset: float = 0.2
    """Spread of an offset of each radar band: calibration, soil moisture."""
    radar_dropout: float = 0.2
    """Share without radar."""
    optical_dropout: float = 0.07
    """Share without optical, so that radar alone says what it can. Never both."""
    radar_area_dropout: float = 0.15
    """Share cut by the edge of a radar swath."""
    optical_area_dropout: float = 0.2
    """Share with holes of clouds."""
    margin_dropout: float = 0.25
    """Share of which only a rectangle is seen, as at the end of the data; by one sensor or both."""
    haze: float = 0.15
    """Share under drifting haze, thick in the first optical band and thin in the last."""
    fewer_looks: float = 0.25
    """Share as noisy as if most looks had been dropped: speckle in radar, grain in optical."""

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if not 0 <= value <= 1:
                raise ValueError(f"{entry.name} is {value}, wanted 0..1")
        if self.radar_dropout + self.optical_dropout > 1:
            raise ValueError(
                f"radar is dropped from {self.radar_dropout} of the chips and optical from "
                f"{self.optical_dropout}; together at most 1"
            )


NONE = Augmentation(False, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
"""Chips as they are."""


def augment(batch: Batch, how: Augmentation, generator: Generator) -> Batch:
    """A batch as it might also have been; where no sensor sees, nothing is labelled.

    Args:
        generator: of the CPU; its state alone decides what happens.
    """
    if how.turns:
        batch = turned(batch, torch.randint(8, (len(batch.label),), generator=generator).tolist())
    batch = grainy(hazy(jittered(batch, how, generator), how, generator), how, generator)
    return hidden(batch, how, generator)


def turned(batch: Batch, turns: list[int]) -> Batch:
    """Each chip by its own one of the eight symmetries of the square, 0 leaving it alone."""

    def turn(x: Tensor) -> Tensor:
        return torch.stack([symmetry(chip, k) for chip, k in zip(x, turns, strict=True)])

    return Batch(
        turn(batch.optical),
        turn(batch.radar),
        turn(batch.optical_valid),
        turn(batch.radar_valid),
        turn(batch.label),
    )


def symmetry(chip: Tensor, k: int) -> Tensor:
    """k % 4 quarter turns of the last two axes, mirrored from k = 4 on."""
    chip = torch.rot90(chip, k % 4, (-2, -1))
    return chip.flip(-1) if k >= 4 else chip


def jittered(batch: Batch, how: Augmentation, generator: Generator) -> Batch:
    """Each chip with its own gain and offsets, the same for all its pixels."""
    chips, bands = batch.optical.shape[:2]

    def spread(size: float, channels: int) -> Tensor:
        drawn = torch.randn(chips, channels, 1, 1, generator=generator)
        return onto(batch.optical.device, size * drawn)

    gain = 1 + spread(how.optical_gain, 1)
    offset = spread(how.optical_offset, 1) + spread(how.band_offset, bands)
    radar_offset = spread(how.radar_offset, batch.radar.shape[1])
    return replace(batch, optical=batch.optical * gain + offset, radar=batch.radar + radar_offset)


def hazy(batch: Batch, how: Augmentation, generator: Generator) -> Batch:
    """Some chips behind a smooth veil that is brightest in the shortest waves, as scattering is."""
    chips, bands = batch.optical.shape[:2]
    drawn = torch.rand(chips, 1, 1, 1, generator=generator) < how.haze
    noise = torch.randn(chips, 1, HAZE_CELLS, HAZE_CELLS, generator=generator)
    depth = MOST_HAZE * torch.rand(chips, 1, 1, 1, generator=generator)
    if not drawn.any():
        return batch
    device = batch.optical.device
    veil = F.interpolate(onto(device, noise), batch.label.shape[-2:], mode="bicubic")
    veil = (1 + HAZE_UNEVENNESS * veil).clamp_min(0) * onto(device, depth * drawn)
    by_band = torch.logspace(0, log10(HAZE_IN_LAST_BAND), bands, device=device)
    return replace(batch, optical=batch.optical + veil * by_band[:, None, None])


def grainy(batch: Batch, how: Augmentation, generator: Generator) -> Batch:
    """Some chips with the noise of a composite of few looks, each band its own.

    Each optical pixel has its own; that of radar is alike in neighbours, as speckle is.
    """
    chips = len(batch.label)
    drawn = torch.rand(2, chips, 1, 1, 1, generator=generator) < how.fewer_looks
    size = torch.rand(2, chips, 1, 1, 1, generator=generator)
    seeds = torch.randint(2**62, (2,), generator=generator).tolist()
    spread = size * drawn

    def noisy(
        pixels: Tensor, spread: Tensor, seed: int, shaped: Callable[[Tensor], Tensor]
    ) -> Tensor:
        if not spread.any():
            return pixels  # a number for each pixel and band is dear
        noise = torch.randn(pixels.shape, generator=Generator().manual_seed(seed))
        return pixels + onto(pixels.device, spread) * shaped(onto(pixels.device, noise))

    return replace(
        batch,
        optical=noisy(batch.optical, MOST_GRAIN * spread[0], seeds[0], lambda white: white),
        radar=noisy(batch.radar, MOST_SPECKLE * spread[1], seeds[1], alike),
    )


def alike(noise: Tensor) -> Tensor:
    """White noise, (chip, band, y, x), made alike in neighbours along both axes; its size stays.

    It wraps around the edges, for zeros beyond them would leave less of it there.
    """
    weights = onto(noise.device, torch.tensor(SPECKLE_SPREAD))
    weights = weights / weights.square().sum().sqrt()
    reach = len(SPECKLE_SPREAD) // 2
    planes = F.pad(noise, (reach, reach, reach, reach), mode="circular").flatten(0, 1)[:, None]
    planes = F.conv2d(planes, weights.view(1, 1, 1, -1))
    return F.conv2d(planes, weights.view(1, 1, -1, 1)).view_as(noise)


def hidden(batch: Batch, how: Augmentation, generator: Generator) -> Batch:
    """Each chip with its own part of each sensor unseen."""
    chips, (height, width) = len(batch.label), batch.label.shape[-2:]

    def chosen(share: float) -> Tensor:
        return torch.rand(chips, 1, 1, 1, generator=generator) < share

    def some(share: float, seen: Tensor) -> Tensor:
        return seen | ~onto(seen.device, chosen(share))

    device = batch.label.device
    clear = some(how.optical_area_dropout, clouds(chips, height, width, generator, device))
    swath = some(how.radar_area_dropout, half_planes(chips, height, width, generator, device))
    inside = some(how.margin_dropout, rectangles(chips, height, width, generator, device))
    whose = onto(device, torch.rand(chips, 1, 1, 1, generator=generator))
    lost = onto(device, torch.rand(chips, 1, 1, 1, generator=generator))
    no_radar = lost < how.radar_dropout
    no_optical = lost > 1 - how.optical_dropout

    optical_valid = (
        batch.optical_valid & clear & (inside | (whose > 1 - ONE_SENSOR_SHARE)) & ~no_optical
    )
    radar_valid = batch.radar_valid & swath & (inside | (whose < ONE_SENSOR_SHARE)) & ~no_radar
    blind = ~(optical_valid | radar_valid).squeeze(1)
    return replace(
        batch,
        optical_valid=optical_valid,
        radar_valid=radar_valid,
        label=batch.label.masked_fill(blind, UNLABELLED),
    )


def rectangles(
    chips: int, height: int, width: int, generator: Generator, device: torch.device
) -> Tensor:
    """(chip, 1, y, x) bool, True in a rectangle, from a fifth of the chip's side upwards."""

    def span(size: int) -> Tensor:
        length, start = torch.rand(2, chips, 1, generator=generator)
        length = LEAST_SIDE_SEEN + (1 - LEAST_SIDE_SEEN) * length
        first = start * (1 - length)
        at = (torch.arange(size) + 0.5) / size
        within: Tensor = (at >= first) & (at < first + length)
        return within

    rows, columns = span(height), span(width)
    inside: Tensor = rows[:, None, :, None] & columns[:, None, None, :]
    return onto(device, inside)


def half_planes(
    chips: int, height: int, width: int, generator: Generator, device: torch.device
) -> Tensor:
    """(chip, 1, y, x) bool, True on one side of a random line up to half a side off the middle."""
    angle, shift = onto(device, torch.rand(2, chips, 1, 1, 1, generator=generator))
    angle = 2 * pi * angle
    y = (torch.arange(height, device=device)[:, None] + 0.5) / height - 0.5
    x = (torch.arange(width, device=device) + 0.5) / width - 0.5
    side: Tensor = x * angle.cos() + y * angle.sin() < shift - 0.5
    return side


def clouds(
    chips: int, height: int, width: int, generator: Generator, device: torch.device
) -> Tensor:
    """(chip, 1, y, x) bool, False in round holes."""
    noise = torch.randn(chips, 1, CLOUD_CELLS, CLOUD_CELLS, generator=generator)
    least, most = CLOUD_COVER
    cover = least + (most - least) * torch.rand(chips, generator=generator)
    thickness = F.interpolate(onto(device, noise), (height, width), mode="bicubic")
    # The noise is coarse, so its own quantile is near that of the fine field, and cheap.
    limit = torch.stack([n.quantile(1 - c) for n, c in zip(noise, cover, strict=True)])
    return thickness < onto(device, limit)[:, None, None, None]
