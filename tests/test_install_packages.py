"""The installer's parts: reading pip's words, the stamp, the command line, the screen, old Pythons."""

# ruff: noqa: E402

import contextlib
import dataclasses
import errno
import http.server
import io
import os
import platform
import shutil
import string
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

INSTALL = Path(__file__).resolve().parent.parent / "install"
# The folder is a program, not a package: its modules are found as they are when it runs.
sys.path.insert(0, str(INSTALL))

import commands
import errors
import packages
import pip_output
import project
import screen
import torch_build
from errors import Exit, InstallError
from stamp import Stamp

# What pip 23.2 and 26.3 truly wrote, names and addresses replaced.
NOT_THERE = [
    "Looking in indexes: http://user:****@index.example/simple",
    "ERROR: Could not find a version that satisfies the requirement hatchling>=1.27 (from versions: none)",
    "ERROR: No matching distribution found for hatchling>=1.27",
]
RETRYING = (
    "WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) "
    "after connection broken by "
)
UNREACHABLE = [
    RETRYING + "'NewConnectionError('<pip._vendor.urllib3.connection.HTTPSConnection object at 0x7fc4db224c50>: "
    "Failed to establish a new connection: [Errno -2] Name or service not known')': /simple/hatchling/",
    RETRYING + "'NameResolutionError(\"HTTPSConnection(host='index.example', port=443): "
    "Failed to resolve 'index.example' ([Errno -2] Name or service not known)\")': /simple/hatchling/",
    RETRYING + "'ProxyError('Cannot connect to proxy.', NewConnectionError('<pip._vendor.urllib3.connection."
    "HTTPSConnection object at 0x7f09ed771410>: Failed to establish a new connection: [Errno 111] "
    "Connection refused'))': /h/",
    "2026-11-23T07:22:46,085 Could not fetch URL http://user:****@index.example/simple/hatchling/: connection error: "
    "HTTPConnectionPool(host='index.example', port=9): Max retries exceeded with url: /simple/hatchling/ - skipping",
    "2026-11-23T07:22:48,421 Could not fetch URL http://user:****@index.example/simple/hatchling/: connection error: "
    "[Errno 111] Connection refused - skipping",
]
NO_FIT = [
    "ERROR: Could not find a version that satisfies the requirement torch==2.15.0 (from versions: 2.13.0, 2.14.0)",
    "ERROR: No matching distribution found for torch==2.15.0",
]
FETCHING = """\
Obtaining file:///somewhere/deepdream
  Installing build dependencies: started
  Preparing editable metadata (pyproject.toml): started
Collecting typer>=0.15 (from deepdream==0.1.0)
  Downloading typer-0.29.2-py3-none-any.whl.metadata (15 kB)
Processing /wheels/rich-15.0.0-py3-none-any.whl (from deepdream==0.1.0)
Collecting nvidia-cudnn-cu13==9.26.0.51 (from torch>=2.11->deepdream==0.1.0)
  Downloading nvidia_cudnn_cu13-9.26.0.51-py3-none-manylinux_2_27_x86_64.whl (519.0 MB)
""".splitlines()


def diagnosis(lines: list[str], code: int = 1, torch_index: bool = False) -> InstallError:
    """Diagnose with a folder of this machine."""
    here = Path(__file__).parent
    return pip_output.diagnose(lines, code, folder=here, needed=9 * 10**9, log=here / "x.log", torch_index=torch_index)


@pytest.mark.parametrize("line", UNREACHABLE)
def test_an_index_out_of_reach_is_not_taken_for_a_missing_version(line: str) -> None:
    error = diagnosis([line, *NOT_THERE])
    assert error.code == Exit.INDEX_UNREACHABLE
    assert "PIP_INDEX_URL" in str(error)
    assert "index.example" not in str(error)
    assert "--torch-index" in str(diagnosis([line, *NOT_THERE], torch_index=True))


