"""From a whole result in a hidden folder to its place, and the original to its own: step by step, each in the journal.

A program that is killed between any two steps finds in the journal what was meant, and on the disk how far it came;
`repaired` does the rest. Nothing is ever overwritten: what finds its name taken is called `name (2)`.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from deepdream_core.errors import OutputError
from deepdream_core.hotfolder.journal import Staged
from deepdream_core.hotfolder.moves import make_folder, move, same_file, sha256_of, unfinished_copy
from deepdream_core.hotfolder.scanning import look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from deepdream_core.hotfolder.journal import Entry, Journal
    from deepdream_core.hotfolder.places import Places

    Settled = Literal["done", "known", "failed"]

DEATHS = 5
"""A file that this program has died of so often in a row, while reading it, is set aside."""
_STAGE = ".deepdream-"
_NAMES = frozenset({errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ELOOP})
"""What the system says of a name that cannot be, which is one picture's trouble and not the folder's."""


def stage_of(places: Places, entry: Entry) -> Path:
    """Return the hidden folder in out/ in which the picture's result is written."""
    return places.out / f"{_STAGE}{entry.id}"


def prepared(places: Places, entry: Entry) -> Path:
    """Return that folder, made and empty; raises `OutputError`."""
    stage = stage_of(places, entry)
    with translated(stage):
        make_folder(places.out, places.out)
        if stage.exists():
            shutil.rmtree(stage)
        stage.mkdir(mode=0o700)
    return stage


def staged(stage: Path, permissions: int) -> tuple[Staged, ...]:
    """Return what lies in the hidden folder, the picture last, with the original's permissions, never more."""
    files: list[Staged] = []
    with translated(stage):
        for path in sorted(stage.iterdir(), key=lambda one: one.suffix != ".yaml"):
            path.chmod(permissions & 0o666)
            files.append(Staged(path.name, path.stat().st_size, sha256_of(path)))
    return tuple(files)


def deliver(journal: Journal, places: Places, entry: Entry, files: Sequence[Staged], seconds: float) -> Entry:
    """Give a result that is whole its name, and the original its place; return the entry as it is then.

    It is `failed` when the system allows no such name there.
    Raises `OutputError`; what was done until then stays done, and `repaired` goes on from there.
    """
    wanted = places.result_for(entry.path, Path(files[-1].name).suffix)
    entry = journal.note(entry, "written", staged=tuple(files), result=_free(wanted, places, files), seconds=seconds)
    return _finished(journal, places, entry)


def _finished(journal: Journal, places: Places, entry: Entry) -> Entry:
    """Do what is missing of a picture whose result is written."""
    if entry.state == "written":
        try:
            entry = _named(journal, places, entry)
        except OutputError as error:
            if error.errno not in _NAMES:
                raise
            return fail(journal, places, entry, f"No name fits the result: {error.what}.")
        entry = journal.note(entry, "delivered")
        with contextlib.suppress(OSError):
            stage_of(places, entry).rmdir()
    if entry.state == "delivered":
        entry = put_away(journal, places, entry, "done")
    return entry


def _named(journal: Journal, places: Places, entry: Entry) -> Entry:
    """Give the staged files their names; one that was taken meanwhile makes all of them try the next number."""
    assert entry.result is not None
    stage = stage_of(places, entry)
    wanted = places.result_for(entry.path, entry.result.suffix)
    with translated(entry.result):
        wanted = make_folder(wanted.parent, places.out) / wanted.name
        if wanted.parent != entry.result.parent:
            entry = journal.note(entry, "written", result=_free(wanted, places, entry.staged))
        while True:
            pairs = _pairs(stage, entry)
            try:
                for one, (source, target) in zip(entry.staged, pairs, strict=True):
                    if source.exists() and _is_whole(one, target):
                        source.unlink()  # killed after the copy to another disk
                    elif source.exists():
                        move(source, target)
                return entry
            except FileExistsError:
                for source, target in pairs:  # those of ours that have their names already go back
                    if not source.exists() and target.exists():
                        move(target, source)
                entry = journal.note(entry, "written", result=_free(wanted, places, entry.staged))


def _pairs(stage: Path, entry: Entry) -> list[tuple[Path, Path]]:
    """Return each staged file and the name it is to have; a sidecar follows its picture's name."""
    assert entry.result is not None
    picture = entry.staged[-1].name
    return [
        (stage / one.name, entry.result.with_name(entry.result.name + one.name[len(picture) :])) for one in entry.staged
    ]


def _free(wanted: Path, places: Places, files: Sequence[Staged]) -> Path:
    """Return the first of `name`, `name (2)`, … that none of the files would find taken."""
    picture = files[-1].name
    reserved = max(len(os.fsencode(one.name)) for one in files) - len(os.fsencode(picture))
    for number in itertools.count(1):
        path = places.numbered(wanted, number, reserved)
        if not any(os.path.lexists(path.with_name(path.name + one.name[len(picture) :])) for one in files):
            return path
    raise AssertionError


def clear(places: Places, entry: Entry) -> None:
    """Remove what there is of a result that is not whole."""
    shutil.rmtree(stage_of(places, entry), ignore_errors=True)


