"""The real archives, asked only by `pytest -m online`: probed, searched, a few pixels read."""

from __future__ import annotations

import pytest
import shapely

from mapper.imagery.archives import KNOWN, archive
from mapper.imagery.bands import Sensor
from mapper.imagery.choice import Choice, choose
from mapper.imagery.load import read_composite
from mapper.imagery.period import Period
from mapper.imagery.probe import probed
from mapper.imagery.scenes import looks_of
from mapper.imagery.search import search
from mapper.imagery.trials import Answer
from mapper.land.grid import Region, outlines

AREA = shapely.box(9.50, 47.10, 9.52, 47.11)
JUNE = Period.parse("2024-06-01/2024-06-15")
CLOSED = ("cdse",)
"""Archives whose files want keys of one's own."""


@pytest.fixture(autouse=True)
def internet(request: pytest.FixtureRequest) -> None:
    if "online" not in str(request.config.getoption("-m")):
        pytest.skip("needs the internet; run with -m online")


@pytest.mark.online
@pytest.mark.parametrize("name", KNOWN)
def test_a_known_archive_is_as_it_is_described(name: str) -> None:
    probe = probed(archive(name), open_files=name not in CLOSED)
    assert probe.usable, probe.sensors
    for trial in probe.trials:
        if trial.needed:
            assert trial.answer is Answer.HONOURED, trial


@pytest.mark.online
@pytest.mark.parametrize("name", [name for name in KNOWN if name not in CLOSED])
def test_a_few_real_pixels_are_read(name: str) -> None:
    selection = choose(search(archive(name), AREA, JUNE), Choice(optical_looks=1))
    assert selection.of(Sensor.OPTICAL)
    assert selection.of(Sensor.RADAR)
    zone = outlines(AREA)[0].zone
    left, top = (int(v) for v in outlines(AREA)[0].shape.bounds[:2])
    composite = read_composite(looks_of(selection.kept, zone), Region(zone, left, top, 64, 64))
    assert composite.radar_looks.min() >= 1
    seen = composite.optical[:, composite.optical_looks > 0]
    assert not seen.size or 0 < seen.mean() < 10_000
