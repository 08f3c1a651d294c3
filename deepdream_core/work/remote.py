"""The helper as a backend: the same pictures and the same progress as the engine's, computed in another process."""

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
from deepdream_core.link import client, helper_start, user_folders, wire
from deepdream_core.settings import DreamSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

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


class RemoteDevice:
    """What a backend whose device another process owns says of that device: what the helper's `warm` tells."""

    def _update(self, about: dict[str, Any]) -> None:
        self.device: str = about["device"]
        self.device_name: str = about["name"]
        self.precision: str = about["precision"]
        self.threads: int | None = about["threads"]
        self.weights = RemoteWeights(**about["weights"])


class RemoteEngine(RemoteDevice):
    """Dreams pictures in the helper that `reach` connects to; when that helper has ended, in a new one.

    `device` and the like are those of the latest picture, and before the first picture those of the first worker that has
    loaded its model. `note` reports why a picture waits: other jobs come first or are more urgent. `local` opens an engine
    in this process, which takes over when the helper has no room for a picture. Raises the same `DeepDreamError` as the
    engine would, and `HelperError` for what only a helper can cause.
    """

    def __init__(
        self,
        reach: Callable[[], client.HelperClient],
        note: Callable[[str], None],
        local: Callable[[], Backend] | None = None,
    ) -> None:
        self._reach, self._note, self._open_local = reach, note, local
        self._local: Backend | None = None
        self.label = ""
        self.dreamed_with = DreamSettings()
        self._helper = reach()
        with translated():
            self._update(self._helper.warm()["workers"][0])

    def refresh(self) -> None:
        """Ask the helper for its device and weights, as another may have started since; raises as before."""
        with translated():
            try:
                about = self._helper.warm()
            except (client.NoHelper, client.HelperLost):
                self._helper = self._reach()
                about = self._helper.warm()
            self._update(about["workers"][0])

    def dream(
        self,
        planes: NDArray[np.float32],
        settings: DreamSettings,
        mask: NDArray[np.float32] | None = None,
        start: NDArray[np.float32] | None = None,
        guides: Sequence[NDArray[np.float32]] = (),
    ) -> Generator[Progress, None, NDArray[np.float32]]:
        """Dream a picture, float32 [3, H, W] in 0…1, and return one like it: see `Engine.dream`, which gives the same.

        Closing the generator cancels the job.
        """
        height, width = planes.shape[1:]
        with translated():
            job = None if self._local else self._sent(planes, settings, mask, start, guides)
            if self._local is not None:
                finished = yield from self._local.dream(planes, settings, mask, start, guides)
                self.dreamed_with = self._local.dreamed_with
                return finished
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
                        self._note("the helper is doing something more urgent first; this dream continues by itself")
                    elif event.name == "queued" and (before := int(event.data["position"]) - 1) > 0:
                        self._note(f"waiting for the helper: {before} before this")
                    elif event.name in ("running", "done"):
                        self._update(event.data)
                        if event.name == "done":
                            self.dreamed_with = _picked(settings, event.data)
                planes = _fetched(job, height, width)[0]
                return planes
            finally:
                with contextlib.suppress(client.LinkError):  # the first error is the one that matters
                    job.cancel()

    def _sent(
        self,
        planes: NDArray[np.float32],
        settings: DreamSettings,
        mask: NDArray[np.float32] | None,
        start: NDArray[np.float32] | None,
        guides: Sequence[NDArray[np.float32]],
    ) -> client.HelperJob | None:
        """Send the picture, to a new helper if the old one has ended; return None when the local engine takes over."""
        try:
            try:
                return self._submit(planes, settings, mask, start, guides)
            except (client.NoHelper, client.HelperLost):  # it has ended since the last picture
                self._helper = self._reach()
                return self._submit(planes, settings, mask, start, guides)
        except client.HelperRefused as refusal:
            if self._open_local is None or refusal.code not in NO_ROOM:
                raise
            self._note(f"the helper has no room for this picture: {refusal.what}; this process computes it")
        self._local = own = self._open_local()
        weights = {"name": own.weights.name, "sha256": own.weights.sha256}
        self._update({
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
        guides: Sequence[NDArray[np.float32]],
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
                    guides=[as_guide(guide) for guide in guides],
                )  # fmt: skip
            except client.HelperBusy as busy:
                if time.monotonic() + busy.retry_after_s > until:
                    raise
                self._note(f"the helper is busy: {busy.what}; trying again in {busy.retry_after_s:.0f} s")
                time.sleep(busy.retry_after_s)


def as_guide(planes: NDArray[np.float32]) -> client.Guide:
    """Return a guide, float32 [3, H, W], as the helper takes it."""
    pixels = _interleaved(planes)
    return pixels.data, "float32", (pixels.shape[0], pixels.shape[1], 3)


def _picked(settings: DreamSettings, data: dict[str, Any]) -> DreamSettings:
    """Return the settings with the channels that a job's last event says were picked."""
    return settings.model_copy(update={key: data["settings"][key] for key in ("layers", "channels")})


def _shown(name: str) -> str:
    """Return a file's name as a label can hold it."""
    return "".join(c if c.isprintable() else "?" for c in name)[:200]


def connect(*, start: bool, config: Path | None = None) -> client.HelperClient:
    """Return a client of this version's helper; `start` starts one with this configuration. Raises `HelperError`.

    The background service has its own configuration, so another one starts a helper of its own.
    """
    with translated():
        return client.connect(
            start=start, version=__version__, client=f"deepdream-{os.getpid()}", command=helper_start.own_command(config),
            endpoint_file=None if config is None else _endpoint_path(),
        )  # fmt: skip


def _endpoint_path() -> Path:
    try:
        return user_folders.endpoint_path()
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


class translated:  # noqa: N801 - a context manager, named for how it reads
    """A context in which the client's errors become this program's."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, client.LinkError):
            _clear_frames(error)
            code = getattr(error, "code", "")
            elsewhere = ", or use --via-helper no" if code in NO_ROOM else ""
            kind = _BY_CODE.get(code)
            if kind is None:
                raise HelperError(error.what, error.next_step + elsewhere, code) from None
            raise kind(error.what, error.next_step + elsewhere) from None


def _clear_frames(error: BaseException | None) -> None:
    """Clear the frames that an error has ended: an error that is kept would keep the picture alive.

    The cycle collector cannot do this: it crashes on a view of a view (Python 3.11).
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__
