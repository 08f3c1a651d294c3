"""The parts of an installation put together: their order, what each needs of the others, and what the user reads."""

import contextlib
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
from screen import Screen
from uninstall import Uninstall

from deepdream_core.machine.folders import UserFolders
from deepdream_core.machine.manifest import Manifest, NewerManifestError


@dataclass(frozen=True)
class Options:
    """What was asked for beside the part itself; `into` are GIMP's folders of plug-ins, none for all that are found."""

    dry_run: bool = False
    linger: bool = False
    purge: bool = False
    into: tuple[Path, ...] = ()


class Installation:
    """Everything that is or is to be installed for this user, from the clone at `root`; use `opened`."""

    def __init__(self, root: Path, options: Options, torch_index: str | None, screen: Screen) -> None:
        self.root = root
        self.options = options
        self.torch_index = torch_index
        self.screen = screen
        self.output = Screen(sys.stdout)
        self.user: UserFolders = user_folders()
        self.manifest = Manifest(self.user.manifest, home=self.user.home, dry_run=options.dry_run)
        self.later: list[Callable[[], None]] = []
        """What is done when all else has been done."""
        self._shown: set[str] = set()
        self.planned = False
        """Whether a dry run has printed already how the program would be made."""

    @contextlib.contextmanager
    def opened(self, *, make: bool = True) -> Iterator["Installation"]:
        """Hold the lock and the record; errors of the system become an InstallError. `make`: DATA if it is not there."""
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
                    self.manifest.save()  # whatever comes: the folders made for it can be removed again
                yield self
                for step in self.later:
                    step()
        except OSError as error:
            raise _as_install_error(error, self.user.data) from error

    def _lock(self, stack: contextlib.ExitStack, *, make: bool) -> None:
        """Hold the lock in DATA, which is made first if `make`; a dry run only says so."""
        data, actions = self.user.data, self.actions("app")
        if self.options.dry_run:
            if make and not self.user.manifest.exists():
                actions.folder(data)
                text = f"write {self.user.manifest}, the record, and {data / install_lock.NAME}"
                actions.show([Change(text, lambda: None)])
            return
        while True:
            if make:
                actions.folder(data)
            if not data.is_dir():
                return
            with contextlib.suppress(FileNotFoundError):  # removed by the uninstall that was waited for
                stack.enter_context(install_lock.install_lock(data, self.screen))
                return

    def _read_manifest(self) -> Manifest:
        try:
            return Manifest.read(self.user.manifest, home=self.user.home, dry_run=self.options.dry_run)
        except NewerManifestError as error:
            todo = f"use that one's installer: `python3 {shlex.quote(str(error.installer))}`"
            raise InstallError(str(error), todo, Exit.ENVIRONMENT) from None

    def _set_aside(self) -> None:
        """Begin a new record where the one there cannot be understood, with what is recognised as ours."""
        self.output.line(f"{self.user.manifest} cannot be read; a new one is made of what is recognised")
        recover.parts(self.user, self.manifest)
        self.manifest.damaged = ""

    def actions(self, part: str) -> Actions:
        """Return what writes down what is done for a part."""
        return Actions(self.manifest, part, self.output, self._shown)

    # --- the parts ---

    def app(self) -> int:
        """Install the program or bring it up to this clone's; return the exit code."""
        actions = self.actions("app")
        app = App(self.root, self.user, actions, self.screen, self.torch_index)
        pause = service.Pause(self.user, self.actions("service"))
        new = not app.is_current()
        actions.expect(self.user.state)
        if new:
            self._exchange(app, pause)
        elif app.before is not None:
            app.switch(app.before)  # the record may lack it, if the last run was killed
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
        if actions.dry_run:
            self.planned = new
            what = "would be installed" if new else "would be repaired" if changed else "is installed: nothing to do"
            self.output.line(f"DeepDream {version} {what}")
        elif new:
            self.output.line(f"DeepDream {version} is installed in {app.user.used()}")
        else:
            self.output.line(
                f"DeepDream {version} is installed already" + ("; repaired" if changed else ": nothing to do")
            )
        self._renew_plug_ins(new=new)
        for line in launcher.advice(self.user, os.environ):
            self.output.line(line)
        return code

    def _failed(self, error: InstallError | OSError) -> int:
        """Print why one part could not be done, and return the exit code; the others go on."""
        failure = error if isinstance(error, InstallError) else _as_install_error(error, self.user.data)
        self.screen.line(str(failure))
        return int(failure.code)

    def _exchange(self, app: App, pause: service.Pause) -> None:
        """Make this version and put it in the place of the one before, which comes back if the service will not run."""
        before = app.before
        version = app.build()
        ran = running_programs.of(self.user) if before else []
        try:
            pause.begin(self.user.python() if before else None)
            app.switch(version)
            if python := self.user.python():
                pause.renew(python)
            pause.end()
        except BaseException as error:  # Ctrl-C and `kill` too: a version that has not proved itself is not left in use
            if before is None or app.actions.dry_run:
                raise
            again = "the one before is in use again"
            with processes.undisturbed():
                try:
                    pause.take_back(lambda: app.switch(before))
                except (InstallError, OSError) as other:
                    again += f", but its service does not run: {getattr(other, 'what', other)}"
            if not isinstance(error, (InstallError, OSError)):
                self.output.line(f"The new version was taken back; {again}")
                raise
            raise InstallError(
                f"the new version was taken back: {getattr(error, 'what', error)}",
                f"{again}; {getattr(error, 'todo', 'fix that, then run this again')}",
                getattr(error, "code", Exit.SERVICE),
            ) from error
        left = {one.pid for one in running_programs.of(self.user)}
        for one in ran:
            if one.pid in left:
                self.output.line(f"{one} still runs as the version before: end it, and start it again if it is needed")
        if self.root.is_relative_to(os.path.realpath(self.user.app)):
            self.later.append(lambda: app.remove_others(version))  # it is being installed from the one before
        else:
            app.remove_others(version)

    def _renew_plug_ins(self, *, new: bool) -> None:
        """Bring the plug-in to this version wherever it was put, also if an earlier run was killed before that."""
        actions = self.actions("gimp")
        folders = gimp.recorded(actions)
        if folders and (new or actions.part.facts.get("for") != self.manifest.app):
            self.gimp(gimp.Request(self.options.dry_run, folders))

    def gimp(self, request: gimp.Request | None = None) -> int:
        """Put the plug-in into GIMP's folders, for the installed program or else for the clone's; return the exit code."""
        self._refuse_older()
        installed = self.user.python() is not None
        used = self.user.used()
        root = used / SOURCE if installed and used and not self._is_older() else self.root
        if not installed and not self.options.dry_run:
            self.manifest.clone = str(self.root)
        request = request or gimp.Request(self.options.dry_run, self.options.into)
        actions = self.actions("gimp")
        code = gimp.run(self.user, root, request, self._python, actions, self.screen)
        if installed and code == 0 and actions.part.files and actions.part.facts.get("for") != self.manifest.app:
            actions.part.facts["for"] = self.manifest.app
            self.manifest.save()
        return code

    def folder(self) -> int:
        """Make the drop folders and say what they are for; return the exit code."""
        self._refuse_older()
        actions = self.actions("folder")
        python = self._python()
        wanted = folder.wanted(python) if python else [self.user.home / folder.USUAL]
        for line in folder.explain(folder.make(wanted, actions)):
            self.output.line(line)
        return 0

    def service(self) -> int:
        """Set the background service up, and let GIMP's plug-in know how to reach it; return the exit code."""
        self._refuse_older()
        python = self.user.python()
        if python is None and not self.options.dry_run:
            raise InstallError(
                "the service needs the program in a place of its own",
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
            self.output.line("Nothing was changed: this was a dry run")
            return code
        source = (self.user.used() or self.user.current) / SOURCE / "install"
        if not self.user.windows:
            source = self.user.current / SOURCE / "install"
        again = f"python3 {shlex.quote(str(source))} uninstall"
        self.output.line(f"To remove it all: `python3 install uninstall`, or without the clone: {again}")
        return code

    def uninstall(self) -> int:
        """Remove everything that the record names; return the exit code."""
        for line in Uninstall(self.user, self.manifest, self.actions("app"), purge=self.options.purge).run():
            self.output.line(line)
        return 0

    def _is_older(self) -> bool:
        """Return whether the program in use is of a version whose modules have other names than this installer asks for."""
        used = self.user.used()
        source = used / SOURCE / "deepdream_core" if used else None
        return source is not None and source.is_dir() and not (source / "link").is_dir()

    def _refuse_older(self) -> None:
        """Raise InstallError if a part is to be installed alone for an older program; a dry run goes on."""
        if self._is_older() and not self.options.dry_run:
            raise InstallError(
                "the installed DeepDream is older than this clone",
                "run `python3 install`, which upgrades all of it",
                Exit.ENVIRONMENT,
            )

    def _python(self) -> Path | None:
        """Return the Python of the installed program, else that of the clone's environment, made if need be."""
        older = self._is_older()
        if (installed := self.user.python()) and not older:
            return installed
        if older:  # and this is a dry run: the version that would be asked is yet to be made
            return None
        if self.options.dry_run:
            if not self.planned and (commands := environment.commands(self.root, self.torch_index, self.screen)):
                self.output.line("  would first make an environment for the program in this clone:")
                self.actions("app").show(Change(f"run: {command}", lambda: None) for command in commands)
                self.planned = True
            there = python_of(self.root / ".venv")
            return there if there.exists() else None
        return environment.ensure(self.root, (), self.torch_index, self.screen)


def user_folders() -> UserFolders:
    """Return the folders of the user who runs this; raises InstallError if there is no home folder."""
    try:
        return UserFolders.here()
    except RuntimeError:
        raise InstallError("your home folder cannot be found", "set HOME to its whole path", Exit.ENVIRONMENT) from None


def refuse_another_home(user: UserFolders) -> None:
    """Raise InstallError for root at work in the home folder of another, or by `sudo` for an ordinary user."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return
    owner = 0
    with contextlib.suppress(OSError):
        owner = user.home.stat().st_uid
    if owner != 0 or os.environ.get("SUDO_UID", "0") not in ("0", ""):
        raise InstallError(
            "this was run by root for the home folder of another user",
            "run it without sudo, as the user who is to have DeepDream: no part needs root",
            Exit.USAGE,
        )


def _as_install_error(error: OSError, folder: Path) -> InstallError:
    """Return the InstallError for an error of the system in the user's folders."""
    failure = from_os_error(error, folder, GB // 100)
    if failure.code == Exit.NOT_WRITABLE:
        return InstallError(failure.what, "make it writable for you, then run the same command again", failure.code)
    return failure
