"""The hot folder's daemon in this process, with a clock that runs as fast as it can and an engine that changes nothing."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from watching import TINY

from deepdream_core.config import load_config
from deepdream_core.hotfolder import explain
from deepdream_core.hotfolder.daemon import Daemon
from deepdream_core.hotfolder.journal import Journal
from deepdream_core.hotfolder.layout import Layout
from deepdream_core.machine_settings import FolderSettings
from deepdream_core.settings import DreamSettings, Preset

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from deepdream_core.hotfolder.engines import Elsewhere
    from deepdream_core.work.backend import Backend

    State = dict[str, Any]


class Engine:
    """An engine that leaves every picture as it is."""

    label, device, device_name, precision, threads = "", "cpu", "none", "fp32", 1
    weights = SimpleNamespace(name="oxford", sha256="0" * 64)
    dreamed_with = DreamSettings()

    def dream(self, planes: NDArray[np.float32], *_: object) -> Generator[Any, None, NDArray[np.float32]]:
        yield from ()
        return planes


class Drop:
    """A drop folder and a daemon in this process, whose clock runs as fast as it can."""

    def __init__(self, folder: Path, **keys: Any) -> None:
        self.root = folder / "drop"
        self.root.mkdir()
        self.settings = FolderSettings(path=str(self.root), preset="tiny", **keys)
        self.layout = Layout.of(self.settings, ("tiny",))
        tiny = Preset(description="quick", settings={key: value for key, value in TINY.items() if key != "description"})
        self.config = load_config(None).model_copy(update={"presets": {"tiny": tiny}})
        self.journal = Journal(folder / "journal.sqlite3")
        self.said: list[str] = []
        self.state: State = {}
        self.now = 0.0
        self.engine: Callable[[Backend | None], Backend] = lambda _before: Engine()
        self.elsewhere: Callable[[str], Elsewhere] | None = None

    def watched(self, until: Callable[[State], bool], within_s: float = 60.0) -> None:
        """Let a new daemon work until the state that it shows is as wanted."""
        end = time.monotonic() + within_s
        came = False

        def show(state: State) -> None:
            nonlocal came
            self.state = state["folders"][0]
            self.now += 0.5
            came = not self.state["running"] and until(self.state)
            if came or time.monotonic() > end:
                daemon.stop()

        daemon = Daemon(
            lambda: (self.config, [self.settings]), self.journal, self.engine, self.said.append, show,
            elsewhere=self.elsewhere, clock=lambda: self.now, tick_s=0.005,
        )  # fmt: skip
        with self._own_state():
            daemon.run()
        assert came, "\n".join([*self.said, str(self.state), str(self.files())])

    def explained(self, name: str) -> str:
        with self._own_state():
            return explain.explained(self.root / name, [self.layout], self.journal)

    @contextmanager
    def _own_state(self) -> Iterator[None]:
        """Whoever runs the tests may have paused a daemon of their own."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DEEPDREAM_STATE_DIR", str(self.root.parent / "state"))
            yield

    def files(self) -> list[str]:
        found = [path for path in self.root.rglob("*") if path.is_file() and not path.name.startswith(".deepdream-f")]
        return sorted(str(path.relative_to(self.root)) for path in found)

    def alone(self) -> dict[str, str]:
        return {os.path.basename(one["path"]): one["why"] for one in self.state["left_alone"]}  # noqa: PTH119
