"""From a whole result in a hidden folder to its place, and the original to its own: step by step, each in the journal.

A program that is killed between any two steps finds in the journal what was meant, and on the disk how far it came;
`repaired` does the rest. Nothing is ever overwritten: what finds its name taken is called `name (2)`.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from deepdream_core.errors import OutputError
from deepdream_core.hotfolder import fault
from deepdream_core.hotfolder.access import share
from deepdream_core.hotfolder.journal import Staged
from deepdream_core.hotfolder.moves import make_folder, move, sha256_of, unfinished_copy
from deepdream_core.hotfolder.scanning import look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from deepdream_core.hotfolder.journal import Entry, Journal
    from deepdream_core.hotfolder.layout import Places

    Settled = Literal["done", "known", "failed"]

DEATHS = 5
"""A file that this program has died of so often in a row, while reading it, is set aside."""
_STAGE = ".deepdream-"
_NAMES = frozenset({errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ELOOP})
"""What the system says of a name that cannot be, which is one picture's trouble and not the folder's."""
_FORBIDDEN = frozenset({errno.EPERM, errno.EROFS} | (set() if os.name == "nt" else {errno.EACCES}))
"""What it says of a file that must not be moved away, and of a folder that nothing may be put into.

On Windows it says EACCES of a file that a program has open just now, which goes by.
"""


def stage_of(places: Places, entry: Entry) -> Path:
    """Return the hidden folder in out/ in which the picture's result is written."""
    return places.out / f"{_STAGE}{entry.id}"


def prepared(places: Places, entry: Entry) -> Path:
    """Return that folder, made and empty; raises `OutputError`."""
    stage = stage_of(places, entry)
    with translated(stage):
        make_folder(places.out, places.out)
        _remove(stage)
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
            if error.errno in _NAMES:
                return fail(journal, places, entry, f"No name fits the result: {error.what}.")
            if error.errno not in _FORBIDDEN or not _takes(places.out):
                raise
            return fail(journal, places, entry, f"The result cannot be put where it belongs: {error.what}.")
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
    with contextlib.suppress(OSError):
        _remove(stage_of(places, entry))


def _remove(stage: Path) -> None:
    """Remove a hidden folder; `shutil.rmtree` cannot where inodes change at every look."""
    if stage.is_symlink() or not stage.is_dir():
        stage.unlink(missing_ok=True)
        return
    for path in stage.iterdir():
        path.unlink(missing_ok=True)
    stage.rmdir()


def put_away(journal: Journal, places: Places, entry: Entry, state: Settled, why: str = "") -> Entry:
    """Put the original where it belongs in that `state`: done, known or failed; raises `OutputError`.

    An original that is not there any more, or is another by now, is left alone, and so is one that no name fits there, or
    that must not be moved.
    """
    kept = places.settings.originals == "keep" and state != "failed"
    moved: Path | None = None
    with translated(entry.path):
        if entry.original is not None:
            unfinished_copy(entry.original).unlink(missing_ok=True)
        if not kept and _is_still(entry):
            if entry.original is not None and _is_copy(entry, entry.original):
                entry.path.unlink()  # killed after the copy to another disk, or between its two names
                moved = entry.original
            elif state != "failed" and places.settings.originals == "trash":
                _trashed(entry.path)
            else:
                moved, stays = _moved(
                    places, entry.path, state, lambda at: journal.note(entry, entry.state, original=at)
                )
                why = f"{why} {stays}".strip()
        elif not kept and entry.original is not None and entry.original.exists():
            moved = entry.original  # this was done, and only the journal does not know it yet
        if state == "failed" and moved is not None:
            _write_why(places, moved, why)
    return journal.note(entry, state, original=moved, why=why)


def _is_still(entry: Entry) -> bool:
    """Say whether the original is where it was dropped, unchanged: by size and time, and by content for another inode."""
    found = look(entry.path, entry.folder)
    if found is None or found.version != (entry.size, entry.mtime_ns):
        return False
    return found.inode == entry.inode or entry.sha256 in ("", sha256_of(entry.path))


def _is_copy(entry: Entry, path: Path) -> bool:
    """Say whether that is the whole original."""
    if not path.is_file() or path.is_symlink():
        return False
    return sha256_of(path) == (entry.sha256 or sha256_of(entry.path))


