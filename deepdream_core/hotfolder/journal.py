"""The hot folder's memory: what was done to which picture, so that a kill never loses a picture or repeats its work.

One SQLite file serves all drop folders of a user. It is in the platform's state folder, never on a share. Each step is on
disk before the next one begins (WAL with `synchronous=FULL`). The states of a picture::

    taken ──► written ──► delivered ──► done
      │          the result is    the result has   the original is where it belongs
      │          complete in a    its name
      │          hidden folder
      ├──► waiting   to be tried again
      ├──► failed    the original is in failed/
      └──► known     its result already existed

Names are kept as bytes, since they may be of any.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from deepdream_core.hotfolder.journal_file import JournalFile

if TYPE_CHECKING:
    from deepdream_core.hotfolder.scanning import Found

State = Literal["taken", "written", "delivered", "done", "waiting", "failed", "known"]
UNFINISHED: tuple[State, ...] = ("taken", "written", "delivered")
SETTLED: tuple[State, ...] = ("done", "known", "failed")
"""States in which an original that is still in the drop folder is left alone."""


@dataclass(frozen=True)
class Staged:
    """A file of a result that waits in its hidden folder for its name."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Entry:
    """What the journal knows of one picture; the fields are the columns. Times are wall clock, in seconds."""

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
        """Whether the picture is settled and its original is still in the drop folder."""
        return self.state in SETTLED and self.original is None


