"""A real `deepdream watch` process for tests, with folders of its own, and what one asks of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from helper_process import picture, until
from PIL import Image

from deepdream_core.hotfolder.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from helper_process import Helper

TINY: dict[str, Any] = {"description": "quick", "octaves": 1, "iterations": 1, "finest": "full", "jitter": 0}
"""A preset that takes a few hundredths of a second on a small picture."""

SLOW: dict[str, Any] = {"description": "slow", "octaves": 1, "iterations": 100_000, "finest": "full"}
"""A preset that ends only when it is stopped."""


def photograph(path: Path, seed: int = 0, side: int = 32, **options: Any) -> Path:
    """Write a small photograph, another one for each seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(side, seed)).save(path, **options)
    return path


class Watching:
    """`deepdream watch` on the folder `drop`; `helper` is the one that it finds, None lets it start its own."""

    def __init__(self, folder: Path, helper: Helper | None, keys: dict[str, Any], config: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.drop = folder / "drop"
        self.config = folder / "config.yaml"
        self.keys = {"path": str(self.drop), "preset": "tiny", "settle_s": 0.2, "rescan_s": 1.0, **keys}
        self.configure(**config)
        runtime = helper.folder / "run" if helper else folder / "run"
        folders = {"DEEPDREAM_RUNTIME_DIR": str(runtime), "DEEPDREAM_STATE_DIR": str(folder / "state")}
        self.environ = {**os.environ, **folders, "NO_COLOR": "1", "COLUMNS": "160"}
        self.log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, **config: Any) -> None:
        """Write the configuration, in one step as editors do."""
        tree = {
            "presets": {"tiny": TINY, "slow": SLOW},
            "folders": [self.keys],
            "engine": {"devices": ["cpu"]},
            **config,
        }
        self.write(yaml.safe_dump(tree))

    def write(self, text: str) -> None:
        """Write the configuration's text."""
        temporary = self.config.with_suffix(".new")
        temporary.write_text(text)
        temporary.replace(self.config)

    def start(self, *before: str, program: Sequence[str] = ("-m", "deepdream_core")) -> None:
        """Start it; `before` is a command under which it runs, `program` what Python runs."""
        with self.log.open("ab") as log:
            command = [*before, sys.executable, *program, "watch", "--config", str(self.config)]
            self.process = subprocess.Popen(
                command, env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self) -> None:
        """Kill it as a power cut does."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        if self.process is not None:
            self.process.wait()
            self.process = None

    def stop(self) -> int:
        """End it as a service manager does; return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.process = None
        return code

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another `deepdream` command beside it."""
        return subprocess.run(
            [sys.executable, "-m", "deepdream_core", *arguments], env=self.environ, cwd=self.folder,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def explain(self, path: Path) -> str:
        """What `deepdream explain` says of a file, without its name."""
        answer = self.run("explain", str(path), "--config", str(self.config))
        assert answer.returncode == 0, answer.stderr
        return answer.stdout.partition(": ")[2].strip()

    def said(self) -> str:
        """Everything that it has said."""
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    def files(self, part: str = "") -> list[str]:
        """The files below the drop folder or a part of it, but for our own hidden ones, sorted."""
        top = self.drop / part
        found = [path for path in top.rglob("*") if path.is_file() or path.is_symlink()]
        return sorted(str(path.relative_to(top)) for path in found if not path.name.startswith(".deepdream-folder"))

    def comes(self, name: str, within_s: float = 30.0) -> Path:
        """Wait until a file has come; return it."""
        path = self.drop / name
        until(lambda: os.path.lexists(path) or not self._lives(), within_s, 0.05)
        assert os.path.lexists(path), self.said()
        return path

    def _lives(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def says(self, text: str, within_s: float = 30.0) -> None:
        """Wait until it says something."""
        with contextlib.suppress(AssertionError):
            until(lambda: text in self.said(), within_s, 0.05)
        assert text in self.said()

    def state(self) -> dict[str, Any]:
        """What it last wrote down of the folder."""

        def read() -> dict[str, Any] | None:
            assert self.process is not None
            for path in (self.folder / "state" / "hotfolder").glob(f"state-{self.process.pid}.json"):
                with contextlib.suppress(OSError, ValueError):
                    found: dict[str, Any] = json.loads(path.read_text())["folders"][0]
                    return found
            return None

        found: dict[str, Any] = until(read, 15)
        return found

    def journal(self) -> Journal:
        """Its journal."""
        return Journal(self.folder / "state" / "hotfolder" / "journal.sqlite3")


@contextmanager
def watching(
    folder: Path, helper: Helper | None, config: dict[str, Any] | None = None, before: Sequence[str] = (), **keys: Any
) -> Iterator[Watching]:
    """A daemon that watches, killed afterwards if it still lives; `keys` are those of its drop folder."""
    made = Watching(folder, helper, keys, config or {})
    made.drop.mkdir(exist_ok=True)
    made.start(*before)
    try:
        yield made
    except BaseException as error:
        error.add_note(f"it said:\n{made.said()}\nthere are: {made.files()}")
        raise
    finally:
        made.kill()


@contextmanager
def another_disk(folder: Path, options: str = "size=1m") -> Iterator[Path]:
    """A disk of its own, mounted at `folder`; where none can be mounted, CI fails and others skip."""
    folder.mkdir(exist_ok=True)
    answer = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], capture_output=True, check=False
    )
    if answer.returncode:
        if os.environ.get("CI"):
            pytest.fail(f"no disk can be mounted: {answer.stderr.decode()}")
        pytest.skip("no disk can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
