"""Running other programs: their output line by line, and no process left behind at the end.

Children run in their own process group, so that Ctrl-C reaches only this process, which then ends the whole group,
including build tools, and waits for it.
"""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn, TextIO

import errors

TICK_S = 0.1
PATIENCE_S = 5.0
# Only Windows has the flag; elsewhere a new session makes the group.
_NEW_GROUP: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)


@dataclass(frozen=True)
class Finished:
    """A program that ended: its exit `code` (negative for a signal) and the `lines` of its stdout and stderr."""

    code: int
    lines: list[str]


def run(
    argv: Sequence[str | Path],
    *,
    log: TextIO,
    cwd: Path,
    env: Mapping[str, str],
    on_line: Callable[[str], None] = lambda _: None,
    on_tick: Callable[[], None] = lambda: None,
) -> Finished:
    """Run a program to its end; writes its output to `log`, passes each line to `on_line`, calls `on_tick` often.

    Raises OSError if it cannot be started. If an exception such as Ctrl-C interrupts this, the program and its children
    are ended first.
    """
    child = subprocess.Popen(
        [str(word) for word in argv],
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=sys.platform != "win32",
        creationflags=_NEW_GROUP,
        # The install lock is the only inheritable file: a child that outlives a killed parent goes on holding it.
        close_fds=False,
    )
    arrived: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    assert child.stdout is not None
    reader = threading.Thread(target=_read, args=(child.stdout, arrived), daemon=True)
    lines: list[str] = []
    try:
        reader.start()
        while True:
            try:
                line = arrived.get(timeout=TICK_S)
            except queue.Empty:
                on_tick()
                continue
            if line is None:
                break
            lines.append(line)
            # A disk too full for the packages is too full for their log: the lines in memory must do.
            with contextlib.suppress(OSError):
                log.write(errors.scrubbed(line) + "\n")
                log.flush()
            on_line(line)
            on_tick()
        return Finished(child.wait(), lines)
    except BaseException:
        end(child)
        raise


def _read(stream: TextIO, arrived: "queue.SimpleQueue[str | None]") -> None:
    """Pass on each line of `stream`, and None at its end."""
    with stream:
        for line in stream:
            arrived.put(line.rstrip())
    arrived.put(None)


def end(child: "subprocess.Popen[str]") -> None:
    """End a program started by `run` and its whole group: politely, then by force after a few seconds."""
    with contextlib.suppress(ProcessLookupError):
        if sys.platform == "win32":
            child.terminate()
        else:
            os.killpg(child.pid, signal.SIGINT)
    try:
        child.wait(PATIENCE_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        pass
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if sys.platform == "win32":
                child.kill()
            else:
                os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    """Exit with the signal's exit code, unwinding as Ctrl-C does."""
    raise SystemExit(128 + number)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Make `kill` and a closed terminal unwind as Ctrl-C does, so that children end with their parent."""
    numbers = [signal.SIGTERM]
    if sys.platform != "win32":
        numbers.append(signal.SIGHUP)
    # Ignored signals stay ignored: `nohup` relies on that.
    before = [(number, signal.getsignal(number)) for number in numbers]
    before = [(number, handler) for number, handler in before if handler is not signal.SIG_IGN]
    try:
        for number, _ in before:
            signal.signal(number, _stop)
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


@contextlib.contextmanager
def closed_to_others() -> Iterator[None]:
    """Make new files unwritable for other users, whatever the shell's umask: many of them are programs."""
    before = os.umask(0o022)
    os.umask(before | 0o022)
    try:
        yield
    finally:
        os.umask(before)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore Ctrl-C and `kill`, here and in child processes, for work that must not stop halfway."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    if sys.platform != "win32":
        numbers.append(signal.SIGHUP)
    before = [(number, signal.signal(number, signal.SIG_IGN)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def wait_through_interrupts(child: "subprocess.Popen[bytes]") -> tuple[int, bool]:
    """Wait for a program in this process's own group; return its exit code and whether Ctrl-C was pressed.

    Ctrl-C reaches such a program directly, and it prints its own messages, so this process only waits.
    """
    interrupted = False
    while True:
        try:
            return child.wait(), interrupted
        except KeyboardInterrupt:
            interrupted = True


def become(argv: Sequence[str | Path], env: Mapping[str, str]) -> int:
    """Replace this process by another program; returns only on Windows, with the program's exit code."""
    words = [str(word) for word in argv]
    sys.stdout.flush()
    sys.stderr.flush()
    if sys.platform != "win32":
        os.execve(words[0], words, dict(env))
    # Windows has no exec that keeps the console waiting, so this process waits for the program.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return subprocess.call(words, env=dict(env))
