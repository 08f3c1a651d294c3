"""The whole way with the real package: installed for good in a clean Debian with systemd and GIMP, used, upgraded, removed.

It is installed once, by an ordinary user, from a clone of this checkout that is deleted afterwards. Each test boots a
machine of its own over that, so that it can be read, and run, alone. Nothing in there is a stand-in.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import picture_file, pixels_of
from systemd_root import USER, Machine, SystemdRoot, boot, layer_folder, pip_settings, systemd_or_skip

from deepdream_core import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
HOME = f"/home/{USER}"
SOCKET, HELPER, WATCH = "deepdream-helper.socket", "deepdream-helper.service", "deepdream-watch.service"
INSTALLER = f"{HOME}/.local/share/deepdream/app/current/source/install"
NEWER = "97.0.0"

CONFIG = """\
presets:
  quick: {description: hardly anything, layers: {relu2_1: 1.0}, octaves: 1, iterations: 1, step: 20.0, jitter: 0}
  slow: {description: for some seconds, layers: {relu2_1: 1.0}, octaves: 1, iterations: 30, jitter: 0}
folders:
  - {path: ~/DeepDream, preset: quick, settle_s: 0.2}
"""

# Modes, contents and where links lead; of the program's gigabytes, sizes and dates.
pytestmark = pytest.mark.slow("installations")

LISTING = """
cd
find . -path ./.local/share/deepdream/app -prune -o \\
    -printf '%p %y %m %l ' \\( -type f -exec sha256sum '{}' ';' -o -printf '\\n' \\)
[ -d .local/share/deepdream/app ] || exit 0
find .local/share/deepdream/app -printf '%p %y %m %l %s %T@\\n' | sort | sha256sum
"""

# Connects to where the helper is reached, as GIMP and the hot folder do.
CONNECT = """
import json, pathlib, socket
told = json.loads((pathlib.Path.home() / ".local/state/deepdream/service.json").read_text())
socket.create_connection((told["host"], told["port"]), 10).close()
"""

IN_GIMP = """
import sys
sys.path.insert(0, "/scripts")
from gimp_common import Gimp, call, check, dreamed, new_image, new_layer
with check("dreamed") as facts:
    image = new_image()
    dreamed(facts, image, new_layer(image))
with check("checked") as facts:
    facts.update(call("plug-in-deepdream-check", None, []))
