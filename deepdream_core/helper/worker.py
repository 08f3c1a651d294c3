"""The worker process: it owns one device, holds the jobs begun on it, and advances the one it is told to.

It decides nothing. The helper says which job to open, which to advance, which to drop; between two steps the worker looks
whether something new was said. The engine is a generator, so a job that is not advanced just stays where it is.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import queue
import re
import signal
import sys
import threading
import time
import traceback
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from deepdream_core.errors import (
    DeepDreamError,
    DeviceError,
    NumericError,
    OutOfMemoryError,
    PictureError,
    SettingsError,
    WeightsError,
)
from deepdream_core.helper.worker_messages import Advance, Drop, Load, Open, Snapshot, Told

if TYPE_CHECKING:
    from collections.abc import Generator
    from multiprocessing.connection import Connection

    import numpy as np
    from numpy.typing import NDArray

    from deepdream_core.engine.engine import Engine
    from deepdream_core.engine.progress import Progress
    from deepdream_core.helper.worker_job import Work
    from deepdream_core.settings import EngineSettings

DEVICE_LOST = 70
"""Exit code of a worker whose device no longer answers; a new process is what helps."""

CODES: dict[type[DeepDreamError], str] = {
    OutOfMemoryError: "out_of_memory",
    DeviceError: "device",
    NumericError: "numeric",
    WeightsError: "weights",
    SettingsError: "settings",
    PictureError: "picture",
}


def main(connection: Connection, settings: EngineSettings) -> None:
    """Serve the helper until it says so or is gone."""
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # they reach the helper too, as Ctrl-C and a service's end, and it decides
        signal.signal(number, signal.SIG_IGN)
    faulthandler.enable()
    _first_for_the_memory_killer()
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, inbox), daemon=True).start()
    _Worker(connection, inbox, settings).run()


def _listen(connection: Connection, inbox: queue.SimpleQueue[Any]) -> None:
    """Put what the helper says into `inbox`; when it is gone there is nobody to work for."""
    while True:
        try:
            message = connection.recv()
        except (EOFError, OSError):
            os._exit(0)
        if message is None:
            os._exit(0)  # at once: nothing here needs cleaning up, and the memory is wanted back
        inbox.put(message)


def _first_for_the_memory_killer() -> None:
    """When the system runs out of memory it shall end this process, which is replaced, and not the user's editor."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