class Journal(JournalFile):
    """The journal; everything it does raises `OutputError` as `JournalFile` does."""

    # --- steps of a picture

    def take(self, folder: Path, found: Found, sha256: str) -> Entry:
        """Record that an attempt begins: at a picture that waited, or at a new one.

        The attempt counts as one of the picture's `deaths` until `note` says that the file could be read.
        """
        now, place = time.time(), (os.fsencode(folder), os.fsencode(found.path.relative_to(folder)))
        version = (found.size, found.mtime_ns, found.inode)
        with self._writing() as connection:
            row = connection.execute(
                "SELECT id FROM pictures WHERE folder = ? AND name = ? AND sha256 = ? AND state = 'waiting'",
                (*place, sha256),
            ).fetchone()
            if row is None:
                row = connection.execute(
                    "INSERT INTO pictures (folder, name, sha256, key, state, size, mtime_ns, inode, deaths, began, changed)"
                    " VALUES (?, ?, ?, '', 'taken', ?, ?, ?, 1, ?, ?) RETURNING id",
                    (*place, sha256, *version, now, now),
                ).fetchone()
            else:
                connection.execute(
                    "UPDATE pictures SET state = 'taken', key = '', staged = '[]', result = NULL, original = NULL,"
                    " size = ?, mtime_ns = ?, inode = ?, deaths = deaths + 1, why = '', changed = ? WHERE id = ?",
                    (*version, now, row[0]),
                )
        return self._by_id(row[0])

    def claim(self, entry: Entry, key: str) -> Entry | None:
        """Record the key of a picture's settings and weights, unless another attempt has claimed the same; return that."""
        with self._writing() as connection:
            row = connection.execute(
                "SELECT id FROM pictures WHERE folder = ? AND sha256 = ? AND key = ? AND id != ?"
                " AND state IN ('taken', 'written')",
                (os.fsencode(entry.folder), entry.sha256, key, entry.id),
            ).fetchone()
            if row is None:
                connection.execute("UPDATE pictures SET key = ? WHERE id = ?", (key, entry.id))
        return None if row is None else self._by_id(row[0])

    def note(self, entry: Entry, state: State, **values: Any) -> Entry:
        """Record that a picture has reached `state`, with more `values` of its `Entry`; return its new entry."""
        columns = {"state": state, "changed": time.time(), **{key: _stored(value) for key, value in values.items()}}
        assignments = ", ".join(f"{column} = ?" for column in columns)
        with self._writing() as connection:
            connection.execute(f"UPDATE pictures SET {assignments} WHERE id = ?", (*columns.values(), entry.id))
        return self._by_id(entry.id)

    def drop(self, entry: Entry) -> None:
        """Forget a picture."""
        with self._writing() as connection:
            connection.execute("DELETE FROM pictures WHERE id = ?", (entry.id,))

    # --- questions about pictures

    def again(self, entry: Entry) -> Entry:
        """Return a picture's entry as it is now."""
        return self._by_id(entry.id)

    def of_name(self, folder: Path, path: Path) -> Entry | None:
        """Return the newest entry of a name."""
        return self._newest("folder = ? AND name = ?", folder, path.relative_to(folder))

    def of_version(self, folder: Path, found: Found, *, any_inode: bool = False) -> Entry | None:
        """Return the entry of a file that has not changed since; the content is not read.

        An entry with the inode 0 belongs to a file whose inode changes by itself: size and time decide, as they do with
        `any_inode`.
        """
        return self._newest(
            "folder = ? AND name = ? AND size = ? AND mtime_ns = ? AND (inode IN (?, 0) OR ?)",
            folder, found.path.relative_to(folder), found.size, found.mtime_ns, found.inode, any_inode,
        )  # fmt: skip

    def of_place(self, folder: Path, path: Path) -> Entry | None:
        """Return the picture whose result or original was put at this place."""
        return self._newest("folder = ? AND (result = ? OR original = ?)", folder, path, path)

    def dreamed(self, folder: Path, sha256: str, key: str) -> list[Entry]:
        """Return the pictures of the same content, settings and weights whose results were delivered, newest first."""
        where = "folder = ? AND sha256 = ? AND key = ? AND state IN ('delivered', 'done') ORDER BY changed DESC"
        return self._select(where, folder, sha256, key)

    def unfinished(self, folder: Path) -> list[Entry]:
        """Return the pictures that a kill or a fault interrupted."""
        return self._select(f"folder = ? AND state IN ({_marks(UNFINISHED)}) ORDER BY id", folder, *UNFINISHED)

    def latest(self, folder: Path, *states: State, limit: int = 10) -> list[Entry]:
        """Return the pictures that reached one of these states last."""
        where = f"folder = ? AND state IN ({_marks(states)}) ORDER BY changed DESC LIMIT ?"
        return self._select(where, folder, *states, limit)

    def counts(self, folder: Path) -> dict[str, int]:
        """Return how many pictures are in which state."""
        query = "SELECT state, COUNT(*) FROM pictures WHERE folder = ? GROUP BY state"
        with self._reading() as connection:
            return dict(connection.execute(query, (os.fsencode(folder),)).fetchall())

    # --- folders

    def pause(self, folder: Path, why: str, tries: int, until: float) -> None:
        """Record that a folder rests until a wall-clock time, for the `tries`th time in a row."""
        with self._writing() as connection:
            values = (os.fsencode(folder), _stored(why), tries, until)
            connection.execute("INSERT OR REPLACE INTO pauses VALUES (?, ?, ?, ?)", values)

    def paused(self, folder: Path) -> tuple[str, int, float] | None:
        """Return why, for which time in a row and until when a folder rests."""
        row = self._row("SELECT why, tries, until FROM pauses WHERE folder = ?", folder)
        return None if row is None else (row[0], row[1], row[2])

    def resume(self, folder: Path) -> None:
        """Record that a folder no longer rests."""
        with self._writing() as connection:
            connection.execute("DELETE FROM pauses WHERE folder = ?", (os.fsencode(folder),))

    def mark(self, folder: Path) -> str | None:
        """Return the mark that identifies the folder's disk, None for an unknown folder."""
        row = self._row("SELECT mark FROM folders WHERE folder = ?", folder)
        return None if row is None else str(row[0])

    def set_mark(self, folder: Path, mark: str) -> None:
        """Record the folder's mark."""
        with self._writing() as connection:
            connection.execute("INSERT OR REPLACE INTO folders VALUES (?, ?)", (os.fsencode(folder), mark))

    def marked(self, mark: str) -> Path | None:
        """Return the folder that has this mark."""
        row = self._row("SELECT folder FROM folders WHERE mark = ?", mark)
        return None if row is None else Path(os.fsdecode(row[0]))

    def folders(self) -> list[Path]:
        """Return all folders that have ever been watched, sorted."""
        with self._reading() as connection:
            rows = connection.execute("SELECT folder FROM folders ORDER BY folder").fetchall()
            return [Path(os.fsdecode(row[0])) for row in rows]

    def moved(self, old: Path, new: Path) -> None:
        """Record that a folder has another name now, and with it everything in it."""
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
        """Return a random text that no other journal has."""
        row = self._row("SELECT mark FROM identity")
        assert row is not None
        return str(row[0])

    # --- rows

    def _row(self, query: str, *values: object) -> tuple[Any, ...] | None:
        with self._reading() as connection:
            row: tuple[Any, ...] | None = connection.execute(query, [_stored(value) for value in values]).fetchone()
            return row

    def _select(self, where: str, *values: object) -> list[Entry]:
        query = f"SELECT {', '.join(_COLUMNS)} FROM pictures WHERE {where}"
        with self._reading() as connection:
            rows = connection.execute(query, [_stored(value) for value in values]).fetchall()
        return [_entry(row) for row in rows]

    def _newest(self, where: str, *values: object) -> Entry | None:
        return next(iter(self._select(f"{where} ORDER BY changed DESC LIMIT 1", *values)), None)

    def _by_id(self, number: int) -> Entry:
        (found,) = self._select("id = ?", number)
        return found


_COLUMNS = [field.name for field in fields(Entry)]


def _marks(values: tuple[State, ...]) -> str:
    return ", ".join("?" * len(values))


def _entry(row: tuple[Any, ...]) -> Entry:
    values = dict(zip(_COLUMNS, row, strict=True))
    for key in ("folder", "name", "result", "original"):
        values[key] = None if values[key] is None else Path(os.fsdecode(values[key]))
    values["staged"] = tuple(
        Staged(os.fsdecode(bytes.fromhex(name)), size, sha) for name, size, sha in json.loads(values["staged"])
    )
    return Entry(**values)


def _stored(value: Any) -> Any:
    """Return a value of an `Entry` as SQLite holds it."""
    if isinstance(value, Path):
        return os.fsencode(value)
    if isinstance(value, str):  # sentences name files, whose names may be of any bytes
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, (tuple, list)):
        return json.dumps([[os.fsencode(file.name).hex(), file.size, file.sha256] for file in value])
    return value
