"""The dialog's preview: what is dreamed when, while the dialog is open, and what is said about it.

First a small copy of the selection is dreamed, which is there at once but has patterns too large. Then the layer itself
is dreamed at its real size, in the background: that is the job that OK takes over. Where that takes long, a part that one
looks at closely is dreamed by itself meanwhile.
"""

from __future__ import annotations

import contextlib
import queue
import time
from typing import TYPE_CHECKING, Any

import canvas
import gi
import guides
import opacity
import pixels
import widgets
from order import Begun, Order
from plugin_errors import PluginError
from shown import SMALL_PX, Shown
from sight import Box
from words import _, capitalized, ngettext

gi.require_version("Gimp", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import Gimp, GLib, Gtk  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import jobs
    from facts import Facts
    from growing import Growing
    from order import Ordered

SETTLE_MS = 250
"""A dream begins when no control has moved for this long, and what is seen is fetched when it has stopped moving."""
POLL_MS = 40
GAP = 6
CAPTION_LINES = 3
LARGEST_BYTES = 600_000_000
"""Larger layers are not sent to the helper before OK."""


class Preview:
    """A picture of the selection that turns into its dream, octave by octave."""

    def __init__(
        self, drawable: Gimp.Drawable, part: pixels.Selected, facts: Facts, arguments: Callable[[], dict[str, Any]],
        ordered: Ordered,
    ) -> None:  # fmt: skip
        self._image, self._drawable, self.part = drawable.get_image(), drawable, part
        self._facts, self._arguments, self._ordered = facts, arguments, ordered
        self._settings: dict[str, Any] = {}
        self._guides: list[jobs.Guide] = []
        self._small: jobs.Dreaming | None = None
        self._whole: Growing | None = None
        self._order: Order | None = None
        self._opacity = 1.0
        self._finished = self._paused = self._behind = False
        self._as_read: tuple[pixels.Selected, int, str] | None = None
        self._close: tuple[jobs.Dreaming, pixels.Region] | None = None
        self._sources: dict[str, int] = {}
        self._shown = Shown(drawable, part, self._seen)
        self._bar = Gtk.ProgressBar()
        self._caption = widgets.label(CAPTION_LINES)
        below = Gtk.Box(orientation=Gtk.Orientation.HORIZONTAL, spacing=GAP)
        below.pack_start(self._shown.overview, False, False, 0)
        below.pack_start(self._caption, True, True, 0)
        self.widget = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=GAP)
        self.widget.pack_start(self._shown.widget, True, True, 0)
        for row in (self._shown.buttons, self._bar, below):
            self.widget.pack_start(row, False, False, 0)

    def begin(self) -> None:
        """Read the layer once the window is open, show it, and start to dream."""
        self._say(_("Reading the layer …"))
        self._later("begin", GLib.idle_add, self._read, priority=GLib.PRIORITY_LOW)

    def restart(self) -> None:
        """Stop the current dreams, and start again once no control moves."""
        self._drop()
        if self._shown.small:
            self._later("start", GLib.timeout_add, SETTLE_MS, self._start)

    def reconsider(self) -> None:
        """Start again where OK dreams something else now: the preset was edited, or an opacity can be the strength."""
        try:
            same = self._ordered(self._arguments())[1] == self._settings
            if same and self._order is not None:
                same = self._dreamed()[0] == self._order.settings
        except PluginError:
            same = False
        if not same:
            self.restart()

    def pause(self) -> None:
        """Give up the preview's turn at the helper: a client's newer preview replaces its older one.

        The dream at its real size goes on in the background, which gives way by itself.
        """
        self._paused = True
        self._stop_close()
        if self._small is not None:
            self._drop()
            self._behind = True

    def resume(self) -> None:
        """Go on; a dream that was stopped or asked for meanwhile starts again."""
        behind, self._paused, self._behind = self._behind, False, False
        if not self.exists():
            return
        if behind:
            self.restart()
        elif self._whole is not None:
            self._look_closely()

    def exists(self) -> bool:
        """Return whether the layer is as it was read; say why it cannot be dreamed, or begin again where it is another."""
        found = self._found()
        if found and found != self._as_read:
            self.begin()
        return found is not None and found == self._as_read

    def look_again(self) -> None:
        """Begin again where something was done to the layer or the selection meanwhile."""
        self._later("look again", GLib.idle_add, self._compare, priority=GLib.PRIORITY_LOW)

    def _compare(self) -> bool:
        if self.exists() and not self._shown.is_current():
            self.begin()
        return False

    def _found(self) -> tuple[pixels.Selected, int, str] | None:
        """Return what of the layer is selected, its channels and their type; say why nothing is to be dreamed."""
        try:
            if not canvas.exists(self._image, self._drawable):
                raise PluginError(_("The layer no longer exists"), "", "gone")
            part = canvas.part_of(self._drawable)
        except PluginError as error:
            self._drop()
            self._as_read = None
            self._bar.set_fraction(0)
            self._say(str(error))
            return None
        return part, pixels.channels(self._drawable), pixels.sample_of(self._drawable)

    def handed_over(self) -> Begun | None:
        """Return the job that dreams the layer at its real size, if there is one, and leave it alone from now on."""
        self._poll()
        whole, self._whole = self._whole, None
        return None if whole is None or self._order is None else Begun(whole, self._order)

    def end(self, patience_s: float) -> None:
        """Stop for good; wait at most so long for the helper to confirm it."""
        for name in list(self._sources):
            GLib.source_remove(self._sources.pop(name))
        end = time.monotonic() + patience_s
        for job in self._drop():
            with contextlib.suppress(queue.Empty):
                while (left := end - time.monotonic()) > 0:
                    if job.messages.get(timeout=left).kind in ("done", "failed"):
                        break

    def _later(self, name: str, add: Callable[..., int], *arguments: Any, **options: Any) -> None:
        """Let the main loop call a function, in place of the one that waits under this name."""
        if name in self._sources:
            GLib.source_remove(self._sources.pop(name))
        *given, call = arguments

        def once() -> bool:
            again = bool(call())
            if not again:
                self._sources.pop(name, None)
            return again

        self._sources[name] = add(*given, once, **options)

    def _drop(self) -> list[jobs.Dreaming]:
        """Cancel all jobs and return them."""
        close = None if self._close is None else self._close[0]
        dropped = [job for job in (self._small, self._whole, close) if job is not None]
        for job in dropped:
            job.cancel()
        self._small, self._whole, self._order, self._close, self._finished = None, None, None, None, False
        for name in {"start", "whole"} & self._sources.keys():
            GLib.source_remove(self._sources.pop(name))
        return dropped

    def _poll(self) -> bool:
        """Handle the jobs' messages; return whether to poll again."""
        with contextlib.suppress(queue.Empty):
            while self._small is not None:
                self._on_small(self._small.messages.get_nowait())
        with contextlib.suppress(queue.Empty):
            while self._whole is not None:
                self._on_whole(self._whole.messages.get_nowait())
        with contextlib.suppress(queue.Empty):
            while self._close is not None:
                job, region = self._close
                self._on_close(job.messages.get_nowait(), region)
        return any(job is not None for job in (self._small, self._whole, self._close))

    def _on_wait(self, message: jobs.Message) -> None:
        """Say what a job waits for."""
        if message.kind == "starting":
            self._say(_("Starting the DeepDream helper …"))
        elif message.kind == "queued" and message.data["position"] > 1:
            ahead = message.data["position"] - 1
            text = ngettext("Preview: waiting, {count} dream ahead", "Preview: waiting, {count} dreams ahead", ahead)
            self._say(text.format(count=ahead))
        elif message.kind == "note":
            text = message.data["text"]
            self._say(capitalized(text))

    def _say(self, text: str) -> None:
        self._caption.set_text(text)
        self._caption.set_tooltip_text(text)

    # --- the small copy

    def _read(self) -> bool:
        self._as_read = self._found()
        if self._as_read:
            self._drop()
            self.part = self._as_read[0]
            self._shown.read(self.part)
            self._start()
        return False

    def _start(self) -> bool:
        if not self.exists():
            return False
        if self._paused:
            self._behind = True
            return False
        arguments = self._arguments()
        self._bar.set_fraction(0)
        try:
            _target, self._settings = self._ordered(arguments)
            self._guides = guides.read(arguments, self._settings)
        except PluginError as error:
            self._shown.show_small(self._shown.small)
            self._say(str(error))
            return False
        if self._settings["strength"] == 0:
            self._shown.show_small(self._shown.small)
            self._say(_("Strength 0 leaves the layer as it is."))
            return False
        self._say(_("Preview …"))
        width, height = self._shown.small_size
        self._small = self._dreaming(self._shown.small, "uint8", (height, width), self._settings)
        return False

    def _dreaming(
        self, samples: bytes | bytearray, dtype: str, size: tuple[int, int], settings: dict[str, Any]
    ) -> jobs.Dreaming:
        """Return a preview's job that has been started; `size` is height and width."""
        import jobs  # late: the window opens sooner without it

        job = jobs.Dreaming(
            self._facts, samples, dtype, (*size, self._shown.channels), settings, priority="preview", guides=self._guides,
            label=_("preview"), previews=True,
        )  # fmt: skip
        job.start()
        self._later("poll", GLib.timeout_add, POLL_MS, self._poll)
        return job

    def _on_small(self, message: jobs.Message) -> None:
        data = message.data
        if message.kind in ("picture", "done"):
            self._shown.show_small(data)
        if message.kind == "progress":
            self._bar.set_fraction(data["fraction"])
            self._say(_("Preview: octave {octave} of {octaves}, step {iteration} of {iterations}").format(**data))
        elif message.kind == "done":
            self._small = None
            self._bar.set_fraction(1)
            width, height = self.part.inner.width, self.part.inner.height
            text = _("Preview of {width} × {height} px") if max(width, height) <= SMALL_PX else _(
                "Preview of {width} × {height} px at {percent} %: patterns will be smaller in the result"
            )  # fmt: skip
            percent = round(100 * self._shown.small_size[0] / width)
            self._say(text.format(width=width, height=height, percent=percent))
            steps = self._reading()
            self._later("whole", GLib.idle_add, lambda: next(steps, False), priority=GLib.PRIORITY_LOW)
        elif message.kind == "failed":
            self._small = None
            self._bar.set_fraction(0)
            self._shown.show_small(self._shown.small)
            self._say(str(data))
        else:
            self._on_wait(message)

    # --- the whole at its real size

    def _dreamed(self) -> tuple[dict[str, Any], bool]:
        """Return the settings with which OK dreams, and whether it then shows that at an opacity, the strength."""
        target, settings = self._ordered(self._arguments())
        return opacity.ordered(target(), settings)

    def _reading(self) -> Iterator[bool]:
        """Read the layer piece by piece, so that the window stays alive, and then dream it."""
        outer = self.part.outer
        if outer.width * outer.height * self._shown.channels * 4 > LARGEST_BYTES or not self.exists():
            return
        samples = bytearray()
        for piece in pixels.pieces(self._drawable, outer):
            samples += piece
            yield True
            if not self.exists():
                return
        try:
            settings, carried = self._dreamed()
        except PluginError as error:
            self._say(str(error))
            return
        self._opacity = self._settings["strength"] if carried else 1.0
        self._order = Order.of(self._drawable.get_image(), self._drawable, self.part, settings, self._guides, samples)
        from growing import Growing

        shape = (outer.height, outer.width, self._shown.channels)
        self._whole = Growing(
            self._facts, samples, shape, settings, guides=self._guides, label=_("preview"), view=self._shown.view
        )
        self._whole.start()
        self._later("poll", GLib.timeout_add, POLL_MS, self._poll)
        self._look_closely()

    def _on_whole(self, message: jobs.Message) -> None:
        data = message.data
        if message.kind in ("seen", "finished") and not self.exists():
            return
        if message.kind == "seen" and (self._close is None or self._finished):
            view, samples = data
            outer, (width, height) = self.part.outer, view.size
            part = pixels.Region(outer.x + view.x, outer.y + view.y, view.width, view.height)
            self._shown.show(part, samples, width, height, "u8", self._opacity)
        elif message.kind == "progress":
            self._bar.set_fraction(data["fraction"])
            if self._close is None:
                text = _("At its real size: octave {octave} of {octaves}, step {iteration} of {iterations}")
                self._say(text.format(**data))
        elif message.kind == "finished":
            self._finished = True
            self._bar.set_fraction(1)
            self._stop_close()
            width, height = self.part.inner.width, self.part.inner.height
            self._say(_("This is what OK makes: {width} × {height} px").format(width=width, height=height))
        elif message.kind == "failed":
            self._whole, self._order = None, None
            self._bar.set_fraction(0)
            self._say(str(data))
        elif self._close is None:
            self._on_wait(message)

    # --- what one looks at

    def _seen(self) -> None:
        self._later("look", GLib.timeout_add, SETTLE_MS, self._fetch)

    def _fetch(self) -> bool:
        """Fetch what is seen now."""
        if self._shown.small and self.exists():
            self._shown.sharpen()
            if self._whole is not None:
                self._whole.show(self._shown.view)
                self._look_closely()
        return False

    def _look_closely(self) -> None:
        """Dream the part that is seen by itself, where the whole takes long."""
        seen, outer = self._shown.region, self.part.outer
        if self._paused or self._finished or (self._close is not None and self._close[1].contains(seen)):
            return
        if not self.exists():
            return
        self._stop_close()
        import apart

        where = Box(seen.x - outer.x, seen.y - outer.y, seen.width, seen.height)
        found = apart.apart((outer.height, outer.width), self._settings, where)
        if found is not None:
            box, settings = found
            region = pixels.Region(outer.x + int(box.x), outer.y + int(box.y), int(box.width), int(box.height))
            samples = pixels.read(self._drawable, region)
            self._close = self._dreaming(samples, "float32", (region.height, region.width), settings), region

    def _stop_close(self) -> None:
        if self._close is not None:
            self._close[0].cancel()
            self._close = None

    def _on_close(self, message: jobs.Message, region: pixels.Region) -> None:
        data = message.data
        if message.kind in ("picture", "done") and not self.exists():
            return
        if message.kind in ("picture", "done"):
            self._shown.show(region, data, region.width, region.height, "float")
        if message.kind == "progress":
            text = _("This part by itself: octave {octave} of {octaves}, step {iteration} of {iterations}")
            self._say(text.format(**data))
        elif message.kind == "done":
            self._say(_("This part was dreamed without what is around it: in the whole it will differ a little"))
        elif message.kind == "failed":
            self._close = None
            self._say(str(data))
