#!/usr/bin/env python3
"""DeepDream in GIMP 3: registers the procedures and runs the module of each."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

# In each process babl times its pixel conversions and takes the fastest with a small enough error. So one run in twenty
# reads the same layer differently, by 1e-6, which is enough for another dream. babl reads these at its first use.
os.environ |= {"BABL_TOLERANCE": "0.0000000001", "BABL_INHIBIT_CACHE": "1"}

import gi

gi.require_version("Gimp", "3.0")
import facts as facts_  # noqa: E402
import fresh  # noqa: E402
from choices import AS_PRESET, SEED_MAX, as_preset  # noqa: E402
from gi.repository import Gimp, Gio, GLib, GObject  # noqa: E402
from plugin_errors import PluginError  # noqa: E402
from words import DOMAIN, _, capitalized, number  # noqa: E402

FOLDER = Path(__file__).resolve().parent
DREAM, AGAIN = "plug-in-deepdream", "plug-in-deepdream-again"
LAST, CHECK = "plug-in-deepdream-last", "plug-in-deepdream-check"
HELP = "deepdream-help"
"""The domain of our pages in GIMP's help."""
MENU = "<Image>/Filters/Artistic"
_READWRITE = GObject.ParamFlags.READWRITE


class DeepDream(Gimp.PlugIn):
    """The plug-in."""

    def do_set_i18n(self, name: str) -> tuple[bool, str, None]:
        """Return the catalogue of translations, in the folder `locale` beside this file."""
        return True, DOMAIN, None

    def do_query_procedures(self) -> list[str]:
        """Return the names of all procedures, and say where their help is."""
        self.set_help_domain(HELP, Gio.File.new_for_path(str(FOLDER / "help")))
        return [DREAM, AGAIN, LAST, CHECK]

    def do_create_procedure(self, name: str) -> Gimp.Procedure:
        """Return one procedure, with its menu entry and arguments."""
        try:
            facts = fresh.remembered(facts_.load())
        except PluginError as error:
            return _broken(self, name, str(error))
        make = {DREAM: _dream, AGAIN: _again, LAST: _last, CHECK: _check}[name]
        procedure = make(self, name, facts)
        procedure.set_icon_file(Gio.File.new_for_path(str(FOLDER / "icon.svg")))
        return procedure


def _broken(plug_in: Gimp.PlugIn, name: str, why: str) -> Gimp.Procedure:
    """Return a procedure that only shows why DeepDream does not work."""

    def run(procedure, config, data):  # type: ignore[no-untyped-def]
        error = GLib.Error.new_literal(Gimp.PlugIn.error_quark(), why, 0)
        return procedure.new_return_values(Gimp.PDBStatusType.EXECUTION_ERROR, error)

    procedure = Gimp.Procedure.new(plug_in, name, Gimp.PDBProcType.PLUGIN, run, None)
    procedure.set_menu_label(name.replace("plug-in-", ""))
    procedure.add_menu_path(MENU)
    procedure.set_documentation(why, why, name)
    return procedure


def _dream(plug_in: Gimp.PlugIn, name: str, facts: facts_.Facts) -> Gimp.Procedure:
    def run(procedure, run_mode, image, drawables, config, data):  # type: ignore[no-untyped-def]
        import apply

        return apply.run(procedure, run_mode, image, list(drawables), config, facts)

    procedure = Gimp.ImageProcedure.new(plug_in, name, Gimp.PDBProcType.PLUGIN, run, None)
    procedure.set_image_types("RGB*, GRAY*")
    procedure.set_sensitivity_mask(Gimp.ProcedureSensitivityMask.DRAWABLE | Gimp.ProcedureSensitivityMask.DRAWABLES)
    procedure.set_menu_label(_("_DeepDream…"))
    procedure.add_menu_path(MENU)
    procedure.set_documentation(
        _("Let patterns that a neural network knows grow out of the layer"),
        _("Changes the selected part of the layer so that a layer of the network VGG19 responds more strongly: dogs, "
          "birds and eyes appear. A local helper process computes it.") + "\n\n" + _("Presets: {names}").format(
              names=", ".join(facts.presets)),
        name,
    )  # fmt: skip
    procedure.set_attribution("DeepDream", "DeepDream, MIT licence", "2026")
    _add_arguments(procedure, facts)
    return procedure


def _again(plug_in: Gimp.PlugIn, name: str, facts: facts_.Facts) -> Gimp.Procedure:
    def run(procedure, run_mode, image, drawables, config, data):  # type: ignore[no-untyped-def]
        import again

        return again.run(procedure, run_mode, image, list(drawables), config, facts)

    procedure = Gimp.ImageProcedure.new(plug_in, name, Gimp.PDBProcType.PLUGIN, run, None)
    procedure.set_image_types("RGB*, GRAY*")
    procedure.set_sensitivity_mask(Gimp.ProcedureSensitivityMask.DRAWABLE)
    procedure.set_menu_label(_("DeepDream: dream agai_n…"))
    procedure.add_menu_path(MENU)
    procedure.set_documentation(
        _("Dream a dreamed layer again, with the recipe that it carries"),
        _("The new dream takes the place of the old one. Arguments that a script leaves out are those of the recipe."),
        name,
    )
    procedure.set_attribution("DeepDream", "DeepDream, MIT licence", "2026")
    _add_arguments(procedure, facts)
    return procedure


