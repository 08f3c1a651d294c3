"""The command `deepdream`: a launcher in the user's folder for commands, and completion for shells."""

import contextlib
import os
import re
import shlex
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from actions import Actions, Change, content_of, not_ours
from errors import InstallError

from deepdream_core.machine.command import ask, clean_environment
from deepdream_core.machine.folders import NAME, UserFolders

COMPLETE_WITHIN_S = 60.0
_OURS = re.compile(rb'#!/bin/sh\nexec .*/app/current/bin/python.? -[PI] -m deepdream_core "\$@"\n')
_AT_ONCE = f"""
# At the first Tab zsh loads and runs this file, which must then complete, not only define how.
[[ ${{zsh_eval_context[-1]}} = loadautofunc ]] && _{NAME}_completion "$@"
"""
_OURS_ON_WINDOWS = b"rem The DeepDream launcher"


def text(user: UserFolders) -> bytes:
    """Return the launcher's content."""
    if user.windows:
        # Reads current.txt at each start, as an upgrade changes it.
        lines = (
            "@echo off",
            _OURS_ON_WINDOWS.decode(),
            "setlocal",
            'set /p DEEPDREAM_APP=<"%~dp0..\\app\\current.txt"',
            '"%~dp0..\\app\\%DEEPDREAM_APP%\\Scripts\\python.exe" -I -m deepdream_core %*',
        )
        return "".join(f"{line}\r\n" for line in lines).encode()
    return script(user.python_in(user.current))


def script(python: Path) -> bytes:
    """Return a shell script that runs the program with this Python, isolated.

    -I ignores PYTHONPATH and similar variables, the user's own packages and the current folder. Variables of the system's
    linker, such as LD_LIBRARY_PATH, stay: some machines find CUDA's driver only through them.
    """
    return b"#!/bin/sh\nexec " + os.fsencode(shlex.quote(str(python))) + b' -I -m deepdream_core "$@"\n'


def is_ours(content: bytes) -> bool:
    """Return whether this is a launcher that any version of the installer wrote."""
    return _OURS.fullmatch(content) is not None or _OURS_ON_WINDOWS in content


def app_of(user: UserFolders) -> Path | None:
    """Return the folder of versions that the launcher names, None if it is not ours or names no fixed folder."""
    with contextlib.suppress(OSError, ValueError, InstallError):
        content = content_of(user.launcher) or b""
        if _OURS.fullmatch(content):
            return Path(shlex.split(os.fsdecode(content), comments=True)[1]).parents[2]
    return None


def check(user: UserFolders, actions: Actions) -> None:
    """Raise InstallError if another file has the launcher's name, before the long work begins."""
    there = content_of(user.launcher)
    if there is not None and str(user.launcher) not in actions.part.files and not is_ours(there):
        raise not_ours(user.launcher)


def install(user: UserFolders, actions: Actions, *, renew: bool) -> bool:
    """Write launcher and completion; return whether that changed anything. Raises InstallError and OSError.

    `renew`: also ask for existing completion scripts again, since the program is another version.
    """
    there = content_of(user.launcher)
    changed = [actions.write(user.launcher, text(user), 0o755, ours=there is not None and is_ours(there))]
    for shell, path in completions(user).items():
        if _is_another_s(path, actions):
            actions.output.line(f"{path} was not written by this installer, so it stays in use for {shell}")
            continue
        if not renew and actions.part.wrote(path, content_of(path) or b""):
            continue
        actions.folder(path.parent)
        write = partial(_write_completion, user, shell, path, actions, changed)
        actions.apply(Change(f"write {path} (completion for {shell})", write))
    return any(changed)


def _write_completion(user: UserFolders, shell: str, path: Path, actions: Actions, changed: list[bool]) -> None:
    """Write the completion script that the installed program prints; add to `changed` whether that changed anything."""
    if found := completion(user, shell):
        changed.append(actions.write(path, found, ours=True))


def _is_another_s(path: Path, actions: Actions) -> bool:
    """Return whether a completion's file exists and is not ours."""
    with contextlib.suppress(InstallError):
        there = content_of(path)
        return there is not None and str(path) not in actions.part.files and b"_DEEPDREAM_COMPLETE" not in there
    return True


def completions(user: UserFolders) -> dict[str, Path]:
    """Return the completion file of `deepdream` for each shell on this machine."""
    return {shell: file for shell, file in everywhere(user).items() if not user.windows and shutil.which(shell)}


def everywhere(user: UserFolders) -> dict[str, Path]:
    """Return the same for all shells, installed or not."""
    return {
        "bash": user.xdg_data / "bash-completion" / "completions" / NAME,
        "zsh": user.xdg_data / "zsh" / "site-functions" / f"_{NAME}",
        "fish": user.xdg_config / "fish" / "completions" / f"{NAME}.fish",
    }


def completion(user: UserFolders, shell: str) -> bytes:
    """Return the completion script for a shell, as the installed program prints it; empty if it fails."""
    python = user.python()
    if python is None:
        return b""
    env = clean_environment(_DEEPDREAM_COMPLETE=f"source_{shell}")
    done = ask(python, "-I", "-X", "utf8", "-m", "deepdream_core", within_s=COMPLETE_WITHIN_S, environ=env)
    script = "\n".join(done.lines).strip()
    if done.code or NAME not in script:
        return b""
    return f"{script}\n{_AT_ONCE if shell == 'zsh' else ''}".encode()


def advice(user: UserFolders, environ: Mapping[str, str]) -> list[str]:
    """Return what the user must do, if anything, so that the shell finds and completes the command."""
    shell = Path(environ.get("SHELL", "")).name
    folder = user.bin
    lines = []
    if not _on_path(folder, environ):
        if user.windows:
            how = f'run once: setx PATH "%PATH%;{folder}", then open a new terminal'
        elif shell == "fish":
            how = f"run once: fish_add_path {shlex.quote(str(folder))}"
        else:
            file = {"zsh": "~/.zshrc", "bash": "~/.bashrc"}.get(shell, "~/.profile")
            how = f"add to {file}: export PATH={_quoted(folder, user)}:$PATH"
        lines.append(f"{folder} is not on PATH, so `{NAME}` works only with its full path; {how}")
    script = completions(user).get("zsh")
    if shell == "zsh" and script:
        lines.append(
            f"For completion in zsh, add before `compinit` in ~/.zshrc: fpath+=({_quoted(script.parent, user)})"
        )
    return lines


def _quoted(folder: Path, user: UserFolders) -> str:
    """Return a folder quoted for a shell, with $HOME for the home folder where possible."""
    if folder.is_relative_to(user.home):
        below = str(folder.relative_to(user.home))
        return f'"$HOME/{below}"' if shlex.quote(below) == below else shlex.quote(str(folder))
    return shlex.quote(str(folder))


def _on_path(folder: Path, environ: Mapping[str, str]) -> bool:
    """Return whether a folder is on PATH."""
    entries = environ.get("PATH", "").split(os.pathsep)
    return any(os.path.realpath(entry) == os.path.realpath(folder) for entry in entries if entry)
