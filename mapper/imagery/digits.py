"""What the numbers in a band's file mean, as the item tells it. Pure.

Since processing baseline 04.00 the Sentinel-2 products carry 1000 digits that are not reflectance,
and archives say so in four ways that contradict each other. This file decides, once per band.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from math import isfinite
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from mapper.imagery.bands import REFLECTANCE_SCALE

OFFSET_DN = -1000
"""BOA_ADD_OFFSET of the Sentinel-2 products since processing baseline 04.00, in DN."""
OFFSET_BASELINE = (4, 0)
OFFSET_DAY = date(2022, 1, 25)
"""The day baseline 04.00 came into use; nothing sensed since was ever processed with less."""
MAX_DN = 65_535
_BASELINE_IN_NAME = re.compile(r"_N(\d\d)(\d\d)_")


def optical_values(
    properties: Mapping[str, Any], asset: Mapping[str, Any], day: date, names: str
) -> tuple[float, float]:
    """Scale and offset that turn the raw numbers of an optical band into DN, reflectance * 10,000.

    The offset follows the first evidence there is:

    1. A statement that it is in the pixels already: nothing is left to add, whatever the band's
       metadata repeat about the original product.
    2. An offset stated for the band itself.
    3. The processing baseline: 04.00 and later carry 1000 DN that are not reflectance. The day of
       sensing proves nothing where a baseline is known, because scenes are processed again.
    4. No baseline either: the day of sensing.

    Args:
        properties: of the item.
        asset: the band's asset.
        day: of sensing.
        names: of the item and the product, where the properties state no baseline.
    """
    stated_scale, stated_offset = band_value(asset, "scale"), band_value(asset, "offset")
    # Numbers below one per digit are reflectance; anything else counts digits already.
    per_digit = stated_scale if stated_scale is not None and stated_scale < 0.1 else None
    scale = 1.0 if per_digit is None else round(per_digit * REFLECTANCE_SCALE, 9)
    if properties.get("earthsearch:boa_offset_applied") is True:
        return scale, 0.0
    if stated_offset is not None:
        in_reflectance = per_digit is not None or abs(stated_offset) <= 1
        factor = REFLECTANCE_SCALE if in_reflectance else 1
        return scale, round(stated_offset * factor, 6)
    baseline = _version(baseline_of(properties, names))
    shifted = day >= OFFSET_DAY if baseline is None else baseline >= OFFSET_BASELINE
    return scale, float(OFFSET_DN if shifted else 0)


def radar_values(asset: Mapping[str, Any]) -> tuple[float, float]:
    """Scale and offset that turn the raw numbers of a radar band into linear power, as its asset
    states them; a scale that is not above 0 makes no power, and is taken for none.

    Args:
        asset: the band's.
    """
    scale, offset = band_value(asset, "scale"), band_value(asset, "offset")
    return scale if scale is not None and scale > 0 else 1.0, offset or 0.0


def baseline_of(properties: Mapping[str, Any], names: str) -> str | None:
    """Processing baseline such as 05.09: stated, or as product names carry it (N0509)."""
    stated = properties.get("s2:processing_baseline")
    if stated is not None and _version(str(stated)) is not None:
        return str(stated)
    match = _BASELINE_IN_NAME.search(names)
    return f"{match[1]}.{match[2]}" if match else None


def band_value(asset: Mapping[str, Any], name: str) -> float | None:
    """A value of the raster extension, as version 1 (raster:bands) or 2 (bands) puts it."""
    holders = [
        *list(asset.get("raster:bands") or ())[:1],
        *list(asset.get("bands") or ())[:1],
        asset,
    ]
    for holder in holders:
        for key in (name, f"raster:{name}"):
            if (value := number(holder.get(key))) is not None:
                return value
    return None


def number(value: Any) -> float | None:
    """A finite number of JSON; metadata also say "nan", which is nothing to compare pixels with."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return float(value)


