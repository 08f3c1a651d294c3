"""Real GIMP for tests: Debian suites in folders, built once, and GIMP run inside them.

`root_or_skip("3.0")` gives a `GimpRoot`; `run_gimp(root, script)` runs a Python-Fu script in it, `start_gimp` and
`screen` are for what lives longer. A script calls `report(name=value, …)` as often as it likes; the reports come
back as dictionaries. Every command runs in a mount namespace of its own: what is bound there ends with its last
process, so that nothing stays mounted, whatever is killed.

    python3 tests/gimp_root.py                          build both roots
    python3 tests/gimp_root.py 3.0 COMMAND ARGUMENT …   run something inside one
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil
import pytest
from filelock import FileLock
from helper_process import generous

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Suite(NamedTuple):
    name: str
    script: str
    """Which of debootstrap's scripts builds it: an old debootstrap does not know a new suite by name."""


SUITES = {"3.0": Suite("trixie", "sid"), "3.2": Suite("forky", "sid")}
"""GIMP's series, which is also the name of its configuration folder, and the Debian suite that carries it."""

SERIES = tuple(SUITES)

PACKAGES = (
    "gimp",
    "python3-gi",
    "python3-gi-cairo",
    "gir1.2-gtk-3.0",
    "xvfb",
    "xauth",
    "openbox",  # a window manager: without one no window has the keyboard
    "xdotool",  # presses keys and buttons
    "scrot",  # takes pictures of the screen
    "adwaita-icon-theme",  # the icons that a person sees on the buttons
    "locales",  # what GERMAN is made of
)

STAMP = "etc/deepdream-root.json"
"""What a finished root holds: the packages put into it."""

NEEDED_BYTES = 3 << 30
BUILD_TIMEOUT_S = 1500
LEFT_OVER_S = 24 * 3600
TEMPLATE = "var/lib/deepdream-home"
"""A home folder inside the root in which GIMP has looked at its own plug-ins: later starts take 2 s, not 7."""

GERMAN = {"LANG": "de_DE.UTF-8", "LC_ALL": "de_DE.UTF-8", "LANGUAGE": "de"}
"""An environment in which GIMP speaks German."""

GIMPRC = "\n(show-welcome-dialog no)\n(check-updates no)\n"

QUIET = {"NO_AT_BRIDGE": "1", "GTK_A11Y": "none", "DEBIAN_FRONTEND": "noninteractive"}

ENTER = """
set -e
root=$1; home=$2; shift 2
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
while [ "$1" != -- ]; do mkdir -p "$root$2"; mount --rbind "$1" "$root$2"; shift 2; done
shift
[ -z "$home" ] || readlink /proc/self/ns/mnt > "$home/namespace"
exec chroot "$root" "$@"
"""
"""Binds what a root needs, then ROOT's folders named in pairs (outside, inside), and becomes the command."""

PRELUDE = """
import json as _json
import os as _os


def report(**facts):
    with open(_os.environ["DEEPDREAM_REPORTS"], "a", encoding="utf-8") as _file:
        _file.write(_json.dumps(facts) + "\\n")
"""


class NoRootError(Exception):
    """Why there is no root to run GIMP in."""


