"""How an attempt at a picture ends that does not succeed: put off, failed, set aside, or blamed on disk or helper."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from typing import TYPE_CHECKING

from deepdream_core.errors import (
    DamagedPictureError,
    DeepDreamError,
    DeviceError,
    HelperError,
    OutOfMemoryError,
    OutputError,
    WeightsError,
)
from deepdream_core.hotfolder import delivery, disk_errors, fault, hidden_folder
from deepdream_core.hotfolder.originals import set_aside
from deepdream_core.hotfolder.task import Outcome
from deepdream_core.hotfolder.unfinished import download_beside

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deepdream_core.hotfolder.journal import Entry, Journal
    from deepdream_core.hotfolder.task import Ended, Task

TRIES = 3
"""Number of tries for a picture that may be the cause of a failure; then it is set aside."""
_OPTION = re.compile(r"(^|\s)--?[a-z]")
_PICTURES_FAULT = ("poisonous", "too_large", "invalid", "settings", "picture")
"""The helper's codes for problems of one picture."""
_CLUSTERS = ("no_cluster", "cancelled", "version")
"""A cluster's codes for problems of no picture."""
_WORLD = (HelperError, DeviceError, WeightsError)


class Ending:
    """Ends an attempt. `entry` is the picture's entry in the journal, `delivering` its entry when delivery began.

    `folder` is the hidden folder of its result.
    """

    def __init__(self, task: Task, journal: Journal, say: Callable[[str], None]) -> None:
        self._task, self._journal, self._say = task, journal, say
        self.entry: Entry | None = None
        self.delivering: Entry | None = None
        self.folder: Path | None = None

    def by_os_error(self, error: OSError, *, reading: bool) -> Outcome:
        """End the attempt by an error of the disk; raises the error if it cannot come from a disk."""
        path = self._task.found.path
        if isinstance(error, PermissionError):
            return self.put_off("wait", f"no permission: {error.filename}")
        if isinstance(error, FileNotFoundError) and not os.path.lexists(path):
            return self.put_off("gone", "no longer exists")
        if error.errno not in disk_errors.DISK:
            raise error
        if error.errno == errno.EIO and reading:  # one file may have a bad sector; a lost disk fails for all
            return self.put_off("wait", f"cannot be read: {error.strerror}")
        return self.put_off("world", f"{error.filename or path}: {error.strerror or error}")

    def by_error(self, error: DeepDreamError) -> Outcome:
        """End the attempt by an error that the program expects."""
        try:
            return self._by_error(error)
        except OutputError as worse:  # `repair` continues from the journal's entry
            return Outcome(self._task, "world", str(worse), self.entry)

    def _by_error(self, error: DeepDreamError) -> Outcome:
        if isinstance(error, DamagedPictureError) and (why := self._why_more_time(error)):
            return self.put_off("wait", why)
        if isinstance(error, OutputError) and error.errno in disk_errors.DISK:
            step = disk_errors.advice(error.errno) if _OPTION.search(error.next_step) else error.next_step
            return self.put_off("world", f"{self._with_result(error.what)} — {step}")
        if self.entry is None:
            return self.put_off("world", str(error))
        code = getattr(error, "code", "")
        away = self._task.elsewhere and code in _CLUSTERS
        worlds = isinstance(error, _WORLD) and code not in _PICTURES_FAULT
        may_pass = isinstance(error, OutOfMemoryError) or code == "worker_died" or (worlds and self._task.elsewhere)
        if worlds and not may_pass:
            return self.put_off("world", str(error), everywhere=True)
        if away or (may_pass and self.entry.tries + 1 < TRIES):
            return self.put_off("wait", self._without_path(str(error)), tries=self.entry.tries + (not away))
        entry = delivery.fail(self._journal, self._task.layout, self.entry, self._sentences(error))
        return Outcome(self._task, "failed", self._without_path(self._with_result(error.what)), entry)

    def by_fault(self, error: BaseException) -> Outcome:
        """End the attempt by a fault of the program: try the picture again later, and in the end set it aside."""
        layout, path = self._task.layout, self._task.found.path
        why = fault.log(self._say, path, error)
        report = f"{why}.\nPlease report it, with the picture if you can."
        try:
            if self.delivering is not None:
                entry = delivery.give_up(self._journal, layout, self.delivering, report)
                return Outcome(self._task, "failed" if entry.state == "failed" else "done", why, entry)
            if self.entry is None:
                self.entry = self._journal.take(layout.root, self._task.found, "")
            if self.entry.tries + 1 < TRIES:
                return self.put_off("wait", why, tries=self.entry.tries + 1)
            return Outcome(self._task, "failed", why, delivery.fail(self._journal, layout, self.entry, report))
        except OutputError as worse:
            return Outcome(self._task, "world", str(worse), self.entry)
        except BaseException as worse:  # the same fault again
            fault.log(self._say, path, worse)
        try:
            if set_aside(layout, path, report) is not None:
                return Outcome(self._task, "failed", why)
        except BaseException as worse:
            fault.log(self._say, path, worse)
        if (known := self.entry or self.delivering) is not None:
            with contextlib.suppress(Exception):  # so that the file is left alone after a restart, too
                self._journal.note(known, "failed", original=None, why=report)
        return Outcome(self._task, "alone", why)

    def put_off(self, ended: Ended, why: str = "", *, everywhere: bool = False, tries: int | None = None) -> Outcome:
        """Undo the attempt, so that the picture can be tried again; the journal keeps the number of `tries`."""
        entry = self.entry
        if entry is not None and entry.state == "taken":
            hidden_folder.clear(self._task.layout, entry)
            more = {} if tries is None else {"tries": tries}
            try:
                entry = self._journal.note(entry, "waiting", why=why, deaths=0, **more)
            except OutputError as error:  # the journal's own disk
                return Outcome(self._task, "world", str(error), entry)
        return Outcome(self._task, ended, why, entry, everywhere)

    def _why_more_time(self, error: DamagedPictureError) -> str:
        """Return why an incomplete file gets more time, "" if it does not."""
        what = self._without_path(error.what)
        if (download := download_beside(self._task.found.path)) is not None:
            return f"{what}; the download {download.name} beside it is not finished"
        return what if self._task.patient else ""

    def _with_result(self, text: str) -> str:
        """Return a sentence that names the result instead of its hidden folder, which means nothing to people."""
        if self.folder is None:
            return text
        below = self._task.layout.relative(self._task.found.path)
        result = str(self._task.layout.out / below.with_suffix(""))
        return re.sub(rf"{re.escape(str(self.folder))}/dream\b", result, text)

    def _without_path(self, text: str) -> str:
        """Return a sentence without the file's path, which the line begins with anyway."""
        return text.removeprefix(f"{self._task.found.path}: ")

    def _sentences(self, error: DeepDreamError) -> str:
        step = "" if _OPTION.search(error.next_step) else error.next_step  # the hot folder has no command line
        parts = (self._without_path(self._with_result(error.what)), step)
        return "\n".join(f"{part[0].upper()}{part[1:].rstrip('.')}." for part in parts if part)
