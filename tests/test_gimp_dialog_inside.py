"""What the plug-in's dialog does about things that go away while it is open, seen from inside, in real GIMPs."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from gimp_root import SERIES, GimpRoot, root_or_skip, screen, start_gimp
from helper_process import until
from plugin_folder import FACTS
from test_gimp_dialog import WATCH, Person, installed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOOK = """

def _ask_for_the_test(self, _wanted=_Dialog.run):
    import json, os
    place = os.path.join(os.path.dirname(os.environ["DEEPDREAM_REPORTS"]), "asked")

    def look():
        if os.path.exists(place):
            told = {}
            with open(place) as file:
                exec(file.read(), {**globals(), "self": self, "told": told})
            with open(place + ".told", "w") as file:
                json.dump(told, file)
            os.remove(place)
        return True

    GLib.timeout_add(50, look)
    return _wanted(self)


_Dialog.run = _ask_for_the_test
"""
"""Added to the dialog's module: it runs what the test asks, in the dialog's own main loop."""


class Inside(Person):
    """A person who can look into the dialog too."""

    def asks(self, script: str) -> dict[str, Any]:
        """Run a script with the dialog as `self`; return what it puts into `told`."""
        place = self.gimp.folder / "asked"
        place.with_suffix(".new").write_text(script)
        place.with_suffix(".new").replace(place)
        until(lambda: not place.exists(), 20)
        told: dict[str, Any] = json.loads(place.with_suffix(".told").read_text())
        return told

    def reads(self, caption: str) -> None:
        """Wait until the preview says that."""
        until(lambda: caption in self.asks('told["said"] = self._preview._caption.get_text()')["said"], 60, 0.2)


@pytest.fixture(scope="module", params=SERIES)
def root(request: pytest.FixtureRequest) -> GimpRoot:
    return root_or_skip(request.param)


@contextmanager
def sitting(root: GimpRoot, folder: Path) -> Iterator[Inside]:
    """Somebody before a photograph in GIMP, and the dialog, into which the test can look."""
    with installed(root) as (plug_in, environ, _helper), screen(root) as shown:
        with (plug_in / "dialog.py").open("a", encoding="utf-8") as module:
            module.write(HOOK)
        with start_gimp(
            root, WATCH, display=shown.display, plug_in_folder=plug_in, environ=environ, quit_after=False
        ) as gimp:
            until(gimp.reports, 60)
            yield Inside(shown, gimp, folder)


NONE_YET = "import thumbnails; thumbnails.load = lambda *_asked: None; "
LOST = """
import thumbnails
from fresh import Presets

