from __future__ import annotations

from pathlib import Path

import pytest

from mapper.errors import ArchiveError, RequestError
from mapper.imagery.archives import KNOWN, archive, partner
from mapper.imagery.bands import OPTICAL_NAMES, RADAR_NAMES, Sensor


def test_known_archives_name_every_band_the_network_needs() -> None:
    for known in KNOWN.values():
        for sensor, names in ((Sensor.OPTICAL, OPTICAL_NAMES), (Sensor.RADAR, RADAR_NAMES)):
            holder = partner(known, sensor)
            assert holder is not None
            assert set(names) <= set(holder.profiles[sensor].assets)


def test_earth_search_takes_its_radar_from_its_partner() -> None:
    holder = partner(archive("earth-search"), Sensor.RADAR)
    assert holder is archive("planetary-computer")
    assert holder.signing == "planetary-computer"


def test_a_local_archive_has_no_partner(tmp_path: Path) -> None:
    (tmp_path / "items.json").write_text("{}")
    local = archive(str(tmp_path))
    assert local.is_local
    assert local.root == str(tmp_path / "items.json")
    assert partner(local, Sensor.RADAR) is local


def test_a_folder_prefers_its_parquet_index(tmp_path: Path) -> None:
    (tmp_path / "items.json").write_text("{}")
    (tmp_path / "items.parquet").write_text("")
    assert archive(str(tmp_path)).root.endswith("items.parquet")


def test_any_stac_root_is_an_archive_and_only_the_known_one_signs() -> None:
    assert archive("https://stac.example.org/v1/").root == "https://stac.example.org/v1"
    assert archive("https://stac.example.org/v1").signing is None
    assert archive(archive("planetary-computer").root).signing == "planetary-computer"


@pytest.mark.parametrize("wrong", ["planetary", "earthsearch", "pc", ""])
def test_an_unknown_word_names_the_nearest_archive(wrong: str) -> None:
    with pytest.raises(RequestError) as caught:
        archive(wrong)
    assert "is not known (the nearest is" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_nearest_name_is_the_nearest() -> None:
    with pytest.raises(RequestError, match="the nearest is earth-search"):
        archive("earthsearch")


def test_a_path_with_no_index_is_an_error_of_the_archive(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="there is no archive at"):
        archive(str(tmp_path / "items.json"))
    with pytest.raises(ArchiveError, match="has no index"):
        archive(str(tmp_path))
    text = tmp_path / "notes.txt"
    text.write_text("")
    with pytest.raises(ArchiveError, match="is no archive"):
        archive(str(text))


def test_the_simulated_archive_is_nowhere_before_it_is_made() -> None:
    with pytest.raises(RequestError, match="is made over an area when a run asks for it"):
        archive("simulated")


@pytest.mark.parametrize(
    "address",
    ["https://me:SECRET@x.org/v1", "https://x.org/v1?token=SECRET", "http://SECRET@x.org"],
)
def test_an_address_with_a_secret_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(RequestError, match=r"x\.org holds a password or a query") as caught:
        archive(address)
    assert "SECRET" not in str(caught.value)


def test_the_data_space_has_its_own_names_and_a_partner_for_radar() -> None:
    here = archive("cdse")
    assert here.profiles[Sensor.OPTICAL].assets["B05"] == ("B05_20m",)
    assert partner(here, Sensor.RADAR) is archive("planetary-computer")
    assert any("AWS_ACCESS_KEY_ID" in note for note in here.notes)
