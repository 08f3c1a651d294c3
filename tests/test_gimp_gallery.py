"""The presets in the plug-in's dialog: found by keys and mouse, those of an edited config.yaml, and looks on the layer."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import plugin_folder
import pytest
import yaml
from gimp_root import GERMAN, SERIES, GimpRoot, root_or_skip, run_gimp, screen, start_gimp
from helper_process import until
from test_gimp_dialog import BLUE, DIALOG, OPEN, RED, WATCH, Person, installed, jobs, seen, somebody

if TYPE_CHECKING:
    from pathlib import Path

    from helper_process import Helper
    from numpy.typing import NDArray

LOOKS = "^Looks on this layer$"
SMALL = {"octaves": 1, "iterations": 1, "finest": 64}
ROOM = (1366, 730)
"""What a small screen leaves for a window."""


@pytest.fixture(scope="module", params=SERIES)
def root(request: pytest.FixtureRequest) -> GimpRoot:
    return root_or_skip(request.param)


def edit(helper: Helper, presets: dict[str, Any]) -> None:
    """Give config.yaml these presets of the user's own."""
    config = yaml.safe_load(helper.config.read_text())
    helper.config.write_text(yaml.safe_dump({**config, "presets": presets}))


def heard(person: Person) -> set[str]:
    """The presets that the plug-in heard of."""
    file = person.gimp.folder / "home" / ".cache" / "deepdream" / "presets.json"
    return set(json.loads(file.read_text())["presets"]) if file.exists() else set()


def made(person: Person) -> set[str]:
    """The thumbnails that were made."""
    return {path.name for path in (person.gimp.folder / "home/.cache/deepdream/thumbnails").glob("*.png")}


def middle_of(person: Person, colour: tuple[int, int, int]) -> tuple[int, int]:
    """Where on the screen a colour is."""
    rows, columns = np.nonzero((np.asarray(person.looks()) == colour).all(axis=2))
    return int(np.median(columns)), int(np.median(rows))


def types(person: Person, text: str) -> None:
    person.shown.xdotool("type", "--delay", "60", text)


@pytest.mark.slow("GIMP's dialog")
def test_a_preset_is_found_with_arrow_keys_by_typing_and_with_the_mouse(root: GimpRoot, tmp_path: Path) -> None:
    with somebody(root, tmp_path, pictures={"classic": "blue", "subtle": "red"}) as (person, _helper):
        families = plugin_folder.FACTS.families()
        second = families["fur and feathers"][1]
        assert families["animals"][0] == "classic"
        assert len(families["animals"]) == 5, "two rows"

        dialog = person.opens_the_dialog()
        person.opens_the_presets(dialog)
        person.press(dialog, "Down", "Down", "Right", "Return")
        assert person.gets_it(dialog)["preset"] == f'"{second}"'

        dialog = person.opens_the_dialog()
        person.opens_the_presets(dialog)
        person.press(dialog, "Left", "Up", "Up", "Up", "Down", "Return")  # over the top, to the entry and back
        until(lambda: seen(person.looks(), BLUE) == 60 * 40, 10)

        person.opens_the_presets(dialog)
        types(person, "subt")
        until(lambda: seen(person.looks(), RED) > 60 * 40, 10, 0.2)
        person.shown.xdotool("mousemove", *middle_of(person, RED), "click", "1")
        until(lambda: seen(person.looks(), RED) == 60 * 40, 10)
        assert person.gets_it(dialog)["preset"] == '"subtle"'
        person.complains_of_nothing()


@pytest.mark.slow("GIMP's dialog")
def test_a_preset_of_ones_own_appears_gets_a_picture_and_is_dreamed(root: GimpRoot, tmp_path: Path) -> None:
    with somebody(root, tmp_path) as (person, helper):
        original = person.layer()
        edit(helper, {"mine": {"description": "rows of teeth", "layers": {"relu4_1": 1.0}, **SMALL}})
        dialog = person.opens_the_dialog()
        until(lambda: "mine" in heard(person), 20)
        person.press(dialog, "alt+p")
        until(lambda: made(person), 40)
        before = made(person)
        person.press(dialog, "Escape")
        person.opens_the_presets(dialog)
        types(person, "teeth")
        person.press(dialog, "Return")
        got = person.gets_it(dialog)
        assert (got["preset"], got["finest"], got["iterations"]) == ('"mine"', "64", "1")
        until(lambda: person.layer()[0] != original[0], 40)

        edit(helper, {"mine": {"description": "rows of teeth", "layers": {"relu4_2": 1.0}, **SMALL, "iterations": 2}})
        dialog = person.opens_the_dialog()
        person.press(dialog, "alt+p")
        until(lambda: made(person) > before, 40)
        person.press(dialog, "Escape")
        got = person.gets_it(dialog)
        assert (got["preset"], got["iterations"]) == ('"mine"', "2"), "it was kept, and so were its new settings"

        edit(helper, {})
        dialog = person.opens_the_dialog()
        until(lambda: "mine" not in heard(person), 20)
        got = person.gets_it(dialog)
        assert (got["preset"], got["iterations"], got["finest"]) == ('"classic"', "10", "800")
        person.complains_of_nothing()


@pytest.mark.slow("GIMP's dialog")
def test_the_dialog_says_that_config_yaml_cannot_be_used(root: GimpRoot, tmp_path: Path) -> None:
    with somebody(root, tmp_path) as (person, helper):
        dialog = person.opens_the_dialog()
        until(lambda: heard(person), 20)
        person.press(dialog, "Escape")
        person.sees_it_gone()
        helper.config.write_text("presets: {mine: {description: teeth, iterations: many}}")
        before = middle(person, person.opens_the_dialog())
        until(lambda: (middle(person, person.shown.windows(DIALOG)[-1])[200:] != before[200:]).mean() > 0.02, 20, 0.2)
        person.shown.picture(tmp_path / f"problem-{root.series}.png")
        got = person.gets_it(person.shown.windows(DIALOG)[-1])
        assert got["preset"] == '"classic"', "all else works"
        person.complains_of_nothing()