class _Worker:
    """The main thread: obeys what has been said, then advances the current job by one step, and so on."""

    def __init__(self, connection: Connection, inbox: queue.SimpleQueue[Any], settings: EngineSettings) -> None:
        self._connection = connection
        self._inbox = inbox
        self._settings = settings
        self._engine: Engine | None = None
        self._opened: dict[str, Open] = {}
        self._begun: dict[str, Work] = {}
        self._current: str | None = None

    def run(self) -> None:
        """Work until the process ends."""
        while True:
            try:
                message = self._inbox.get(block=self._current is None)
            except queue.Empty:
                self._advance()
            else:
                self._obey(message)

    def _obey(self, message: object) -> None:
        match message:
            case Open():
                self._opened[message.job] = message
            case Advance():
                known = message.job in self._opened or message.job in self._begun
                self._current = message.job if known else None
            case Drop():
                self._forget(message.job)
                self._tell(message.job, "dropped")
            case Snapshot():
                work = self._begun.get(message.job)
                with self._failures_told(message.job, "snapshot", written=False):
                    written = work is not None and work.write_so_far(message.into)
                    self._tell(message.job, "snapshot", written=written)
            case Load():
                with self._failures_told(None, "failed"):
                    self._tell(None, "loaded", **self._found(self._loaded()))

    def _advance(self) -> None:
        assert self._current is not None
        job = self._current
        with self._failures_told(job, "failed"):
            work = self._begun.get(job) or self._begin(job)
            started = time.perf_counter()
            try:
                progress = next(work.steps)
            except StopIteration as stop:
                work.engine_s += time.perf_counter() - started
                self._finish(work, stop.value)
                return
            work.engine_s += time.perf_counter() - started
            work.progress, work.tile_px = progress, progress.tile_px
            self._tell_progress(work, progress)

    def _begin(self, job: str) -> Work:
        engine = self._loaded()
        from deepdream_core.helper.worker_job import Work

        work = self._begun[job] = Work(self._opened.pop(job), engine)
        self._tell(job, "begun", **self._found(engine))
        return work

    def _tell_progress(self, work: Work, progress: Progress) -> None:
        for note in progress.notes:
            self._tell(work.id, "note", text=note)
        size = {"width": progress.size[1], "height": progress.size[0]}
        self._tell(
            work.id, "progress", octave=progress.octave, octaves=progress.octaves, **size,
            iteration=progress.iteration, iterations=progress.iterations, objective=progress.objective,
            fraction=progress.fraction, tile_px=progress.tile_px,
        )  # fmt: skip
        if work.previews and progress.iteration == progress.iterations:
            self._tell(work.id, "octave", octave=progress.octave, octaves=progress.octaves, **size)

    def _finish(self, work: Work, planes: NDArray[np.float32]) -> None:
        assert work.frame is not None
        work.frame.take_floats(planes)
        engine_s, tile_px, job = work.engine_s, work.tile_px, work.id
        del work
        self._forget(job)
        self._tell(job, "done", engine_s=round(engine_s, 4), tile_px=tile_px, **self._about(self._loaded()))

    def _forget(self, job: str) -> None:
        self._opened.pop(job, None)
        work = self._begun.pop(job, None)
        if work is not None:
            work.close()
        if self._current == job:
            self._current = None

    @contextlib.contextmanager
    def _failures_told(self, job: str | None, name: str, /, **data: Any) -> Generator[None]:
        """Tell what goes wrong; end the process when its device no longer answers."""
        try:
            yield
            return
        except DeepDreamError as error:
            code, what, step, exit_code = (
                CODES.get(type(error), "internal"),
                error.what,
                error.next_step,
                error.exit_code,
            )
            lost = False
        except FileNotFoundError:  # the helper has removed the job's memory: nobody wants it any more
            code, what, step, exit_code, lost = "internal", "the job was removed", "send it again", 1, False
        except Exception as error:
            traceback.print_exc()
            lost = is_device_fault(error)
            memory = isinstance(error, MemoryError)
            code = "device" if lost else "out_of_memory" if memory else "internal"
            fault = f"the program has a fault ({type(error).__name__})"
            what = "the device was lost" if lost else "out of memory" if memory else fault
            step = "send it again; a new worker is started" if lost else "use a smaller picture" if memory else (
                "look into the helper's log and report it"
            )  # fmt: skip
            exit_code = DeviceError.exit_code if lost or memory else 1
        what, step = (self._without_folders(text) for text in (what, step))
        if job is not None and name == "failed":
            self._forget(job)
        self._tell(job, name, **data, code=code, what=what, next_step=step, exit_code=exit_code)
        if lost:
            sys.stderr.flush()
            os._exit(DEVICE_LOST)

    def _without_folders(self, text: str) -> str:
        """Return a text with file names in the place of paths: where things lie is no client's business."""
        text = text.replace(self._settings.weights, PurePath(self._settings.weights).name)
        return re.sub(r"(?<![\w.])(?:[A-Za-z]:)?(?:[\\/][^\\/\s'\":]+)+[\\/]", "", text)

    def _loaded(self) -> Engine:
        if self._engine is None:
            from deepdream_core.engine.engine import Engine
            from deepdream_core.engine.fetch import fetched_path

            self._engine = Engine(self._settings, fetched=fetched_path())
        return self._engine

    def _found(self, engine: Engine) -> dict[str, Any]:
        """Return where is dreamed, and which other devices there are."""
        from deepdream_core.engine.device import cuda_devices

        return {**self._about(engine), "cuda": cuda_devices()}

    def _about(self, engine: Engine) -> dict[str, Any]:
        """Return what says where and with what is dreamed."""
        weights = {"name": PurePath(engine.weights.name).name, "sha256": engine.weights.sha256}
        return {
            "device": str(engine.device), "name": engine.device_name, "precision": engine.precision,
            "threads": engine.threads, "weights": weights,
        }  # fmt: skip

    def _tell(self, job: str | None, name: str, /, **data: Any) -> None:
        try:
            self._connection.send(Told(job, name, data, self._memory()))
        except OSError:
            os._exit(0)

    def _memory(self) -> int:
        """Return the bytes of the device's memory that this process holds."""
        if self._engine is None:
            return 0
        from deepdream_core.engine.device import held_bytes

        return held_bytes(self._engine.device)


def is_device_fault(error: BaseException) -> bool:
    """Say whether an error means that the device no longer answers, as after a suspend; memory running out does not."""
    from deepdream_core.engine.device import is_out_of_memory

    signs = ("cuda error", "cuda driver", "cublas_status", "cudnn_status", "hip error", "device-side assert")
    return (
        isinstance(error, RuntimeError) and not is_out_of_memory(error) and any(s in str(error).lower() for s in signs)
    )
