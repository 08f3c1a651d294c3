"""The dialog: GIMP's own controls for the arguments, and a live preview."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import choices
import gi
import widgets
from facts import Choice, Number
from gallery import Gallery
from preview import Preview
from words import _

gi.require_version("Gimp", "3.0")
gi.require_version("GimpUi", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import Gimp, GimpUi, GLib, GObject, Gtk  # noqa: E402

if TYPE_CHECKING:
    import pixels
    from facts import Facts

LET_GO_S = 1.0
"""After closing, the process waits at most this long for the preview to be cancelled."""
GAP = 6
_BOTH_WAYS = GObject.BindingFlags.BIDIRECTIONAL | GObject.BindingFlags.SYNC_CREATE
_UNLESS = GObject.BindingFlags.INVERT_BOOLEAN | GObject.BindingFlags.SYNC_CREATE


def confirmed(
    procedure: Gimp.Procedure,
    config: Gimp.ProcedureConfig,
    drawable: Gimp.Drawable,
    part: pixels.Selected,
    facts: Facts,
) -> bool:
    """Show the dialog and return whether the user pressed OK. `config` then holds the chosen values."""
    GimpUi.init("deepdream")
    dialog = _Dialog(procedure, config, drawable, part, facts)
    wanted = False
    try:
        wanted = dialog.run()
    finally:
        dialog.close(patiently=not wanted)
    return wanted


class _Dialog:
    """The window, and how its controls depend on each other."""

    def __init__(
        self, procedure: Gimp.Procedure, config: Gimp.ProcedureConfig, drawable: Gimp.Drawable, part: pixels.Selected,
        facts: Facts,
    ) -> None:  # fmt: skip
        self._config, self._facts = config, facts
        self._resolve(self._arguments())
        self._before = self._arguments()
        self._settling = 0
        self._dialog = GimpUi.ProcedureDialog.new(procedure, config, _("DeepDream"))
        self._preview = Preview(drawable, part, facts, self._arguments)
        self._switches: dict[str, Gtk.CheckButton] = {}
        self._labels = Gtk.SizeGroup(mode=Gtk.SizeGroupMode.HORIZONTAL)
        row = Gtk.Box(orientation=Gtk.Orientation.HORIZONTAL, spacing=2 * GAP)
        row.pack_start(self._preview.widget, True, True, 0)
        row.pack_start(self._controls(), False, False, 0)
        self._dialog.get_content_area().pack_start(row, True, True, 0)
        row.show_all()
        self._describe()
        self._handler = config.connect("notify", self._changed)

    def run(self) -> bool:
        """Wait for OK or Cancel."""
        self._preview.begin()
        wanted = bool(self._dialog.run())
        self._settle()
        return wanted

    def close(self, *, patiently: bool) -> None:
        """Close the window and cancel the preview; `patiently`: wait until the helper has heard of it."""
        self._config.disconnect(self._handler)
        if self._settling:
            GLib.source_remove(self._settling)
        self._gallery.end()
        self._dialog.destroy()
        while Gtk.events_pending():
            Gtk.main_iteration()
        self._preview.end(LET_GO_S if patiently else 0.0)

    # --- the controls

    def _controls(self) -> Gtk.Box:
        box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=GAP)
        self._gallery = Gallery(self._facts, lambda preset: self._config.set_property("preset", preset))
        self._about = widgets.label(2)
        self._about.set_width_chars(36)
        rows = {control.name: self._row(control) for control in self._facts.controls}
        for control in self._facts.controls:
            if control.unless:
                self._switches[control.unless].bind_property("active", rows[control.name], "sensitive", _UNLESS)
        for widget in (
            self._labelled("preset", self._gallery.widget), self._about, *rows.values(), self._seed(),
            self._choice("output"),
        ):  # fmt: skip
            box.pack_start(widget, False, False, 0)
        return box

    def _row(self, control: Number | Choice) -> Gtk.Widget:
        if isinstance(control, Number):
            return self._slider(control)
        rows = {"switch": self._box, "list": self._choice}
        return rows[control.kind](control.name) if control.kind in rows else self._either(control)

    def _choice(self, name: str) -> Gtk.Box:
        """Return a list to choose from, with its label."""
        return self._labelled(name, GimpUi.prop_choice_combo_box_new(self._config, name))

    def _either(self, control: Choice) -> Gtk.Box:
        """Return a list of a choice's words without "as the preset says", which the dialog resolves itself."""
        widget = Gtk.ComboBoxText()
        for word, (_value, label) in control.words.items():
            widget.append(word, _(label))
        self._config.bind_property(control.name, widget, "active-id", _BOTH_WAYS)
        return self._labelled(control.name, widget)

    def _box(self, name: str) -> Gtk.CheckButton:
        """Return a check box for the words `no` and `yes`."""
        about = self._config.find_property(name)
        widget = Gtk.CheckButton.new_with_mnemonic(about.nick)
        widget.set_tooltip_text(about.blurb)
        self._config.bind_property(
            name,
            widget,
            "active",
            _BOTH_WAYS,
            lambda _, word: word == "yes",
            lambda _, ticked: "yes" if ticked else "no",
        )
        self._switches[name] = widget
        return widget

    def _labelled(self, name: str, widget: Gtk.Widget, *more: Gtk.Widget) -> Gtk.Box:
        """Return a row: the argument's label, as wide as all labels, its widget, and more widgets."""
        about = self._config.find_property(name)
        label = Gtk.Label.new_with_mnemonic(about.nick)
        label.set_xalign(0)
        label.set_mnemonic_widget(widget)
        self._labels.add_widget(label)
        row = Gtk.Box(orientation=Gtk.Orientation.HORIZONTAL, spacing=GAP)
        row.set_tooltip_text(about.blurb)
        row.pack_start(label, False, False, 0)
        row.pack_start(widget, True, True, 0)
        for other in more:
            row.pack_start(other, False, False, 0)
        return row

    def _slider(self, control: Number) -> Gtk.Widget:
        """Return GIMP's usual bar for a number; it leaves out "as the preset says", which the dialog resolves."""
        widget = self._dialog.get_spin_scale(control.name, 1.0)
        widget.set_range(control.lowest, control.most)
        widget.set_scale_limits(control.lowest, control.right)
        widget.set_increments(control.arrow, 10 * control.arrow)
        widget.set_gamma(control.bend)
        if not control.whole:
            widget.set_digits(2)
        widget.set_activates_default(True)
        for word, number in control.numbers.items():
            widget.set_numeric(False)
            widget.set_update_policy(Gtk.SpinButtonUpdatePolicy.IF_VALID)
            widget.connect("output", widgets.in_words, number, _(word))
        return widget

    def _seed(self) -> Gtk.Box:
        dice = Gtk.Button()
        dice.set_tooltip_text(_("Another seed"))
        dice.get_accessible().set_name(_("Another seed"))
        dice.set_image(
            Gtk.Image.new_from_pixbuf(widgets.dice(dice.get_style_context().get_color(Gtk.StateFlags.NORMAL)))
        )
        dice.connect("clicked", lambda _button: self._config.set_property("seed", GLib.random_int_range(1, 100_000)))
        number = GimpUi.prop_spin_button_new(self._config, "seed", 1, 100, 0)
        number.set_activates_default(True)
        return self._labelled("seed", number, dice)

    # --- what depends on what

    def _arguments(self) -> dict[str, Any]:
        return {name: self._config.get_property(name) for name in choices.as_preset(self._facts)}

    def _resolve(self, arguments: dict[str, Any]) -> None:
        """Replace "as the preset says" by the preset's own values."""
        for name, value in choices.resolved(arguments, self._facts).items():
            if self._config.get_property(name) != value:
                self._config.set_property(name, value)

    def _changed(self, _config: Gimp.ProcedureConfig, _parameter: Any) -> None:
        """Wait until all values are set: Reset and GIMP's saved settings set them one after the other."""
        if not self._settling:
            self._settling = GLib.idle_add(self._settle, priority=GLib.PRIORITY_HIGH_IDLE)

    def _settle(self) -> bool:
        if self._settling:
            GLib.source_remove(self._settling)
            self._settling = 0
        arguments = self._arguments()
        if choices.touched(self._before, arguments) == ("preset",):  # chosen by hand: take all its values
            kept = {name: arguments[name] for name in ("seed", "output")}
            arguments = {**choices.as_preset(self._facts, arguments["preset"]), **kept}
        with self._config.handler_block(self._handler):
            self._resolve(arguments)
        now = self._arguments()
        touched, self._before = choices.touched(self._before, now), now
        self._describe()
        if set(touched) - {"output"}:  # something that changes the picture
            self._preview.restart()
        return False

    def _describe(self) -> None:
        preset = self._config.get_property("preset")
        self._gallery.show(preset)
        about = _(self._facts.presets[preset]["description"])
        self._about.set_text(about[:1].upper() + about[1:])
        self._about.set_tooltip_text(about)
