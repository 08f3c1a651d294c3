"""The plug-in's dialog in a real GIMP with windows: opened from the menu by keyboard, and what a person sees and gets."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import plugin_folder
import pytest
from conftest import picture_file
from gimp_root import GERMAN, SERIES, Gimp, GimpRoot, Screen, root_or_skip, run_gimp, screen, start_gimp
from helper_process import Helper, running_helper, until
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

DIALOG = "^DeepDream$"
MENU = "^GNU Image Manipulation Program$"
"""What the window of an open menu is called, as is a GIMP without an image."""
CANCEL = {"3.0": (519, 602), "3.2": (495, 599)}
"""Where the button beside the progress bar is, in a window that was just opened."""

OPEN = """
import hashlib, os, time
from gi.repository import Gegl, Gio
image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path(os.environ["PHOTO"]))
layer = image.get_layers()[0]


def digest():
    where = Gegl.Rectangle.new(0, 0, layer.get_width(), layer.get_height())
    return hashlib.sha256(layer.get_buffer().get(where, 1.0, "R'G'B' u8", Gegl.AbyssPolicy.NONE)).hexdigest()


def black():
    where = Gegl.Rectangle.new(0, 0, layer.get_width(), layer.get_height())
    pixels = layer.get_buffer().get(where, 1.0, "R'G'B' u8", Gegl.AbyssPolicy.NONE)
    return sum(pixels[at : at + 3] == bytes(3) for at in range(0, len(pixels), 3))


"""

WATCH = (
    OPEN
    + """
Gimp.Display.new(image)
Gimp.displays_flush()
image.clean_all()
seen = None
orders = os.path.join(os.path.dirname(os.environ["DEEPDREAM_REPORTS"]), "orders")
while True:
    if os.path.exists(orders):
        with open(orders) as file:
            exec(file.read())
        os.remove(orders)
    now = digest(), image.is_dirty(), [one.get_name() for one in image.get_layers()]
    if now != seen:
        report(layer=now[0], dirty=now[1], layers=now[2], black=black())
        seen = now
    time.sleep(0.1)
"""
)
"""Shows the photograph, tells of every change of it, and does what it is ordered, as a person with a mouse would."""

ASK = (
    OPEN
    + """
