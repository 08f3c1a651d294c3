"""`python3 install uninstall`: remove what the record names, and nothing else; with --purge what the program wrote as well.

Files go whose content is still what was written, folders when they are empty. The user's pictures, results and originals
are never touched. Without a readable record what can be recognised is taken from the well-known places.
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

from deepdream_core.machine.folders import UserFolders
from deepdream_core.machine.gimp import COPIES, PLUG_IN, PROGRAM
from deepdream_core.machine.manifest import Manifest, Part, in_the_making

OWN_FOLDERS = ("out", "done", "failed")
MARK = ".deepdream-folder"
"""What the program makes in a drop folder."""
STATE = re.compile(
    r"endpoint\.json|\.endpoint-[0-9a-f]+\.tmp|helper\.lock|helper\.log.*|helper-start\.log|watch\.log|service\.json|"
    r"\.service-[0-9a-f]+\.tmp|run-[A-Za-z0-9_-]*|hotfolder|last\.json"
)
"""What the program writes into its folder for state, which on macOS and Windows holds config.yaml and weights too."""
HELPER_STOPS_WITHIN_S = 60.0


class Uninstall:
    """One removal by the record in `manifest`; prints what is left, and why."""

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
            self.actions.output.line(f"{self.manifest.path} cannot be read; what can be recognised is removed")
        if self.manifest.damaged or not self.manifest.path.exists():
            recover.parts(self.user, self.manifest)
        trees = self._trees()
        if not trees:
            self._refuse_elsewhere()
        if not self.manifest.parts and not trees and not (self.purge and self._purgeable()):
            self._last([])  # a lock, and the folder for it, is what an installation leaves that had not begun
            return ["Nothing of DeepDream is installed here", *self._kept()]
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
        """Raise InstallError if the command `deepdream` is that of a program in another place, of which we know nothing."""
        other = launcher.app_of(self.user)
        if other is None or not other.is_dir() or other.resolve() == self.user.app.resolve():
            return
        share = other.parent.parent
        raise InstallError(
            f"DeepDream is installed in {other.parent}, where XDG_DATA_HOME led then",
            f"`XDG_DATA_HOME={shlex.quote(str(share))} python3 install uninstall`",
            Exit.ENVIRONMENT,
        )

    def _trees(self) -> list[Path]:
        """Return the folders of versions: those that the record names, and those that bear our stamp."""
        app = self.user.app
        named = (Path(tree) for part in self.manifest.parts.values() for tree in part.trees)
        # A record that was tampered with must not lead anywhere else.
        return list(dict.fromkeys([*(tree for tree in named if tree.parent == app), *recover.versions(app)]))

    def _end_running(self) -> list[str]:
        """End what still runs of the program; return lines for the user."""
        output: list[str] = []
        found = running_programs.of(self.user)
        daemons = [one for one in found if one.is_daemon]

        def end() -> None:
            left = running_programs.end(daemons, self.user)
            output.extend(f"Ended: {one}" for one in daemons if one not in left)
            self.left += [f"{one}, which does not end" for one in left]

        if daemons:
            self.actions.apply(Change(f"end {', '.join(map(str, daemons))}", end))
        output += [
            f"{one} runs still, and may fail now that its files are gone" for one in found if one not in daemons
        ]  # fmt: skip
        return output

    def _count(self, path: str | Path) -> None:
        self.removed += os.path.lexists(path)

    def _files(self, part: Part) -> None:
        """Remove the files whose content is ours still, and what was in the making."""
        for name in part.files:
            path = Path(name)
            self._unlink(in_the_making(path))
            if path.name == PROGRAM:  # killed between two steps, the folder itself need not be there
                for left in (left for end in ("new", "old") for left in path.parent.parent.glob(f".deepdream-*.{end}")):
                    self.actions.remove_tree(left)
            if not path.is_file():
                continue
            if part.wrote(path, path.read_bytes()):
                self._unlink(path)
            else:
                self.left.append(f"{path}, which was changed")

    def _unlink(self, path: Path) -> None:
        if os.path.lexists(path):
            self._count(path)
            self.actions.apply(Change(f"remove {path}", path.unlink))

    def _links(self, part: Part) -> None:
        """Remove the links that still lead where they did."""
        for name, target in part.links.items():
            path = Path(name)
            self._unlink(in_the_making(path))
            if path.is_symlink():
                leads = os.readlink(path)  # noqa: PTH115
                if leads == target or Path(leads).name == Path(target).name or path == self.user.current:
                    self._unlink(path)
                else:
                    self.left.append(f"{path}, which leads elsewhere now")

    def _endpoint(self) -> None:
        """Remove the service's endpoint, whose token opens nothing any more."""
        recorded = self.manifest.part("service").facts.get("endpoint")
        if isinstance(recorded, str) and Path(recorded).is_absolute() and Path(recorded).name == "service.json":
            self._unlink(Path(recorded))
            self._remove_if_empty(Path(recorded).parent)

    def _watched(self) -> list[Path]:
        """Return the drop folders that the journal knows, also after a removal without --purge, when no record does."""
        journal = self.user.state / "hotfolder" / "journal.sqlite3"
        # Read without a lock: otherwise SQLite would make files beside it, also in a dry run.
        with contextlib.suppress(ImportError, OSError, ValueError):
            import sqlite3

            with contextlib.suppress(sqlite3.Error):
                opened = sqlite3.connect(f"file:{quote(os.fsencode(journal))}?mode=ro&immutable=1", uri=True)
                with contextlib.closing(opened):
                    return [Path(os.fsdecode(row[0])) for row in opened.execute("SELECT folder FROM folders")]
        return []

    def _drop_folders(self, watched: Sequence[Path]) -> None:
        """Take our own traces out of the drop folders: those that we made, and those that were watched."""
        made = [Path(name) for name in self.manifest.part("folder").folders]
        for folder in dict.fromkeys([*made, *watched]):
            if not (folder / MARK).is_file():
                continue
            if not self.purge:
                # The journal knows the folder by its mark: without it, it would be taken for a disk that is not there.
                self.left.append(f"{folder}, which the journal knows")
                continue
            self._unlink(folder / MARK)
            for own in OWN_FOLDERS:
                self._remove_if_empty(folder / own)
            if folder == self.user.home / USUAL:
                self._remove_if_empty(folder)

    def _last(self, parts: list[Part]) -> None:
        """Remove folders, the innermost first, then the record itself and its folder."""
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
        """Remove a folder that holds nothing, or nothing but what Python compiled of our files."""
        if folder.is_symlink() or not folder.is_dir():
            return
        self.actions.apply(Change(f"remove the folder {folder} if it is empty then", partial(self._rmdir, folder)))

    @staticmethod
    def _rmdir(folder: Path) -> None:
        compiled = folder / "__pycache__"
        with contextlib.suppress(OSError):
            if [path.name for path in folder.iterdir()] == ["__pycache__"] and folder.name in (PLUG_IN, *COPIES):
                for path in compiled.glob("*.pyc"):
                    path.unlink()
                compiled.rmdir()
        with contextlib.suppress(OSError):  # not empty: what is in there is not ours
            folder.rmdir()

    def _purgeable(self) -> list[Path]:
        """Return what --purge removes and is there: configuration, journal, logs and fetched weights."""
        user = self.user
        found = [user.config / "config.yaml", user.weights]
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
        lines = [] if self.actions.dry_run else [f"DeepDream is removed ({self.removed} things)"]
        lines += [f"Left: {what}" for what in self.left]
        return lines + self._kept()

    def _kept(self) -> list[str]:
        """Return a line about what only --purge removes, if there is any."""
        user = self.user
        kept = [path for path in (user.config / "config.yaml", user.state, user.weights) if path.exists()]
        if self.purge or not kept:
            return []
        names = ", ".join(map(str, kept))
        return [f"Kept: {names} — `python3 install uninstall --purge` removes them too"]
