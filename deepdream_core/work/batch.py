"""Working through pictures one by one: which files, where the results go, and one picture's way from file to file."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from deepdream_core.errors import DeepDreamError, OutputError, PictureError, SettingsError
from deepdream_core.photo import (
    ENDINGS,
    FORMATS,
    RAW_ENDINGS,
    Photo,
    WriteOptions,
    check_target,
    read_photo,
    write_photo,
)
from deepdream_core.photo.scale import beyond_white
from deepdream_core.work.frames import dreamed_photo
from deepdream_core.work.ignore import Ignore
from deepdream_core.work.recipe import Mask, made

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from deepdream_core.engine.progress import Progress
    from deepdream_core.photo import Receipt
    from deepdream_core.settings import DreamSettings
    from deepdream_core.work.backend import Backend

SUFFIX = ".dream"


@dataclass(frozen=True)
class OutputOptions:
    """What results are called and how they are written: name `suffix`, `format` by name or None for the input's."""

    suffix: str = SUFFIX
    format: str | None = None
    overwrite: bool = False
    recipe: bool = True
    write: WriteOptions = field(default_factory=WriteOptions)


@dataclass(frozen=True)
class Job:
    """One picture to dream. `folder` takes the result; `target` is its whole path where the user gave one.

    `found`: it was not named but found in a folder, where results of earlier runs are passed over.
    """

    source: Path
    folder: Path
    target: Path | None = None
    found: bool = False


@dataclass(frozen=True)
class Done:
    """What became of a job."""

    source: Path
    target: Path
    seconds: float
    size: tuple[int, int]
    device: str
    precision: str
    receipt: Receipt


class Reporter(Protocol):
    """What the batch tells while it works; how that looks is the reporter's business."""

    def reading(self, source: Path, number: int, count: int) -> None:
        """Tell that picture `number` of `count` is about to be decoded."""

    def loading(self) -> AbstractContextManager[None]:
        """Return a context in which the engine is loaded."""

    def loaded(self, engine: Backend) -> None:
        """Tell that the engine is ready."""

    def skipped(self, source: Path, why: str) -> None:
        """Tell that a picture is passed over."""

    def note(self, text: str) -> None:
        """Tell something that a user should know."""

    def frame(self, number: int, count: int) -> None:
        """Tell that frame or page `number` of `count` of the current picture is about to be dreamed."""

    def progress(self, progress: Progress) -> None:
        """Tell that a step of the current picture is done."""

    def writing(self, target: Path) -> None:
        """Tell that the current picture is about to be written."""

    def done(self, done: Done) -> None:
        """Tell that the current picture is written."""

    def failed(self, source: Path, error: DeepDreamError) -> None:
        """Tell that the current picture could not be dreamed; the others go on."""

    def finished(self, done: int, failed: int) -> None:
        """Tell that everything was tried."""


def plan(
    inputs: Sequence[Path], output: Path | None, options: OutputOptions | None = None, ignore: Sequence[str] = ()
) -> list[Job | tuple[Path, DeepDreamError]]:
    """Return a job for every picture among `inputs` and in the folders among them, or the error in its place.

    In the folders, names that `work.ignore` lists are left out, and those that match the patterns of `ignore`.
    Raises `SettingsError` when `output` or the options cannot be meant for these inputs.
    """
    options = options or OutputOptions()
    _check_suffix(options.suffix)
    into_folder = output is not None and (_is_folder(output) or output.suffix.lower() not in ENDINGS)
    if output is not None:
        _check_output(inputs, output, options, into_folder=into_folder)
    planned: list[Job | tuple[Path, DeepDreamError]] = []
    for source in inputs:
        if _is_folder(source):
            found, ignored, closed = _pictures_in(source, options.suffix, output, Ignore(tuple(ignore)))
            planned += closed
            if not found and not closed:
                but = f" (ignored in it: {', '.join(ignored[:5])}{' …' * (len(ignored) > 5)})" if ignored else ""
                what = f"{source}: no pictures in this folder{but}"
                planned.append((source, PictureError(what, f"known endings: {' '.join(ENDINGS)}")))
            for picture in found:
                folder = output / picture.relative_to(source).parent if output else picture.parent
                planned.append(Job(picture, folder, found=True))
        elif output is None or into_folder:
            planned.append(Job(source, output or source.parent))
        else:
            planned.append(Job(source, output.parent, output))
    return planned


