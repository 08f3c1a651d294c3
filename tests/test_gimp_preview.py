"""The preview in a real GIMP's dialog: looked at closely by keyboard and mouse, and taken over by OK."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import picture_file
from gimp_root import SERIES, GimpRoot, root_or_skip
from helper_process import Helper, until
from test_gimp_dialog import Person, jobs, somebody

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PREVIEW_PX = 384
"""The preview's width in a window that nobody has made larger."""
ALONE = """
procedure = Gimp.get_pdb().lookup_procedure("plug-in-deepdream")
config = procedure.create_config()
config.set_property("run-mode", Gimp.RunMode.NONINTERACTIVE)
config.set_property("image", image)
config.set_core_object_array("drawables", [layer])
procedure.run(config)
"""
PAINT = """
color = Gegl.Color.new("red")
Gimp.context_set_foreground(color)
layer.edit_fill(Gimp.FillType.FOREGROUND)
Gimp.displays_flush()
"""


@pytest.fixture(scope="module", params=SERIES)
def root(request: pytest.FixtureRequest) -> GimpRoot:
    return root_or_skip(request.param)


def dreams(helper: Helper) -> list[tuple[str, str, str]]:
    """Priority, sample type and end of every job of GIMP that has ended."""
    lines = re.findall(r"gimp-\d+ (\w+) .*? (uint8|float32) on .*, (done|cancelled|failed)", helper.log())
    return [(priority, dtype, end) for priority, dtype, end in lines]


def finished(helper: Helper) -> None:
    """Wait until the dream at its real size is there."""
    until(
        lambda: any(job["priority"] == "background" and job["state"] == "done" for job in helper.status()["jobs"]), 60
    )


def focuses(person: Person, window: str) -> None:
    """Click into the preview, where the picture has no line to drag."""
    x, y = place(person, window)
    person.shown.xdotool("mousemove", x + 80, y + 60, "click", "1")


def place(person: Person, window: str) -> tuple[int, int]:
    lines = person.shown.xdotool("getwindowgeometry", "--shell", window).splitlines()
    found = dict(line.split("=") for line in lines)
    return int(found["X"]), int(found["Y"])


def like(person: Person, window: str, wanted: NDArray[Any], part: slice = slice(None), within: float = 1.0) -> None:
    """Wait until these columns of the preview look so again; the rim, which shows the focus, does not count."""

    def same() -> bool:
        inside = (slice(8, -8), part)
        return bool(np.abs(person.sees(window)[inside] - wanted[inside]).mean() < within)

    until(same, 20, 0.2)


def at_rest(person: Person, window: str) -> NDArray[Any]:
    """What the preview looks like once it stays the same for a second."""
    seen = [person.sees(window)]

    def rests() -> bool:
        seen.append(person.sees(window))
        return bool((seen[-1] == seen[-2]).all())

    until(rests, 20, 1)
    return seen[-1]


@pytest.mark.slow("GIMP's dialog")
def test_ok_takes_over_what_the_preview_has_dreamed(root: GimpRoot, tmp_path: Path) -> None:
    with somebody(root, tmp_path) as (person, helper):
        original = person.layer()
        dialog = person.opens_the_dialog()
        finished(helper)
        person.press(dialog, "alt+o")
        person.sees_it_gone()
        until(lambda: person.layer()[0] != original[0], 40)
        from_preview = person.layer()
        assert dreams(helper) == [("preview", "uint8", "done"), ("background", "float32", "done")]
        until(lambda: not [job for job in helper.status()["jobs"] if job["state"] == "done"])
        person.press(person.image_window(), "ctrl+z")
        until(lambda: person.layer() == original, 10)
        person.orders(ALONE)
        until(lambda: person.layer()[0] != original[0], 40)
        assert person.layer() == from_preview, "the very same bytes"
        assert dreams(helper)[2:] == [("interactive", "float32", "done")]
        person.complains_of_nothing()


@pytest.mark.slow("GIMP's dialog")
def test_ok_goes_on_from_where_the_preview_is(root: GimpRoot, tmp_path: Path) -> None:
    with somebody(root, tmp_path, picture_file(tmp_path / "larger.png", size=(256, 192))) as (person, helper):
        original = person.layer()
        dialog = person.opens_the_dialog()
        person.types(dialog, "alt+i", "12")  # so that it takes some seconds

        def running() -> list[str]:
            known = [(job["id"], job["progress"] or {}) for job in jobs(helper, "background")]
            return [name for name, progress in known if progress.get("iterations") == 12]

        name = until(running, 60)[0]
        person.press(dialog, "alt+o")
        person.sees_it_gone()
        until(lambda: person.layer()[0] != original[0], 60)
        assert re.search(rf"{re.escape(name[:6])} gimp-\d+ interactive .*, done", helper.log())
        assert [end for _, dtype, end in dreams(helper) if dtype == "float32"].count("done") == 1
        person.complains_of_nothing()


