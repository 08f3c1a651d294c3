"""`python -m deepdream_core` is the command `deepdream`; `main` is what the script of that name calls that pip makes."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Start once more, isolated: pip's script takes modules from PYTHONPATH and the user's own packages."""
    if sys.flags.isolated or not sys.executable:
        run()
    command = [sys.executable, "-I", "-m", "deepdream_core", *sys.argv[1:]]
    if sys.platform != "win32":
        os.execv(command[0], command)
    # Windows has no exec that keeps the console waiting.
    import signal
    import subprocess

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(subprocess.call(command))


def run() -> NoReturn:
    """Run the command line. It is imported here, so that Ctrl-C in the first moments is no traceback either."""
    try:
        from deepdream_core.cli import streams

        streams.prepare()
        if not os.path.isabs(os.environ.get("HOME", os.sep)):  # noqa: PTH117
            del os.environ["HOME"]  # empty or relative it names no place; the system's list of users does
        from deepdream_core.cli import main

        code = main.run()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    run()
