"""A real helper process for tests, with folders of its own, and what one asks of it."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import yaml
from skimage import data

from deepdream_core.link import client
from deepdream_core.link.endpoint import Endpoint, read_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

QUICK: dict[str, Any] = {"octaves": 1, "iterations": 1, "finest": "full", "jitter": 0}
"""Settings of a job that takes a few hundredths of a second on a picture of 32 px."""

ENDLESS: dict[str, Any] = {"octaves": 1, "iterations": 100_000, "finest": "full"}
"""Settings of a job that ends only when it is stopped."""


def _photograph() -> NDArray[np.uint8]:
    photograph: NDArray[np.uint8] = getattr(data, "astronaut")()  # noqa: B009 - untyped
    return photograph


def picture(side: int = 32, seed: int = 0) -> NDArray[np.uint8]:
    """A photograph's part, uint8 [side, side, 3], another one for each seed."""
    top, left = min(seed % 64, 512 - side), min(100, 512 - side)
    return np.ascontiguousarray(_photograph()[top : top + side, left : left + side])


def generous(within_s: float) -> float:
    """Return how long to wait for what an idle machine does in so many seconds: another may be busy with other things."""
    return max(60.0, 4 * within_s)


def until(condition: Callable[[], Any], within_s: float = 30.0, pause_s: float = 0.02) -> Any:
    """Return the first true value that `condition` gives; fails when it gives none in time: see `generous`."""
    within_s = generous(within_s)
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(pause_s)
    raise AssertionError(f"not within {within_s} s: {condition}")


class Helper:
    """`deepdream helper` as a process of its own; `environ` points clients to it."""

    def __init__(self, folder: Path, config: dict[str, Any] | None = None, *, on_demand: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.config = folder / "config.yaml"
        self.config.write_text(yaml.safe_dump({"engine": {"devices": ["cpu"]}, **(config or {})}))
        folders = {"DEEPDREAM_RUNTIME_DIR": str(folder / "run"), "DEEPDREAM_STATE_DIR": str(folder / "state")}
        self.environ = {**os.environ, **folders, "NO_COLOR": "1", "COLUMNS": "160"}
        self.endpoint_file = folder / "run" / "endpoint.json"
        self.errors = folder / "stderr"
        self.on_demand = on_demand
        self.pids: list[int] = []
        """All that were started here."""
        self.process = self.spawn()

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start a helper process, also a second one."""
        options = ["--on-demand"] if self.on_demand else []
        with self.errors.open("ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "deepdream_core", "helper", "--config", str(self.config), *options],
                env=self.environ, stdout=errors, stderr=errors, start_new_session=True,
            )  # fmt: skip
        self.pids.append(process.pid)
        return process

    def client(self, name: str = "test") -> client.HelperClient:
        """Return a client of it, as soon as it listens."""

        def try_it() -> client.HelperClient | None:
            assert self.process.poll() is None, self.errors.read_text()
            try:
                return client.connect(endpoint_file=self.endpoint_file, client=name)
            except client.NoHelper:
                return None

        found: client.HelperClient = until(try_it, 15)
        return found

    @property
    def endpoint(self) -> Endpoint:
        """What the endpoint file says."""
        found = read_endpoint(self.endpoint_file)
        assert found is not None
        return found

    def status(self) -> dict[str, Any]:
        """What it says of itself."""
        return self.client("status").status()

    def worker_pid(self, number: int = 0) -> int | None:
        """The process of a worker, None when it is off."""
        pid: int | None = self.status()["workers"][number]["pid"]
        return pid

    def log(self) -> str:
        """The log file's text."""
        path = self.folder / "state" / "helper.log"
        return path.read_text() if path.exists() else ""

    def children(self) -> list[psutil.Process]:
        """Its processes: workers, and Python's resource tracker."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self) -> int:
        """End it as a service manager does; return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


@contextmanager
def running_helper(folder: Path, config: dict[str, Any] | None = None, *, on_demand: bool = False) -> Iterator[Helper]:
    """A helper that is ended afterwards, and has then left nothing in shared memory and no process."""
    helper = Helper(folder, config, on_demand=on_demand)
    try:
        helper.client()
        yield helper
    finally:
        children = helper.children() if helper.process.poll() is None else []
        helper.stop()
        _, alive = psutil.wait_procs(children, timeout=60)
        for process in alive:
            process.kill()
        assert not alive, f"processes left behind: {alive}"
        made = tuple(f"dd_{pid}_" for pid in helper.pids)
        until(lambda: not any(name.startswith(made) for name in shared_memory()))  # the tracker ends after a killed one


def submitted(helper: client.HelperClient, side: int = 32, seed: int = 0, **options: Any) -> client.HelperJob:
    """Send a small picture; `settings` and `priority` as given, else quick and batch."""
    pixels = picture(side, seed)
    given = {"priority": "batch", "settings": QUICK, **options}
    return helper.submit(pixels.data, dtype="uint8", shape=(side, side, 3), **given)


def followed(job: client.HelperJob) -> list[client.Event]:
    """All events up to done."""
    return list(job.events())


class Following:
    """A job followed in a thread of its own: what it told and when, and how it ended."""

    def __init__(self, job: client.HelperJob) -> None:
        self.job = job
        self.told: list[tuple[float, client.Event]] = []
        self.error: client.LinkError | None = None
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        try:
            for event in self.job.events():
                self.told.append((time.monotonic(), event))
        except client.LinkError as error:
            self.error = error

    def all(self, name: str) -> list[dict[str, Any]]:
        """The data of all events of that name so far."""
        return [event.data for _, event in list(self.told) if event.name == name]

    @property
    def names(self) -> list[str]:
        """The names of all events so far."""
        return [event.name for _, event in list(self.told)]

    def ended(self, within_s: float = 60.0) -> str:
        """Wait for the end; return `done`, the code of a failure, why it was cancelled, or the error in words."""
        self._thread.join(generous(within_s))
        assert not self._thread.is_alive(), f"not ended within {within_s} s: {self.names[-5:]}"
        if isinstance(self.error, client.JobFailed):
            return self.error.code
        if isinstance(self.error, client.JobCancelled):
            return self.error.why
        return "done" if self.error is None else f"{type(self.error).__name__}: {self.error}"


def running_endlessly(helper: client.HelperClient, seed: int = 0, **options: Any) -> Following:
    """Send a job that only ends when it is stopped; return when it has made its first step."""
    following = Following(submitted(helper, seed=seed, **{"settings": ENDLESS, **options}))
    until(lambda: following.all("progress") or following.error)
    assert following.error is None, following.error
    return following


def asked(helper: Helper, method: str, path: str, **headers: str) -> tuple[int, bytes]:
    """Make one call as any HTTP client would; return the status and the body."""
    endpoint = helper.endpoint
    with contextlib.closing(http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=30)) as connection:
        connection.request(method, path, headers={"Authorization": f"Bearer {endpoint.token}", **headers})
        answer = connection.getresponse()
        return answer.status, answer.read()


def memory_of(pid: int) -> set[str]:
    """The names of the shared memory that a process has open."""
    return set(re.findall(r"/dev/shm/(dd_\w+)", Path(f"/proc/{pid}/maps").read_text(errors="replace")))


def shared_memory() -> set[str]:
    """The names of what helpers have in shared memory, each with its helper's process number in it."""
    folder = Path("/dev/shm")
    return {path.name for path in folder.iterdir() if path.name.startswith("dd_")} if folder.is_dir() else set()