@pytest.mark.slow("GIMP's dialog")
def test_ok_takes_over_the_preview_of_dreaming_again(root: GimpRoot, tmp_path: Path) -> None:
    """The recipe holds the channels that were picked, and so does the preview."""
    with somebody(root, tmp_path) as (person, helper):
        more = 'config.set_property("output", "new-layer"); config.set_property("channels", "strongest:2")\n'
        person.orders(ALONE.replace("procedure.run", f"{more}procedure.run"))
        person.orders("image.set_selected_layers([image.get_layers()[0]])")
        before = len(dreams(helper))
        dialog = person.opens_the_dialog("n")
        finished(helper)
        person.gets_it(dialog, "plug-in-deepdream-again")
        until(lambda: not person.gimp.processes("plug-ins/deepdream/deepdream.py"), 30)
        assert dreams(helper)[before:] == [("preview", "uint8", "done"), ("background", "float32", "done")]
        person.complains_of_nothing()


@pytest.mark.slow("GIMP's dialog")
def test_ok_dreams_again_what_was_painted_on_meanwhile(root: GimpRoot, tmp_path: Path) -> None:
    with somebody(root, tmp_path) as (person, helper):
        dialog = person.opens_the_dialog()
        finished(helper)
        person.orders(PAINT)
        until(lambda: person.layer()[1], 10)
        painted = person.layer()
        person.press(dialog, "alt+o")
        person.sees_it_gone()
        until(lambda: person.layer()[0] != painted[0], 40)
        assert dreams(helper)[-1] == ("interactive", "float32", "done")
        person.complains_of_nothing()


@pytest.mark.slow("GIMP's dialog")
def test_one_looks_closely_and_at_before_and_after(root: GimpRoot, tmp_path: Path) -> None:
    with somebody(root, tmp_path) as (person, helper):
        dialog = person.opens_the_dialog()
        finished(helper)
        focuses(person, dialog)
        x, y = place(person, dialog)
        dreamed = at_rest(person, dialog)
        left, right = slice(16, PREVIEW_PX // 2 - 24), slice(PREVIEW_PX // 2 + 24, PREVIEW_PX - 24)

        person.shown.xdotool("key", "1")
        at_100_percent = person.sees_another(dialog, dreamed)
        person.shown.xdotool("key", "0")
        like(person, dialog, dreamed)
        person.shown.xdotool("key", "plus", "plus", "plus")
        closer = person.sees_another(dialog, dreamed)
        person.shown.xdotool("key", "Right", "Right")
        moved = person.sees_another(dialog, closer)
        person.shown.xdotool(
            "mousemove", x + 150, y + 150, "mousedown", "1", "mousemove", x + 246, y + 150, "mouseup", "1"
        )
        like(person, dialog, closer, within=3)
        assert np.abs(moved - at_100_percent).mean() > 1.5
        for _ in range(6):
            person.shown.xdotool("click", "5")
        like(person, dialog, dreamed)

        person.shown.xdotool("keydown", "o")
        original = person.sees_another(dialog, dreamed)
        like(person, dialog, original)
        person.shown.xdotool("keyup", "o")
        like(person, dialog, dreamed)

        person.shown.xdotool("key", "s")
        like(person, dialog, original, left)
        like(person, dialog, dreamed, right)
        person.shown.xdotool("key", "--delay", "50", *["shift+Right"] * 30)
        like(person, dialog, original, right)
        person.shown.xdotool("key", "s")
        like(person, dialog, dreamed)

        person.press(dialog, "Escape")
        person.sees_it_gone()
        until(lambda: not [job for job in helper.status()["jobs"] if job["state"] == "done"], 10)
        person.complains_of_nothing()


@pytest.mark.slow("GIMP's dialog")
def test_a_part_of_a_large_layer_is_dreamed_by_itself(root: GimpRoot, tmp_path: Path) -> None:
    with somebody(root, tmp_path, picture_file(tmp_path / "large.png", size=(1700, 1300))) as (person, helper):
        dialog = person.opens_the_dialog()
        person.types(dialog, "alt+i", "2")
        person.types(dialog, "alt+z", "100000")
        focuses(person, dialog)
        person.shown.xdotool("key", "1")
        until(lambda: ("preview", "float32", "done") in dreams(helper), 120)
        person.press(dialog, "Escape")
        person.sees_it_gone()
        until(lambda: not jobs(helper, "background"), 10)
        person.complains_of_nothing()