@pytest.mark.parametrize(
    ("lines", "code", "words"),
    [
        (NO_FIT, Exit.NO_MATCHING_VERSION, "torch==2.15.0 has no version for Python"),
        ([UNREACHABLE[0], *NO_FIT], Exit.NO_MATCHING_VERSION, "torch==2.15.0"),
        (NOT_THERE, Exit.NO_MATCHING_VERSION, "hatchling>=1.27"),
        (
            ["ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", ""],
            Exit.DISK_FULL,
            "about 9 GB needed",
        ),
        (["OSError: [WinError 112] There is not enough space on the disk"], Exit.DISK_FULL, "free at"),
        (
            ["ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: '/a/b'"],
            Exit.NOT_WRITABLE,
            "/a/b",
        ),
        (
            ["[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", *NOT_THERE],
            Exit.INDEX_UNREACHABLE,
            "certificate verify failed",
        ),
        (
            [
                "ERROR: HTTP error 403 while getting https://u:p@h.example/x",
                "403 Client Error: Forbidden for url: https://h",
            ],
            Exit.INDEX_UNREACHABLE,
            "403",
        ),
        (["WARNING: 401 Error, Credentials not correct for https://h", *NOT_THERE], Exit.INDEX_UNREACHABLE, "401"),
        (
            [
                "pip._vendor.urllib3.exceptions.ReadTimeoutError: HTTPSConnectionPool(host='h', port=443): Read timed out."
            ],
            Exit.INDEX_UNREACHABLE,
            "cannot reach",
        ),
        (
            [UNREACHABLE[0], "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE."],
            Exit.PIP_FAILED,
            "DO NOT MATCH THE HASHES",
        ),
        (["ERROR: first", "ERROR: bad https://u:p@h.example/x y"], Exit.PIP_FAILED, "pip failed: bad (address) y"),
        ([], Exit.PIP_FAILED, "pip failed: exit code 1"),
    ],
)
def test_what_a_failed_pip_means(lines: list[str], code: Exit, words: str) -> None:
    error = diagnosis(lines)
    assert (error.code, words in str(error)) == (code, True), str(error)
    assert str(error).startswith("install: ")
    assert "example" not in str(error)


def test_a_pip_that_was_killed_is_told_as_such() -> None:
    assert "pip failed: exit code -9" in str(diagnosis([], -9))


@pytest.mark.parametrize(
    ("system", "machine", "words"), [("darwin", "x86_64", "Intel Macs"), ("darwin", "arm64", "PIP_INDEX_URL")]
)
def test_a_missing_torch_on_a_mac(monkeypatch: pytest.MonkeyPatch, system: str, machine: str, words: str) -> None:
    python = types.SimpleNamespace(platform=system, version_info=(3, 13, 0), maxsize=2**63 - 1)
    monkeypatch.setattr("pip_output.sys", python)
    monkeypatch.setattr("pip_output.platform", types.SimpleNamespace(system=lambda: "Darwin", machine=lambda: machine))
    assert words in str(diagnosis(NO_FIT))


def test_progress_follows_the_packages_and_the_bytes_and_never_goes_back() -> None:
    progress = pip_output.PipProgress(expected=10)
    seen = []
    for line in FETCHING:
        progress.feed(line)
        seen.append(progress.fraction(0, 0))
    assert progress.text(173_000_000, 0) == "3 packages found, nvidia_cudnn_cu13 9.26.0.51: 173 of 519 MB"
    seen += [progress.fraction(173_000_000, 0), progress.fraction(600_000_000, 0)]
    progress.feed("Installing collected packages: typer, rich, nvidia-cudnn-cu13, deepdream")
    assert progress.text(0, 1) == "unpacking, 1 of 4 packages"
    seen += [progress.fraction(0, unpacked) for unpacked in range(6)]
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)


def test_what_is_left_to_fetch_is_said_in_time() -> None:
    progress = pip_output.PipProgress(expected=10, download=1_000_000_000)
    for line in FETCHING:
        progress.feed(line)
    assert progress.text(173_000_000, 0, elapsed_s=3).endswith("173 of 519 MB")
    assert progress.text(173_000_000, 0, elapsed_s=20).endswith(": 173 of 519 MB, about 2 min left")
    assert progress.text(500_000_000, 0, elapsed_s=40).endswith(", about 40 s left")
    progress.feed("Downloading torch-2.11.0-cp311-none-linux.whl (500.0 MB)")
    assert progress.text(400_000_000, 0, elapsed_s=50).endswith("torch 2.11.0: 400 of 500 MB, about 10 s left")


NAMES = st.text(string.ascii_letters + string.digits + "-._~!$&'()*+,;=:%@", min_size=1)


@given(login=NAMES, path=st.from_regex(r"/[a-z]{0,8}", fullmatch=True), words=st.text(string.ascii_letters + " "))
def test_no_login_survives(login: str, path: str, words: str) -> None:
    url = f"https://{login}@index.example{path}"
    assert errors.without_credentials(url) == f"https://index.example{path}"
    assert errors.scrubbed(f"{words} {url} {words}") == f"{words} https://index.example{path} {words}"
    assert errors.without_addresses(f"{words} {url}") == f"{words} (address)" or "'" in login
    assert "index.example" not in errors.without_addresses(f"{words} {url}") or "'" in login


