"""The whole installation: the order of its parts, what they need from each other, and what the user reads."""

import contextlib
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import environment
import folder
import gimp
import install_lock
import launcher
import processes
import recover
import running_programs
import service
from actions import Actions, Change
from app import SOURCE, App
from errors import GB, Exit, InstallError, from_os_error
from packages import python_of
from project import Project
from screen import Screen
from uninstall import Uninstall

from deepdream_core.machine.folders import UserFolders
from deepdream_core.machine.manifest import Manifest, NewerManifestError


@dataclass(frozen=True)
class Options:
    """The command's options; `into` are GIMP plug-in folders, empty for all that are found."""

    dry_run: bool = False
    linger: bool = False
    purge: bool = False
    with_cluster: bool = False
    into: tuple[Path, ...] = ()


class Installation:
    """Everything to install for this user from the clone at `root`; use `opened`."""

    def __init__(self, root: Path, options: Options, torch_index: str | None, screen: Screen) -> None:
        self.root = root
        self.options = options
        self.torch_index = torch_index
        self.screen = screen
        self.output = Screen(sys.stdout)
        self.user: UserFolders = user_folders()
        self.manifest = Manifest(self.user.manifest, home=self.user.home, dry_run=options.dry_run)
        self.later: list[Callable[[], None]] = []
        """Steps to run at the very end."""
        self._shown: set[str] = set()
        self.planned = False
        """Whether this dry run has already printed how it would install the program."""

    @contextlib.contextmanager
    def opened(self, *, make: bool = True) -> Iterator["Installation"]:
        """Hold the lock and read the record; turns OSError into InstallError. `make`: create DATA if it is missing."""
        refuse_another_home(self.user)
        try:
            with contextlib.ExitStack() as stack:
                stack.enter_context(processes.ended_by_signals())
                stack.enter_context(processes.closed_to_others())
                self._lock(stack, make=make)
                made = self.manifest.parts.get("app")
                self.manifest = self._read_manifest()
                if self.manifest.damaged and make:
                    self._set_aside()
                if made:
                    known = self.manifest.part("app").folders
                    known[:0] = [folder for folder in made.folders if folder not in known]
                    self.manifest.save()  # even if this fails, uninstall can remove these folders
                yield self
                for step in self.later:
                    step()
                if self.options.dry_run:
                    self.output.line("This was a dry run: nothing was changed")
        except OSError as error:
            raise _as_install_error(error, self.user.data) from error

    def _lock(self, stack: contextlib.ExitStack, *, make: bool) -> None:
        """Hold the lock in DATA, which is created first if `make`."""
        files = [self.user.data / install_lock.NAME, self.user.manifest] if make else []
        if make:
            self.actions("app").folder(self.user.data)
        text = "\n".join(f"write {path}" for path in files if not path.exists())
        self.actions("app").apply(Change(text, partial(self._hold, stack, make=make)))

    def _hold(self, stack: contextlib.ExitStack, *, make: bool) -> None:
        """Hold the lock, unless DATA is gone and is not to be created."""
        data = self.user.data
        while True:
            if make:
                self.actions("app").folder(data)
            if not data.is_dir():
                return
            with contextlib.suppress(FileNotFoundError):  # an uninstall removed it while this one waited
                stack.enter_context(install_lock.install_lock(data, self.screen))
                return

    def _read_manifest(self) -> Manifest:
        try:
            return Manifest.read(self.user.manifest, home=self.user.home, dry_run=self.options.dry_run)
        except NewerManifestError as error:
            todo = f"use the newer installer: `python3 {shlex.quote(str(error.installer))}`"
            raise InstallError(str(error), todo, Exit.ENVIRONMENT) from None

    def _set_aside(self) -> None:
        """Replace an unreadable record by a new one with everything that is recognised as ours."""
        self.output.line(
            f"{self.user.manifest} {self.manifest.damaged}; creating a new record of the files it recognises"
        )
        recover.parts(self.user, self.manifest)
        self.manifest.damaged = ""

    def actions(self, part: str) -> Actions:
        """Return what applies and records the changes for a part."""
        return Actions(self.manifest, part, self.output, self._shown)

    # --- the parts ---

    def app(self) -> int:
        """Install the program or upgrade it to this clone's version; return the exit code."""
        extras = ("cluster",) if self.options.with_cluster else ()
        actions = self.actions("app")
        app = App(self.root, self.user, actions, self.screen, self.torch_index, extras)
        pause = service.Pause(self.user, self.actions("service"))
        new = not app.is_current()
        actions.expect(self.user.state)
        if new:
            self._exchange(app, pause)
        elif app.before is not None:
            app.switch(app.before)  # the record may lack it if the last run was killed
            app.remove_others(app.before)
            if pause.interrupted and (python := self.user.python()):
                pause.renew(python)
                pause.end()
        code = 0
        changed = False
        try:
            changed = launcher.install(self.user, actions, renew=new)
        except (InstallError, OSError) as error:
            code = self._failed(error)
        version = app.project.version
        self.planned = new and actions.dry_run
        if self.planned:
            self.output.line(f"DeepDream {version} would be installed")
        elif new:
            self.output.line(f"DeepDream {version} is installed in {self.user.used()}")
        else:
            done = "" if actions.dry_run else "; repaired" if changed else ": nothing to do"
            self.output.line(f"DeepDream {version} is already installed{done}")
        self._renew_plug_ins(new=new)
        for line in launcher.advice(self.user, os.environ):
            self.output.line(line)
        return code

    def _failed(self, error: InstallError | OSError) -> int:
        """Print why one part failed, and return the exit code; the others continue."""
        failure = error if isinstance(error, InstallError) else _as_install_error(error, self.user.data)
        self.screen.line(str(failure))
        return int(failure.code)

    def _exchange(self, app: App, pause: service.Pause) -> None:
        """Build this version and switch to it; switches back if the service does not start with it."""
        before = app.before
        version = app.build()
        ran = running_programs.of(self.user) if before else []
        try:
            pause.begin(self.user.python() if before else None)
            app.switch(version)
            if python := self.user.python():
                pause.renew(python)
            pause.end()
        except BaseException as error:  # Ctrl-C and `kill` too: never leave an unproven version in use
            if before is None or app.actions.dry_run:
                raise
            rolled_back = "rolled back to the previous version"
            with processes.undisturbed():
                try:
                    pause.take_back(lambda: app.switch(before))
                except (InstallError, OSError) as other:
                    rolled_back += f", but its service does not start: {getattr(other, 'what', other)}"
            if not isinstance(error, (InstallError, OSError)):
                self.output.line(rolled_back[0].upper() + rolled_back[1:])
                raise
            raise InstallError(
                f"the new version failed: {getattr(error, 'what', error)}",
                f"{rolled_back}; {getattr(error, 'todo', 'fix that, then run this again')}",
                getattr(error, "code", Exit.SERVICE),
            ) from error
        left = {one.pid for one in running_programs.of(self.user)}
        for one in ran:
            if one.pid in left:
                self.output.line(f"{one} still runs the previous version: stop it, and restart it if you need it")
        if self.root.is_relative_to(os.path.realpath(self.user.app)):
            self.later.append(lambda: app.remove_others(version))  # this installer runs from the previous version
        else:
            app.remove_others(version)

    def _renew_plug_ins(self, *, new: bool) -> None:
        """Update the plug-in wherever it is installed, also if an earlier run was killed before that."""
        actions = self.actions("gimp")
        folders = gimp.recorded(actions)
        if folders and (new or actions.part.facts.get("for") != self.manifest.app):
            self.gimp(folders)

    def gimp(self, into: Sequence[Path] = ()) -> int:
        """Install the plug-in into GIMP's folders, for the installed program or else the clone's; return the exit code."""
        self._refuse_older()
        installed = self.user.python() is not None
        used = self.user.used()
        root = used / SOURCE if installed and used and not self._is_older() else self.root
        if not installed:
            self.manifest.clone = str(self.root)
        actions = self.actions("gimp")
        code = gimp.run(self.user, root, into or self.options.into, self._python, actions, self.screen)
        if installed and code == 0 and actions.part.files and actions.part.facts.get("for") != self.manifest.app:
            actions.part.facts["for"] = self.manifest.app
            self.manifest.save()
        return code

    def folder(self) -> int:
        """Create the drop folders and print what they are for; return the exit code."""
        self._refuse_older()
        actions = self.actions("folder")
        python = self._python()
        wanted = folder.wanted(python) if python else [self.user.home / folder.USUAL]
        for line in folder.explain(folder.make(wanted, actions)):
            self.output.line(line)
        return 0

    def service(self) -> int:
        """Install and start the background service; return the exit code."""
        self._refuse_older()
        python = self.user.python()
        if python is None and not self.options.dry_run:
            raise InstallError(
                "the service needs the installed program",
                "run `python3 install app` first, or `python3 install` for everything",
                Exit.ENVIRONMENT,
            )
        python = python or self.user.python_in(self.user.current)
        for line in service.install(python, self.user, self.actions("service"), linger=self.options.linger):
            self.output.line(line)
        return 0

    def everything(self) -> int:
        """Install all parts; return the exit code, that of the first that failed."""
        code = self.app()
        for step in (self.folder, self.service, self.gimp):
            try:
                done = step()
                code = code or done
            except (InstallError, OSError) as error:
                failed = self._failed(error)
                code = code or failed
        if self.options.dry_run:
            return code
        source = (self.user.used() or self.user.current) / SOURCE / "install"
        if not self.user.windows:
            source = self.user.current / SOURCE / "install"
        command = f"python3 {shlex.quote(str(source))} uninstall"
        self.output.line(f"To remove everything: `python3 install uninstall`, or without the clone: `{command}`")
        return code

    def uninstall(self) -> int:
        """Remove everything that the record names; return the exit code."""
        for line in Uninstall(self.user, self.manifest, self.actions("app"), purge=self.options.purge).run():
            self.output.line(line)
        return 0

    def _is_older(self) -> bool:
        """Return whether the program in use is too old for this installer: its modules have other names."""
        used = self.user.used()
        source = used / SOURCE / "deepdream_core" if used else None
        return source is not None and source.is_dir() and not (source / "link").is_dir()

    def _refuse_older(self) -> None:
        """Raise InstallError if a single part is to be installed for an older program; a dry run continues."""
        if self._is_older() and not self.options.dry_run:
            raise InstallError(
                "the installed DeepDream is older than this clone",
                "run `python3 install`, which upgrades everything",
                Exit.ENVIRONMENT,
            )

    def _python(self) -> Path | None:
        """Return the Python of the installed program, else of the clone's environment, creating it if needed."""
        older = self._is_older()
        if (installed := self.user.python()) and not older:
            return installed
        if older:  # in a dry run: the version to ask is not built yet
            return None
        python = python_of(self.root / ".venv")
        if not self.planned:
            index = environment.index_for(Project.read(self.root), self.torch_index, self.screen, self.root / ".venv")
            commands = [f"run: {command}" for command in environment.commands(self.root, index)]
            ensure = partial(environment.ensure, self.root, (), index or environment.USUAL_INDEX, self.screen)
            self.actions("app").apply(Change("\n".join(commands), ensure))
        return python if python.exists() else None


def user_folders() -> UserFolders:
    """Return the folders of the user who runs this; raises InstallError if there is no home folder."""
    try:
        return UserFolders.here()
    except RuntimeError:
        raise InstallError("cannot find your home folder", "set HOME to its full path", Exit.ENVIRONMENT) from None


def refuse_another_home(user: UserFolders) -> None:
    """Raise InstallError if root works in another user's home folder, or through `sudo` for an ordinary user."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return
    owner = 0
    with contextlib.suppress(OSError):
        owner = user.home.stat().st_uid
    if owner != 0 or os.environ.get("SUDO_UID", "0") not in ("0", ""):
        raise InstallError(
            "root ran this for the home folder of another user",
            "run it without sudo, as the user who wants DeepDream: it does not need root",
            Exit.USAGE,
        )


def _as_install_error(error: OSError, folder: Path) -> InstallError:
    """Return the InstallError for an error of the system in the user's folders."""
    failure = from_os_error(error, folder, GB // 100)
    if failure.code == Exit.NOT_WRITABLE:
        return InstallError(failure.what, "make it writable for you, then run the same command again", failure.code)
    return failure
