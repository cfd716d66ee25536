"""Claims about scenes and the looks that overpasses make of them."""

from __future__ import annotations

import pickle
from dataclasses import replace

from made_scenes import ids, scene

from mapper.imagery.bands import Sensor
from mapper.imagery.scenes import looks_of
from mapper.land.grid import Zone


def test_looks_are_overpasses_in_order_of_time_own_zone_first() -> None:
    late = scene("late", day=3, datatake="T3")
    twin = scene("33", day=1, datatake="T1", epsg=32633, place="33TUN")
    own = scene("32", day=1.001, datatake="T1", place="32TPT")
    radar = scene("r", Sensor.RADAR, day=2, datatake="T1")
    looks = looks_of([late, own, radar, twin], Zone(32, False))
    assert [ids(look.scenes) for look in looks] == [["32", "33"], ["r"], ["late"]]
    assert looks[0].time == twin.time
    in_33 = looks_of([late, own, radar, twin], Zone(33, False))
    assert ids(in_33[0].scenes) == ["33", "32"]


def test_scenes_travel_to_workers_unchanged() -> None:
    one = scene("a")
    assert pickle.loads(pickle.dumps(one)) == one
    assert replace(one, id="b") != one