def _moved(places: Places, path: Path, state: Settled, note: Callable[[Path], object]) -> tuple[Path | None, str]:
    """Move an original to done/ or failed/; return where it is, or None and why it stays.

    `note` is told where it will be before it is there. It stays when the system allows no such name there, or lets others
    be put into done/ or failed/ and not this one.
    """
    own, wanted = (
        (places.failed, places.failed_for(path)) if state == "failed" else (places.done, places.done_for(path))
    )
    try:
        folder = make_folder(wanted.parent, own)
        for number in itertools.count(1):
            target = places.numbered(folder / wanted.name, number)
            if os.path.lexists(target):
                continue
            note(target)
            with contextlib.suppress(FileExistsError):
                move(path, target)
                return target, ""
    except OSError as error:
        if error.errno in _NAMES:
            return None, "The original stays where it is, as no name fits it there."
        if error.errno not in _FORBIDDEN or not _takes(own):
            raise
        return None, f"The original stays where it is, as it cannot be moved: {error.strerror}."
    raise AssertionError


def _takes(folder: Path) -> bool:
    """Say whether a file can be put into a folder."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _write_why(places: Places, moved: Path, why: str) -> None:
    text = places.why_for(moved)
    text.write_text(f"{why}\n", "utf-8", "backslashreplace")
    share(text, moved.parent)


def set_aside(places: Places, path: Path, why: str) -> Path | None:
    """Put a file into failed/ with its reason, without a word to the journal, which may be what cannot cope with it.

    Return where it is, None when it has to stay. Raises `OSError`.
    """
    moved, _ = _moved(places, path, "failed", lambda _at: None)
    if moved is not None:
        _write_why(places, moved, why)
    return moved


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


def given_up(journal: Journal, places: Places, entry: Entry, why: str) -> Entry:
    """Make do with what there is after a fault of the program: a result that has its name is one, else it has failed.

    Raises `OutputError`, and whatever the same fault raises again.
    """
    entry = journal.again(entry)
    if entry.state == "written" and _all_there(places, entry, named=True):
        entry = journal.note(entry, "delivered")
    if entry.state == "delivered":
        clear(places, entry)
        moved = entry.original if entry.original is not None and not os.path.lexists(entry.path) else None
        return journal.note(entry, "done", original=moved, why=why)
    if entry.result is not None:  # no recipe without its picture
        for one, (_, target) in zip(entry.staged, _pairs(stage_of(places, entry), entry), strict=True):
            if _is_whole(one, target):
                target.unlink()
    return fail(journal, places, entry, why)


def repaired(journal: Journal, places: Places, say: Callable[[str], None]) -> None:
    """Finish, or undo to the beginning, whatever was interrupted in this folder, also if one of them has a fault.

    Raises `OutputError`, when all others are done.
    """
    worst: OutputError | None = None
    for entry in journal.unfinished(places.root):
        try:
            try:
                _repaired(journal, places, entry, say)
            except OutputError:
                raise
            except Exception as error:
                given_up(journal, places, entry, fault.tell(say, entry.name, error))
        except OutputError as error:
            worst = worst or error
        except Exception as error:
            fault.tell(say, entry.name, error)
    if worst is not None:
        raise worst
    _sweep(journal, places)


def _repaired(journal: Journal, places: Places, entry: Entry, say: Callable[[str], None]) -> None:
    if entry.state == "delivered" or (entry.state == "written" and _all_there(places, entry)):
        say(f"{entry.name}: goes on where it was interrupted")
        _finished(journal, places, entry)
        return
    clear(places, entry)
    if entry.state == "taken" and entry.why:  # it was on its way to failed/
        fail(journal, places, entry, entry.why)
    elif entry.state == "taken" and entry.deaths >= DEATHS:
        why = f"DeepDream ended {entry.deaths} times while it read this file. Export it again in another program."
        fail(journal, places, entry, why)
    else:
        journal.note(entry, "waiting")


def _all_there(places: Places, entry: Entry, *, named: bool = False) -> bool:
    """Say whether every file of a written result is whole: in its hidden folder, unless `named`, or under its name."""
    if not entry.staged or entry.result is None:
        return False
    return all(
        _is_whole(one, source if source.exists() and not named else target)
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
                with contextlib.suppress(OSError):
                    _remove(left)


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
