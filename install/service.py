"""`python3 install service`: the hot folder and the helper in the background, by what each platform has for that.

systemd's units for one user, a launchd agent or a task at logon; where there is none, it prints how to start by hand.
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
"""How long to wait for a service that ran before to run again."""
MODULE = "deepdream_core.link.service_endpoint"


class Supervisor(Protocol):
    """What starts the service and watches over it: systemd, launchd or the Task Scheduler."""

    kind: str

    def files(self, endpoint: Endpoint | None) -> dict[Path, bytes]:
        """Return the files that describe the service, and their content."""

    def names(self, files: Mapping[Path, bytes]) -> list[str]:
        """Return what these files describe, by the supervisor's names."""

    def running(self, names: Sequence[str]) -> list[str]:
        """Return those that run."""

    def stop(self, actions: Actions, names: Sequence[str]) -> None:
        """Stop them; no failure if they do not run."""

    def read_again(self, actions: Actions) -> None:
        """Take note of changed files."""

    def start(self, actions: Actions, names: Sequence[str], within_s: float | None = None) -> None:
        """Start them, and wait for that no longer than `within_s`; raises InstallError."""

    def enable(self, actions: Actions, names: Sequence[str]) -> None:
        """Have them started at login; raises InstallError."""

    def disable(self, actions: Actions, names: Sequence[str]) -> None:
        """Stop them and have them started no more; no failure if they are not there."""

    def forget(self, actions: Actions, names: Sequence[str]) -> None:
        """Take note of removed files."""


def supervisor(user: UserFolders) -> Supervisor | None:
    """Return what watches over services here, or None."""
    if user.platform == "darwin":
        return Launchd(user)
    if user.windows:
        return Tasks(user)
    return Systemd.find(user) if user.platform.startswith("linux") else None


def install(python: Path, user: UserFolders, actions: Actions, *, linger: bool) -> list[str]:
    """Set the service up and start it; return lines about it for the user. Raises InstallError and OSError."""
    found = supervisor(user)
    if found is None:
        return [
            "No background service, as no systemd runs for this user here; by hand, in a terminal or from your own "
            "start-up: `deepdream watch`"
        ]
    point = endpoint(python, user, actions, asked=found.kind == "systemd")
    files = found.files(point)
    names = found.names(files)
    actions.part.facts |= {"kind": found.kind, "units": names}
    before = {path for path in map(Path, actions.part.files) if path not in files and path.exists()}
    changed = [path for path, text in files.items() if actions.write(path, text)]
    for path in before:  # of a version that had more of them
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
    """Remove a file of the service, and from the record."""

    def remove() -> None:
        path.unlink(missing_ok=True)
        actions.part.files.pop(str(path), None)
        actions.manifest.save()

    actions.apply(Change(f"remove {path}", remove))


def _linger(actions: Actions, found: Supervisor, *, wanted: bool) -> list[str]:
    """Let the service run without a session if that is wanted, and record it if we did that; return lines for the user."""
    if not wanted:
        return []
    if found.kind != "systemd":
        return ["--linger is for systemd; here the service runs while you are logged in"]
    user = machine_systemd.user_name()
    if machine_systemd.lingers(user):
        return ["The service runs without a login as well (lingering was on already)"]
    actions.part.facts["lingering"] = True
    actions.manifest.save()
    done = systemd.set_lingering(actions, user, on=True)
    if done.code == 0:
        return ["The service runs without a login as well (lingering switched on)"]
    actions.part.facts.pop("lingering", None)
    actions.manifest.save()
    return [f"Lingering could not be switched on: {done.last} — an administrator can: loginctl enable-linger {user}"]


def endpoint(python: Path, user: UserFolders, actions: Actions, *, asked: bool) -> Endpoint | None:
    """Return where the service's helper is to be reached, prepared by the program; None if it has nothing of the kind.

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
    """Let the program prepare the helper's address, and return it; None if it has nothing of the kind."""
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
        f"the service's address cannot be prepared: {done.last}", "fix that, then run this again", Exit.SERVICE
    )


