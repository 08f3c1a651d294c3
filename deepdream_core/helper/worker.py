"""The worker process: it owns one device, keeps the jobs that have begun on it, and advances one of them.

The helper decides, not the worker: its messages say which job to open, advance or drop. The worker reads them between two
steps. The engine is a generator, so a job that is not advanced keeps its place.
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
from deepdream_core.helper.worker_messages import Advance, Drop, Load, Open, Snapshot, WorkerEvent

if TYPE_CHECKING:
    from collections.abc import Generator
    from multiprocessing.connection import Connection

    import numpy as np
    from numpy.typing import NDArray

    from deepdream_core.engine.engine import Engine
    from deepdream_core.engine.progress import Progress
    from deepdream_core.helper.worker_job import WorkerJob
    from deepdream_core.machine_settings import EngineSettings

DEVICE_LOST = 70
"""Exit code of a worker whose device no longer answers; only a new process helps."""

CODES: dict[type[DeepDreamError], str] = {
    OutOfMemoryError: "out_of_memory",
    DeviceError: "device",
    NumericError: "numeric",
    WeightsError: "weights",
    SettingsError: "settings",
    PictureError: "picture",
}


def main(connection: Connection, settings: EngineSettings) -> None:
    """Serve the helper until it ends the worker, or ends itself."""
    # Ctrl-C and the end of a service reach the helper too, and the helper decides.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    faulthandler.enable()
    _prefer_for_oom_killer()
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, inbox), daemon=True).start()
    _Worker(connection, inbox, settings).run()


def _listen(connection: Connection, inbox: queue.SimpleQueue[Any]) -> None:
    """Put the helper's messages into `inbox`; end the process when the helper is gone."""
    while True:
        try:
            message = connection.recv()
        except (EOFError, OSError):
            os._exit(0)
        if message is None:
            os._exit(0)  # at once: nothing here needs cleaning up, and the memory must be free
        inbox.put(message)


