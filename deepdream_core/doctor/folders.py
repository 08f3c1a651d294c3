"""Checks of the drop folders: can they be used, do events arrive, and how many more can inotify watch."""

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
from deepdream_core.work.ignore import Ignore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from watchdog.events import FileSystemEvent

ROOM = 1_000_000_000
"""Bytes that should be free in a drop folder: an original and a result of 24 megapixels take up to 0.6 GB."""
EVENT_WITHIN_S = 5.0
CANARY = ".deepdream-canary-"
"""How the daemon's own trial files begin: it takes no notice of them."""
_OWN = ("out", "done", "failed")  # as in hotfolder.layout, which needs packages that may be broken


def check_folder(root: Path, wanted: bool, is_known: Callable[[Path], bool], short: Callable[[Path], str]) -> Finding:
    """Look whether a drop folder can be worked in.

    `wanted` says whether somebody is to watch it, `is_known` whether it was ever watched: then its disk is away.
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
            f"{short(root)} on {kind}: {free / 1e9:.2f} GB are free, {ROOM / 1e9:.0f} GB should be", "free some space"
        )
    return passed(f"{short(root)} on {kind}, {free / 1e9:.0f} GB free")


def _not_there(root: Path, wanted: bool, is_known: Callable[[Path], bool], short: Callable[[Path], str]) -> Finding:
    if is_known(root):
        return failing(
            f"{short(root)} is not there, and once was", "mount its disk, or name another folder in config.yaml"
        )
    if not wanted:
        return skipped(f"{short(root)} is not there; `deepdream watch` makes it")
    above, quoted = root.parent, shlex.quote(str(root))
    if not above.is_dir():
        return failing(
            f"{short(root)} does not exist, nor does the folder above it", f"mount its disk, or `mkdir -p {quoted}`"
        )
    repair = Repair(f"make {short(root)}", root.mkdir) if os.access(above, os.W_OK | os.X_OK) else None
    return failing(f"{short(root)} is not there", f"`mkdir {quoted}`", repair)


def _own(root: Path) -> list[Path]:
    return [root, *(path for name in _OWN if (path := root / name).is_dir())]


def _not_usable(paths: list[Path], short: Callable[[Path], str]) -> Finding:
    path = paths[0]
    names = " ".join(shlex.quote(str(one)) for one in paths)
    what = f"{short(path)} cannot be read or written" + (f", nor {len(paths) - 1} more" if len(paths) > 1 else "")
    if sys.platform == "win32":
        return failing(what, "allow your user to write there in its properties, or name another folder")
    if any(one.stat().st_uid != os.geteuid() for one in paths):
        return failing(what, f'it belongs to another user: `sudo chown "$USER" {names}`, or name another folder')
    if any(os.statvfs(one).f_flag & os.ST_RDONLY for one in paths):
        return failing(what, "its file system is mounted read-only: mount it for writing, or name another folder")

    def open_them() -> None:
        for one in paths:
            one.chmod(stat.S_IMODE(one.stat().st_mode) | stat.S_IRWXU)

    return failing(what, f"`chmod u+rwx {names}`", Repair(f"chmod u+rwx {names}", open_them))


def known_to(journal: Path) -> Callable[[Path], bool]:
    """Return what says whether a folder is in the journal, which is read without being opened for anything else."""

    def is_known(root: Path) -> bool:
        if not journal.exists():
            return False
        # immutable: SQLite would otherwise make files beside it, and wait for the daemon.
        with contextlib.suppress(sqlite3.Error):
            opened = sqlite3.connect(f"file:{quote(os.fsencode(journal))}?mode=ro&immutable=1", uri=True)
            with contextlib.closing(opened):
                asked = opened.execute("SELECT 1 FROM folders WHERE folder = ?", (os.fsencode(root),))
                return asked.fetchone() is not None
        return False

    return is_known


def file_system(path: Path) -> str:
    """Return the name of the file system of a path, as the system calls it."""
    import psutil

    real = Path(os.path.realpath(path))
    mounts = [(Path(one.mountpoint), one.fstype) for one in psutil.disk_partitions(all=True)]
    over = [(len(place.parts), kind) for place, kind in reversed(mounts) if real.is_relative_to(place)]
    return max(over, key=itemgetter(0), default=(0, "an unknown file system"))[1] or "an unknown file system"


def check_events(root: Path, name: str, within_s: float = EVENT_WITHIN_S) -> Finding:
    """Look whether the system reports a file that is made in a drop folder; `name` is that file's, removed at once."""
    from deepdream_core.hotfolder.system_events import Events, in_plain_words, shared_with_others

    if not root.is_dir():
        return skipped("the folder is not there")
    if not os.access(root, os.W_OK | os.X_OK):
        return skipped("the folder cannot be written to")
    canary, heard = root / name, threading.Event()

    def take(event: FileSystemEvent) -> None:
        if os.path.basename(os.fsdecode(event.src_path)) == name:  # noqa: PTH119
            heard.set()

    try:
        events = Events(Path(os.path.realpath(root)), take, lambda _folder: True, lambda: None)
    except Exception as error:  # whatever a system has against it
        what, _, step = in_plain_words(error).rpartition(": ")
        return failing(what or step, f"{step.partition(';')[0]}; until then it is looked through every few seconds")
    try:
        try:
            os.close(os.open(canary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        finally:
            canary.unlink(missing_ok=True)
        reported = heard.wait(within_s)
    finally:
        events.stop()
    shared = shared_with_others(root).partition(" unnoticed")[0]
    if not reported:
        step = "have the drop folder on a disk of this machine, or live with a search every poll_s seconds"
        return failing(shared or "this file system reports no changes", step)
    return passed(f"they arrive, but {shared} without one: it is searched as well" if shared else "they arrive")


def check_inotify(roots: Iterable[Path], limits: Mapping[str, int], used: Mapping[str, int], watched: bool) -> Finding:
    """Look whether inotify can watch these folders; `watched` says that somebody does already.

    `limits` and `used` are this user's for `watches` and `instances`, as of `inotify_limits` and `inotify_used`.
    """
    folders = [root for root in roots if root.is_dir()]
    needed = {"watches": sum(map(_folders_in, folders)), "instances": len(folders)}
    parts = []
    for what, enough in (("watches", 524_288), ("instances", 1_024)):
        limit, taken, more = limits[what], used[what], 0 if watched else needed[what]
        if taken + more > limit:
            value = max(enough, 2 * limit, 2 * (taken + more))
            return failing(
                f"{taken:,} of {limit:,} {what} are used, {needed[what]:,} are needed for the drop folders",
                f"`echo fs.inotify.max_user_{what}={value} | sudo tee -a /etc/sysctl.d/60-deepdream.conf; "
                "sudo sysctl --system`",
            )
        parts.append(f"{taken:,} of {limit:,} {what}")
    return passed(f"{' and '.join(parts)} used, {needed['watches']:,} needed for the drop folders")


def _folders_in(root: Path) -> int:
    """Return how many folders have to be watched for a drop folder: those that are ours or ignored are left out."""
    count, ignore = 0, Ignore()
    for folder, below, _files in os.walk(root):
        below[:] = [name for name in below if not ignore.why(name) and not (Path(folder) == root and name in _OWN)]
        count += 1
    return count


def inotify_limits(proc: Path = Path("/proc/sys")) -> dict[str, int]:
    """Return how many watches and instances a user may have: the least that applies."""
    found = {}
    for what in ("watches", "instances"):
        places = (proc / f"fs/inotify/max_user_{what}", proc / f"user/max_inotify_{what}")
        found[what] = min(int(place.read_text()) for place in places if place.exists())
    return found


def inotify_used(uid: int, proc: Path = Path("/proc")) -> dict[str, int]:
    """Return how many a user's processes have, as far as they let themselves be looked at."""
    used = {"watches": 0, "instances": 0}
    for process in proc.glob("[0-9]*"):
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
