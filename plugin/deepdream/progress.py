"""GIMP's progress bar over dreams that follow each other."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING

import gi
from words import _, ngettext

gi.require_version("Gimp", "3.0")
from gi.repository import Gimp, GLib  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    import jobs

POLL_S = 0.1


class Progress:
    """The progress of `count` dreams as one."""

    def __init__(self, count: int) -> None:
        self._count, self._done = count, 0
        Gimp.progress_init(_("DeepDream"))

    def follow(self, job: jobs.Dreaming, seen: Callable[[bytes], None] | None = None) -> bytearray:
        """Show a job's progress until it ends; return the picture, or raise its `PluginError`.

        `seen` gets the pictures so far, of a job that brings them.
        GIMP's Cancel kills this process; the helper then stops the job by itself.
        """
        while True:
            try:
                message = job.messages.get(timeout=POLL_S)
            except queue.Empty:
                while GLib.MainContext.default().iteration(False):
                    pass
                continue
            if message.kind == "done":
                picture: bytearray = message.data
                self._done += 1
                return picture
            if message.kind == "failed":
                raise message.data
            if message.kind == "picture" and seen:
                seen(message.data)
            self._show(message)

    def _show(self, message: jobs.Message) -> None:
        data = message.data
        if message.kind == "starting":
            self._say(_("Starting the DeepDream helper …"))
            Gimp.progress_pulse()
        elif message.kind == "queued":
            ahead = data["position"] - 1
            waiting = ngettext("Waiting: {count} dream ahead", "Waiting: {count} dreams ahead", ahead)
            self._say(waiting.format(count=ahead) if ahead else _("Preparing …"))
            Gimp.progress_pulse()
        elif message.kind == "running":
            self._say(_("Dreaming on {name}").format(name=data["name"]))
        elif message.kind == "progress":
            left = data["left_s"]
            text = _("Octave {octave} of {octaves}, step {iteration} of {iterations}").format(**data)
            if left is not None:
                text += _(", {time} left").format(time=clock(left))
            self._say(text)
            Gimp.progress_update((self._done + data["fraction"]) / self._count)

    def _say(self, text: str) -> None:
        if self._count > 1:
            text = _("Layer {number} of {count}: {text}").format(number=self._done + 1, count=self._count, text=text)
        Gimp.progress_set_text(text)


def clock(seconds: float) -> str:
    """Return a duration as people write it: `42 seconds`, `3:05 min`."""
    if round(seconds) < 60:
        whole = max(1, round(seconds))
        return ngettext("{count} second", "{count} seconds", whole).format(count=whole)
    return _("{minutes}:{seconds:02} min").format(minutes=round(seconds) // 60, seconds=round(seconds) % 60)
