"""The dialog: GIMP's own controls for the arguments, and a preview that is dreamed while one looks."""

from __future__ import annotations

import contextlib
import queue
import time
from typing import TYPE_CHECKING, Any

import choices
import gi
import pixels
from words import _

gi.require_version("Gimp", "3.0")
gi.require_version("GimpUi", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import GdkPixbuf, Gimp, GimpUi, GLib, Gtk, Pango  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    import link
    from facts import Facts

PREVIEW_PX = 384
"""The preview's longer side."""
SETTLE_MS = 250
"""A preview begins when no control has moved for so long."""
POLL_MS = 40
LET_GO_S = 1.0
"""A closed dialog's process waits no longer than this for its preview to be given up."""
GAP = 6
CAPTION_LINES = 3
LOOKS = ("preset", "layer", "finest", "octaves", "iterations", "step", "smooth", "jitter", "strength", "seed")
"""Arguments that decide what the picture looks like."""
ARGUMENTS = (*LOOKS, "output")
SLIDERS = {
    "finest": (32, 2048, 100_000, 16, 2.0),
    "octaves": (0, 12, 40, 1, 1.0),
    "iterations": (1, 50, 1000, 1, 1.0),
    "step": (0.01, 10, 100, 0.1, 1.0),
    "smooth": (0, 5, 20, 0.1, 1.0),
    "jitter": (0, 64, 512, 1, 1.0),
    "strength": (0, 1, 1, 0.01, 1.0),
}
"""Lowest, the slider's right end, what can be typed at most, the step of an arrow key, the slider's bend.

Below the lowest lies what means "as the preset says", which the dialog fills in itself.
"""
WORDS = {"finest": (choices.FULL, _("full")), "octaves": (choices.AUTO, _("auto"))}
"""Numbers that are shown as words."""


def asked(
    procedure: Gimp.Procedure,
    config: Gimp.ProcedureConfig,
    drawable: Gimp.Drawable,
    part: pixels.Selected,
    facts: Facts,
) -> bool:
    """Show the dialog; say whether the person wants the dream. `config` then holds what was chosen."""
    GimpUi.init("deepdream")
    dialog = _Dialog(procedure, config, drawable, part, facts)
    wanted = False
    try:
        wanted = dialog.run()
    finally:
        dialog.close(patiently=not wanted)
    return wanted


class _Dialog:
    """The window and what ties its controls to each other."""

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
        """Take the window away, then the preview's job; `patiently`: see that the helper hears of it."""
        self._config.disconnect(self._handler)
        if self._settling:
            GLib.source_remove(self._settling)
        self._dialog.destroy()
        while Gtk.events_pending():
            Gtk.main_iteration()
        self._preview.end(LET_GO_S if patiently else 0.0)

    # --- the controls

    def _controls(self) -> Gtk.Box:
        box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=GAP)
        self._about = _label(2)
        self._about.set_width_chars(36)
        for widget in (self._choice("preset"), self._about, self._choice("layer"), *map(self._slider, SLIDERS)):
            box.pack_start(widget, False, False, 0)
        box.pack_start(self._seed(), False, False, 0)
        box.pack_start(self._choice("output"), False, False, 0)
        return box

    def _choice(self, name: str) -> Gtk.Box:
        """Return a list to choose from, with its label."""
        return self._labelled(name, GimpUi.prop_choice_combo_box_new(self._config, name))

    def _labelled(self, name: str, widget: Gtk.Widget, *more: Gtk.Widget) -> Gtk.Box:
        """Return a row: the argument's label, as wide as all of them, what it is for, and more of it."""
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

    def _slider(self, name: str) -> Gtk.Widget:
        """Return GIMP's usual bar for a number."""
        lowest, right_end, most, arrow, bend = SLIDERS[name]
        widget = self._dialog.get_spin_scale(name, 1.0)
        widget.set_range(lowest, most)
        widget.set_scale_limits(lowest, right_end)
        widget.set_increments(arrow, 10 * arrow)
        widget.set_gamma(bend)
        if isinstance(arrow, float):
            widget.set_digits(2)
        widget.set_activates_default(True)
        if name in WORDS:
            number, word = WORDS[name]
            widget.set_numeric(False)
            widget.set_update_policy(Gtk.SpinButtonUpdatePolicy.IF_VALID)
            widget.connect("output", _in_words, number, word)
        return widget

    def _seed(self) -> Gtk.Box:
        dice = Gtk.Button()
        dice.set_tooltip_text(_("Another seed"))
        dice.get_accessible().set_name(_("Another seed"))
        dice.set_image(Gtk.Image.new_from_pixbuf(_dice(dice.get_style_context().get_color(Gtk.StateFlags.NORMAL))))
        dice.connect("clicked", lambda _button: self._config.set_property("seed", GLib.random_int_range(1, 100_000)))
        number = GimpUi.prop_spin_button_new(self._config, "seed", 1, 100, 0)
        number.set_activates_default(True)
        return self._labelled("seed", number, dice)

    # --- what depends on what

    def _arguments(self) -> dict[str, Any]:
        return {name: self._config.get_property(name) for name in ARGUMENTS}

    def _resolve(self, arguments: dict[str, Any]) -> None:
        """Put the preset's own values where these arguments say "as the preset says"."""
        for name, value in choices.resolved(arguments, self._facts).items():
            if self._config.get_property(name) != value:
                self._config.set_property(name, value)

    def _changed(self, _config: Gimp.ProcedureConfig, _parameter: Any) -> None:
        """Wait until everything is set that is set at once: a Reset and GIMP's saved settings set one after the other."""
        if not self._settling:
            self._settling = GLib.idle_add(self._settle, priority=GLib.PRIORITY_HIGH_IDLE)

    def _settle(self) -> bool:
        if self._settling:
            GLib.source_remove(self._settling)
            self._settling = 0
        arguments = self._arguments()
        if choices.touched(self._before, arguments) == ("preset",):  # chosen by hand: all that it says
            kept = {name: arguments[name] for name in ("seed", "output")}
            arguments = {**choices.as_preset(arguments["preset"]), **kept}
        with self._config.handler_block(self._handler):
            self._resolve(arguments)
        now = self._arguments()
        touched, self._before = choices.touched(self._before, now), now
        self._describe()
        if set(touched) & set(LOOKS):
            self._preview.restart()
        return False

    def _describe(self) -> None:
        about = _(self._facts.presets[self._config.get_property("preset")]["description"])
        self._about.set_text(about[:1].upper() + about[1:])
        self._about.set_tooltip_text(about)