def middle(person: Person, window: str) -> NDArray[np.uint8]:
    """The dialog's middle third, where the preset and its sentence are."""
    part = person.looks("--window", window)
    return np.asarray(part.crop((part.width // 3, 0, part.width * 2 // 3, part.height)))


def looked_at(helper: Helper) -> list[str]:
    """How many looks are finished, and of what."""
    return re.findall(r" preview (?!classic)\S.* 96×128×3 .* done$", helper.log(), re.MULTILINE)


def opens_the_looks(person: Person, dialog: str) -> str:
    """Open the sheet; a key that came before the dialog was ready for it is pressed again."""

    def opened() -> list[str]:
        person.press(dialog, "alt+t")
        time.sleep(1)
        return person.shown.windows(LOOKS)

    (sheet,) = until(opened, 20)
    return str(sheet)


def looking(helper: Helper) -> list[dict[str, Any]]:
    return [job for job in jobs(helper, "preview") if job["label"] == "look"]


@pytest.mark.slow("GIMP's dialog")
def test_looks_fill_a_sheet_until_it_is_closed_and_one_is_taken(root: GimpRoot, tmp_path: Path) -> None:
    with somebody(root, tmp_path) as (person, helper):
        dialog = person.opens_the_dialog()
        person.types(dialog, "alt+i", "1000")
        until(lambda: jobs(helper, "preview"), 20)
        sheet = opens_the_looks(person, dialog)
        until(lambda: looking(helper), 30)
        first = person.looks("--window", sheet)
        until(lambda: np.abs(np.asarray(person.looks("--window", sheet), float) - first).mean() > 3, 60)
        person.press(sheet, "Escape")
        until(lambda: not person.shown.windows(LOOKS), 10)
        until(lambda: not looking(helper), 10)
        assert person.shown.windows(DIALOG)
        until(lambda: [job for job in jobs(helper, "preview") if job["label"] == "preview"], 20)  # it was only paused

        sheet = opens_the_looks(person, dialog)
        again = person.looks("--window", sheet)
        assert np.abs(np.asarray(again, float) - first).mean() > 1, "what was dreamed is there at once"
        types(person, "fur")
        person.press(sheet, "Down", "Return")
        until(lambda: not person.shown.windows(LOOKS), 10)
        until(lambda: not looking(helper), 10)
        assert person.gets_it(dialog)["preset"] == '"fur"'
        person.complains_of_nothing()


@pytest.mark.slow("GIMP's dialog")
@pytest.mark.parametrize("environ", [{}, GERMAN], ids=["English", "German"])
def test_the_window_fits_on_a_small_screen(root: GimpRoot, tmp_path: Path, environ: dict[str, str]) -> None:
    ask = WATCH.replace(
        "seen = None",
        'procedure = Gimp.get_pdb().lookup_procedure("plug-in-deepdream")\n'
        "config = procedure.create_config()\n"
        'config.set_property("run-mode", Gimp.RunMode.INTERACTIVE)\n'
        'config.set_property("image", image)\n'
        'config.set_core_object_array("drawables", [layer])\n'
        "report()\n"
        "procedure.run(config)\n"
        "seen = None",
    )
    with (
        installed(root) as (plug_in, photo, _helper),
        screen(root, (1366, 768)) as shown,
        start_gimp(
            root, ask, display=shown.display, plug_in_folder=plug_in, environ={**photo, **environ}, quit_after=False
        ) as gimp,
    ):
        person = Person(shown, gimp, tmp_path)
        dialog = until(lambda: shown.windows(DIALOG), 60)[-1]
        before = size(person, dialog)
        person.press(
            dialog, "alt+n", "Tab", "Tab", "Tab", "space"
        )  # a letter with two dots is hard to type for xdotool
        until(lambda: size(person, dialog)[1] > before[1], 10)
        after = size(person, dialog)
        assert after[0] <= ROOM[0]
        assert after[1] + 25 <= ROOM[1], "25 px are the window's title"


def size(person: Person, window: str) -> tuple[int, int]:
    place = person.shown.xdotool("getwindowgeometry", "--shell", window)
    found = dict(line.split("=") for line in place.splitlines())
    return int(found["WIDTH"]), int(found["HEIGHT"])


SCRIPT = (
    OPEN
    + """
def dreamed(preset):
    before = digest()
    procedure = Gimp.get_pdb().lookup_procedure("plug-in-deepdream")
    config = procedure.create_config()
    config.set_property("image", image)
    config.set_core_object_array("drawables", [layer])
    config.set_property("preset", preset)
    result = procedure.run(config)
    why = Gimp.get_pdb().get_last_error()
    report(result=result.index(0).value_nick, changed=digest() != before, why=why)


dreamed("mine")
dreamed("gone")
image.delete()
"""
)


@pytest.mark.slow("GIMP's dialog")
def test_a_script_can_name_a_preset_that_config_yaml_has_now(root: GimpRoot) -> None:
    with installed(root) as (plug_in, environ, helper):
        edit(helper, {"mine": {"description": "teeth", **SMALL}})
        mine, gone = run_gimp(root, SCRIPT, plug_in_folder=plug_in, environ=environ).check()
    assert (mine["result"], mine["changed"]) == ("success", True), mine
    assert (gone["result"], gone["changed"]) == ("execution-error", False)
    assert gone["why"].startswith("There is no preset 'gone'. Choose one of classic, ")
