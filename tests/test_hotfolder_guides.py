"""The folder `guide` of a drop folder: what it guides, that it is never dreamed, and what a broken guide holds back."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any

import pytest
from helper_process import Helper, until
from in_process import Drop
from rich.console import Console
from watching import TINY, Watching, photograph, watching

from deepdream_core.errors import PictureError
from deepdream_core.hotfolder import guide_folder
from deepdream_core.hotfolder.layout import Layout
from deepdream_core.hotfolder.terminal import drawn
from deepdream_core.machine_settings import FolderSettings
from deepdream_core.work.recipe import Recipe, recipe_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SMALL = {"guide_figures": 0.0, "guide_size": 32, "layers": "relu2_1"}
PRESETS = {"tiny": {**TINY, **SMALL}, "other": {**TINY, **SMALL, "natural": 0.5}}


@pytest.fixture
def drop(tmp_path: Path, helper: Helper) -> Iterator[Watching]:
    """A daemon that watches an empty folder, with presets for small guides."""
    with watching(tmp_path / "own", helper, config={"presets": PRESETS}) as made:
        made.says("watching ")
        yield made


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def put(path: Path, seed: int, side: int = 40) -> Path:
    """A photograph that comes whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return photograph(path.parents[1] / "elsewhere" / path.name, seed, side).replace(path)


def guides(drop: Watching, name: str) -> list[tuple[str, str, float]]:
    """Name, hash and weight of the guides of a result."""
    recipe = recipe_of(drop.comes(f"out/{name}"), max_megapixels=1)
    return [(each["file"], each["sha256"], each["weight"]) for each in recipe.settings.guides]


def test_pictures_in_a_folder_guide_are_followed_and_never_dreamed(drop: Watching) -> None:
    first, second = put(drop.drop / "guide" / "a.png", 1), put(drop.drop / "guide" / "b.png", 2)
    (drop.drop / "guide" / "notes.txt").write_text("not a picture")
    own = put(drop.drop / "other" / "guide" / "c.png", 3)
    put(drop.drop / "cat.png", 10, 32)
    put(drop.drop / "other" / "dog.png", 11, 32)
    assert guides(drop, "cat.png") == [(str(first), sha256(first), 1.0), (str(second), sha256(second), 1.0)]
    assert guides(drop, "other/dog.png") == [(str(own), sha256(own), 1.0)]
    recipe = recipe_of(drop.drop / "out" / "other" / "dog.png", max_megapixels=1)
    assert (recipe.preset, recipe.preset_changed, recipe.settings.layers) == ("other", True, {})
    assert (recipe.settings.natural, recipe.settings.guide_size) == (0.5, 32)
    drop.comes("done/cat.png")
    drop.comes("done/other/dog.png")
    assert [name for name in drop.files() if "guide" in name] == [
        "guide/a.png", "guide/b.png", "guide/notes.txt", "other/guide/c.png",
    ]  # fmt: skip
    assert drop.explain(first) == "is in a folder of guides, which are followed and never dreamed"
    assert "is a folder of guides" in drop.explain(drop.drop / "guide")


def test_another_guide_changes_what_comes_later_and_dreams_nothing_again(drop: Watching, tmp_path: Path) -> None:
    photograph(tmp_path / "cat.png", 20).replace(drop.drop / "cat.png")
    assert guides(drop, "cat.png") == []
    drop.comes("done/cat.png")
    guide = put(drop.drop / "guide" / "a.png", 4)
    photograph(tmp_path / "cat.png", 20).replace(drop.drop / "again.png")
    assert guides(drop, "again.png") == [(str(guide), sha256(guide), 1.0)]
    drop.comes("done/again.png")
    guide.rename(guide.with_name("b.png"))
    photograph(tmp_path / "cat.png", 20).replace(drop.drop / "third.png")
    drop.says("third.png: not dreamed again: the same picture has already been dreamed")
    put(drop.drop / "guide" / "b.png", 5)
    photograph(tmp_path / "cat.png", 20).replace(drop.drop / "fourth.png")
    drop.comes("done/fourth.png")
    assert drop.files("out") == ["again.png", "cat.png", "fourth.png"]


