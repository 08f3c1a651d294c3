"""Dreams the missing looks of each photograph; page and sheet are complete files at any moment."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from deepdream_core.atomic import check_writable, write_whole
from deepdream_core.errors import (
    DeepDreamError,
    NumericError,
    OutOfMemoryError,
    OutputError,
    PictureError,
    SettingsError,
)
from deepdream_core.looks import SIDE, page, sheet
from deepdream_core.looks.board import Board, Tile
from deepdream_core.looks.command import command
from deepdream_core.looks.small import small
from deepdream_core.photo.scale import advice, beyond_white
from deepdream_core.printable import printable
from deepdream_core.work import batch, jobs
from deepdream_core.work.guides import GuideFiles
from deepdream_core.work.room import Stopped
from deepdream_core.work.several import concurrently, of_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from deepdream_core.looks.choice import Choice, Look
    from deepdream_core.looks.report import Reporter
    from deepdream_core.looks.small import Small
    from deepdream_core.photo import Photo
    from deepdream_core.settings import DreamSettings
    from deepdream_core.work.backend import Backend
    from deepdream_core.work.jobs import Job, Planned
    from deepdream_core.work.several import AtOnce

_EVERY_S = 2.0
_OCTAVES = 4  # of a tile, where their number is automatic
_SHARE = 10  # writing takes at most about a tenth of the time


@dataclass(frozen=True)
class Order:
    """What to make of every photograph: which looks, in tiles with a short side of `side` px, and whether to overwrite.

    Every shown command ends with `words`, the user's options that affect the look. `white` as in `read_photo`.
    `at_once` says how many looks to dream at once; None: one after the other.
    """

    choice: Choice
    side: int
    words: tuple[str, ...] = ()
    overwrite: bool = False
    white: float | None = None
    at_once: AtOnce | None = None


def plan(inputs: Sequence[Path], output: Path | None, ignore: Sequence[str]) -> list[Planned]:
    """Return a job for every picture, as `jobs.plan` does; `output` must be a folder."""
    if output is not None and output.suffix and not output.is_dir():
        raise SettingsError(f"-o {output}: is not a folder", "give a folder: a page and a picture go there")
    return jobs.plan(inputs, output, jobs.OutputOptions(), ignore)


def run(
    planned: Sequence[Planned],
    order: Order,
    open_engine: Callable[[], Backend],
    reporter: Reporter,
    *,
    max_megapixels: float,
) -> list[DeepDreamError]:
    """Make the page and the sheet of one photograph after the other; return the errors of those that failed.

    Tiles of the same photograph in a page of an earlier run are used again.
    """
    begun: set[Path] = set()
    if order.at_once is not None:
        open_engine = of_thread(open_engine)

    def dream_sheet(job: Job, engine_of: Callable[[], Backend], _reporter: object) -> list[DeepDreamError] | None:
        photo = batch.read(job, reporter, max_megapixels=max_megapixels, white=order.white)
        if photo is None:
            return None
        name = _name(job, order, begun)
        begun.add(name)
        making = _Sheet(photo, order, name, reporter, max_megapixels)
        del photo  # a large picture is not kept while its tiles are dreamed
        return making.dream(engine_of(), engine_of if order.at_once is None else open_engine)

    return batch.each(planned, dream_sheet, open_engine, reporter)


def _name(job: Job, order: Order, begun: Collection[Path]) -> Path:
    """Return the page's path without its ending: `photo.looks`, or `photo.png.looks` where that is `photo.jpg`'s."""
    suffix = order.choice.suffix + (f"-{order.side}px" if order.side != SIDE else "")
    short, long = (job.folder / f"{name}{suffix}" for name in (job.source.stem, job.source.name))
    there = page.remembered(_outputs(short)[0])
    if short not in begun and (there is None or there.photo in ("", printable(job.source.name))):
        return short
    if long in begun:
        raise OutputError(f"{long}.html: another picture of this run has that name", "take them one by one")
    return long


def _outputs(name: Path) -> tuple[Path, Path]:
    return name.with_name(f"{name.name}.html"), name.with_name(f"{name.name}.jpg")


class _Sheet:
    """One photograph's page and sheet while they are made."""

    def __init__(self, photo: Photo, order: Order, name: Path, reporter: Reporter, max_megapixels: float) -> None:
        self._outputs = _outputs(name)
        self._guides, self._max_megapixels = GuideFiles(), max_megapixels
        self._order, self._reporter, self._source = order, reporter, photo.path
        self._ours: set[Path] = set()
        self._jpegs = self._found(photo.sha256)
        self._next_write = 0.0
        self._stopped = threading.Event()
        frame = photo.frames[0]
        if len(photo.frames) > 1:
            reporter.note(f"{photo.path.name} has {len(photo.frames)} pictures; the first is shown")
        if beyond := frame.beyond:
            reporter.note(f"{beyond_white(beyond, frame.white)}; {advice(beyond)}")
        self._small: Small = small(photo, order.side)
        commands = tuple(command(photo.path, (*look.options, *order.words)) for look in order.choice.looks)
        self._board = Board(
            printable(photo.path.name), photo.sha256, self._small.jpeg(), self._small.frame.size, photo.size,
            order.choice, commands,
        )  # fmt: skip

    def _found(self, sha256: str) -> dict[str, bytes]:
        """Return the tiles of an earlier run; raises `OutputError` where a file of these names shows something else."""
        there = page.remembered(self._outputs[0])
        ours = (there is not None and there.sha256 == sha256, sheet.photograph_of(self._outputs[1]) == sha256)
        for path, own in zip(self._outputs, ours, strict=True):
            check_writable(path, overwrite=own or self._order.overwrite)
            if os.path.lexists(path):
                self._ours.add(path)
        return there.jpegs if there and ours[0] else {}

    def dream(self, engine: Backend, engine_of: Callable[[], Backend]) -> list[DeepDreamError]:
        """Dream the missing looks and return the errors of those that failed; the others continue.

        `engine` shows which looks are missing; each thread dreams with what `engine_of` returns.
        """
        started = time.monotonic()
        board, looks = self._board, self._order.choice.looks
        for number, look in enumerate(looks):
            with contextlib.suppress(PictureError):  # of a guide: reported when the look's turn comes
                key = self._small.key(self._ready(look)[0], engine)
                if key in self._jpegs:
                    board.tiles[number] = Tile(key, self._jpegs[key])
        shown = {tile.key for tile in board.tiles.values()}
        board.spare = {key: jpeg for key, jpeg in self._jpegs.items() if key not in shown}
        # Quick looks come first: most of the sheet is there soon.
        missing = sorted(set(range(len(looks))) - set(board.tiles), key=lambda number: _work(looks[number]))
        errors: list[DeepDreamError] = []

        def failed(number: int, error: DeepDreamError) -> None:
            board.failed[number] = error.what
            errors.append(error)
            self._reporter.failed(self._source, error)

        self._reporter.begun(self._source, self._outputs[0], len(board.tiles), len(looks))
        with contextlib.closing(self._tiles(missing, engine_of)) as tiles:
            try:
                if missing:
                    self._write(at_once=True)
                for number, tile in tiles:
                    if isinstance(tile, DeepDreamError):
                        failed(number, tile)
                    else:
                        board.tiles[number] = tile
                    self._write(at_once=False)
            except BaseException as error:  # Ctrl-C too: finished looks stay
                self._stopped.set()
                if self._order.at_once and not isinstance(error, DeepDreamError):  # the next sheet needs the machines
                    self._order.at_once.stop()
                board.state = "stopped"
                with contextlib.suppress(OutputError):
                    self._write(at_once=True)
                raise
        board.state = "stopped" if errors else "done"
        self._write(at_once=True)
        self._reporter.delivered(
            self._source, self._outputs, len(board.tiles), len(missing) - len(errors), time.monotonic() - started
        )
        return errors

    def _tiles(
        self, missing: Sequence[int], engine_of: Callable[[], Backend]
    ) -> Generator[tuple[int, Tile | DeepDreamError], None, None]:
        """Yield each missing look's number and its tile, or the error of this look alone."""
        looks, at_once = self._order.choice.looks, self._order.at_once
        # Here an error of the engine would be the same for all looks; other machines may dream the others.
        alone = DeepDreamError if at_once else (PictureError, NumericError, OutOfMemoryError)
        works = [_work(looks[number]) for number in missing]

        def tile(place: int) -> tuple[int, Tile | DeepDreamError]:
            number = missing[place]
            self._reporter.look(looks[number].name, place + 1, len(missing))
            share = None if at_once else (sum(works[:place]) / sum(works), works[place] / sum(works))
            try:
                ready = self._ready(looks[number])
                return number, self._dreamed(looks[number].name, *ready, engine_of(), share)
            except alone as error:
                return number, error

        places = range(len(missing))
        yield from concurrently(places, tile, at_once, self._stopped.set) if at_once else map(tile, places)

    def _ready(self, look: Look) -> tuple[DreamSettings, Sequence[NDArray[np.float32]]]:
        """Return a look's settings for a tile and its guides; raises `PictureError` for a guide."""
        return self._guides.read(_reduced(look), max_megapixels=self._max_megapixels)

    def _dreamed(
        self, name: str, settings: DreamSettings, guides: Sequence[NDArray[np.float32]], engine: Backend,
        share: tuple[float, float] | None,
    ) -> Tile:  # fmt: skip
        """Return a look's tile; `share`: how much of the whole work comes before it, and how much it is; or None."""
        engine.label = f"{self._board.photo}: {name}"
        steps = engine.dream(self._small.frame.floats(), settings, None, None, guides)
        with contextlib.closing(steps):
            while True:
                try:
                    progress = next(steps)
                except StopIteration as stop:
                    planes: NDArray[np.float32] = stop.value
                    break
                if self._stopped.is_set():
                    raise Stopped
                if share:
                    self._reporter.progress(replace(progress, fraction=share[0] + share[1] * progress.fraction))
        # The key comes last, as another helper may have taken over meanwhile.
        return Tile(self._small.key(settings, engine), self._small.jpeg(planes.reshape(3, *planes.shape[-2:])))

    def _write(self, *, at_once: bool) -> None:
        """Write the page and the sheet, but not so often that writing slows the dream."""
        started = time.monotonic()
        if started < self._next_write and not at_once:
            return
        for path, encoded in zip(self._outputs, (page.html, sheet.jpeg), strict=True):  # the next run reads the page
            write_whole(path, partial(_put, encoded(self._board)), overwrite=path in self._ours)
            self._ours.add(path)
        now = time.monotonic()
        self._next_write = now + max(_EVERY_S, _SHARE * (now - started))


def _put(data: bytes, file: BinaryIO) -> None:
    file.write(data)


def _work(look: Look) -> float:
    """Return roughly how much work a look is: iterations, those of each octave weighted by its area."""
    settings = look.settings
    octaves = _OCTAVES if settings.octaves == "auto" else settings.octaves
    return settings.iterations * sum(settings.octave_scale ** (-2 * octave) for octave in range(octaves))


def _reduced(look: Look) -> DreamSettings:
    """Return a look's settings for a tile, without `upscale`, which would take time and show nothing more."""
    return look.settings.model_copy(update={"upscale": False})
