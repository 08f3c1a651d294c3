"""A picture's recipe as a preset of one's own: the file's text stays, and is replaced only by one that can be loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from conftest import picture_file

from deepdream_core.config import load_config
from deepdream_core.errors import SettingsError
from deepdream_core.hotfolder.layout import GUIDE
from deepdream_core.machine.drop_folder import OWN
from deepdream_core.photo import read_photo, write_photo
from deepdream_core.settings import DreamSettings
from deepdream_core.work.recipe import Machine, Recipe, Source, WeightsUsed, preset_of
from deepdream_core.work.saved_presets import save_preset

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

SETTINGS = DreamSettings(layers={"relu3_3": 0.5}, natural=0.5, seed=7)
BODY = preset_of("mine", SETTINGS)
TEXTS = {
    "nothing": "",
    "comments alone": "# mine\n",
    "another section": "# mine\ndream:\n  seed: 3 # lucky",
    "an empty section": "presets:   # mine\ndream: {seed: 3}\n",
    "a section of null": "presets: ~ # mine\n# and more\n",
    "an empty section at the end": "# mine\ndream:\n  seed: 3\npresets:",
    "other presets": "# mine\npresets:\n    # the first\n    one:\n        description: y # x\n    # the end\ndream:\n",
    "empty braces": "presets: {} # mine\n",
    "braces": "presets: {one: {description: 'a: b', seed: 3}} # mine\n",
    "braces around all": "# mine\n{dream: {seed: 3}}\n",
    "Windows, another section": "# mine\r\ndream:\r\n  seed: 3 # lucky",
    "Windows, an empty section": "presets:   # mine\r\ndream: {seed: 3}\r\n",
    "Windows, an empty section at the end": "# mine\r\npresets:",
    "Windows": "# mine\r\npresets:\r\n  one:\r\n    description: x\r\ndream:\r\n  seed: 3\r\n",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_preset_is_added_and_all_else_stays(tmp_path: Path, text: str) -> None:
    own = tmp_path / "config.yaml"
    own.write_bytes(text.encode())
    before = load_config(own)
    save_preset("new", BODY, own, replace=False)
    after = load_config(own)
    assert after.dream_settings("new", {}) == SETTINGS
    assert after.dream == before.dream
    assert {name: each for name, each in after.presets.items() if name != "new"} == before.presets
    assert all(word in own.read_text() for line in text.splitlines() for word in line.split() if word.isalpha())
    assert own.read_text().count("#") == text.count("#")
    assert own.read_bytes().count(b"\r\n") == (own.read_bytes().count(b"\n") if "\r\n" in text else 0)


@pytest.mark.parametrize("name", ["save", *OWN, GUIDE])
def test_a_name_that_is_used_otherwise_is_refused(tmp_path: Path, name: str) -> None:
    own = tmp_path / "config.yaml"
    with pytest.raises(SettingsError, match=f"a preset cannot be called {name}: .* — choose another name"):
        save_preset(name, BODY, own, replace=True)
    assert not own.exists()


def test_a_missing_file_is_made(tmp_path: Path) -> None:
    own = tmp_path / "new" / "config.yaml"
    save_preset("new", BODY, own, replace=False)
    assert load_config(own).dream_settings("new", {}) == SETTINGS


@pytest.mark.parametrize(
    "old",
    [
        "  old:\n    description: x\n    seed: 3",
        "  old: {description: x, seed: 3}",
        "  old:\n    description: |\n      x\n      y",
        "  old:\n    description: x\n    layers:\n      - pool4\n      - pool3",
    ],
)
def test_a_preset_of_the_same_name_is_replaced_only_if_asked(tmp_path: Path, old: str) -> None:
    own = tmp_path / "config.yaml"
    text = f"# mine\npresets:\n{old}\n  # the other\n  one:\n    description: y\n# the end\n"
    own.write_text(text)
    with pytest.raises(SettingsError, match="there is already a preset old — choose another name, or give --replace"):
        save_preset("old", BODY, own, replace=False)
    assert own.read_text() == text
    save_preset("old", BODY, own, replace=True)
    assert load_config(own).dream_settings("old", {}) == SETTINGS
    for comment in ("# mine\npresets:\n  old:", "\n  # the other\n  one:\n    description: y\n# the end\n"):
        assert comment in own.read_text()


def test_a_built_in_preset_can_be_replaced(tmp_path: Path) -> None:
    own = tmp_path / "config.yaml"
    with pytest.raises(SettingsError, match="there is already a preset fur"):
        save_preset("fur", BODY, own, replace=False)
    save_preset("fur", BODY, own, replace=True)
    assert load_config(own).dream_settings("fur", {}) == SETTINGS


@pytest.mark.parametrize("name", ["", " ", "a/b", "..", "-x", "x ", "a\nb", "x" * 61])
def test_a_name_that_no_folder_could_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=r"a preset cannot be called .* — use letters"):
        save_preset(name, BODY, tmp_path / "config.yaml", replace=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text", ["presets: [", "presets: {one: {step: -1}}", "presets: &all {one: {description: x}}\nmore: *all\n"]
)
def test_a_file_that_cannot_be_loaded_stays_as_it_is(tmp_path: Path, text: str) -> None:
    own = tmp_path / "config.yaml"
    own.write_text(text)
    with pytest.raises(SettingsError):
        save_preset("new", BODY, own, replace=False)
    assert own.read_text() == text


def test_a_file_with_references_is_not_guessed_at(tmp_path: Path) -> None:
    own = tmp_path / "config.yaml"
    text = "presets:\n  one: &one\n    description: x\n  two:\n    <<: *one\n    seed: 3\n"
    own.write_text(text)
    save_preset("new", BODY, own, replace=False)
    assert load_config(own).dream_settings("two", {}).seed == 3
    with pytest.raises(SettingsError):
        save_preset("one", BODY, own, replace=True)
    assert load_config(own).dream_settings("two", {}).seed == 3


def a_dream(path: Path, **settings: Any) -> Path:
    """A picture with a recipe."""
    photo = read_photo(picture_file(path.with_name("a.png")), max_megapixels=1)
    recipe = Recipe(
        preset="fur", settings=DreamSettings(**{**SETTINGS.model_dump(), **settings}),
        weights=WeightsUsed(name="oxford", sha256="c" * 64), machine=Machine(device="cpu", name="x", precision="fp32"),
        versions={}, source=Source(file="a.png", sha256="a" * 64, format="PNG", width=96, height=72),
    )  # fmt: skip
    write_photo(photo, path, recipe=recipe.text(), overwrite=True)
    return path


def test_the_command_saves_and_lists_it(
    deepdream: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, home: dict[str, str]
) -> None:
    a_dream(tmp_path / "out.png")
    answer = deepdream("presets", "save", "my cats", "--from", "out.png")
    assert answer.returncode == 0, answer.stderr
    own = Path(answer.stdout.partition(" in ")[2].strip())
    assert own.is_relative_to(tmp_path / "home")
    assert yaml.safe_load(own.read_text())["presets"]["my cats"]["description"] == "fur, as in a.png"
    assert "my cats" in deepdream("presets").stdout
    assert "seed: 7" in deepdream("presets", "my cats").stdout
    twice = deepdream("presets", "save", "my cats", "--from", "out.png")
    assert (twice.returncode, twice.stderr) == (
        2, "error: there is already a preset my cats — choose another name, or give --replace\n",
    )  # fmt: skip
    for words in (["save", "x"], ["store", "x", "--from", "out.png"], ["fur", "--from", "out.png"]):
        assert "deepdream presets save NAME --from IMAGE" in deepdream("presets", *words).stderr
    plain = deepdream("presets", "save", "x", "--from", "a.png")
    assert (plain.returncode, plain.stderr.count("\n")) == (3, 1)
    assert "a.png: has no recipe" in plain.stderr


def test_a_preset_names_a_guide_that_is_there(
    deepdream: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    guide = picture_file(tmp_path / "guide.png", "chelsea", (160, 128))
    digest = read_photo(guide, max_megapixels=1).sha256
    a_dream(
        tmp_path / "out.png", layers={}, guides=[{"file": str(guide), "layers": {"relu3_1": 1.0}, "sha256": digest}]
    )
    own = tmp_path / "config.yaml"
    assert deepdream("presets", "save", "cat", "--from", "out.png", "--config", own).returncode == 0
    kept = yaml.safe_load(own.read_text())["presets"]["cat"]["guides"]
    assert kept == [{"file": str(guide), "weight": 1.0, "layers": {"relu3_1": 1.0}}]
    guide.unlink()
    gone = deepdream("presets", "save", "dog", "--from", "out.png", "--config", own)
    assert gone.returncode == 3
    assert "the guide is gone — put the guide back there: a preset finds it by its path" in gone.stderr
