"""Checks of the drop folders: whether they are usable, events arrive, and inotify can watch them."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sqlite3
import stat
import sys
import threading
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from deepdream_core.doctor.check import Finding, Repair, failing, passed, skipped
from deepdream_core.machine.drop_folder import OWN
from deepdream_core.work.ignore import Ignore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from watchdog.events import FileSystemEvent

ROOM = 1_000_000_000
"""Bytes that should be free in a drop folder: an original and a result of 24 megapixels take up to 0.6 GB."""
EVENT_WITHIN_S = 5.0


def check_folder(root: Path, wanted: bool, is_known: Callable[[Path], bool], short: Callable[[Path], str]) -> Finding:
    """Check that a drop folder is usable.

    `wanted`: the hot folder is to watch it; `is_known`: it was watched before, so if missing, its disk is not mounted.
    """
    try:
        is_folder = stat.S_ISDIR(root.stat().st_mode)
    except FileNotFoundError:
        return _not_there(root, wanted, is_known, short)
    if not is_folder:
        return failing(f"{short(root)} is a file, not a folder", "name another folder in config.yaml")
    unusable = [path for path in _own(root) if not os.access(path, os.R_OK | os.W_OK | os.X_OK)]
    if unusable:
        return _not_usable(unusable, short)
    free, kind = shutil.disk_usage(root).free, file_system(root)
    if free < ROOM:
        return failing(
            f"{short(root)} on {kind}: {free / 1e9:.2f} GB free, but {ROOM / 1e9:.0f} GB needed", "free some space"
        )
    return passed(f"{short(root)} on {kind}, {free / 1e9:.0f} GB free")


def _not_there(root: Path, wanted: bool, is_known: Callable[[Path], bool], short: Callable[[Path], str]) -> Finding:
    if is_known(root):
        return failing(f"{short(root)} no longer exists", "mount its disk, or name another folder in config.yaml")
    if not wanted:
        return skipped(f"{short(root)} does not exist; `deepdream watch` creates it")
    above, quoted = root.parent, shlex.quote(str(root))
    if not above.is_dir():
        return failing(
            f"{short(root)} does not exist, nor does the folder above it", f"mount its disk, or `mkdir -p {quoted}`"
        )
    repair = Repair(f"create {short(root)}", root.mkdir) if os.access(above, os.W_OK | os.X_OK) else None
    return failing(f"{short(root)} does not exist", f"`mkdir {quoted}`", repair)


def _own(root: Path) -> list[Path]:
    return [root, *(path for name in OWN if (path := root / name).is_dir())]


def _not_usable(paths: list[Path], short: Callable[[Path], str]) -> Finding:
    path = paths[0]
    names = " ".join(shlex.quote(str(one)) for one in paths)
    what = f"cannot read or write {short(path)}" + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")
    if sys.platform == "win32":
        return failing(what, "give your user write access in its properties, or name another folder")
    if any(one.stat().st_uid != os.geteuid() for one in paths):
        return failing(what, f'it belongs to another user: `sudo chown "$USER" {names}`, or name another folder')
    if any(os.statvfs(one).f_flag & os.ST_RDONLY for one in paths):
        return failing(what, "its file system is read-only: mount it for writing, or name another folder")

    def open_them() -> None:
        for one in paths:
            one.chmod(stat.S_IMODE(one.stat().st_mode) | stat.S_IRWXU)

    return failing(what, f"`chmod u+rwx {names}`", Repair(f"chmod u+rwx {names}", open_them))


def known_to(journal: Path) -> Callable[[Path], bool]:
    """Return a function that tells whether a folder is in the journal, which it opens read-only."""

    def is_known(root: Path) -> bool:
        if not journal.exists():
            return False
        # immutable: otherwise SQLite would create files beside it, and wait for the daemon.
        with contextlib.suppress(sqlite3.Error):
            opened = sqlite3.connect(f"file:{quote(os.fsencode(journal))}?mode=ro&immutable=1", uri=True)
            with contextlib.closing(opened):
                asked = opened.execute("SELECT 1 FROM folders WHERE folder = ?", (os.fsencode(root),))
                return asked.fetchone() is not None
        return False

    return is_known


def file_system(path: Path) -> str:
    """Return the system's name for the file system of a path."""
    import psutil

    real = Path(os.path.realpath(path))
    mounts = [(Path(one.mountpoint), one.fstype) for one in psutil.disk_partitions(all=True)]
    over = [(len(place.parts), kind) for place, kind in reversed(mounts) if real.is_relative_to(place)]
    return max(over, key=itemgetter(0), default=(0, "an unknown file system"))[1] or "an unknown file system"


