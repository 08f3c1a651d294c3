"""Dreams pictures one by one, each from file to file."""

from __future__ import annotations

import contextlib
import threading
import time
import unicodedata
from typing import TYPE_CHECKING

from deepdream_core.errors import DeepDreamError, OutputError, PictureError
from deepdream_core.photo import RAW_ENDINGS, Photo, check_target, read_photo, write_photo
from deepdream_core.work.frames import dream_photo
from deepdream_core.work.jobs import Job, OutputOptions, target_of
from deepdream_core.work.recipe import make_recipe
from deepdream_core.work.reporter import Done
from deepdream_core.work.several import several
from deepdream_core.work.strength_map import StrengthMap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from deepdream_core.settings import DreamSettings
    from deepdream_core.work.backend import Backend
    from deepdream_core.work.jobs import Planned
    from deepdream_core.work.reporter import Reporter
    from deepdream_core.work.several import AtOnce

    DreamOne = Callable[[Job, Callable[[], Backend], Reporter], list[DeepDreamError] | None]


def run(
    planned: Sequence[Planned],
    settings: DreamSettings,
    open_engine: Callable[[], Backend],
    reporter: Reporter,
    *,
    preset: str | None = None,
    preset_changed: bool = False,
    mask_path: Path | None = None,
    guides: Sequence[NDArray[np.float32]] = (),
    options: OutputOptions | None = None,
    max_megapixels: float,
    white: float | None = None,
    at_once: AtOnce | None = None,
) -> list[DeepDreamError]:
    """Dream one picture after the other, or as many as `at_once` says, and return the errors of those that failed.

    `guides` are the pictures of `settings.guides`, as `GuideFiles.read` returns both. `white` is the value of white in
    floating-point pictures; None takes it from the file.
    """
    options = options or OutputOptions()
    written: set[tuple[int, int] | None] = set()
    targets = _Targets()

    def dream_one(job: Job, engine_of: Callable[[], Backend], reporter: Reporter) -> list[DeepDreamError] | None:
        started = time.monotonic()
        photo = read(job, reporter, max_megapixels=max_megapixels, white=white)
        if photo is None:
            return None
        target = target_of(job, photo, options)
        with targets.held(target):
            return dream_to(target, photo, started, job, engine_of, reporter)

    def dream_to(
        target: Path, photo: Photo, started: float, job: Job, engine_of: Callable[[], Backend], reporter: Reporter
    ) -> list[DeepDreamError]:
        if (known := _identity(target)) and known in written:  # by the file: on many disks A.png and a.png are one
            raise OutputError(f"{target}: another picture of this run has that name", "dream them one by one")
        check_target(
            photo, target, options.write, overwrite=options.overwrite, recipe=options.recipe,
            will_change=settings.strength > 0,
        )  # fmt: skip
        mask = None if mask_path is None else StrengthMap(mask_path, photo, max_megapixels=max_megapixels)
        if mask is not None and mask.empty:
            reporter.note("the mask is black everywhere, so the picture stays unchanged")
        engine = engine_of()
        size = photo.size
        engine.label = job.source.name
        dreamed, tile_px, used = dream_photo(
            photo, target, settings, engine, reporter, None if mask is None else mask.of_size, guides
        )
        del photo  # a large picture is not kept twice while it is encoded
        reporter.writing(target)
        recipe = make_recipe(
            dreamed, used, engine, asked=settings, preset=preset, preset_changed=preset_changed,
            mask=mask.record if mask else None, tile_px=tile_px, private=options.write.strip,
        )  # fmt: skip
        text = recipe.text() if options.recipe else None
        receipt = write_photo(dreamed, target, options.write, recipe=text, overwrite=options.overwrite)
        del dreamed
        written.add(_identity(target))
        seconds = time.monotonic() - started
        reporter.done(Done(job.source, target, seconds, size, engine.device_name, engine.precision, receipt))
        return []

    if at_once is not None:
        return several(planned, dream_one, open_engine, reporter, at_once)
    return each(planned, dream_one, open_engine, reporter)


class _Targets:
    """The files that are being made: a thread that wants the same one waits until it is there, and then sees it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._names: set[str] = set()

    @contextlib.contextmanager
    def held(self, target: Path) -> Iterator[None]:
        """Return the context in which a file is made. On many disks A.png and a.png are one."""
        name = unicodedata.normalize("NFC", str(target.parent.resolve() / target.name)).casefold()
        with self._changed:
            while name in self._names:
                self._changed.wait()
            self._names.add(name)
        try:
            yield
        finally:
            with self._changed:
                self._names.discard(name)
                self._changed.notify_all()


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what identifies a file whatever its name, None when there is no such file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def each(
    planned: Sequence[Planned],
    dream_one: DreamOne,
    open_engine: Callable[[], Backend],
    reporter: Reporter,
) -> list[DeepDreamError]:
    """Call `dream_one` for every job and return all errors; a picture that fails does not affect the others.

    `dream_one` gets the job, a function that returns the engine, and the reporter. The first call of that function opens
    the engine, so that a bad file is reported at once. `dream_one` returns its errors, or None for a picture that is
    skipped.
    """
    engine: Backend | None = None

    def engine_of() -> Backend:
        nonlocal engine
        if engine is None:
            with reporter.loading():
                engine = open_engine()
            reporter.loaded(engine)
        return engine

    errors: list[DeepDreamError] = []
    done = 0
    for number, job in enumerate(planned, start=1):
        source = job.source if isinstance(job, Job) else job[0]
        try:
            if not isinstance(job, Job):
                raise job[1]
            reporter.reading(source, number, len(planned))
            failed = dream_one(job, engine_of, reporter)
            errors += failed or []
            done += failed == []
        except DeepDreamError as error:
            error.__traceback__ = error.__context__ = None  # their frames would keep the picture
            errors.append(error)
            reporter.failed(source, error)
            if engine is None and not isinstance(error, (PictureError, OutputError)):
                break  # no engine: no picture can be dreamed
    reporter.finished(done, len(errors))
    return errors


def read(job: Job, reporter: Reporter, *, max_megapixels: float, white: float | None) -> Photo | None:
    """Return a job's picture, or None for one that is skipped: found in a folder, and RAW or already a dream.

    Raises `PictureError` as `read_photo` does.
    """
    if job.found and job.source.suffix.lower() in RAW_ENDINGS:
        reporter.skipped(job.source, "is camera RAW; export a 16-bit TIFF from it")
        return None
    if job.noise is not None:
        return job.noise.photo(max_megapixels)
    photo = read_photo(job.source, max_megapixels=max_megapixels, white=white)
    if photo.recipe is not None:
        if job.found:
            reporter.skipped(job.source, "is already a dream; name it to dream it again")
            return None
        reporter.note(f"{job.source.name} is already a dream and is dreamed again")
    return photo
