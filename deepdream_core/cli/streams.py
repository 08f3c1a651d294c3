"""Makes stdin, stdout and stderr reliable: they exist, and take every character."""

from __future__ import annotations

import contextlib
import io
import os
import sys


def prepare() -> None:
    """Replace closed streams by the null device, and characters that an encoding lacks by `?`.

    stdout and stderr follow PYTHONIOENCODING, although an isolated Python ignores it.
    """
    encoding = os.environ.get("PYTHONIOENCODING", "").partition(":")[0]
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:  # the next opened file would get its number, and the program's output
            stream = open(os.devnull, mode, encoding="utf-8")  # noqa: PTH123, SIM115
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(LookupError):
                stream.reconfigure(encoding=encoding or None)
            stream.reconfigure(errors="replace")


def flush() -> None:
    """Flush stdout and stderr; where the reader has gone, discard the rest, about which Python would complain at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
