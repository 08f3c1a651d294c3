"""Finds the helper or starts it, and turns the client's errors into the plug-in's; no GIMP in it.

Standard library only and Python 3.9: GIMP brings its own Python. Every wait has an end.
"""

from __future__ import annotations

import contextlib
import math
import os
import queue
import re
import shlex
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from helper_words import translated
from plugin_errors import REINSTALL, PluginError
from words import _, ngettext

if TYPE_CHECKING:
    from collections.abc import Callable

    from facts import Facts

    from deepdream_core.link import client, service_endpoint, wire
    from deepdream_core.link.endpoint import Endpoint
else:  # the copy beside this file
    from link import client, service_endpoint, wire

START_S = 9.0
"""A helper that was started must answer within this time; listening to one that hangs takes up to 5 s more."""

T = TypeVar("T")


def connect(
    facts: Facts,
    *,
    start: bool = True,
    stop: threading.Event | None = None,
    starting: Callable[[], object] | None = None,
) -> client.HelperClient:
    """Return a client of the helper; where none runs and `start` is wanted, call `starting` and start one.

    A sandboxed GIMP cannot start programs, but its connection starts the background service where that is installed. Takes
    at most 15 s when a helper has to start, else 2 s; setting `stop` ends the wait. Raises `PluginError` with the code
    no_helper, not_installed, not_started, hung, sandboxed, version or cancelled.
    """
    if start and not sandbox():
        return _started(facts, stop or threading.Event(), starting or (lambda: None))
    try:
        return _connected(facts, **({"service": _service(facts), "wait_s": START_S} if sandbox() else {}))
    except client.NoHelper as missing:
        if sandbox():
            raise _sandboxed(facts, missing) from None
        next_step = _("run `{command}` in a terminal").format(command=_command(facts, "helper"))
        code = "no_helper" if missing.hung_pid is None else "hung"
        raise PluginError(
            translated(missing.what), next_step if code == "no_helper" else translated(missing.next_step), code
        ) from None


def _connected(facts: Facts, **options: Any) -> client.HelperClient:
    """Return a client of the helper; raises `NoHelper`, and `PluginError` for another version."""
    try:
        found = client.connect(endpoint_file=facts.endpoint, client=f"gimp-{os.getpid()}", **options)
    except client.HelperVersion as error:
        stop_it = _("stop it with `{command}`, then try again").format(command=_command(facts, "helper --stop"))
        raise PluginError(translated(error.what), stop_it, "version") from None
    if found.version != facts.version:
        what = _("the running helper has version {theirs}, this plug-in has version {ours}")
        what = what.format(theirs=found.version, ours=facts.version)
        if _ordered(found.version) > _ordered(facts.version):
            raise PluginError(what, REINSTALL, "version")
        next_step = _("stop the old helper with `{command}`, then try again")
        raise PluginError(what, next_step.format(command=_command(facts, "helper --stop")), "version")
    return found


def _service(facts: Facts) -> Endpoint | None:
    """Return the background service's endpoint, None where none is installed.

    The service's file comes first, as it may be newer; a sandbox may hide it, so `deepdream.json` holds a copy.
    """
    with contextlib.suppress(wire.WireError):
        found = service_endpoint.read_service(facts.state / service_endpoint.FILE)
        if found is not None:
            return found
    with contextlib.suppress(wire.WireError):
        return (
            None if facts.service is None else service_endpoint.endpoint_of(facts.service, facts.state / "helper.log")
        )
    return None


