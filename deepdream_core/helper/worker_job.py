"""A job in a worker: pixels in shared memory, and the engine's generator that dreams them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np

from deepdream_core.errors import PictureError
from deepdream_core.helper.job import guide_kinds
from deepdream_core.helper.shared import attach
from deepdream_core.helper.views import seen, window
from deepdream_core.photo.frame import WHITE, Frame

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from deepdream_core.engine.engine import Engine
    from deepdream_core.engine.progress import Progress
    from deepdream_core.helper.shared import Memory
    from deepdream_core.helper.worker_messages import Open, Shared
    from deepdream_core.link.view import View
    from deepdream_core.settings import DreamSettings


class WorkerJob:
    """A job that has begun: its generator, its picture, and the generator's last progress."""

    def __init__(self, message: Open, engine: Engine) -> None:
        self.id = message.job
        self.previews = message.previews
        self.progress: Progress | None = None
        self.engine_s = 0.0
        self.tile_px: int | None = None
        self._memory: list[Memory] = []
        frames: dict[str, Frame] = {}
        for kind, shared in message.arrays.items():
            self._memory.append(attach(shared.name))
            array = np.ndarray(shared.header.shape, shared.header.dtype, self._memory[-1].buf)
            frames[kind] = Frame(array, WHITE[shared.header.dtype])
        self.frame: Frame | None = frames["pixels"]
        mask = frames["mask"].visible_brightness() if "mask" in frames else None
        if mask is not None:
            if not np.isfinite(mask).all():
                raise PictureError("the mask holds NaN or infinite values", "send a mask without them")
            mask = mask.clip(0, 1)
        start = None if "start" not in frames else frames["start"].samples.transpose(2, 0, 1).copy()
        if start is not None and not np.isfinite(start).all():
            raise PictureError("the start holds NaN or infinite values", "send one without them")
        guides = [frames[kind].floats() for kind in guide_kinds(len(message.settings.guides))]
        for number, guide in enumerate(guides):
            if not np.isfinite(guide).all():
                raise PictureError(f"guide {number} holds NaN or infinite values", "send one without them")
            guide.clip(0, 1, out=guide)
        self.settings: DreamSettings | None = None
        self._engine = engine
        self.steps: Generator[Progress, None, NDArray[np.float32]] = engine.dream(
            self.frame.floats(), message.settings, mask, start, guides
        )

    def advance(self) -> Progress:
        """Take a step, as `next` does; from the first one on, `settings` are those used, with channels picked."""
        try:
            return next(self.steps)
        finally:
            self.settings = self.settings or self._engine.dreamed_with

    def write_so_far(self, into: Shared, view: View | None) -> bool:
        """Write the picture so far, or a view of it, into an array; return whether there is a picture yet."""
        if self.progress is None or self.frame is None:
            return False
        where = (slice(None), slice(None)) if view is None else window(view)
        planes = self.progress.picture()[0][(slice(None), *where)].cpu().numpy()
        memory = attach(into.name)
        array = np.ndarray(into.header.shape, into.header.dtype, memory.buf)
        if view is None:
            np.copyto(array, self.frame.samples)
            Frame(array, self.frame.white).take_floats(planes)
        else:
            part = Frame(self.frame.samples[where], self.frame.white).with_floats(planes)
            np.copyto(array, seen(part.samples, view))
        del array
        memory.close()
        return True

    def close(self) -> None:
        """Close the generator and the shared memory."""
        self.steps.close()
        self.progress = self.frame = None
        for memory in self._memory:
            with contextlib.suppress(BufferError):  # a view of it is still in use, and will be released
                memory.close()
        self._memory.clear()
