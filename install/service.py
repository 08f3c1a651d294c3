"""`python3 install service`: the hot folder and the helper in the background.

Installs systemd user units, a launchd agent or a task at logon; where there is none, it prints how to start by hand.
"""

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import systemd
from actions import Actions, Change
from errors import Exit, InstallError
from launchd import Launchd
from systemd import Endpoint, Systemd
from tasks import Tasks

from deepdream_core.machine import systemd as machine_systemd
from deepdream_core.machine.command import ask
from deepdream_core.machine.folders import UserFolders

ASK_WITHIN_S = 60.0
BACK_WITHIN_S = 20.0
"""How long to wait for the previous version's service to start again."""
MODULE = "deepdream_core.link.service_endpoint"


class Supervisor(Protocol):
    """What starts and supervises the service: systemd, launchd or the Task Scheduler."""

    kind: str

    def files(self, endpoint: Endpoint | None) -> dict[Path, bytes]:
        """Return the files that describe the service, with their content."""

    def names(self, files: Mapping[Path, bytes]) -> list[str]:
        """Return the supervisor's names for what these files describe."""

    def running(self, names: Sequence[str]) -> list[str]:
        """Return those that are running."""

    def stop(self, actions: Actions, names: Sequence[str]) -> None:
        """Stop them; not an error if they are not running."""

    def read_again(self, actions: Actions) -> None:
        """Reload changed files."""

    def start(self, actions: Actions, names: Sequence[str], within_s: float | None = None) -> None:
        """Start them, waiting at most `within_s`; raises InstallError."""

    def enable(self, actions: Actions, names: Sequence[str]) -> None:
        """Start them at every login from now on; raises InstallError."""

    def disable(self, actions: Actions, names: Sequence[str]) -> None:
        """Stop them and no longer start them at login; not an error if they do not exist."""

    def forget(self, actions: Actions, names: Sequence[str]) -> None:
        """Forget removed files."""


def supervisor(user: UserFolders) -> Supervisor | None:
    """Return this system's supervisor of services, or None."""
    if user.platform == "darwin":
        return Launchd(user)
    if user.windows:
        return Tasks(user)
    return Systemd.find(user) if user.platform.startswith("linux") else None


def install(python: Path, user: UserFolders, actions: Actions, *, linger: bool) -> list[str]:
    """Install and start the service; return lines for the user. Raises InstallError and OSError."""
    found = supervisor(user)
    if found is None:
        return [
            "No background service: systemd is not running for this user. Run `deepdream watch` yourself, in a "
            "terminal or from your own startup script."
        ]
    point = endpoint(python, user, actions, asked=found.kind == "systemd")
    files = found.files(point)
    names = found.names(files)
    actions.part.facts |= {"kind": found.kind, "units": names}
    before = {path for path in map(Path, actions.part.files) if path not in files and path.exists()}
    changed = [path for path, text in files.items() if actions.write(path, text)]
    for path in before:  # files of an older version that this one does not have
        _remove_file(path, actions)
    changed += before
    ran = found.running(names) if changed else []
    if changed:
        found.read_again(actions)
    if ran:  # they still use the old files
        found.stop(actions, ran)
    found.enable(actions, names)
    found.start(actions, names)
    line = f"Background service: {', '.join(names)}, started now and at each login"
    return [line, *_linger(actions, found, wanted=linger)]


def _remove_file(path: Path, actions: Actions) -> None:
    """Remove a file of the service, from the disk and from the record."""

    def remove() -> None:
        path.unlink(missing_ok=True)
        actions.part.files.pop(str(path), None)
        actions.manifest.save()

    actions.apply(Change(f"remove {path}", remove))


def _linger(actions: Actions, found: Supervisor, *, wanted: bool) -> list[str]:
    """Let the service run without a session if `wanted`, and record if we switched that on; return lines for the user."""
    if not wanted:
        return []
    if found.kind != "systemd":
        return ["--linger needs systemd; here the service runs while you are logged in"]
    user = machine_systemd.user_name()
    if machine_systemd.lingers(user):
        return ["The service also runs without a login (lingering was already on)"]
    actions.part.facts["lingering"] = True
    actions.manifest.save()
    done = systemd.set_lingering(actions, user, on=True)
    if done.code == 0:
        return ["The service also runs without a login (lingering switched on)"]
    actions.part.facts.pop("lingering", None)
    actions.manifest.save()
    return [f"Cannot switch on lingering: {done.last} — an administrator can run `loginctl enable-linger {user}`"]


def endpoint(python: Path, user: UserFolders, actions: Actions, *, asked: bool) -> Endpoint | None:
    """Return the address of the service's helper, which the program prepares; None if it does not support that.

    Raises InstallError.
    """
    if not asked:
        return None
    address = user.state / "service.json"
    lines = [f"run: {python} -I -m {MODULE}"]
    if not address.exists():
        lines.append(f"write {address}, the helper's address and key")
    found: list[Endpoint | None] = []
    actions.apply(Change("\n".join(lines), lambda: found.append(_prepared(python, actions))))
    return found[0] if found else Endpoint(Path("service.json"), "127.0.0.1", 0)