def _ordered(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def _started(facts: Facts, stop: threading.Event, starting: Callable[[], object]) -> client.HelperClient:
    """Return a client of the helper, started if none runs; a thread waits, as the client's own wait has no cancel."""
    # The helper must write its endpoint where this plug-in looks for it, whatever GIMP's own environment says.
    os.environ["DEEPDREAM_RUNTIME_DIR"] = str(facts.endpoint.parent)
    os.environ["DEEPDREAM_STATE_DIR"] = str(facts.state)
    arrived: queue.SimpleQueue[client.HelperClient | Exception] = queue.SimpleQueue()

    def launching() -> None:
        if stop.is_set():
            raise cancelled()
        starting()

    def wait() -> None:
        try:
            arrived.put(
                _connected(
                    facts,
                    start=True,
                    service=_service(facts),
                    command=facts.command,
                    wait_s=START_S,
                    launching=launching,
                )
            )
        except Exception as error:
            arrived.put(error)

    threading.Thread(target=wait, name="deepdream's start", daemon=True).start()
    while not stop.is_set():
        try:
            found = arrived.get(timeout=0.05)
        except queue.Empty:
            continue
        if not isinstance(found, Exception):
            return found
        if isinstance(found, client.HelperNotStarted):
            raise _not_started(facts, found)
        raise plugin_error(found)
    raise cancelled()


def _not_started(facts: Facts, error: client.HelperNotStarted) -> PluginError:
    if not Path(facts.command[0]).exists():
        what = _("DeepDream is no longer installed: {python} is missing").format(python=facts.command[0])
        return PluginError(what, REINSTALL, "not_installed")
    if error.hung_pid is not None:
        return PluginError(translated(error.what), translated(error.next_step), "hung")
    if not error.log_lines:
        what = _("the DeepDream helper did not start: {reason}").format(reason=translated(error.what))
        return PluginError(
            what, _("run `{command}` in a terminal").format(command=_command(facts, "helper")), "not_started"
        )
    reason, _dash, todo = error.log_lines[-1].partition(" — ")
    reason = reason[len("error: ") :] if reason.startswith("error: ") else reason
    what = _("the DeepDream helper did not start: {reason}").format(reason=translated(reason.rstrip(".")))
    more = _("see {log}").format(log=error.log_path)
    return PluginError(what, f"{translated(todo.rstrip('.'))}; {more}" if todo else more, "not_started")


def reported(text: str) -> str:
    """Return `what happened — what to do next` of the helper in the user's language, to be put after a colon."""
    what, _dash, todo = text.partition(" — ")
    return translated(what)[:1] + str(PluginError(translated(what), translated(todo)))[1:]


def sandbox() -> str | None:
    """Return `Flatpak` or `Snap` when this GIMP runs in one, which can start no program outside; else None."""
    if os.environ.get("FLATPAK_ID") or os.path.exists("/.flatpak-info"):
        return "Flatpak"
    # Every program that a Snap starts inherits the variable.
    return "Snap" if os.environ.get("SNAP") and "gimp" in os.environ.get("SNAP_NAME", "gimp") else None


def _sandboxed(facts: Facts, missing: client.NoHelper) -> PluginError:
    kind = sandbox()
    what = _("GIMP in a {kind} cannot start the DeepDream helper ({why})").format(
        kind=kind, why=translated(missing.what)
    )
    run = _("run `{command}` in a terminal").format(command=_command(facts, "helper"))
    folder = facts.endpoint.parent
    if folder.is_dir():
        return PluginError(what, run, "sandboxed")
    if kind == "Flatpak":
        # Inside the sandbox /run/user/UID is another folder; xdg-run names the one outside.
        place = re.sub(r"^/run/user/\d+/", "xdg-run/", folder.as_posix())
        app = os.environ.get("FLATPAK_ID", "org.gimp.GIMP")
        command = f"flatpak override --user --filesystem={shlex.quote(place)} {app}"
        allow = _("{run}; if the helper already runs, let GIMP see it with `{command}` and restart GIMP")
        return PluginError(what, allow.format(run=run, command=command), "sandboxed")
    return PluginError(what, _("it cannot see a running helper either: use a GIMP that is not a Snap"), "sandboxed")


def _command(facts: Facts, words: str) -> str:
    """Return a command line of `deepdream` that works in any terminal."""
    program = str(Path(facts.command[0]).with_name("deepdream"))
    return f"{shlex.quote(program) if sys.platform != 'win32' else program} {words}"


def call(function: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """Call a method of the helper's client or job; its errors become `PluginError`."""
    try:
        return function(*arguments, **options)
    except Exception as error:
        raise plugin_error(error) from None


def cancelled() -> PluginError:
    """Return the error of a cancelled dream."""
    return PluginError(_("the dream was cancelled"), "", "cancelled")


_BUG = _("this is a bug in the plug-in: please report it")
_NEXT_STEPS = {
    "out_of_memory": _(
        "select a smaller part, choose a smaller pattern size or an earlier layer, or close other programs"
    ),
    "no_memory": _("select a smaller part, or close other programs"),
    "too_large": _("select a smaller part, or raise helper.max_memory_mb or engine.max_megapixels in config.yaml"),
    "worker_died": _("try again; if it fails again, select a smaller part"),
    "poisonous": _("change the settings, or select another part"),
    "stopping": _("try again"),
}
"""What to do in GIMP where the helper's own advice fits only the command line."""


MISTAKES = {
    "bad_host", "bad_pixels", "conflict", "length_required", "method", "not_ready", "origin_refused", "unauthorized",
}  # fmt: skip
"""Codes of the answers to calls that only a mistake of this plug-in brings about."""


def plugin_error(error: Exception, facts: Facts | None = None) -> PluginError:
    """Return the plug-in's error for an error of the client; with `facts`, settings have their labels."""
    if isinstance(error, PluginError):
        return error
    if isinstance(error, client.JobCancelled):
        return cancelled() if error.why == "asked" else PluginError(translated(error.what), _("try again"), error.why)
    if isinstance(error, client.HelperBusy):
        what = _("the helper is busy: {what}").format(what=translated(error.what))
        seconds = math.ceil(error.retry_after_s)
        again = ngettext("try again in {count} second", "try again in {count} seconds", seconds).format(count=seconds)
        return PluginError(what, again, "busy")
    if isinstance(error, client.LinkError):
        kinds = ((client.NoHelper, "no_helper"), (client.HelperVersion, "version"), (client.HelperLost, "lost"))
        code = next((code for kind, code in kinds if isinstance(error, kind)), getattr(error, "code", "internal"))
        if code in MISTAKES:
            return PluginError(str(error), _BUG, code)
        return PluginError(translated(error.what, facts), _NEXT_STEPS.get(code) or translated(error.next_step), code)
    return PluginError(f"{type(error).__name__}: {error}", _BUG, "internal")
