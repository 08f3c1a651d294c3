"""A job in a worker: pixels in shared memory, and the engine's generator that dreams them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np

from deepdream_core.errors import PictureError
from deepdream_core.helper.shared import attach
from deepdream_core.photo.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from deepdream_core.engine.engine import Engine
    from deepdream_core.engine.progress import Progress
    from deepdream_core.helper.shared import Memory
    from deepdream_core.helper.worker_messages import Open, Shared

_WHITE = {"uint8": 255.0, "uint16": 65535.0, "float16": 1.0, "float32": 1.0}


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
            frames[kind] = Frame(array, _WHITE[shared.header.dtype])
        self.frame: Frame | None = frames["pixels"]
        mask = frames["mask"].visible_brightness() if "mask" in frames else None
        if mask is not None:
            if not np.isfinite(mask).all():
                raise PictureError("the mask holds NaN or infinite values", "send a mask without them")
            mask = mask.clip(0, 1)
        start = None if "start" not in frames else frames["start"].samples.transpose(2, 0, 1).copy()
        if start is not None and not np.isfinite(start).all():
            raise PictureError("the start holds NaN or infinite values", "send one without them")
        self.steps: Generator[Progress, None, NDArray[np.float32]] = engine.dream(
            self.frame.floats(), message.settings, mask, start
        )

    def write_so_far(self, into: Shared) -> bool:
        """Write the picture so far into an array; return whether there is a picture yet."""
        if self.progress is None or self.frame is None:
            return False
        planes = self.progress.picture()[0].cpu().numpy()
        memory = attach(into.name)
        array = np.ndarray(into.header.shape, into.header.dtype, memory.buf)
        np.copyto(array, self.frame.samples)
        Frame(array, self.frame.white).take_floats(planes)
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
