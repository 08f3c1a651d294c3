"""The journal: what is written is there after a kill, and a damaged one is no reason to stop."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deepdream_core.errors import OutputError
from deepdream_core.hotfolder.journal import Journal, Staged
from deepdream_core.hotfolder.lease import LEASE, RENEWED_EVERY_S, SILENT_S, Lease
from deepdream_core.hotfolder.mount_check import missing
from deepdream_core.hotfolder.scanning import Found
from deepdream_core.machine.drop_folder import MARK

if TYPE_CHECKING:
    from collections.abc import Iterator

DROP = Path("/drop")


def found(name: str, size: int = 1) -> Found:
    return Found(DROP / name, size, 2, 3, 1, 0, 1)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "state" / "journal.sqlite3")
    yield made
    made.close()


def test_a_picture_is_remembered_with_all_that_is_noted(journal: Journal) -> None:
    name = os.fsdecode(b"caf\xe9\n.png")
    entry = journal.take(DROP, found(name), "ab")
    assert (entry.state, entry.path, entry.deaths, entry.staged) == ("taken", DROP / name, 1, ())
    files = (Staged(os.fsdecode(b"x\xff.yaml"), 1, "cd"), Staged(name, 5, "ef"))
    entry = journal.note(entry, "written", staged=files, result=DROP / "out" / name, key="k", seconds=2.5)
    again = Journal(journal.path)
    assert again.unfinished(DROP) == [entry]
    assert (entry.staged, entry.result, entry.key, entry.seconds) == (files, DROP / "out" / name, "k", 2.5)
    again.note(entry, "done", original=DROP / "done" / name)
    again.close()
    assert journal.unfinished(DROP) == []
    assert [one.id for one in journal.dreamed(DROP, "ab", "k")] == [entry.id]
    assert journal.dreamed(DROP, "ab", "other") == []
    assert journal.counts(DROP) == {"done": 1}


def test_one_that_waited_is_gone_on_with_and_a_new_drop_is_a_new_entry(journal: Journal) -> None:
    first = journal.take(DROP, found("a"), "ab")
    journal.note(first, "waiting", why="half", tries=2)
    again = journal.take(DROP, found("a"), "ab")
    assert (again.id, again.tries, again.why, again.deaths) == (first.id, 2, "", 2)
    journal.note(again, "done")
    again = journal.take(DROP, found("a"), "ab")
    assert again.id != first.id
    assert (again.tries, again.deaths) == (0, 1)
    latest = journal.of_name(DROP, DROP / "a")
    assert latest is not None
    assert latest.id == again.id


def test_a_file_is_known_by_its_version(journal: Journal) -> None:
    entry = journal.note(journal.take(DROP, found("a"), "ab"), "done")
    assert journal.of_version(DROP, found("a")) == entry
    assert journal.of_version(DROP, found("a", size=2)) is None
    assert journal.of_version(Path("/other"), Found(Path("/other/a"), 1, 2, 3, 1, 0, 1)) is None


def test_pauses_and_marks_are_kept(journal: Journal) -> None:
    assert journal.paused(DROP) is None
    journal.pause(DROP, "the disk is full", 3, 17.5)
    assert journal.paused(DROP) == ("the disk is full", 3, 17.5)
    journal.resume(DROP)
    assert journal.paused(DROP) is None
    assert journal.mark(DROP) is None
    journal.set_mark(DROP, "abc")
    assert journal.mark(DROP) == "abc"


KILLED = """
import os, sys
from pathlib import Path
from deepdream_core.hotfolder.journal import Journal
from deepdream_core.hotfolder.scanning import Found
journal = Journal(Path(sys.argv[1]))
entry = journal.take(Path("/drop"), Found(Path("/drop/a"), 1, 2, 3, 1, 0, 1), "ab")
journal.note(entry, "written")
os.kill(os.getpid(), 9)
"""


def test_recorded_steps_survive_a_kill(journal: Journal) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, str(journal.path)], check=False)
    assert ended.returncode == -9
    (entry,) = journal.unfinished(DROP)
    assert entry.state == "written"


def test_many_threads_may_note_at_once(journal: Journal) -> None:
    def work(number: int) -> None:
        for again in range(20):
            entry = journal.take(DROP, found(f"{number}-{again}"), "ab")
            journal.note(entry, "done")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert journal.counts(DROP) == {"done": 80}


def test_no_other_user_may_read_it(journal: Journal) -> None:
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600


def test_a_damaged_journal_is_set_aside_and_reported(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    path.write_bytes(b"no journal" * 1000)
    journal = Journal(path)
    assert "was damaged" in journal.notice
    assert journal.counts(DROP) == {}
    (aside,) = tmp_path.glob("journal.sqlite3.damaged-*")
    assert aside.read_bytes() == b"no journal" * 1000
    journal.close()


def test_one_of_a_later_version_is_left_alone(journal: Journal) -> None:
    journal._connection.execute("PRAGMA user_version = 99")
    with pytest.raises(OutputError, match="a later version of DeepDream wrote this journal"):
        Journal(journal.path)


EARLIER = """
CREATE TABLE pictures (
    id INTEGER PRIMARY KEY, folder BLOB NOT NULL, name BLOB NOT NULL, sha256 TEXT NOT NULL, key TEXT NOT NULL,
    state TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
    staged TEXT NOT NULL DEFAULT '[]', result BLOB, original BLOB, why TEXT NOT NULL DEFAULT '',
    tries INTEGER NOT NULL DEFAULT 0, deaths INTEGER NOT NULL DEFAULT 0,
    began REAL NOT NULL, changed REAL NOT NULL, seconds REAL NOT NULL DEFAULT 0
);
CREATE INDEX by_name ON pictures (folder, name);
CREATE INDEX by_content ON pictures (folder, sha256, key);
CREATE INDEX by_state ON pictures (folder, state, changed);
CREATE TABLE pauses (folder BLOB PRIMARY KEY, why TEXT NOT NULL, tries INTEGER NOT NULL, until REAL NOT NULL);
CREATE TABLE folders (folder BLOB PRIMARY KEY, mark TEXT NOT NULL);
INSERT INTO folders VALUES (x'', 'its identity'), (CAST('/drop' AS BLOB), 'abc');
INSERT INTO pauses VALUES (CAST('/drop' AS BLOB), 'the disk is full', 3, 17.5);
INSERT INTO pictures (folder, name, sha256, key, state, size, mtime_ns, inode, staged, result, began, changed) VALUES
    (CAST('/drop' AS BLOB), CAST('a' AS BLOB), 'ab', 'k', 'written', 1, 2, 3, '[["612e706e67", 5, "ef"]]',
     CAST('/drop/out/a.png' AS BLOB), 1.0, 2.0);
