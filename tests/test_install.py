"""`python3 install …` as people run it: real processes, a small project in place of this one, no network."""

import contextlib
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

INSTALL = Path(__file__).resolve().parent.parent / "install"
IN_SECONDS = 120

# Builds an editable wheel without any tool from the network. Tells when it runs, and runs on while `slow` exists.
BACKEND = """
import os, time, zipfile

INFO = "deepdream-0.1.0.dist-info/"

def metadata():
    with open("pyproject.toml") as project:
        needs = [line.split('"')[1] for line in project if line.startswith('    "')]
    head = "Metadata-Version: 2.1\\nName: deepdream\\nVersion: 0.1.0\\nProvides-Extra: test\\n"
    return head + "".join("Requires-Dist: %s\\n" % need for need in needs)

def prepare_metadata_for_build_editable(metadata_directory, config_settings=None):
    os.mkdir(os.path.join(metadata_directory, INFO))
    with open(os.path.join(metadata_directory, INFO, "METADATA"), "w") as file:
        file.write(metadata())
    return INFO.rstrip("/")

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    with open("builds", "a") as builds:
        builds.write("%d\\n" % os.getpid())
    while os.path.exists("slow"):
        time.sleep(0.02)
    files = {
        "deepdream.pth": os.getcwd() + "\\n",
        INFO + "METADATA": metadata(),
        INFO + "WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    files[INFO + "RECORD"] = "".join("%s,,\\n" % path for path in files)
    wheel = "deepdream-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, wheel), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel
"""
PROGRAM = """
import os, sys
from importlib.metadata import PackageNotFoundError, version

def found(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"

if sys.argv[-1] == "exit7":
    sys.exit(7)
print([*sys.argv[1:], os.path.basename(sys.prefix), "torch " + found("torch"), "torchvision " + found("torchvision")])
"""
# In place of a check: says what it was given, fails if a file says so.
CHECK = """
import os, sys
name = os.path.basename(__file__)[:-3]
print("ran", name, *sys.argv[1:])
if name == "pytest":
    print("====== 3 passed in 0.12s ======")
sys.exit(os.path.exists(name + ".fails"))
"""


