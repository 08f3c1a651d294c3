"""The journal's SQLite file: its tables, how it is opened and checked, and what its errors mean."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

from deepdream_core.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSION = 1
BUSY_S = 3.0
_PASSING = {
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM,
}  # fmt: skip
"""Errors of the disk and of other programs: opening the journal again would not help."""

_TABLES = """
CREATE TABLE IF NOT EXISTS pictures (
    id INTEGER PRIMARY KEY,
    folder BLOB NOT NULL,       -- the drop folder
    name BLOB NOT NULL,         -- the original's path below it
    sha256 TEXT NOT NULL,       -- of the original
    key TEXT NOT NULL,          -- of settings and weights; empty until they are known
    state TEXT NOT NULL,
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
    staged TEXT NOT NULL DEFAULT '[]',   -- files of the result in its hidden folder: [name in hex, bytes, sha256]
    result BLOB,                -- where the result is, or will be
    original BLOB,              -- where the original is, or will be
    why TEXT NOT NULL DEFAULT '',
    tries INTEGER NOT NULL DEFAULT 0,    -- that failed
    deaths INTEGER NOT NULL DEFAULT 0,   -- of this program while it read the file
    began REAL NOT NULL, changed REAL NOT NULL, seconds REAL NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS by_name ON pictures (folder, name);
CREATE INDEX IF NOT EXISTS by_content ON pictures (folder, sha256, key);
CREATE INDEX IF NOT EXISTS by_state ON pictures (folder, state, changed);
CREATE TABLE IF NOT EXISTS pauses (
    folder BLOB PRIMARY KEY, why TEXT NOT NULL, tries INTEGER NOT NULL, until REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS folders (folder BLOB PRIMARY KEY, mark TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS identity (
    mark TEXT NOT NULL          -- of this journal and no other; the only row
);
-- Earlier versions kept the identity among the folders.
INSERT INTO identity SELECT mark FROM folders WHERE folder = x'' AND NOT EXISTS (SELECT * FROM identity);
INSERT INTO identity SELECT lower(hex(randomblob(8))) WHERE NOT EXISTS (SELECT * FROM identity);
DELETE FROM folders WHERE folder = x'';
"""


class JournalFile:
    """The SQLite file at `path`, created if there is none; several threads and processes may use it.

    Raises `OutputError` when the file cannot be opened or written, for example because the disk is full. A damaged file is
    renamed to `NAME.damaged-TIME` and a new one is created; `notice` says so.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notice = ""
        self._lock = threading.RLock()
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._connection = self._opened()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                self._set_aside(error)
                self._connection = self._opened()
            status = path.stat()
            self._file = (status.st_dev, status.st_ino)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def problem(self) -> str:
        """Read and write the file; return why the journal must be opened again, "" if it need not.

        A full disk, or another program that locks the file, passes by itself; a damaged or missing file does not.
        """
        try:
            with self._lock:
                status, again = self.path.stat(), self.path.stat()
                with self._transaction():
                    self._connection.execute(f"PRAGMA user_version = {VERSION}")  # writes even the same number
        except FileNotFoundError:
            return f"{self.path}: the journal was removed"
        except OSError:
            return ""
        except sqlite3.Error as error:
            return "" if _code(error) in _PASSING else f"{self.path}: the journal cannot be used: {error}"
        if again.st_ino != status.st_ino:  # some file systems show another inode at every look
            return ""
        return "" if (status.st_dev, status.st_ino) == self._file else f"{self.path}: the journal was replaced"

    def _opened(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_S, check_same_thread=False, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA cache_size = -1024")
            connection.execute("BEGIN IMMEDIATE")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > VERSION:
                raise OutputError(f"{self.path}: a later version of DeepDream wrote this journal", "use that version")
            for statement in _TABLES.split(";\n"):
                connection.execute(statement)
            if version < VERSION:
                connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("COMMIT")
            os.chmod(self.path, 0o600)  # noqa: PTH101 - it holds the names of a user's pictures
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_aside(self, error: Exception) -> None:
        aside = self.path.with_name(f"{self.path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
        for ending in ("-wal", "-shm"):
            with contextlib.suppress(OSError):
                self.path.with_name(self.path.name + ending).unlink()
        self.path.rename(aside)
        self.notice = f"the journal was damaged ({error}); DeepDream began a new one, the old one is now {aside}"

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._translated(), self._transaction():
            yield self._connection

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._translated():
            yield self._connection

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Return a context in which errors of SQLite and of the disk become `OutputError`."""
        try:
            yield
        except sqlite3.Error as error:
            number, step = errno.EIO, "free some space there; DeepDream then continues by itself"
            if "locked" in str(error):
                number, step = errno.EBUSY, "end the program that locks it; DeepDream then continues by itself"
            elif _code(error) in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY):
                number, step = errno.EACCES, "make that file and its folder writable"
            raise OutputError(f"{self.path}: the journal cannot be used: {error}", step, number) from None
        except OSError as error:
            what = f"{self.path}: the journal cannot be used: {error.strerror}"
            raise OutputError(what, "make that folder writable", error.errno or errno.EIO) from None


def _code(error: sqlite3.Error) -> int:
    """Return the error's primary result code, -1 for an error of Python's module."""
    return getattr(error, "sqlite_errorcode", -1) & 0xFF