PRAGMA user_version = 1;
"""


def test_a_journal_of_the_previous_version_works_in_both_versions(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as earlier:
        earlier.executescript(EARLIER)
    for _ in range(2):
        journal = Journal(path)
        assert (journal.notice, journal.identity()) == ("", "its identity")
        assert (journal.folders(), journal.mark(DROP)) == ([DROP], "abc")
        assert journal.paused(DROP) == ("the disk is full", 3, 17.5)
        (entry,) = journal.unfinished(DROP)
        assert (entry.path, entry.result, entry.staged) == (DROP / "a", DROP / "out/a.png", (Staged("a.png", 5, "ef"),))
        journal.close()
        with contextlib.closing(sqlite3.connect(path)) as earlier:  # what that version does when it opens one
            assert earlier.execute("PRAGMA user_version").fetchone() == (1,)
            earlier.execute("INSERT OR IGNORE INTO folders VALUES (x'', 'another identity')")
            earlier.commit()


def test_a_journal_that_cannot_be_opened_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="the journal cannot be used"):
        Journal(tmp_path / "file" / "journal.sqlite3")


def test_a_folder_that_moves_takes_its_pictures_along(journal: Journal, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / os.fsdecode(b"n\xe9w")
    missing(journal, old)
    entry = journal.take(old, Found(old / "a.png", 1, 2, 3, 1, 0, 1), "ab")
    journal.note(entry, "done", key="k", result=old / "out" / "a.png", original=tmp_path / "oldest" / "a.png")
    journal.pause(old, "full", 2, 5.0)
    old.rename(new)
    assert missing(journal, new) is None
    (entry,) = journal.dreamed(new, "ab", "k")
    assert (entry.path, entry.result) == (new / "a.png", new / "out" / "a.png")
    assert entry.original == tmp_path / "oldest" / "a.png", "what lay elsewhere still does"
    assert journal.paused(new) == ("full", 2, 5.0)
    assert journal.folders() == [new]


def test_a_copy_of_a_folder_is_another_folder(journal: Journal, tmp_path: Path) -> None:
    missing(journal, tmp_path / "one")
    journal.take(tmp_path / "one", Found(tmp_path / "one" / "a.png", 1, 2, 3, 1, 0, 1), "ab")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / MARK).write_bytes((tmp_path / "one" / MARK).read_bytes())
    assert missing(journal, tmp_path / "two") is None
    assert journal.counts(tmp_path / "one") == {"taken": 1}
    assert journal.counts(tmp_path / "two") == {}


def test_the_very_same_is_claimed_once(journal: Journal) -> None:
    one, other = journal.take(DROP, found("a"), "ab"), journal.take(DROP, found("b"), "ab")
    assert journal.claim(one, "k") is None
    refused = journal.claim(other, "k")
    assert refused is not None
    assert refused.id == one.id
    assert journal.claim(other, "with other settings") is None
    journal.note(one, "delivered")
    assert journal.claim(journal.take(DROP, found("c"), "ab"), "k") is None


def test_each_journal_is_known_by_a_text_of_its_own(journal: Journal, tmp_path: Path) -> None:
    other = Journal(tmp_path / "other.sqlite3")
    assert journal.identity() == journal.identity() != other.identity()
    assert journal.folders() == []
    other.close()


# --- who works in the folder


def test_another_machines_lease_is_respected_until_it_is_silent(tmp_path: Path) -> None:
    mine, other = Lease(tmp_path, "mine"), Lease(tmp_path, "other")
    assert mine.refused(0.0) == ""
    assert "another DeepDream on" in other.refused(1000.0)
    for number in range(1, 20):
        assert mine.refused(number * RENEWED_EVERY_S) == ""
        assert other.refused(1000.0 + number * RENEWED_EVERY_S) != ""
    last = 1000.0 + 19 * RENEWED_EVERY_S
    assert other.refused(last + SILENT_S - 1) != ""
    assert other.refused(last + SILENT_S) == ""
    assert mine.refused(1e6) != "", "it has slept, and somebody else has taken over"
    other.release()
    assert mine.refused(1e6) == ""
    assert mine.refused(1e6 + 1) == ""
    mine.release()
    assert not list(tmp_path.iterdir())


def test_ones_own_lease_is_taken_up_at_once_after_a_kill(tmp_path: Path) -> None:
    assert Lease(tmp_path, "mine").refused(0.0) == ""
    assert Lease(tmp_path, "mine").refused(0.0) == ""
    (tmp_path / LEASE).write_bytes(b"\xff\x00 \x1b]0;x\x07")
    assert "\x1b" not in Lease(tmp_path, "mine").refused(0.0)


# --- whether the folder is there


def test_a_new_folder_is_made_and_marked(journal: Journal, tmp_path: Path) -> None:
    root = tmp_path / "a" / "drop"
    assert missing(journal, root) is None
    assert (root / MARK).read_text().strip() == journal.mark(root)
    assert missing(journal, root) is None


def test_a_folder_that_was_there_once_is_offline_and_never_made_again(journal: Journal, tmp_path: Path) -> None:
    root = tmp_path / "drop"
    missing(journal, root)
    (root / MARK).rename(tmp_path / "mark")
    assert str(missing(journal, root)).startswith("is offline: it is empty, so its disk may not be mounted; ")
    assert list(root.iterdir()) == []
    root.rmdir()
    assert missing(journal, root) == "is offline: the folder does not exist; mount its disk, or create it again"
    assert not root.exists()
    root.mkdir()
    (tmp_path / "mark").rename(root / MARK)
    assert missing(journal, root) is None


def test_a_removed_mark_is_created_again(journal: Journal, tmp_path: Path) -> None:
    root = tmp_path / "drop"
    missing(journal, root)
    (root / "cat.jpg").touch()
    (root / MARK).unlink()
    assert missing(journal, root) is None
    assert (root / MARK).exists()
