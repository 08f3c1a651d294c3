"""GIMP, or the plug-in alone, killed in the middle of the preview, the looks, a dream and a growing file."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from conftest import picture_file
from gimp_root import SERIES, GimpRoot, root_or_skip, run_gimp, screen, start_gimp
from helper_process import Helper, until
from PIL import Image
from test_gimp_dialog import OPEN, WATCH, Person, installed, jobs, somebody
from test_gimp_gallery import LOOKS, looking
from test_gimp_layers import in_3_2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

PLUG_IN = "plug-ins/deepdream/deepdream.py"


@pytest.fixture(scope="module", params=SERIES)
def root(request: pytest.FixtureRequest) -> GimpRoot:
    return root_or_skip(request.param)


def at_work(helper: Helper) -> list[dict[str, Any]]:
    """The jobs that the helper has not ended."""
    return [job for job in helper.status()["jobs"] if job["state"] in ("queued", "running", "paused")]


def kept(helper: Helper) -> list[dict[str, Any]]:
    """The results that the helper keeps."""
    return [job for job in helper.status()["jobs"] if job["state"] == "done"]


def in_the_preview(person: Person, helper: Helper) -> None:
    dialog = person.opens_the_dialog()
    person.types(dialog, "alt+i", "1000")
    until(lambda: jobs(helper, "preview"), 20)


def in_the_preview_at_its_real_size(person: Person, helper: Helper) -> None:
    person.opens_the_dialog()
    until(lambda: [job for job in helper.status()["jobs"] if job["priority"] == "background"], 40)


def in_the_looks(person: Person, helper: Helper) -> None:
    dialog = person.opens_the_dialog()
    person.press(dialog, "alt+t")
    until(lambda: person.shown.windows(LOOKS), 20)
    until(lambda: looking(helper), 30)


MOMENTS = (in_the_preview, in_the_preview_at_its_real_size, in_the_looks)


@pytest.mark.slow("GIMP's dialog")
def test_gimp_stays_usable_when_the_plug_in_is_killed(root: GimpRoot, tmp_path: Path) -> None:
    with somebody(root, tmp_path) as (person, helper):
        original, temporary = person.layer(), person.gimp.folder / "tmp"
        before = {path.name for path in temporary.rglob("*")}
        for moment in MOMENTS:
            moment(person, helper)
            (plug_in,) = person.gimp.processes(PLUG_IN)
            plug_in.kill()
            person.sees_it_gone()
            until(lambda: not at_work(helper), 10)
            until(lambda: not kept(helper), 10)
            assert person.layer() == original
        assert {path.name for path in temporary.rglob("*")} == before
        dialog = person.opens_the_dialog()
        assert person.gets_it(dialog)["preset"] == '"classic"'
        until(lambda: person.layer()[0] != original[0], 60)
        person.complains_of_nothing()


AGAIN = (
    OPEN
    + """
before = digest()
procedure = Gimp.get_pdb().lookup_procedure(os.environ["PROCEDURE"])
config = procedure.create_config()
config.set_property("run-mode", Gimp.RunMode.NONINTERACTIVE)
config.set_property("image", image)
config.set_core_object_array("drawables", [layer])
for name, value in eval(os.environ["ARGUMENTS"]).items():
    config.set_property(name, value)
result = procedure.run(config)
report(result=result.index(0).value_nick, changed=digest() != before, layers=[one.get_name() for one in image.get_layers()])
image.delete()
"""
)


def works(
    root: GimpRoot, plug_in: Path, environ: Mapping[str, str], procedure: str = "plug-in-deepdream", **arguments: Any
) -> dict[str, Any]:
    """Start GIMP again and call the plug-in; return what it reports."""
    more = {"PROCEDURE": procedure, "ARGUMENTS": repr(arguments)}
    (told,) = run_gimp(root, AGAIN, plug_in_folder=plug_in, environ={**environ, **more}, timeout=120).check()
    assert told["result"] == "success", told
    return told


@contextmanager
def doomed(
    root: GimpRoot, folder: Path, plug_in: Path, environ: Mapping[str, str]
) -> Iterator[tuple[Person, Callable[[], None]]]:
    """Somebody in a GIMP, and what kills that GIMP; the plug-in's processes end by themselves."""
    with (
        screen(root) as shown,
        start_gimp(
            root, WATCH, display=shown.display, plug_in_folder=plug_in, environ=environ, quit_after=False
        ) as gimp,
    ):
        until(gimp.reports, 60)

        def kill() -> None:
            gimp.process.kill()
            gimp.process.wait()
            until(lambda: not gimp.processes(PLUG_IN), 10)

        yield Person(shown, gimp, folder), kill