def _prefer_for_oom_killer() -> None:
    """Let a system without memory kill this process, which the helper replaces, and not the user's editor."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


class _Worker:
    """The main thread: handles all messages, then advances the current job by one step, and repeats."""

    def __init__(self, connection: Connection, inbox: queue.SimpleQueue[Any], settings: EngineSettings) -> None:
        self._connection = connection
        self._inbox = inbox
        self._settings = settings
        self._engine: Engine | None = None
        self._opened: dict[str, Open] = {}
        self._begun: dict[str, WorkerJob] = {}
        self._current: str | None = None

    def run(self) -> None:
        """Work until the process ends."""
        while True:
            try:
                message = self._inbox.get(block=self._current is None)
            except queue.Empty:
                self._advance()
            else:
                self._handle(message)

    def _handle(self, message: object) -> None:
        match message:
            case Open():
                self._opened[message.job] = message
            case Advance():
                known = message.job in self._opened or message.job in self._begun
                self._current = message.job if known else None
            case Drop():
                self._drop(message.job)
                self._report(message.job, "dropped")
            case Snapshot():
                begun = self._begun.get(message.job)
                with self._reporting_failures(message.job, "snapshot", written=False):
                    written = begun is not None and begun.write_so_far(message.into, message.view)
                    self._report(message.job, "snapshot", written=written)
            case Load():
                with self._reporting_failures(None, "failed"):
                    self._report(None, "loaded", **self._device_found(self._loaded_engine()))

    def _advance(self) -> None:
        assert self._current is not None
        name = self._current
        with self._reporting_failures(name, "failed"):
            job = self._begun.get(name) or self._begin(name)
            started = time.perf_counter()
            try:
                progress = job.advance()
            except StopIteration as stop:
                job.engine_s += time.perf_counter() - started
                self._finish(job, stop.value)
                return
            job.engine_s += time.perf_counter() - started
            job.progress, job.tile_px = progress, progress.tile_px
            self._report_progress(job, progress)

    def _begin(self, name: str) -> WorkerJob:
        engine = self._loaded_engine()
        from deepdream_core.helper.worker_job import WorkerJob

        job = self._begun[name] = WorkerJob(self._opened.pop(name), engine)
        self._report(name, "begun", **self._device_found(engine))
        return job

    def _report_progress(self, job: WorkerJob, progress: Progress) -> None:
        for note in progress.notes:
            self._report(job.id, "note", text=note)
        size = {"width": progress.size[1], "height": progress.size[0]}
        self._report(
            job.id, "progress", octave=progress.octave, octaves=progress.octaves, **size,
            iteration=progress.iteration, iterations=progress.iterations, objective=progress.objective,
            fraction=progress.fraction, tile_px=progress.tile_px,
        )  # fmt: skip
        if job.previews and progress.iteration == progress.iterations:
            self._report(job.id, "octave", octave=progress.octave, octaves=progress.octaves, **size)

    def _finish(self, job: WorkerJob, planes: NDArray[np.float32]) -> None:
        assert job.frame is not None
        assert job.settings is not None
        job.frame.take_floats(planes)
        about = self._about(self._loaded_engine())
        self._drop(job.id)
        self._report(
            job.id, "done", engine_s=round(job.engine_s, 4), tile_px=job.tile_px,
            settings=job.settings.model_dump(), **about,
        )  # fmt: skip

    def _drop(self, job: str) -> None:
        self._opened.pop(job, None)
        begun = self._begun.pop(job, None)
        if begun is not None:
            begun.close()
        if self._current == job:
            self._current = None

    @contextlib.contextmanager
    def _reporting_failures(self, job: str | None, name: str, /, **data: Any) -> Generator[None]:
        """Report what goes wrong; end the process if its device no longer answers."""
        try:
            yield
            return
        except DeepDreamError as error:
            code, lost = CODES.get(type(error), "internal"), False
            what, step, exit_code = error.what, error.next_step, error.exit_code
        except FileNotFoundError:  # the helper has removed the job's memory because nobody needs it
            code, what, step, exit_code, lost = "internal", "the job was removed", "send it again", 1, False
        except Exception as error:
            traceback.print_exc()
            lost = is_device_fault(error)
            memory = isinstance(error, MemoryError)
            code = "device" if lost else "out_of_memory" if memory else "internal"
            fault = f"DeepDream has a bug ({type(error).__name__})"
            what = "the device was lost" if lost else "out of memory" if memory else fault
            step = "send it again; a new worker is started" if lost else "use a smaller picture" if memory else (
                "see the helper's log, and report it"
            )  # fmt: skip
            exit_code = DeviceError.exit_code if lost or memory else 1
        what, step = (self._without_folders(text) for text in (what, step))
        if job is not None and name == "failed":
            self._drop(job)
        self._report(job, name, **data, code=code, what=what, next_step=step, exit_code=exit_code)
        if lost:
            sys.stderr.flush()
            os._exit(DEVICE_LOST)

    def _without_folders(self, text: str) -> str:
        """Return a text in which file names replace paths: clients need not know folders."""
        text = text.replace(self._settings.weights, PurePath(self._settings.weights).name)
        return re.sub(r"(?<![\w.])(?:[A-Za-z]:)?(?:[\\/][^\\/\s'\":]+)+[\\/]", "", text)

    def _loaded_engine(self) -> Engine:
        if self._engine is None:
            from deepdream_core.engine.engine import Engine
            from deepdream_core.engine.fetch import fetched_path

            self._engine = Engine(self._settings, fetched=fetched_path())
        return self._engine

    def _device_found(self, engine: Engine) -> dict[str, Any]:
        """Return what `_about` does, and the names of all CUDA devices."""
        from deepdream_core.engine.device import cuda_devices

        return {**self._about(engine), "cuda": cuda_devices()}

    def _about(self, engine: Engine) -> dict[str, Any]:
        """Return the device, the precision and the weights in use."""
        weights = {"name": PurePath(engine.weights.name).name, "sha256": engine.weights.sha256}
        return {
            "device": str(engine.device), "name": engine.device_name, "precision": engine.precision,
            "threads": engine.threads, "weights": weights,
        }  # fmt: skip

    def _report(self, job: str | None, name: str, /, **data: Any) -> None:
        try:
            self._connection.send(WorkerEvent(job, name, data, self._memory()))
        except OSError:
            os._exit(0)

    def _memory(self) -> int:
        """Return the bytes of the device's memory that this process holds."""
        if self._engine is None:
            return 0
        from deepdream_core.engine.device import held_bytes

        return held_bytes(self._engine.device)


def is_device_fault(error: BaseException) -> bool:
    """Return whether the device no longer answers, for example after a suspend; running out of memory is not that."""
    from deepdream_core.engine.device import is_out_of_memory

    signs = ("cuda error", "cuda driver", "cublas_status", "cudnn_status", "hip error", "device-side assert")
    return (
        isinstance(error, RuntimeError) and not is_out_of_memory(error) and any(s in str(error).lower() for s in signs)
    )
