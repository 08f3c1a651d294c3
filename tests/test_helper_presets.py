"""The presets that a running helper lists: those of config.yaml as it is now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from helper_process import QUICK, Helper, followed, picture, running_helper

from deepdream_core.config import config_of, load_config
from deepdream_core.plugin_facts import preset_facts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def helper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Helper]:
    with running_helper(tmp_path_factory.mktemp("presets")) as process:
        yield process


@pytest.fixture(autouse=True)
def as_it_was(helper: Helper) -> Iterator[None]:
    before = helper.config.read_text()
    yield
    helper.config.write_text(before)


def edited(helper: Helper, **sections: Any) -> None:
    """Change config.yaml while the helper runs."""
    helper.config.write_text(yaml.safe_dump({**yaml.safe_load(helper.config.read_text()), **sections}))


def test_they_are_what_deepdream_json_has(helper: Helper) -> None:
    assert helper.client().presets() == {**preset_facts(load_config(helper.config)), "problem": None}


def test_an_edit_of_config_yaml_is_listed_and_can_be_dreamed_without_a_restart(helper: Helper) -> None:
    edited(helper, dream={"iterations": 2}, presets={"mine": {"description": "long hair", **QUICK}})
    found = helper.client().presets()
    assert found["presets"]["mine"] == {
        "description": "long hair", "family": None, "settings": {**found["defaults"], **QUICK}, "pictured": False,
    }  # fmt: skip
    assert found["defaults"]["iterations"] == 2
    job = helper.client().submit(
        bytes(picture()), dtype="uint8", shape=(32, 32, 3), priority="interactive", preset="mine"
    )
    assert followed(job)[-1].name == "done"


def test_a_config_yaml_that_cannot_be_used_leaves_the_presets_as_they_were(helper: Helper) -> None:
    before = helper.client().presets()
    edited(helper, presets={"mine": {"description": "x", "iterations": "many"}})
    found = helper.client().presets()
    assert found["presets"] == before["presets"]
    assert "presets.mine.iterations" in found["problem"]


def test_a_thumbnail_shows_a_preset_until_its_settings_change(tmp_path: Path) -> None:
    def pictured(text: bytes) -> dict[str, bool]:
        presets = preset_facts(config_of(text, tmp_path / "config.yaml"))["presets"]
        return {name: about["pictured"] for name, about in presets.items()}

    assert all(pictured(b"").values())
    changed = pictured(b"presets: {eyes: {iterations: 3}, fur: {description: soft}, mine: {description: x}}")
    assert [name for name, same in changed.items() if not same] == ["eyes", "mine"]
    assert all(pictured(b"dream: {finest: 1200}").values()), "no difference at the size of a thumbnail"
    assert not any(pictured(b"dream: {tv: 3}").values())
