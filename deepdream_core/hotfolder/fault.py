"""Faults of the program at one file: logged with their traceback, so that they cost this file and no other."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def sentence(error: BaseException) -> str:
    """Return in a sentence which fault it is."""
    return f"DeepDream has a bug: {type(error).__name__}: {error}"


def why_unreadable(error: Exception) -> str:
    """Return why a file that cannot be accessed is left alone."""
    return f"cannot be accessed: {error.strerror or error}" if isinstance(error, OSError) else sentence(error)


def log(say: Callable[[str], None], what: object, error: BaseException) -> str:
    """Log an exception at work on `what` with its traceback, a line at a time; return its `sentence`."""
    say(f"{what}: {sentence(error)}")
    for lines in traceback.format_exception(error):
        for line in lines.splitlines():
            say(line)
    return sentence(error)