def run(*words: str | Path, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, without pip's settings of this machine."""
    argv = [str(word) for word in words]
    environment = surroundings() | (env or {})
    return subprocess.run(
        argv,
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=IN_SECONDS,
        check=False,
    )


def surroundings() -> dict[str, str]:
    """Return an environment in which pip knows an index that nobody answers for, and nothing else."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    closed = "http://somebody:secret@127.0.0.1:9/simple"
    return kept | {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": closed, "PIP_RETRIES": "0", "PYTHONUTF8": "1"}


class Clone:
    """A clone of a small project that has this project's `install/`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.venv = root / ".venv"

    @classmethod
    def make(cls, root: Path) -> "Clone":
        root.mkdir(parents=True)
        clone = cls(root)
        shutil.copytree(INSTALL, root / "install", ignore=shutil.ignore_patterns("__pycache__"))
        for package, source in (("backend", BACKEND), ("deepdream_core", "")):
            (root / package).mkdir()
            (root / package / "__init__.py").write_text(source, "utf-8")
        (root / "deepdream_core" / "__main__.py").write_text(PROGRAM, "utf-8")
        machine = Path("deepdream_core", "machine")
        shutil.copytree(INSTALL.parent / machine, root / machine, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("ruff", "mypy", "pytest"):
            (root / f"{name}.py").write_text(CHECK, "utf-8")
        (root / "install" / "constraints.txt").write_text("torch==1.0\ntorchvision==2.0\n", "utf-8")
        clone.needs()
        return clone

    def needs(self, *requirements: str) -> None:
        """Rewrite the project's requirements, so that the next run has something to do."""
        (self.root / "pyproject.toml").write_text(
            f"# {time.monotonic_ns()}\n"
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
            '[project]\nname = "deepdream"\nversion = "0.1.0"\ndependencies = [\n'
            + "".join(f'    "{requirement}",\n' for requirement in requirements)
            + "]\n[project.optional-dependencies]\ntest = []\n",
            "utf-8",
        )

    def install(self, *words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return run(sys.executable, "install", *words, cwd=self.root, env=env)

    @contextlib.contextmanager
    def started(self, *words: str, stderr: int = subprocess.PIPE) -> Iterator["subprocess.Popen[str]"]:
        """Start a command that will hang in the build, wait until it does, and leave no process behind."""
        (self.root / "slow").touch()
        (self.root / "builds").unlink(missing_ok=True)
        argv = [sys.executable, "install", *words]
        child = subprocess.Popen(
            argv, cwd=self.root, env=surroundings(), stdout=subprocess.PIPE, stderr=stderr, encoding="utf-8"
        )
        try:
            with child:
                wait_for(lambda: bool(self.builds()))
                try:
                    yield child
                finally:
                    (self.root / "slow").unlink(missing_ok=True)
        finally:
            child.kill()

    def builds(self) -> list[int]:
        """Return the process ids of the builds so far."""
        with contextlib.suppress(FileNotFoundError):
            return [int(line) for line in (self.root / "builds").read_text().splitlines()]
        return []


def wait_for(happened: "Callable[[], bool]") -> None:
    """Wait until something has happened."""
    deadline = time.monotonic() + IN_SECONDS
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def runs(pid: int) -> bool:
    """Return whether a process runs; one that ended and is still listed does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return state.strip() != "" and not state.strip().startswith("Z")


def one_line(result: subprocess.CompletedProcess[str]) -> str:
    """Return the one error line of a result, after checking that it is one and tells no secret."""
    lines = [line for line in result.stderr.splitlines() if line.startswith("install: ")]
    assert len(lines) == 1, result.stderr
    assert " — " in lines[0]
    for unwanted in ("Traceback", "secret", "127.0.0.1", "somebody"):
        assert unwanted not in result.stderr + result.stdout
    return lines[0]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone that the tests of this module share, blanks in its path and all; making its .venv takes seconds."""
    return Clone.make(tmp_path_factory.mktemp("at") / "a clone")


@pytest.fixture
def fresh(tmp_path: Path) -> Clone:
    """A clone without a .venv."""
    return Clone.make(tmp_path / "fresh")


def test_a_run_installs_what_is_missing_and_hands_over_with_arguments_and_exit_code(clone: Clone) -> None:
    clone.needs()
    first = clone.install("dream", "photo.jpg", "--quiet", "-q", "--", "--torch-index")
    assert (first.returncode, first.stdout.splitlines()) == (
        0,
        ["['dream', 'photo.jpg', '--quiet', '-q', '--', '--torch-index', '.venv', 'torch none', 'torchvision none']"],
    ), first.stderr
    assert first.stderr.splitlines()[-1].startswith("Ready after 0:")
    assert "Installing the project\n" in first.stderr
    second = clone.install("dream", "exit7")
    assert (second.returncode, second.stdout, second.stderr) == (7, "", "")


@pytest.mark.alone
def test_the_second_run_costs_next_to_nothing(clone: Clone) -> None:
    clone.needs()  # what a test before has asked for may be nowhere to be had
    assert clone.install("dream").returncode == 0
    # The installer's own part and Python's start; the best of five, as machines have other things to do.
    code = "import environment, pathlib, screen; environment.ensure(pathlib.Path.cwd(), (), None, screen.Screen())"
    took = []
    for _ in range(5):
        before = time.perf_counter()
        done = run(sys.executable, "-c", code, cwd=clone.root, env={"PYTHONPATH": str(clone.root / "install")})
        took.append(time.perf_counter() - before)
        assert (done.returncode, done.stderr) == (0, "")
    assert min(took) < 0.3


def test_variables_that_lead_python_astray_reach_neither_pip_nor_the_program(clone: Clone, tmp_path: Path) -> None:
    clone.needs()
    for name in ("pip", "random", "importlib"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong one')")
    done = clone.install("dream", env={"PYTHONSAFEPATH": "1", "VIRTUAL_ENV": "/nowhere", "PIP_USER": "1"})
    assert done.returncode == 0, done.stderr
    # The installer itself takes Python's own modules too, and the folder of photographs is no place to import from either.
    strangers = tmp_path / "strangers"
    strangers.mkdir()
    for name in ("queue", "shlex", "venv"):  # none that Python itself loads as it starts
        (strangers / f"{name}.py").write_text("raise SystemExit('the wrong one')")
    clone.needs()
    assert clone.install("dream", env={"PYTHONPATH": str(strangers)}).returncode == 0
    done = run(sys.executable, clone.root / "install", "dream", "a.jpg", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(os.name != "posix", reason="a shell script")
def test_the_clone_s_own_command_takes_nothing_from_somebody_else_s_environment(clone: Clone, tmp_path: Path) -> None:
    clone.install("dream")
    script = clone.venv / "bin" / "deepdream"
    script.write_text(
        f"#!{clone.venv}/bin/python\nfrom deepdream_core.__main__ import main\nmain()\n", "utf-8"
    )  # pip's
    assert clone.install("dream").returncode == 0
    (tmp_path / "importlib.py").write_text("raise SystemExit('the wrong one')")
    done = run(script, "dream", "a b.jpg", cwd=tmp_path, env={"PYTHONPATH": str(tmp_path), "PYTHONHOME": "/nowhere"})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("['dream', 'a b.jpg', '.venv'")
    before = script.stat().st_mtime_ns
    clone.install("dream")
    assert script.stat().st_mtime_ns == before, "one that is right already is left"


def test_all_checks_run_though_one_fails_and_pytest_has_its_say(clone: Clone) -> None:
    clone.install("dream")
    (clone.root / "mypy.fails").touch()
    try:
        done = clone.install("test", "-k", "one")
    finally:
        (clone.root / "mypy.fails").unlink()
    assert done.returncode == 1
    ran = [line for line in done.stdout.splitlines() if line.startswith("ran ")]
    others = [line.split(" --cache-dir")[0] for line in ran[3:5]]
    assert others == ["ran mypy --platform win32", "ran mypy --platform darwin"]
    assert ran[:3] + ran[5:] == [
        "ran ruff check",
        "ran ruff format --check",
        "ran mypy",
        "ran pytest -n auto -m not slow -k one",
    ]
    assert "====== 3 passed in 0.12s ======" in done.stdout.splitlines()
    *lines, last = done.stdout.splitlines()
    assert last == "The slow tests were left out; `python3 install test --all` runs them too."
    rows = [" ".join(line.split()[:-2]) for line in lines[-6:]]
    assert rows == [
        "ruff check ok",
        "ruff format ok",
        "mypy failed",
        "mypy win32 failed",
        "mypy darwin failed",
        "pytest ok",
    ]
    done = clone.install("test", "--all", "-x")
    assert (done.returncode, "ran pytest -n auto -x" in done.stdout.splitlines(), "left out" in done.stdout) == (
        0,
        True,
        False,
    )
    assert clone.install("dream").stderr == "", "an environment with the test tools serves for dream"


def test_two_at_once_install_once(clone: Clone) -> None:
    clone.install("dream")
    clone.needs()
    with clone.started("dream", "first") as first:
        argv = [sys.executable, "install", "dream", "second"]
        with subprocess.Popen(
            argv, cwd=clone.root, env=surroundings(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as second:
            assert second.stderr is not None
            assert "waiting" in second.stderr.readline()
            (clone.root / "slow").unlink()
            outputs = [first.communicate(timeout=IN_SECONDS), second.communicate(timeout=IN_SECONDS)]
    assert ["'first'" in outputs[0][0], "'second'" in outputs[1][0]] == [True, True]
    assert outputs[1][1] == "", "the second one finds all done"
    assert len(clone.builds()) == 1


def test_an_interrupted_install_ends_its_children_and_the_next_run_repairs_it(clone: Clone) -> None:
    clone.install("dream")
    clone.needs()
    with clone.started("dream") as child:
        child.send_signal(signal.SIGINT)
        _, told = child.communicate(timeout=IN_SECONDS)
    assert child.returncode == 130
    assert [line for line in told.splitlines() if line.startswith("install: ")] == [told.splitlines()[-1]]
    assert "Traceback" not in told
    wait_for(lambda: not runs(clone.builds()[-1]))
    # As after a power cut in the midst of unpacking: pip would take this package for a whole one.
    site = next(clone.venv.glob("lib/python*/site-packages"))
    (site / "deepdream.pth").unlink()
    again = clone.install("dream")
    assert again.returncode == 0, again.stderr
    assert "Creating" not in again.stderr
    assert "Ready" in again.stderr
    assert clone.install("dream").stderr == ""


def test_a_terminal_shows_a_bar_that_moves_and_goes(clone: Clone) -> None:
    clone.install("dream")
    clone.needs()
    ours, theirs = pty.openpty()
    shown = b""
    try:
        with clone.started("dream", stderr=theirs) as child:
            while b"building the project" not in shown:
                assert select.select([ours], [], [], IN_SECONDS)[0], shown
                shown += os.read(ours, 4096)
            (clone.root / "slow").unlink()
            assert child.wait(IN_SECONDS) == 0
        os.set_blocking(ours, False)
        with contextlib.suppress(OSError):
            while piece := os.read(ours, 4096):
                shown += piece
    finally:
        os.close(ours)
        os.close(theirs)
    text = shown.decode()
    assert len(re.findall(r"\r  [━─]{24} 0:0\d  ", text)) >= 1
    assert re.search(r"\r +\rReady after 0:0\d", text), "the bar is wiped before the next line"


def test_an_index_that_does_not_answer_is_told_in_one_line(clone: Clone) -> None:
    clone.install("dream")
    clone.needs("something-that-must-be-fetched")
    done = clone.install("dream")
    assert done.returncode == 14
    assert "cannot reach" in one_line(done)
    log = (clone.venv / "install.log").read_text("utf-8")
    assert "Connection refused" in log
    assert "secret" not in log


def test_a_package_that_has_no_fitting_version_is_named(clone: Clone, tmp_path: Path) -> None:
    clone.install("dream")
    make_wheel(tmp_path, "old-thing", "1.0")
    clone.needs("old-thing>=2")
    done = clone.install("dream", env={"PIP_FIND_LINKS": tmp_path.as_uri(), "PIP_NO_INDEX": "1"})
    assert done.returncode == 15
    assert "old-thing>=2 has no version for Python" in one_line(done)


def test_a_moved_clone_gets_a_new_environment_with_torch_from_the_index_given(clone: Clone, tmp_path: Path) -> None:
    clone.install("dream")
    moved = Clone(tmp_path / "moved")
    shutil.copytree(clone.root, moved.root, symlinks=True)
    moved.needs("torch", "torchvision")
    for name, version in (("torch", "1.0"), ("torchvision", "2.0")):
        # The usual index has the same versions, and pip would take them for the same thing.
        make_wheel(tmp_path / "usual" / name, name, version)
        make_wheel(tmp_path / "special" / name, name, f"{version}+cpu")
    usual, special = ({"PIP_INDEX_URL": (tmp_path / name).as_uri()} for name in ("usual", "special"))
    done = moved.install("dream", "--torch-index", special["PIP_INDEX_URL"], "a.jpg", env=usual)
    assert (done.returncode, done.stdout.strip()) == (
        0,
        "['dream', 'a.jpg', '.venv', 'torch 1.0+cpu', 'torchvision 2.0+cpu']",
    ), done.stderr
    told = [line.partition(" — ")[0] for line in done.stderr.splitlines()]
    assert told[:3] == [
        "Removing the old .venv, which cannot be used any more",
        "Creating .venv",
        "Installing torch and torchvision from the given index",
    ]
    assert moved.install("dream", env=usual).stderr == "", "the index is remembered"


def test_a_python_without_ensurepip_is_told_what_to_install(fresh: Clone, tmp_path: Path) -> None:
    shim = tmp_path / "shim"
    shim.mkdir()
    (shim / "sitecustomize.py").write_text("import sys; sys.modules['ensurepip'] = None")
    done = fresh.install("dream", env={"PYTHONPATH": str(shim)})
    assert done.returncode == 11
    line = one_line(done)
    if sys.platform.startswith("linux"):
        assert f"python{sys.version_info[0]}.{sys.version_info[1]}-venv" in line


def test_an_environment_of_somebody_elses_is_left_alone(fresh: Clone) -> None:
    (fresh.venv / "bin").mkdir(parents=True)
    python = fresh.venv / "bin" / "python"
    python.write_text("#!/bin/sh\necho 3.9\n")
    python.chmod(0o755)
    done = fresh.install("dream")
    assert done.returncode == 17
    assert "Python 3.9" in one_line(done)
    assert python.exists()


def make_wheel(folder: Path, name: str, version: str, payload_bytes: int = 0) -> None:
    """Put a wheel of an empty package into a folder that is an index page as well."""
    folder.mkdir(parents=True, exist_ok=True)
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    wheel = f"{module}-{version}-py3-none-any.whl"
    files = {
        f"{module}.bin": b"\0" * payload_bytes,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"]).encode()
    with zipfile.ZipFile(folder / wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    (folder / "index.html").write_text(f'<a href="{wheel.replace("+", "%2B")}">{wheel}</a>')


def in_a_small_disk(
    clone: Clone, size: str, then: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a shell command in the clone, moved for that command only to a disk of `size` under the same path."""
    disk = clone.root.parent / "disk"
    disk.mkdir()
    moving = 'mount -t tmpfs -o size=$4 tmpfs "$1"; cp -a "$2"/. "$1"; mount --bind "$1" "$2"; cd "$2"'
    script = f"set -e; {moving}; set +e; {then}"
    rights = ["-m"] if os.geteuid() == 0 else ["-rm"]
    return run("unshare", *rights, "sh", "-c", script, "sh", disk, clone.root, sys.executable, size, cwd=disk, env=env)


def mounting_is_possible() -> bool:
    """Return whether this user may mount a disk of their own."""
    rights = ["-m"] if os.geteuid() == 0 else ["-rm"]
    script = "mount -t tmpfs -o size=1m tmpfs /mnt"
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", *rights, "sh", "-c", script], capture_output=True, check=False).returncode == 0


needs_mount = pytest.mark.skipif(
    not mounting_is_possible(), reason="needs Linux and the right to mount a small disk (unshare), to fill it up"
)


@needs_mount
def test_a_disk_too_small_is_told_before_anything_is_made(fresh: Clone) -> None:
    done = in_a_small_disk(fresh, "4m", '"$3" install dream; code=$?; ls .venv >&2; exit $code')
    assert done.returncode == 13
    assert re.search(r"0 GB free at .*, about \S+ GB needed", one_line(done))
    assert "bin" not in done.stderr.splitlines()


@needs_mount
def test_a_disk_that_fills_up_under_pip_is_told_as_such(clone: Clone, tmp_path: Path) -> None:
    clone.install("dream")
    make_wheel(tmp_path / "wheels", "large-thing", "1.0", payload_bytes=60_000_000)
    clone.needs("large-thing")
    links = {"PIP_FIND_LINKS": (tmp_path / "wheels").as_uri(), "PIP_NO_INDEX": "1"}
    done = in_a_small_disk(clone, "60m", '"$3" install dream', links)
    assert done.returncode == 13, done.stderr
    assert "Installing 1 package" in done.stderr
    assert "too full" in one_line(done)


@needs_mount
def test_a_folder_that_cannot_be_written_is_told(fresh: Clone) -> None:
    done = in_a_small_disk(fresh, "4m", 'mount -o remount,bind,ro "$2"; "$3" -B install dream')
    assert done.returncode == 12
    assert "no permission to write" in one_line(done)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--help",), 0),
        (("-h",), 0),
        (("drema",), 2),
        (("--fast",), 2),
        (("dream", "--torch-index"), 2),
        (("app", "--fast"), 2),
        (("uninstall", "-h"), 0),
        (("--with", "nothing"), 2),
    ],
)
def test_usage(fresh: Clone, words: tuple[str, ...], code: int) -> None:
    done = fresh.install(*words)
    assert done.returncode == code
    assert not fresh.venv.exists()
    if words == ("drema",):
        assert "did you mean `dream`?" in one_line(done)
    elif code == 0:
        assert done.stdout.startswith("usage: python3 install")
        assert done.stderr == ""


def test_a_clone_without_its_package_is_one_line(tmp_path: Path) -> None:
    shutil.copytree(INSTALL, tmp_path / "install", ignore=shutil.ignore_patterns("__pycache__"))
    done = run(sys.executable, "install", "dream", "a.png", cwd=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (17, 1)
    assert "deepdream_core is incomplete" in done.stderr