def check_events(root: Path, name: str) -> Finding:
    """Check that the system reports a new file in a drop folder; `name` is the trial file's, removed at once."""
    from deepdream_core.hotfolder.system_events import Events, in_plain_words, shared_with_others

    if not root.is_dir():
        return skipped("the folder does not exist")
    if not os.access(root, os.W_OK | os.X_OK):
        return skipped("the folder is not writable")
    canary, heard = root / name, threading.Event()

    def take(event: FileSystemEvent) -> None:
        if os.path.basename(os.fsdecode(event.src_path)) == name:  # noqa: PTH119
            heard.set()

    try:
        events = Events(Path(os.path.realpath(root)), take, lambda _folder: True, lambda: None)
    except Exception as error:  # systems raise many kinds
        what, _, step = in_plain_words(error).rpartition(": ")
        return failing(what or step, f"{step.partition(';')[0]}; until then DeepDream scans it every few seconds")
    try:
        try:
            os.close(os.open(canary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        finally:
            canary.unlink(missing_ok=True)
        reported = heard.wait(EVENT_WITHIN_S)
    finally:
        events.stop()
    shared = shared_with_others(root).partition(" unnoticed")[0]
    if not reported:
        step = "move the drop folder to a local disk, or accept a scan every poll_s seconds"
        return failing(shared or "this file system reports no changes", step)
    return passed(f"changes arrive, but {shared} unnoticed, so DeepDream also scans it" if shared else "changes arrive")


def check_inotify(roots: Iterable[Path], limits: Mapping[str, int], used: Mapping[str, int], watched: bool) -> Finding:
    """Check that inotify can watch these folders; `watched`: a daemon already does.

    `limits` and `used` are this user's `watches` and `instances`, as `inotify_limits` and `inotify_used` return them.
    """
    folders = [root for root in roots if root.is_dir()]
    needed = {"watches": sum(map(_folders_in, folders)), "instances": len(folders)}
    parts = []
    for what, enough in (("watches", 524_288), ("instances", 1_024)):
        limit, taken, more = limits[what], used[what], 0 if watched else needed[what]
        if taken + more > limit:
            value = max(enough, 2 * limit, 2 * (taken + more))
            return failing(
                f"{taken:,} of {limit:,} {what} are in use, but the drop folders need {needed[what]:,}",
                f"`echo fs.inotify.max_user_{what}={value} | sudo tee -a /etc/sysctl.d/60-deepdream.conf; "
                "sudo sysctl --system`",
            )
        parts.append(f"{taken:,} of {limit:,} {what}")
    return passed(f"{' and '.join(parts)} in use; the drop folders need {needed['watches']:,} watches")


def _folders_in(root: Path) -> int:
    """Return how many folders of a drop folder must be watched, without our own and ignored ones."""
    count, ignore = 0, Ignore()
    for folder, below, _files in os.walk(root):
        below[:] = [name for name in below if not ignore.why(name) and not (Path(folder) == root and name in OWN)]
        count += 1
    return count


def inotify_limits() -> dict[str, int]:
    """Return how many watches and instances a user may have, the lowest limit that applies."""
    found = {}
    for what in ("watches", "instances"):
        places = (Path(f"/proc/sys/fs/inotify/max_user_{what}"), Path(f"/proc/sys/user/max_inotify_{what}"))
        found[what] = min(int(place.read_text()) for place in places if place.exists())
    return found


def inotify_used(uid: int) -> dict[str, int]:
    """Return how many the user's processes have, as far as they are readable."""
    used = {"watches": 0, "instances": 0}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if process.stat().st_uid != uid:
                continue
            for entry in os.scandir(process / "fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(entry.path) == "anon_inode:inotify":  # noqa: PTH115
                        used["instances"] += 1
                        info = (process / "fdinfo" / entry.name).read_text()
                        used["watches"] += info.count("inotify wd:")
    return used
