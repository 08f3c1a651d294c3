"""What all tests share: real photographs, the default weights, and the command as a real process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from helper_process import Helper, running_helper
from hypothesis import settings
from PIL import Image
from skimage import data
from warm_start import WarmStart, warm_start

from deepdream_core.engine.weights import Weights, load_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor

pytest_plugins = ("left_out", "parallel")

settings.register_profile("same every time, on slow machines too", deadline=None, derandomize=True)
settings.load_profile("same every time, on slow machines too")

# Whoever started this may ignore signals, as nohup and a script's & do, and children would inherit that. A handler that
# does nothing protects these tests just as well, and the programs that they start have the usual signals again.
for _number in (getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")):
    if _number is not None and signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, lambda *_: None)

WARM = (["dream"], ["looks"])
"""Commands that load torch, which is most of their start."""
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
TOP, LEFT, HEIGHT, WIDTH = 40, 110, 160, 192


def photograph(name: str, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    """A part of one of scikit-image's photographs, float32 [1, 3, height, width] in 0…1."""
    pixels = getattr(data, name)()[TOP : TOP + height, LEFT : LEFT + width, :3]
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


def picture_file(path: Path, name: str = "astronaut", size: tuple[int, int] = (96, 72), **options: Any) -> Path:
    """Write a photograph of `size` (width, height) to `path` and return it."""
    Image.fromarray(getattr(data, name)()).resize(size).save(path, **options)
    return path


def pixels_of(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    with Image.open(path) as image:
        return np.array(image)


@pytest.fixture(scope="session")
def oxford() -> Weights:
    return load_weights("oxford")


@pytest.fixture(autouse=True)
def _no_thread_left_behind() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [thread.name for thread in threading.enumerate() if thread not in before and not thread.daemon]
    assert not left, f"threads left behind: {left}"


@pytest.fixture(autouse=True)
def _ordinary_arithmetic() -> Iterator[None]:
    """Undo what an engine sets for the process's speed; hypothesis refuses to work where tiny numbers count as 0."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(scope="module")
def helper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Helper]:
    """A helper of the module's own, as a real process, with its model loaded."""
    with running_helper(tmp_path_factory.mktemp("helper")) as running:
        running.client().warm()
        yield running


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment whose config, data and run-time folders are empty ones below tmp_path: no helper runs there."""
    names = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "HOME", "APPDATA", "DEEPDREAM_RUNTIME_DIR", "DEEPDREAM_STATE_DIR")
    folders = {name: str(tmp_path / "home" / name) for name in names}
    return {**os.environ, **folders, "NO_COLOR": "1", "COLUMNS": "160"}


@pytest.fixture(scope="session")
def warm() -> Iterator[WarmStart]:
    with warm_start() as made:
        yield made


@pytest.fixture
def deepdream(
    tmp_path: Path, home: dict[str, str], request: pytest.FixtureRequest
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The real command, run in tmp_path; what dreams is forked from a warm process unless it is to be `cold`."""

    def run(
        *arguments: object, timeout: float = 120, cold: bool = False, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        words = [*map(str, arguments)]
        if words[:1] in WARM and not cold and not environment and sys.platform == "linux":
            forked: WarmStart = request.getfixturevalue("warm")
            return forked.run(words, cwd=tmp_path, env=home, timeout=timeout)
        return subprocess.run(
            [sys.executable, "-m", "deepdream_core", *words],
            cwd=tmp_path,
            env={**home, **environment},
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=timeout,
            check=False,
        )

    return run


def events(answer: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """The lines of `--json`."""
    return [json.loads(line) for line in answer.stdout.splitlines()]