presets = {name: about for name, about in self._facts.presets.items() if name != "subtle"}
picture = widgets.pixbuf(bytes(120 * 80 * 3), 120, 80, 3)
thumbnails.load = lambda *_asked: picture
self._take(Presets(presets, self._facts.defaults.copy()))
told.update(
    button=self._gallery._name.get_text(), about=self._about.get_text(), preset=self._config.get_property("preset"),
    names=self._gallery._grid.names, sentence=presets["classic"]["description"],
    dreaming=bool(self._gallery._series._job or self._gallery._series._waiting),
    open=self._gallery._popover.get_visible(),
)
"""


@pytest.mark.slow("GIMP's dialog")
def test_a_preset_that_disappears_while_its_picture_is_open_leaves_nothing_of_it(
    root: GimpRoot, tmp_path: Path
) -> None:
    with sitting(root, tmp_path) as person:
        dialog = person.opens_the_dialog()
        person.asks(f'{NONE_YET}self._asking.stop(); self._choose("subtle")')
        until(lambda: person.asks('told["name"] = self._gallery._name.get_text()')["name"] == "subtle", 20, 0.2)
        person.opens_the_presets(dialog)
        until(lambda: person.asks('told["job"] = self._gallery._series._job is not None')["job"], 40, 0.1)
        told = person.asks(LOST)
        assert told["open"]
        assert (told["button"], told["preset"]) == ("classic", "classic")
        assert told["about"].casefold() == told["sentence"].casefold()
        assert "subtle" not in told["names"]
        assert "classic" in told["names"]
        assert not told["dreaming"], "no picture is missing"
        person.press(dialog, "Escape")
        assert person.gets_it(dialog)["preset"] == '"classic"'
        person.complains_of_nothing()


@pytest.mark.slow("GIMP's dialog")
def test_the_dialog_says_that_its_layer_was_deleted_and_goes_on_when_that_was_undone(
    root: GimpRoot, tmp_path: Path
) -> None:
    with sitting(root, tmp_path) as person:
        person.orders("image.insert_layer(layer.copy(), None, 1); image.set_selected_layers([layer])")
        dialog = person.opens_the_dialog()
        person.types(dialog, "alt+i", "1")
        person.reads("This is what OK makes")
        person.orders("image.remove_layer(layer); layer = image.get_layers()[0]")
        told = person.asks('self._open_looks(); told["looks"] = self._looks is not None')
        assert told == {"looks": False}
        person.reads("The layer no longer exists")
        person.asks("self._preview.pause(); self._preview.resume(); self._preview._fetch(); self._preview.restart()")
        person.press(person.image_window(), "ctrl+z")
        person.press(dialog, "Tab")
        person.reads("This is what OK makes")

        person.orders("image.remove_layer([one for one in image.get_layers() if one != layer][0])")
        person.press(person.image_window(), "shift")
        person.press(dialog, "shift")
        person.reads("The layer no longer exists")
        person.press(dialog, "Escape")
        person.sees_it_gone()
        person.complains_of_nothing()


STATE = """
told["seen"] = [self._preview._shown.channels, list(self._preview._shown.small_size), self._preview.part.inner.x]
"""
CHANGED = {
    "select a part": ("image.select_rectangle(Gimp.ChannelOps.REPLACE, 32, 24, 60, 40)", [3, [60, 40], 32], "60 × 40 px"),
    "add an alpha channel": ("layer.add_alpha()", [4, [60, 40], 32], "60 × 40 px"),
    "another selection": (
        "image.select_ellipse(Gimp.ChannelOps.REPLACE, 32, 24, 60, 40)", [4, [60, 40], 32], "60 × 40 px"
    ),
    "paint": ("layer.invert(False)", [4, [60, 40], 32], "60 × 40 px"),
    "make it gray": ("image.convert_grayscale()", [2, [60, 40], 32], "60 × 40 px"),
    "select all of it": ("Gimp.Selection.none(image)", [2, [128, 96], 0], "128 × 96 px"),
}  # fmt: skip


@pytest.mark.slow("GIMP's dialog")
def test_the_preview_begins_again_with_what_was_done_in_gimp_meanwhile(root: GimpRoot, tmp_path: Path) -> None:
    with sitting(root, tmp_path) as person:
        dialog = person.opens_the_dialog()
        person.types(dialog, "alt+i", "1")
        person.reads("This is what OK makes")
        for change, (script, seen, size) in CHANGED.items():
            before = person.asks('told["order"] = repr(self._preview._order)')
            person.orders(script)
            person.asks("self._back()")
            until(lambda: person.asks(STATE)["seen"] == seen, 10, 0.1)  # noqa: B023 - called at once
            until(lambda: person.asks('told["order"] = repr(self._preview._order)') != before, 20, 0.1)  # noqa: B023
            person.reads(f"This is what OK makes: {size}")
            assert person.asks("self._back()") == {}, change

        person.orders("image.select_rectangle(Gimp.ChannelOps.REPLACE, 3, 4, 50, 50)")
        person.asks("self._preview.restart()")
        person.reads("This is what OK makes: 50 × 50 px")
        person.orders("layer.set_offsets(300, 300)")
        person.asks("self._back()")
        person.reads("The selection does not touch")
        person.press(dialog, "Escape")
        person.sees_it_gone()
        person.complains_of_nothing()


@pytest.mark.slow("GIMP's dialog")
def test_nothing_done_in_gimp_meanwhile_leaves_the_preview_as_it_is(root: GimpRoot, tmp_path: Path) -> None:
    with sitting(root, tmp_path) as person:
        person.orders("image.select_ellipse(Gimp.ChannelOps.REPLACE, 32, 24, 60, 40)")
        dialog = person.opens_the_dialog()
        person.types(dialog, "alt+i", "1")
        person.reads("This is what OK makes")
        compares = 'self._preview._compare(); told["begins"] = "begin" in self._preview._sources'
        assert person.asks(compares) == {"begins": False}
        person.press(dialog, "Escape")
        person.sees_it_gone()


FIRST_PRESET = """
self._choose("eyes")
self._settle()
values = self._arguments()
wanted = choices.resolved(choices.as_preset(self._facts, "eyes"), self._facts)
told["other"] = sorted(name for name, value in values.items() if value != wanted[name] and name not in choices.KEPT)
told["output"] = values["output"]
"""


@pytest.mark.slow("GIMP's dialog")
def test_the_first_preset_sets_all_controls_whatever_kind_of_layer_it_is(root: GimpRoot, tmp_path: Path) -> None:
    with sitting(root, tmp_path) as person:
        person.orders(
            "group = Gimp.GroupLayer.new(image, 'group'); image.insert_layer(group, None, 0); "
            "image.reorder_item(layer, group, 0); image.set_selected_layers([group])"
        )
        dialog = person.opens_the_dialog()
        assert person.asks(FIRST_PRESET) == {"other": [], "output": "new-layer"}
        person.press(dialog, "Escape")
        person.sees_it_gone()
        person.complains_of_nothing()


EDITED = """
import copy
from fresh import Presets

