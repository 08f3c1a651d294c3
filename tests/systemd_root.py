"""A real systemd for tests: a Debian in a folder, booted under systemd-nspawn, with an ordinary user in it.

`systemd_or_skip()` gives a `SystemdRoot`; `boot(root)` a running `Machine` over a fresh copy-on-write layer, gone
afterwards; `machine.run("systemctl", "--user", "status", user=USER)` runs something inside. No mount is seen outside
of the machine's own mount namespace, so that nothing stays mounted, whatever is killed.

    python3 tests/systemd_root.py                       build the roots
    python3 tests/systemd_root.py COMMAND ARGUMENT …    boot one and run something as its user
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import gimp_root
import psutil
import pytest
from filelock import FileLock
from gimp_root import NoRootError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SUITE = gimp_root.SUITES["3.0"]

PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "libpam-systemd",
    "dbus-user-session",
    "polkitd",  # lets an ordinary user ask for lingering, as on every desktop
    "python3",
    "python3-venv",
    "python3-pip",
    "git",
    "ca-certificates",
)

USER = "dreamer"
UID = 1000

STAMP = "etc/deepdream-systemd.json"
"""What a finished layer holds: what it was made of."""

BOOT_S = 60
STOP_S = 10
"""After that a machine that was told to halt is killed."""

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

OVERLAY = """
set -e
lower=$1; folder=$2; shift 2
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
"""

BUILD = (
    OVERLAY + 'for one in proc dev; do mount --rbind /$one "$folder/root/$one"; done; exec chroot "$folder/root" "$@"'
)

# First into a control group of its own: nspawn makes its groups where it is, and two of them would share theirs.
BOOT = 'while [ "$1" != -- ]; do mkdir "$1"; echo $$ > "$1/cgroup.procs"; shift; done; shift\n' + OVERLAY + 'exec "$@"'

# Ends with its input, that is with the test, however that ends: nspawn's own end would leave its systemd running.
GUARD = 'read -r _; echo 1 > "$1/cgroup.kill"'

# A command from outside belongs into the machine's control group: logind knows no process that is in none of its own.
INSIDE = """
set -e
[ -d "$1" ] || mkdir -p "$1"
echo $$ > "$1/cgroup.procs"
shift
exec nsenter --target "$@"
"""


@dataclass(frozen=True)
class SystemdRoot:
    """Folders that lie upon each other, the uppermost first: a Debian with systemd in it."""

    layers: tuple[Path, ...]

    def with_layer(self, layer: Path) -> SystemdRoot:
        """The root with what a machine has left in its `upper`: something installed once for many tests."""
        return SystemdRoot((layer, *self.layers))

    @property
    def lower(self) -> str:
        return ":".join(map(str, self.layers))


# --- building ---------------------------------------------------------------------------------------------------


def cache_folder() -> Path:
    return gimp_root.cache_folder() / "systemd"


def systemd_or_skip(gimp: str = "") -> SystemdRoot:
    """The root, with GIMP of the series `gimp` if that is given; none fails in CI and skips elsewhere."""
    try:
        return systemd_root(gimp)
    except NoRootError as error:
        if os.environ.get("CI"):
            pytest.fail(f"the service must be tested in CI: {error}")
        pytest.skip(f"no systemd to test with: {error}")


def systemd_root(gimp: str = "") -> SystemdRoot:
    """Find or build the root; raises NoRootError."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise NoRootError("the roots need Linux and root")
    if not _hierarchies():
        raise NoRootError("no cgroup2 is mounted here")
    if not shutil.which("systemd-nspawn"):
        gimp_root.do("apt-get", "-q", "update")
        gimp_root.do("apt-get", "-q", "-y", "install", "--no-install-recommends", "systemd-container")
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    below = (gimp_root.root_for(gimp).path if gimp else _bare(cache / SUITE.name)).resolve()
    layer = cache / f"{below.name}-{'gimp' if gimp else 'bare'}-layer"
    with FileLock(f"{layer}.lock"):
        made_of = [*sorted(PACKAGES), USER, str(below), _age(below)]
        if _stamp(layer) != made_of:
            _build(below, layer, made_of)
    return SystemdRoot((layer / "upper", below))