def _label(lines: int) -> Gtk.Label:
    """Return a label that always takes the room of so many lines, so that no text makes the window jump."""
    label = Gtk.Label(xalign=0, yalign=0, wrap=True, lines=lines, ellipsize=Pango.EllipsizeMode.END, max_width_chars=36)
    label.set_size_request(-1, lines * label.create_pango_layout("Äg").get_pixel_size()[1])
    return label


def _in_words(widget: Gtk.SpinButton, number: int, word: str) -> bool:
    """Show one number as a word."""
    if widget.get_value_as_int() != number:
        return False
    if widget.get_text() != word:
        widget.set_text(word)
    return True


def _dice(colour: Any) -> GdkPixbuf.Pixbuf:
    """Return a picture of a die, in the text's colour; not every font has one."""
    side, edge = 16, 1
    pips = {(x, y) for x in (4, 11) for y in (4, 11)} | {(7.5, 7.5)}
    samples = bytearray()
    for y in range(side):
        for x in range(side):
            border = min(x, y, side - 1 - x, side - 1 - y) < edge
            corner = (x in (0, side - 1)) and (y in (0, side - 1))
            pip = any(abs(x - a) <= 1 and abs(y - b) <= 1 for a, b in pips)
            opaque = 255 if (border and not corner) or pip else 0
            samples += bytes([round(255 * colour.red), round(255 * colour.green), round(255 * colour.blue), opaque])
    return _pixbuf(bytes(samples), side, side, 4)


def _pixbuf(samples: bytes, width: int, height: int, channels: int) -> GdkPixbuf.Pixbuf:
    return GdkPixbuf.Pixbuf.new_from_bytes(
        GLib.Bytes.new(samples), GdkPixbuf.Colorspace.RGB, channels == 4, 8, width, height, width * channels
    )