@given(st.text())
def test_text_without_addresses_stays_as_it_is(text: str) -> None:
    if ":" not in text and "host" not in text.lower() and "resolve" not in text.lower():
        assert errors.without_addresses(errors.scrubbed(text)) == text


WORDS = st.lists(st.text(min_size=1).filter(lambda word: not word.startswith("--torch") and word != "--"))
URLS = st.from_regex(r"https://[a-z]{1,9}/[a-z]{0,9}", fullmatch=True)


@given(before=WORDS, after=WORDS, rest=st.lists(st.text()), url=URLS, glued=st.booleans(), first=st.booleans())
def test_the_torch_index_is_taken_out_wherever_it_stands(
    before: list[str], after: list[str], rest: list[str], url: str, glued: bool, first: bool
) -> None:
    option = [f"--torch-index={url}"] if glued else ["--torch-index", url]
    handed_on = [*before, *after, "--", *rest]
    argv = [*option, "dream", *handed_on] if first else ["dream", *before, *option, *after, "--", *rest]
    assert commands.split(argv) == commands.Request("dream", tuple(handed_on), url)
    assert commands.split(["dream", *handed_on]) == commands.Request("dream", tuple(handed_on), None)


@pytest.mark.parametrize(
    "argv",
    [
        ["--torch-index"],
        ["dream", "--torch-index="],
        ["dream", "--torch-index", "-q"],
        ["--torch", "rocm"],
        ["--torch"],
        ["-x"],
    ],
)
def test_a_command_line_without_sense_is_refused(argv: list[str]) -> None:
    with pytest.raises(InstallError) as raised:
        commands.split(argv)
    assert raised.value.code == Exit.USAGE


def test_a_build_of_torch_is_an_index() -> None:
    assert commands.split(["--torch", "cpu", "dream", "a"]).torch_index == torch_build.CPU_INDEX
    assert commands.split(["dream", "a", "--torch=cuda"]) == commands.Request("dream", ("a",), "default")


@contextlib.contextmanager
def small_index(page: str | None) -> Iterator[str]:
    """An index on the loopback address; None: one that takes a connection and says nothing."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if page is None:
                end.wait(60)
            elif self.path == "/torch/":
                self.send_response(200)
                self.end_headers()
                self.wfile.write(page.encode())
            else:
                self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    end = threading.Event()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            end.set()
            server.shutdown()
            serving.join()


PAGE = '<a href="torch-9.8.7{local}-cp{0}{1}-cp{0}{1}-manylinux_2_28_{machine}.whl">torch</a>'.replace(
    "{0}{1}", f"{sys.version_info[0]}{sys.version_info[1]}"
).replace("{machine}", platform.machine())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the usual torch has no CUDA")
@pytest.mark.parametrize(
    ("page", "taken"),
    [(PAGE.replace("{local}", "%2Bcpu"), True), (PAGE.replace("{local}", ""), False), ("<html>", False), (None, False)],
)
def test_without_an_nvidia_device_torch_for_cpus_is_taken_where_its_index_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str | None, taken: bool
) -> None:
    (tmp_path / "install").mkdir()
    (tmp_path / "install" / "constraints.txt").write_text("numpy==1.0\ntorch==9.8.7\ntorchvision==0.9\n")
    ours = project.Project(tmp_path, ("torch>=2", "torchvision"), {}, 3)
    stream = io.StringIO()
    monkeypatch.setenv("no_proxy", "*")
    for name in ("PIP_INDEX_URL", "PIP_NO_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch_build, "WITHIN_S", 0.2 if page is None else 30.0)
    with small_index(page) as index:
        found = torch_build.automatic(ours, screen.Screen(stream), index, tmp_path)
        assert found == (index if taken else "")
        assert ("CPU build of torch" in stream.getvalue(), "the default build" in stream.getvalue()) == (
            taken,
            not taken,
        )
        monkeypatch.setenv("PIP_INDEX_URL", index)
        assert torch_build.automatic(ours, screen.Screen(stream), index, tmp_path) == "", "pip has an index of its own"
        none = project.Project(tmp_path, ("numpy",), {}, 3)
        assert torch_build.automatic(none, screen.Screen(stream), index, tmp_path) == ""


@pytest.mark.parametrize(
    "driver", ["proc/driver/nvidia/version", "usr/lib/wsl/lib/libcuda.so.1", "sys/bus/pci/devices/0/vendor"]
)
def test_an_nvidia_device_or_its_driver_is_found_and_noticed(tmp_path: Path, driver: str) -> None:
    stream = io.StringIO()
    other = tmp_path / "sys/bus/pci/devices/1/vendor"
    other.parent.mkdir(parents=True)
    other.write_text("0x8086\n")
    assert not torch_build.nvidia_found(tmp_path)
    torch_build.notice(torch_build.CPU_INDEX, screen.Screen(stream), tmp_path)
    assert stream.getvalue() == ""
    (tmp_path / driver).parent.mkdir(parents=True)
    (tmp_path / driver).write_text("0x10de\n")
    assert torch_build.nvidia_found(tmp_path)
    ours = project.Project(tmp_path, ("torch>=2", "torchvision"), {}, 3)
    assert torch_build.automatic(ours, screen.Screen(stream), "http://127.0.0.1:9", tmp_path) == ""
    for index in ("", torch_build.CPU_INDEX):
        torch_build.notice(index, screen.Screen(stream), tmp_path)
    assert stream.getvalue().count("--torch cuda") == 1


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with the files that name the packages."""
    (tmp_path / "install").mkdir()
    (tmp_path / "install" / "constraints.txt").write_text("torch==1\npillow==2\n")
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["torch>=1", "torchvision >= 2", "pillow"]\n'
        '[project.optional-dependencies]\ntest = ["x"]\n'
    )
    return tmp_path


