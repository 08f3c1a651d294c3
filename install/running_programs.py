"""The programs that run from the installed version: the service's where no manager answers, and those started by hand."""

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
"""The commands that run until they are asked to end."""
ASK_WITHIN_S = 20.0
END_WITHIN_S = 15.0
KILL_AFTER_S = 10.0
_MODULE = "deepdream_core"
_STARTED = re.compile(rf"(.*?) -[PI](?: -X utf8)? -m {_MODULE}\b(.*)")
"""How each version of the program, this one and those before, is started."""


@dataclass(frozen=True)
class Running:
    """A process of this user that runs `deepdream` with these words after it."""

    pid: int
    words: tuple[str, ...]

    @property
    def is_daemon(self) -> bool:
        """Whether it runs until it is asked to end."""
        return self.words[:1] in [(name,) for name in DAEMONS]

    def __str__(self) -> str:
        return f"`{' '.join(('deepdream', *self.words[:2]))}` (process {self.pid})"


def of(user: UserFolders) -> list[Running]:
    """Return what runs from the installed versions, this process aside; nothing on Windows, which locks such files."""
    found = []
    apps = {str(user.app), os.path.realpath(user.app)}
    for pid, argv in _all():
        if pid == os.getpid() or not argv or _MODULE not in argv:
            continue
        if any(argv[0].startswith(app + os.sep) for app in apps):
            found.append(Running(pid, tuple(argv[argv.index(_MODULE) + 1 :])))
    return found


def end(wanted: Iterable[Running], user: UserFolders) -> list[Running]:
    """End processes, those that do not listen by force; return what is still there then."""
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
    """Yield this user's processes and their command lines."""
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
    """Yield the same where there is no /proc; words with blanks in them come apart, which the first one must survive."""
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
