"""A dream at its real size that one looks at while it grows, and that OK takes over; no GIMP in it.

Standard library only and Python 3.9: GIMP brings its own Python. The helper works on it only while it has nothing else to
do, and keeps the result as long as the dialog is open. A screen needs few of its pixels, so only a view of them is fetched.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

import jobs
from connection import plugin_error
from plugin_errors import PluginError
from words import _

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from facts import Facts

    from deepdream_core.link import client
    from deepdream_core.link.view import View
else:  # the copy beside this file
    from link import client

SHARE = 4
"""Looking takes the helper's worker at most one part in so many of its time, as it works out all pixels for each view."""


class Growing(jobs.Dreaming):
    """A job as `jobs.Dreaming`, with float32 samples, which is looked at through `view`.

    `messages` has further kinds: `seen`, with a view and its uint8 samples, and `finished`, {}: the dream is complete, and
    `done` with the result follows after `take_over`.
    """

    def __init__(
        self,
        facts: Facts,
        pixels: bytearray,
        shape: tuple[int, int, int],
        settings: Mapping[str, Any],
        *,
        guides: Sequence[jobs.Guide],
        label: str,
        view: View,
    ) -> None:
        super().__init__(
            facts, pixels, "float32", shape, settings, priority="background", guides=guides, label=label, previews=True
        )
        self._view = view
        self._changed = threading.Condition()
        self._wanted, self._finished, self._taken = False, False, ""
        self._grows = False

    def show(self, view: View) -> None:
        """Look at another part from now on."""
        with self._changed:
            self._view, self._wanted = view, True
            self._changed.notify()

    def take_over(self, label: str, *, previews: bool = False) -> None:
        """Let the job go on as an interactive one under this label; `done` follows as from any other.

        With `previews`, whole pictures so far follow, too.
        """
        with self._changed:
            self._taken, self._forgets = label, False
            self._grows = previews
            self._changed.notify()
            now = self._finished
        if self._job is not None:
            threading.Thread(target=self._raise, args=(self._job, now), name="deepdream's OK", daemon=True).start()

    def _raise(self, job: client.HelperJob, finished: bool) -> None:
        try:
            job.change("interactive", self._taken)
            if finished:
                self._fetch(job)
        except Exception as error:  # a job always ends with a message
            self._send("failed", plugin_error(error), last=True)

    def _follow(self, job: client.HelperJob) -> None:
        if self._taken:  # before the helper had it
            job.change("interactive", self._taken)
        threading.Thread(target=self._look_on, args=(job,), name="deepdream's look", daemon=True).start()
        for event in job.events(jobs.SILENT_S, hold=True):
            self._hear(event, job)
            if event.name == "done" and self._now_finished():
                self._fetch(job)
        if not self._ended and not self._taken:  # it was held, and now the helper has let it go
            raise PluginError(_("the helper no longer has the dream"), _("try again"), "lost")

    def _now_finished(self) -> bool:
        """Record that the dream is complete; return whether its result is wanted already."""
        with self._changed:
            self._finished = self._wanted = True
            taken = bool(self._taken)
            self._changed.notify()
        if not taken:
            self._send("finished", {})
        return taken

    def _look(self, job: client.HelperJob) -> None:
        if self._grows:
            super()._look(job)
            return
        with self._changed:
            self._wanted = True
            self._changed.notify()

    def _look_on(self, job: client.HelperJob) -> None:
        """Fetch what is to be seen, until the job ends or is taken over."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted or self._taken or self._ended, jobs.LOOK_S)
                if self._taken or self._ended:
                    return
                if not self._wanted:
                    continue
                self._wanted, view = False, self._view
            began = time.monotonic()
            with contextlib.suppress(client.LinkError):  # the events report a lasting failure
                samples = job.view(view)
                if samples is not None and view == self._view:
                    self._send("seen", (view, bytes(samples)))
            self._looked_at = time.monotonic() + (SHARE - 1) * (time.monotonic() - began) - jobs.LOOK_S
