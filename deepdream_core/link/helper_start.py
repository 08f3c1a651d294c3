"""Start a helper that outlives the program which needed it.

Standard library only and Python 3.9, because the GIMP plug-in carries a copy.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from . import errors, private_files, user_folders, wire

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LOG_LIMIT = 256 * 1024
"""A longer log of starts is emptied at the next start."""

_HOSTS = ("PYTHON", "LD_", "DYLD_", "GIO_", "GTK_", "GDK_PIXBUF_")
_HOSTS_OWN = {"__PYVENV_LAUNCHER__", "GI_TYPELIB_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"}
_SERVICES = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}


class Started(subprocess.Popen[bytes]):
    """The helper's process; its output is in the log after the first `log_from` bytes."""

    log_from: int = 0


def scrubbed(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without the variables that a host such as GIMP, or a service manager, sets for itself."""
    return {name: value for name, value in environ.items() if not _is_foreign(name.upper())}


def _is_foreign(name: str) -> bool:
    return name.startswith(_HOSTS) or name in _HOSTS_OWN or name in _SERVICES


def own_command(config: str | os.PathLike[str] | None = None) -> list[str]:
    """Return this Python's `deepdream helper` command, with a configuration file if one is given."""
    options = [] if config is None else ["--config", os.path.abspath(config)]  # noqa: PTH100
    # -I: Python imports no modules from the current folder, nor from one that a variable names.
    return [sys.executable or "", "-I", "-m", "deepdream_core", "helper", "--on-demand", *options]


def start(command: Sequence[str] | None) -> tuple[Started, Path]:
    """Start the helper so that it outlives this program and shares neither its console, signals, files nor environment.

    Return the process, whose `returncode` is kept up to date, and the log that gets the output of all starts. `command`
    None means this Python's `deepdream helper`. Raises `HelperNotStarted`.
    """
    environment = scrubbed(os.environ)
    command = list(command or own_command())
    try:
        private_files.make_private_folder(user_folders.state_folder())
        log = user_folders.state_folder() / "helper-start.log"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        with os.fdopen(os.open(log, flags, 0o600), "ab") as output:
            if sys.platform != "win32":
                os.fchmod(output.fileno(), 0o600)
            if output.seek(0, os.SEEK_END) > LOG_LIMIT:
                output.truncate(0)
            begin = output.seek(0, os.SEEK_END)  # also because the child inherits the position: Windows has no O_APPEND
            process = Started(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=_lasting_folder(),
                env=environment,
                close_fds=True,
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
                | getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
    except wire.WireError as error:
        what, _, next_step = str(error).rpartition(" — ")
        raise errors.HelperNotStarted(f"the helper could not be started: {what}", None, 0, next_step) from None
    except (OSError, ValueError) as error:
        raise errors.HelperNotStarted(f"the helper could not be started: {error}", None) from None
    process.log_from = begin
    # Without a wait, the child stays a zombie as long as this program lives.
    threading.Thread(target=process.wait, name="deepdream helper's end", daemon=True).start()
    return process, log


def _lasting_folder() -> str:
    with contextlib.suppress(RuntimeError, OSError):
        if Path.home().is_dir() and os.access(Path.home(), os.X_OK):
            return str(Path.home())
    return os.path.abspath(os.sep)  # noqa: PTH100
