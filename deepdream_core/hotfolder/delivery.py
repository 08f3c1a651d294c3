"""The steps from a complete result to its name, and from there to the original's place; the journal records each of them.

If the program is killed between two steps, the journal says what it meant to do, and the disk how far it came; `repair`
does the rest. Nothing is ever overwritten: a result or original whose name is taken is called `name (2)`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_core.errors import OutputError
from deepdream_core.hotfolder import disk_errors, fault, hidden_folder, moves
from deepdream_core.hotfolder.originals import put_away

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deepdream_core.hotfolder.journal import Entry, Journal, Staged
    from deepdream_core.hotfolder.layout import Layout

DEATHS = 5
"""A file that killed this program this many times in a row, while being read, is set aside."""


def deliver(journal: Journal, layout: Layout, entry: Entry, files: Sequence[Staged], seconds: float) -> Entry:
    """Give a complete result its name and put the original away; return the new entry.

    Its state is `failed` if the system allows no such name there. Raises `OutputError`; the steps until then stay done, and
    `repair` continues from there.
    """
    wanted = layout.result_for(entry.path, Path(files[-1].name).suffix)
    result = _free_name(wanted, layout, files)
    return _finish(journal, layout, journal.note(entry, "written", staged=tuple(files), result=result, seconds=seconds))


def fail(journal: Journal, layout: Layout, entry: Entry, why: str) -> Entry:
    """Put an original that cannot be dreamed into failed/, with the reason beside it; raises `OutputError`."""
    hidden_folder.clear(layout, entry)
    entry = journal.note(entry, "taken", why=why)
    return put_away(journal, layout, entry, "failed", why)


def give_up(journal: Journal, layout: Layout, entry: Entry, why: str) -> Entry:
    """End a picture after a fault of the program: as done if its result has its name, else as failed.

    Raises `OutputError`, and whatever the same fault raises again.
    """
    entry = journal.again(entry)
    if entry.state == "written" and hidden_folder.is_complete(layout, entry, named=True):
        entry = journal.note(entry, "delivered")
    if entry.state == "delivered":
        hidden_folder.clear(layout, entry)
        moved = entry.original if entry.original is not None and not os.path.lexists(entry.path) else None
        return journal.note(entry, "done", original=moved, why=why)
    if entry.result is not None:  # no recipe without its picture
        for file, _, target in hidden_folder.sources_and_targets(layout, entry):
            if hidden_folder.is_whole(file, target):
                target.unlink()
    return fail(journal, layout, entry, why)


def repair(journal: Journal, layout: Layout, say: Callable[[str], None]) -> None:
    """Finish or undo everything that was interrupted in this folder; a fault at one picture does not stop the others.

    Raises `OutputError`, after all others are repaired.
    """
    first: OutputError | None = None
    for entry in journal.unfinished(layout.root):
        try:
            try:
                _repair(journal, layout, entry, say)
            except OutputError:
                raise
            except Exception as error:
                give_up(journal, layout, entry, fault.log(say, entry.name, error))
        except OutputError as error:
            first = first or error
        except Exception as error:
            fault.log(say, entry.name, error)
    if first is not None:
        raise first
    hidden_folder.sweep(layout, journal.unfinished(layout.root))


def _repair(journal: Journal, layout: Layout, entry: Entry, say: Callable[[str], None]) -> None:
    if entry.state == "delivered" or (entry.state == "written" and hidden_folder.is_complete(layout, entry)):
        say(f"{entry.name}: DeepDream continues where it was interrupted")
        _finish(journal, layout, entry)
        return
    hidden_folder.clear(layout, entry)
    if entry.state == "taken" and entry.why:  # it was on its way to failed/
        fail(journal, layout, entry, entry.why)
    elif entry.state == "taken" and entry.deaths >= DEATHS:
        why = f"DeepDream ended {entry.deaths} times while it read this file. Export it again in another program."
        fail(journal, layout, entry, why)
    else:
        journal.note(entry, "waiting")


def _finish(journal: Journal, layout: Layout, entry: Entry) -> Entry:
    """Do the steps that a picture lacks whose result is written."""
    if entry.state == "written":
        try:
            entry = _name_files(journal, layout, entry)
        except OutputError as error:
            if error.errno in disk_errors.NAME:
                return fail(journal, layout, entry, f"No name is allowed for the result: {error.what}.")
            if error.errno not in disk_errors.FORBIDDEN or not disk_errors.is_writable(layout.out):
                raise
            return fail(journal, layout, entry, f"The result cannot be moved to its folder: {error.what}.")
        entry = journal.note(entry, "delivered")
        with contextlib.suppress(OSError):
            hidden_folder.hidden_folder(layout, entry).rmdir()
    return put_away(journal, layout, entry, "done")


def _name_files(journal: Journal, layout: Layout, entry: Entry) -> Entry:
    """Give the staged files their names; if another program has just taken one, all of them get the next number."""
    assert entry.result is not None
    wanted = layout.result_for(entry.path, entry.result.suffix)
    with disk_errors.translated(entry.result):
        wanted = moves.make_folder(wanted.parent, layout.out) / wanted.name
        if wanted.parent != entry.result.parent:
            entry = journal.note(entry, "written", result=_free_name(wanted, layout, entry.staged))
        while True:
            files = hidden_folder.sources_and_targets(layout, entry)
            try:
                for file, source, target in files:
                    if source.exists() and hidden_folder.is_whole(file, target):
                        source.unlink()  # killed after the copy to another disk
                    elif source.exists():
                        moves.move(source, target)
                return entry
            except FileExistsError:
                for _, source, target in files:  # our files that have their names already go back
                    if not source.exists() and target.exists():
                        moves.move(target, source)
                entry = journal.note(entry, "written", result=_free_name(wanted, layout, entry.staged))


def _free_name(wanted: Path, layout: Layout, files: Sequence[Staged]) -> Path:
    """Return the first of `name`, `name (2)`, … that is free for the picture and for its sidecar."""
    picture = files[-1].name
    reserved = max(len(os.fsencode(file.name)) for file in files) - len(os.fsencode(picture))
    for number in itertools.count(1):
        path = layout.numbered(wanted, number, reserved)
        if not any(os.path.lexists(path.with_name(path.name + file.name[len(picture) :])) for file in files):
            return path
    raise AssertionError
