"""Dreams pictures one by one, each from file to file."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from deepdream_core.errors import DeepDreamError, OutputError, PictureError
from deepdream_core.photo import RAW_ENDINGS, Photo, check_target, read_photo, write_photo
from deepdream_core.work.frames import dream_photo
from deepdream_core.work.jobs import Job, OutputOptions, target_of
from deepdream_core.work.recipe import make_recipe
from deepdream_core.work.reporter import Done
from deepdream_core.work.strength_map import StrengthMap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from deepdream_core.settings import DreamSettings
    from deepdream_core.work.backend import Backend
    from deepdream_core.work.jobs import Planned
    from deepdream_core.work.reporter import Reporter


def run(
    planned: Sequence[Planned],
    settings: DreamSettings,
    open_engine: Callable[[], Backend],
    reporter: Reporter,
    *,
    preset: str | None = None,
    preset_changed: bool = False,
    mask_path: Path | None = None,
    options: OutputOptions | None = None,
    max_megapixels: float,
    white: float | None = None,
) -> list[DeepDreamError]:
    """Dream one picture after the other and return the errors of those that failed.

    `white` is the value of white in floating-point pictures; None takes it from the file.
    """
    options = options or OutputOptions()
    written: set[tuple[int, int] | None] = set()

    def dream_one(job: Job, engine_of: Callable[[], Backend]) -> list[DeepDreamError] | None:
        started = time.monotonic()
        photo = read(job, reporter, max_megapixels=max_megapixels, white=white)
        if photo is None:
            return None
        target = target_of(job, photo, options)
        if (known := _identity(target)) and known in written:  # by the file: on many disks A.png and a.png are one
            raise OutputError(f"{target}: another picture of this run has that name", "dream them one by one")
        check_target(
            photo, target, options.write, overwrite=options.overwrite, recipe=options.recipe,
            will_change=settings.strength > 0,
        )  # fmt: skip
        mask = None if mask_path is None else StrengthMap(mask_path, photo, max_megapixels=max_megapixels)
        if mask is not None and mask.empty:
            reporter.note("the mask is black everywhere: nothing is dreamed")
        engine = engine_of()
        size = photo.size
        engine.label = job.source.name
        dreamed, tile_px = dream_photo(
            photo, target, settings, engine, reporter, None if mask is None else mask.of_size
        )
        del photo  # a large picture is not kept twice while it is encoded
        reporter.writing(target)
        recipe = make_recipe(
            dreamed, settings, engine, preset=preset, preset_changed=preset_changed,
            mask=mask.record if mask else None, tile_px=tile_px, private=options.write.strip,
        )  # fmt: skip
        text = recipe.text() if options.recipe else None
        receipt = write_photo(dreamed, target, options.write, recipe=text, overwrite=options.overwrite)
        del dreamed
        written.add(_identity(target))
        seconds = time.monotonic() - started
        reporter.done(Done(job.source, target, seconds, size, engine.device_name, engine.precision, receipt))
        return []

    return each(planned, dream_one, open_engine, reporter)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what identifies a file whatever its name, None when there is no such file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def each(
    planned: Sequence[Planned],
    dream_one: Callable[[Job, Callable[[], Backend]], list[DeepDreamError] | None],
    open_engine: Callable[[], Backend],
    reporter: Reporter,
) -> list[DeepDreamError]:
    """Call `dream_one` for every job and return all errors; a picture that fails does not affect the others.

    `dream_one` gets the job and a function that returns the engine. The first call of that function opens the engine, so
    that a bad file is reported at once. `dream_one` returns its errors, or None for a picture that is skipped.
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
            failed = dream_one(job, engine_of)
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
    photo = read_photo(job.source, max_megapixels=max_megapixels, white=white)
    if photo.recipe is not None:
        if job.found:
            reporter.skipped(job.source, "is already a dream; name it to dream it again")
            return None
        reporter.note(f"{job.source.name} is already a dream and is dreamed again")
    return photo
