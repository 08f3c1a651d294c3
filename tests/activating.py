"""What systemd does for the helper's socket: listen, and start the helper whenever somebody waits there and none runs."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import yaml

from deepdream_core.link import client, service_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# As systemd does: the sockets are files 3 and up, and the process that they are for is the one that runs the program.
EXEC = """
import os, sys
os.dup2(int(sys.argv[1]), 3, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="deepdream-helper.socket")
os.execv(sys.argv[2], sys.argv[2:])
"""


class Manager:
    """A service manager with one socket, and folders of its own; `environ` points programs to them."""

    def __init__(
        self, folder: Path, config: dict[str, Any] | None = None, program: Sequence[str] = ("-m", "deepdream_core")
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.program = folder, program
        self.config = folder / "config.yaml"
        self.config.write_text(yaml.safe_dump({"engine": {"devices": ["cpu"]}, **(config or {})}))
        folders = {"DEEPDREAM_RUNTIME_DIR": str(folder / "run"), "DEEPDREAM_STATE_DIR": str(folder / "state")}
        self.environ = {**os.environ, **folders, "NO_COLOR": "1", "COLUMNS": "160"}
        self.endpoint_file = folder / "run" / "endpoint.json"
        self.service_file = folder / "state" / service_endpoint.FILE
        self.service, _ = service_endpoint.prepared(self.service_file)
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((self.service.host, self.service.port))
        self.socket.listen(4096)
        self.process: subprocess.Popen[bytes] | None = None
        self.codes: list[int] = []
        """How the helpers ended that it had started."""
        self.starts: list[float] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="service manager")
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.is_set():
            if self.process is not None:
                if self.process.poll() is None:
                    time.sleep(0.002)
                    continue
                self.codes.append(self.process.returncode)
                self.process = None
            if select.select([self.socket], [], [], 0.02)[0]:
                self.starts.append(time.monotonic())
                self.process = self._spawn()

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, *self.program, "helper", "--config", str(self.config)]
        with (self.folder / "journal").open("ab") as journal:
            return subprocess.Popen(
                [sys.executable, "-c", EXEC, str(self.socket.fileno()), *command],
                env=self.environ, stdin=subprocess.DEVNULL, stdout=journal, stderr=journal, start_new_session=True,
                pass_fds=(self.socket.fileno(),),
            )  # fmt: skip

    def said(self) -> str:
        """What the helpers have written to the journal."""
        path = self.folder / "journal"
        return path.read_text() if path.exists() else ""

    def connect(self, **options: Any) -> client.HelperClient:
        """Connect as a sandboxed program does: by the service alone."""
        nowhere = self.folder / "unseen" / "endpoint.json"
        return client.connect(endpoint_file=nowhere, service=self.service, client="sandboxed", **options)

    def stop(self) -> None:
        """End all."""
        self._ended.set()
        self._thread.join()
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.codes.append(self.process.wait(60))
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        self.socket.close()


@contextmanager
def activating(folder: Path, config: dict[str, Any] | None = None, **options: Any) -> Iterator[Manager]:
    """A service manager, ended afterwards with what it has started."""
    manager = Manager(folder, config, **options)
    try:
        yield manager
    except BaseException as error:
        error.add_note(f"the helpers said:\n{manager.said()}")
        raise
    finally:
        manager.stop()
