"""Writing whole or not at all: killed, out of room, overtaken by another program, on file systems with less."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from deepdream_core.atomic import check_writable, write_whole
from deepdream_core.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO


@pytest.fixture(params=["nameless", "named"])
def _kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of writing: Linux's files without a name, and the one for all other systems."""
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    elif not hasattr(os, "O_TMPFILE"):
        pytest.skip("this system has no files without a name")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.usefixtures("_kind")
def test_a_file_is_written_with_the_rights_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "ordinary").touch()
    for overwrite in (False, True):
        write_whole(tmp_path / "a", lambda file: file.write(b"whole"), overwrite=overwrite)
        assert (tmp_path / "a").read_bytes() == b"whole"
        assert (tmp_path / "a").stat().st_mode == (tmp_path / "ordinary").stat().st_mode
    assert names(tmp_path) == ["a", "ordinary"]


@pytest.mark.usefixtures("_kind")
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_failure_half_way_leaves_nothing_new(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "old").write_text("old")

    def full(file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / ("old" if overwrite else "new")
    with pytest.raises(OutputError, match="No space left on device — free some space"):
        write_whole(path, full, overwrite=overwrite)
    assert names(tmp_path) == ["old"]
    assert (tmp_path / "old").read_text() == "old"


@pytest.mark.usefixtures("_kind")
def test_a_name_that_another_program_just_took_is_not_overwritten(tmp_path: Path) -> None:
    def overtaken(file: BinaryIO) -> None:
        file.write(b"mine")
        (tmp_path / "a").write_text("theirs")

    with pytest.raises(OutputError, match="exists already"):
        write_whole(tmp_path / "a", overtaken, overwrite=False)
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "theirs"


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="only Linux has files without a name")
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_killed_process_leaves_nothing_behind(tmp_path: Path, overwrite: bool) -> None:
    if overwrite:
        (tmp_path / "a").write_text("old")
    program = f"""
import os, pathlib, signal
from deepdream_core.atomic import write_whole
def write(file):
    file.write(b"x" * 100_000)
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
write_whole(pathlib.Path({str(tmp_path / "a")!r}), write, overwrite={overwrite})
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    assert names(tmp_path) == (["a"] if overwrite else [])
    if overwrite:
        assert (tmp_path / "a").read_text() == "old"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a small file system of Linux")
def test_a_really_full_disk_is_reported_and_leaves_no_file(tmp_path: Path) -> None:
    mounted = tmp_path / "small"
    mounted.mkdir()
    answer = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mounted)], check=False, capture_output=True
    )
    if answer.returncode:
        pytest.skip("this user may not mount a small file system")
    try:
        check_writable(mounted / "a", overwrite=False)
        with pytest.raises(OutputError, match="No space left on device — free some space"):
            write_whole(mounted / "a", lambda file: file.write(bytes(1 << 20)), overwrite=False)
        assert names(mounted) == []
        write_whole(mounted / "a", lambda file: file.write(b"fits"), overwrite=False)
        assert names(mounted) == ["a"]
    finally:
        subprocess.run(["umount", str(mounted)], check=True)


@pytest.mark.usefixtures("_kind")
def test_a_replaced_file_keeps_its_permissions_and_a_link_its_end(tmp_path: Path) -> None:
    (tmp_path / "private").write_text("old")
    (tmp_path / "private").chmod(0o600)
    (tmp_path / "link").symlink_to("private")
    write_whole(tmp_path / "link", lambda file: file.write(b"new"), overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "private").read_text() == "new"
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o600