def _age(below: Path) -> str:
    """What changes when the layer below is built again: a layer upon another one would be nonsense."""
    return f"{(below / 'etc/debian_version').stat().st_ctime_ns} {(below / 'var/lib/dpkg/status').stat().st_mtime_ns}"


def _stamp(layer: Path) -> list[str] | None:
    try:
        made_of: list[str] = json.loads((layer / "upper" / STAMP).read_text())
    except (OSError, ValueError):
        return None
    return made_of


def _bare(path: Path) -> Path:
    """The suite with nothing but what every Debian has."""
    with FileLock(f"{path}.lock"):
        if not path.is_dir():
            part = path.with_suffix(".part")
            gimp_root.remove(part)
            if not shutil.which("debootstrap"):
                gimp_root.do("apt-get", "-q", "-y", "install", "--no-install-recommends", "debootstrap")
            own = ("unshare", "--mount", "--propagation", "private")
            bootstrap = ("debootstrap", "--variant=minbase", SUITE.name, str(part), gimp_root.mirror(), SUITE.script)
            gimp_root.do(*own, *bootstrap)
            gimp_root.like_outside(part)
            part.rename(path)
    return path


def _build(below: Path, layer: Path, made_of: list[str]) -> None:
    gimp_root.remove(layer)
    part = layer.with_suffix(".part")
    gimp_root.remove(part)
    for name in ("upper", "work", "root"):
        (part / name).mkdir(parents=True)
    own = ("unshare", "--mount", "--propagation", "private", "sh", "-c", BUILD, "sh", str(below), str(part))
    options = ("-q", "-y", "-o", "APT::Keep-Downloaded-Packages=false")
    gimp_root.do(*own, "apt-get", "-q", "update")
    gimp_root.do(*own, "apt-get", *options, "install", "--no-install-recommends", *PACKAGES)
    gimp_root.do(*own, "apt-get", "clean")
    gimp_root.do(*own, "useradd", "--create-home", "--shell", "/bin/bash", "--uid", str(UID), USER)
    (part / "upper" / STAMP).write_text(json.dumps(made_of))
    part.rename(layer)


# --- pip inside -------------------------------------------------------------------------------------------------


class PipSettings(NamedTuple):
    config: str
    """What a pip.conf says so that pip inside fetches from where pip outside does."""
    binds: dict[str, str]
    """Folders and files outside that this needs, and where they show inside: under the same names."""


