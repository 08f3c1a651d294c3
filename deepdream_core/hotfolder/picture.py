"""One picture's way through the hot folder: read it, have it dreamed, write the result, deliver both."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from deepdream_core.errors import (
    DamagedPictureError,
    DeepDreamError,
    DeviceError,
    HelperError,
    OutOfMemoryError,
    OutputError,
    PictureError,
    WeightsError,
)
from deepdream_core.hotfolder import delivery, fault
from deepdream_core.hotfolder.moves import sha256_of
from deepdream_core.hotfolder.scanning import look
from deepdream_core.hotfolder.unfinished import download_beside, note_beside
from deepdream_core.photo import ENDINGS, FORMATS, WriteOptions, check_target, read_photo, write_photo
from deepdream_core.work.frames import dream_photo
from deepdream_core.work.recipe import make_recipe, recipe_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deepdream_core.engine.progress import Progress
    from deepdream_core.hotfolder.journal import Entry, Journal
    from deepdream_core.hotfolder.layout import Places
    from deepdream_core.hotfolder.scanning import Found
    from deepdream_core.photo import Photo
    from deepdream_core.settings import DreamSettings
    from deepdream_core.work.backend import Backend

_OPTION = re.compile(r"(^|\s)--?[a-z]")
TRIES = 3
"""What fails for a reason that may lie in the picture is tried so often before it is set aside."""
_TAIL = 4096
_FOR_GOOD = ("poisonous", "too_large", "invalid", "settings", "picture")
_DISKS = frozenset(
    getattr(errno, name, None)  # Windows knows fewer
    for name in (
        "ENOSPC", "EDQUOT", "EROFS", "EIO", "EACCES", "EPERM", "ENOENT", "ENOTDIR", "ENODEV", "ENXIO", "ESTALE", "ENOTCONN",
        "ETIMEDOUT", "EHOSTDOWN", "EBUSY", "EMFILE", "ENFILE", "ENOMEM",
    )
) - {None}  # fmt: skip
"""What the system says when it is the disk, the share or the machine, and no picture's fault."""
_WORLD = (HelperError, DeviceError, WeightsError)

Ended = Literal["done", "known", "failed", "alone", "dream", "wait", "gone", "changed", "world", "stopped"]


class Stopped(Exception):  # noqa: N818 - asked for, no fault
    """The program is ending."""


@dataclass(frozen=True)
class Work:
    """A picture to be dreamed: which file, as it was when it was taken, and how."""

    places: Places
    found: Found
    settings: DreamSettings
    preset: str | None
    max_megapixels: float
    patient: bool
    """Whether a file that cannot be decoded is given more time, since it may still be written."""
    shared: bool = False
    """Whether other machines may be writing it, of which this one's kernel knows nothing."""


@dataclass(frozen=True)
class Outcome:
    """What became of it: how it ended, why in a sentence, and what the journal says.

    | ended | |
    |---|---|
    | `done` `known` `failed` | the original has been put where it belongs |
    | `alone` | it cannot be put there either, and is left alone |
    | `dream` | it bears a recipe already and is left alone |
    | `wait` | it is to be tried again later |
    | `gone` `changed` | it is not there any more, or is another now |
    | `world` | not the picture's fault: the disk, the helper, the device |
    | `stopped` | the program is ending |
    """

    work: Work
    ended: Ended
    why: str = ""
    entry: Entry | None = None
    everywhere: bool = False
    """Whether the trouble is the helper's or the device's, and so all folders'."""