def test_a_broken_guide_holds_its_pictures_back_until_it_is_whole(drop: Watching) -> None:
    guide = put(drop.drop / "other" / "guide" / "a.png", 6)
    whole = guide.read_bytes()
    guide.write_bytes(whole[:200])
    for number in range(3):
        put(drop.drop / "other" / f"cat{number}.png", 30 + number, 32)
    put(drop.drop / "dog.png", 40, 32)
    drop.comes("done/dog.png")
    drop.says(f"pictures wait for their guide: {guide}: truncated or damaged")
    until(lambda: f"{guide}: truncated or damaged" in drop.explain(drop.drop / "other" / "cat0.png"), 10)
    assert "tried again" in drop.explain(drop.drop / "other" / "cat2.png")
    assert drop.files("failed") == []
    guide.write_bytes(whole)
    assert drop.run("retry", "--all", "--config", str(drop.config)).returncode == 0
    for number in range(3):
        drop.comes(f"done/other/cat{number}.png")
    assert drop.said().count("pictures wait for their guide") == 1


def test_a_guide_of_a_preset_in_the_configuration_is_followed(tmp_path: Path, helper: Helper) -> None:
    guide = photograph(tmp_path / "own" / "mine" / "a.png", 7, 40)
    tiny = {**TINY, **SMALL, "layers": {}, "guides": ["mine/a.png=2"]}
    with watching(tmp_path / "own", helper, config={"presets": {"tiny": tiny}}) as drop:
        put(drop.drop / "cat.png", 50, 32)
        assert guides(drop, "cat.png") == [(str(guide), sha256(guide), 2.0)]
        assert not recipe_of(drop.drop / "out" / "cat.png", max_megapixels=1).preset_changed


# ---- names ----


def layout(tmp_path: Path, *presets: str) -> Layout:
    return Layout.of(FolderSettings(path=str(tmp_path)), presets)


def test_only_the_drop_folder_and_preset_folders_have_guides(tmp_path: Path) -> None:
    made = layout(tmp_path, "fur")
    why = "is in a folder of guides, which are followed and never dreamed"
    for name, reason in (
        ("guide/a.png", why), ("guide/b/a.png", why), ("fur/guide/a.png", why), ("trip/fur/guide/a.png", why),
        ("trip/guide/a.png", None), ("fur/trip/guide/a.png", None), ("guide.png", None), ("fur/guide", "does not"),
    ):  # fmt: skip
        found = made.why_passed_over(tmp_path / name)
        assert found == reason or (reason and found and found.startswith(reason)), name
    assert made.passed_over(tmp_path / "guide", True)
    assert not made.passed_over(tmp_path / "trip" / "guide", True)
    assert made.guide_folders(tmp_path / "trip" / "fur" / "x" / "a.png") == [
        tmp_path / "trip" / "fur" / "guide", tmp_path / "guide",
    ]  # fmt: skip


def test_a_preset_called_guide_keeps_its_folder(tmp_path: Path) -> None:
    made = layout(tmp_path, "guide")
    assert not made.passed_over(tmp_path / "guide" / "a.png", False)
    assert made.guide_folders(tmp_path / "a.png") == []


def test_guides_that_cannot_be_taken_are_reported(tmp_path: Path) -> None:
    made = layout(tmp_path, "fur")
    assert guide_folder.guides_of(made, tmp_path / "a.png", None) == []
    for number in range(16):
        photograph(tmp_path / "guide" / f"{number:02}.png", number)
    photograph(tmp_path / "guide" / ".hidden.png")
    assert len(guide_folder.guides_of(made, tmp_path / "a.png", None)) == 16
    with pytest.raises(PictureError, match="belongs to another user"):
        guide_folder.guides_of(made, tmp_path / "a.png", (tmp_path / "guide").stat().st_uid + 1)
    with (tmp_path / "guide" / "00.png").open("ab"), pytest.raises(PictureError, match="still writing it"):
        guide_folder.guides_of(made, tmp_path / "a.png", None)
    photograph(tmp_path / "guide" / "one more.png")
    with pytest.raises(PictureError, match="17 guides, 16 are allowed — remove some"):
        guide_folder.guides_of(made, tmp_path / "a.png", None)