def pip_settings() -> PipSettings:
    """Read at run time from this machine's own pip: variables and configuration files, in pip's order."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    found: dict[str, list[str]] = {}
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):  # variables outrank files
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if section in {"global", ":env:", "install", "download"}:
            found[name] = value.strip("'\"").replace("\\n", "\n").split()
    lines = ["[global]", *(f"{name} = {' '.join(values)}" for name, values in found.items())]
    binds = {}
    for word in (word for values in found.values() for word in values):
        path = word.removeprefix("file://")
        if path.startswith("/") and Path(path).exists():
            below = f"/{Path(path).parts[1]}/{Path(path).parts[2]}" if path.startswith("/opt/") else path
            binds[below] = below
    return PipSettings("\n".join(lines) + "\n", binds)


# --- running ----------------------------------------------------------------------------------------------------


class Machine:
    """A systemd that runs; made by `boot`."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], groups: list[Path]) -> None:
        self.folder = folder
        self.process = process
        self.groups = groups
        """Its control groups, that of cgroup2 first."""
        self.leader = 0
        """The number of its first process as seen from outside."""

    @property
    def upper(self) -> Path:
        """What it has written, also after it has ended."""
        return self.folder / "upper"

    def path(self, inside: str) -> Path:
        """A file inside as seen from outside while it runs; absolute links in there lead to the outside's files."""
        return Path(f"/proc/{self.leader}/root") / inside.lstrip("/")

    def console(self) -> str:
        return (self.folder / "console").read_text("utf-8", "replace")

    def command(
        self, *command: str, user: str = "root", session: bool = True, environ: Mapping[str, str] | None = None
    ) -> list[str]:
        """What to start outside for `command` to run inside.

        `session`: as after a login (PAM: logind's session, user manager, environment, home folder); otherwise with
        nothing but the variables that name the user and the place of their manager, if there is one.
        """
        given = [f"{name}={value}" for name, value in (environ or {}).items()]
        inner = ["env", *given, *command] if given else [*command]
        if user == "root":
            line = ["env", "-i", f"PATH={SYSTEM_PATH}", "HOME=/root", "LANG=C.UTF-8", *given, *command]
        elif session:
            line = ["runuser", "-l", user, "-c", shlex.join(inner)]
        else:
            become = ["setpriv", "--reuid", user, "--regid", user, "--init-groups", "--reset-env"]
            uid = UID if user == USER else int(self.run("id", "-u", user).stdout)
            line = [*become, "env", f"XDG_RUNTIME_DIR=/run/user/{uid}", *inner]
        spaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--"]
        group = self.groups[0] / "payload" / "commands"
        return ["sh", "-c", INSIDE, "sh", str(group), str(self.leader), *spaces, *line]

    def run(
        self,
        *command: str,
        user: str = "root",
        session: bool = True,
        environ: Mapping[str, str] | None = None,
        stdin: str = "",
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside; one that takes longer is killed with all it has started."""
        process = self.start(*command, user=user, session=session, environ=environ)
        try:
            stdout, stderr = process.communicate(stdin, timeout)
        except BaseException:
            _kill_tree(process)
            raise
        return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)

    def start(
        self, *command: str, user: str = "root", session: bool = True, environ: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a command inside, with pipes to it."""
        return subprocess.Popen(
            self.command(*command, user=user, session=session, environ=environ),
            env={"PATH": SYSTEM_PATH, "LANG": "C.UTF-8"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def check(
        self, *command: str, user: str = "root", session: bool = True, timeout: float = 60, **options: str
    ) -> str:
        """Run a command inside and return its output; one that fails fails the test."""
        done = self.run(*command, user=user, session=session, timeout=timeout, environ=options or None)
        assert done.returncode == 0, f"{shlex.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    @contextmanager
    def logged_in(self, user: str = USER) -> Iterator[None]:
        """Keep a user's session open: without one, and without lingering, their services end after 10 s."""
        process = self.start("sh", "-c", "echo; exec cat", user=user)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "\n"
            yield
            process.communicate(timeout=60)  # its input ends, and so does cat
        finally:
            _kill_tree(process)

    def kill(self) -> None:
        """Kill all that runs in it; its first process takes the others along."""
        for process in filter(None, (self.leader, self.process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        _kill_groups(self.groups)
        self.process.wait(STOP_S)

    def stop(self) -> bool:
        """Shut it down as a computer is shut down; whether it did so in time and had not to be killed."""
        if self.process.poll() is None:
            self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_S)
            return True
        self.kill()
        return False


@contextmanager
def layer_folder() -> Iterator[Path]:
    """A folder in which layers of machines can be kept, for `keep_upper`; it is gone afterwards, whatever is killed."""
    folder, lock = _new_folder()
    with lock:
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _new_folder() -> tuple[Path, IO[str]]:
    """Make a folder among the machines', with its lock; who holds that one is alive, and the others' are removed."""
    machines = cache_folder() / "machines"
    machines.mkdir(parents=True, exist_ok=True)
    with FileLock(machines / ".lock"):
        _remove_left(machines)
        folder = Path(tempfile.mkdtemp(prefix="deepdream-", dir=machines))
        lock = (folder / "lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
    folder.chmod(0o755)
    return folder, lock


@contextmanager
def boot(
    root: SystemdRoot,
    *,
    binds: Mapping[str, str] | None = None,
    private_network: bool = False,
    files: Mapping[str, str] | None = None,
    keep_upper: Path | None = None,
    options: tuple[str, ...] = (),
) -> Iterator[Machine]:
    """Boot a root over a fresh layer; on the way out it is shut down and the layer removed.

    binds: files or folders outside and where they show inside, read-only.
    private_network: nothing but a loopback of its own; otherwise it shares this machine's network, ports included.
    files: what to write into it before it boots.
    keep_upper: where its layer is moved after the shutdown, for `SystemdRoot.with_layer`.
    """
    folder, lock = _new_folder()
    for name in ("upper", "work", "root"):
        (folder / name).mkdir()
    for inside, text in (files or {}).items():
        target = folder / "upper" / inside.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    name = "deepdream-" + re.sub(r"[^a-z0-9]", "", folder.name.removeprefix("deepdream-")) + str(os.getpid())
    (folder / "name").write_text(name)
    groups = [hierarchy / name for hierarchy in _hierarchies()]
    with lock, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(folder / "notify"))
        nspawn = ["systemd-nspawn", "--boot", "--register=no", "--keep-unit", "--notify-ready=yes", "--settings=no"]
        nspawn += ["--link-journal=no", "--timezone=off", "--console=read-only", f"--machine={name}"]
        nspawn += [f"--directory={folder / 'root'}", *(f"--bind-ro={a}:{b}" for a, b in (binds or {}).items())]
        nspawn += ["--private-network"] * private_network
        enter = ["unshare", "--mount", "--propagation", "private"]
        enter += ["sh", "-c", BOOT, "sh", *map(str, groups), "--", root.lower, str(folder)]
        # cgroup2 alone inside, as everywhere today, also where the machine outside has the older ones beside it.
        environ = {
            "PATH": SYSTEM_PATH,
            "NOTIFY_SOCKET": str(folder / "notify"),
            "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
        }
        with (folder / "console").open("wb") as console:
            process = subprocess.Popen(
                [*enter, *nspawn, *options],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
            )
        guard = subprocess.Popen(
            ["sh", "-c", GUARD, "sh", str(groups[0])],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        machine = Machine(folder, process, groups)
        try:
            _wait_for_boot(machine, notify)
            yield machine
            machine.stop()
        finally:
            machine.kill()
            guard.communicate()
            _remove_groups(groups)
            if keep_upper:
                (folder / "upper").rename(keep_upper)
            shutil.rmtree(folder, ignore_errors=True)


def _wait_for_boot(machine: Machine, notify: socket.socket) -> None:
    """Read what nspawn tells: its first process's number at once, and READY=1 when all of it is up."""
    notify.settimeout(0.2)
    end = time.monotonic() + BOOT_S
    while time.monotonic() < end and machine.process.poll() is None:
        with contextlib.suppress(TimeoutError):
            said = dict(line.partition("=")[::2] for line in notify.recv(4096).decode().splitlines())
            machine.leader = int(said.get("X_NSPAWN_LEADER_PID", machine.leader))
            if said.get("READY") == "1":
                return
    raise NoRootError(f"systemd did not boot ({machine.process.poll()}): {machine.console()[-2000:]}")


def _hierarchies() -> list[Path]:
    """This process's control groups: that of cgroup2 first, and that of systemd's own old kind if there is one."""
    mine = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    found: list[Path] = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        point = Path(before.split()[4])
        if kind == "cgroup2" and "" in mine:
            found.insert(0, point / mine[""].lstrip("/"))
        elif kind == "cgroup" and "name=systemd" in options:
            found.append(point / mine["name=systemd"].lstrip("/"))
    return found


def _kill_tree(process: subprocess.Popen[str]) -> None:
    """Kill a process and all below it: nsenter hands no signal on, and whoever is left would keep the pipes open."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for one in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            pipe.close()
    process.wait(STOP_S)


def _kill_groups(groups: list[Path]) -> None:
    for group in groups:
        with contextlib.suppress(OSError):
            (group / "cgroup.kill").write_text("1")


def _remove_groups(groups: list[Path]) -> None:
    """Remove what a machine leaves of control groups; they stay busy for a moment after a kill."""
    end = time.monotonic() + STOP_S
    with contextlib.suppress(OSError):
        Path("/run/systemd/nspawn/propagate", groups[0].name).rmdir()  # nspawn's own; left by one that was killed
    for group in groups:
        while group.exists():
            for below, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):
                    Path(below).rmdir()
            if time.monotonic() > end:
                break
            time.sleep(0.02)


def _remove_left(machines: Path) -> None:
    """Remove machines of tests that were killed: whose lock nobody holds any more."""
    for folder in machines.glob("deepdream-*"):
        with contextlib.suppress(OSError), (folder / "lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if (folder / "name").exists():
                groups = [hierarchy / (folder / "name").read_text() for hierarchy in _hierarchies()]
                _kill_groups(groups)
                _remove_groups(groups)
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    with boot(systemd_root()) as only:
        if sys.argv[1:]:
            sys.exit(subprocess.run(only.command(*sys.argv[1:], user=USER), check=False).returncode)