class Pause:
    """The service while the program under it is exchanged: what ran is stopped, and started again afterwards."""

    def __init__(self, user: UserFolders, actions: Actions) -> None:
        self.user = user
        self.actions = actions
        names = [name for name in actions.part.facts.get("units", []) if isinstance(name, str)]
        self.supervisor = supervisor(user) if names else None
        self.names = names
        self.ran: list[str] = []
        self.before: dict[Path, bytes] = {}
        """What was in the units that were written again."""

    def begin(self, old: Path | None) -> None:
        """Stop what runs, written down first; also a helper that a program started, by `old`, the Python in use."""
        if self.supervisor:
            self.ran = self.supervisor.running(self.names)
            # What an earlier run that was killed has stopped is to be started again as well.
            resume = self.actions.part.facts.get("resume", [])
            self.ran += [name for name in self.names if name in resume and name not in self.ran]
            self._note(self.ran)
            self.supervisor.stop(self.actions, self.ran)
        if old is not None:
            self.actions.run(old, "-I", "-m", "deepdream_core", "helper", "--stop", within_s=ASK_WITHIN_S)

    def end(self, within_s: float | None = None) -> None:
        """Start what ran before, also before an earlier run that was killed; raises InstallError."""
        names = self._resumed()
        if self.supervisor and names:
            self.supervisor.start(self.actions, names, within_s)
        self._note(None)

    def _resumed(self) -> list[str]:
        """Return what is to be started again."""
        resume = self.actions.part.facts.get("resume", [])
        return self.ran or [name for name in self.names if name in resume]

    @property
    def interrupted(self) -> bool:
        """Whether an earlier run was killed while the program was being exchanged."""
        return "resume" in self.actions.part.facts

    def renew(self, python: Path) -> None:
        """Write the units as this version has them; raises InstallError and OSError."""
        if not self.supervisor:
            return
        asked = self.supervisor.kind == "systemd"
        files = self.supervisor.files(endpoint(python, self.user, self.actions, asked=asked))
        self.before = {path: path.read_bytes() for path in files if path.is_file()}
        written = [path for path, text in files.items() if self.actions.write(path, text)]
        if written:
            self.supervisor.read_again(self.actions)

    def take_back(self, switch: Callable[[], None]) -> None:
        """Let `switch` bring the program back, and start it with the units as they were; raises InstallError, OSError."""
        if self.supervisor:  # to start what is on its way already does nothing: the new version would go on
            self.supervisor.stop(self.actions, self._resumed())
        switch()
        if [path for path, content in self.before.items() if self.actions.write(path, content)] and self.supervisor:
            self.supervisor.read_again(self.actions)
        self.end(BACK_WITHIN_S)

    def _note(self, names: list[str] | None) -> None:
        """Write down what is to be started again, or with None that all is done."""
        facts = self.actions.part.facts
        if facts.get("resume") == names:
            return
        facts["resume"] = names
        if names is None:
            facts.pop("resume")
        self.actions.manifest.save()


def remove(user: UserFolders, actions: Actions) -> list[str]:
    """Stop the service for good; return lines for the user. The files are the caller's to remove."""
    facts = actions.part.facts
    found = supervisor(user)
    names = [name for name in facts.get("units", []) if isinstance(name, str)]
    if found is not None and not names:  # no record: by the well-known places
        files = found.files(Endpoint(Path(), "127.0.0.1", 1))
        names = found.names(files) if any(path.exists() for path in files) else []
    output = []
    if found is not None and names:
        found.disable(actions, names)
    if found is None and machine_systemd.SOCKET_UNIT in names and machine_systemd.manager_runs():
        output.append(
            "systemd did not answer, and may listen for the helper until you log out; where it answers: "
            f"systemctl --user stop {machine_systemd.SOCKET_UNIT}"
        )
    if facts.get("lingering") is True:
        done = systemd.set_lingering(actions, machine_systemd.user_name(), on=False)
        if done.code == 0:
            facts.pop("lingering")
        else:
            output.append(
                f"Lingering could not be switched off: {done.last} — loginctl disable-linger {machine_systemd.user_name()}"
            )
    return output


def forget(user: UserFolders, actions: Actions) -> None:
    """Let the supervisor take note of the removed files."""
    found = supervisor(user)
    if found is not None:
        found.forget(actions, [name for name in actions.part.facts.get("units", []) if isinstance(name, str)])
