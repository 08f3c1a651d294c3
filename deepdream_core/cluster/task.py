"""The task that a Dask worker runs for each picture: it has the machine's own helper dream it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from distributed import Reschedule, get_worker

from deepdream_core.cluster.order import PROGRESS, Dream, Order, opened
from deepdream_core.errors import DeepDreamError, DeviceError, HelperError, OutOfMemoryError, WeightsError
from deepdream_core.printable import printable

if TYPE_CHECKING:
    from distributed import Worker

    from deepdream_core.cluster.guest import Guest
    from deepdream_core.work.remote import RemoteEngine

EVERY_S = 0.5
"""Seconds between two reports of the progress."""
_MACHINES_FAULT = (HelperError, DeviceError, WeightsError)
_PICTURES_FAULT = ("worker_died", "poisonous", "cancelled")
"""Codes of errors after which the machine need not rest."""
_own = threading.local()


class Refused(Exception):  # noqa: N818 - it carries the error of a machine to another
    """A `DeepDreamError` on its way: its class's name, `what`, `next_step`, `code` and the machine."""

    def __init__(self, kind: str, what: str, next_step: str, code: str, machine: str) -> None:
        super().__init__(kind, what, next_step, code, machine)
        self.kind, self.what, self.next_step, self.code, self.machine = kind, what, next_step, code, machine


def dream(order: Order, key: str) -> Dream:
    """Dream a picture on this machine. Raises `Refused`, and `Reschedule` while the machine rests."""
    worker = get_worker()
    guest: Guest = worker.deepdream  # type: ignore[attr-defined]
    if guest.rests:
        raise Reschedule
    try:
        worker.log_event(PROGRESS, [key, None])
        with guest.dreaming(key, order.label):
            return _dreamed(order, key, worker, guest)
    except Reschedule:
        raise
    except Exception as error:  # Dask would raise it where the pictures are
        known = error if isinstance(error, DeepDreamError) else HelperError(
            f"{type(error).__name__}: {error}", "run `deepdream doctor` there", "fault"
        )  # fmt: skip
        code = getattr(known, "code", "")
        if (
            isinstance(known, _MACHINES_FAULT)
            and not isinstance(known, OutOfMemoryError)
            and code not in _PICTURES_FAULT
        ):
            guest.rest_after(str(known))
        raise Refused(type(known).__name__, known.what, known.next_step, code, str(worker.name)) from None


def _dreamed(order: Order, key: str, worker: Worker, guest: Guest) -> Dream:
    engine = _engine()
    engine.label = order.label
    planes, settings, mask, start, guides = opened(order)
    steps = engine.dream(planes, settings, mask, start, guides)
    reported_at = 0.0
    notes: list[str] = []
    tile_px: int | None = None
    while True:
        try:
            progress = next(steps)
        except StopIteration as stop:
            finished = stop.value
            break
        notes += map(printable, progress.notes)
        tile_px = progress.tile_px
        now = time.monotonic()
        if now - reported_at < EVERY_S:
            continue
        reported_at = now
        state = worker.state.tasks.get(key)
        if state is None or state.state in ("cancelled", "resumed"):  # the client has gone, or the scheduler
            steps.close()
            raise HelperError("the picture is no longer wanted", "", "cancelled")
        report = {
            "octave": progress.octave, "octaves": progress.octaves, "size": list(progress.size),
            "iteration": progress.iteration, "iterations": progress.iterations, "objective": progress.objective,
            "fraction": progress.fraction, "tile_px": progress.tile_px, "notes": notes,
        }  # fmt: skip
        guest.progress(key, progress.fraction)
        worker.log_event(PROGRESS, [key, report])
        notes = []
    if not guest.has_weights(engine.weights.sha256):  # the helper was started again, with another configuration
        raise Reschedule
    used = engine.dreamed_with
    about = {
        "device": str(engine.device), "name": engine.device_name, "precision": engine.precision,
        "threads": engine.threads,
        "weights": {"name": engine.weights.name, "sha256": engine.weights.sha256},
    }  # fmt: skip
    picked = {key: getattr(used, key) for key in ("layers", "channels")}
    return Dream(finished, about, picked, tile_px, tuple(notes))


def _engine() -> RemoteEngine:
    """Return this thread's engine, the machine's own helper, which is started if none runs."""
    from deepdream_core.work import remote

    if not hasattr(_own, "engine"):
        _own.engine = remote.RemoteEngine(lambda: remote.connect(start=True), lambda _text: None)
    engine: RemoteEngine = _own.engine
    return engine