"""


@dataclass
class Installed:
    """What the installation left, and what it said."""

    root: SystemdRoot
    before: dict[str, str]
    """The home folder before."""
    done: subprocess.CompletedProcess[str]
    took_s: float


class Computer:
    """A running machine, used by the one who has installed DeepDream there."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def run(self, *command: str, timeout: float = 90, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command as after a login."""
        return self.machine.run(*command, user=USER, timeout=timeout, environ=environ)

    def check(self, *command: str, timeout: float = 90) -> str:
        """Run a command that must not fail; return what it prints."""
        return self.machine.check(*command, user=USER, timeout=timeout)

    def shell(self, script: str) -> str:
        return self.check("sh", "-c", script)

    def show(self, unit: str, what: str) -> str:
        return self.check("systemctl", "--user", "show", "-P", what, unit).strip()

    def path(self, name: str) -> Path:
        """A file of the home folder, as seen from outside."""
        return self.machine.path(f"{HOME}/{name}")

    def wait(self, true: Callable[[], object], within_s: float = 60) -> None:
        """Wait until a function says so; the service's log tells why it never does."""
        end = time.monotonic() + within_s
        while not true():
            assert time.monotonic() < end, f"it never happened\n{self.run('deepdream', 'service', 'logs').stdout}"
            time.sleep(0.1)

    def write(self, name: str, text: str) -> None:
        self.machine.run("sh", "-c", 'mkdir -p "$(dirname "$0")" && cat > "$0"', name, user=USER, stdin=text)

    def drop(self, photograph: str, name: str) -> None:
        """Put a photograph into the drop folder."""
        self.shell(f"mkdir -p $(dirname ~/DeepDream/{name}) && cp /photographs/{photograph} ~/DeepDream/{name}")

    def is_done(self, name: str) -> bool:
        return self.path(f"DeepDream/done/{name}").exists()

    def results(self) -> list[str]:
        out = self.path("DeepDream/out")
        return sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())

    def watches(self) -> bool:
        return self.show(WATCH, "ActiveState") == "active"

    def configure(self, config: str = CONFIG) -> None:
        """Write the user's config.yaml, and wait until the daemon has read it."""
        before = self.reading()
        self.write(".config/deepdream/config.yaml", config)
        self.wait(lambda: self.reading() > before)

    def reading(self) -> int:
        """How often the daemon has read its configuration again, whether that was good or not."""
        logs = self.check("deepdream", "service", "logs", "-n", "10000")
        return logs.count("reloaded the configuration") + logs.count("keeps the last good configuration")

    def doctor(self, *words: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what `deepdream doctor --json` tells, and each check by its name; its exit code is the number of ✗."""
        done = self.run("deepdream", "doctor", "--json", *words)
        told = json.loads(done.stdout)
        assert done.returncode == told["failed"] == sum(check["ok"] is False for check in told["checks"])
        return told, {check["check"]: check for check in told["checks"]}

    def ill(self) -> dict[str, Any]:
        """Return the checks that the doctor finds to fail."""
        return {name: check for name, check in self.doctor()[1].items() if check["ok"] is False}

    def listing(self) -> dict[str, str]:
        lines = self.shell(LISTING).splitlines()
        return {line.split(" ", 1)[0]: line for line in lines}

    def processes(self) -> list[str]:
        """Return the command lines of all that runs of DeepDream."""
        each = "for one in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $one; echo; done 2> /dev/null"
        lines = self.machine.check("sh", "-c", each).splitlines()
        return [line for line in lines if "-m deepdream_core" in line or "/deepdream/app/" in line]


def checkout(folder: Path, version: str = __version__) -> Path:
    """Copy the files that git knows of, or would, as they are now; as another version if need be."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    for name in ("pyproject.toml", "deepdream_core/__init__.py"):
        text = (folder / name).read_text("utf-8")
        assert text.count(f'version = "{__version__}"') + text.count(f'version__ = "{__version__}"') == 1
        (folder / name).write_text(text.replace(f'"{__version__}"', f'"{version}"'), "utf-8")
    folder.chmod(0o755)
    return folder


@contextmanager
def booted(
    root: SystemdRoot, *, with_pip: bool = False, keep_upper: Path | None = None, **binds: Path
) -> Iterator[Computer]:
    """Boot a machine with a user who is logged in; `with_pip` gives it this machine's network and pip's settings."""
    pip = pip_settings()
    given = {str(path): f"/{name}" for name, path in binds.items()}
    with ExitStack() as ending:
        machine = ending.enter_context(boot(
            root, binds={**given, **(pip.binds if with_pip else {})}, private_network=not with_pip,
            files={"/etc/pip.conf": pip.config} if with_pip else None, keep_upper=keep_upper,
        ))  # fmt: skip
        ending.enter_context(machine.logged_in())
        yield Computer(machine)


def install_for_good(root: SystemdRoot, clone: Path, keep_upper: Path) -> Installed:
    """Do what the README tells a new user, then delete the clone."""
    with booted(root, with_pip=True, keep_upper=keep_upper, clone=clone) as computer:
        computer.shell("mkdir Pictures && echo mine > Pictures/a.txt")
        before = computer.listing()
        computer.shell("cp -r /clone deepdream")
        began = time.monotonic()
        done = computer.run("sh", "-c", "cd deepdream && python3 install", timeout=900)
        took_s = time.monotonic() - began
        computer.shell("rm -r deepdream")
    return Installed(root.with_layer(keep_upper), before, done, took_s)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    root = systemd_or_skip("3.0")
    with layer_folder() as folder:
        yield install_for_good(root, checkout(tmp_path_factory.mktemp("clone")), folder / "upper")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for name in ("astronaut", "chelsea", "coffee"):
        picture_file(folder / f"{name}.png", name, (128, 96))
    folder.chmod(0o755)
    return folder


@pytest.fixture
def computer(installed: Installed, photographs: Path) -> Iterator[Computer]:
    """The installed program in a machine that has just started, after the login."""
    assert installed.done.returncode == 0, installed.done.stderr
    scripts = ROOT / "tests" / "gimp_scripts"
    with booted(installed.root, photographs=photographs, scripts=scripts) as computer:
        computer.wait(computer.watches)
        yield computer


def test_python3_install_installs_everything_and_says_so(installed: Installed) -> None:
    told = installed.done.stdout
    print(f"installed in {installed.took_s:.0f} s")
    assert installed.done.returncode == 0, installed.done.stderr
    assert f"DeepDream {__version__} is installed in {HOME}/.local/share/deepdream/app/{__version__}-" in told
    assert f"Drop folder: {HOME}/DeepDream" in told
    assert f"Background service: {SOCKET}, {HELPER}, {WATCH}, started now and at each login" in told
    assert f"installed: {HOME}/.config/GIMP/3.0/plug-ins/deepdream" in told
    assert f"without the clone: `python3 {INSTALLER} uninstall`" in told


def test_the_doctor_finds_all_well_and_changes_nothing(computer: Computer) -> None:
    before = computer.listing()
    done = computer.run("deepdream", "doctor")
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[-1] == "all checks passed"
    others = [line for line in lines[:-1] if not line.startswith("✓ ")]
    assert others == ["– cluster: not installed, and nothing asks for it"]
    told, checks = computer.doctor()
    assert told["version"] == __version__
    assert list(checks) == [line[2:].partition(":")[0] for line in lines[:-1]]
    assert {"program", "torch", "weights", "events", "helper.socket", "watch.service", "GIMP 3.0"} < checks.keys()
    # It connected to the helper, which has begun to write its log.
    changed = {name for name, _ in before.items() ^ computer.listing().items()}
    assert {name for name in changed if not name.startswith("./.local/state/deepdream/")} == set()


def test_the_units_are_systemd_s_liking_and_the_helper_waits_for_somebody(computer: Computer) -> None:
    units = [f"{HOME}/.config/systemd/user/{unit}" for unit in (SOCKET, HELPER, WATCH)]
    done = computer.run("systemd-analyze", "verify", "--user", *units)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    for unit in (SOCKET, WATCH):
        assert (computer.show(unit, "ActiveState"), computer.show(unit, "UnitFileState")) == ("active", "enabled")
    assert computer.show(HELPER, "ActiveState") == "inactive"
    computer.check("python3", "-c", CONNECT)
    computer.wait(lambda: computer.show(HELPER, "ActiveState") == "active")
    assert computer.show(WATCH, "NRestarts") == "0"


def test_gimp_dreams_through_the_helper_that_its_connection_starts(computer: Computer) -> None:
    assert computer.show(HELPER, "ActiveState") == "inactive"
    computer.write("script.py", IN_GIMP)
    done = computer.run(
        "gimp-console", "-i", "-d", "-f", "--batch-interpreter=python-fu-eval", "--quit",
        "-b", f"exec(compile(open('{HOME}/script.py').read(), 'script.py', 'exec'), globals())",
        DEEPDREAM_REPORTS=f"{HOME}/reports",
    )  # fmt: skip
    assert computer.path("reports").exists(), done.stdout + done.stderr
    told = {one["check"]: one for one in map(json.loads, computer.path("reports").read_text().splitlines())}
    assert told["dreamed"]["status"] == "success", told
    assert told["dreamed"]["inside"] > 0.9
    assert told["checked"]["status"] == "success", told
    assert computer.show(HELPER, "ActiveState") == "active"


def test_a_photograph_dropped_into_the_folder_comes_out(computer: Computer, photographs: Path) -> None:
    computer.configure()
    computer.drop("astronaut.png", "astronaut.png")
    computer.wait(lambda: computer.is_done("astronaut.png"))
    original, result = photographs / "astronaut.png", computer.path("DeepDream/out/astronaut.png")
    assert computer.path("DeepDream/done/astronaut.png").read_bytes() == original.read_bytes()
    assert (pixels_of(original) != pixels_of(result)).any(axis=-1).mean() > 0.5
    assert not computer.path("DeepDream/astronaut.png").exists()
    assert computer.show(HELPER, "ActiveState") == "active"
    assert "astronaut.png: dreamed in" in computer.check("deepdream", "service", "logs")


def test_who_is_killed_comes_back_and_nothing_is_lost(computer: Computer) -> None:
    computer.configure()
    killed = computer.show(WATCH, "MainPID")
    computer.shell(f"kill -9 {killed}")
    computer.drop("astronaut.png", "dropped-meanwhile.png")
    assert "SIGKILL" in computer.run("deepdream", "service", "status").stdout
    computer.wait(lambda: computer.is_done("dropped-meanwhile.png"))
    assert computer.show(WATCH, "NRestarts") == "1"
    assert computer.show(WATCH, "MainPID") != killed

    helper = computer.show(HELPER, "MainPID")
    computer.shell(f"kill -9 {helper}")
    computer.wait(lambda: computer.show(HELPER, "ActiveState") != "active")
    assert computer.show(SOCKET, "ActiveState") == "active"
    assert "helper: waits" in computer.check("deepdream", "service", "status"), "that is no failure"
    computer.drop("chelsea.png", "chelsea.png")
    computer.wait(lambda: computer.is_done("chelsea.png"))
    assert computer.show(HELPER, "MainPID") not in ("0", helper)
    assert computer.results() == ["chelsea.png", "dropped-meanwhile.png"]


def test_stopped_in_the_midst_of_a_picture_it_loses_nothing(computer: Computer) -> None:
    def is_dreamed() -> bool:
        told = json.loads(computer.check("deepdream", "status", "--json"))
        return any(job["progress"] for job in told.get("jobs", ()))

    computer.configure()
    computer.drop("coffee.png", "slow/coffee.png")
    computer.wait(is_dreamed)
    computer.check("deepdream", "service", "stop")
    for unit in (SOCKET, HELPER, WATCH):  # systemd gives each 4 s, and calls what it has to kill then a "timeout"
        assert (computer.show(unit, "ActiveState"), computer.show(unit, "Result")) == ("inactive", "success")
    assert computer.processes() == []
    assert computer.results() == []
    assert computer.path("DeepDream/slow/coffee.png").exists()
    told = computer.check("deepdream", "service", "status")
    assert told.count("is stopped") == told.count("`deepdream service start`") == 2
    assert {"helper.socket", "watch.service"} <= computer.ill().keys()

    assert "hot folder: runs" in computer.check("deepdream", "service", "start")
    computer.wait(lambda: computer.is_done("slow/coffee.png"))
    assert computer.results() == ["slow/coffee.png"]
    logs = computer.check("deepdream", "service", "logs")
    assert logs.count("slow/coffee.png: dreamed in") == 1
    assert "Stopped deepdream-watch.service" in logs


def test_with_a_bad_configuration_it_is_not_started_again_and_again(computer: Computer) -> None:
    computer.configure(CONFIG.replace("settle_s", "settle"))
    assert computer.run("systemctl", "--user", "restart", WATCH).returncode != 0
    state = [computer.show(WATCH, what) for what in ("ActiveState", "ExecMainStatus", "NRestarts")]
    assert state == ["failed", "2", "0"]
    done = computer.run("deepdream", "service", "status")
    assert done.returncode == 9
    assert "did you mean settle_s? — fix that in config.yaml, then `deepdream service start`" in done.stdout
    ill = computer.ill()
    assert ill["config.yaml"]["fix"] == "did you mean settle_s?"
    assert "stopped because config.yaml is invalid" in ill["watch.service"]["what"]
    assert "then `deepdream service start`" in ill["watch.service"]["fix"]
    assert computer.run("deepdream", "service", "start").returncode == 9, "it is still bad"

    computer.write(".config/deepdream/config.yaml", CONFIG)
    assert "hot folder: runs" in computer.check("deepdream", "service", "start")
    assert computer.ill() == {}
    computer.drop("astronaut.png", "astronaut.png")
    computer.wait(lambda: computer.is_done("astronaut.png"))


def test_what_ends_at_once_every_time_is_given_up_until_somebody_starts_it(computer: Computer) -> None:
    journal = ".local/state/deepdream/hotfolder"
    computer.shell(f"chmod 0 {journal}")
    computer.run("systemctl", "--user", "restart", WATCH)
    computer.wait(lambda: computer.show(WATCH, "ActiveState") == "failed")
    assert 1 < int(computer.show(WATCH, "NRestarts")) < 6
    assert computer.run("systemctl", "--user", "start", WATCH).returncode != 0, "systemd has given it up"
    done = computer.run("deepdream", "service", "status")
    assert done.returncode == 9
    assert f"{HOME}/{journal}" in done.stdout
    assert "make that file and its folder writable — see" in done.stdout
    ill = computer.ill()
    assert list(ill) == ["watch.service"]
    assert f"{HOME}/{journal}" in ill["watch.service"]["what"]
    assert ill["watch.service"]["fix"] == "make that file and its folder writable, then `deepdream service start`"

    computer.shell(f"chmod 700 {journal}")
    assert "hot folder: runs" in computer.check("deepdream", "service", "start")
    assert computer.ill() == {}


def test_what_the_doctor_finds_broken_can_be_mended_as_it_says(computer: Computer) -> None:
    computer.configure()
    computer.drop("astronaut.png", "astronaut.png")
    computer.wait(lambda: computer.is_done("astronaut.png"))
    plug_in = ".config/GIMP/3.0/plug-ins/deepdream/pixels.py"
    unit = f".config/systemd/user/{WATCH}"
    completion = ".local/share/bash-completion/completions/deepdream"
    computer.shell(f"rm {plug_in} {completion}; echo '# changed' >> {unit}; chmod 500 DeepDream/out")
    ill = computer.ill()
    assert ill.keys() == {"program", "GIMP 3.0", "unit files", "watch.service", "drop folder"}
    assert ill["program"]["what"] == f"{HOME}/{completion} is missing"
    assert ill["GIMP 3.0"]["what"] == f"{HOME}/{plug_in} is missing"
    assert ill["unit files"]["what"] == f"{HOME}/{unit} was changed"
    assert "cannot read or write ~/DeepDream/out" in ill["drop folder"]["what"]

    told, checks = computer.doctor("--fix")
    assert {one["check"] for one in told["mended"]} == {"drop folder", "watch.service"}
    assert [one["trouble"] for one in told["mended"]] == ["", ""]
    left = {name: check["fix"] for name, check in checks.items() if check["ok"] is False}
    assert left == {
        "program": f"run `python3 {INSTALLER}`",
        "unit files": f"`python3 {INSTALLER} service`",
        "GIMP 3.0": f"`python3 {INSTALLER} gimp`, then restart GIMP",
    }
    for fix in left.values():
        computer.shell(fix.split("`")[1])
    assert computer.ill() == {}
    assert computer.path(f"{unit}.yours").read_text().endswith("# changed\n")


def test_a_newer_clone_takes_the_place_of_the_old_version(
    installed: Installed, photographs: Path, tmp_path: Path
) -> None:
    newer = checkout(tmp_path / "newer", NEWER)
    with booted(installed.root, with_pip=True, photographs=photographs, newer=newer) as computer:
        computer.wait(computer.watches)
        computer.configure()
        computer.drop("astronaut.png", "astronaut.png")
        computer.wait(lambda: computer.is_done("astronaut.png"))
        before = {unit: computer.show(unit, "MainPID") for unit in (WATCH, HELPER)}

        computer.shell("cp -r /newer deepdream")
        done = computer.run("sh", "-c", "cd deepdream && python3 install", timeout=900)
        assert done.returncode == 0, done.stderr
        assert f"DeepDream {NEWER} is installed" in done.stdout
        assert f"updated: {HOME}/.config/GIMP/3.0/plug-ins/deepdream" in done.stdout
        assert "nothing to do" in computer.shell("cd deepdream && python3 install")
        computer.shell("rm -r deepdream")
        assert NEWER in computer.check("deepdream", "--version")
        assert computer.show(WATCH, "ActiveState") == "active"
        assert computer.show(WATCH, "MainPID") != before[WATCH]
        assert not Path(f"/proc/{before[HELPER]}").exists() or computer.show(HELPER, "MainPID") != before[HELPER]
        versions = [path.name for path in computer.path(".local/share/deepdream/app").iterdir()]
        assert len(versions) == 2
        assert all(name == "current" or name.startswith(NEWER) for name in versions)
        told, checks = computer.doctor()
        assert told["version"] == NEWER
        assert [check for check in checks.values() if check["ok"] is False] == []
        assert checks["GIMP 3.0"]["what"] == f"plug-in {NEWER}"

        computer.drop("astronaut.png", "astronaut.png")
        computer.drop("chelsea.png", "chelsea.png")
        computer.wait(lambda: computer.is_done("chelsea.png"))
        computer.wait(lambda: not computer.path("DeepDream/astronaut.png").exists())
        assert computer.results() == ["astronaut.png", "chelsea.png"], "what the old version has dreamed is not again"


OF_GIMP = (".cache/babl", ".cache/gegl-0.4", ".cache/gimp", ".config/GIMP", ".local/share/gegl-0.4")
"""What GIMP makes in a home folder when it runs; it did when the plug-in was installed."""


@pytest.fixture
def used(installed: Installed, photographs: Path) -> Iterator[tuple[Computer, dict[str, bytes]]]:
    """A machine in which a picture was dreamed and another one is being dreamed, with the user's files in it."""
    with booted(installed.root, photographs=photographs, clone=ROOT) as computer:
        computer.wait(computer.watches)
        computer.configure()
        computer.drop("astronaut.png", "astronaut.png")
        computer.wait(lambda: computer.is_done("astronaut.png"))
        computer.drop("coffee.png", "slow/coffee.png")
        computer.wait(lambda: "being dreamed" in computer.show(WATCH, "StatusText"))
        names = (
            ".config/deepdream/config.yaml", "DeepDream/done/astronaut.png", "DeepDream/out/astronaut.png",
            "DeepDream/slow/coffee.png",
        )  # fmt: skip
        yield computer, {name: computer.path(name).read_bytes() for name in names}


def test_uninstalled_nothing_is_left_but_what_is_the_user_s(
    installed: Installed, used: tuple[Computer, dict[str, bytes]]
) -> None:
    computer, files = used
    told = computer.check("python3", INSTALLER, "uninstall")
    assert "Removed DeepDream" in told
    assert f"Kept {HOME}/.config/deepdream/config.yaml" in told
    nothing_runs(computer)
    assert left(installed, computer, ".config/deepdream", "DeepDream", ".local/state") == []
    assert {name: computer.path(name).read_bytes() for name in files} == files
    assert computer.path(".local/state/deepdream/hotfolder/journal.sqlite3").exists()

    computer.check("python3", "/clone/install", "uninstall", "--purge")
    only_pictures(computer, files)
    # Who made this folder stood in the record, which is gone.
    assert left(installed, computer, "DeepDream") in ([], [".local/state"])


def test_purged_nothing_is_left_but_the_pictures(installed: Installed, used: tuple[Computer, dict[str, bytes]]) -> None:
    computer, files = used
    assert "Removed DeepDream" in computer.check("python3", INSTALLER, "uninstall", "--purge")
    nothing_runs(computer)
    assert left(installed, computer, "DeepDream") == []
    only_pictures(computer, files)


def only_pictures(computer: Computer, files: dict[str, bytes]) -> None:
    pictures = {name: data for name, data in files.items() if name.startswith("DeepDream/")}
    assert sorted(computer.shell("find DeepDream -type f").split()) == sorted(pictures)
    assert {name: computer.path(name).read_bytes() for name in pictures} == pictures


def nothing_runs(computer: Computer) -> None:
    assert computer.processes() == []
    for what in ("list-units", "list-unit-files"):
        assert computer.run("systemctl", "--user", what, "--all", "--plain", "--quiet", "deepdream*").stdout == ""
    assert computer.shell("find . -name '*deepdream*' -path '*systemd*'") == ""


def left(installed: Installed, computer: Computer, *of_the_user: str) -> list[str]:
    """Return what is other than before the installation, but for GIMP's own, the user's, and folders around those."""
    now = computer.listing()
    changed = {name.removeprefix("./") for name, _ in installed.before.items() ^ now.items()}
    mine = [*OF_GIMP, *of_the_user]
    around = {str(folder) for name in mine for folder in Path(name).parents}
    return sorted(name for name in changed - around if not any(Path(name).is_relative_to(one) for one in mine))