@dataclass(frozen=True)
class GimpRoot:
    """A folder with a Debian and GIMP in it."""

    series: str
    path: Path

    def inside(self, path: Path) -> str:
        """What a path below this root is called inside."""
        return f"/{path.relative_to(self.path)}"

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Make a folder that both sides see, gone afterwards; `inside` tells its name in there."""
        with tempfile.TemporaryDirectory(
            prefix="deepdream-", dir=self.path / "tmp", ignore_cleanup_errors=True
        ) as name:
            yield Path(name)

    def command(self, *arguments: str, home: Path | None = None, binds: Mapping[str, str] | None = None) -> list[str]:
        """What to start for `arguments` to run inside; it dies with the thread that starts it.

        `binds`: folders outside and where they show inside, both absolute. `home`: gets the namespace's name.
        """
        pairs = [name for pair in (binds or {}).items() for name in pair]
        enter = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private"]
        return [*enter, "sh", "-c", ENTER, "sh", str(self.path), str(home or ""), *pairs, "--", *arguments]

    def run(self, *arguments: str, timeout: float = 60, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside."""
        return subprocess.run(
            self.command(*arguments),
            env=_environ({"HOME": "/root", **environ}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


# --- building ---------------------------------------------------------------------------------------------------


def cache_folder() -> Path:
    if "XDG_CACHE_HOME" in os.environ:
        return Path(os.environ["XDG_CACHE_HOME"], "deepdream-tests")
    if os.geteuid() == 0:
        return Path("/var/cache/deepdream-gimp")
    return Path.home() / ".cache" / "deepdream-tests"


def root_or_skip(series: str) -> GimpRoot:
    """The root for a GIMP series, built where there is none yet; no root fails in CI and skips elsewhere."""
    try:
        return root_for(series)
    except NoRootError as error:
        if os.environ.get("CI"):
            pytest.fail(f"GIMP {series} must be tested in CI: {error}")
        pytest.skip(f"no GIMP {series}: {error}")


def root_for(series: str) -> GimpRoot:
    """Find or build the root; raises NoRootError."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise NoRootError("the roots need Linux and root")
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / SUITES[series].name
    with FileLock(f"{path}.lock"):
        if _packages_in(path) != sorted(PACKAGES):
            _build(SUITES[series], path)
        for left in (path / "tmp").glob("deepdream-*"):  # by tests that were killed
            if time.time() - left.stat().st_mtime > LEFT_OVER_S:
                shutil.rmtree(left, ignore_errors=True)
    return GimpRoot(series, path)


def _packages_in(path: Path) -> list[str] | None:
    """The packages of a finished root; None where it is missing or was not finished."""
    try:
        packages: list[str] = json.loads((path / STAMP).read_text())
    except (OSError, ValueError):
        return None
    return packages


def _build(suite: Suite, path: Path) -> None:
    """Build a root from nothing, or lay what this file asks for into a finished one."""
    part = path.with_suffix(".part")
    if _packages_in(path) is None:
        remove(path)
        remove(part)
        if shutil.disk_usage(path.parent).free < NEEDED_BYTES:
            raise NoRootError(f"less than {NEEDED_BYTES >> 30} GiB free in {path.parent}")
        if not shutil.which("debootstrap"):
            do("apt-get", "-q", "-y", "install", "--no-install-recommends", "debootstrap")
        # In a namespace of its own, because debootstrap mounts /proc in there and may be killed.
        own = ("unshare", "--mount", "--propagation", "private")
        do(*own, "debootstrap", "--variant=minbase", suite.name, str(part), mirror(), suite.script)
    else:
        path.rename(part)
    like_outside(part)
    root = GimpRoot("", part)
    options = ("-q", "-y", "-o", "APT::Keep-Downloaded-Packages=false")
    do(*root.command("apt-get", "-q", "update"))
    do(*root.command("apt-get", *options, "install", "--no-install-recommends", *PACKAGES))
    do(*root.command("apt-get", "clean"))
    do(*root.command("localedef", "-i", "de_DE", "-f", "UTF-8", "de_DE.UTF-8"))
    home = f"/{TEMPLATE}"
    remove(part / TEMPLATE)
    (part / TEMPLATE).mkdir(parents=True)
    do(*root.command("gimp-console", "-i", "-d", "-f", "--quit"), HOME=home)
    (part / STAMP).write_text(json.dumps(sorted(PACKAGES)))
    part.rename(path)


def mirror() -> str:
    """Where this machine's own Debian packages come from."""
    for update in (False, True):
        if update:
            do("apt-get", "-q", "update")
        lines = do("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)").splitlines()
        targets = sorted({tuple(line.split()) for line in lines if "security" not in line})
        if targets:
            return str(targets[0][0])
    raise NoRootError("apt knows no Debian packages on this machine")


def like_outside(root: Path) -> None:
    """Names are resolved and packages fetched inside as they are outside."""
    for name in ("resolv.conf", "hosts"):
        if Path("/etc", name).exists():
            shutil.copy(Path("/etc", name), root / "etc" / name)
    for file in sorted(Path("/etc/apt").glob("apt.conf")) + sorted(Path("/etc/apt/apt.conf.d").glob("*")):
        shutil.copy(file, root / file.relative_to("/"))


def remove(folder: Path) -> None:
    """Remove a folder, but never through something that is mounted in it."""
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    if below := [point for point in mounted if Path(point).is_relative_to(folder)]:
        raise NoRootError(f"{below[0]} is mounted, so {folder} cannot be built again; unmount it")
    if folder.exists():
        shutil.rmtree(folder)


def do(*command: str, **environ: str) -> str:
    """Run a step of the building and return its output; raises NoRootError with its last lines."""
    try:
        answer = subprocess.run(
            command,
            env=_environ(environ, os.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=BUILD_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoRootError(str(error)) from error
    if answer.returncode:
        last = " / ".join(answer.stdout.strip().splitlines()[-5:])
        raise NoRootError(f"{' '.join(command[-4:])} ended with {answer.returncode}: {last}")
    return answer.stdout


def _environ(environ: Mapping[str, str], base: Mapping[str, str] | None = None) -> dict[str, str]:
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {**(base or {}), "PATH": path, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", **QUIET, **environ}


# --- running ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    """How a GIMP ended: `returncode` 0 means that the script ran through, 64 that it raised, 70 that a procedure failed."""

    returncode: int
    stdout: str
    stderr: str
    reports: list[dict[str, Any]] = field(default_factory=list)

    def check(self) -> list[dict[str, Any]]:
        """The reports of a script that ran through; fails with GIMP's own words for another."""
        assert self.returncode == 0, f"GIMP ended with {self.returncode}\n{self.stdout}\n{self.stderr}"
        return self.reports


class Gimp:
    """A GIMP that runs; made by `start_gimp`."""

    def __init__(self, root: GimpRoot, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.root = root
        self.folder = folder
        """A folder of this GIMP's own, seen by both sides; gone afterwards."""
        self.process = process

    @property
    def config(self) -> Path:
        """Where this GIMP keeps its settings and plug-ins."""
        return self.folder / "home" / ".config" / "GIMP" / self.root.series

    def processes(self, name: str = "") -> list[psutil.Process]:
        """Everything that runs in this GIMP's namespace and has `name` in its command line; plug-ins among them."""
        try:
            namespace = (self.folder / "namespace").read_text().strip()
        except OSError:
            return []
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(OSError, psutil.Error):
                same = Path(f"/proc/{process.pid}/ns/mnt").readlink().name == namespace
                ours = same and self.folder.name in process.environ().get(
                    "HOME", ""
                )  # numbers of namespaces come again
                if ours and name in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def reports(self) -> list[dict[str, Any]]:
        """What the script has reported until now."""
        try:
            text = (self.folder / "reports").read_text("utf-8")
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def wait(self, timeout: float) -> Result:
        """Wait for GIMP's end; one that takes longer is killed and fails the test with what it said."""
        try:
            self.process.wait(generous(timeout))
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"GIMP did not end within {generous(timeout)} s\n{self.result()}")
        return self.result()

    def result(self) -> Result:
        """How it went until now."""
        stdout, stderr = ((self.folder / name).read_text("utf-8", "replace") for name in ("stdout", "stderr"))
        return Result(self.process.poll() or 0, stdout, stderr, self.reports())

    def kill(self) -> None:
        """Kill GIMP and whatever it has started, a helper on demand included."""
        end = time.monotonic() + 5
        while time.monotonic() < end:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait(5)
            left = self.processes()
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGKILL)
            if not left:
                return
            time.sleep(0.02)


@contextmanager
def start_gimp(
    root: GimpRoot,
    script: str,
    *,
    display: str | None = None,
    plug_in_folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
    binds: Mapping[str, str] | None = None,
    batch: str = "python-fu-eval",
    quit_after: bool = True,
    fonts: bool = False,
    arguments: Sequence[str] = (),
) -> Iterator[Gimp]:
    """Start GIMP with a home of its own and a script; on the way out it and all it started are killed.

    display: an X display's name, which makes it the GIMP with windows, where `script` runs when it is up.
    plug_in_folder: copied to `plug-ins/deepdream/` as the installer would.
    binds: folders outside and where they show inside.
    batch: the interpreter; Python's gets the script from a file together with `report(**facts)`, another one as text.
    quit_after: whether GIMP ends after the script.
    fonts: whether a GIMP without windows looks for fonts; text layers need them.
    """
    with root.folder() as folder:
        shutil.copytree(root.path / TEMPLATE, folder / "home", symlinks=True)
        gimp = folder / "home" / ".config" / "GIMP" / root.series
        with (gimp / "gimprc").open("a") as settings:
            settings.write(GIMPRC)
        if plug_in_folder is not None:
            shutil.copytree(plug_in_folder, gimp / "plug-ins" / "deepdream", dirs_exist_ok=True)
        (folder / "tmp").mkdir()
        inside = root.inside(folder)
        command = script
        if batch == "python-fu-eval":
            (folder / "script.py").write_text(script, "utf-8")
            (folder / "prelude.py").write_text(PRELUDE, "utf-8")
            names = (f"{inside}/prelude.py", f"{inside}/script.py")
            command = "; ".join(f"exec(compile(open({n!r}).read(), {n!r}, 'exec'), globals())" for n in names)
        program = ["gimp", "--no-splash"] if display else ["gimp-console", "-i", "-d", *([] if fonts else ["-f"])]
        options = [f"--batch-interpreter={batch}", "-b", command, *(["--quit"] if quit_after else []), *arguments]
        values = {"HOME": f"{inside}/home", "TMPDIR": f"{inside}/tmp", "DEEPDREAM_REPORTS": f"{inside}/reports"}
        values |= {**(environ or {}), **({"DISPLAY": display} if display else {})}
        with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
            process = subprocess.Popen(
                root.command(*program, *options, home=folder, binds=binds),
                env=_environ(values),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        running = Gimp(root, folder, process)
        try:
            yield running
        except BaseException as error:
            error.add_note(f"GIMP until then: {running.result()}\nstill running: {running.processes()}")
            raise
        finally:
            running.kill()


def run_gimp(
    root: GimpRoot,
    script: str,
    *,
    timeout: float = 60,
    display: str | None = None,
    plug_in_folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
    binds: Mapping[str, str] | None = None,
    batch: str = "python-fu-eval",
    fonts: bool = False,
) -> Result:
    """Run a script in a fresh GIMP to its end; see `start_gimp`."""
    with start_gimp(
        root,
        script,
        display=display,
        plug_in_folder=plug_in_folder,
        environ=environ,
        binds=binds,
        batch=batch,
        fonts=fonts,
    ) as gimp:
        return gimp.wait(timeout)


# --- a screen ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Screen:
    """An X display inside a root, with a window manager; made by `screen`."""

    root: GimpRoot
    folder: Path
    display: str

    def xdotool(self, *arguments: object, timeout: float = 30) -> str:
        """Press, type, look for windows; returns what xdotool prints, fails where it fails."""
        answer = self.root.run("xdotool", *map(str, arguments), timeout=timeout, DISPLAY=self.display)
        assert answer.returncode == 0, f"xdotool {arguments}: {answer.stderr}"
        return answer.stdout.strip()

    def windows(self, title: str) -> list[str]:
        """The visible windows whose title has `title` (a regular expression) in it.

        xdotool gives up where a window disappears while it searches; such a search is made again.
        """
        while True:
            found = self.root.run("xdotool", "search", "--onlyvisible", "--name", title, DISPLAY=self.display)
            if "BadWindow" not in found.stderr:
                return found.stdout.split()

    def picture(self, file: Path, *options: str) -> Path:
        """Take a picture of the whole screen as PNG; scrot's `options` may name a window."""
        own = self.folder / "screen.png"
        answer = self.root.run("scrot", "--overwrite", *options, self.root.inside(own), DISPLAY=self.display)
        assert answer.returncode == 0, answer.stderr
        shutil.copy(own, file)
        return file


@contextmanager
def screen(root: GimpRoot, size: tuple[int, int] = (1280, 900)) -> Iterator[Screen]:
    """Start an X server without a monitor, and a window manager; both end on the way out."""
    with root.folder() as folder, contextlib.ExitStack() as ending:
        reading, writing = os.pipe()
        ending.callback(os.close, reading)
        geometry = f"{size[0]}x{size[1]}x24"
        server = [
            "Xvfb",
            "-r",  # no key repeats where a busy machine lets it up late
            "-displayfd",
            str(writing),
            "-screen",
            "0",
            geometry,
            "-nolisten",
            "tcp",
            "-noreset",
        ]
        ending.enter_context(_running(root, server, folder / "Xvfb.log", pass_fds=(writing,)))
        os.close(writing)
        number = os.read(reading, 16).decode().strip()
        assert number, (folder / "Xvfb.log").read_text()
        display = f":{number}"
        ending.enter_context(_running(root, ["openbox"], folder / "openbox.log", environ={"DISPLAY": display}))
        yield Screen(root, folder, display)


@contextmanager
def _running(
    root: GimpRoot,
    command: Sequence[str],
    log: Path,
    *,
    environ: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            root.command(*command),
            env=_environ({"HOME": root.inside(log.parent), **(environ or {})}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=pass_fds,
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    if len(sys.argv) > 2:
        own_root = root_for(sys.argv[1])
        own_command = own_root.command(*sys.argv[2:])
        os.execvpe(own_command[0], own_command, _environ({"HOME": "/root"}, os.environ))
    for own_series in SERIES:
        print(own_series, root_for(own_series).path)
