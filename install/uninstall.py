"""`python3 install uninstall`: remove what the record names and nothing else; with --purge also what the program wrote.

Removes files that still have the content we wrote, and empty folders. Never touches the user's pictures, results and
originals. Without a readable record, it removes what it recognises at the well-known places.
"""

import contextlib
import os
import re
import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from urllib.parse import quote

import launcher
import recover
import running_programs
import service
from actions import Actions, Change
from errors import Exit, InstallError
from folder import USUAL

from deepdream_core.machine.drop_folder import MARK, OWN
from deepdream_core.machine.folders import UserFolders
from deepdream_core.machine.gimp import COPIES, PLUG_IN, PROGRAM
from deepdream_core.machine.manifest import Manifest, Part, in_the_making

STATE = re.compile(
    r"endpoint\.json|service\.json|\.(?:endpoint|service)-[0-9a-f]+\.tmp|helper\.lock|helper\.log.*|helper-start\.log"
    r"|run-[A-Za-z0-9_-]*|hotfolder|cluster|watch\.log.*"
)
"""Names that the program writes into its state folder, as in `link.private_files`."""
HELPER_STOPS_WITHIN_S = 60.0


class Uninstall:
    """One removal by the record in `manifest`; reports what it keeps, and why."""

    def __init__(self, user: UserFolders, manifest: Manifest, actions: Actions, *, purge: bool) -> None:
        self.user = user
        self.manifest = manifest
        self.actions = actions
        self.purge = purge
        self.left: list[str] = []
        self.removed = 0

    def run(self) -> list[str]:
        """Remove everything; return lines for the user. Raises OSError."""
        if self.manifest.damaged:
            self.actions.output.line(f"{self.manifest.path} {self.manifest.damaged}; removing the files it recognises")
        if self.manifest.damaged or not self.manifest.path.exists():
            recover.parts(self.user, self.manifest)
        trees = self._trees()
        if not trees:
            self._refuse_elsewhere()
        if not self.manifest.parts and not trees and not (self.purge and self._purgeable()):
            self._last([])  # an installation that stopped early leaves its lock and the lock's folder
            return ["DeepDream is not installed for this user", *self._kept()]
        output = service.remove(self.user, self.actions.of("service"))
        python = self.user.python()
        if python is not None:
            self.actions.run(python, "-I", "-m", "deepdream_core", "helper", "--stop", within_s=HELPER_STOPS_WITHIN_S)
        output += self._end_running()
        parts = list(self.manifest.parts.values())
        for part in parts:
            self._files(part)
            self._links(part)
        service.forget(self.user, self.actions.of("service"))
        self._endpoint()
        for tree in trees:
            self._count(tree)
            self.actions.remove_tree(tree)
        watched = self._watched() if self.purge else []
        if self.purge:
            self._purge()
        self._drop_folders(watched)
        self._last(parts)
        return [*output, *self._report()]

    def _refuse_elsewhere(self) -> None:
        """Raise InstallError if the command `deepdream` starts a program in another folder, which has its own record."""
        other = launcher.app_of(self.user)
        if other is None or not other.is_dir() or other.resolve() == self.user.app.resolve():
            return
        share = other.parent.parent
        raise InstallError(
            f"DeepDream is installed in {other.parent}, under another XDG_DATA_HOME",
            f"run `XDG_DATA_HOME={shlex.quote(str(share))} python3 install uninstall`",
            Exit.ENVIRONMENT,
        )

    def _trees(self) -> list[Path]:
        """Return the folders of versions: those that the record names, and those with our stamp."""
        app = self.user.app
        named = (Path(tree) for part in self.manifest.parts.values() for tree in part.trees)
        # A manipulated record must not name other folders.
        return list(dict.fromkeys([*(tree for tree in named if tree.parent == app), *recover.versions(app)]))

    def _end_running(self) -> list[str]:
        """End the program's running processes; return lines for the user."""
        output: list[str] = []
        found = running_programs.of(self.user)
        daemons = [one for one in found if one.is_daemon]

        def end() -> None:
            left = running_programs.end(daemons, self.user)
            output.extend(f"Stopped {one}" for one in daemons if one not in left)
            self.left += [f"Could not stop {one}" for one in left]

        if daemons:
            self.actions.apply(Change(f"end {', '.join(map(str, daemons))}", end))
        output += [
            f"{one} is still running, and may fail now that its files are gone" for one in found if one not in daemons
        ]  # fmt: skip
        return output

    def _count(self, path: str | Path) -> None:
        self.removed += os.path.lexists(path)

    def _files(self, part: Part) -> None:
        """Remove the files that still have our content, and unfinished ones."""
        for name in part.files:
            path = Path(name)
            self._unlink(in_the_making(path))
            if path.name == PROGRAM:  # after a kill between two steps, the folder itself may be missing
                for left in (left for end in ("new", "old") for left in path.parent.parent.glob(f".deepdream-*.{end}")):
                    self.actions.remove_tree(left)
            if not path.is_file():
                continue
            if part.wrote(path, path.read_bytes()):
                self._unlink(path)
            else:
                self.left.append(f"Kept {path}: you changed it")

    def _unlink(self, path: Path) -> None:
        if os.path.lexists(path):
            self._count(path)
            self.actions.apply(Change(f"remove {path}", path.unlink))

    def _links(self, part: Part) -> None:
        """Remove the links that still have our target."""
        for name, target in part.links.items():
            path = Path(name)
            self._unlink(in_the_making(path))
            if path.is_symlink():
                leads = os.readlink(path)  # noqa: PTH115
                if leads == target or Path(leads).name == Path(target).name or path == self.user.current:
                    self._unlink(path)
                else:
                    self.left.append(f"Kept {path}: it now links to something else")

    def _endpoint(self) -> None:
        """Remove the service's endpoint file, whose token is now useless."""
        recorded = self.manifest.part("service").facts.get("endpoint")
        if isinstance(recorded, str) and Path(recorded).is_absolute() and Path(recorded).name == "service.json":
            self._unlink(Path(recorded))
            self._remove_if_empty(Path(recorded).parent)

    def _watched(self) -> list[Path]:
        """Return the drop folders in the journal, which outlives the record when an uninstall runs without --purge."""
        journal = self.user.state / "hotfolder" / "journal.sqlite3"
        # Read without a lock: otherwise SQLite would create files beside it, even in a dry run.
        with contextlib.suppress(ImportError, OSError, ValueError):
            import sqlite3

            with contextlib.suppress(sqlite3.Error):
                opened = sqlite3.connect(f"file:{quote(os.fsencode(journal))}?mode=ro&immutable=1", uri=True)
                with contextlib.closing(opened):
                    return [Path(os.fsdecode(row[0])) for row in opened.execute("SELECT folder FROM folders")]
        return []

    def _drop_folders(self, watched: Sequence[Path]) -> None:
        """Remove our own files from the drop folders that we created or that the journal names."""
        made = [Path(name) for name in self.manifest.part("folder").folders]
        for folder in dict.fromkeys([*made, *watched]):
            if not (folder / MARK).is_file():
                continue
            if not self.purge:
                # The journal recognises the folder by its mark; without it, the disk would seem to be missing.
                self.left.append(f"Kept {folder}: it is in the journal, which `--purge` removes")
                continue
            self._unlink(folder / MARK)
            for own in OWN:
                self._remove_if_empty(folder / own)
            if folder == self.user.home / USUAL:
                self._remove_if_empty(folder)

    def _last(self, parts: list[Part]) -> None:
        """Remove folders, innermost first, then the record itself and its folder."""
        made = {Path(folder) for part in parts for folder in part.folders} | {self.user.app}
        data = {folder for folder in made if self.user.data.is_relative_to(folder)}
        for folder in sorted(made - data, key=lambda path: len(path.parts), reverse=True):
            self._remove_if_empty(folder)
        self._unlink(in_the_making(self.user.manifest))
        self._unlink(self.user.manifest)
        self._unlink(self.user.data / "install.lock")
        for folder in sorted({*data, self.user.data}, key=lambda path: len(path.parts), reverse=True):
            if folder in data or folder == self.user.data:
                self._remove_if_empty(folder)

    def _remove_if_empty(self, folder: Path) -> None:
        """Remove a folder that is empty, or contains only compiled copies of our files."""
        if folder.is_symlink() or not folder.is_dir():
            return
        self.actions.apply(Change(f"remove the folder {folder} if it is then empty", partial(self._rmdir, folder)))

    @staticmethod
    def _rmdir(folder: Path) -> None:
        compiled = folder / "__pycache__"
        with contextlib.suppress(OSError):
            if [path.name for path in folder.iterdir()] == ["__pycache__"] and folder.name in (PLUG_IN, *COPIES):
                for path in compiled.glob("*.pyc"):
                    path.unlink()
                compiled.rmdir()
        with contextlib.suppress(OSError):  # not empty: the rest is not ours
            folder.rmdir()

    def _purgeable(self) -> list[Path]:
        """Return what exists of the things that --purge removes: configuration, journal, logs, weights and cache."""
        user = self.user
        found = [user.config / "config.yaml", user.weights, user.cache]
        with contextlib.suppress(OSError):
            found += [path for path in sorted(user.state.iterdir()) if STATE.fullmatch(path.name)]
        return [path for path in found if os.path.lexists(path)]

    def _purge(self) -> None:
        for path in self._purgeable():
            self._count(path)
            self.actions.remove_tree(path)
        for folder in (self.user.config, self.user.state):
            self._remove_if_empty(folder)

    def _report(self) -> list[str]:
        lines = [] if self.actions.dry_run else [f"Removed DeepDream ({self.removed} files and folders)"]
        lines += self.left
        return lines + self._kept()

    def _kept(self) -> list[str]:
        """Return a line about what only --purge removes, if it exists."""
        user = self.user
        kept = [path for path in (user.config / "config.yaml", user.state, user.weights) if path.exists()]
        if self.purge or not kept:
            return []
        names = ", ".join(map(str, kept))
        return [f"Kept {names}; to remove these too, run `python3 install uninstall --purge`"]
