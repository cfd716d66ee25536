"""A checkpoint judged on ground with known classes, by the very predictions production makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from mapper.errors import RequestError
from mapper.imagery.bands import OPTICAL_NODATA, optical_valid, radar_valid
from mapper.imagery.composite import Composite
from mapper.inference.cases import Case, Cases
from mapper.inference.predict import Prediction, Predictor
from mapper.land.legend import CLASS_COUNT, NODATA
from mapper.lulcformer.calibration import Tally, no_tally, tally
from mapper.lulcformer.checkpoint import Checkpoint
from mapper.lulcformer.report import Report
from mapper.lulcformer.scores import ALL_SEEN, Seen
from mapper.pool import in_order


@dataclass(frozen=True, slots=True)
class CaseJudged:
    """One more case is judged."""

    done: int
    of: int


def judge(
    checkpoint: Checkpoint,
    cases: Cases,
    *,
    device: str = "auto",
    precision: str = "auto",
    threads: int = 1,
    on_event: Callable[[CaseJudged], None] = lambda event: None,
) -> Report:
    """How often a checkpoint is right, with both sensors and with each taken away.

    A pixel counts where its class is known and production would map it: with a clear optical look;
    where radar alone is shown, with a radar look.

    Raises:
        CheckpointError, RequestError: see `mapper.inference.predict.Predictor`.
        RequestError: no pixel of a known class was seen.
        MapperError: a case cannot be read.
    """
    predictor = Predictor(checkpoint, device, precision, threads)
    plain = None
    if checkpoint.temperature != 1:
        plain = Predictor(replace(checkpoint, temperature=1.0), device, precision, threads)
    totals: dict[Seen, Tally] = {seen: no_tally(CLASS_COUNT) for seen in ALL_SEEN}
    uncalibrated = no_tally(CLASS_COUNT)
    by_place: dict[str, Tally] = {}
    judged = partial(_judged, predictor, plain, cases.merged)
    for done, found in enumerate(_in_order(judged, cases.cases, threads), 1):
        for seen, own in found.tallies.items():
            totals[seen] += own
        place = found.case.place
        by_place[place] = by_place.get(place, no_tally(CLASS_COUNT)) + found.tallies["both"]
        if found.uncalibrated is not None:
            uncalibrated += found.uncalibrated
        on_event(CaseJudged(done, cases.count))
    before: dict[Seen, Tally] = {} if plain is None else {"both": uncalibrated}
    facts = _facts(checkpoint, predictor)
    predictor.close()
    if plain is not None:
        plain.close()
    if not any(int(total.confusion.sum()) for total in totals.values()):
        raise RequestError(
            f"{cases.title}: no pixel whose class is known was seen; judge by other ground or days"
        )
    return Report(cases.title, cases.simulated, facts, cases.names, totals, before, by_place)


@dataclass(frozen=True, slots=True)
class _Judged:
    """What was answered on a case."""

    case: Case
    tallies: Mapping[Seen, Tally]
    uncalibrated: Tally | None
    """With both sensors, by the network without its temperature."""


def _judged(
    predictor: Predictor, plain: Predictor | None, merged: Mapping[int, int] | None, case: Case
) -> _Judged:
    tallies = {seen: _tally(predictor, case, seen, merged) for seen in ALL_SEEN}
    return _Judged(case, tallies, None if plain is None else _tally(plain, case, "both", merged))


def _in_order(
    judged: Callable[[Case], _Judged], cases: Iterable[Case], threads: int
) -> Iterator[_Judged]:
    """Each case judged. Those of one window are as many at a time as there are threads; the windows
    of a larger one are, by its predictor."""
    at_once = max(1, threads)
    with ThreadPoolExecutor(at_once, "case", torch.set_num_threads, (1,)) as pool:
        yield from in_order(pool, judged, cases, lambda case: at_once - 1 if case.alone else 0)


def _facts(checkpoint: Checkpoint, predictor: Predictor) -> dict[str, str]:
    """What was judged, and how."""
    painted = {"yes": " (simulated)", "in part": " (simulated in part)"}
    on_simulated = painted.get(checkpoint.facts.get("simulated", ""), "")
    return {
        "checkpoint": f"{checkpoint.variant_name}, SHA-256 {checkpoint.digest[:16]}",
        "trained on": checkpoint.facts.get("source", "unknown") + on_simulated,
        "computed in": f"{predictor.precision.value} on {predictor.device.type}",
        "temperature": f"{checkpoint.temperature:g}",
        "counted": "pixels of a known class with a clear optical look, as a run maps them; for "
        "radar only, those with a radar look",
    }


def _tally(predictor: Predictor, case: Case, seen: Seen, merged: Mapping[int, int] | None) -> Tally:
    """What was answered on one case."""
    shown = _shown(case.composite, seen)
    prediction = _prediction(predictor, case, shown, seen)
    y, x = case.region.slices_in(case.composite.region)
    if seen == "radar":
        counts = radar_valid(case.composite.radar[:, y, x])
    else:
        counts = optical_valid(case.composite.optical[:, y, x])
    truth = np.where(counts, case.truth, NODATA).astype(np.uint8)
    return tally(
        torch.from_numpy(with_merged(truth, merged)),
        torch.from_numpy(with_merged(prediction.land_cover, merged)),
        torch.from_numpy(prediction.confidence),
        CLASS_COUNT,
    )


def _shown(composite: Composite, seen: Seen) -> Composite:
    """A composite of which one sensor is taken away."""
    if seen == "optical":
        return replace(composite, radar=np.full_like(composite.radar, np.nan))
    if seen == "radar":
        return replace(composite, optical=np.full_like(composite.optical, OPTICAL_NODATA))
    return composite


def _prediction(predictor: Predictor, case: Case, shown: Composite, seen: Seen) -> Prediction:
    """Classes and confidence over the case's region."""
    if not case.alone:
        wanted = case.truth != NODATA
        return predictor.predict(shown, wanted, case.region, allow_radar_only=seen == "radar")
    whole = predictor.predict_alone(shown)
    here = case.region.slices_in(shown.region)
    return Prediction(case.region, whole.land_cover[here], whole.confidence[here], whole.windows)


def with_merged(
    codes: npt.NDArray[np.uint8], merged: Mapping[int, int] | None
) -> npt.NDArray[np.uint8]:
    """Codes with classes that the truth does not tell apart as one."""
    table = np.arange(256, dtype=np.uint8)
    for code, into in (merged or {}).items():
        table[code] = into
    return table[codes]
