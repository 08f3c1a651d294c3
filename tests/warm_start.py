"""`deepdream` commands forked from a process with torch loaded, in place of cold starts, which take seconds.

What is forked starts where a cold start is after its imports: no thread runs, and nothing has been computed. It has its
own environment, folder, streams and arguments; what reads variables while it is imported, or measures its own start or
memory, must be started cold.
"""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

STREAMS = ("stdin", "stdout", "stderr")


class WarmStart:
    """The process that is forked."""

    def __init__(self) -> None:
        # One thread for OpenBLAS and OpenMP: a process that has more of them must not be forked.
        environ = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, __file__], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def _told(self) -> dict[str, int]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the warm process has ended"
        told: dict[str, int] = json.loads(line)
        return told

    def run(
        self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, as `subprocess.run` does."""
        assert self._process.stdin is not None
        with tempfile.TemporaryDirectory() as folder:
            paths = {name: os.path.join(folder, name) for name in STREAMS[1:]}  # noqa: PTH118
            order = {"arguments": [*arguments], "cwd": str(cwd), "env": dict(env), "timeout": timeout, **paths}
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            code = self._told()["code"]
            texts = [Path(path).read_text(errors="surrogateescape") for path in paths.values()]
        if code == TIMED_OUT:
            raise subprocess.TimeoutExpired([*arguments], timeout, *texts)
        return subprocess.CompletedProcess([*arguments], code, *texts)

    def close(self) -> None:
        self._process.communicate()


TIMED_OUT = 1000


@contextlib.contextmanager
def warm_start() -> Iterator[WarmStart]:
    made = WarmStart()
    try:
        yield made
    finally:
        made.close()


# --- in that process --------------------------------------------------------------------------------------------


def become(order: dict[str, Any]) -> None:
    """Be the command, as if it had been started for it; raises SystemExit."""
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    for number, name in enumerate(STREAMS):
        flags = os.O_WRONLY | os.O_CREAT if number else os.O_RDONLY
        file = os.open(order.get(name, os.devnull), flags, 0o600)
        os.dup2(file, number)
        os.close(file)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.argv = ["deepdream", *order["arguments"]]
    runpy.run_module("deepdream_core", run_name="__main__", alter_sys=True)


def waited(pid: int, timeout: float) -> int:
    """Return the exit code of a child, which is killed when it takes longer."""
    import select
    import signal

    ended = os.pidfd_open(pid)
    late = not select.select([ended], [], [], timeout)[0]
    os.close(ended)
    if late:
        os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return TIMED_OUT if late else code


def serve() -> None:
    import deepdream_core.cli.main
    import deepdream_core.engine.engine
    import deepdream_core.photo.codecs.tiff
    import deepdream_core.work.batch  # noqa: F401

    assert len(os.listdir("/proc/self/task")) == 1, "a process with threads must not be forked"  # noqa: PTH208
    sys.path[0] = ""  # as with -m
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            become(order)
        print(json.dumps({"code": waited(pid, order["timeout"])}), flush=True)


if __name__ == "__main__":
    serve()