before = digest()
procedure = Gimp.get_pdb().lookup_procedure("plug-in-deepdream")
config = procedure.create_config()
config.set_property("run-mode", Gimp.RunMode.INTERACTIVE)
config.set_property("image", image)
config.set_core_object_array("drawables", [layer])
config.set_property("iterations", 1)
result = procedure.run(config)
report(result=result.index(0).value_nick, changed=digest() != before)
image.delete()
"""
)

LABELS = """
procedure = Gimp.get_pdb().lookup_procedure("plug-in-deepdream")
report(menu=procedure.get_menu_label(), blurb=procedure.get_blurb(), preset=procedure.find_argument("preset").nick)
"""


@pytest.fixture(scope="module", params=SERIES)
def root(request: pytest.FixtureRequest) -> GimpRoot:
    return root_or_skip(request.param)


@contextmanager
def installed(
    root: GimpRoot, photo: Path | None = None, pictures: Mapping[str, str] | None = None
) -> Iterator[tuple[Path, dict[str, str], Helper]]:
    """The plug-in in a folder, told of a helper that runs outside, and a photograph for scripts.

    `pictures`: the presets that have one, and its colour; else those that are installed.
    """
    with root.folder() as folder:
        plug_in = folder / "plug-in"
        shutil.copytree(plugin_folder.FOLDER, plug_in)
        facts = json.loads((plug_in / "deepdream.json").read_text())
        helper = root.inside(folder / "helper")
        facts |= {"endpoint": f"{helper}/run/endpoint.json", "state": f"{helper}/state", "command": ["/nowhere/python"]}
        (plug_in / "deepdream.json").write_text(json.dumps(facts))
        if photo:
            shutil.copy(photo, folder / "photo.png")
        else:
            picture_file(folder / "photo.png", size=(128, 96))
        if pictures is not None:
            shutil.rmtree(plug_in / "thumbnails", ignore_errors=True)
            (plug_in / "thumbnails").mkdir()
            for name, colour in pictures.items():
                Image.new("RGB", (120, 80), colour).save(plug_in / "thumbnails" / f"{name}.png")
        with running_helper(folder / "helper") as running:
            running.client().warm()
            yield plug_in, {"PHOTO": root.inside(folder / "photo.png")}, running


def complaints(said: str) -> list[str]:
    """Return what GIMP has said about the plug-in's faults.

    libgimp writes a last message after a plug-in's answer, and GIMP closes the pipe at the answer. Which of them is first
    is chance, with any plug-in (`_gimp_plug_in_quit` in libgimp, `gimp_plug_in_handle_proc_return` in GIMP).
    """
    lines = [line for line in said.splitlines() if "gimp_flush(): error: Broken pipe" not in line]
    return [line for line in lines if "Traceback" in line or "(deepdream.py:" in line]


class Person:
    """Somebody at the screen, who sees what is on it and presses keys."""

    def __init__(self, shown: Screen, gimp: Gimp, folder: Path) -> None:
        self.shown, self.gimp, self.folder = shown, gimp, folder

    def layer(self) -> tuple[str, bool]:
        """The layer's bytes in short, and whether the image counts as changed."""
        last = self.gimp.reports()[-1]
        return last["layer"], last["dirty"]

    def orders(self, script: str) -> None:
        """Have something done to the image, and wait until it is done."""
        order = self.gimp.folder / "orders"
        order.with_suffix(".new").write_text(script)
        order.with_suffix(".new").replace(order)
        until(lambda: not order.exists(), 10)

    def image_window(self) -> str:
        """The window with the photograph."""
        found: str = until(lambda: self.shown.windows("RGB color"), 30)[0]
        return found

    def press(self, window: str, *keys: str) -> None:
        """Press keys in a window, 400 ms apart."""
        self.shown.xdotool("windowactivate", "--sync", window)
        self.shown.xdotool("key", "--delay", "400", *keys)

    def opens_the_dialog(self, entry: str = "d") -> str:
        """Choose Filters ▸ Artistic ▸ DeepDream…, or another entry, with the keyboard; return the dialog's window."""
        self.press(self.image_window(), "alt+r")
        for menus, key in ((1, "a"), (2, entry)):  # a key that comes before its menu would go to the image
            until(lambda: len(self.shown.windows(MENU)) == menus)  # noqa: B023 - called at once
            self.shown.xdotool("key", key)
        dialog: str = until(lambda: self.shown.windows(DIALOG))[-1]
        return dialog

    def sees(self, window: str) -> NDArray[np.float64]:
        """The preview, which is the left half of the dialog without its lower rows."""
        place = dict(
            line.split("=") for line in self.shown.xdotool("getwindowgeometry", "--shell", window).splitlines()
        )
        x, y, width, height = (int(place[name]) for name in ("X", "Y", "WIDTH", "HEIGHT"))
        part = self.looks().crop((x + 12, y + 12, x + width // 2 + 6, y + height * 6 // 10))
        return np.asarray(part, dtype=np.float64)

    def looks(self, *options: str) -> Image.Image:
        """What is on the screen; see `Screen.picture`."""
        with Image.open(self.shown.picture(self.folder / "screen.png", *options)) as picture:
            return picture.convert("RGB")

    def sees_something(self, window: str) -> NDArray[np.float64]:
        """Wait until the preview shows a picture, which it does before anything is dreamed; return it."""
        found: NDArray[np.float64] = until(lambda: [one for one in [self.sees(window)] if one.std() > 20], 10, 0.1)[0]
        return found

    def sees_another(self, window: str, before: NDArray[np.float64]) -> NDArray[np.float64]:
        """Wait until the preview is another picture; return it."""

        def look() -> list[NDArray[np.float64]]:
            now = self.sees(window)
            return [now] if np.abs(now - before).mean() > 1.5 else []

        found: NDArray[np.float64] = until(look, 40, 0.2)[0]
        return found

    def types(self, window: str, where: str, text: str) -> None:
        """Type a number into the control with this letter."""
        self.press(window, where, "ctrl+a")
        self.shown.xdotool("type", text)
        self.shown.xdotool("key", "Tab")

    def opens_the_presets(self, window: str) -> None:
        """Open the presets, and wait until they cover some of the controls: keys before that would go elsewhere."""
        before = self._controls(window)

        def covered() -> bool:
            self.press(window, "alt+p")  # again, if the window was not ready for it
            time.sleep(0.5)
            return bool((np.abs(self._controls(window) - before).max(axis=2) > 12).mean() > 0.05)

        until(covered, 10, 0.5)

    def _controls(self, window: str) -> NDArray[np.float64]:
        """The dialog's right half."""
        part = self.looks("--window", window)
        return np.asarray(part.crop((part.width // 2, 0, part.width, part.height)), dtype=np.float64)

    def chooses(self, window: str, preset: str) -> None:
        """Open the presets and type the name of one."""
        self.opens_the_presets(window)
        self.shown.xdotool("type", "--delay", "60", preset)
        self.shown.xdotool("key", "--delay", "150", "Return")

    def chooses_half_of_subtle(self, window: str) -> None:
        """Choose a preset, and half its strength."""
        self.chooses(window, "subtle")
        self.types(window, "alt+g", "0.5")

    def gets_it(self, window: str, procedure: str = "plug-in-deepdream") -> dict[str, str]:
        """Press OK and wait; return the values with which it was dreamed, as GIMP keeps them."""
        kept = self.gimp.config / "plug-in-settings" / f"GimpProcedureConfigRun-{procedure}.last"
        kept.unlink(missing_ok=True)
        self.press(window, "alt+o")
        self.sees_it_gone()
        until(lambda: kept.exists() and "end of settings" in kept.read_text(), 60)
        return dict(re.findall(r"^\((\S+) (.+)\)$", kept.read_text(), re.MULTILINE))

    def complains_of_nothing(self) -> None:
        """GIMP has said nothing about the plug-in."""
        said = self.gimp.result().stderr
        assert complaints(said) == []
        assert "catalog directory does not exist: /tmp" not in said
        assert "mnemonic" not in said

    def sees_it_gone(self) -> None:
        """Wait until the dialog is closed, which happens at once."""
        until(lambda: not self.shown.windows(DIALOG), 5)


@contextmanager
def somebody(
    root: GimpRoot, folder: Path, photo: Path | None = None, pictures: Mapping[str, str] | None = None
) -> Iterator[tuple[Person, Helper]]:
    """Somebody who sits before a photograph in GIMP, and a helper that runs; see `installed`."""
    with (
        installed(root, photo, pictures) as (plug_in, environ, helper),
        screen(root) as shown,
        start_gimp(
            root, WATCH, display=shown.display, plug_in_folder=plug_in, environ=environ, quit_after=False
        ) as gimp,
    ):
        until(gimp.reports, 60)
        yield Person(shown, gimp, folder), helper


def jobs(helper: Helper, priority: str) -> list[dict[str, Any]]:
    """The jobs of that kind that the helper works on."""
    return [job for job in helper.status()["jobs"] if job["priority"] == priority and job["state"] == "running"]


def test_a_person_opens_the_dialog_sees_the_dream_and_gets_it(root: GimpRoot, tmp_path: Path) -> None:
    with somebody(root, tmp_path) as (person, helper):
        gimp, original = person.gimp, person.layer()

        dialog = person.opens_the_dialog()
        first = person.sees_something(dialog)
        person.sees_another(dialog, first)
        until(lambda: not jobs(helper, "preview"), 40)
        dreamed = person.sees(dialog)  # whole: what it looked like on the way may be as faint as the next preset

        person.chooses(dialog, "subtle")
        person.sees_another(dialog, dreamed)
        assert person.layer() == original, "a preview changes nothing"

        person.press(dialog, "alt+o")
        person.sees_it_gone()
        until(lambda: person.layer()[0] != original[0], 40)
        kept = gimp.config / "plug-in-settings" / "GimpProcedureConfigRun-plug-in-deepdream.last"
        until(kept.exists)
        assert '(preset "subtle")' in kept.read_text()
        assert "(iterations 6)" in kept.read_text()
        assert "(strength 0.8" in kept.read_text()

        person.press(person.image_window(), "ctrl+z")
        until(lambda: person.layer() == original, 10)

        dialog = person.opens_the_dialog()
        person.types(dialog, "alt+i", "1000")
        person.press(dialog, "alt+o")
        person.sees_it_gone()
        until(lambda: jobs(helper, "interactive"), 20)
        for process in gimp.processes("deepdream.py"):
            process.send_signal(signal.SIGKILL)  # what GIMP's Cancel does
        until(lambda: not helper.status()["jobs"] or not jobs(helper, "interactive"), 10)
        assert person.layer() == original

        dialog = person.opens_the_dialog()
        until(lambda: jobs(helper, "preview"), 20)
        person.press(dialog, "Escape")
        person.sees_it_gone()
        until(lambda: not jobs(helper, "preview"), 5)
        assert person.layer() == original
        person.complains_of_nothing()


@pytest.mark.slow("GIMP's dialog")
def test_every_control_does_what_it_says(root: GimpRoot, tmp_path: Path) -> None:
    with somebody(root, tmp_path) as (person, _helper):
        gimp = person.gimp

        dialog = person.opens_the_dialog()
        person.chooses_half_of_subtle(dialog)
        person.press(dialog, "alt+r", "space")  # Reset to Initial Values
        classic = person.gets_it(dialog)
        assert {name: classic[name] for name in ("preset", "iterations", "strength", "seed", "output")} == {
            "preset": '"classic"', "iterations": "10", "strength": "1", "seed": "0", "output": '"replace"',
        }  # fmt: skip

        dialog = person.opens_the_dialog()
        person.chooses_half_of_subtle(dialog)
        person.press(dialog, "alt+s")  # Save Settings
        person.press(dialog, "alt+r", "Down", "space")  # Reset to Factory Defaults
        assert person.gets_it(dialog) == classic

        layers = gimp.reports()[-1]["layers"]
        dialog = person.opens_the_dialog()
        person.press(dialog, "alt+l")  # Load Saved Settings
        person.press(dialog, "alt+e", "Tab", "space")  # the dice
        person.press(dialog, "alt+u", "Down")  # New layer above
        person.types(dialog, "alt+a", "0.25")
        person.press(dialog, "alt+f", "Down")  # few large
        person.press(dialog, "alt+k")
        person.types(dialog, "alt+a", "0.75")  # the dream has no colours now
        wanted = {"preset": '"subtle"', "iterations": "6", "strength": "0.5", "output": '"new-layer"',
                  "natural": "0.25", "pooling": '"average"', "keep-colours": '"yes"'}  # fmt: skip
        chosen = person.gets_it(dialog)
        assert wanted.items() <= chosen.items()
        assert 0 < int(chosen["seed"]) < 100_000
        until(lambda: gimp.reports()[-1]["layers"] == [f"DeepDream – subtle, seed {chosen['seed']}", *layers], 10)
        person.press(person.image_window(), "ctrl+z")
        until(lambda: gimp.reports()[-1]["layers"] == layers, 10)
        person.complains_of_nothing()


BLUE, RED = (0, 0, 255), (255, 0, 0)


def seen(picture: Image.Image, colour: tuple[int, int, int]) -> int:
    """How many pixels have a colour."""
    return int((np.asarray(picture) == colour).all(axis=2).sum())


@pytest.mark.slow("GIMP's dialog")
def test_presets_are_chosen_by_their_pictures(root: GimpRoot, tmp_path: Path) -> None:
    with somebody(root, tmp_path, pictures={"classic": "blue", "subtle": "red"}) as (person, _helper):
        dialog = person.opens_the_dialog()
        until(lambda: seen(person.looks(), BLUE) == 60 * 40, 10)
        assert seen(person.looks(), RED) == 0

        person.press(dialog, "alt+p")
        until(lambda: seen(person.looks(), BLUE) >= 120 * 80, 10)
        person.press(dialog, "Escape")
        until(lambda: seen(person.looks(), BLUE) == 60 * 40, 10)
        until(lambda: person.shown.windows(DIALOG), 10)  # Escape closes the presets alone

        person.chooses(dialog, "subtle")
        until(lambda: seen(person.looks(), RED) == 60 * 40, 10)
        person.chooses(dialog, "eyes")
        until(lambda: (seen(person.looks(), RED), seen(person.looks(), BLUE)) == (0, 0), 10)
        assert person.gets_it(dialog)["preset"] == '"eyes"'
        person.complains_of_nothing()


@pytest.mark.slow("GIMP's dialog")
def test_settings_saved_by_an_earlier_version_continue_to_work(root: GimpRoot, tmp_path: Path) -> None:
    """GIMP's last values, of a version that knew fewer arguments, are what the dialog begins with."""
    with somebody(root, tmp_path) as (person, _helper):
        settings = person.gimp.config / "plug-in-settings"
        settings.mkdir(exist_ok=True)
        old = {
            "preset": '"eyes"', "layer": '"relu3_1"', "finest": "640", "octaves": "2", "iterations": "3", "step": "2.5",
            "smooth": "0.25", "jitter": "8", "strength": "0.5", "seed": "42", "output": '"replace"',
        }  # fmt: skip
        kept = "".join(f"({name} {value})\n" for name, value in old.items())
        (settings / "GimpProcedureConfigRun-plug-in-deepdream.last").write_text(
            f"# settings\n\n{kept}\n# end of settings\n"
        )
        got = person.gets_it(person.opens_the_dialog())
        assert {name: got[name] for name in old} == old
        of_preset = plugin_folder.FACTS.presets["eyes"]["settings"]
        assert float(got["natural"]) == of_preset["natural"]
        assert (got["pooling"], got["keep-colours"]) == (f'"{of_preset["pooling"]}"', '"no"')
        person.complains_of_nothing()


@pytest.mark.slow("GIMP's dialog")
def test_the_selection_at_the_press_of_ok_is_dreamed(root: GimpRoot, tmp_path: Path) -> None:
    with somebody(root, tmp_path) as (person, _helper):
        original = person.layer()
        person.orders("image.select_rectangle(Gimp.ChannelOps.REPLACE, 40, 30, 30, 20)")
        before = person.gimp.reports()[-1]["black"]
        dialog = person.opens_the_dialog()
        person.orders("Gimp.Selection.none(image)")
        person.gets_it(dialog)
        until(lambda: person.layer()[0] != original[0], 20)
        assert person.gimp.reports()[-1]["black"] < before + 500, "nothing was written that was not dreamed"
        person.complains_of_nothing()


CHANGES = {
    "The selection changed during the dream": "image.select_rectangle(Gimp.ChannelOps.REPLACE, 1, 1, 5, 5)",
    "The layer changed during the dream": "layer.resize(140, 96, 0, 0)",
    "The layer no longer exists": "image.remove_layer(layer); layer = image.get_layers()[0]",
}


@pytest.mark.slow("GIMP's dialog")
@pytest.mark.parametrize("told", CHANGES)
def test_a_dream_that_does_not_fit_any_more_is_kept_for_last_result(root: GimpRoot, tmp_path: Path, told: str) -> None:
    with somebody(root, tmp_path) as (person, helper):
        person.orders("image.insert_layer(layer.copy(), None, 1); image.set_selected_layers([layer])")
        dialog = person.opens_the_dialog()
        person.types(dialog, "alt+i", "25")
        person.press(dialog, "alt+o")
        person.sees_it_gone()
        until(lambda: jobs(helper, "interactive"), 20)
        person.orders(CHANGES[told])
        until(lambda: not jobs(helper, "interactive"), 40)
        (window,) = until(lambda: person.shown.windows("GIMP Message"), 20)
        picture = person.shown.picture(tmp_path / "told.png")
        assert picture.exists()
        assert window
        assert [job for job in helper.status()["jobs"] if job["state"] == "done"], "last result can bring it"
        person.complains_of_nothing()


@pytest.mark.slow("GIMP's dialog")
def test_cancel_beside_the_progress_bar_stops_the_dream(root: GimpRoot, tmp_path: Path) -> None:
    with somebody(root, tmp_path) as (person, helper):
        shown, gimp = person.shown, person.gimp
        original = person.layer()
        dialog = person.opens_the_dialog()
        person.types(dialog, "alt+i", "1000")
        person.press(dialog, "alt+o")
        person.sees_it_gone()
        until(lambda: jobs(helper, "interactive"), 20)

        def clicked() -> bool:  # again, as the button comes a moment after the job
            shown.xdotool("mousemove", *CANCEL[root.series], "click", "1")
            return not gimp.processes("deepdream.py")

        until(clicked, pause_s=0.5)
        until(lambda: not jobs(helper, "interactive"), 5)
        assert person.layer() == original
        person.complains_of_nothing()


@pytest.mark.slow("GIMP's dialog")
def test_the_dialog_starts_the_helper_when_none_runs(root: GimpRoot, tmp_path: Path) -> None:
    with installed(root) as (plug_in, environ, stopped), screen(root) as shown:
        stopped.stop()
        own = stopped.folder.parent / "started"
        told = json.loads((plug_in / "deepdream.json").read_text())
        helper = ["env", f"DEEPDREAM_RUNTIME_DIR={own}/run", f"DEEPDREAM_STATE_DIR={own}/state", sys.executable]
        helper += ["-m", "deepdream_core", "helper", "--on-demand", "--config", str(stopped.config)]
        told |= {"endpoint": f"{root.inside(own)}/run/endpoint.json", "state": f"{root.inside(own)}/state"}
        told |= {"command": ["/usr/sbin/chroot", "/outside", *helper]}
        (plug_in / "deepdream.json").write_text(json.dumps(told))
        with start_gimp(
            root, WATCH, display=shown.display, plug_in_folder=plug_in, environ=environ, quit_after=False,
            binds={"/": "/outside"},
        ) as gimp:  # fmt: skip
            until(gimp.reports, 60)
            person = Person(shown, gimp, tmp_path)
            dialog = person.opens_the_dialog()
            first = person.sees_something(dialog)
            person.sees_another(dialog, first)
            until((own / "run" / "endpoint.json").exists, 15)
            person.press(dialog, "Escape")
            person.sees_it_gone()
            person.complains_of_nothing()


@pytest.mark.slow("GIMP's dialog")
def test_without_a_display_nothing_opens(root: GimpRoot) -> None:
    with installed(root) as (plug_in, environ, _helper):
        reports = run_gimp(root, ASK, plug_in_folder=plug_in, environ=environ).check()
    assert reports == [{"result": "success", "changed": True}]


@pytest.mark.slow("GIMP's dialog")
def test_in_german_gimp_the_plug_in_is_german() -> None:
    root = root_or_skip(SERIES[-1])
    result = run_gimp(root, LABELS, plug_in_folder=plugin_folder.FOLDER, environ=GERMAN)
    (said,) = result.check()
    assert said["menu"] == "_DeepDream …"
    assert said["blurb"].startswith("Lässt Muster, die ein neuronales Netz kennt")
    assert said["preset"] == "_Vorgabe"
    assert "[plug-in-deepdream" not in result.stderr
