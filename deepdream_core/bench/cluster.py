"""`deepdream bench --cluster`: measures what a cluster adds to each picture, with stand-ins for the devices."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
from PIL import Image
from rich.console import Console
from rich.table import Table

from deepdream_core import __version__
from deepdream_core.bench.hotfolder import clouds
from deepdream_core.errors import HelperError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIZES: tuple[tuple[str, tuple[int, int], int], ...] = (
    ("32×24, PNG", (24, 32), 100), ("2 megapixels, JPEG", (1152, 1728), 8), ("12 megapixels, JPEG", (2828, 4243), 1),
)  # fmt: skip
"""What is sent: its name, height and width, and how many for each one of the largest."""
PROCESSES = 5
"""Stand-ins share so many processes, which this one machine has to run."""
START_S, STUCK_S = 120.0, 300.0


@dataclass
class Costs:
    """What a run has taken: seconds from its first result to its last, and of each process's processor; most memory."""

    pictures: int
    seconds: float = 0.0
    cpu_s: dict[str, float] = field(default_factory=dict)
    peak_mb: dict[str, float] = field(default_factory=dict)


def print_scaling(workers: int, pictures: int, seconds: float) -> None:
    """Print what sending pictures of several sizes takes, with one and with `workers` stand-ins that sleep `seconds`.

    `pictures` is the number of the largest. Scheduler with TLS, stand-ins and `deepdream dream` run on this machine, with a
    certificate of their own. Raises `HelperError` when one of them does not start, or no result appears.
    """
    table = Table(
        "pictures", "stand-ins", "pictures a second", "beyond the sleep, s", "client's CPU, s", "scheduler's", "stand-ins'",
        "client's most, MB", "scheduler's",
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="deepdream-bench-") as name:
        folder = Path(name)
        for label, size, times in SIZES:
            for count in (1, workers):
                source = folder / f"{label[:3]}-{count}"
                many = max(4, pictures * times * count // workers)
                _fill(source, size, many)
                with scheduler(folder / f"state-{label[:3]}-{count}") as run, sleeping(run, count, seconds):
                    spent = run.dreamed(source)
                each = spent.seconds / (many - 1)
                table.add_row(
                    f"{many} × {label}", str(count), f"{1 / each:.1f}", f"{each * count - seconds:.3f}",
                    *(f"{spent.cpu_s[who] / many:.4f}" for who in ("client", "scheduler", "stand-ins")),
                    *(f"{spent.peak_mb[who]:.0f}" for who in ("client", "scheduler")),
                )  # fmt: skip
    console = Console(width=150)
    console.print(
        f"deepdream {__version__}, distributed {version('distributed')}, TLS, {os.cpu_count()} cores for all of it; "
        f"stand-ins sleep {seconds:g} s a picture; CPU in seconds a picture", soft_wrap=True,
    )  # fmt: skip
    console.print(table)


def _fill(folder: Path, size: tuple[int, int], count: int) -> None:
    """Write pictures that differ."""
    folder.mkdir()
    pixels = clouds(0, size)
    for number in range(count):
        pixels[0, 0] = (number % 256, number // 256 % 256, number // 65536)
        name = f"{number:06}.png" if size[0] < 100 else f"{number:06}.jpg"
        Image.fromarray(np.roll(pixels, number, 1)).save(folder / name, quality=92)


class Run:
    """A scheduler and what uses it."""

    def __init__(self, state: Path) -> None:
        self._state = state
        state.mkdir(0o700)
        self.environ = {
            **os.environ, "DEEPDREAM_STATE_DIR": str(state), "DEEPDREAM_RUNTIME_DIR": str(state), "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        self.address = f"tls://{socket.gethostname()}:{_free_port()}"
        self.processes: dict[str, list[subprocess.Popen[bytes]]] = {}

    def start(self, kind: str, module: str, *words: object) -> subprocess.Popen[bytes]:
        """Start `python -m MODULE WORDS`."""
        with (self._state / f"{kind}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *map(str, words)], env=self.environ, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log,
            )  # fmt: skip
        self.processes.setdefault(kind, []).append(process)
        return process

    def waited_for(self, ready: Callable[[], object]) -> None:
        """Wait until `ready` gives a true value; raises `HelperError` when a process ends before, or it takes too long."""
        until = time.monotonic() + START_S
        while not ready():
            over = [kind for kind, started in self.processes.items() for one in started if one.poll() is not None]
            if over or time.monotonic() > until:
                lines = [line for path in self._state.glob("*.log") for line in path.read_text("utf-8").splitlines()]
                raise HelperError(f"the cluster did not start: {' '.join(lines[-1:])}", "run the command again")
            time.sleep(0.2)

    def says(self, kind: str, text: str) -> int:
        """Return how often one has printed a text."""
        path = self._state / f"{kind}.log"
        return path.read_text("utf-8").count(text) if path.exists() else 0

    def dreamed(self, source: Path, seen: Callable[[int, dict[str, float]], None] = lambda _done, _mb: None) -> Costs:
        """Let `deepdream dream` do a folder; `seen` gets the number of results and each one's memory in MB."""
        target = source.with_name(f"{source.name}-out")
        total = sum(1 for _ in source.iterdir())
        client = self.start("client", "deepdream_core", "dream", source, "-o", target, "-q", "--cluster", self.address)
        costs, last, changed = Costs(total), 0, time.monotonic()
        begun: dict[str, float] = {}
        while client.poll() is None:
            done = sum(not name.startswith(".") for name in os.listdir(target)) if target.exists() else 0  # noqa: PTH208
            cpu, memory = self._measured()
            begun = begun or (cpu if done else {})
            for who, megabytes in memory.items():
                costs.peak_mb[who] = max(megabytes, costs.peak_mb.get(who, 0.0))
                if begun:
                    costs.cpu_s[who] = cpu[who] - begun.get(who, 0.0)
            seen(done, memory)
            if done > last:
                last, changed = done, time.monotonic()
            if time.monotonic() - changed > STUCK_S:
                client.kill()
            time.sleep(0.1)
        times = sorted(path.stat().st_mtime for path in target.iterdir()) if target.exists() else []
        if client.returncode or len(times) != total:
            raise HelperError(
                f"{len(times)} of {total} pictures were dreamed", "look at what else runs on this machine"
            )
        costs.seconds = times[-1] - times[0]
        return costs

    def _measured(self) -> tuple[dict[str, float], dict[str, float]]:
        """Return each kind's processor seconds and memory in MB."""
        cpu, memory = {}, {}
        for kind, started in self.processes.items():
            with contextlib.suppress(psutil.Error):
                found = [psutil.Process(one.pid) for one in started]
                cpu[kind] = sum(sum(process.cpu_times()[:2]) for process in found)
                memory[kind] = sum(process.memory_info().rss for process in found) / 1e6
        return cpu, memory


@contextlib.contextmanager
def scheduler(state: Path) -> Iterator[Run]:
    """Return a run with a scheduler, with TLS, which ends afterwards with all that it has started."""
    run = Run(state)
    host, _, port = run.address.removeprefix("tls://").rpartition(":")
    words = ("cluster", "start", "--host", host, "--port", port, "--dashboard", 0, "--no-worker")
    try:
        run.start("scheduler", "deepdream_core", *words)
        run.waited_for(lambda: run.says("scheduler", "the cluster is at"))
        yield run
    finally:
        for started in run.processes.values():
            for process in started:
                process.terminate()
                process.wait()


@contextlib.contextmanager
def sleeping(run: Run, count: int, seconds: float) -> Iterator[None]:
    """Let so many stand-ins work for a scheduler; they end with it."""
    for number in range(min(PROCESSES, count)):
        share = count // PROCESSES + (number < count % PROCESSES)
        run.start("stand-ins", "deepdream_core.bench.sleeping", run.address, share, seconds, f"{number}")
    run.waited_for(lambda: run.says("stand-ins", "dreams for") == count)
    yield


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port
