"""One attempt at a picture: read it, have it dreamed, write the result, deliver result and original."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from deepdream_core.errors import DeepDreamError, PictureError
from deepdream_core.hotfolder import delivery, hidden_folder
from deepdream_core.hotfolder.duplicates import dream_key, dreamed_before, ending_of
from deepdream_core.hotfolder.ending import Ending
from deepdream_core.hotfolder.moves import sha256_of
from deepdream_core.hotfolder.originals import put_away
from deepdream_core.hotfolder.scanning import look
from deepdream_core.hotfolder.task import Outcome, Stopped
from deepdream_core.hotfolder.unfinished import note_beside
from deepdream_core.photo import WriteOptions, check_target, read_photo, write_photo
from deepdream_core.work.frames import dream_photo
from deepdream_core.work.guides import GuideFiles
from deepdream_core.work.recipe import make_recipe
from deepdream_core.work.reporter import Observer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from deepdream_core.engine.progress import Progress
    from deepdream_core.hotfolder.journal import Entry, Journal
    from deepdream_core.hotfolder.task import Task
    from deepdream_core.photo import Photo
    from deepdream_core.work.backend import Backend

_TAIL = 4096


class Attempt(Observer):
    """One attempt at a picture, in a thread of its own; other threads may read `stage` and `fraction` at any time.

    `engine` returns the thread's helper; `stop` returns whether the program is ending. `guides` reads the guides, for all
    attempts.
    """

    def __init__(
        self, task: Task, journal: Journal, engine: Callable[[], Backend], stop: Callable[[], bool],
        say: Callable[[str], None], guides: GuideFiles | None = None,
    ) -> None:  # fmt: skip
        self.task = task
        self._journal, self._engine, self._stop, self._say = journal, engine, stop, say
        self._ending = Ending(task, journal, say)
        self._guides = guides or GuideFiles()
        self._pictures: Sequence[NDArray[np.float32]] = ()
        self.stage = "reading"
        self.fraction = 0.0
        self.began = time.monotonic()

    def run(self) -> Outcome:
        """Dream the picture and deliver it; an error or a fault is an `Outcome`, too."""
        try:
            try:
                return self._dream_and_deliver()
            except Stopped:
                return self._ending.put_off("stopped")
            except OSError as error:
                return self._ending.by_os_error(error, reading=self.stage == "reading")
            except DeepDreamError as error:
                return self._ending.by_error(error)
        except BaseException as error:  # a fault of the program, or a decoder that panics: the others must continue
            return self._ending.by_fault(error)

    def _dream_and_deliver(self) -> Outcome:  # noqa: PLR0911 - one for each way it can end
        try:
            settings, self._pictures = self._guides.read(self.task.settings, max_megapixels=self.task.max_megapixels)
        except PictureError as error:
            return Outcome(self.task, "guide", str(error))
        task = self.task = replace(self.task, settings=settings)
        layout, path = task.layout, task.found.path
        if task.found.size > layout.settings.max_file_mb * 1e6:
            self._ending.entry = self._journal.take(layout.root, task.found, "")
            raise PictureError(
                f"{path}: larger than max_file_mb", "raise max_file_mb in config.yaml, or make the file smaller"
            )
        if (note := note_beside(path)) is not None:
            return Outcome(task, "wait", f"a download is not finished: {note.name} is beside it")
        sha256 = sha256_of(path)
        if self._has_changed():
            return Outcome(task, "changed")
        entry = self._ending.entry = self._journal.take(layout.root, task.found, sha256)
        if task.patient and task.shared and _ends_in_zeros(path):
            return self._ending.put_off("wait", "it ends in zeros, like an incomplete copy")
        photo = read_photo(path, max_megapixels=task.max_megapixels, white=layout.settings.white)
        if photo.sha256 != sha256 or self._has_changed():
            return self._ending.put_off("changed", "has changed")
        entry = self._ending.entry = self._journal.note(entry, "taken", deaths=0)
        if photo.recipe is not None:
            entry = self._journal.note(entry, "known", why="is already a dream")
            return Outcome(task, "dream", "is already a dream", entry)
        self.stage = "waiting for the helper"
        engine = self._engine()
        key = dream_key(task.settings, engine.weights.sha256, photo.white)
        other = self._journal.claim(entry, key)  # before the next question, whose answer could change otherwise
        if (known := dreamed_before(self._journal, task, entry, key, photo)) is not None:
            why = f"the same picture has already been dreamed: {known}"
            return Outcome(task, "known", why, put_away(self._journal, layout, entry, "known", why))
        if other is not None:
            return self._ending.put_off(
                "wait", f"DeepDream is dreaming the same picture from another file: {other.name}"
            )
        return self._dream(photo, engine, entry)

    def _dream(self, photo: Photo, engine: Backend, entry: Entry) -> Outcome:
        task = self.task
        folder = self._ending.folder = hidden_folder.prepare(task.layout, entry)
        target = folder / f"dream{ending_of(photo)}"
        options = WriteOptions()
        check_target(photo, target, options, overwrite=False, recipe=True, will_change=task.settings.strength > 0)
        engine.label = task.found.path.name
        dreamed, tile_px, used = dream_photo(photo, target, task.settings, engine, self, guides=self._pictures)
        del photo  # a large picture is not kept twice while it is encoded
        self.stage = "writing"
        recipe = make_recipe(
            dreamed, used, engine, asked=task.settings, preset=task.preset, preset_changed=task.preset_changed, mask=None,
            tile_px=tile_px, private=False,
        )  # fmt: skip
        write_photo(dreamed, target, options, recipe=recipe.text(), overwrite=False)
        del dreamed
        if self._stop():
            raise Stopped
        if self._has_changed(entry.sha256):
            return self._ending.put_off("changed", "changed while it was being dreamed")
        files = hidden_folder.staged_files(folder, task.found.path.stat().st_mode)
        self._ending.entry, self._ending.delivering = None, entry  # from here on, only `repair` may undo steps
        entry = delivery.deliver(self._journal, task.layout, entry, files, time.monotonic() - self.began)
        return Outcome(task, "failed" if entry.state == "failed" else "done", entry.why, entry)

    def _has_changed(self, sha256: str = "") -> bool:
        """Return whether the file has changed: by size and time, and by its content if only the inode has changed."""
        path, before = self.task.found.path, self.task.found
        found = look(path, self.task.layout.root)
        if found is None:
            raise FileNotFoundError(path)
        if found.version != before.version:
            return True
        return bool(sha256) and found.inode != before.inode and sha256_of(path) != sha256

    # --- what `dream_photo` reports

    def note(self, text: str) -> None:
        """Log a text for the user."""
        self._say(f"{self.task.found.path.name}: {text}")

    def progress(self, progress: Progress) -> None:
        """Take the progress of a step; raises `Stopped` when the program ends."""
        self.stage, self.fraction = "dreaming", progress.fraction
        if self._stop():
            raise Stopped


def _ends_in_zeros(path: Path) -> bool:
    """Return whether the last bytes are all zero: some programs reserve a file's full length first and fill it then."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        return not any(file.read(_TAIL))
