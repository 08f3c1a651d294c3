"""What a check is, what it finds, and how to run it so that it always ends."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deepdream_core.errors import DeepDreamError
from deepdream_core.link.errors import LinkError
from deepdream_core.link.wire import WireError
from deepdream_core.machine.reinstall import install_step

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT_S = 10.0
INSTALL_AGAIN = install_step("", "run `python3 install` again in DeepDream's clone")


@dataclass(frozen=True)
class Repair:
    """A repair that `--fix` makes by itself: its name for the user, and the function. It deletes nothing of value."""

    name: str
    do: Callable[[], object]


@dataclass(frozen=True)
class Finding:
    """A check's result: `ok` is None if the check does not apply; `fix` is a sentence with commands in backticks."""

    ok: bool | None
    what: str
    fix: str = ""
    repair: Repair | None = None


@dataclass(frozen=True)
class Check:
    """One check, which changes nothing; it is abandoned after `limit_s` seconds."""

    name: str
    look: Callable[[], Finding]
    limit_s: float = LIMIT_S


def passed(what: str) -> Finding:
    """Return the finding of a check that passed."""
    return Finding(True, what)


def failing(what: str, fix: str, repair: Repair | None = None) -> Finding:
    """Return the finding of a check that failed."""
    return Finding(False, what, fix, repair)


def skipped(what: str) -> Finding:
    """Return the finding of a check that does not apply."""
    return Finding(None, what)


def outcome(check: Check) -> Finding:
    """Run a check and return its finding, a failed one if it crashes or does not end in time.

    It runs on its own thread: nothing else ends the wait for a disk or a share that no longer answers.
    """
    answers: queue.SimpleQueue[Finding] = queue.SimpleQueue()
    threading.Thread(target=lambda: answers.put(_found(check)), name=f"check {check.name}", daemon=True).start()
    try:
        return answers.get(timeout=check.limit_s)
    except queue.Empty:
        return failing(
            f"the check did not finish within {check.limit_s:g} s",
            "try again when the machine is less busy; if this persists, a disk, share or program is hanging",
        )


def _found(check: Check) -> Finding:
    try:
        found = check.look()
    except (DeepDreamError, LinkError) as error:
        return failing(f"could not be checked: {error.what}", error.next_step or INSTALL_AGAIN)
    except WireError as error:
        what, _, step = str(error).partition(" — ")
        return failing(f"could not be checked: {what}", step or INSTALL_AGAIN)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return failing(f"could not be checked: {where}{error.strerror or error}", "check that path and its permissions")
    except Exception as error:
        message = " ".join(str(error).split())
        return failing(
            f"could not be checked: {type(error).__name__}{': ' if message else ''}{message:.200}", INSTALL_AGAIN
        )
    return found if not found.ok else replace(found, fix="", repair=None)
