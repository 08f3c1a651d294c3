"""What a check is, what it finds, and how it is looked at so that it always ends."""

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
    """What `--fix` may do by itself: what it is, in words, and how. It takes nothing away that somebody could miss."""

    name: str
    do: Callable[[], object]


@dataclass(frozen=True)
class Finding:
    """What a check has found: `ok` is None where it does not apply; `fix` is a sentence, commands in it in backticks."""

    ok: bool | None
    what: str
    fix: str = ""
    repair: Repair | None = None


@dataclass(frozen=True)
class Check:
    """A look at one thing, which changes nothing; what takes longer than `limit_s` seconds is given up."""

    name: str
    look: Callable[[], Finding]
    limit_s: float = LIMIT_S


def passed(what: str) -> Finding:
    """Return that a thing is as it should be."""
    return Finding(True, what)


def failing(what: str, fix: str, repair: Repair | None = None) -> Finding:
    """Return that a thing is not as it should be."""
    return Finding(False, what, fix, repair)


def skipped(what: str) -> Finding:
    """Return that there is nothing to be looked at."""
    return Finding(None, what)


def outcome(check: Check) -> Finding:
    """Return what a check finds; one that crashes or does not end has found that it could not be checked.

    It runs on a thread of its own: nothing else ends the wait for a disk or a share that no longer answers.
    """
    answers: queue.SimpleQueue[Finding] = queue.SimpleQueue()
    threading.Thread(target=lambda: answers.put(_found(check)), name=f"check {check.name}", daemon=True).start()
    try:
        return answers.get(timeout=check.limit_s)
    except queue.Empty:
        return failing(
            f"could not be checked: no answer within {check.limit_s:g} s",
            "try again when the machine has less to do; if it stays, a disk, a share or a program there hangs",
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
        return failing(
            f"could not be checked: {where}{error.strerror or error}", "check that place and its permissions"
        )
    except Exception as error:
        message = " ".join(str(error).split())
        return failing(
            f"could not be checked: {type(error).__name__}{': ' if message else ''}{message:.200}", INSTALL_AGAIN
        )
    return found if not found.ok else replace(found, fix="", repair=None)
