"""Who may use what is made in a drop folder, whatever the umask says: the group that may use the folder, and no other."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

import pytest

from deepdream_core.hotfolder import mount_check, retry, shared_state
from deepdream_core.hotfolder.access import share
from deepdream_core.hotfolder.journal import Journal
from deepdream_core.hotfolder.layout import Layout
from deepdream_core.hotfolder.lease import LEASE, Lease
from deepdream_core.hotfolder.moves import make_folder
from deepdream_core.machine.drop_folder import MARK
from deepdream_core.machine_settings import FolderSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no umask")
root_only = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root is in any group")


@pytest.fixture(params=[0o022, 0o027, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def made(path: Path, mode: int) -> Path:
    path.mkdir()
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("like", "group"), [(0o2770, 0o2070), (0o2750, 0o2050), (0o770, 0o070), (0o755, 0o050), (0o700, 0)]
)
def test_a_folder_gets_the_group_access_of_its_counterpart_and_others_what_the_umask_lets_them(
    tmp_path: Path, umask: int, like: int, group: int
) -> None:
    drop = made(tmp_path / "drop", like)
    made(drop / "trip", like)
    make_folder(drop / "out" / "trip", drop / "out")
    for path in (drop / "out", drop / "out" / "trip"):
        assert mode(path) == 0o700 | group | (like & 0o007 & ~umask)


@root_only
def test_the_folder_is_the_same_groups_and_no_other_group_gets_its_access(tmp_path: Path, umask: int) -> None:
    theirs = 54321
    drop = made(tmp_path / "drop", 0o770)
    os.chown(drop, -1, theirs)
    own = make_folder(drop / "done", drop / "done")
    assert (own.stat().st_gid, mode(own)) == (theirs, 0o770)
    folder = made(tmp_path / "folder", 0o2775)  # of a group, in which somebody has dropped a folder of another
    os.chown(folder, -1, theirs)
    folder.chmod(0o2775)
    trip = made(folder / "trip", 0o750)
    os.chown(trip, -1, theirs + 1)
    inner = make_folder(folder / "out" / "trip", folder / "out")
    assert (inner.stat().st_gid, mode(inner) & 0o070) == (theirs, 0), "what is not for this group stays so"


def test_where_an_access_list_rules_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    like, path = made(tmp_path / "like", 0o770), made(tmp_path / "path", 0o700)
    monkeypatch.setattr(os, "getxattr", lambda *_: b"\2\0\0\0", raising=False)
    share(path, like)
    assert mode(path) == 0o700


def test_marks_and_folders_put_back_are_for_the_group_too(
    tmp_path: Path, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop = made(tmp_path / "drop", 0o2770)
    journal = Journal(tmp_path / "journal.sqlite3")
    assert mount_check.missing(journal, drop) is None
    assert mode(drop / MARK) & 0o070 == 0o060
    assert Lease(drop, "me").refused(0.0) == ""
    assert mode(drop / LEASE) & 0o070 == 0o060
    layout = Layout.of(FolderSettings(path=str(drop)), ())
    failed = make_folder(layout.failed, layout.failed)
    made(failed / "trip", 0o2770)
    (failed / "trip" / "cat.png").touch()
    monkeypatch.setattr(shared_state, "nudge", lambda: None)
    retry.retried([failed / "trip" / "cat.png"], [layout], journal)
    assert mode(drop / "trip") == 0o2770
    journal.close()


def test_a_drop_folder_made_in_a_groups_folder_is_the_groups_and_one_in_a_home_is_not(
    tmp_path: Path, umask: int
) -> None:
    journal = Journal(tmp_path / "journal.sqlite3")
    for above, wanted in ((made(tmp_path / "group", 0o2770), 0o070), (made(tmp_path / "home", 0o755), 0o070 & ~umask)):
        assert mount_check.missing(journal, above / "drop") is None
        assert mount_check.missing(journal, above / "new" / "drop") is None
        for folder in (above / "drop", above / "new", above / "new" / "drop"):
            assert mode(folder) & 0o070 == wanted
    journal.close()
