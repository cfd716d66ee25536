"""pgstac, a whole STAC API, probed and searched: it finds and chooses what a file does."""

from __future__ import annotations

from pathlib import Path

from stac_stack import StacStack

from mapper.imagery.archives import archive
from mapper.imagery.bands import Sensor
from mapper.imagery.choice import Choice, choose
from mapper.imagery.period import Period
from mapper.imagery.probe import probed
from mapper.imagery.search import search
from mapper.imagery.trials import Answer
from mapper.land.area import area_from_file


def test_pgstac_honours_every_question(client: StacStack, described: Path) -> None:
    probe = probed(archive(str(described)))
    assert probe.conforms == ("core", "item-search", "query", "filter", "sort", "fields")
    told = {trial.name: trial.answer for trial in probe.trials}
    assert set(told.values()) == {Answer.HONOURED}, told
    assert {found.sensor for found in probe.sensors if found.usable} == set(Sensor), "and opens"


def test_pgstac_finds_and_chooses_what_the_file_does(
    client: StacStack, described: Path, small_archive: Path, small_aoi: Path, small_period: str
) -> None:
    ground, period = area_from_file(small_aoi).geometry, Period.parse(small_period)
    stories = []
    for name in (str(described), str(small_archive)):
        found = search(archive(name), ground, period, whole_orbits=True)
        verdicts = choose(found, Choice(radar_looks=1)).verdicts
        stories.append([(v.scene.id, v.kept, v.rule, v.reason) for v in verdicts])
    assert stories[0] == stories[1]
