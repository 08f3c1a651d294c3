"""stdin, stdout and stderr as the program can rely on: they are there, and take every character."""

from __future__ import annotations

import contextlib
import io
import os
import sys


def settle() -> None:
    """Put nothing in the place of a stream that was closed, and have what an encoding lacks replaced by `?`.

    PYTHONIOENCODING counts for stdout and stderr, though an isolated Python does not look at it.
    """
    encoding = os.environ.get("PYTHONIOENCODING", "").partition(":")[0]
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:  # the next file that is opened would get its number, and what is printed with it
            stream = open(os.devnull, mode, encoding="utf-8")  # noqa: PTH123, SIM115
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(LookupError):
                stream.reconfigure(encoding=encoding or None)
            stream.reconfigure(errors="replace")


def let_go() -> None:
    """Write out what is still on its way, into nothing where nobody reads any more: Python would complain at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
