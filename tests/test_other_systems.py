"""What Windows and macOS answer otherwise, on this system: a disk with Windows' rules for names, no way to fork.

The disk is a real NTFS in a file, mounted by ntfs-3g such that `A.png` and `a.png` are one name and what Windows forbids
in names is refused. It says nothing about the rest of those systems.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import gimp_root
import pytest
from conftest import picture_file
from helper_process import Helper, until
from watching import photograph, watching

from deepdream_core.atomic import write_whole
from deepdream_core.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

QUICK = ("--octaves", "1", "--iterations", "1", "--finest", "64", "--via-helper", "no")
pytestmark = pytest.mark.slow("other systems")


@pytest.fixture
def ntfs(tmp_path: Path) -> Iterator[Path]:
    """A disk with Windows' rules for names."""
    if sys.platform != "linux" or os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        pytest.skip("mounting an NTFS needs Linux, root and FUSE")
    if not shutil.which("lowntfs-3g"):
        try:
            gimp_root.do("apt-get", "-q", "-y", "install", "--no-install-recommends", "ntfs-3g")
        except (gimp_root.NoRootError, OSError) as error:
            pytest.skip(f"ntfs-3g cannot be installed: {error}")
    disk, folder = tmp_path / "disk", tmp_path / "ntfs"
    with disk.open("wb") as file:
        file.truncate(64 << 20)
    folder.mkdir()
    subprocess.run(["mkntfs", "-Q", "-F", "-q", str(disk)], capture_output=True, check=True)
    subprocess.run(["lowntfs-3g", "-o", "ignore_case,windows_names", str(disk), str(folder)], check=True)
    try:
        (folder / "Case").touch()
        assert (folder / "cASE").exists(), "upper and lower case are one"
        with pytest.raises(OSError, match="Invalid argument"):
            (folder / "a:b").touch()
        (folder / "case").unlink()
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_two_names_that_are_one_there_do_not_overwrite_each_other(
    ntfs: Path, tmp_path: Path, deepdream: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    picture_file(tmp_path / "one" / "a.png", "astronaut", (40, 40))
    picture_file(tmp_path / "two" / "A.png", "coffee", (48, 40))
    for more in ((), ("--overwrite",)):
        answer = deepdream("dream", "one/a.png", "two/A.png", "-o", ntfs / "out", *QUICK, *more)
        assert answer.returncode == 4, answer.stderr
        assert "A.dream.png: " in answer.stderr
        assert [path.name for path in (ntfs / "out").iterdir()] == ["a.dream.png"]
        shutil.rmtree(ntfs / "out")


def test_an_input_is_not_taken_for_its_own_result_by_another_spelling(
    ntfs: Path, deepdream: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    source = picture_file(ntfs / "Käse.png", size=(40, 40))
    before = source.read_bytes()
    answer = deepdream("dream", source, "-o", ntfs / "KÄSE.PNG", "--overwrite", *QUICK)
    assert answer.returncode == 4
    assert "is the input itself" in answer.stderr
    assert source.read_bytes() == before


@pytest.mark.parametrize("name", ["con:.png", "what?.png"])
def test_a_name_that_windows_forbids_is_one_line(
    ntfs: Path, tmp_path: Path, deepdream: Callable[..., subprocess.CompletedProcess[str]], name: str
) -> None:
    picture_file(tmp_path / "a.png", size=(40, 40))
    answer = deepdream("dream", "a.png", "-o", ntfs / name, *QUICK)
    assert answer.returncode == 4
    (line,) = (line for line in answer.stderr.splitlines() if line.startswith("error: "))
    assert name in line
    assert "—" in line
    assert not any(ntfs.iterdir())


def test_the_hot_folder_works_there(ntfs: Path, tmp_path: Path, helper: Helper) -> None:
    """Nothing is lost or doubled where the disk makes one name of two, and where files have neither owner nor mode."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "drop").symlink_to(ntfs)
    with watching(own, helper) as drop:
        drop.says("watching ")
        photograph(tmp_path / "IMG.JPG", 1).rename(tmp_path / "ready")
        shutil.copy(tmp_path / "ready", ntfs / "IMG.JPG")
        until(lambda: (ntfs / "out" / "img.jpg").exists() and not (ntfs / "img.jpg").exists(), 60)
        photograph(tmp_path / "img.jpg", 2)
        shutil.copy(tmp_path / "img.jpg", ntfs / "img.jpg")
        until(lambda: len(list((ntfs / "out").iterdir())) == 2 and not (ntfs / "img.jpg").exists(), 60)
        assert len(list((ntfs / "done").iterdir())) == 2


def test_a_path_that_windows_finds_too_long_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows says that a path of over 260 characters is not there, though its folder is."""
    real = os.open

    def refused(path: Any, *options: Any, **more: Any) -> int:
        if len(os.fspath(path)) > 260:
            raise FileNotFoundError(errno.ENOENT, "The system cannot find the path specified", os.fspath(path))
        return real(path, *options, **more)

    target = tmp_path / ("n" * 200) / ("m" * 200)
    target.parent.mkdir()
    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(OutputError) as caught:
        write_whole(target, lambda file: file.write(b"x"), overwrite=False)
    assert "\n" not in str(caught.value)
    assert not target.exists()


def test_the_program_loads_and_writes_without_what_posix_alone_has(home: dict[str, str], tmp_path: Path) -> None:
    names = ("fork", "forkpty", "mkfifo", "geteuid", "getuid", "killpg", "fchmod", "statvfs", "O_TMPFILE")
    program = (
        "import os, sys\n"
        f"for name in {names!r}:\n    hasattr(os, name) and delattr(os, name)\n"
        "import deepdream_core.cli.main, deepdream_core.helper.serve, deepdream_core.hotfolder.serve\n"
        "import deepdream_core.doctor.all_checks, deepdream_core.work.batch, deepdream_core.link.client\n"
        "from deepdream_core.atomic import write_whole\nfrom pathlib import Path\n"
        "write_whole(Path(sys.argv[1]), lambda file: file.write(b'x'), overwrite=False)\n"
        "write_whole(Path(sys.argv[1]), lambda file: file.write(b'y'), overwrite=True)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-I", "-c", program, str(tmp_path / "written")],
        env=home, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert (tmp_path / "written").read_bytes() == b"y"