self._asking.stop()
presets = copy.deepcopy(self._facts.presets)
presets["classic"]["settings"]["octave_scale"] = 1.7
self._take(Presets(presets, self._facts.defaults.copy()))
"""


@pytest.mark.slow("GIMP's dialog")
def test_a_setting_of_the_preset_that_no_control_shows_starts_the_preview_again(root: GimpRoot, tmp_path: Path) -> None:
    with sitting(root, tmp_path) as person:
        dialog = person.opens_the_dialog()
        person.types(dialog, "alt+i", "1")
        person.reads("This is what OK makes")
        scale = 'order = self._preview._order; told["scale"] = order and order.settings["octave_scale"]'
        assert person.asks(scale) == {"scale": 1.3}
        person.asks(EDITED)
        until(lambda: person.asks(scale) == {"scale": 1.7}, 20, 0.1)
        person.reads("This is what OK makes")
        person.press(dialog, "Escape")
        person.sees_it_gone()
        person.complains_of_nothing()


GUIDED = """
guide = layer.copy()
image.insert_layer(guide, None, 1)
config = Gimp.get_pdb().lookup_procedure("plug-in-deepdream").create_config()
for name, value in {"run-mode": Gimp.RunMode.NONINTERACTIVE, "image": image, "guide": guide, "iterations": 1}.items():
    config.set_property(name, value)
config.set_property("output", "new-layer")
config.set_core_object_array("drawables", [layer])
assert config.get_procedure().run(config).index(0).value_nick == "success"
image.set_selected_layers([image.get_layers()[0]])
"""
TOWARD = """
order = self._preview._order
told["toward"] = order and [[guide["file"] for guide in order.settings["guides"]], order.settings["layers"]]
"""


@pytest.mark.slow("GIMP's dialog")
def test_a_dream_toward_a_guide_is_dreamed_again_without_it(root: GimpRoot, tmp_path: Path) -> None:
    with sitting(root, tmp_path) as person:

        def dreams(toward: list[object]) -> None:
            until(lambda: person.asks(TOWARD)["toward"] == toward, 40, 0.2)

        without: list[object] = [[], FACTS.presets["classic"]["settings"]["layers"]]
        person.orders(GUIDED)
        dialog = person.opens_the_dialog("n")
        dreams([["Background copy"], {}])
        person.asks('self._config.set_property("guide", None)')
        dreams(without)
        person.press(dialog, "Escape")
        person.sees_it_gone()

        person.orders("image.remove_layer(guide)")
        dialog = person.opens_the_dialog("n")
        dreams(without)
        person.reads("This is what OK makes")
        person.press(dialog, "Escape")
        person.sees_it_gone()
        person.complains_of_nothing()


LOOK = """
def walk(widget):
    if text := widget.get_tooltip_text():
        told["tooltips"].append(text)
    if isinstance(widget, Gtk.Container):
        widget.forall(walk)


told["tooltips"] = []
walk(self._dialog)
icon = self._dialog.get_icon()
told["icon"] = icon and [icon.get_width(), icon.get_pixels()[:: icon.get_n_channels()].count(0x7D)]
told["finished"] = self._finished
"""


@pytest.mark.slow("GIMP's dialog")
def test_the_window_has_our_icon_and_its_tooltips_nothing_that_is_for_scripts(root: GimpRoot, tmp_path: Path) -> None:
    with sitting(root, tmp_path) as person:
        dialog = person.opens_the_dialog()
        told = until(lambda: [one for one in [person.asks(LOOK)] if one["finished"]], 20, 0.2)[0]
        ours = [text for text in told["tooltips"] if "as the preset says" in text]
        assert [text for text in ours if "empty: as the preset says" not in text] == []
        assert "Gradient steps in each octave; more is stronger" in told["tooltips"]
        assert told["icon"], told
        person.press(dialog, "Escape")
        person.complains_of_nothing()


@pytest.mark.slow("GIMP's dialog")
def test_a_layer_to_dream_toward_that_was_deleted_is_told_in_its_list(root: GimpRoot, tmp_path: Path) -> None:
    with sitting(root, tmp_path) as person:
        person.orders("image.insert_layer(layer.copy(), None, 1); image.set_selected_layers([layer])")
        dialog = person.opens_the_dialog()
        shown = 'told["guide"] = self._guide.widget.get_active_text()'
        toward = 'guide = self._drawables[0].get_image().get_layers()[1]; self._config.set_property("guide", guide); '
        assert person.asks(f"{toward}self._settle(); {shown}")["guide"].endswith(": Background copy")
        told = person.asks(
            f'guide = self._config.get_property("guide"); guide.get_image().remove_layer(guide); self._back(); {shown}'
        )
        assert told == {"guide": "The layer to dream toward no longer exists"}
        person.press(dialog, "Escape")
        person.sees_it_gone()
        person.complains_of_nothing()
