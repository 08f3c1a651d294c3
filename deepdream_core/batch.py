"""Working through pictures one by one: which files, where the results go, and one picture's way from file to file."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from deepdream_core.errors import DeepDreamError, OutputError, PictureError, SettingsError
from deepdream_core.photo import FORMATS, Photo, check_target, read_photo, write_photo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from deepdream_core.engine.dream import Progress
    from deepdream_core.engine.engine import Engine
    from deepdream_core.settings import DreamSettings

SUFFIX = ".dream"


@dataclass(frozen=True)
class Job:
    """One picture to dream. `folder` takes the result; `target` is its whole path where the user gave one."""

    source: Path
    folder: Path
    target: Path | None = None


@dataclass(frozen=True)
class Done:
    """What became of a job."""

    source: Path
    target: Path
    seconds: float
    size: tuple[int, int]
    device: str
    precision: str


class Reporter(Protocol):
    """What the batch tells while it works; how that looks is the reporter's business."""

    def reading(self, source: Path, number: int, count: int) -> None:
        """Tell that picture `number` of `count` is about to be decoded."""

    def loading(self) -> AbstractContextManager[None]:
        """Return a context in which the engine is loaded."""

    def loaded(self, engine: Engine) -> None:
        """Tell that the engine is ready."""

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


def plan(inputs: Sequence[Path], output: Path | None) -> list[Job | tuple[Path, DeepDreamError]]:
    """Return a job for every picture among `inputs` and in the folders among them, or the error in its place.

    Raises `SettingsError` when `output` cannot be meant for these inputs.
    """
    into_folder = output is not None and (_is_folder(output) or output.suffix.lower() not in FORMATS)
    if output is not None and not into_folder and (len(inputs) > 1 or _is_folder(inputs[0])):
        raise SettingsError(f"-o {output}: one file for several pictures", "give a folder")
    if output is not None and into_folder and output.suffix and not _is_folder(output):
        raise SettingsError(f"-o {output}: unknown ending {output.suffix}", f"known: {' '.join(FORMATS)}, or a folder")
    if output is not None and into_folder and os.path.exists(output) and not _is_folder(output):
        raise SettingsError(
            f"-o {output}: is a file without a known ending", f"known: {' '.join(FORMATS)}, or a folder"
        )
    planned: list[Job | tuple[Path, DeepDreamError]] = []
    for source in inputs:
        if _is_folder(source):
            found = _pictures_in(source)
            if not found:
                endings = " ".join(FORMATS)
                planned.append(
                    (source, PictureError(f"{source}: no pictures in this folder", f"known endings: {endings}"))
                )
            for picture in found:
                folder = output / picture.relative_to(source).parent if output else picture.parent
                planned.append(Job(picture, folder))
        elif output is None or into_folder:
            planned.append(Job(source, output or source.parent))
        else:
            planned.append(Job(source, output.parent, output))
    return planned


def _is_folder(path: Path) -> bool:
    """Say whether it is a folder; a name that no file can have is none."""
    return os.path.isdir(path)


def _pictures_in(folder: Path) -> list[Path]:
    """Return the folder's pictures, its subfolders' too, sorted; hidden files and earlier results are left out."""
    pictures: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(parent, name)
            result = path.stem.endswith(SUFFIX)
            if path.suffix.lower() in FORMATS and not name.startswith(".") and not result and path.is_file():
                pictures.append(path)
    return pictures


def run(
    planned: Sequence[Job | tuple[Path, DeepDreamError]],
    settings: DreamSettings,
    open_engine: Callable[[], Engine],
    reporter: Reporter,
    *,
    mask_path: Path | None = None,
    overwrite: bool = False,
    max_megapixels: float,
) -> list[DeepDreamError]:
    """Dream one picture after the other and return the errors of those that failed; the others are not affected.

    The engine is opened when the first picture has been decoded, so that a bad file is told at once.
    """
    engine: Engine | None = None
    errors: list[DeepDreamError] = []
    written: set[Path] = set()
    for number, job in enumerate(planned, start=1):
        source = job.source if isinstance(job, Job) else job[0]
        try:
            if not isinstance(job, Job):
                raise job[1]
            reporter.reading(source, number, len(planned))
            started = time.monotonic()
            photo = read_photo(source, max_megapixels=max_megapixels)
            target = _target(job, photo)
            if target in written:
                raise OutputError(f"{target}: another picture of this run has that name", "dream them one by one")
            check_target(photo, target, overwrite=overwrite)
            mask = None if mask_path is None else read_mask(mask_path, photo, max_megapixels=max_megapixels)
            if engine is None:
                with reporter.loading():
                    engine = open_engine()
                reporter.loaded(engine)
            photo = _dreamed(photo, settings, engine, reporter, mask)
            reporter.writing(target)
            write_photo(photo, target, overwrite=overwrite)
            written.add(target)
            size = (photo.pixels.shape[1], photo.pixels.shape[0])
            seconds = time.monotonic() - started
            reporter.done(Done(source, target, seconds, size, engine.device_name, engine.precision))
        except DeepDreamError as error:
            errors.append(error)
            reporter.failed(source, error)
            if engine is None and not isinstance(error, (PictureError, OutputError)):
                break  # no engine: no picture can be dreamed
    reporter.finished(len(written), len(errors))
    return errors


def _target(job: Job, photo: Photo) -> Path:
    """Return where the result goes: the path given, or NAME.dream.EXT with the ending of the input's real format."""
    if job.target is not None:
        return job.target
    ending = job.source.suffix
    if FORMATS.get(ending.lower()) != photo.format:
        ending = next(known for known, name in FORMATS.items() if name == photo.format)
    return job.folder / f"{job.source.stem}{SUFFIX}{ending}"


def _dreamed(
    photo: Photo, settings: DreamSettings, engine: Engine, reporter: Reporter, mask: NDArray[np.float32] | None
) -> Photo:
    steps = engine.dream(photo.floats(), settings, mask)
    while True:
        try:
            reporter.progress(next(steps))
        except StopIteration as stop:
            return photo.with_floats(stop.value)


def read_mask(path: Path, photo: Photo, *, max_megapixels: float) -> NDArray[np.float32]:
    """Read a strength map for `photo`: its brightness, black 0 to white 1, as float32 [H, W] of the photo's size.

    Raises `PictureError` when its proportions are not the photo's.
    """
    from PIL import Image

    mask = read_photo(path, max_megapixels=max_megapixels)
    height, width = photo.pixels.shape[:2]
    mask_height, mask_width = mask.pixels.shape[:2]
    if abs(mask_width * height - mask_height * width) > max(mask_width * height, mask_height * width) * 0.01:
        raise PictureError(
            f"{path}: the mask is {mask_width}×{mask_height}, the picture {width}×{height}",
            "give a mask of its proportions",
        )
    gray = Image.fromarray(mask.pixels).convert("L").resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(gray, np.float32) / np.float32(255)