def _version(baseline: str | None) -> tuple[int, int] | None:
    match = re.fullmatch(r"(\d+)\.(\d+)", (baseline or "").strip())
    return (int(match[1]), int(match[2])) if match else None


def nodata_in(dtype: npt.DTypeLike, *stated: float | None) -> float:
    """The first of some stated values that numbers of a type can have, as they have it; else 0: no
    digit, no power and no class is ever 0.

    Args:
        dtype: of the numbers.
        stated: what the item says, then what the file says; None where either is silent.
    """
    kind = np.dtype(dtype)
    for value in stated:
        if value is not None and kind.kind == "f":
            with np.errstate(over="ignore"):
                return float(np.array(value).astype(kind))
        if value is not None and float(value).is_integer():
            limits = np.iinfo(kind)
            if limits.min <= value <= limits.max:
                return float(value)
    return 0.0


def cleared(raw: npt.NDArray[Any], nodata: float, instead: float) -> npt.NDArray[Any]:
    """Raw numbers, in place, with another value where there is no data: nodata, or not a number."""
    missing = raw == nodata
    if raw.dtype.kind == "f":
        missing |= np.isnan(raw)
    raw[missing] = instead
    return raw


def write_dn(
    raw: npt.NDArray[Any],
    linear: tuple[float, float],
    take: npt.NDArray[np.bool_],
    out: npt.NDArray[np.uint16],
) -> None:
    """Write raw numbers of an optical band as uint16 DN of reflectance * 10,000; 0 is nodata.

    A pixel with data never becomes 0: reflectance that atmospheric correction took below zero is
    written as 1.

    Args:
        raw: (y, x), any number type; 0 where there is no data, as in every Sentinel-2 product.
        linear: scale and offset; DN = raw * scale + offset, rounded, halves up.
        take: (y, x); other pixels of `out` stay as they are.
        out: (y, x).
    """
    scale, offset = linear
    if raw.dtype == np.uint16 and scale == 1 and offset % 1 == 0:
        _write_shifted(raw, int(offset), take, out)
        return
    data = np.isfinite(raw) & (raw != 0)
    digits = np.floor(np.where(data, raw, 0) * np.float64(scale) + (offset + 0.5))
    np.copyto(out, np.where(data, digits.clip(1, MAX_DN), 0).astype(np.uint16), where=take)


@numba.njit(cache=True, nogil=True)
def _write_shifted(
    raw: npt.NDArray[np.uint16],
    offset: int,
    take: npt.NDArray[np.bool_],
    out: npt.NDArray[np.uint16],
) -> None:
    """The common case in one pass over integers; through float it takes ten times the memory."""
    for y in range(raw.shape[0]):
        for x in range(raw.shape[1]):
            if not take[y, x]:
                continue
            value = np.int64(raw[y, x])
            shifted = value + offset
            if value == 0:
                out[y, x] = 0
            elif shifted < 1:
                out[y, x] = 1
            else:
                out[y, x] = shifted if shifted < MAX_DN else MAX_DN


def write_power(
    bands: list[npt.NDArray[np.float32]],
    linear: list[tuple[float, float]],
    seen: npt.NDArray[np.bool_],
    out: npt.NDArray[np.float32],
) -> None:
    """Write linear radar power where every band has it and nothing was seen before.

    Power is positive and finite; anything else (NaN, the zeros of swath edges) is none.

    Args:
        bands: (y, x) raw numbers of each band.
        linear: scale and offset of each band; power = raw * scale + offset.
        seen: (y, x); True where a pixel is taken already, and afterwards also where one is new.
        out: (band, y, x).
    """
    new = ~seen
    scaled = []
    for raw, (scale, offset) in zip(bands, linear, strict=True):
        plain = (scale, offset) == (1, 0)
        power = raw if plain else raw * np.float32(scale) + np.float32(offset)
        new &= (power > 0) & (power < np.inf)
        scaled.append(power)
    for power, layer in zip(scaled, out, strict=True):
        np.copyto(layer, power, where=new)
    seen |= new