def _check_suffix(suffix: str) -> None:
    if "/" in suffix or os.sep in suffix or "\0" in suffix:
        raise SettingsError(f"--suffix {suffix!r}: a name's part cannot hold a folder", "give the folder with -o")


def _check_output(inputs: Sequence[Path], output: Path, options: OutputOptions, *, into_folder: bool) -> None:
    known = " ".join(ENDINGS)
    if not into_folder:
        if len(inputs) > 1 or _is_folder(inputs[0]):
            raise SettingsError(f"-o {output}: one file for several pictures", "give a folder")
        if options.format is not None and ENDINGS[output.suffix.lower()] != options.format:
            raise SettingsError(
                f"-o {output}: is no {FORMATS[options.format].title}", "leave out --format, or change the ending"
            )
    elif not _is_folder(output):
        if output.suffix:
            raise SettingsError(f"-o {output}: unknown ending {output.suffix}", f"known: {known}, or a folder")
        if os.path.exists(output):
            raise SettingsError(f"-o {output}: is a file without a known ending", f"known: {known}, or a folder")


def _is_folder(path: Path) -> bool:
    """Say whether it is a folder; a name that no file can have is none."""
    return os.path.isdir(path)


def _is_file(path: Path) -> bool:
    """Say whether it may be a file: where the system does not say, reading it tells why."""
    try:
        return path.is_file()
    except OSError:
        return True


def _pictures_in(
    folder: Path, suffix: str, output: Path | None, ignore: Ignore
) -> tuple[list[Path], list[str], list[tuple[Path, DeepDreamError]]]:
    """Return the folder's pictures, the names ignored in it, and its folders that cannot be looked through.

    Pictures come sorted, its subfolders' too, and camera RAW too so that it is told. Results of earlier runs are left out
    where the picture they came from lies beside them, and the output folder; others are known by their recipe when read.
    """
    pictures: list[Path] = []
    ignored: list[str] = []
    closed: list[tuple[Path, DeepDreamError]] = []

    def cannot(error: OSError) -> None:
        what = f"{error.filename}: this folder cannot be looked through: {error.strerror}"
        closed.append((Path(error.filename), PictureError(what, "make it readable, or leave it out")))

    aside = None if output is None or output.resolve() == folder.resolve() else output.resolve()
    for parent, folders, files in os.walk(folder, onerror=cannot):
        over = {name for name in (*folders, *files) if ignore.why(name) is not None}
        ignored += sorted(over)
        folders[:] = sorted(name for name in folders if name not in over and Path(parent, name).resolve() != aside)
        stems = {Path(name).stem for name in files}
        for name in sorted(files):
            path = Path(parent, name)
            known = path.suffix.lower() in ENDINGS or path.suffix.lower() in RAW_ENDINGS
            known = known and not (suffix and path.stem.endswith(suffix) and path.stem[: -len(suffix)] in stems)
            if known and name not in over and _is_file(path):
                pictures.append(path)
    return pictures, ignored, closed


