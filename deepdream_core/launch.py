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

if __package__:
    from . import helper_errors, wire
else:
    import helper_errors  # type: ignore[import-not-found, no-redef]
    import wire  # type: ignore[import-not-found, no-redef]

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PYTHON = {"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP"}
_LIBRARIES = {"LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "GI_TYPELIB_PATH", "SSL_CERT_FILE"}


def scrubbed(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what a host such as GIMP sets for its own Python and libraries."""
    return {name: value for name, value in environ.items() if name.upper() not in _PYTHON | _LIBRARIES}


def start(command: Sequence[str] | None) -> tuple[subprocess.Popen[bytes], Path]:
    """Start the helper so that it outlives this program and shares neither its console, signals, files nor environment.

    Returns the process, whose `returncode` is kept up to date, and the log of what it says while starting. `command` None
    stands for this Python's `deepdream helper`. Raises `HelperNotStarted`.
    """
    environment = scrubbed(os.environ)
    if command is None:
        command = [sys.executable or "", "-m", "deepdream_core", "helper", "--on-demand"]
        environment["PYTHONSAFEPATH"] = "1"  # -m would look for modules in the home folder first
    log: Path | None = None
    try:
        wire.make_private_folder(wire.state_folder())
        log = wire.state_folder() / "helper-start.log"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        with os.fdopen(os.open(log, flags, 0o600), "wb") as output:
            if hasattr(os, "fchmod"):
                os.fchmod(output.fileno(), 0o600)
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=_somewhere_lasting(),
                env=environment,
                close_fds=True,
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
                | getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
    except (OSError, ValueError) as error:
        raise helper_errors.HelperNotStarted(f"the helper could not be started: {error}", log) from None
    # A child that nobody waits for stays as a zombie as long as this program lives.
    threading.Thread(target=process.wait, name="deepdream helper's end", daemon=True).start()
    return process, log


def _somewhere_lasting() -> str:
    with contextlib.suppress(RuntimeError, OSError):
        if Path.home().is_dir() and os.access(Path.home(), os.X_OK):
            return str(Path.home())
    return os.path.abspath(os.sep)  # noqa: PTH100
