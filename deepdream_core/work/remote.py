"""The helper in the engine's place: the same pictures and the same progress, computed in another process."""

from __future__ import annotations

import contextlib
import os
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deepdream_core import __version__
from deepdream_core.engine.progress import Progress
from deepdream_core.errors import (
    DeepDreamError,
    DeviceError,
    HelperError,
    NumericError,
    OutOfMemoryError,
    PictureError,
    SettingsError,
    WeightsError,
)
from deepdream_core.link import client, helper_start, wire

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from numpy.typing import NDArray

    from deepdream_core.settings import DreamSettings
    from deepdream_core.work.backend import Backend

BUSY_WITHIN_S = 600.0
NO_ROOM = ("no_memory", "too_large")
_BY_CODE: dict[str, type[DeepDreamError]] = {
    "out_of_memory": OutOfMemoryError,
    "no_memory": OutOfMemoryError,
    "device": DeviceError,
    "numeric": NumericError,
    "weights": WeightsError,
    "settings": SettingsError,
    "invalid": SettingsError,
    "picture": PictureError,
    "too_large": PictureError,
}


@dataclass(frozen=True)
class RemoteWeights:
    """The weights that the helper uses."""

    name: str
    sha256: str


class RemoteEngine:
    """Dreams pictures in the helper that `reach` connects to, also in a new one when the old one has ended meanwhile.

    What it says of the device is that of the picture dreamed last, and before the first that of the first worker that has
    loaded its model. `note` is told what a person should know while nothing moves: that others are before, or more urgent.
    `here` opens an engine in this process, which takes over from a helper that has no room for a picture. Raises
    `DeepDreamError` of the kind that the engine itself would raise, `HelperError` for what only a helper can have.
    """

    def __init__(
        self,
        reach: Callable[[], client.HelperClient],
        note: Callable[[str], None],
        here: Callable[[], Backend] | None = None,
    ) -> None:
        self._reach, self._note, self._here = reach, note, here
        self._own: Backend | None = None
        self.label = ""
        self._helper = reach()
        with translated():
            self._learn(self._helper.warm()["workers"][0])

    def look_again(self) -> None:
        """Learn what the helper is like now, as another may have been started with other weights; raises as before."""
        with translated():
            try:
                about = self._helper.warm()
            except (client.NoHelper, client.HelperLost):
                self._helper = self._reach()
                about = self._helper.warm()
            self._learn(about["workers"][0])

    def _learn(self, about: dict[str, Any]) -> None:
        self.device: str = about["device"]
        self.device_name: str = about["name"]
        self.precision: str = about["precision"]
        self.threads: int | None = about["threads"]
        self.weights = RemoteWeights(**about["weights"])

    def dream(
        self,
        planes: NDArray[np.float32],
        settings: DreamSettings,
        mask: NDArray[np.float32] | None = None,
        start: NDArray[np.float32] | None = None,
    ) -> Generator[Progress, None, NDArray[np.float32]]:
        """Dream a picture, float32 [3, H, W] in 0…1, and return one like it: see `Engine.dream`, which gives the same.

        Closing the generator cancels the job.
        """
        height, width = planes.shape[1:]
        with translated():
            job = None if self._own else self._sent(planes, settings, mask, start)
            if self._own is not None:
                return (yield from self._own.dream(planes, settings, mask, start))
            assert job is not None
            try:
                notes: list[str] = []
                for event in job.events():
                    if event.name == "progress":
                        yield _progress(event.data, tuple(notes), job)
                        notes.clear()
                    elif event.name == "note":
                        notes.append(str(event.data["text"]))
                    elif event.name == "paused":
                        self._note("the helper does something more urgent first; this goes on by itself")
                    elif event.name == "queued" and (before := int(event.data["position"]) - 1) > 0:
                        self._note(f"waiting for the helper: {before} before this")
                    elif event.name in ("running", "done"):
                        self._learn(event.data)
                planes = _fetched(job, height, width)[0]
                return planes
            finally:
                with contextlib.suppress(client.LinkError):  # what happened before is what matters
                    job.cancel()

    def _sent(
        self,
        planes: NDArray[np.float32],
        settings: DreamSettings,
        mask: NDArray[np.float32] | None,
        start: NDArray[np.float32] | None,
    ) -> client.HelperJob | None:
        """Send the picture, to a new helper if the old one has ended; None where our own engine has to take over."""
        try:
            try:
                return self._submit(planes, settings, mask, start)
            except (client.NoHelper, client.HelperLost):  # it has ended since the last picture
                self._helper = self._reach()
                return self._submit(planes, settings, mask, start)
        except client.HelperRefused as refusal:
            if self._here is None or refusal.code not in NO_ROOM:
                raise
            self._note(f"the helper has no room for this picture: {refusal.what}; it is computed without it")
        self._own = own = self._here()
        weights = {"name": own.weights.name, "sha256": own.weights.sha256}
        self._learn({
            "device": str(own.device), "name": own.device_name, "precision": own.precision, "threads": own.threads,
            "weights": weights,
        })  # fmt: skip
        return None

    def _submit(
        self,
        planes: NDArray[np.float32],
        settings: DreamSettings,
        mask: NDArray[np.float32] | None,
        start: NDArray[np.float32] | None,
    ) -> client.HelperJob:
        """Send the picture; wait where the helper's queue is full."""
        height, width = planes.shape[1:]
        until = time.monotonic() + BUSY_WITHIN_S
        while True:
            try:
                return self._helper.submit(
                    _interleaved(planes).data, dtype="float32", shape=(height, width, 3), priority="batch",
                    settings=settings.model_dump(),
                    mask=None if mask is None else np.ascontiguousarray(mask).data,
                    mask_dtype=None if mask is None else "float32",
                    start=None if start is None else _interleaved(start).data, label=_shown(self.label),
                )  # fmt: skip
            except client.HelperBusy as busy:
                if time.monotonic() + busy.retry_after_s > until:
                    raise
                self._note(f"the helper is busy: {busy.what}; trying again in {busy.retry_after_s:.0f} s")
                time.sleep(busy.retry_after_s)