def put_away(journal: Journal, places: Places, entry: Entry, state: Settled, why: str = "") -> Entry:
    """Put the original where it belongs in that `state`: done, known or failed; raises `OutputError`.

    An original that is not there any more, or is another by now, is left alone, and so is one that no name fits there.
    """
    kept = places.settings.originals == "keep" and state != "failed"
    moved: Path | None = None
    with translated(entry.path):
        if entry.original is not None:
            unfinished_copy(entry.original).unlink(missing_ok=True)
        if not kept and _is_still(entry):
            if entry.original is not None and _is_copy(entry, entry.original):
                entry.path.unlink()  # killed after the copy to another disk
                moved = entry.original
            elif state != "failed" and places.settings.originals == "trash":
                _trashed(entry.path)
            else:
                moved = _moved(journal, places, entry, state)
                why = why if moved else f"{why} The original stays where it is, as no name fits it there.".strip()
        elif not kept and entry.original is not None and entry.original.exists():
            moved = entry.original  # this was done, and only the journal does not know it yet
            if same_file(entry.path, moved):  # killed between its two names
                entry.path.unlink()
        if state == "failed" and moved is not None:
            places.why_for(moved).write_text(f"{why}\n", "utf-8", "backslashreplace")
    return journal.note(entry, state, original=moved, why=why)


def _is_still(entry: Entry) -> bool:
    """Say whether the original is where it was dropped, unchanged, and has no other name that we gave it."""
    found = look(entry.path, entry.folder)
    if found is None or (entry.original is not None and same_file(entry.path, entry.original)):
        return False
    return (found.size, found.mtime_ns, found.inode) == (entry.size, entry.mtime_ns, entry.inode)


def _is_copy(entry: Entry, path: Path) -> bool:
    """Say whether that is the whole original."""
    return path.is_file() and not path.is_symlink() and sha256_of(path) == entry.sha256


def _moved(journal: Journal, places: Places, entry: Entry, state: Settled) -> Path | None:
    """Move the original to done/ or failed/; return where it is, None when the system allows no such name there."""
    failed = state == "failed"
    wanted = places.failed_for(entry.path) if failed else places.done_for(entry.path)
    try:
        wanted = make_folder(wanted.parent, places.failed if failed else places.done) / wanted.name
        for number in itertools.count(1):
            target = places.numbered(wanted, number)
            if os.path.lexists(target):
                continue
            journal.note(entry, entry.state, original=target)
            with contextlib.suppress(FileExistsError):
                move(entry.path, target)
                return target
    except OSError as error:
        if error.errno not in _NAMES:
            raise
    return None


def _trashed(path: Path) -> None:
    import send2trash

    try:
        send2trash.send2trash(path)
    except Exception as error:  # OSError, and its own for disks without a trash
        reason = getattr(error, "strerror", None) or error
        step = "set `originals` to move or keep, or make the trash writable"
        raise OutputError(f"{path}: cannot be put into the trash: {reason}", step, errno.EACCES) from None


def fail(journal: Journal, places: Places, entry: Entry, why: str) -> Entry:
    """Put an original that cannot be dreamed into failed/, and beside it why, in plain words; raises `OutputError`."""
    clear(places, entry)
    entry = journal.note(entry, "taken", why=why)
    return put_away(journal, places, entry, "failed", why)


def repaired(journal: Journal, places: Places, say: Callable[[str], None]) -> None:
    """Finish, or undo to the beginning, whatever was interrupted in this folder; raises `OutputError`."""
    for entry in journal.unfinished(places.root):
        if entry.state == "taken":
            clear(places, entry)
            if entry.why:  # it was on its way to failed/
                fail(journal, places, entry, entry.why)
            elif entry.deaths >= DEATHS:
                why = (
                    f"DeepDream ended {entry.deaths} times while it read this file. Export it anew in another program."
                )
                fail(journal, places, entry, why)
            else:
                journal.note(entry, "waiting")
        elif entry.state == "delivered" or _all_there(places, entry):
            say(f"{entry.name}: goes on where it was interrupted")
            _finished(journal, places, entry)
        else:
            clear(places, entry)
            journal.note(entry, "waiting")
    _sweep(journal, places)


def _all_there(places: Places, entry: Entry) -> bool:
    """Say whether every file of a written result is whole, in its hidden folder or under its name."""
    if not entry.staged or entry.result is None:
        return False
    return all(
        _is_whole(one, source if source.exists() else target)
        for one, (source, target) in zip(entry.staged, _pairs(stage_of(places, entry), entry), strict=True)
    )


def _is_whole(one: Staged, path: Path) -> bool:
    """Say whether this is that file of a result, with all that is in it."""
    try:
        return path.stat().st_size == one.size and sha256_of(path) == one.sha256
    except OSError:
        return False


def _sweep(journal: Journal, places: Places) -> None:
    """Remove hidden folders that nothing in the journal speaks of."""
    known = {stage_of(places, entry) for entry in journal.unfinished(places.root)}
    with contextlib.suppress(OSError):
        for left in places.out.glob(f"{_STAGE}*"):
            if left not in known and left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Return a context in which what the disk refuses becomes an `OutputError`."""
    try:
        yield
    except OSError as error:
        named = error.filename if isinstance(error.filename, str) else ""
        what = f"{named if Path(named).is_absolute() else path}: {error.strerror or error}"
        raise OutputError(what, advice(error.errno), error.errno or errno.EIO) from None


def advice(number: int | None) -> str:
    """Return what to do when the disk refuses with this number of an error."""
    room = number in (errno.ENOSPC, getattr(errno, "EDQUOT", None))
    return f"{'free some space' if room else 'make the folder writable'}; it goes on by itself then"
