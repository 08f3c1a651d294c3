"""Processes of the installed program: started by hand, or by the service where no manager answers."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deepdream_core.machine.command import clean_environment
from deepdream_core.machine.folders import UserFolders

DAEMONS = ("watch", "helper")
"""The commands that run until they are stopped."""
ASK_WITHIN_S = 20.0
END_WITHIN_S = 15.0
KILL_AFTER_S = 10.0
_MODULE = "deepdream_core"
_STARTED = re.compile(rf"(.*?) -[PI](?: -X utf8)? -m {_MODULE}\b(.*)")
"""The command line of each version of the program, this one and earlier ones."""


@dataclass(frozen=True)
class Running:
    """A process of this user that runs `deepdream` with these arguments."""

    pid: int
    words: tuple[str, ...]

    @property
    def is_daemon(self) -> bool:
        """Whether it runs until it is stopped."""
        return self.words[:1] in [(name,) for name in DAEMONS]

    def __str__(self) -> str:
        return f"`{' '.join(('deepdream', *self.words[:2]))}` (process {self.pid})"


def of(user: UserFolders) -> list[Running]:
    """Return the other processes that run installed versions; none on Windows, which locks their files anyway."""
    found = []
    apps = {str(user.app), os.path.realpath(user.app)}
    for pid, argv in _all():
        if pid == os.getpid() or not argv or _MODULE not in argv:
            continue
        if any(argv[0].startswith(app + os.sep) for app in apps):
            found.append(Running(pid, tuple(argv[argv.index(_MODULE) + 1 :])))
    return found


def end(wanted: Iterable[Running], user: UserFolders) -> list[Running]:
    """End processes, if necessary by force; return those that are still running."""
    pids = {one.pid for one in wanted}
    _signal([one for one in of(user) if one.pid in pids], signal.SIGTERM)
    began = time.monotonic()
    while left := [one for one in of(user) if one.pid in pids]:
        spent = time.monotonic() - began
        if spent > END_WITHIN_S:
            return left
        if spent > KILL_AFTER_S and sys.platform != "win32":
            _signal(left, signal.SIGKILL)
        time.sleep(0.2)
    return []


def _signal(wanted: Iterable[Running], number: int) -> None:
    for one in wanted:
        with contextlib.suppress(OSError):
            os.kill(one.pid, number)


def _all() -> Iterator[tuple[int, list[str]]]:
    """Yield the process id and command line of this user's processes."""
    if sys.platform == "win32":
        return
    if sys.platform == "darwin":
        yield from _listed_by_ps()
        return
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == os.getuid():
                argv = (folder / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
                yield int(folder.name), [os.fsdecode(word) for word in argv]


def _listed_by_ps() -> Iterator[tuple[int, list[str]]]:
    """Yield the same where there is no /proc; ps does not quote arguments, and the program's path may contain spaces."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            ["ps", "-x", "-o", "pid=,command="], capture_output=True, stdin=subprocess.DEVNULL, timeout=ASK_WITHIN_S,
            check=False, env=clean_environment(),
        )  # fmt: skip
        for line in done.stdout.decode("utf-8", "surrogateescape").splitlines():
            pid, _, command = line.strip().partition(" ")
            found = _STARTED.fullmatch(command.strip())
            if pid.isdigit() and found:
                yield int(pid), [found[1], _MODULE, *found[2].split()]
