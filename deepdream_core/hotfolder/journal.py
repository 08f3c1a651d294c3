"""The hot folder's memory: what was done to which picture, so that nothing is lost or done twice, whatever is killed.

One SQLite file for all drop folders of a user, in the platform's state folder and never on a share. Each step is on disk
before the next one begins (WAL with `synchronous=FULL`). A picture's way::

    taken ──► written ──► delivered ──► done
      │          the result is    the result has   the original is where it belongs
      │          whole in out/'s   its name
      │          hidden folder
      ├──► waiting   to be tried again
      ├──► failed    the original is in failed/
      └──► known     its result was there already

Names are kept as bytes, since they may be of any.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from deepdream_core.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deepdream_core.hotfolder.scanning import Found

VERSION = 1
BUSY_S = 3.0
_WORLDS = {
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM,
}  # fmt: skip
"""Errors of the disk and of other programs: opening the journal again mends none of them."""
State = Literal["taken", "written", "delivered", "done", "waiting", "failed", "known"]
UNFINISHED: tuple[State, ...] = ("taken", "written", "delivered")
SETTLED: tuple[State, ...] = ("done", "known", "failed")
"""States in which an original that stayed where it was is left alone."""

_SCHEMA = """
CREATE TABLE pictures (
    id INTEGER PRIMARY KEY,
    folder BLOB NOT NULL,       -- the drop folder
    name BLOB NOT NULL,         -- below it
    sha256 TEXT NOT NULL,       -- of the original
    key TEXT NOT NULL,          -- of settings and weights; empty until they are known
    state TEXT NOT NULL,
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
    staged TEXT NOT NULL DEFAULT '[]',   -- files of the result in its hidden folder: [name in hex, bytes, sha256]
    result BLOB,                -- where the picture is, or will be
    original BLOB,              -- where the original is, or will be
    why TEXT NOT NULL DEFAULT '',
    tries INTEGER NOT NULL DEFAULT 0,    -- that failed
    deaths INTEGER NOT NULL DEFAULT 0,   -- of this program while it read the file
    began REAL NOT NULL, changed REAL NOT NULL, seconds REAL NOT NULL DEFAULT 0
);
CREATE INDEX by_name ON pictures (folder, name);
CREATE INDEX by_content ON pictures (folder, sha256, key);
CREATE INDEX by_state ON pictures (folder, state, changed);
CREATE TABLE pauses (
    folder BLOB PRIMARY KEY, why TEXT NOT NULL, tries INTEGER NOT NULL, until REAL NOT NULL
);
CREATE TABLE folders (folder BLOB PRIMARY KEY, mark TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Staged:
    """A file of a result that waits in its hidden folder to be given its name."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Entry:
    """What the journal knows of one picture; times are wall clock, in seconds."""

    id: int
    folder: Path
    name: Path
    sha256: str
    key: str
    state: State
    size: int
    mtime_ns: int
    inode: int
    staged: tuple[Staged, ...]
    result: Path | None
    original: Path | None
    why: str
    tries: int
    deaths: int
    began: float
    changed: float
    seconds: float

    @property
    def path(self) -> Path:
        """Where the original was dropped."""
        return self.folder / self.name

    @property
    def stays(self) -> bool:
        """Whether all is done and the original has been left where it was dropped."""
        return self.state in SETTLED and self.original is None


class Journal:
    """The journal at `path`, made where there is none; safe to use from several threads and processes.

    Raises `OutputError` when it cannot be opened or written: the disk is full, no permission. One that is damaged is set
    aside as `NAME.damaged-TIME` and a new one begun; `said` tells so.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said = ""
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
        """Close it; it can be opened again."""
        with self._lock:
            self._connection.close()

    def problem(self) -> str:
        """Read and write for real; return why the journal must be opened again, "" when there is no need.

        A full disk, or another program that holds it, is an answer, and goes by; that it is damaged or gone does not.
        """
        try:
            with self._lock:
                status, again = self.path.stat(), self.path.stat()
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    self._connection.execute(f"PRAGMA user_version = {VERSION}")  # written even if it is the same
                    self._connection.execute("COMMIT")
                except BaseException:
                    with contextlib.suppress(sqlite3.Error):
                        self._connection.execute("ROLLBACK")
                    raise
        except FileNotFoundError:
            return f"{self.path}: the journal was removed"
        except OSError:
            return ""
        except sqlite3.Error as error:
            world = getattr(error, "sqlite_errorcode", -1) & 0xFF in _WORLDS
            return "" if world else f"{self.path}: the journal cannot be used: {error}"
        if again.st_ino != status.st_ino:  # another at every look, and so it tells nothing
            return ""
        return "" if (status.st_dev, status.st_ino) == self._file else f"{self.path}: the journal was replaced"

    # --- one picture

    def take(self, folder: Path, found: Found, sha256: str) -> Entry:
        """Record that an attempt begins: of a picture that waited, or of a new one.

        `deaths` counts it as one until `note` says that the file could be read.
        """
        now, name = time.time(), os.fsencode(found.path.relative_to(folder))
        version = (found.size, found.mtime_ns, found.inode)
        with self._writing() as connection:
            row = connection.execute(
                "SELECT id FROM pictures WHERE folder = ? AND name = ? AND sha256 = ? AND state = 'waiting'",
                (os.fsencode(folder), name, sha256),
            ).fetchone()
            if row is None:
                row = connection.execute(
                    "INSERT INTO pictures (folder, name, sha256, key, state, size, mtime_ns, inode, deaths, began, changed)"
                    " VALUES (?, ?, ?, '', 'taken', ?, ?, ?, 1, ?, ?) RETURNING id",
                    (os.fsencode(folder), name, sha256, *version, now, now),
                ).fetchone()
            else:
                connection.execute(
                    "UPDATE pictures SET state = 'taken', key = '', staged = '[]', result = NULL, original = NULL,"
                    " size = ?, mtime_ns = ?, inode = ?, deaths = deaths + 1, why = '', changed = ? WHERE id = ?",
                    (*version, now, row[0]),
                )
        return self._one("id = ?", row[0])

    def claim(self, entry: Entry, key: str) -> Entry | None:
        """Record with which settings and weights a picture is dreamed; return another attempt at the very same instead."""
        with self._writing() as connection:
            row = connection.execute(
                "SELECT id FROM pictures WHERE folder = ? AND sha256 = ? AND key = ? AND id != ?"
                " AND state IN ('taken', 'written')",
                (os.fsencode(entry.folder), entry.sha256, key, entry.id),
            ).fetchone()
            if row is None:
                connection.execute("UPDATE pictures SET key = ? WHERE id = ?", (key, entry.id))
        return None if row is None else self._one("id = ?", row[0])

    def note(self, entry: Entry, state: State, **values: Any) -> Entry:
        """Record that a picture has come to `state`, with more `values` of its `Entry`; return it as it is now."""
        columns = {"state": state, "changed": time.time(), **{key: _stored(value) for key, value in values.items()}}
        assignments = ", ".join(f"{column} = ?" for column in columns)
        with self._writing() as connection:
            connection.execute(f"UPDATE pictures SET {assignments} WHERE id = ?", (*columns.values(), entry.id))
        return self._one("id = ?", entry.id)

    def drop(self, entry: Entry) -> None:
        """Forget a picture."""
        with self._writing() as connection:
            connection.execute("DELETE FROM pictures WHERE id = ?", (entry.id,))

    # --- questions

    def of_name(self, folder: Path, path: Path) -> Entry | None:
        """Return what is known last of a name."""
        found = self._all(
            "folder = ? AND name = ? ORDER BY changed DESC LIMIT 1",
            os.fsencode(folder),
            os.fsencode(path.relative_to(folder)),
        )
        return found[0] if found else None

    def of_version(self, folder: Path, found: Found, *, any_inode: bool = False) -> Entry | None:
        """Return what is known of a file that has not been changed since; its content is not looked at.

        An entry whose inode is 0 is of a file whose inode changes by itself: size and time decide, as with `any_inode`.
        """
        entries = self._all(
            "folder = ? AND name = ? AND size = ? AND mtime_ns = ? AND (inode IN (?, 0) OR ?)"
            " ORDER BY changed DESC LIMIT 1",
            os.fsencode(folder), os.fsencode(found.path.relative_to(folder)), found.size, found.mtime_ns, found.inode,
            any_inode,
        )  # fmt: skip
        return entries[0] if entries else None

    def again(self, entry: Entry) -> Entry:
        """Return a picture's entry as it is now."""
        return self._one("id = ?", entry.id)

    def of_place(self, folder: Path, path: Path) -> Entry | None:
        """Return the picture whose result or original was put at this place."""
        place = os.fsencode(path)
        entries = self._all(
            "folder = ? AND (result = ? OR original = ?) ORDER BY changed DESC LIMIT 1",
            os.fsencode(folder),
            place,
            place,
        )
        return entries[0] if entries else None

    def dreamed(self, folder: Path, sha256: str, key: str) -> list[Entry]:
        """Return the pictures of the same content, settings and weights whose results were delivered, newest first."""
        return self._all(
            "folder = ? AND sha256 = ? AND key = ? AND state IN ('delivered', 'done') ORDER BY changed DESC",
            os.fsencode(folder), sha256, key,
        )  # fmt: skip

    def unfinished(self, folder: Path) -> list[Entry]:
        """Return the pictures at which this program was interrupted."""
        marks = ", ".join("?" * len(UNFINISHED))
        return self._all(f"folder = ? AND state IN ({marks}) ORDER BY id", os.fsencode(folder), *UNFINISHED)

    def counts(self, folder: Path) -> dict[str, int]:
        """Return how many pictures are in which state."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT state, COUNT(*) FROM pictures WHERE folder = ? GROUP BY state", (os.fsencode(folder),)
            )
            return dict(rows.fetchall())

    def latest(self, folder: Path, *states: State, limit: int = 10) -> list[Entry]:
        """Return the pictures that came last to one of these states."""
        marks = ", ".join("?" * len(states))
        return self._all(
            f"folder = ? AND state IN ({marks}) ORDER BY changed DESC LIMIT ?", os.fsencode(folder), *states, limit
        )

    # --- folders

    def pause(self, folder: Path, why: str, tries: int, until: float) -> None:
        """Record that a folder rests until a wall-clock time, and how often that was so in a row."""
        with self._writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO pauses VALUES (?, ?, ?, ?)", (os.fsencode(folder), _stored(why), tries, until)
            )

    def paused(self, folder: Path) -> tuple[str, int, float] | None:
        """Return why, how often in a row and until when a folder rests."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT why, tries, until FROM pauses WHERE folder = ?", (os.fsencode(folder),)
            ).fetchone()
            return None if row is None else (row[0], row[1], row[2])

    def go_on(self, folder: Path) -> None:
        """Record that a folder is well again."""
        with self._writing() as connection:
            connection.execute("DELETE FROM pauses WHERE folder = ?", (os.fsencode(folder),))

    def mark(self, folder: Path) -> str | None:
        """Return the mark by which the folder's disk is known again, None for a folder never seen."""
        with self._reading() as connection:
            row = connection.execute("SELECT mark FROM folders WHERE folder = ?", (os.fsencode(folder),)).fetchone()
            return None if row is None else str(row[0])

    def set_mark(self, folder: Path, mark: str) -> None:
        """Keep the folder's mark."""
        with self._writing() as connection:
            connection.execute("INSERT OR REPLACE INTO folders VALUES (?, ?)", (os.fsencode(folder), mark))

    def marked(self, mark: str) -> Path | None:
        """Return the folder that bears this mark."""
        with self._reading() as connection:
            row = connection.execute("SELECT folder FROM folders WHERE mark = ?", (mark,)).fetchone()
            return None if row is None else Path(os.fsdecode(row[0]))

    def folders(self) -> list[Path]:
        """Return all folders that have ever been watched, sorted."""
        with self._reading() as connection:
            rows = connection.execute("SELECT folder FROM folders WHERE folder != x'' ORDER BY folder").fetchall()
            return [Path(os.fsdecode(row[0])) for row in rows]

    def moved(self, old: Path, new: Path) -> None:
        """Record that a folder has another name now, and with it all that lies in it."""
        before, after = os.fsencode(old), os.fsencode(new)
        with self._writing() as connection:
            for column in ("result", "original"):
                connection.execute(
                    f"UPDATE pictures SET {column} = CAST(? || substr({column}, ?) AS BLOB)"
                    f" WHERE folder = ? AND substr({column}, 1, ?) = ?",
                    (after, len(before) + 1, before, len(before) + 1, before + os.fsencode(os.sep)),
                )
            for table in ("pictures", "pauses", "folders"):
                connection.execute(f"UPDATE OR REPLACE {table} SET folder = ? WHERE folder = ?", (after, before))

    def identity(self) -> str:
        """Return what tells this journal from every other: a random text."""
        with self._writing() as connection:
            connection.execute("INSERT OR IGNORE INTO folders VALUES (x'', ?)", (secrets.token_hex(8),))
            return str(connection.execute("SELECT mark FROM folders WHERE folder = x''").fetchone()[0])

    # --- SQLite

    def _opened(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_S, check_same_thread=False, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA cache_size = -1024")
            connection.execute("BEGIN IMMEDIATE")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > VERSION:
                raise OutputError(f"{self.path}: of a later version of DeepDream", "use that version")
            if version == 0:
                for statement in _SCHEMA.split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("COMMIT")
            os.chmod(self.path, 0o600)  # noqa: PTH101 - it tells what a user's pictures are called
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_aside(self, error: Exception) -> None:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        aside = self.path.with_name(f"{self.path.name}.damaged-{stamp}")
        for ending in ("-wal", "-shm"):
            with contextlib.suppress(OSError):
                self.path.with_name(self.path.name + ending).unlink()
        self.path.rename(aside)
        self.said = f"the journal was damaged ({error}) and a new one was begun; the old one is {aside}"

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._translated():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._translated():
            yield self._connection

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            number, step = errno.EIO, "free some space there; it goes on by itself then"
            kind = getattr(error, "sqlite_errorcode", -1) & 0xFF
            if "locked" in str(error):
                number, step = errno.EBUSY, "end the program that holds it; it goes on by itself then"
            elif kind in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY):
                number, step = errno.EACCES, "make that file and its folder writable"
            raise OutputError(f"{self.path}: the journal cannot be used: {error}", step, number) from None
        except OSError as error:
            step = "make that folder writable"
            what = f"{self.path}: the journal cannot be used: {error.strerror}"
            raise OutputError(what, step, error.errno or errno.EIO) from None

    def _all(self, where: str, *values: object) -> list[Entry]:
        with self._reading() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM pictures WHERE {where}", values).fetchall()
        return [_entry(row) for row in rows]

    def _one(self, where: str, *values: object) -> Entry:
        (found,) = self._all(where, *values)
        return found


_COLUMNS = ", ".join(Entry.__dataclass_fields__)


def _entry(row: tuple[Any, ...]) -> Entry:
    values = dict(zip(Entry.__dataclass_fields__, row, strict=True))
    for key in ("folder", "name", "result", "original"):
        values[key] = None if values[key] is None else Path(os.fsdecode(values[key]))
    values["staged"] = tuple(
        Staged(os.fsdecode(bytes.fromhex(name)), size, sha) for name, size, sha in json.loads(values["staged"])
    )
    return Entry(**values)


def _stored(value: Any) -> Any:
    if isinstance(value, Path):
        return os.fsencode(value)
    if isinstance(value, str):  # sentences name files, whose names may be of any bytes
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, (tuple, list)):
        return json.dumps([[os.fsencode(one.name).hex(), one.size, one.sha256] for one in value])
    return value
