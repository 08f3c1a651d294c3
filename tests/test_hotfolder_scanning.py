"""Looking through folders as people, programs and enemies leave them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tracemalloc
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deepdream_core.hotfolder.scanning import Found, look, scan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

root_only = pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root can mount or be somebody else")


def nothing(_path: Path, _is_folder: bool) -> bool:
    """Pass over nothing."""
    return False


def names(root: Path) -> set[str]:
    return {str(found.path.relative_to(root)) for found in scan(root, nothing)}


def made(path: Path, content: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_every_file_below_is_found_with_what_the_system_says_of_it(tmp_path: Path) -> None:
    one, _ = made(tmp_path / "a.jpg", b"12345"), made(tmp_path / "b" / "c" / "d.png")
    os.link(one, tmp_path / "b" / "same.jpg")
    found = {each.path: each for each in scan(tmp_path, nothing)}
    assert set(found) == {one, tmp_path / "b/c/d.png", tmp_path / "b/same.jpg"}
    status = one.stat()
    assert found[one] == Found(
        one, 5, status.st_mtime_ns, status.st_ino, status.st_dev, status.st_uid, 2
    ) == look(one, tmp_path)  # fmt: skip
    assert found[tmp_path / "b/c/d.png"].links == 1


def test_links_pipes_sockets_and_devices_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, away = tmp_path / "root", made(tmp_path / "away" / "secret.jpg")
    made(root / "a.jpg")
    (root / "file link").symlink_to(away)
    (root / "folder link").symlink_to(away.parent)
    (root / "loop").symlink_to(root)
    (root / "dangling").symlink_to(root / "nowhere")
    os.mkfifo(root / "pipe")
    monkeypatch.chdir(root)  # a socket's name is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        if os.geteuid() == 0:
            os.mknod(root / "device", 0o600 | 0o020000, os.makedev(1, 3))
        told, asked = list[Path](), list[Path]()

        def ask(path: Path, _is_folder: bool) -> bool:
            asked.append(path)
            return False

        assert [one.path for one in scan(root, ask, lambda path, _: told.append(path))] == [root / "a.jpg"]
        assert (told, asked) == ([], [root / "a.jpg"])
        for name in os.listdir(root):  # noqa: PTH208
            assert (look(root / name, root) is not None) == (name == "a.jpg"), name
        assert look(root / "folder link" / "secret.jpg", root) is None, "what lies behind a link"
    assert look(root, root) is None
    assert look(root / "a.jpg" / "b", root) is None
    assert look(root / "gone", root) is None
    assert look(root / "\0", root) is None
    assert look(root / ("n" * 300), root) is None


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    made(tmp_path / "real" / "a.jpg")
    (tmp_path / "link").symlink_to("real")
    assert [found.path for found in scan(tmp_path / "link", nothing)] == [tmp_path / "link" / "a.jpg"]


def test_a_folder_swapped_for_a_link_while_scanning_is_not_followed(tmp_path: Path) -> None:
    root, told = tmp_path / "root", list[Path]()
    made(tmp_path / "away" / "secret.jpg")
    made(root / "sub" / "a.jpg")

    def swap(path: Path, is_folder: bool) -> bool:
        if is_folder:
            path.rename(tmp_path / "old")
            path.symlink_to(tmp_path / "away")
        return False

    assert list(scan(root, swap, lambda path, _: told.append(path))) == []
    assert told == [root / "sub"]


def test_what_is_passed_over_is_neither_found_nor_entered(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.part", "out/c.jpg", "in/out/d.jpg", "in/e.jpg", "in/out.jpg"):
        made(tmp_path / name)
    asked: dict[str, bool] = {}

    def passed_over(path: Path, is_folder: bool) -> bool:
        asked[str(path.relative_to(tmp_path))] = is_folder
        return path.name == "out" or path.suffix == ".part"

    found = {str(one.path.relative_to(tmp_path)) for one in scan(tmp_path, passed_over)}
    assert found == {"a.jpg", "in/e.jpg", "in/out.jpg"}
    folders = {"out", "in", "in/out"}
    assert asked == {name: name in folders for name in {*folders, *found, "b.part"}}


def test_names_of_any_bytes(tmp_path: Path) -> None:
    given = {b"\xff\xfe.jpg", b"two\nlines.jpg", b"x" * 255, "ü.jpg".encode(), b" ", b"-rf", "\u202egpj.exe".encode()}
    for name in given:
        made(tmp_path / os.fsdecode(name))
        made(tmp_path / "sub" / os.fsdecode(b"f" + name[1:]) / "a.jpg")
    found = {os.fsencode(one.path.name) for one in scan(tmp_path, nothing) if one.path.parent == tmp_path}
    assert found == given
    assert len(names(tmp_path)) == 2 * len(given)
    assert look(tmp_path / os.fsdecode(b"\xff\xfe.jpg"), tmp_path) is not None


def test_ten_thousand_files_come_one_by_one_and_take_little_memory(tmp_path: Path) -> None:
    for number in range(10_000):
        os.close(os.open(tmp_path / f"{number}", os.O_CREAT | os.O_WRONLY))
    asked = list[Path]()

    def count(path: Path, _is_folder: bool) -> bool:
        asked.append(path)
        return False

    scanning_them = scan(tmp_path, count)
    next(scanning_them)
    assert len(asked) == 1
    assert len(list(islice(scanning_them, 99))) == 99
    del scanning_them

    def most() -> int:
        tracemalloc.start()
        try:
            assert sum(1 for _ in scan(tmp_path, nothing)) == 10_000
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert min(most() for _ in range(3)) < 200_000, "threads of earlier tests may take memory once"


@pytest.fixture
def nested(tmp_path: Path) -> Iterator[Callable[[list[str]], None]]:
    """Make folders within folders, however deep, with a picture in the innermost."""

    def make(names: list[str]) -> None:
        descriptor = os.open(tmp_path, os.O_RDONLY)
        for name in names:
            os.mkdir(name, dir_fd=descriptor)
            inner = os.open(name, os.O_RDONLY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        os.close(os.open("a.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
        os.close(descriptor)

    yield make
    for folder in tmp_path.iterdir():  # pytest's own way recurses, and gives up so deep
        subprocess.run(["rm", "-rf", folder], check=True)


def test_a_thousand_folders_within_each_other(tmp_path: Path, nested: Callable[[list[str]], None]) -> None:
    nested(["d"] * 1_000)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(250)
    try:
        (found,) = scan(tmp_path, nothing)
    finally:
        sys.setrecursionlimit(limit)
    assert found.path == Path(tmp_path, *["d"] * 1_000, "a.jpg")


def test_folders_too_deep_for_a_path_are_reported_and_the_scan_continues(
    tmp_path: Path, nested: Callable[[list[str]], None]
) -> None:
    nested(["d" * 200] * 25)
    made(tmp_path / "b.jpg")
    told = list[Exception]()
    assert [one.path.name for one in scan(tmp_path, nothing, lambda _, error: told.append(error))] == ["b.jpg"]
    assert [getattr(error, "strerror", "") for error in told] == ["File name too long"]


def test_vanishing_files_are_skipped_and_vanishing_folders_reported(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "sub/c.jpg"):
        made(tmp_path / name)
    told = list[tuple[Path, type[Exception]]]()

    def removes(path: Path, is_folder: bool) -> bool:
        if is_folder:
            (path / "c.jpg").unlink()
            path.rmdir()
        elif path.name == "a.jpg":
            path.unlink()
        return False

    found = [one.path for one in scan(tmp_path, removes, lambda path, error: told.append((path, type(error))))]
    assert found == [tmp_path / "b.jpg"]
    assert told == [(tmp_path / "sub", FileNotFoundError)]


def test_files_that_come_and_go_all_the_time_do_no_harm(tmp_path: Path) -> None:
    made(tmp_path / "stays")
    program = (
        "import os\nwhile True:\n for n in range(50): open(str(n), 'w').close()\n for n in range(50): os.unlink(str(n))"
    )
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", program], cwd=tmp_path) as process:
        try:
            for _ in range(100):
                assert "stays" in names(tmp_path)
        finally:
            process.kill()


def test_a_folder_that_cannot_be_listed_raises_at_the_first_step(tmp_path: Path) -> None:
    for root, error in ((tmp_path / "gone", FileNotFoundError), (made(tmp_path / "file"), NotADirectoryError)):
        with pytest.raises(error):
            next(scan(root, nothing))


class Failing:
    """A listing that breaks off after its first entry, as that of a share that is lost."""

    def __init__(self, folder: int) -> None:
        self.real, self.first = LISTING(folder), True

    def __enter__(self) -> Failing:
        return self

    def __exit__(self, *_: object) -> None:
        self.real.close()

    def __iter__(self) -> Failing:
        return self

    def __next__(self) -> os.DirEntry[str]:
        if not self.first:
            raise OSError(5, "Input/output error")
        self.first = False
        return next(self.real)


LISTING = os.scandir


@pytest.mark.parametrize("lost", [".", "sub"])
def test_a_listing_that_breaks_off_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str) -> None:
    made(tmp_path / "sub" / "a.jpg")
    made(tmp_path / "sub" / "b.jpg")

    def listing(folder: int) -> object:
        return Failing(folder) if Path(f"/proc/self/fd/{folder}").resolve() == tmp_path / lost else LISTING(folder)

    monkeypatch.setattr(os, "scandir", listing)
    told = list[tuple[Path, str | None]]()
    scanning_them = scan(tmp_path, nothing, lambda path, error: told.append((path, getattr(error, "strerror", None))))
    if lost == ".":
        with pytest.raises(OSError, match="Input/output"):
            list(scanning_them)
        assert told == []
    else:
        assert len(list(scanning_them)) == 1
        assert told == [(tmp_path / "sub", "Input/output error")]


def test_nothing_stays_open_when_a_scan_is_given_up(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        made(tmp_path / name)
    before = os.listdir("/proc/self/fd")  # noqa: PTH208
    scanning_them = scan(tmp_path, nothing)
    next(scanning_them)
    del scanning_them
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208


def as_nobody(root: Path) -> str:
    """What a user who owns nothing sees: names found, and folders that cannot be read."""
    program = f"import sys\nsys.path[:0] = {sys.path!r}\n" + (
        "import os\nfrom pathlib import Path\nfrom deepdream_core.hotfolder.scanning import look, scan\n"
        f"os.chdir({str(root)!r}); os.setuid(65534)\ntold = []\n"
        "found = scan(Path('.'), lambda *_: False, lambda path, error: told.append(f'{path}: {error.strerror}'))\n"
        "print(sorted(str(one.path) for one in found), told, look(Path('shut/b.jpg'), Path('.')))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return answer.stdout.strip()


@root_only
def test_a_folder_without_permission_is_reported_and_the_rest_is_found(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for name in ("a.jpg", "shut/b.jpg", "open/c.jpg"):
        made(tmp_path / name)
    (tmp_path / "shut").chmod(0)
    assert as_nobody(tmp_path) == "['a.jpg', 'open/c.jpg'] ['shut: Permission denied'] None"
    (tmp_path / "shut").chmod(0o755)
    assert as_nobody(tmp_path).startswith("['a.jpg', 'open/c.jpg', 'shut/b.jpg'] []")


@root_only
def test_a_card_mounted_below_is_looked_through(tmp_path: Path) -> None:
    card = tmp_path / "card"
    card.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "card", card], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        made(card / "DCIM" / "a.jpg")
        (found,) = scan(tmp_path, nothing)
        assert found.path == card / "DCIM" / "a.jpg"
        assert found.device != tmp_path.stat().st_dev
    finally:
        subprocess.run(["umount", card], check=True)
