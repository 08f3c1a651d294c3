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
from choices import AS_PRESET, SEED_MAX, as_preset  # noqa: E402
from gi.repository import Gimp, GLib, GObject  # noqa: E402
from plugin_errors import PluginError  # noqa: E402
from words import DOMAIN, _  # noqa: E402

DREAM, LAST, CHECK = "plug-in-deepdream", "plug-in-deepdream-last", "plug-in-deepdream-check"
MENU = "<Image>/Filters/Artistic"
_READWRITE = GObject.ParamFlags.READWRITE


class DeepDream(Gimp.PlugIn):
    """The plug-in."""

    def do_set_i18n(self, name: str) -> tuple[bool, str, None]:
        """Return the catalogue of translations, in the folder `locale` beside this file."""
        return True, DOMAIN, None

    def do_query_procedures(self) -> list[str]:
        """Return the names of all procedures."""
        return [DREAM, LAST, CHECK]

    def do_create_procedure(self, name: str) -> Gimp.Procedure:
        """Return one procedure, with its menu entry and arguments."""
        try:
            facts = facts_.load()
        except PluginError as error:
            return _broken(self, name, str(error))
        if name == DREAM:
            return _dream(self, name, facts)
        return _last(self, name, facts) if name == LAST else _check(self, name, facts)


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
    procedure.set_sensitivity_mask(Gimp.ProcedureSensitivityMask.DRAWABLE)
    procedure.set_menu_label(_("_DeepDream…"))
    procedure.add_menu_path(MENU)
    procedure.set_documentation(
        _("Let patterns that a neural network knows grow out of the layer"),
        _("Changes the selected part of the layer so that a layer of the network VGG19 responds more strongly: dogs, "
          "birds and eyes appear. A local helper process computes it."),
        name,
    )  # fmt: skip
    procedure.set_attribution("DeepDream", "DeepDream, MIT licence", "2026")
    _add_arguments(procedure, facts)
    return procedure


def _add_arguments(procedure: Gimp.Procedure, facts: facts_.Facts) -> None:
    texts = {
        "preset": (_("_Preset"), _("What you will see")),
        "seed": (_("S_eed"), _("The same seed repeats the picture")),
        "output": (_("O_utput"), _("Where the dream goes")),
    }
    controls = {control.name: control for control in facts.controls}
    for name, default in as_preset(facts).items():
        control = controls.get(name)
        label, about = (_(control.label), _sentence(_(control.description))) if control else texts[name]
        if name == "seed":
            procedure.add_int_argument(name, label, about, 0, SEED_MAX, default, _READWRITE)
        elif isinstance(control, facts_.Number):
            about = _("{about}. {value}: as the preset says").format(about=about, value=f"{control.as_preset:g}")
            about = "; ".join([about, *(f"{number}: {_(word)}" for word, number in control.numbers.items())])
            add = procedure.add_int_argument if control.whole else procedure.add_double_argument
            add(name, label, about, control.as_preset, control.most, default, _READWRITE)
        else:
            procedure.add_choice_argument(name, label, about, _choice(name, control, facts), default, _READWRITE)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _choice(name: str, control: facts_.Choice | None, facts: facts_.Facts) -> Gimp.Choice:
    """Return a choice argument's words, each with its label and description."""
    as_preset_says = (AS_PRESET, _("as the preset says"), "")
    if control:
        words = [as_preset_says, *((word, _(label), "") for word, (_value, label) in control.words.items())]
    else:
        words = {
            "preset": [(preset, preset, about["description"]) for preset, about in facts.presets.items()],
            "output": [
                ("replace", _("Replace"), _("Change the layer itself")),
                ("new-layer", _("New layer above"), _("Leave the layer and put a dreamed copy above it")),
            ],
        }[name]
    choice = Gimp.Choice.new()
    for place, (word, label, about) in enumerate(words):
        choice.add(word, place, label, about)
    return choice


def _last(plug_in: Gimp.PlugIn, name: str, facts: facts_.Facts) -> Gimp.Procedure:
    def run(procedure, run_mode, image, drawables, config, data):  # type: ignore[no-untyped-def]
        import last

        return last.run(procedure, run_mode, image, facts)

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