def test_a_stamp_serves_what_it_was_made_for_and_nothing_else(root: Path) -> None:
    wanted = Stamp.wanted(root, ("test",), "https://u:p@h/cpu")
    assert not wanted.serves(wanted), "not before it is complete"
    wanted.finished().write(root)
    assert "u:p" not in (root / "install.json").read_text()
    have = Stamp.read(root)
    assert have == wanted.finished()
    assert have is not None
    assert have.serves(wanted)
    assert have.serves(dataclasses.replace(wanted, extras=()))
    for other in (
        dataclasses.replace(wanted, root="/elsewhere"),
        dataclasses.replace(wanted, python="3.99"),
        dataclasses.replace(wanted, torch_index=""),
    ):
        assert (have.serves(other), have.can_become(other)) == (False, False)
    (root / "pyproject.toml").write_text("# changed")
    changed = Stamp.wanted(root, ("test",), "https://h/cpu")
    assert (have.serves(changed), have.can_become(changed)) == (False, True)
    more = dataclasses.replace(wanted, extras=("docs", "test"))
    assert (have.serves(more), have.can_become(more)) == (False, True)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"extras": 3}', '{"root": 1, "extras": []}'])
def test_a_damaged_stamp_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "install.json").write_text(text)
    assert Stamp.read(tmp_path) is None


def test_what_is_installed_is_told_in_words(root: Path) -> None:
    output = project.Project.read(root)
    assert output.torch() == ["torch>=1", "torchvision >= 2"]
    assert output.summary(("test",)) == "torch, torchvision, 2 more packages and what they need"
    (root / "pyproject.toml").write_text("[project")
    with pytest.raises(InstallError, match="damaged"):
        project.Project.read(root)


def test_this_project_itself_can_be_read() -> None:
    output = project.Project.read(INSTALL.parent)
    assert len(output.torch()) == 2
    assert output.pins > 20


def test_half_a_package_is_forgotten_so_that_pip_installs_it_again(tmp_path: Path) -> None:
    site = packages.site_packages(tmp_path)
    files = {"whole": "abc", "cut": "abc", "gone": "abc"}
    for name, text in files.items():
        info = site / f"{name}-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Name: x\n")
        (site / f"{name}, it.py").write_text(text)
        (info / "RECORD").write_text(f'"{name}, it.py",sha256=x,3\n{info.name}/RECORD,,\n')
    (site / "cut, it.py").write_text("a")
    (site / "gone, it.py").unlink()
    (site / "bare-1.dist-info").mkdir()
    assert sorted(packages.forget_damaged(tmp_path)) == ["bare-1", "cut-1", "gone-1"]
    assert [path.name for path in site.glob("*.dist-info")] == ["whole-1.dist-info"]


def test_errors_of_the_system_are_told_by_their_cause(tmp_path: Path) -> None:
    for number, code in (
        (errno.ENOSPC, Exit.DISK_FULL),
        (errno.EROFS, Exit.NOT_WRITABLE),
        (errno.EACCES, Exit.NOT_WRITABLE),
        (errno.EIO, Exit.ENVIRONMENT),
    ):
        error = errors.from_os_error(OSError(number, os.strerror(number), str(tmp_path)), tmp_path, 10**9)
        assert error.code == code
        assert str(tmp_path) in str(error)


