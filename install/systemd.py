"""The background service on Linux: systemd's units for one user, and systemctl's commands."""

import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import unit_start
from actions import Actions, Change
from errors import Exit, InstallError

from deepdream_core.machine.command import Answer, ask, clean_environment
from deepdream_core.machine.folders import UserFolders
from deepdream_core.machine.systemd import HELPER_UNIT, SOCKET_UNIT, UNITS, WANTED, WATCH_UNIT, environments

TEMPLATES = Path(__file__).resolve().parent / "units"
HANDED_ON = (
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "XDG_CACHE_HOME",
    "DEEPDREAM_STATE_DIR",
    "DEEPDREAM_RUNTIME_DIR",
)
"""Variables that name folders: the user's service manager may lack those of the user's shell."""
_EXEC = 'exec "$0" "$@"'
WITHIN_S = 20.0
_SYSTEMCTL = ("systemctl", "--user")
STOP_WITHIN_S = 90.0


@dataclass(frozen=True)
class Endpoint:
    """How to reach the helper: the address that systemd listens on, and the file with the token."""

    path: Path
    host: str
    port: int


def quoted(text: str) -> str:
    """Return a text as one word of a unit's setting; quotes spaces, quotes, backslashes, % and control characters."""
    escaped = "".join(f"\\x{ord(c):02x}" if ord(c) < 32 or ord(c) == 127 else c for c in text.replace("\\", "\\\\"))
    return '"' + escaped.replace('"', '\\"').replace("%", "%%") + '"'


def program(path: str) -> str:
    """Return ExecStart='s words for a program; through sh if its path has quotes or backslashes, which systemd refuses."""
    return f"/bin/sh -c {quoted(_EXEC)} {quoted(path)}" if re.search(r"[\"'\\]", path) else quoted(path)


def units(user: UserFolders, endpoint: Endpoint | None, environ: Mapping[str, str]) -> dict[str, bytes]:
    """Return the content of each unit; without an endpoint, the helper has no unit and its clients start it."""
    given = {name: environ[name] for name in HANDED_ON if os.path.isabs(environ.get(name, ""))}  # noqa: PTH117
    words = {
        "PYTHON": program(str(user.python_in(user.current))),
        "ENVIRONMENT": "\n".join(f"Environment={quoted(f'{name}={value}')}" for name, value in given.items()),
        "AFTER": f"Wants={SOCKET_UNIT}\nAfter={SOCKET_UNIT}" if endpoint else "",
        "HOST": endpoint.host if endpoint else "",
        "PORT": str(endpoint.port if endpoint else 0),
    }
    names = UNITS if endpoint else (WATCH_UNIT,)
    return {
        name: filled((TEMPLATES / name).read_text("utf-8"), words).encode("utf-8", "surrogateescape") for name in names
    }


def filled(template: str, words: Mapping[str, str]) -> str:
    """Return a template with its @WORDS@ replaced, without lines that become empty."""
    lines = []
    for line in template.splitlines():
        new = re.sub(r"@([A-Z]+)@", lambda found: words[found[1]], line)
        if new or not line:
            lines.append(new)
    return "\n".join(lines) + "\n"


