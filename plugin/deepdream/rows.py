"""The rows of the dialog: GIMP's own controls for the arguments, each with its label."""

from __future__ import annotations

import gi
import widgets
from facts import Choice, Number, Text
from words import _, capitalized

gi.require_version("Gimp", "3.0")
gi.require_version("GimpUi", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import Gimp, GimpUi, GLib, GObject, Gtk  # noqa: E402

GAP = 6
_BOTH_WAYS = GObject.BindingFlags.BIDIRECTIONAL | GObject.BindingFlags.SYNC_CREATE
_UNLESS = GObject.BindingFlags.INVERT_BOOLEAN | GObject.BindingFlags.SYNC_CREATE


class Rows:
    """Makes rows that show and change `config`; the labels are equally wide."""

    def __init__(self, dialog: GimpUi.ProcedureDialog, config: Gimp.ProcedureConfig) -> None:
        self._dialog, self._config = dialog, config
        self._switches: dict[str, Gtk.CheckButton] = {}
        self._labels = Gtk.SizeGroup(mode=Gtk.SizeGroupMode.HORIZONTAL)

    def switched_off(self, row: Gtk.Widget, switch: str) -> None:
        """Let a row be usable only while a switch, which has a row already, is off."""
        self._switches[switch].bind_property("active", row, "sensitive", _UNLESS)

    def of(self, control: Number | Choice | Text) -> Gtk.Widget:
        """Return a setting's row."""
        if isinstance(control, Number):
            return self._slider(control)
        if isinstance(control, Text):
            return self._text(control.name)
        rows = {"switch": self._box, "list": self.choice}
        return rows[control.kind](control.name) if control.kind in rows else self._either(control)

    def choice(self, name: str) -> Gtk.Box:
        """Return a list to choose from, with its label."""
        return self.labelled(name, GimpUi.prop_choice_combo_box_new(self._config, name))

    def _text(self, name: str) -> Gtk.Box:
        widget = GimpUi.prop_entry_new(self._config, name, 0)
        widget.set_placeholder_text(_("as the preset says"))
        widget.set_activates_default(True)
        return self.labelled(name, widget)

    def _either(self, control: Choice) -> Gtk.Box:
        """Return a list of a choice's words without "as the preset says", which the dialog resolves itself."""
        widget = Gtk.ComboBoxText()
        for word, (_value, label) in control.words.items():
            widget.append(word, _(label))
        self._config.bind_property(control.name, widget, "active-id", _BOTH_WAYS)
        return self.labelled(control.name, widget)

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

    def labelled(self, name: str, widget: Gtk.Widget, *more: Gtk.Widget) -> Gtk.Box:
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
        if "_" in control.label:
            widget = self._dialog.get_spin_scale(control.name, 1.0)
        else:  # the dialog's own complains about a label without a letter
            widget = GimpUi.prop_spin_scale_new(self._config, control.name, 1.0, 10.0, 0)
        widget.set_range(control.lowest, control.most)
        widget.set_scale_limits(control.lowest, control.right)
        widget.set_increments(control.arrow, 10 * control.arrow)
        widget.set_gamma(control.bend)
        if not control.whole:
            widget.set_digits(2)
        widget.set_activates_default(True)
        # GIMP's own tooltip is for scripts: it ends with the number that means "as the preset says".
        widget.set_tooltip_text(capitalized(_(control.description)))
        widget.get_accessible().set_name(
            _(control.label).replace("_", "")
        )  # GIMP draws it, so a screen reader has none
        for word, number in control.numbers.items():
            widget.set_numeric(False)
            widget.set_update_policy(Gtk.SpinButtonUpdatePolicy.IF_VALID)
            widget.connect("output", widgets.in_words, number, _(word))
        return widget

    def seed(self) -> Gtk.Box:
        """Return the seed's row, with a button for another one."""
        dice = Gtk.Button()
        dice.set_tooltip_text(_("Another seed"))
        dice.get_accessible().set_name(_("Another seed"))
        dice.set_image(
            Gtk.Image.new_from_pixbuf(widgets.dice(dice.get_style_context().get_color(Gtk.StateFlags.NORMAL)))
        )
        dice.connect("clicked", lambda _button: self._config.set_property("seed", GLib.random_int_range(1, 100_000)))
        number = GimpUi.prop_spin_button_new(self._config, "seed", 1, 100, 0)
        number.set_activates_default(True)
        return self.labelled("seed", number, dice)


def headed(heading: str) -> Gtk.Box:
    """Return a box for the rows below a heading."""
    box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=GAP)
    label = Gtk.Label(xalign=0)
    label.set_markup(f"<b>{GLib.markup_escape_text(heading)}</b>")
    label.show()
    box.pack_start(label, False, False, 0)
    return box