def test_little_space_is_refused_or_mentioned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project, "free_bytes", lambda _: 5 * 10**9)
    monkeypatch.setattr(errors, "free_bytes", lambda _: 5 * 10**9)
    stream = io.StringIO()
    shown = screen.Screen(stream)
    project.check_space(tmp_path, project.Space(least=2 * 10**9, likely=9 * 10**9, download=0), shown)
    assert stream.getvalue() == "Only 5 GB of disk free; an install usually needs about 9 GB. Trying anyway\n"
    with pytest.raises(InstallError, match=r"5 GB free at .*, about 9 GB needed"):
        project.check_space(tmp_path, project.Space(least=6 * 10**9, likely=9 * 10**9, download=0), shown)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_log_gets_a_line_every_twenty_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, stream = Clock(), io.StringIO()
    with screen.Screen(stream, clock).stage("Working") as stage:
        for _ in range(450):
            clock.now += 0.1
            stage.tick(0.5, "on it")
    assert stream.getvalue().splitlines() == [
        "Working",
        "  still running: 50 %  0:20  on it",
        "  still running: 50 %  0:40  on it",
    ]


def test_a_terminal_gets_a_bar_after_a_second_and_it_fits_the_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    clock, stream = Clock(), Terminal()
    with screen.Screen(stream, clock).stage("Working") as stage:
        clock.now += 0.9
        stage.tick(0.5, "too early")
        assert stream.getvalue() == "Working\n"
        clock.now += 0.2
        stage.tick(0.5, "half " * 40)
        clock.now += 0.2
        stage.tick(None, "no end in sight")
    first, second = stream.getvalue().split("\r")[1:3]
    assert len(first) == 79
    assert first.startswith("  ############------------ 0:01  half")
    assert len(second) == 79, "what was longer before is painted over"
    assert stream.getvalue().endswith("\r")


def test_a_stream_with_a_small_alphabet_gets_question_marks_not_an_error() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    screen.Screen(stream).line("what happened — what to do")
    stream.seek(0)
    assert stream.read() == "what happened ? what to do\n"


def main_module() -> dict[str, object]:
    """Return what __main__.py defines, without running it."""
    names: dict[str, object] = {"__name__": "install_main"}
    source = (INSTALL / "__main__.py").read_text("utf-8")
    exec(compile(source, "__main__.py", "exec"), names)
    return names


def test_an_old_python_is_told_what_to_use() -> None:
    complaint = main_module()["complaint"]
    assert callable(complaint)
    assert complaint((3, 11, 0), None, "linux") is None
    assert complaint((3, 8, 18), "python3.12", "linux") == (
        "install: Python 3.8.18 is too old, 3.11 or newer is needed — this computer has a newer Python: "
        "use `python3.12 install ...`"
    )
    for system, words in (("linux", "apt install"), ("darwin", "brew"), ("win32", "winget")):
        line = complaint((2, 7, 18), None, system)
        assert words in line
        assert "2.7.18" in line


def test_a_newer_python_is_named_only_if_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer_python = main_module()["newer_python"]
    assert callable(newer_python)
    stub = tmp_path / "python3.13"
    stub.write_text("#!/bin/sh\nexit 127\n")
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert newer_python() is None
    (tmp_path / "python3.12").symlink_to(sys.executable)
    assert newer_python() == "python3.12"


def old_pythons() -> list[str]:
    """Return the Pythons of this machine that are older than what is needed, on PATH or beside this one."""
    base = Path(sys.base_prefix)
    beside = base.parent.glob("*/bin/python") if base.parent.name == "versions" else []
    names = ["python2.7", "python2", *(f"python3.{minor}" for minor in range(4, 11))]
    found = []
    for path in [*filter(None, map(shutil.which, names)), *map(str, beside)]:
        with contextlib.suppress(OSError):
            ask = "import sys; sys.exit(0 if sys.version_info < (3, 11) else 1)"
            if subprocess.run([path, "-c", ask], capture_output=True, check=False).returncode == 0:
                found.append(path)
    return found


def test_every_old_python_of_this_machine_reads_the_first_file_and_gives_up_politely(tmp_path: Path) -> None:
    (tmp_path / "python3.12").symlink_to(sys.executable)
    env = os.environ | {"PATH": str(tmp_path)}
    for python in old_pythons():
        done = subprocess.run([python, "-B", str(INSTALL), "dream"], env=env, capture_output=True, check=False)
        output = done.stderr.decode("utf-8")
        assert done.returncode == 10, (python, output)
        assert "is too old, 3.11 or newer is needed" in output
        assert "`python3.12 install ...`" in output
        assert len(output.splitlines()) == 1


def test_no_module_hides_one_of_pythons_own() -> None:
    names = {path.stem for path in INSTALL.glob("*.py")} - {"__main__"}
    assert not names & set(sys.stdlib_module_names)