def _shown(name: str) -> str:
    """Return a file's name as a label can hold it."""
    return "".join(c if c.isprintable() else "?" for c in name)[:200]


def connect(*, start: bool, config: Path | None = None) -> client.HelperClient:
    """Return a client of this version's helper, started if wanted, with that configuration; raises `HelperError`.

    A service's helper has a configuration of its own, so with another one it is not the service that is started.
    """
    with translated():
        return client.connect(
            start=start, version=__version__, client=f"deepdream-{os.getpid()}", command=helper_start.own_command(config),
            endpoint_file=None if config is None else _place(),
        )  # fmt: skip


def _place() -> Path:
    try:
        return wire.endpoint_path()
    except wire.WireError as error:
        raise client.NoHelper(str(error)) from None


def _interleaved(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return planes [3, H, W] as a picture [H, W, 3]."""
    return np.ascontiguousarray(planes.transpose(1, 2, 0))


def _fetched(job: client.HelperJob, height: int, width: int, *, so_far: bool = False) -> NDArray[np.float32]:
    """Return the result, or the picture so far, as float32 [1, 3, H, W]."""
    pixels = np.empty((height, width, 3), np.float32)
    if not so_far:
        job.result_into(pixels.data)
    elif not job.so_far_into(pixels.data):
        raise HelperError("the helper has nothing to show yet", "ask again after the next step")
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))[None]


def _progress(data: dict[str, Any], notes: tuple[str, ...], job: client.HelperJob) -> Progress:
    height, width, _ = job.shape
    return Progress(
        data["octave"], data["octaves"], (data["height"], data["width"]), data["iteration"], data["iterations"],
        data["objective"], data["fraction"], data["tile_px"], notes,
        lambda: _fetched(job, height, width, so_far=True),
    )  # fmt: skip


class translated:  # noqa: N801 - a context, and reads as what it does
    """A context in which the client's errors become this program's."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, client.LinkError):
            _let_go(error)
            code = getattr(error, "code", "")
            elsewhere = ", or use --via-helper no" if code in NO_ROOM else ""
            kind = _BY_CODE.get(code)
            if kind is None:
                raise HelperError(error.what, error.next_step + elsewhere, code) from None
            raise kind(error.what, error.next_step + elsewhere) from None


def _let_go(error: BaseException | None) -> None:
    """Free what the calls held that an error has ended: whoever keeps it would keep the picture.

    Nor may that be left to the collector of cycles, which crashes at a view of a view (Python 3.11).
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__
