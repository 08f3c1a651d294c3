"""Whether a program has a file open for writing, asked while real programs do."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from deepdream_core.hotfolder.writers import has_writer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="leases are Linux's; elsewhere the answer is None")

HOLD = {
    "writing": "file = open(path, 'r+b')",
    "writing again": "file = open(path, 'wb')",
    "appending": "file = open(path, 'ab')",
    "a mapping whose file was closed": """
        import mmap, os
        file = os.open(path, os.O_RDWR)
        memory = mmap.mmap(file, 4096)
        def descriptors():
            return [int(n) for n in os.listdir('/proc/self/fd') if os.path.realpath(f'/proc/self/fd/{n}') == path]
        for descriptor in descriptors():
            os.close(descriptor)
        assert not descriptors()
        """,
    "reading": "file = open(path, 'rb')",
    "a mapping for reading": """
        import mmap, os
        memory = mmap.mmap(os.open(path, os.O_RDONLY), 4096, prot=mmap.PROT_READ)
        """,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "a.jpg"
    found.write_bytes(bytes(4096))
    return found


@contextmanager
def held(path: Path, how: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the file open until the end."""
    program = f"import sys\npath = sys.argv[1]\n{dedent(HOLD[how])}\nprint('ready', flush=True)\nsys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", program, str(path.resolve())],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("how", ["writing", "writing again", "appending", "a mapping whose file was closed"])
def test_a_program_that_can_still_write_is_noticed_until_it_ends(path: Path, how: str) -> None:
    with held(path, how):
        assert has_writer(path) is True
    assert has_writer(path) is False


@pytest.mark.parametrize("how", ["reading", "a mapping for reading"])
def test_a_program_that_only_reads_is_not_a_writer(path: Path, how: str) -> None:
    with held(path, how):
        assert has_writer(path) is False


def test_our_own_open_file_also_counts(path: Path) -> None:
    with path.open("ab"):
        assert has_writer(path) is True


def test_one_that_holds_a_write_lease_counts_as_a_writer(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        assert has_writer(path) is True
    finally:
        os.close(descriptor)


def test_neither_lease_nor_open_file_stays_behind(path: Path) -> None:
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(3):
        assert has_writer(path) is False
        with path.open("ab"):  # waits for a lease-break-time of 45 s if a lease were left
            assert has_writer(path) is True
    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_only_regular_files_are_opened_and_judged(tmp_path: Path, path: Path) -> None:
    (tmp_path / "link").symlink_to(path)
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "gone", ".", "a.jpg/b", "\0", "n" * 300):
        assert has_writer(tmp_path / name) is None, name
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").open("wb").close(), daemon=True)
    writer.start()
    assert has_writer(tmp_path / "pipe") is None
    writer.join(0.1)
    assert writer.is_alive(), "the pipe was opened, which lets its writer go on"
    (tmp_path / "pipe").open("rb").close()
    writer.join(60)


def test_a_link_that_takes_the_files_place_at_this_moment_is_not_followed(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").write_bytes(b"")
    opened = os.open

    def swapped(place: Path, flags: int) -> int:
        path.unlink()
        path.symlink_to("other")
        return opened(place, flags)

    monkeypatch.setattr(os, "open", swapped)
    assert has_writer(path) is None
    assert path.is_symlink()


def test_names_of_any_bytes(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff\n\xfe" + b"x" * 252)
    path.write_bytes(b"")
    assert has_writer(path) is False
    with path.open("wb"):
        assert has_writer(path) is True


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_leases_on_others_files_are_not_given_so_nothing_is_known(tmp_path: Path, path: Path) -> None:
    path.chmod(0o644)
    program = f"import sys\nsys.path[:0] = {sys.path!r}\n" + (
        "import os\nfrom pathlib import Path\nfrom deepdream_core.hotfolder.writers import has_writer\n"
        "os.fchdir(3); os.setuid(65534)\nprint(has_writer(Path('a.jpg')))"
    )
    folder = os.open(tmp_path, os.O_RDONLY)
    tmp_path.chmod(0o755)
    try:
        answer = subprocess.run(
            [sys.executable, "-c", program.replace("fchdir(3)", f"fchdir({folder})")],
            pass_fds=[folder], capture_output=True, text=True, check=True,
        )  # fmt: skip
    finally:
        os.close(folder)
    assert answer.stdout == "None\n", answer.stderr


WRITERS_AT_ONCE = """
import os, signal, sys
from pathlib import Path
from deepdream_core.hotfolder.writers import has_writer
path, before = Path(sys.argv[1]), signal.getsignal(signal.SIGIO)
parent, pid = os.getpid(), os.fork()
if not pid:
    while os.getppid() == parent:
        os.close(os.open(path, os.O_WRONLY))
    os._exit(0)
try:
    answers = [has_writer(path) for _ in range(30_000)]
finally:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
assert set(answers) == {True, False}, set(answers)
assert signal.getsignal(signal.SIGIO) == before == signal.SIG_DFL
print("alive")
"""


def test_a_writer_that_comes_while_the_lease_is_held_does_not_kill_us(path: Path) -> None:
    program = f"import sys\nsys.path[:0] = {sys.path!r}\n{WRITERS_AT_ONCE}"
    answer = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout) == (0, "alive\n"), answer.stderr


def test_without_leases_the_answer_is_unknown(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    def none_here(*_: object) -> int:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(fcntl, "fcntl", none_here)
    assert has_writer(path) is None