class Attempt:
    """One try at a picture, run by a thread; others may read `stage` and `fraction` meanwhile.

    `engine` opens the helper, for all pictures of the thread the same; `stop` says that the program is ending.
    """

    def __init__(
        self, work: Work, journal: Journal, engine: Callable[[], Backend], stop: Callable[[], bool],
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.work = work
        self._journal, self._engine, self._stop, self._say = journal, engine, stop, say
        self._entry: Entry | None = None
        self._delivered: Entry | None = None
        self._stage: Path | None = None
        self.stage = "reading"
        self.fraction = 0.0
        self.began = time.monotonic()

    def run(self) -> Outcome:
        """Do it; whatever happens is an `Outcome`."""
        try:
            return self._ran()
        except BaseException as error:  # a fault of the program, or a decoder that panics: the others must go on
            return self._faulty(error)

    def _ran(self) -> Outcome:  # noqa: PLR0911 - one for each kind of trouble
        try:
            return self._tried()
        except Stopped:
            return self._later("stopped", "")
        except PermissionError as error:
            return self._later("wait", f"no permission: {error.filename}")
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not os.path.lexists(self.work.found.path):
                return self._later("gone", "is not there any more")
            if error.errno not in _DISKS:
                raise
            if (
                error.errno == errno.EIO and self.stage == "reading"
            ):  # a bad sector is one file's; a disk that is gone, all's
                return self._later("wait", f"cannot be read: {error.strerror}")
            return self._later("world", f"{error.filename or self.work.found.path}: {error.strerror or error}")
        except DeepDreamError as error:
            try:
                return self._failed(error)
            except OutputError as worse:  # `repaired` goes on from what the journal says
                return Outcome(self.work, "world", str(worse), self._entry)

    # --- the way

    def _tried(self) -> Outcome:  # noqa: PLR0911 - one for each way it can end
        work, path, places = self.work, self.work.found.path, self.work.places
        if work.found.size > places.settings.max_file_mb * 1e6:
            self._entry = self._journal.take(places.root, work.found, "")
            raise PictureError(
                f"{path}: larger than max_file_mb", "raise max_file_mb in config.yaml, or make it smaller"
            )
        if (note := note_beside(path)) is not None:
            return Outcome(work, "wait", f"is still being downloaded, as {note.name} beside it says")
        sha256 = sha256_of(path)
        if self._changed():
            return Outcome(work, "changed")
        entry = self._entry = self._journal.take(places.root, work.found, sha256)
        if work.patient and work.shared and _ends_in_nothing(path):
            return self._later("wait", "its end is still empty, as of a copy that is not whole")
        photo = read_photo(path, max_megapixels=work.max_megapixels, white=places.settings.white)
        if photo.sha256 != sha256 or self._changed():
            return self._later("changed", "has changed")
        entry = self._entry = self._journal.note(entry, "taken", deaths=0)
        if photo.recipe is not None:
            entry = self._journal.note(entry, "known", why="is a dream already")
            return Outcome(work, "dream", "is a dream already", entry)
        self.stage = "waiting for the helper"
        engine = self._engine()
        key = _key(work.settings, engine.weights.sha256, photo.white)
        other = self._journal.claim(entry, key)  # before the next question, so that no answer can change meanwhile
        if (known := self._dreamed_before(entry, key, photo)) is not None:
            why = f"the same picture is dreamed already: {known}"
            return Outcome(work, "known", why, delivery.put_away(self._journal, places, entry, "known", why))
        if other is not None:
            return self._later("wait", f"the same picture is being dreamed: {other.name}")
        return self._dreamt(photo, engine, entry)

    def _dreamt(self, photo: Photo, engine: Backend, entry: Entry) -> Outcome:
        work = self.work
        stage = self._stage = delivery.prepared(work.places, entry)
        target = stage / f"dream{_ending(photo, work.found.path)}"
        options = WriteOptions()
        check_target(photo, target, options, overwrite=False, recipe=True, will_change=work.settings.strength > 0)
        engine.label = work.found.path.name
        dreamed, tile_px = dream_photo(photo, target, work.settings, engine, self)
        del photo  # a large picture is not kept twice while it is encoded
        self.stage = "writing"
        recipe = make_recipe(dreamed, work.settings, engine, preset=work.preset, preset_changed=False, mask=None,
                      tile_px=tile_px, private=False)  # fmt: skip
        write_photo(dreamed, target, options, recipe=recipe.text(), overwrite=False)
        del dreamed
        if self._stop():
            raise Stopped
        if self._changed(entry.sha256):
            return self._later("changed", "has changed while it was dreamed")
        files = delivery.staged(stage, work.found.path.stat().st_mode)
        self._entry, self._delivered = None, entry  # from here on, only `repaired` may go back
        entry = delivery.deliver(self._journal, work.places, entry, files, time.monotonic() - self.began)
        return Outcome(work, "failed" if entry.state == "failed" else "done", entry.why, entry)

    def _dreamed_before(self, entry: Entry, key: str, photo: Photo) -> Path | None:
        """Return the result of the same picture with the same settings and weights, if it is still there."""
        for known in self._journal.dreamed(entry.folder, entry.sha256, key):
            if known.id != entry.id and known.result is not None and known.result.is_file():
                return known.result
        return self._dreamed_by_another(key, photo)

    def _dreamed_by_another(self, key: str, photo: Photo) -> Path | None:
        """Return the result that lies in this picture's place if its recipe says that it is the same.

        So another machine's work is known, and one's own where the journal was lost.
        """
        places = self.work.places
        wanted = places.result_for(photo.path, _ending(photo, photo.path))
        if not wanted.is_file() or self._journal.of_place(places.root, wanted) is not None:
            return None
        try:
            recipe = recipe_of(wanted, max_megapixels=self.work.max_megapixels)
        except DeepDreamError:
            return None
        same = (
            recipe.source.sha256 == photo.sha256
            and _key(recipe.settings, recipe.weights.sha256, recipe.source.white) == key
        )
        return wanted if same and recipe.mask is None else None

    def _changed(self, sha256: str = "") -> bool:
        """Say whether it is another file by now: by size and time, and if only the inode is another, by its content."""
        path, was = self.work.found.path, self.work.found
        found = look(path, self.work.places.root)
        if found is None:
            raise FileNotFoundError(path)
        if found.version != was.version:
            return True
        return bool(sha256) and found.inode != was.inode and sha256_of(path) != sha256

    # --- what can go wrong

    def _failed(self, error: DeepDreamError) -> Outcome:
        if isinstance(error, DamagedPictureError) and (why := self._more_time(error)):
            return self._later("wait", why)
        if isinstance(error, OutputError) and error.errno in _DISKS:
            step = delivery.advice(error.errno) if _OPTION.search(error.next_step) else error.next_step
            return self._later("world", f"{self._in_out(error.what)} — {step}")
        if self._entry is None:
            return self._later("world", str(error))
        code = getattr(error, "code", "")
        maybe = isinstance(error, OutOfMemoryError) or code == "worker_died"
        if isinstance(error, _WORLD) and not maybe and code not in _FOR_GOOD:
            return self._later("world", str(error), everywhere=True)
        if maybe and self._entry.tries + 1 < TRIES:
            return self._later("wait", self._plainly(str(error)), tries=self._entry.tries + 1)
        entry = delivery.fail(self._journal, self.work.places, self._entry, self._sentences(error))
        return Outcome(self.work, "failed", self._plainly(self._in_out(error.what)), entry)

    def _faulty(self, error: BaseException) -> Outcome:
        """Try it again later where the journal counts that, and set it aside in the end."""
        path, places = self.work.found.path, self.work.places
        why = fault.tell(self._say, path, error)
        told = f"{why}.\nReport it, with the picture if you can."
        try:
            if self._delivered is not None:
                entry = delivery.given_up(self._journal, places, self._delivered, told)
                return Outcome(self.work, "failed" if entry.state == "failed" else "done", why, entry)
            if self._entry is None:
                self._entry = self._journal.take(places.root, self.work.found, "")
            if self._entry.tries + 1 < TRIES:
                return self._later("wait", why, tries=self._entry.tries + 1)
            return Outcome(self.work, "failed", why, delivery.fail(self._journal, places, self._entry, told))
        except OutputError as worse:
            return Outcome(self.work, "world", str(worse), self._entry)
        except BaseException as worse:  # the same again
            fault.tell(self._say, path, worse)
        try:
            if delivery.set_aside(places, path, told) is not None:
                return Outcome(self.work, "failed", why)
        except BaseException as worse:
            fault.tell(self._say, path, worse)
        if (known := self._entry or self._delivered) is not None:
            with contextlib.suppress(Exception):  # so that it is left alone after a restart, too
                self._journal.note(known, "failed", original=None, why=told)
        return Outcome(self.work, "alone", why)

    def _more_time(self, error: DamagedPictureError) -> str:
        """Return why a file that is not whole is waited for, "" when it is not."""
        what = self._plainly(error.what)
        if (download := download_beside(self.work.found.path)) is not None:
            return f"{what}; {download.name} beside it is still coming"
        return what if self.work.patient else ""

    def _later(self, ended: Ended, why: str, *, everywhere: bool = False, tries: int | None = None) -> Outcome:
        """Leave everything as it was before; the journal keeps how often it was tried."""
        entry = self._entry
        if entry is not None and entry.state == "taken":
            delivery.clear(self.work.places, entry)
            more = {} if tries is None else {"tries": tries}
            try:
                entry = self._journal.note(entry, "waiting", why=why, deaths=0, **more)
            except OutputError as error:  # the journal's own disk
                return Outcome(self.work, "world", str(error), entry)
        return Outcome(self.work, ended, why, entry, everywhere)

    def _in_out(self, text: str) -> str:
        """Return a sentence that names the result instead of its hidden folder, which means nothing to people."""
        if self._stage is None:
            return text
        below = self.work.places.relative(self.work.found.path)
        return re.sub(
            rf"{re.escape(str(self._stage))}/dream\b", str(self.work.places.out / below.with_suffix("")), text
        )

    def _plainly(self, text: str) -> str:
        """Return a sentence without the file's name, which stands before it already."""
        return text.removeprefix(f"{self.work.found.path}: ")

    def _sentences(self, error: DeepDreamError) -> str:
        step = "" if _OPTION.search(error.next_step) else error.next_step  # there is no command line here
        parts = (self._plainly(self._in_out(error.what)), step)
        return "\n".join(f"{part[0].upper()}{part[1:].rstrip('.')}." for part in parts if part)

    # --- what the engine tells

    def note(self, text: str) -> None:
        """Hear something that a user should know."""
        self._say(f"{self.work.found.path.name}: {text}")

    def frame(self, number: int, count: int) -> None:
        """Hear that a frame is about to be dreamed."""

    def progress(self, progress: Progress) -> None:
        """Hear that a step is done; here the program's end interrupts."""
        self.stage, self.fraction = "dreaming", progress.fraction
        if self._stop():
            raise Stopped


def _key(settings: DreamSettings, weights_sha256: str, white: float | None) -> str:
    """Return what makes two dreams of one picture the same: settings and weights, and what is said to be white in it."""
    said = "" if white is None else f" {white}"
    return hashlib.sha256(f"{settings.model_dump_json()} {weights_sha256}{said}".encode()).hexdigest()


def _ends_in_nothing(path: Path) -> bool:
    """Say whether the last bytes are all zero: some programs make a file as long as it will be, and fill it then."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        return not any(file.read(_TAIL))


def _ending(photo: Photo, path: Path) -> str:
    """Return the file's own ending, or the usual one of its format where the name lies."""
    return path.suffix if ENDINGS.get(path.suffix.lower()) == photo.format else FORMATS[photo.format].endings[0]
