"""Which pictures are dreamed and where the results go: the inputs of a command as jobs."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_core.errors import DeepDreamError, OutputError, PictureError, SettingsError
from deepdream_core.photo import ENDINGS, FORMATS, RAW_ENDINGS, Photo, WriteOptions
from deepdream_core.work.ignore import Ignore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepdream_core.work.noise import Noise

SUFFIX = ".dream"


@dataclass(frozen=True)
class OutputOptions:
    """How results are named and written. `format`: a format's name, or None for the input's."""

    suffix: str = SUFFIX
    format: str | None = None
    overwrite: bool = False
    recipe: bool = True
    write: WriteOptions = field(default_factory=WriteOptions)


@dataclass(frozen=True)
class Job:
    """One picture to dream. The result goes into `folder`, or to the path `target` where the user gave one.

    `found`: the user did not name the picture; it was found in a folder, where results of earlier runs are skipped.
    `noise`: what to dream from in place of a file; `source` is then its label.
    """

    source: Path
    folder: Path
    target: Path | None = None
    found: bool = False
    noise: Noise | None = None


Planned = Job | tuple[Path, DeepDreamError]
"""A picture to dream, or a path and why it cannot be dreamed."""


def plan(
    inputs: Sequence[Path], output: Path | None, options: OutputOptions | None = None, ignore: Sequence[str] = ()
) -> list[Planned]:
    """Return a job, or an error, for every picture among `inputs` and in the folders among them.

    Names in the folders that `work.ignore` lists or that match the patterns `ignore` are left out. Raises `SettingsError`
    when `output` or the options do not fit these inputs.
    """
    options = options or OutputOptions()
    _check_suffix(options.suffix)
    into_folder = output is not None and (_is_folder(output) or output.suffix.lower() not in ENDINGS)
    if output is not None:
        _check_output(inputs, output, options, into_folder=into_folder)
    planned: list[Planned] = []
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


def plan_noise(noise: Noise, output: Path | None, options: OutputOptions) -> list[Planned]:
    """Return the job that dreams from noise, by default into noise-SEED.png; raises `SettingsError` as `plan` does."""
    into_folder = output is None or _is_folder(output) or output.suffix.lower() not in ENDINGS
    if output is not None:
        _check_output((), output, options, into_folder=into_folder)
    ending = FORMATS[options.format or "PNG"].endings[0]
    target = (output or Path()) / f"noise-{noise.seed}{ending}" if into_folder else output
    assert target is not None
    return [Job(noise.label, target.parent, target, noise=noise)]


def _check_suffix(suffix: str) -> None:
    if "/" in suffix or os.sep in suffix or "\0" in suffix:
        raise SettingsError(f"--suffix {suffix!r}: a suffix cannot contain a folder", "give the folder with -o")


def _check_output(inputs: Sequence[Path], output: Path, options: OutputOptions, *, into_folder: bool) -> None:
    known = " ".join(ENDINGS)
    if not into_folder:
        if len(inputs) > 1 or any(map(_is_folder, inputs)):
            raise SettingsError(f"-o {output}: one file for several pictures", "give a folder")
        if options.format is not None and ENDINGS[output.suffix.lower()] != options.format:
            raise SettingsError(
                f"-o {output}: is not a {FORMATS[options.format].title}", "leave out --format, or change the ending"
            )
    elif not _is_folder(output):
        if output.suffix:
            raise SettingsError(f"-o {output}: unknown ending {output.suffix}", f"known: {known}, or a folder")
        if os.path.exists(output):
            raise SettingsError(f"-o {output}: is a file without a known ending", f"known: {known}, or a folder")


def _is_folder(path: Path) -> bool:
    """Say whether this is a folder. A name that no file can have is not a folder."""
    return os.path.isdir(path)


def _is_file(path: Path) -> bool:
    """Say whether this may be a file. Where the system does not answer, reading it will show why."""
    try:
        return path.is_file()
    except OSError:
        return True


def _pictures_in(
    folder: Path, suffix: str, output: Path | None, ignore: Ignore
) -> tuple[list[Path], list[str], list[tuple[Path, DeepDreamError]]]:
    """Return the pictures in a folder and its subfolders, the names ignored there, and the folders that cannot be read.

    Pictures are sorted. Camera RAW is among them, so that the user learns why it is skipped. Leaves out the output folder
    and results of earlier runs that are beside their original; reading the others shows their recipe.
    """
    pictures: list[Path] = []
    ignored: list[str] = []
    closed: list[tuple[Path, DeepDreamError]] = []

    def on_error(error: OSError) -> None:
        what = f"{error.filename}: this folder cannot be read: {error.strerror}"
        closed.append((Path(error.filename), PictureError(what, "make it readable, or leave it out")))

    aside = None if output is None or output.resolve() == folder.resolve() else output.resolve()
    for parent, folders, files in os.walk(folder, onerror=on_error):
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


def target_of(job: Job, photo: Photo, options: OutputOptions) -> Path:
    """Return the job's own target, or NAME.dream.EXT in its folder with an ending of the result's format.

    Raises `OutputError` when that is the source itself, by whatever name: an original is never replaced.
    """
    target = job.target
    if target is None:
        wanted = options.format or photo.format
        ending = job.source.suffix
        if ENDINGS.get(ending.lower()) != wanted:
            ending = FORMATS[wanted].endings[0]
        target = job.folder / f"{job.source.stem}{options.suffix}{ending}"
    if job.noise is None and (
        target.resolve() == job.source.resolve() or (os.path.exists(target) and target.samefile(job.source))
    ):
        raise OutputError(f"{target}: is the input itself", "give another --suffix, or a folder with -o")
    return target
