"""Presets as config.yaml has them now: the helper knows them, and the plug-in keeps what it said; no GIMP in it.

Standard library only and Python 3.9: GIMP brings its own Python.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import cache
from facts import FILE, FOLDER
from plugin_errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Callable

    from facts import Facts

NAME = "presets.json"
ASK_S = 30.0
"""How long to look for a helper, which the dialog's preview starts."""
PAUSE_S = 0.5


class Presets(NamedTuple):
    """Presets and defaults, as `Facts` has them; `problem`: why config.yaml cannot be used, in the user's language."""

    presets: dict[str, dict[str, Any]]
    defaults: dict[str, Any]
    problem: str = ""


def remembered(facts: Facts) -> Facts:
    """Return the facts with the presets that a helper named last, unless deepdream.json was written later."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        file = cache.folder() / NAME
        if file.stat().st_mtime > (FOLDER / FILE).stat().st_mtime:
            given = json.loads(file.read_text("utf-8"))
            if (given["version"], given["state"]) == (facts.version, os.fspath(facts.state)):
                found = _checked(given, facts)
                facts.take(found.presets, found.defaults)
    return facts


def update(facts: Facts) -> None:
    """Take the presets that a running helper has; where none runs, or it is none of ours, leave those that are known."""
    with contextlib.suppress(PluginError):
        found = ask(facts)
        facts.take(found.presets, found.defaults)


def ask(facts: Facts) -> Presets:
    """Return what the running helper says, and keep it for `remembered`; raises `PluginError`. Takes 7 s at most."""
    import connection  # late: the dialog opens sooner without it

    given = connection.call(connection.connect(facts, start=False).presets)
    try:
        found = _checked(given, facts)
    except (KeyError, TypeError, AttributeError):
        raise PluginError("the helper named no presets") from None
    kept = {"version": facts.version, "state": os.fspath(facts.state), "presets": found.presets}
    cache.keep(cache.folder() / NAME, json.dumps({**kept, "defaults": found.defaults}).encode())
    return found._replace(problem=connection.reported(found.problem.rpartition("config.yaml: ")[2]))


def _checked(given: dict[str, Any], facts: Facts) -> Presets:
    """Return what a helper said; raises `KeyError`, `TypeError` or `AttributeError` for anything else."""
    presets, defaults, problem = given["presets"], given["defaults"], given.get("problem") or ""
    for about in presets.values():
        if not (isinstance(about["description"], str) and about["settings"].keys() == facts.ranges.keys()):
            raise TypeError
    if not presets or defaults.keys() != facts.ranges.keys():
        raise KeyError
    return Presets(presets, defaults, str(problem))


class Asking(threading.Thread):
    """Asks the helper once it runs, and calls `heard` in this thread; the thread ends by itself, or by `stop()`."""

    def __init__(self, facts: Facts, heard: Callable[[Presets], object]) -> None:
        super().__init__(name="deepdream's presets", daemon=True)
        self._facts, self._heard = facts, heard
        self._stopped = threading.Event()

    def run(self) -> None:
        """Ask."""
        end = time.monotonic() + ASK_S
        while time.monotonic() < end:
            try:
                found = ask(self._facts)
            except PluginError as error:
                if error.code not in ("no_helper", "hung", "sandboxed") or self._stopped.wait(PAUSE_S):
                    return
            else:
                if not self._stopped.is_set():
                    self._heard(found)
                return

    def stop(self) -> None:
        """Ask no more."""
        self._stopped.set()