class Systemd:
    """This user's systemd; its commands run with the variables `environ`."""

    kind = "systemd"

    def __init__(self, user: UserFolders, environ: Mapping[str, str], unit_path: Sequence[Path] = ()) -> None:
        self.user = user
        self.environ = dict(environ)
        self.unit_path = unit_path

    @classmethod
    def find(cls, user: UserFolders) -> "Systemd | None":
        """Return the systemd that runs for this user, or None."""
        if shutil.which("systemctl") is None:
            return None
        for env in environments(clean_environment()):
            done = ask("systemctl", "--user", "show", "--property=UnitPath", within_s=WITHIN_S, environ=env)
            if done.code == 0 and done.lines and done.lines[0].startswith("UnitPath="):
                listed = paths_of(done.lines[0].partition("=")[2])
                return cls(user, env, [path for path in listed if path.is_absolute()])
        return None

    def folder(self) -> Path:
        """Return the folder for the user's units: the one that the shell's variables name, if systemd reads it too."""
        wanted = self.user.units
        usual = self.user.home / ".config" / "systemd" / "user"
        return usual if usual in self.unit_path and wanted not in self.unit_path else wanted

    def files(self, endpoint: Endpoint | None) -> dict[Path, bytes]:
        """Return each unit's file and content."""
        return {self.folder() / name: text for name, text in units(self.user, endpoint, os.environ).items()}

    def names(self, files: Mapping[Path, bytes]) -> list[str]:
        """Return the units' names, in starting order."""
        return [name for name in UNITS if self.folder() / name in files]

    def running(self, names: Sequence[str]) -> list[str]:
        """Return the units that are running or starting."""
        if not names:
            return []
        done = ask(*_SYSTEMCTL, "is-active", *names, within_s=WITHIN_S, environ=self.environ)
        words = ("active", "activating", "reloading")
        return [name for name, state in zip(names, done.lines, strict=False) if state in words]

    def stop(self, actions: Actions, names: Sequence[str]) -> None:
        """Stop units, the socket too: otherwise the next client would start the helper again."""
        if names:
            actions.run(*_SYSTEMCTL, "stop", *names, within_s=STOP_WITHIN_S, environ=self.environ)

    def read_again(self, actions: Actions) -> None:
        """Let systemd reload the changed units."""
        actions.run(*_SYSTEMCTL, "daemon-reload", within_s=WITHIN_S, environ=self.environ)

    def start(self, actions: Actions, names: Sequence[str], within_s: float | None = None) -> None:
        """Start units and wait until they are up, at most `within_s` if given; raises InstallError."""
        # Reset all before the start: a socket fails at once if its service is in the failed state.
        wanted = [name for name in names if name != HELPER_UNIT]
        actions.run(*_SYSTEMCTL, "reset-failed", *names, within_s=WITHIN_S, environ=self.environ)
        command = (*_SYSTEMCTL, "start", *wanted)
        if wanted:
            waiting = unit_start.Waiting(wanted[-1], self.environ, actions.output, within_s)
            actions.apply(
                Change(
                    f"run: {shlex.join(command)}",
                    lambda: self._must("the service does not start", unit_start.start(command, waiting)),
                )
            )

    def enable(self, actions: Actions, names: Sequence[str]) -> None:
        """Start units at every login from now on; raises InstallError."""
        wanted = [name for name in names if name in WANTED]
        for name in wanted:
            folder = self.folder() / WANTED[name]
            actions.folder(folder)
            link, target = folder / name, self.folder() / name
            record = partial(actions.part.links.__setitem__, str(link), str(target))
            if link.is_symlink():
                record()
            else:
                actions.apply(Change(f"link {link} -> {target}, by:", record))
        actions.manifest.save()
        self._must("the service cannot be enabled", actions.run(
            *_SYSTEMCTL, "enable", *wanted, within_s=WITHIN_S, environ=self.environ
        ))  # fmt: skip

    def disable(self, actions: Actions, names: Sequence[str]) -> None:
        """Stop units and no longer start them at login."""
        if names:
            actions.run(*_SYSTEMCTL, "disable", "--now", *names, within_s=STOP_WITHIN_S, environ=self.environ)

    def forget(self, actions: Actions, names: Sequence[str]) -> None:
        """Let systemd forget units whose files are gone."""
        self.read_again(actions)
        if names:
            actions.run(*_SYSTEMCTL, "reset-failed", *names, within_s=WITHIN_S, environ=self.environ)

    @staticmethod
    def _must(what: str, done: Answer) -> None:
        if done.code:
            todo = "see `systemctl --user status 'deepdream-*'` and `journalctl --user -u 'deepdream-*'`"
            raise InstallError(f"{what}: {done.last}", todo, Exit.SERVICE)


def paths_of(listed: str) -> list[Path]:
    r"""Return the paths in a list of `systemctl show`, which prints spaces, backslashes and non-ASCII bytes as \xNN."""
    raw = os.fsencode(listed).split(b" ")
    return [Path(os.fsdecode(re.sub(rb"\\x([0-9a-f]{2})", lambda f: bytes([int(f[1], 16)]), word))) for word in raw]


def set_lingering(actions: Actions, user: str, *, on: bool) -> Answer:
    """Let a user's services run without a session, or no longer."""
    # With a broken polkit, a refusal takes half a minute.
    return actions.run("loginctl", "enable-linger" if on else "disable-linger", user, within_s=60)