def test_a_lost_journal_knows_a_dream_with_picked_channels_by_its_recipe() -> None:
    from deepdream_core.hotfolder.duplicates import dream_key
    from deepdream_core.settings import DreamSettings

    asked = DreamSettings(layers={"relu3_1": 1.0}, channels={"strongest:2": 1.0})
    picked = asked.model_copy(update={"layers": {}, "channels": {"relu3_1:3": 1.0, "relu3_1:9": 1.0}})
    made: dict[str, Any] = {
        "settings": picked.model_dump(), "asked": asked.model_dump(include={"layers", "channels"}),
        "weights": {"name": "oxford", "sha256": "c"}, "machine": {"device": "cpu", "name": "x", "precision": "fp32"},
        "versions": {}, "source": {"sha256": "a" * 64, "format": "PNG", "width": 9, "height": 9},
    }  # fmt: skip
    assert dream_key(Recipe(**made).as_asked, "c", None) == dream_key(asked, "c", None)


def test_in_one_process_a_broken_guide_is_said_once(tmp_path: Path) -> None:
    drop = Drop(tmp_path)
    photograph(drop.root / "guide" / "a.png").write_bytes(b"not a picture")
    for number in range(3):
        photograph(drop.root / f"cat{number}.png", number)
    drop.watched(lambda state: len(state["put_off"]) == 3)
    assert [line for line in drop.said if "wait for their guide" in line] == [
        line for line in drop.said if "a.png: not a JPEG" in line
    ]
    assert sum("wait for their guide" in line for line in drop.said) == 1
    drop.journal.close()


def test_pictures_wait_for_the_present_problem_of_their_guide_and_no_longer(tmp_path: Path) -> None:
    drop = Drop(tmp_path)
    first = photograph(drop.root / "guide" / "a.png")
    first.write_bytes(b"not a picture")
    for number in range(4):
        photograph(drop.root / f"cat{number}.png", number)

    def all_wait_for(name: str) -> Callable[[dict[str, Any]], bool]:
        return lambda state: [f"{name}: not a JPEG" in each["why"] for each in state["put_off"]] == [True] * 4

    drop.watched(all_wait_for("a.png"))
    console = Console(record=True, width=1000, file=io.StringIO())
    console.print(*drawn({"folders": [drop.state], "paused": False, "busy": ""}))
    shown = console.export_text()
    assert "waits for a guide" in shown
    assert f"pictures wait for their guide: {first}: not a JPEG" in shown

    began = drop.now

    def then(state: dict[str, Any]) -> bool:
        """Replace the guide by another broken one after minutes, then remove that; look often."""
        assert all(each["in_s"] <= guide_folder.LOOK_AGAIN_S for each in state["put_off"])
        if drop.now - began < 200:
            return False
        if first.exists():
            first.rename(first.with_name("b.png"))
        second = first.with_name("b.png")
        if all_wait_for("b.png")(state) and second.exists():
            second.unlink()
            removed.append(drop.now)
        return bool(removed) and state["done"] == 4

    removed: list[float] = []
    drop.watched(then)
    assert drop.state["guide"] == ""
    drop.journal.close()


def test_guides_that_change_are_looked_at_again_once_they_rest(tmp_path: Path) -> None:
    held, guide = guide_folder.Held(lambda _: None), photograph(tmp_path / "guide" / "a.png")
    places = (guide.parent,)
    assert held.begin(places, "broken", 0.0) == ""
    assert held.changed(1.0) == set()
    guide.write_bytes(b"longer")
    assert held.changed(2.0) == set(), "it may still grow"
    assert held.why(places, 2.0) == "broken"
    assert held.changed(3.0) == {"broken"}
    assert held.why(places, 3.0) == ""
    assert held.changed(4.0) == set()
    assert held.begin(places, "broken otherwise", 4.0) == "broken"
    assert held.why(places, 4.0 + guide_folder.LOOK_AGAIN_S) == ""