def run(
    planned: Sequence[Job | tuple[Path, DeepDreamError]],
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
    """Dream one picture after the other and return the errors of those that failed; the others are not affected.

    The engine is opened when the first picture has been decoded, so that a bad file is told at once. `white` is what is
    white in floating-point pictures, None for what they say.
    """
    options = options or OutputOptions()
    engine: Backend | None = None
    errors: list[DeepDreamError] = []
    written: set[Path] = set()
    for number, job in enumerate(planned, start=1):
        source = job.source if isinstance(job, Job) else job[0]
        try:
            if not isinstance(job, Job):
                raise job[1]
            reporter.reading(source, number, len(planned))
            started = time.monotonic()
            photo = read(job, reporter, max_megapixels=max_megapixels, white=white)
            if photo is None:
                continue
            target = _not_the_input(_target(job, photo, options), source)
            if target in written:
                raise OutputError(f"{target}: another picture of this run has that name", "dream them one by one")
            check_target(
                photo, target, options.write, overwrite=options.overwrite, recipe=options.recipe,
                will_change=settings.strength > 0,
            )  # fmt: skip
            mask = None if mask_path is None else StrengthMap(mask_path, photo, max_megapixels=max_megapixels)
            if mask is not None and mask.empty:
                reporter.note("the mask is black everywhere: nothing is dreamed")
            if engine is None:
                with reporter.loading():
                    engine = open_engine()
                reporter.loaded(engine)
            size = photo.size
            engine.label = source.name
            dreamed, tile_px = dreamed_photo(
                photo, target, settings, engine, reporter, None if mask is None else mask.of_size
            )
            del photo  # a large picture is not kept twice while it is encoded
            reporter.writing(target)
            recipe = made(
                dreamed, settings, engine, preset=preset, preset_changed=preset_changed,
                mask=mask.told if mask else None, tile_px=tile_px, private=options.write.strip,
            )  # fmt: skip
            text = recipe.text() if options.recipe else None
            receipt = write_photo(dreamed, target, options.write, recipe=text, overwrite=options.overwrite)
            del dreamed
            written.add(target)
            seconds = time.monotonic() - started
            reporter.done(Done(source, target, seconds, size, engine.device_name, engine.precision, receipt))
        except DeepDreamError as error:
            errors.append(error)
            reporter.failed(source, error)
            if engine is None and not isinstance(error, (PictureError, OutputError)):
                break  # no engine: no picture can be dreamed
    reporter.finished(len(written), len(errors))
    return errors


def read(job: Job, reporter: Reporter, *, max_megapixels: float, white: float | None) -> Photo | None:
    """Return a job's picture, or None where it is passed over: found in a folder, and RAW or a dream already.

    Raises `PictureError` as `read_photo`.
    """
    if job.found and job.source.suffix.lower() in RAW_ENDINGS:
        reporter.skipped(job.source, "is camera RAW; export a 16-bit TIFF from it")
        return None
    photo = read_photo(job.source, max_megapixels=max_megapixels, white=white)
    if photo.recipe is not None:
        if job.found:
            reporter.skipped(job.source, "is a dream already; name it to dream it again")
            return None
        reporter.note(f"{job.source.name} is a dream already and is dreamed again")
    return photo


def _target(job: Job, photo: Photo, options: OutputOptions) -> Path:
    """Return where the result goes: the path given, or NAME.dream.EXT with an ending of the format it is to have."""
    if job.target is not None:
        return job.target
    wanted = options.format or photo.format
    ending = job.source.suffix
    if ENDINGS.get(ending.lower()) != wanted:
        ending = FORMATS[wanted].endings[0]
    return job.folder / f"{job.source.stem}{options.suffix}{ending}"


def _not_the_input(target: Path, source: Path) -> Path:
    """Return the target; raises `OutputError` when it is the source, by whatever name: an original is never replaced."""
    if target.resolve() == source.resolve() or (os.path.exists(target) and target.samefile(source)):
        raise OutputError(f"{target}: is the input itself", "give another --suffix, or a folder with -o")
    return target


class StrengthMap:
    """A strength map for `photo`: a picture's brightness, black 0 to white 1; what is transparent counts as black.

    `told` is what a recipe says of it, `empty` that it is black everywhere.

    Raises `PictureError` when its proportions are not the photo's.
    """

    def __init__(self, path: Path, photo: Photo, *, max_megapixels: float) -> None:
        mask = read_photo(path, max_megapixels=max_megapixels)
        self.told = Mask(file=path.name, sha256=mask.sha256)
        self._values = mask.frames[0].visible_brightness()
        if not np.isfinite(self._values).all():
            raise PictureError(f"{path}: holds NaN or infinite values", "give a mask without them")
        if beyond := mask.frames[0].beyond:
            raise PictureError(
                f"{path}: {beyond_white(beyond, mask.frames[0].white)}", "give a mask with values up to 1"
            )
        self.empty = not self._values.any()
        mask_width, mask_height = mask.size
        for width, height in {frame.size for frame in photo.frames}:
            if abs(mask_width * height - mask_height * width) > max(mask_width * height, mask_height * width) * 0.01:
                raise PictureError(
                    f"{path}: the mask is {mask_width}×{mask_height}, the picture {width}×{height}",
                    "give a mask of its proportions",
                )

    def of_size(self, size: tuple[int, int]) -> NDArray[np.float32]:
        """Return the map as float32 [H, W] in 0…1 for a picture of `size` (width, height)."""
        from PIL import Image

        resized = Image.fromarray(self._values).resize(size, Image.Resampling.BILINEAR)
        return np.asarray(resized, np.float32).clip(0, 1)
