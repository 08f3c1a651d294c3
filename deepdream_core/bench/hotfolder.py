"""`deepdream bench --hot-folder`: measures how much of the engine's own speed the hot folder keeps."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml
from PIL import Image
from rich.console import Console
from rich.table import Table

from deepdream_core import __version__
from deepdream_core.errors import HelperError
from deepdream_core.hotfolder.journal import Journal
from deepdream_core.photo import read_photo
from deepdream_core.work import remote
from deepdream_core.work.guides import GuideFiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from deepdream_core.link.client import Guide, HelperClient
    from deepdream_core.settings import Config, DreamSettings

SIZE = (1152, 1728)
"""Height and width of a picture of 2 megapixels."""
ALONE = 2
"""Pictures that the engine dreams alone, before and after."""
STUCK_S = 600.0


def print_throughput(config: Config, pictures: int) -> None:
    """Print pictures per minute of the engine alone and of the hot folder, for `pictures` of 2 megapixels.

    The helper's worker times the engine before and after, in the same run. The hot folder's time runs from the first file
    taken to the last original moved. Raises as `RemoteEngine` does, and `HelperError` when no result appears.
    """
    helper = remote.connect(start=True)
    where = helper.warm()["workers"][0]
    with tempfile.TemporaryDirectory(prefix="deepdream-bench-") as name:
        folder = Path(name)
        drop = folder / "drop"
        drop.mkdir()
        for number in range(pictures):
            Image.fromarray(clouds(number, SIZE)).save(drop / f"{number:05}.jpg", quality=92)
        settings, guides = GuideFiles().read(
            config.dream_settings(None, {}), max_megapixels=config.engine.max_megapixels
        )
        sent = [remote.as_guide(guide) for guide in guides]
        paths = sorted(drop.iterdir())[:ALONE]
        alone = [_engine_s(helper, path, settings, sent) for path in paths]
        with _watching(folder, settings):
            spent_s = _spent_s(folder, pictures)
        alone += [_engine_s(helper, drop / "done" / path.name, settings, sent) for path in paths]
    engine, through = 60 / float(np.mean(alone)), 60 * pictures / spent_s
    table = Table(f"{pictures} pictures of 2 megapixels", "pictures per minute", "of the engine's")
    table.add_row("the engine alone", f"{engine:.2f}", "")
    table.add_row("through the hot folder", f"{through:.2f}", f"{through / engine:.3f}")
    console = Console()
    console.print(
        f"deepdream {__version__}, {where['device']} ({where['name']}), {where['precision']}; the engine's {2 * ALONE} "
        f"pictures took {min(alone):.2f} to {max(alone):.2f} s",
        soft_wrap=True,
    )
    console.print(table)


def clouds(seed: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return clouds in colour, uint8 [H, W, 3], of about a photograph's size as JPEG; `size` is height and width."""
    random = np.random.default_rng(seed)
    mixed = np.zeros((*size, 3), np.float32)
    for cells in (4, 16, 64, 256):
        grid = random.integers(0, 256, (cells, cells * 3 // 2, 3), dtype=np.uint8)
        layer = Image.fromarray(grid).resize(size[::-1], Image.Resampling.BICUBIC)
        mixed += np.asarray(layer, np.float32) * (2 / cells) ** 0.5
    mixed -= mixed.min()
    picture: NDArray[np.uint8] = (mixed * (255 / mixed.max())).astype(np.uint8)
    return picture


def _engine_s(helper: HelperClient, path: Path, settings: DreamSettings, guides: Sequence[Guide]) -> float:
    """Return the seconds that the engine itself spends on a picture."""
    planes = read_photo(path, max_megapixels=10).frames[0].floats()
    pixels = np.ascontiguousarray(planes.transpose(1, 2, 0))
    with remote.translated():
        job = helper.submit(
            pixels.data,
            dtype="float32",
            shape=(*SIZE, 3),
            priority="batch",
            settings=settings.model_dump(),
            guides=guides,
        )
        for event in job.events():
            done = event.data
        job.forget()
    return float(done["engine_s"])


@contextmanager
def _watching(folder: Path, settings: DreamSettings) -> Iterator[None]:
    """Run `deepdream watch` on the folder, with a journal of its own and this user's helper."""
    config = folder / "config.yaml"
    tree = {"dream": settings.model_dump(), "folders": [{"path": str(folder / "drop")}]}
    config.write_text(yaml.safe_dump(tree), "utf-8")
    from deepdream_core.link import user_folders

    environ = {
        **os.environ,
        "DEEPDREAM_RUNTIME_DIR": str(user_folders.runtime_folder()),
        "DEEPDREAM_STATE_DIR": str(folder / "state"),
    }
    command = [sys.executable, "-I", "-m", "deepdream_core", "watch", "--plain", "--config", str(config)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def _spent_s(folder: Path, pictures: int) -> float:
    """Wait until all pictures are done; return the seconds from the first one taken to the last one put away."""
    path = folder / "state" / "hotfolder" / "journal.sqlite3"
    drop, last, changed = folder / "drop", 0, time.monotonic()
    while True:
        time.sleep(0.5)
        if path.exists():
            journal = Journal(path)
            done = journal.counts(drop).get("done", 0)
            if done >= pictures:
                entries = journal.latest(drop, "done", limit=pictures)
                journal.close()
                return max(entry.changed for entry in entries) - min(entry.began for entry in entries)
            journal.close()
            if done > last:
                last, changed = done, time.monotonic()
        if time.monotonic() - changed > STUCK_S:
            lines = (folder / "log").read_text("utf-8", "replace").strip().splitlines()[-1:]
            raise HelperError(f"no result for {STUCK_S:.0f} s: {' '.join(lines)}", "look at `deepdream status`")