@pytest.mark.slow("GIMP's dialog")
def test_nothing_stays_behind_when_gimp_is_killed(root: GimpRoot, tmp_path: Path) -> None:
    with installed(root) as (plug_in, environ, helper):
        for moment in MOMENTS:
            with doomed(root, tmp_path, plug_in, environ) as (person, kill):
                moment(person, helper)
                kill()
                until(lambda: not at_work(helper), 10)
                until(lambda: not kept(helper), 10)
        assert works(root, plug_in, environ)["changed"]


@pytest.mark.slow("GIMP's dialog")
def test_a_dream_of_ok_that_is_finished_comes_back_after_gimp_was_killed(root: GimpRoot, tmp_path: Path) -> None:
    with installed(root) as (plug_in, environ, helper):
        with doomed(root, tmp_path, plug_in, environ) as (person, kill):
            dialog = person.opens_the_dialog()
            person.types(dialog, "alt+i", "50")
            until(lambda: jobs(helper, "background"), 60)
            person.press(dialog, "alt+o")
            person.sees_it_gone()
            until(lambda: jobs(helper, "interactive"), 20)
            person.gimp.process.send_signal(signal.SIGSTOP)  # so that the dream does not reach the canvas
            until(lambda: kept(helper), 60)
            kill()
        told = works(root, plug_in, environ, "plug-in-deepdream-last")
        assert len(told["layers"]) == 2
        assert told["layers"][0] == f"DeepDream – {told['layers'][1]}"
        until(lambda: not helper.status()["jobs"] or not kept(helper), 10)


GROW = """
import os
from gi.repository import Gio
image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path(os.environ["PHOTO"]))
Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, image, Gio.File.new_for_path(os.environ["XCF"]), None)
procedure = Gimp.get_pdb().lookup_procedure("plug-in-deepdream")
config = procedure.create_config()
config.set_property("run-mode", Gimp.RunMode.NONINTERACTIVE)
config.set_property("image", image)
config.set_core_object_array("drawables", image.get_layers())
for name, value in {"output": "linked-layer", "iterations": 1000, "octaves": 1}.items():
    config.set_property(name, value)
procedure.run(config)
"""


@pytest.mark.slow("GIMP's dialog")
def test_a_growing_file_is_a_whole_picture_when_gimp_is_killed(root: GimpRoot, tmp_path: Path) -> None:
    in_3_2(root)
    photo = picture_file(tmp_path / "photo.png", size=(256, 192))
    with installed(root, photo) as (plug_in, environ, helper), root.folder() as folder:
        environ["XCF"] = f"{root.inside(folder)}/image.xcf"
        file = folder / "image dream 1.png"
        with start_gimp(root, GROW, plug_in_folder=plug_in, environ=environ, quit_after=False) as gimp:
            sizes: set[int] = set()

            def grown() -> bool:
                assert gimp.process.poll() is None, gimp.result()
                sizes.update([file.stat().st_mtime_ns] if file.exists() else [])
                return len(sizes) > 2

            until(grown, 60)
            gimp.process.kill()
            gimp.process.wait()
            until(lambda: not gimp.processes(PLUG_IN), 10)
            until(lambda: not at_work(helper), 10)
        with Image.open(file) as picture:
            picture.load()
            assert picture.size == (256, 192)
        assert not kept(helper)

        part = folder / ".image dream 1.part.png"  # as when it was killed while it wrote
        part.write_bytes(file.read_bytes()[:1000])
        others = [folder / ".other dream 1.part.png", folder / ".image dream 7.part.png"]
        for other in others:
            other.write_bytes(b"")
        for old in (part, others[0]):
            os.utime(old, (1, 1))
        told = works(root, plug_in, {**environ, "PHOTO": environ["XCF"]}, output="linked-layer", iterations=1)
        assert len(told["layers"]) == 2
        left = {path.name for path in folder.iterdir()}
        assert left == {"image.xcf", file.name, "image dream 2.png", *(other.name for other in others)}
