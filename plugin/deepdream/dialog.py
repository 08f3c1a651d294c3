"""The dialog: GIMP's own controls for the arguments, and a live preview."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import choices
import fresh
import gi
import help_key
import output_row
import what
import widgets
from gallery import Gallery
from guide_row import GuideRow
from plugin_errors import PluginError
from preview import Preview
from rows import GAP, Rows, headed
from words import _, capitalized

gi.require_version("Gimp", "3.0")
gi.require_version("GimpUi", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import Gimp, GimpUi, GLib, GObject, Gtk  # noqa: E402

if TYPE_CHECKING:
    import pixels
    from facts import Facts
    from looks import Looks
    from order import Begun, Ordered

LET_GO_S = 1.0
"""After closing, the process waits at most this long for the preview to be cancelled."""

ICON = Path(__file__).resolve().parent / "icon.svg"

_FIRST = ("What to dream of", "Advanced")
"""The groups of controls in the first column, below the preset."""


def confirmed(
    procedure: Gimp.Procedure,
    config: Gimp.ProcedureConfig,
    drawables: list[Gimp.Drawable],
    part: pixels.Selected,
    facts: Facts,
    ordered: Ordered,
    *,
    where: bool,
) -> tuple[bool, Begun | None]:
    """Show the dialog; return whether the user pressed OK, and the preview's job to go on from, if there is one.

    `config` then holds the chosen values. The preview shows the first drawable, `part` of it, as OK dreams it. Without
    `where`, nobody is asked where the dream goes, and what the preset says now does not matter: it is dreamed again.
    """
    GimpUi.init("deepdream")
    dialog = _Dialog(procedure, config, drawables, part, facts, ordered, where=where)
    wanted = False
    try:
        wanted = dialog.run()
    finally:
        begun = dialog.close(wanted=wanted)
    return wanted, begun


class _Dialog:
    """The window, and how its controls depend on each other."""

    def __init__(
        self, procedure: Gimp.Procedure, config: Gimp.ProcedureConfig, drawables: list[Gimp.Drawable],
        part: pixels.Selected, facts: Facts, ordered: Ordered, *, where: bool,
    ) -> None:  # fmt: skip
        self._config, self._facts = config, facts
        self._drawables, self._asks_where = drawables, where
        if (guide := config.get_property("guide")) and not guide.is_valid():  # of the last time; deleted since
            config.set_property("guide", None)
        self._resolve(choices.with_known_preset(self._arguments(), facts))
        self._settling = 0
        self._closed = False
        self._dialog = GimpUi.ProcedureDialog.new(procedure, config, _("DeepDream"))
        self._preview = Preview(drawables[0], part, facts, self._arguments, ordered)
        self._looks: Looks | None = None
        self._asking = fresh.Asking(facts, lambda found: GLib.idle_add(self._take, found))
        self._gallery = Gallery(facts, self._preview, self._choose)
        self._guide = GuideRow(config, facts)
        self._rows = Rows(self._dialog, config)
        self._named: dict[str, Gtk.Widget] = {}
        self._groups: dict[str, Gtk.Box] = {}
        self._columns = [Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=GAP) for _number in range(2)]
        self._finishing, self._finished = 0, False
        row = Gtk.Box(orientation=Gtk.Orientation.HORIZONTAL, spacing=2 * GAP)
        row.pack_start(self._preview.widget, True, True, 0)
        self._fill()
        self._before = self._arguments()  # only now: where the dream goes depends on the layers
        for column in self._columns:
            row.pack_start(column, False, False, 0)
        self._dialog.get_content_area().pack_start(row, True, True, 0)
        row.show_all()
        self._describe()
        self._dialog.connect("focus-in-event", lambda *_event: self._back())
        help_key.connect(self._dialog, procedure.get_name())
        self._handler = config.connect("notify", self._changed)

    def run(self) -> bool:
        """Wait for OK or Cancel."""
        self._preview.begin()
        self._dialog.connect_after("map-event", self._shown)
        wanted = bool(self._dialog.run())
        self._settle()
        return wanted

    def close(self, *, wanted: bool) -> Begun | None:
        """Close the window; return the job of a dream that is wanted, or wait until the helper has cancelled it."""
        self._closed = True
        self._config.disconnect(self._handler)
        if self._settling:
            GLib.source_remove(self._settling)
        if self._finishing:
            GLib.source_remove(self._finishing)
        self._asking.stop()
        self._gallery.end()
        if self._looks is not None:
            self._looks.close()
        begun = self._preview.handed_over() if wanted else None
        self._dialog.destroy()
        while Gtk.events_pending():
            Gtk.main_iteration()
        self._preview.end(0.0 if wanted else LET_GO_S)
        return begun

    # --- the controls

    def _fill(self) -> None:
        """Make the controls; the advanced ones come once the window is there."""
        self._about = widgets.label(2)
        self._about.set_width_chars(36)
        looks = Gtk.Button.new_with_mnemonic(_("Looks on _this layer…"))
        looks.set_tooltip_text(_("See all presets on the selected part, and take one"))
        looks.connect("clicked", lambda _button: self._open_looks())
        self._notice = widgets.Notice(3)
        preset = self._rows.labelled("preset", self._gallery.widget)
        for row in (preset, self._about, self._notice.widget, looks):
            self._columns[0].pack_start(row, False, False, 0)
        self._unfold = Gtk.ToggleButton.new_with_mnemonic(_("A_dvanced"))
        self._unfold.connect("toggled", lambda _button: self._finish())
        self._columns[0].pack_end(self._unfold, False, False, 0)
        self._add(folded=False)
        self._place(_("Result"), self._rows.seed())
        if self._asks_where:
            output = output_row.output_list(self._config, self._drawables)
            self._place(_("Result"), self._rows.labelled("output", output))
            if gray := output_row.gray_box(self._config, self._drawables):
                self._place(_("Result"), gray)

    def _add(self, *, folded: bool) -> None:
        """Make the rows of the controls that are folded, or of the others."""
        controls = [control for control in self._facts.controls if control.folded == folded]
        for control in controls:
            if control.name == "guide-figures":  # right above it
                self._place(control.group, self._rows.labelled("guide", self._guide.widget))
            row = self._named[control.name] = self._rows.of(control)
            alone = control.group not in self._groups
            self._place(control.group, row)
            if folded:
                hidden = self._groups[control.group] if alone else row
                self._unfold.bind_property("active", hidden, "visible", GObject.BindingFlags.SYNC_CREATE)
        for control in controls:
            if control.unless:
                self._rows.switched_off(self._named[control.name], control.unless)

    def _place(self, group: str, row: Gtk.Widget) -> None:
        """Put a row at the end of its group, which is made in its column where there is none."""
        if group not in self._groups:
            self._groups[group] = headed(_(group))
            self._columns[group not in _FIRST].pack_start(self._groups[group], False, False, 0)
        row.show_all()
        self._groups[group].show()
        self._groups[group].pack_start(row, False, False, 0)

    def _shown(self, _dialog: Gtk.Dialog, _event: Any) -> bool:
        """Do what the window can do without until it is there."""
        if not self._asking.ident:
            self._asking.start()
            self._finishing = GLib.idle_add(self._finish, priority=GLib.PRIORITY_LOW + 2)
        return False

    def _finish(self) -> bool:
        if self._finishing:
            GLib.source_remove(self._finishing)
            self._finishing = 0
        if not self._finished:
            self._finished = True
            if self._dialog.get_icon() is None:  # GIMP 3.0 gives it none of the procedure's
                with contextlib.suppress(GLib.Error):  # this GTK cannot read SVG
                    self._dialog.set_icon_from_file(str(ICON))
            self._add(folded=True)
            self._describe()
        return False

    def _back(self) -> None:
        """Show what was done in GIMP meanwhile: images opened, the layer deleted or changed, something else selected."""
        self._guide.show()
        self._preview.look_again()

    def _open_looks(self) -> None:
        if not self._preview.exists():
            return
        if self._looks is None:
            from looks import Looks  # late: the window opens sooner without it

            self._looks = Looks(self._drawables[0], self._facts, self._preview, self._arguments, self._choose)
        self._looks.open(self._dialog)

    def _choose(self, preset: str) -> None:
        self._config.set_property("preset", preset)

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
        arguments = choices.with_known_preset(self._arguments(), self._facts)
        if choices.touched(self._before, arguments) == ("preset",):  # chosen by hand: take all its values
            kept = {name: arguments[name] for name in choices.KEPT}
            arguments = {**choices.as_preset(self._facts, arguments["preset"]), **kept}
        with self._config.handler_block(self._handler):
            self._resolve(arguments)
        now = self._arguments()
        touched, self._before = choices.touched(self._before, now), now
        self._describe()
        if {"preset", *what.GUIDES} & set(touched):
            self._guide.show()
        if set(touched) - set(choices.WHERE):  # something that changes the picture
            self._preview.restart()
        elif touched:
            self._preview.reconsider()
        return False

    def _take(self, found: fresh.Presets) -> bool:
        """Take the presets of config.yaml as it is now; what shows the chosen preset's old values shows its new ones."""
        presets, defaults, problem = found
        if self._closed:
            return False
        if problem:
            text = _("config.yaml cannot be used, so the presets stay as they were: {why}")
            self._notice.show(text.format(why=problem))
        if (presets, defaults) == (self._facts.presets, self._facts.defaults):
            return False
        self._settle()
        given = choices.take(presets, defaults, self._arguments(), self._facts)
        with self._config.handler_block(self._handler):
            self._resolve(given if self._asks_where else choices.with_known_preset(self._arguments(), self._facts))
        self._describe()
        self._gallery.refresh()
        if self._looks is not None:
            self._looks.refresh()
        self._guide.show()
        self._settle()
        self._preview.reconsider()  # not every setting has a control
        return False

    def _describe(self) -> None:
        preset = self._config.get_property("preset")
        self._gallery.show(preset)
        about = _(self._facts.presets[preset]["description"])
        self._about.set_text(capitalized(about))
        self._about.set_tooltip_text(about)
        with contextlib.suppress(PluginError):  # the preview shows it
            settings = choices.settings_of(self._arguments(), self._facts)
            for control in self._facts.controls:
                if control.needs and control.name in self._named:
                    self._named[control.name].set_sensitive(bool(settings[control.needs]))