def _add_arguments(procedure: Gimp.Procedure, facts: facts_.Facts) -> None:
    texts = {
        "preset": (_("_Preset"), _("What you will see")),
        "seed": (_("S_eed"), _("The same seed repeats the picture")),
        "output": (_("O_utput"), _("Where the dream goes")),
        "gray": (_("Dream the channel as a gray picture"), _("A selected channel is left alone otherwise")),
        "guide": (_("Dream to_ward"), _("A layer to dream toward, the guide, in place of the preset's layers")),
        "guide-file": (
            _("File to dream toward"),
            _("A picture to dream toward, the guide, in place of the preset's layers"),
        ),
    }
    controls = {control.name: control for control in facts.controls}
    for name, default in as_preset(facts).items():
        control = controls.get(name)
        label, about = (_(control.label), capitalized(_(control.description))) if control else texts[name]
        if name == "seed":
            procedure.add_int_argument(name, label, about, 0, SEED_MAX, default, _READWRITE)
        elif name == "guide":
            procedure.add_drawable_argument(name, label, about, True, _READWRITE)
        elif name == "guide-file":
            procedure.add_file_argument(name, label, about, Gimp.FileChooserAction.ANY, True, None, _READWRITE)
        elif name == "preset":  # no choice of GIMP's, which would refuse those that were added since GIMP started
            procedure.add_string_argument(name, label, about, default, _READWRITE)
        elif isinstance(control, facts_.Text):
            about = _("{about}; empty: as the preset says").format(about=about)
            procedure.add_string_argument(name, label, about, default, _READWRITE)
        elif isinstance(control, facts_.Number):
            about = _("{about}. {value}: as the preset says").format(about=about, value=number(control.as_preset, 2))
            about = "; ".join([about, *(f"{value}: {_(word)}" for word, value in control.numbers.items())])
            add = procedure.add_int_argument if control.whole else procedure.add_double_argument
            add(name, label, about, control.as_preset, control.most, default, _READWRITE)
        else:
            procedure.add_choice_argument(name, label, about, _choice(name, control), default, _READWRITE)


def _choice(name: str, control: facts_.Choice | None) -> Gimp.Choice:
    """Return a choice argument's words, each with its label and description."""
    if control:
        as_preset_says = (AS_PRESET, _("as the preset says"), "")
        words = [as_preset_says, *((word, _(label), "") for word, (_value, label) in control.words.items())]
    else:
        words = {
            "output": [
                ("replace", _("Replace"), _("Change the layer itself")),
                ("new-layer", _("New layer above"), _("Keep the layer and put a dreamed copy above it")),
                ("linked-layer", _("Linked layer above"), _("Put the dream in a file, which a layer above shows")),
                ("rasterize", _("Rasterize and replace"), _("Turn a text, vector or link layer into pixels")),
            ],
            "gray": [("no", _("no"), ""), ("yes", _("yes"), "")],
        }[name]
    choice = Gimp.Choice.new()
    for place, (word, label, about) in enumerate(words):
        choice.add(word, place, label, about)
    return choice


def _last(plug_in: Gimp.PlugIn, name: str, facts: facts_.Facts) -> Gimp.Procedure:
    def run(procedure, run_mode, image, drawables, config, data):  # type: ignore[no-untyped-def]
        import last

        return last.run(procedure, image, facts)

    procedure = Gimp.ImageProcedure.new(plug_in, name, Gimp.PDBProcType.PLUGIN, run, None)
    procedure.set_image_types("RGB*, GRAY*")
    procedure.set_sensitivity_mask(
        Gimp.ProcedureSensitivityMask.DRAWABLE
        | Gimp.ProcedureSensitivityMask.DRAWABLES
        | Gimp.ProcedureSensitivityMask.NO_DRAWABLES
    )
    procedure.set_menu_label(_("DeepDream: _last result"))
    procedure.add_menu_path(MENU)
    procedure.set_documentation(
        _("Add a finished dream that never reached the canvas as a new layer"),
        _("The helper keeps a finished picture for an hour if GIMP or the image was closed."), name,
    )  # fmt: skip
    procedure.set_attribution("DeepDream", "DeepDream, MIT licence", "2026")
    return procedure


def _check(plug_in: Gimp.PlugIn, name: str, facts: facts_.Facts) -> Gimp.Procedure:
    def run(procedure, run_mode, image, drawables, config, data):  # type: ignore[no-untyped-def]
        import check

        return check.run(procedure, facts)

    procedure = Gimp.ImageProcedure.new(plug_in, name, Gimp.PDBProcType.PLUGIN, run, None)
    procedure.set_image_types("*")
    procedure.set_sensitivity_mask(Gimp.ProcedureSensitivityMask.ALWAYS)
    procedure.set_menu_label(_("DeepDream: _check installation…"))
    procedure.add_menu_path(MENU)
    procedure.set_documentation(
        _("Show versions, helper and device"), _("Shows what is installed and whether the helper answers."), name
    )
    procedure.set_attribution("DeepDream", "DeepDream, MIT licence", "2026")
    return procedure


Gimp.main(DeepDream.__gtype__, sys.argv)
