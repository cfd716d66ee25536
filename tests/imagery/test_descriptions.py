"""Claims about archives described in TOML: every key does something, every mistake is named."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from mapper.errors import ArchiveError, RequestError
from mapper.imagery.archives import archive, partner
from mapper.imagery.bands import Sensor
from mapper.imagery.items import scene_of
from mapper.imagery.scenes import SCL

ROOT = Path(__file__).resolve().parents[2]
FULL = """
root = "https://stac.example.org/v1/"
title = "An agency's mirror"
signing = "none"
partner = "planetary-computer"
[optical]
collections = ["s2-l2a", "s2-old"]
scale = 0.0001
offset = -0.1
nodata = 0
scl = "classes"
[optical.assets]
B02 = "blue"
B03 = ["green", "verde"]
"""


def described(folder: Path, text: str) -> Path:
    path = folder / "my.toml"
    path.write_text(text)
    return path


def item(**changes: object) -> dict[str, object]:
    return {
        "type": "Feature",
        "id": "S2A_MSIL2A_20230101T101010_N0509_R022_T32TNT_20230101T151515",
        "collection": "s2-l2a",
        "bbox": [8, 47, 9, 48],
        "geometry": None,
        "properties": {"datetime": "2023-01-01T10:10:10Z"},
        "assets": {
            "blue": {"href": "blue.tif"},
            "verde": {"href": "green.tif"},
            "classes": {"href": "scl.tif"},
            "B04": {"href": "red.tif", "raster:bands": [{"nodata": 7}]},
        },
        **changes,
    }


def test_a_description_decides_names_scale_offset_and_nodata(tmp_path: Path) -> None:
    mine = archive(str(described(tmp_path, FULL)))
    assert mine.root == "https://stac.example.org/v1"
    assert mine.name == str(tmp_path / "my.toml"), "a recipe that repeats the name finds it again"
    assert mine.signing is None
    scene = scene_of(item(), mine, "https://stac.example.org/")
    assert scene is not None
    assert scene.assets["B02"].href == "https://stac.example.org/blue.tif"
    assert scene.assets["B03"].href.endswith("green.tif"), "the second name"
    assert scene.assets["B04"].href.endswith("red.tif"), "names left out are the usual ones"
    assert {scene.assets[name].scale for name in ("B02", "B03", "B04")} == {1.0}
    assert {scene.assets[name].offset for name in ("B02", "B03", "B04")} == {-1000.0}
    assert (scene.assets["B02"].nodata, scene.assets["B04"].nodata) == (0, 7)
    assert (scene.assets[SCL].scale, scene.assets[SCL].offset) == (1.0, 0.0)
    holder = partner(mine, Sensor.RADAR)
    assert holder is archive("planetary-computer")


def test_offsets_left_out_are_decided_for_each_asset(tmp_path: Path) -> None:
    text = '[optical]\ncollections = ["s2-l2a"]\n[optical.assets]\nB02 = "blue"\n'
    mine = archive(str(described(tmp_path, f'root = "https://x.org"\n{text}')))
    new = scene_of(item(), mine, "/")
    old = scene_of(item(id="S2A_MSIL2A_20230101T101010_N0214_R022_T32TNT_x"), mine, "/")
    assert new is not None
    assert old is not None
    assert (new.assets["B02"].offset, old.assets["B02"].offset) == (-1000.0, 0.0)


def test_reflectance_as_fractions_and_radar_in_other_units(tmp_path: Path) -> None:
    text = """
    root = "items.json"
    [optical]
    collections = "s2-l2a"
    scale = 1.0
    offset = 0.0
    [radar]
    collections = "s1"
    scale = 0.5
    offset = 0.25
    nodata = -1
    """
    mine = archive(str(described(tmp_path, text)))
    assert mine.root == str(tmp_path / "items.json"), "an index beside the description"
    assert mine.is_local
    scene = scene_of(item(), mine, "/")
    assert scene is not None
    assert (scene.assets["B04"].scale, scene.assets["B04"].offset) == (10_000.0, 0.0)
    vv = {"href": "vv.tif", "raster:bands": [{"scale": 7, "offset": 7}]}  # the description decides
    radar = scene_of(item(collection="s1", assets={"vv": vv}), mine, "/")
    assert radar is not None
    assert (radar.assets["VV"].scale, radar.assets["VV"].offset) == (0.5, 0.25)
    assert radar.assets["VV"].nodata == -1
    assert radar.missing == ("VH",)


def test_a_mirror_of_a_known_archive_needs_two_lines(tmp_path: Path) -> None:
    text = 'root = "http://127.0.0.1:8080"\nlike = "earth-search"'
    mine, known = archive(str(described(tmp_path, text))), archive("earth-search")
    assert mine.profiles == known.profiles
    assert mine.partners == known.partners
    signed = archive(str(described(tmp_path, 'root = "http://a.org"\nlike = "planetary-computer"')))
    assert signed.signing == "planetary-computer"
    bare = 'root = "http://a.org"\nlike = "planetary-computer"\nsigning = "none"'
    assert archive(str(described(tmp_path, bare))).signing is None


def test_ground_range_and_no_classification_can_be_said(tmp_path: Path) -> None:
    text = """
    root = "https://x.org"
    [optical]
    collections = ["s2-l2a"]
    scl = "none"
    [radar]
    collections = ["rtc"]
    uncorrected = ["grd"]
    """
    mine = archive(str(described(tmp_path, text)))
    scene = scene_of(item(), mine, "/")
    assert scene is not None
    assert SCL not in scene.assets
    grd = scene_of(item(collection="grd", assets={"vv": {"href": "vv.tif"}}), mine, "/")
    assert grd is not None
    assert not grd.terrain_corrected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("root = ", "is not TOML"),
        ("", "root is nothing, wanted an address"),
        ('rooot = "https://x.org"', "nobody knows the key rooot; did you mean root?"),
        ('root = "https://x.org"', r"optical is nothing, wanted a table \[optical\]"),
        ('root = 5\nlike = "cdse"', "root is 5, wanted a text"),
        ('root = "https://x.org"\nlike = "cds"', 'like is "cds", wanted one of planetary-computer'),
        ('root = "https://x.org"\nlike = "cdse"\nsigning = "me"', 'signing is "me", wanted one of'),
        ('root = "https://x.org"\noptical = 3', r"optical is 3, wanted a table, \[optical\]"),
        ('root = "https://x.org"\n[optical]', r"\[optical\]: collections is nothing"),
        ('root = "https://u:SECRET@x.org"\nlike = "cdse"', "holds a password or a query"),
        ('root = "https://x.org?token=SECRET"\nlike = "cdse"', "holds a password or a query"),
        (
            'root = "https://x.org"\nlike = "planetary-computer"\npartner = "cdse"',
            "no partner, since both sensors",
        ),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(RequestError, match=words) as caught:
        archive(str(described(tmp_path, text)))
    assert "\n" not in str(caught.value)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("offest = 1", "nobody knows the key offest; did you mean offset?"),
        ("scale = 0", "scale is 0, wanted a number above 0"),
        ("scale = -1", "scale is -1, wanted a number above 0"),
        ("scale = 10000", "scale is 10000, wanted it in reflectance"),
        ("scale = 0.0001\noffset = -1000", "offset is -1000, wanted it in reflectance"),
        ("offset = -0.1", "offset is -0.1, wanted a scale beside it"),
        ("nodata = nan", "nodata is nan, wanted a number"),
        ("nodata = true", "nodata is True, wanted a number"),
        ("scl = 5", "scl is 5, wanted a name or a list of names"),
        ("[optical.assets]\nB10 = 'cirrus'", "nobody knows the key B10; did you mean B"),
        ("[optical.assets]\nB02 = []", r"B02 is \[\], wanted a name or a list of names"),
    ],
)
def test_a_mistake_in_a_sensor_names_its_table(tmp_path: Path, line: str, words: str) -> None:
    text = f'root = "https://x.org"\n[optical]\ncollections = "s2"\n{line}\n'
    with pytest.raises(RequestError, match=rf"my.toml, \[optical\].*{words}"):
        archive(str(described(tmp_path, text)))


def test_radar_has_no_classification(tmp_path: Path) -> None:
    text = 'root = "https://x.org"\n[radar]\ncollections = "s1"\nscl = "x"'
    with pytest.raises(RequestError, match="nobody knows the key scl"):
        archive(str(described(tmp_path, text)))


def test_a_partner_that_lacks_the_sensor_too_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text('root = "https://y.org"\n[optical]\ncollections = "s2"')
    text = f'root = "https://x.org"\npartner = "{other}"\n[optical]\ncollections = "s2"'
    with pytest.raises(RequestError, match=r"names .*other\.toml as its partner for sentinel-1"):
        partner(archive(str(described(tmp_path, text))), Sensor.RADAR)


def test_a_description_that_is_not_there_is_an_error_of_the_archive(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"my\.toml cannot be read: No such file"):
        archive(str(tmp_path / "my.toml"))


def test_the_examples_of_the_documents_are_archives(tmp_path: Path) -> None:
    archive(str(ROOT / "workflows" / "archive.toml"))
    text = (ROOT / "docs" / "archives.md").read_text()
    examples = [part.partition("```")[0] for part in text.split("```toml\n")[1:]]
    assert len(examples) >= 2
    for example in examples:
        assert tomllib.loads(example)
        archive(str(described(tmp_path, example)))
