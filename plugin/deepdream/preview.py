"""The dialog's preview: a small copy of the selection that is dreamed while the dialog is open."""

from __future__ import annotations

import contextlib
import queue
import time
from typing import TYPE_CHECKING, Any

import choices
import gi
import pixels
import widgets
from words import _

gi.require_version("Gimp", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import GdkPixbuf, Gimp, GLib, Gtk  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    import jobs
    from facts import Facts

PREVIEW_PX = 384
"""The preview's longer side."""
SETTLE_MS = 250
"""A preview begins when no control has moved for this long."""
POLL_MS = 40
GAP = 6
CAPTION_LINES = 3


class Preview:
    """A small picture of the selection that turns into its dream, octave by octave."""

    def __init__(
        self, drawable: Gimp.Drawable, part: pixels.Selected, facts: Facts, arguments: Callable[[], dict[str, Any]]
    ) -> None:
        self._drawable, self._region = drawable, part.inner
        self._facts, self._arguments = facts, arguments
        self._channels = pixels.channels(drawable)
        self._small, self._width, self._height = b"", 0, 0
        self._job: jobs.Dreaming | None = None
        self._sources: dict[str, int] = {}
        scale = PREVIEW_PX / max(self._region.width, self._region.height)
        self._image = Gtk.Image()
        self._image.set_size_request(PREVIEW_PX, max(PREVIEW_PX * 2 // 3, round(self._region.height * scale)))
        frame = Gtk.Frame(shadow_type=Gtk.ShadowType.IN)
        frame.add(self._image)
        self._bar = Gtk.ProgressBar()
        self._caption = widgets.label(CAPTION_LINES)
        self.widget = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=GAP)
        self.widget.pack_start(frame, True, True, 0)
        self.widget.pack_start(self._bar, False, False, 0)
        self.widget.pack_start(self._caption, False, False, 0)

    def begin(self) -> None:
        """Read the layer once the window is open, show it, and start to dream."""
        self._say(_("Reading the layer …"))
        self._later("begin", GLib.idle_add, self._read, priority=GLib.PRIORITY_LOW)

    def restart(self) -> None:
        """Stop the current dream, and start again once no control moves."""
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

    def _drop(self) -> jobs.Dreaming | None:
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
        import jobs  # late: the window opens sooner without it

        shape = (self._height, self._width, self._channels)
        self._job = jobs.Dreaming(
            self._facts, self._small, "uint8", shape, settings, priority="preview", label=_("preview"), previews=True
        )
        self._job.start()
        self._later("poll", GLib.timeout_add, POLL_MS, self._poll)
        return False

    def _poll(self) -> bool:
        """Handle the job's messages; return whether to poll again."""
        with contextlib.suppress(queue.Empty):
            while self._job is not None:
                self._on_message(self._job.messages.get_nowait())
        return self._job is not None

    def _on_message(self, message: jobs.Message) -> None:
        data = message.data
        if message.kind in ("picture", "done"):
            self._show(data)
        if message.kind == "starting":
            self._say(_("Starting the DeepDream helper …"))
        elif message.kind == "queued" and data["position"] > 1:
            self._say(_("Preview: waiting, {count} ahead").format(count=data["position"] - 1))
        elif message.kind == "note":
            self._say(data["text"][:1].upper() + data["text"][1:])
        elif message.kind == "progress":
            self._bar.set_fraction(data["fraction"])
            self._say(_("Preview: octave {octave} of {octaves}, step {iteration} of {iterations}").format(**data))
        elif message.kind == "done":
            self._bar.set_fraction(1)
            size = {"width": self._region.width, "height": self._region.height}
            whole = max(self._region.width, self._region.height) <= PREVIEW_PX
            text = _("Preview of {width} × {height} px") if whole else _(
                "Preview of {width} × {height} px at {percent} %: patterns will be smaller in the result"
            )  # fmt: skip
            self._say(text.format(percent=round(100 * self._width / self._region.width), **size))
            self._job = None
        elif message.kind == "failed":
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
        picture = widgets.pixbuf(bytes(rgb), width, height, 3 + alpha)
        times = max(1, PREVIEW_PX // max(width, height))
        if alpha or times > 1:
            size = (width * times, height * times)
            picture = picture.composite_color_simple(*size, GdkPixbuf.InterpType.NEAREST, 255, 8, 0x999999, 0x666666)
        self._image.set_from_pixbuf(picture)
