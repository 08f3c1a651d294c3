"""A process that reads and writes the pictures it is told, and tells what became of each; see `test_hostile`.

A decoder that crashes, hangs or eats memory does so here, and not in the tests.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
import traceback
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from PIL import Image

from deepdream_core.errors import OutputError, PictureError
from deepdream_core.photo import FORMATS, Photo, read_photo, write_photo

if TYPE_CHECKING:
    from collections.abc import Callable

PILLOWS = {"JPEG", "MPO", "PNG", "WEBP", "AVIF", "GIF", "BMP", "DIB"}
TRIED: set[str] = set()


def watch_what_is_tried() -> None:
    """Note each format of Pillow's that is asked whether a file is its own."""
    Image.init()
    for name, (factory, accept) in list(Image.OPEN.items()):

        def noted(*arguments: Any, name: str = name, factory: Any = factory) -> Any:
            TRIED.add(name)
            return factory(*arguments)

        Image.OPEN[name] = (noted, accept)


def forget_peak() -> None:
    """Let the kernel measure the peak of this process again, where it can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_mb() -> float:
    """Return the most memory this process has had resident since then, or since its beginning."""
    try:
        return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
    except OSError:
        return float(psutil.Process().memory_info().rss) / (1 << 20)


def read(path: Path) -> tuple[Photo, Photo]:
    """Return a picture, and it again with other colours."""
    photo = read_photo(path, max_megapixels=200)
    if photo.format != "TIFF" and len({frame.samples.shape for frame in photo.frames}) > 1:
        raise AssertionError("frames of one animation differ in size or channels")
    return photo, photo.with_frames([frame.with_floats(1 - frame.floats()) for frame in photo.frames])


def write(photo: Photo, dreamed: Photo) -> None:
    """Write a picture again, and as it is but for its recipe, and read both."""
    targets = [photo.path.with_name(name + FORMATS[photo.format].endings[0]) for name in ("written", "copied")]
    write_photo(replace(dreamed, untouched=False), targets[0], recipe="seed: 1", overwrite=True)
    write_photo(photo, targets[1], recipe="seed: 1", overwrite=True)
    for target in targets:
        again = read_photo(target, max_megapixels=200)
        if again.size != photo.size:
            raise AssertionError(f"{target.name} with {again.size}, read with {photo.size} pixels")


def answer(task: Callable[[], object]) -> dict[str, Any]:
    """Run a part of the work, and return what became of it and what it took."""
    TRIED.clear()
    forget_peak()
    began = time.perf_counter()
    outcome, message = "done", ""
    try:
        task()
    except (PictureError, OutputError) as error:
        outcome, message = ("PictureError" if isinstance(error, PictureError) else "OutputError"), str(error)
    except BaseException:
        outcome, message = "raised", traceback.format_exc()
    seconds = time.perf_counter() - began
    strange = sorted(TRIED - PILLOWS)
    return {"outcome": outcome, "message": message, "seconds": seconds, "peak_mb": peak_mb(), "strange": strange}


def main() -> None:
    """Answer each line with a line of JSON: to a path, read it; to an empty one, write what was read."""
    watch_what_is_tried()
    photos: list[Photo] = []

    def keep(path: Path) -> None:
        photos.clear()
        photos.extend(read(path))

    for line in sys.stdin:
        path = json.loads(line)
        told = answer(partial(keep, Path(path)) if path else partial(write, *photos))
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
