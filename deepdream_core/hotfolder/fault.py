"""What the program did not foresee about one file: told with its traceback, so that it costs that file and nothing else."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def sentence(error: BaseException) -> str:
    """Return in words for people what it is."""
    return f"DeepDream has a fault: {type(error).__name__}: {error}"


def unseen(error: Exception) -> str:
    """Return why a file is left alone that cannot be looked at."""
    return f"cannot be looked at: {error.strerror or error}" if isinstance(error, OSError) else sentence(error)


def tell(say: Callable[[str], None], what: object, error: BaseException) -> str:
    """Log an exception at work on `what` with its traceback, a line at a time; return its `sentence`."""
    say(f"{what}: {sentence(error)}")
    for lines in traceback.format_exception(error):
        for line in lines.splitlines():
            say(line)
    return sentence(error)