class Preview:
    """A small picture of what is selected that turns into its dream, octave by octave."""

    def __init__(
        self, drawable: Gimp.Drawable, part: pixels.Selected, facts: Facts, arguments: Callable[[], dict[str, Any]]
    ) -> None:
        self._drawable, self._region = drawable, part.inner
        self._facts, self._arguments = facts, arguments
        self._channels = pixels.channels(drawable)
        self._small, self._width, self._height = b"", 0, 0
        self._job: link.Dreaming | None = None
        self._sources: dict[str, int] = {}
        scale = PREVIEW_PX / max(self._region.width, self._region.height)
        self._image = Gtk.Image()
        self._image.set_size_request(PREVIEW_PX, max(PREVIEW_PX * 2 // 3, round(self._region.height * scale)))
        frame = Gtk.Frame(shadow_type=Gtk.ShadowType.IN)
        frame.add(self._image)
        self._bar = Gtk.ProgressBar()
        self._caption = _label(CAPTION_LINES)
        self.widget = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=GAP)
        self.widget.pack_start(frame, True, True, 0)
        self.widget.pack_start(self._bar, False, False, 0)
        self.widget.pack_start(self._caption, False, False, 0)

    def begin(self) -> None:
        """Once the window is there: read the layer, show it as it is, and start to dream."""
        self._say(_("Reading the layer …"))
        self._later("begin", GLib.idle_add, self._read, priority=GLib.PRIORITY_LOW)

    def restart(self) -> None:
        """Stop what is being dreamed, and start anew once the controls rest."""
        self._drop()
        if self._small:
            self._later("start", GLib.timeout_add, SETTLE_MS, self._start)

    def end(self, patience_s: float) -> None:
        """Stop for good; wait so long at most for the helper to hear of it."""
        for name in list(self._sources):
            GLib.source_remove(self._sources.pop(name))
        job = self._drop()
        end = time.monotonic() + patience_s
        with contextlib.suppress(queue.Empty):
            while job is not None and (left := end - time.monotonic()) > 0:
                if job.messages.get(timeout=left).kind in ("done", "failed"):
                    return

    def _later(self, name: str, add: Callable[..., int], *arguments: Any, **options: Any) -> None:
        """Have something called by the main loop, instead of what waits under this name."""
        if name in self._sources:
            GLib.source_remove(self._sources.pop(name))
        *given, call = arguments

        def once() -> bool:
            again = bool(call())
            if not again:
                self._sources.pop(name, None)
            return again

        self._sources[name] = add(*given, once, **options)

    def _drop(self) -> link.Dreaming | None:
        job, self._job = self._job, None
        if job is not None:
            job.cancel()
        return job

    def _read(self) -> bool:
        self._small, self._width, self._height = pixels.read_small(self._drawable, self._region, PREVIEW_PX)
        self._show(self._small)
        self._start()
        return False

    def _start(self) -> bool:
        settings = choices.settings_of(self._arguments(), self._facts)
        self._bar.set_fraction(0)
        if settings["strength"] == 0:
            self._show(self._small)
            self._say(_("Strength 0 leaves the layer as it is."))
            return False
        self._say(_("Preview …"))
        import link  # the window stands the sooner

        shape = (self._height, self._width, self._channels)
        self._job = link.Dreaming(
            self._facts, self._small, "uint8", shape, settings, priority="preview", label=_("preview"), previews=True
        )
        self._job.start()
        self._later("poll", GLib.timeout_add, POLL_MS, self._poll)
        return False

    def _poll(self) -> bool:
        """Hear what the job has told; return whether to come again."""
        with contextlib.suppress(queue.Empty):
            while self._job is not None:
                self._hear(self._job.messages.get_nowait())
        return self._job is not None

    def _hear(self, told: link.Told) -> None:
        data = told.data
        if told.kind in ("picture", "done"):
            self._show(data)
        if told.kind == "starting":
            self._say(_("Starting the DeepDream helper …"))
        elif told.kind == "queued" and data["position"] > 1:
            self._say(_("Preview: waiting, {count} before it").format(count=data["position"] - 1))
        elif told.kind == "note":
            self._say(data["text"][:1].upper() + data["text"][1:])
        elif told.kind == "progress":
            self._bar.set_fraction(data["fraction"])
            self._say(_("Preview: octave {octave} of {octaves}, step {iteration} of {iterations}").format(**data))
        elif told.kind == "done":
            self._bar.set_fraction(1)
            size = {"width": self._region.width, "height": self._region.height}
            whole = max(self._region.width, self._region.height) <= PREVIEW_PX
            text = _("Preview of {width} × {height} px") if whole else _(
                "Preview of {width} × {height} px at {percent} %: the dream's figures will be smaller in it"
            )  # fmt: skip
            self._say(text.format(percent=round(100 * self._width / self._region.width), **size))
            self._job = None
        elif told.kind == "failed":
            self._bar.set_fraction(0)
            self._show(self._small)
            self._say(str(data))
            self._job = None

    def _say(self, text: str) -> None:
        self._caption.set_text(text)
        self._caption.set_tooltip_text(text)

    def _show(self, samples: bytes | bytearray) -> None:
        """Show uint8 samples: gray as three equal channels, transparency on a chequerboard, small pictures enlarged."""
        width, height, alpha = self._width, self._height, self._channels in (2, 4)
        rgb = samples
        if self._channels < 3:
            rgb = bytearray(width * height * (3 + alpha))
            for channel in range(3):
                rgb[channel :: 3 + alpha] = samples[0 :: self._channels]
            if alpha:
                rgb[3::4] = samples[1::2]
        pixbuf = _pixbuf(bytes(rgb), width, height, 3 + alpha)
        times = max(1, PREVIEW_PX // max(width, height))
        if alpha or times > 1:
            size = (width * times, height * times)
            pixbuf = pixbuf.composite_color_simple(*size, GdkPixbuf.InterpType.NEAREST, 255, 8, 0x999999, 0x666666)
        self._image.set_from_pixbuf(pixbuf)
