"""Claims about settings: three sources in rising order, nothing misspelt passes, one text form."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import pytest

from mapper.config import RECIPE_KEYS, RESOURCE_KEYS, settings
from mapper.errors import RequestError
from mapper.imagery.scenes import Period
from mapper.production.recipe import Recipe, Resources

FLAGS = {"archive": "planetary-computer", "period": "2024-06/2024-08"}


def recipe_file(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text)
    return path


def test_flags_beat_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    path = recipe_file(
        tmp_path, "optical_looks = 2\nmax_cloud_percent = 10\ntile_px = 512\n[resources]\nworkers=3"
    )
    environment = {"MAPPER_OPTICAL_LOOKS": "3", "MAPPER_MAX_CLOUD_PERCENT": "20", "HOME": "/"}
    recipe, resources = settings(path, environment, {**FLAGS, "optical_looks": 5, "crs": None})
    assert (recipe.optical_looks, recipe.max_cloud_percent, recipe.tile_px) == (5, 20.0, 512)
    assert resources == Resources(workers=3)


def test_the_canonical_text_gives_the_recipe_back(tmp_path: Path) -> None:
    recipe, _ = settings(None, {}, {**FLAGS, "radar_looks": "2", "crs": 'EPSG:"3035"\n\u00fc'})
    again, _ = settings(recipe_file(tmp_path, recipe.to_toml()), {}, {})
    assert again == recipe
    assert again.to_toml() == recipe.to_toml()


def test_all_radar_looks_can_be_said_in_text() -> None:
    recipe, _ = settings(None, {"MAPPER_RADAR_LOOKS": "all"}, FLAGS)
    assert recipe.radar_looks is None
    assert 'radar_looks = "all"' in recipe.to_toml()


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("max_cloud = 5", "max_cloud_percent"),
        ("[resources]\nworker = 5", "workers"),
        ("[resource]\nworkers = 5", "resources"),
    ],
)
def test_an_unknown_key_in_a_file_names_the_nearest(tmp_path: Path, text: str, near: str) -> None:
    with pytest.raises(RequestError, match=f"recipe.toml.*did you mean {near}"):
        settings(recipe_file(tmp_path, text), {}, FLAGS)


def test_an_unknown_variable_names_the_nearest() -> None:
    with pytest.raises(
        RequestError, match=r"MAPPER_OPTICAL_LOOK;.*did you mean MAPPER_OPTICAL_LOOKS"
    ):
        settings(None, {"MAPPER_OPTICAL_LOOK": "1"}, FLAGS)


def test_what_kubernetes_sets_for_a_service_called_mapper_is_no_setting() -> None:
    injected = {
        "MAPPER_SERVICE_HOST": "10.0.0.1",
        "MAPPER_SERVICE_PORT": "80",
        "MAPPER_SERVICE_PORT_HTTP": "80",
        "MAPPER_PORT": "tcp://10.0.0.1:80",
        "MAPPER_PORT_80_TCP": "tcp://10.0.0.1:80",
        "MAPPER_PORT_80_TCP_ADDR": "10.0.0.1",
    }
    assert settings(None, injected, FLAGS) == settings(None, {}, FLAGS)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"max_cloud_percent": 130.0}, "130"),
        ({"max_cloud_percent": float("nan")}, "nan"),
        ({"optical_looks": 0}, "looks"),
        ({"tile_px": 1000}, "1000.*512"),
        ({"precision": "fp8"}, "fp8.*bf16"),
        ({"period": "2024-13"}, "2024-13"),
        ({"period": "2024-08/2024-06"}, "ends before"),
        ({"allow_radar_only": "perhaps"}, "true or false"),
        ({"optical_looks": "many"}, "whole number"),
        ({"optical_looks": True}, "whole number"),
        ({"archive": ""}, "archive"),
        ({"workers": 0}, "workers is 0"),
        ({"workers": 2, "scheduler": "tcp://a:1"}, "leave one"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(flags: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        settings(None, {}, {**FLAGS, **flags})


def test_real_archives_want_a_period_and_the_simulated_one_has_its_own() -> None:
    with pytest.raises(RequestError, match="--period 2024-06-01/2024-08-31"):
        settings(None, {}, {"archive": "earth-search"})
    recipe, _ = settings(None, {}, {"archive": "simulated"})
    assert recipe.period == Period.parse("2024-06-01/2024-08-31")
    with pytest.raises(RequestError, match="--archive"):
        settings(None, {}, {})


@pytest.mark.parametrize("content", [b"optical_looks =", b"\xff\xfe"])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(content)
    with pytest.raises(RequestError, match="is not TOML"):
        settings(path, {}, FLAGS)
    with pytest.raises(RequestError, match="cannot be read"):
        settings(tmp_path / "absent.toml", {}, FLAGS)


def test_settings_that_change_a_pixel_are_in_the_key_and_no_others() -> None:
    assert not set(RECIPE_KEYS) & set(RESOURCE_KEYS)
    period = Period.parse("2024")
    one = Recipe(period=period, archive="a", crs="EPSG:3035", tile_px=512)
    other = Recipe(period=period, archive="b", crs="auto", tile_px=1024, checkpoint="x")
    assert one.pixel_facts() == other.pixel_facts()
    for change in ({"optical_looks": 2}, {"precision": "fp32"}, {"allow_radar_only": True}):
        changed = Recipe(period=period, archive="a", **change)  # type: ignore[arg-type]
        assert changed.pixel_facts() != one.pixel_facts()


def test_the_page_on_running_names_every_setting_and_what_it_is_when_left_out() -> None:
    page = (Path(__file__).parents[1] / "docs" / "running.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| .* \| (.*) \|$", page, re.MULTILINE)
    assert {key for key, _ in rows} == {*RECIPE_KEYS, *RESOURCE_KEYS}
    recipe, resources = settings(None, {}, FLAGS)
    left_out = {**recipe.to_dict(), **asdict(resources)}
    for key, stated in rows:
        value = left_out[key]
        if value is not None and key not in FLAGS:
            wanted = f"{value:g}" if isinstance(value, float) else str(value).lower()
            assert stated.strip('`"') == wanted, key