def _prepared(python: Path, actions: Actions) -> Endpoint | None:
    """Let the program prepare the helper's address, and return it; None if it does not support that."""
    done = ask(python, "-I", "-X", "utf8", "-m", MODULE, within_s=ASK_WITHIN_S)
    if done.code and any("No module named" in line and "service_endpoint" in line for line in done.err.splitlines()):
        return None
    with contextlib.suppress(ValueError, KeyError, TypeError, IndexError):
        if done.code == 0:
            address = json.loads(done.out)
            found = Endpoint(Path(address["path"]), str(address["host"]), int(address["port"]))
            if found.path.is_absolute() and 0 < found.port < 65536:
                actions.part.facts["endpoint"] = str(found.path)
                for note in filter(None, map(str.strip, done.err.splitlines())):
                    actions.output.line(note)
                return found
    raise InstallError(
        f"cannot prepare the service's address: {done.last}", "fix that, then run this again", Exit.SERVICE
    )


class Pause:
    """Stops the service while the program is being replaced, and restarts what was running."""

    def __init__(self, user: UserFolders, actions: Actions) -> None:
        self.user = user
        self.actions = actions
        names = [name for name in actions.part.facts.get("units", []) if isinstance(name, str)]
        self.supervisor = supervisor(user) if names else None
        self.names = names
        self.ran: list[str] = []
        self.before: dict[Path, bytes] = {}
        """The previous content of rewritten units."""

    def begin(self, old: Path | None) -> None:
        """Record and stop what is running; also a helper that a program started, through `old`, the Python in use."""
        if self.supervisor:
            self.ran = self.supervisor.running(self.names)
            # Restart also what an earlier, killed run had stopped.
            resume = self.actions.part.facts.get("resume", [])
            self.ran += [name for name in self.names if name in resume and name not in self.ran]
            self._note(self.ran)
            self.supervisor.stop(self.actions, self.ran)
        if old is not None:
            self.actions.run(old, "-I", "-m", "deepdream_core", "helper", "--stop", within_s=ASK_WITHIN_S)

    def end(self, within_s: float | None = None) -> None:
        """Restart what was running, also before an earlier, killed run; raises InstallError."""
        names = self._resumed()
        if self.supervisor and names:
            self.supervisor.start(self.actions, names, within_s)
        self._note(None)

    def _resumed(self) -> list[str]:
        """Return what to restart."""
        resume = self.actions.part.facts.get("resume", [])
        return self.ran or [name for name in self.names if name in resume]

    @property
    def interrupted(self) -> bool:
        """Whether an earlier run was killed while it replaced the program."""
        return "resume" in self.actions.part.facts

    def renew(self, python: Path) -> None:
        """Write this version's units; raises InstallError and OSError."""
        if not self.supervisor:
            return
        asked = self.supervisor.kind == "systemd"
        files = self.supervisor.files(endpoint(python, self.user, self.actions, asked=asked))
        self.before = {path: path.read_bytes() for path in files if path.is_file()}
        written = [path for path, text in files.items() if self.actions.write(path, text)]
        if written:
            self.supervisor.read_again(self.actions)

    def take_back(self, switch: Callable[[], None]) -> None:
        """Let `switch` restore the program, and restart it with the previous units; raises InstallError, OSError."""
        if self.supervisor:  # else a new version that is still starting would stay
            self.supervisor.stop(self.actions, self._resumed())
        switch()
        if [path for path, content in self.before.items() if self.actions.write(path, content)] and self.supervisor:
            self.supervisor.read_again(self.actions)
        self.end(BACK_WITHIN_S)

    def _note(self, names: list[str] | None) -> None:
        """Record what to restart, or with None that nothing is left to do."""
        facts = self.actions.part.facts
        if facts.get("resume") == names:
            return
        facts["resume"] = names
        if names is None:
            facts.pop("resume")
        self.actions.manifest.save()


def remove(user: UserFolders, actions: Actions) -> list[str]:
    """Stop the service permanently; return lines for the user. The caller removes the files."""
    facts = actions.part.facts
    found = supervisor(user)
    names = [name for name in facts.get("units", []) if isinstance(name, str)]
    if found is not None and not names:  # no record: try the well-known places
        files = found.files(Endpoint(Path(), "127.0.0.1", 1))
        names = found.names(files) if any(path.exists() for path in files) else []
    output = []
    if found is not None and names:
        found.disable(actions, names)
    if found is None and machine_systemd.SOCKET_UNIT in names and machine_systemd.manager_runs():
        output.append(
            "systemd did not answer, and may keep listening for the helper until you log out. To stop it in a login "
            f"session, run `systemctl --user stop {machine_systemd.SOCKET_UNIT}`"
        )
    if facts.get("lingering") is True:
        done = systemd.set_lingering(actions, machine_systemd.user_name(), on=False)
        if done.code == 0:
            facts.pop("lingering")
        else:
            output.append(
                f"Cannot switch off lingering: {done.last} — run `loginctl disable-linger {machine_systemd.user_name()}`"
            )
    return output


def forget(user: UserFolders, actions: Actions) -> None:
    """Let the supervisor forget the removed files."""
    found = supervisor(user)
    if found is not None:
        found.forget(actions, [name for name in actions.part.facts.get("units", []) if isinstance(name, str)])
