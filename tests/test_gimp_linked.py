"""Dreams in linked files, by a person in GIMP 3.2: they grow while one goes on working, and are dreamed again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from conftest import picture_file
from gimp_root import GimpRoot, root_or_skip, screen, start_gimp
from helper_process import until
from test_gimp_dialog import WATCH, Person, installed, jobs, somebody
from test_gimp_killed import at_work
from test_gimp_layers import LOOK, told
from test_gimp_preview import dreams

if TYPE_CHECKING:
    from pathlib import Path

FILE = "image dream 1.png"
SAVE = """
Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, image, Gio.File.new_for_path(os.environ["XCF"]), None)
image.clean_all()
"""
PAINT = "Gimp.context_set_foreground(Gegl.Color.new('red')); second.edit_fill(Gimp.FillType.FOREGROUND)"
COMPARE = """
file = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, image.get_layers()[0].get_file())
report(same=dig(file.get_layers()[0]) == dig(image.get_layers()[0]))
file.delete()
"""


@pytest.fixture(scope="module")
def root() -> GimpRoot:
    return root_or_skip("3.2")


def shows_its_file(person: Person) -> bool:
    """Whether the uppermost layer shows what is in its file."""
    person.orders(COMPARE)
    return bool([one["same"] for one in person.gimp.reports() if "same" in one][-1])


@pytest.mark.slow("GIMP's dialog")
def test_a_linked_dream_grows_while_one_paints_and_is_dreamed_again_after_a_restart(
    root: GimpRoot, tmp_path: Path
) -> None:
    photo = picture_file(tmp_path / "photo.png", size=(256, 192))
    with installed(root, photo) as (plug_in, environ, helper), root.folder() as folder:
        environ["XCF"] = f"{root.inside(folder)}/image.xcf"

        def gimp() -> Any:
            return start_gimp(
                root, WATCH, display=shown.display, plug_in_folder=plug_in, environ=environ, quit_after=False
            )

        def file() -> tuple[int, bytes]:
            return (folder / FILE).stat().st_mtime_ns, (folder / FILE).read_bytes()

        with screen(root) as shown, gimp() as first:
            until(first.reports, 60)
            person = Person(shown, first, tmp_path)
            person.orders(
                LOOK + "second = layer.copy(); image.insert_layer(second, None, 1); second.set_name('second')"
            )
            person.orders("image.set_selected_layers([layer])" + SAVE)
            before = told(person)
            dialog = person.opens_the_dialog()
            person.types(dialog, "alt+z", "64")
            person.types(dialog, "alt+i", "200")
            person.press(dialog, "alt+u", "Down", "Down")  # Linked layer above
            until(
                lambda: any((job["progress"] or {}).get("iterations") == 200 for job in jobs(helper, "background")), 60
            )
            person.press(dialog, "alt+o")
            person.sees_it_gone()
            until(lambda: len(told(person)) == 3, 40)
            seen = set()

            def grew() -> bool:
                seen.add(told(person)[0][1])
                return len(seen) > 2

            until(grew, 60)
            assert jobs(helper, "interactive"), "it still dreams"
            person.orders(PAINT)
            painted = told(person)[2]
            assert painted != before[1]
            until(lambda: not helper.status()["jobs"] or not jobs(helper, "interactive"), 90)
            until(lambda: not first.processes("plug-ins/deepdream/deepdream.py"), 30)
            assert shows_its_file(person)
            assert told(person)[1:] == [before[0], painted], "what else was done stays"
            assert dreams(helper)[-1] == ("interactive", "float32", "done")
            assert [one[0] for one in dreams(helper)].count("interactive") == 1, "the preview's own job went on"
            dreamed = told(person)
            assert dreamed[0][0].startswith("DeepDream – classic, seed")
            assert {path.name for path in folder.iterdir()} == {"image.xcf", FILE}
            person.orders(SAVE)
            person.complains_of_nothing()

        written = file()
        environ["PHOTO"] = environ["XCF"]
        with screen(root) as shown, gimp() as second:
            until(second.reports, 60)
            person = Person(shown, second, tmp_path)
            person.orders(LOOK)
            # GIMP 3.2.6 itself calls a link layer like its file again when it opens an image.
            assert told(person) == [[FILE, *dreamed[0][1:]], *dreamed[1:]], "the saved image shows the dream"
            person.orders("image.set_selected_layers([image.get_layers()[0]])")
            dialog = person.opens_the_dialog("n")
            person.types(dialog, "alt+e", "78")
            person.types(dialog, "alt+i", "2")
            got = person.gets_it(dialog, "plug-in-deepdream-again")
            assert (got["seed"], got["iterations"]) == ("78", "2")
            until(lambda: told(person)[0][1] != dreamed[0][1], 40)
            until(lambda: not second.processes("plug-ins/deepdream/deepdream.py"), 30)
            assert file()[0] != written[0]
            assert file()[1] != written[1]
            assert shows_its_file(person)
            until(lambda: told(person)[0][0] == "DeepDream – classic, seed 78", 10)
            assert told(person)[1:] == dreamed[1:]
            assert {path.name for path in folder.iterdir()} == {"image.xcf", FILE}
            person.complains_of_nothing()


FAIL = """
config = Gimp.get_pdb().lookup_procedure("plug-in-deepdream").create_config()
config.set_property("run-mode", Gimp.RunMode.NONINTERACTIVE)
config.set_property("image", image)
config.set_core_object_array("drawables", [layer])
config.set_property("output", "linked-layer")
config.set_property("channels", "relu2_1:5000")
failed = config.get_procedure().run(config)
report(failed=failed.index(0).value_nick)
"""
KINDS = """
link = lambda one: one.is_link_layer() and not one.is_rasterized()
report(kinds=[[one.get_name(), link(one), dig(one)] for one in image.get_layers()])
"""


@pytest.mark.slow("GIMP's dialog")
def test_undo_after_a_linked_dream_that_failed_shows_no_broken_link(root: GimpRoot, tmp_path: Path) -> None:
    with somebody(root, tmp_path) as (person, _helper):

        def kinds() -> list[list[Any]]:
            person.orders(KINDS)
            found: list[list[Any]] = [one["kinds"] for one in person.gimp.reports() if "kinds" in one][-1]
            return found

        person.orders(LOOK)
        before = kinds()
        person.orders(FAIL)
        assert [one["failed"] for one in person.gimp.reports() if "failed" in one] == ["execution-error"]
        assert kinds() == before
        person.press(person.image_window(), "ctrl+z")
        until(lambda: len(kinds()) == 2, 10)
        (_name, linked, shown), source = kinds()
        assert (linked, shown, [source]) == (False, before[0][2], before), "a plain layer, which shows the same"
        person.press(person.image_window(), "ctrl+z")
        until(lambda: kinds() == before, 10)
        person.complains_of_nothing()


@pytest.mark.slow("GIMP's dialog")
def test_a_linked_dream_whose_layer_is_deleted_meanwhile_ends(root: GimpRoot, tmp_path: Path) -> None:
    with somebody(root, tmp_path) as (person, helper):
        person.orders(LOOK)
        dialog = person.opens_the_dialog()
        person.types(dialog, "alt+i", "1000")
        person.press(dialog, "alt+u", "Down", "Down")  # Linked layer above
        person.press(dialog, "alt+o")
        person.sees_it_gone()
        until(lambda: len(told(person)) == 2, 40)
        person.orders("report(file=image.get_layers()[0].get_file().get_basename())")
        name = person.gimp.reports()[-1]["file"]
        (file,) = until(lambda: [*person.gimp.folder.rglob(name)])
        before = told(person)
        until(lambda: told(person)[0] != before[0], 60)
        person.orders("image.remove_layer(image.get_layers()[0])")
        until(lambda: person.shown.windows("GIMP Message"), 20)
        person.shown.picture(person.folder / "told.png")
        until(lambda: not file.exists(), 10)
        assert not [*file.parent.iterdir()]
        until(lambda: not at_work(helper), 10)
        assert len(told(person)) == 1
        person.complains_of_nothing()
