"""The way to the helper: find it or start it, have it dream one picture, tell how it goes; no GIMP in it.

Standard library only and Python 3.9: GIMP brings its own Python. GIMP's and GTK's calls belong to the main thread and no
wait does, so a job is a thread that puts what happens into a queue. Every wait has an end; what goes wrong is a `Trouble`:
one sentence and the next step. When GIMP kills this process the helper notices by itself (see `wire.REATTACH_WITHIN_S`).
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import shlex
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from facts import AGAIN, Trouble
from words import _

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from facts import Facts

    from deepdream_core.link import client, npy, service_endpoint, wire
    from deepdream_core.link.endpoint import Endpoint
else:  # the copy that lies beside this file
    from link import client, npy, service_endpoint, wire

__all__ = ["Dreaming", "Kept", "Told", "Trouble", "asked", "helper", "last_result", "sandbox"]

START_S = 9.0
"""A helper that was started must answer by then; listening to one that hangs takes up to 5 s more."""
SILENT_S = 15.0
"""A helper says something once a second; after so much silence it is given up."""
LOOK_S = 1.0
"""The picture so far is looked at so often, and whenever an octave has ended."""
LET_GO_S = 2.0
"""Nobody waits longer than this for a cancel, or for a result to be forgotten."""

T = TypeVar("T")


class Told(NamedTuple):
    """What a job tells. The last one is `done` or `failed`, and there is always one.

    | kind | data |
    |---|---|
    | `starting` | {}: the helper does not run, and is being started |
    | `queued` | {"position"}, 1 is next |
    | `running` | {"device", "name", "precision", …} |
    | `progress` | {"octave", "octaves", "iteration", "iterations", "fraction", "left_s": seconds or None} |
    | `note` | {"text"} |
    | `picture` | bytes: the picture so far |
    | `done` | bytearray: the result |
    | `failed` | Trouble; its code is `cancelled` after a cancel |
    """

    kind: str
    data: Any


def helper(
    facts: Facts,
    *,
    start: bool = True,
    cancelled: threading.Event | None = None,
    starting: Callable[[], object] | None = None,
) -> client.HelperClient:
    """Return a client of the helper, started if wanted and if none runs; `starting` is called before that.

    In a sandbox nothing can be started, but where there is a service, connecting to it does so.
    Takes at most 15 s when it has to be started, 2 s else; a set `cancelled` ends the wait. Raises `Trouble`: no_helper,
    not_installed, not_started, hung, sandboxed, version, cancelled.
    """
    if start and not sandbox():
        return _started(facts, cancelled or threading.Event(), starting or (lambda: None))
    try:
        return _connected(facts, **({"service": _service(facts), "wait_s": START_S} if sandbox() else {}))
    except client.NoHelper as missing:
        if sandbox():
            raise _sandboxed(facts, missing) from None
        next_step = _("run `{command}` in a terminal").format(command=_command(facts, "helper"))
        code = "no_helper" if missing.hung_pid is None else "hung"
        raise Trouble(missing.what, next_step if code == "no_helper" else missing.next_step, code) from None


def _connected(facts: Facts, **options: Any) -> client.HelperClient:
    """Return a client of the helper; raises `NoHelper`, and `Trouble` when it is of another version."""
    try:
        found = client.connect(endpoint_file=facts.endpoint, client=f"gimp-{os.getpid()}", **options)
    except client.HelperVersion as error:
        stop_it = _("end it with `{command}`, then try again").format(command=_command(facts, "helper --stop"))
        raise Trouble(error.what, stop_it, "version") from None
    if found.version != facts.version:
        what = _("the helper that runs is of version {theirs}, this plug-in of version {ours}")
        what = what.format(theirs=found.version, ours=facts.version)
        if _ordered(found.version) > _ordered(facts.version):
            raise Trouble(what, AGAIN, "version")
        next_step = _("end the old helper with `{command}`, then try again")
        raise Trouble(what, next_step.format(command=_command(facts, "helper --stop")), "version")
    return found


def _service(facts: Facts) -> Endpoint | None:
    """Return the helper as a service, None where none was installed: as its file says, or as this plug-in was told.

    A sandbox may hide the file; and it may have been made again since.
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
    """Return a client of the helper, started if none runs; the client's own wait has no cancel, so it has a thread."""
    # The helper writes its endpoint where this plug-in was told that it lies, whatever GIMP's own environment says.
    os.environ["DEEPDREAM_RUNTIME_DIR"] = str(facts.endpoint.parent)
    os.environ["DEEPDREAM_STATE_DIR"] = str(facts.state)
    came: queue.SimpleQueue[client.HelperClient | Exception] = queue.SimpleQueue()

    def launching() -> None:
        if stop.is_set():
            raise _cancelled()
        starting()

    def wait() -> None:
        try:
            came.put(
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
            came.put(error)

    threading.Thread(target=wait, name="deepdream's start", daemon=True).start()
    while not stop.is_set():
        try:
            found = came.get(timeout=0.05)
        except queue.Empty:
            continue
        if not isinstance(found, Exception):
            return found
        if isinstance(found, client.HelperNotStarted):
            raise _not_started(facts, found)
        raise _trouble(found)
    raise _cancelled()


def _not_started(facts: Facts, error: client.HelperNotStarted) -> Trouble:
    if not Path(facts.command[0]).exists():
        what = _("DeepDream is not installed any more: {python} is missing").format(python=facts.command[0])
        return Trouble(what, AGAIN, "not_installed")
    if error.hung_pid is not None:
        return Trouble(error.what, error.next_step, "hung")
    if not error.log_lines:
        what = _("the DeepDream helper could not be started: {said}").format(said=error.what)
        return Trouble(
            what, _("run `{command}` in a terminal").format(command=_command(facts, "helper")), "not_started"
        )
    said, _dash, todo = error.log_lines[-1].partition(" — ")
    said = said[len("error: ") :] if said.startswith("error: ") else said
    what = _("the DeepDream helper could not be started: {said}").format(said=said.rstrip("."))
    more = _("{log} tells more").format(log=error.log_path)
    return Trouble(what, f"{todo.rstrip('.')}; {more}" if todo else more, "not_started")


def sandbox() -> str | None:
    """Return `Flatpak` or `Snap` when this GIMP runs in one, which can start no program outside; else None."""
    if os.environ.get("FLATPAK_ID") or os.path.exists("/.flatpak-info"):
        return "Flatpak"
    # Any program that was started from a Snap inherits the variable.
    return "Snap" if os.environ.get("SNAP") and "gimp" in os.environ.get("SNAP_NAME", "gimp") else None


def _sandboxed(facts: Facts, missing: client.NoHelper) -> Trouble:
    kind = sandbox()
    what = _("a GIMP in a {kind} cannot start the DeepDream helper ({why})").format(kind=kind, why=missing.what)
    run = _("run `{command}` in a terminal").format(command=_command(facts, "helper"))
    folder = facts.endpoint.parent
    if folder.is_dir():
        return Trouble(what, run, "sandboxed")
    if kind == "Flatpak":
        # /run/user/UID is another folder in there; xdg-run is the word for the one outside.
        place = re.sub(r"^/run/user/\d+/", "xdg-run/", folder.as_posix())
        app = os.environ.get("FLATPAK_ID", "org.gimp.GIMP")
        command = f"flatpak override --user --filesystem={shlex.quote(place)} {app}"
        allow = _("{run}; if it runs, let GIMP see it with `{command}` and start GIMP again")
        return Trouble(what, allow.format(run=run, command=command), "sandboxed")
    return Trouble(what, _("it cannot see a helper that runs either: use a GIMP that is no Snap"), "sandboxed")


def _command(facts: Facts, words: str) -> str:
    """Return a command line of `deepdream` that works in any terminal."""
    program = str(Path(facts.command[0]).with_name("deepdream"))
    return f"{shlex.quote(program) if os.name == 'posix' else program} {words}"


def asked(call: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """Return what a method of the helper's client or job returns; its errors become `Trouble`."""
    try:
        return call(*arguments, **options)
    except Exception as error:
        raise _trouble(error) from None


def _cancelled() -> Trouble:
    return Trouble(_("the dream was cancelled"), "", "cancelled")


_NEXT_STEPS = {
    "out_of_memory": _(
        "select a smaller part, choose a smaller pattern size or an earlier layer, or close other programs"
    ),
    "no_memory": _("select a smaller part, or close other programs"),
    "too_large": _("select a smaller part, or raise helper.max_memory_mb or engine.max_megapixels in config.yaml"),
    "worker_died": _("try again; if it dies again, select a smaller part"),
    "poisonous": _("change the settings, or select another part"),
    "stopping": _("try again"),
}
"""What to do in GIMP, where the helper's own advice is for the command line."""


def _trouble(error: Exception) -> Trouble:
    """Return what an error of the client stands for."""
    if isinstance(error, Trouble):
        return error
    if isinstance(error, client.JobCancelled):
        return _cancelled() if error.why == "asked" else Trouble(error.what, _("try again"), error.why)
    if isinstance(error, client.HelperBusy):
        what = _("the helper is busy: {what}").format(what=error.what)
        return Trouble(what, _("try again in {seconds:.0f} s").format(seconds=error.retry_after_s), "busy")
    if isinstance(error, client.LinkError):
        kinds = ((client.NoHelper, "no_helper"), (client.HelperVersion, "version"), (client.HelperLost, "lost"))
        code = next((code for kind, code in kinds if isinstance(error, kind)), getattr(error, "code", "internal"))
        return Trouble(error.what, _NEXT_STEPS.get(code, error.next_step), code)
    return Trouble(f"{type(error).__name__}: {error}", _("this is a bug of the plug-in: report it"), "internal")


class Dreaming(threading.Thread):
    """One picture being dreamed by the helper; `start()` it, and hear of it from `messages`.

    `pixels` are the samples of `dtype` (a key of `npy.DTYPES`) and `shape` (height, width, channels), `settings` all of
    them, `priority` interactive or preview, `label` what people know the picture by. With `previews`, the picture so far is
    told about once a second and after each octave. The helper forgets the result when it has been fetched; without
    `forget`, it keeps it for "last result" until `acknowledge()`.
    """

    def __init__(
        self,
        facts: Facts,
        pixels: bytes | bytearray,
        dtype: str,
        shape: tuple[int, int, int],
        settings: Mapping[str, Any],
        *,
        priority: str,
        label: str = "",
        previews: bool = False,
        forget: bool = True,
    ) -> None:
        super().__init__(name="deepdream", daemon=True)
        self.messages: queue.SimpleQueue[Told] = queue.SimpleQueue()
        self._facts = facts
        self._pixels: bytes | bytearray | None = pixels
        self._dtype, self._shape = dtype, shape
        self._options: dict[str, Any] = {
            "settings": settings,
            "priority": priority,
            "label": label[:200],
            "previews": previews,
        }
        self._forgets = forget
        self._given_up = threading.Event()
        self._telling = threading.Lock()
        self._told_the_end = False
        self._job: client.HelperJob | None = None
        self._pace = _Pace()
        self._looked_at, self._looked_like = 0.0, bytearray()

    def run(self) -> None:
        """Have it dreamed."""
        try:
            self._dream()
        except Exception as error:  # nothing may end in silence
            self._tell("failed", _cancelled() if self._given_up.is_set() else _trouble(error), last=True)

    def cancel(self) -> None:
        """Give it up, at once; `failed` with the code `cancelled` follows within 2 s unless it has ended already."""
        self._given_up.set()
        if not self._told_the_end:
            threading.Thread(target=self._give_up, name="deepdream's cancel", daemon=True).start()

    def acknowledge(self) -> None:
        """Let the helper forget the result, as the picture is safe on the canvas; takes 2 s at most, and cannot fail."""
        if self._job is not None and not self._forgets:
            _within(LET_GO_S, self._job.forget)

    def _give_up(self) -> None:
        # Either the job is known here, or the thread that makes it sees afterwards that it has been given up.
        job = self._job
        if job is not None:
            _within(LET_GO_S, job.cancel)
        self._tell("failed", _cancelled(), last=True)

    def _tell(self, kind: str, data: Any, *, last: bool = False) -> bool:
        """Tell something; return False when the end has been told before."""
        with self._telling:
            if self._told_the_end:
                return False
            self._told_the_end = last
            self.messages.put(Told(kind, data))
            return True

    def _dream(self) -> None:
        if self._given_up.is_set():
            raise _cancelled()
        found = helper(self._facts, cancelled=self._given_up, starting=lambda: self._tell("starting", {}))
        pixels, self._pixels = self._pixels, None
        assert pixels is not None
        job = self._job = found.submit(pixels, dtype=self._dtype, shape=self._shape, **self._options)
        del pixels
        if self._given_up.is_set():
            _within(LET_GO_S, job.cancel)
            raise _cancelled()
        for event in job.events(SILENT_S):
            self._hear(event, job)
        result = job.result()
        told = self._tell("done", result, last=True)
        if self._forgets or not told:
            _within(LET_GO_S, job.forget)

    def _hear(self, event: client.Event, job: client.HelperJob) -> None:
        data = event.data
        if event.name in ("queued", "note"):
            self._tell(event.name, data)
        elif event.name == "running":
            self._pace.resume()
            self._looked_at = time.monotonic()
            self._tell("running", data)
        elif event.name == "paused":
            self._pace.pause()
            self._tell("note", {"text": _("the helper does something more urgent first; this goes on by itself")})
        elif event.name == "progress":
            self._tell("progress", {**data, "left_s": self._pace.left_s(data["fraction"])})
            if self._options["previews"] and time.monotonic() - self._looked_at > LOOK_S:
                self._look(job)
        elif event.name == "octave" and data["octave"] < data["octaves"]:
            self._look(job)

    def _look(self, job: client.HelperJob) -> None:
        samples = bytearray(npy.ArrayHeader(self._dtype, self._shape).nbytes)
        with contextlib.suppress(client.LinkError):  # if it matters, the events will tell
            if job.so_far_into(samples) and samples != self._looked_like:
                self._looked_like = samples
                self._tell("picture", bytes(samples))
        self._looked_at = time.monotonic()


class _Pace:
    """How much time is left, from what was done since the first step; that one also paid for what comes only once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: tuple[float, float] | None = None
        self._paused_at: float | None = None
        self._paused_s = 0.0

    def pause(self) -> None:
        """Note that the job waits from now on."""
        if self._paused_at is None:
            self._paused_at = self._clock()

    def resume(self) -> None:
        """Note that it goes on."""
        if self._paused_at is not None:
            self._paused_s += self._clock() - self._paused_at
            self._paused_at = None

    def left_s(self, fraction: float) -> float | None:
        """Return the seconds left when this fraction, 0…1, is done, or None when that cannot be known yet."""
        self.resume()
        now = self._clock() - self._paused_s
        if self._began is None:
            self._began = now, fraction
        began, done = self._began
        return (now - began) * (1 - fraction) / (fraction - done) if fraction > done else None


class Kept:
    """A finished picture that the helper keeps."""

    def __init__(self, job: client.HelperJob) -> None:
        self._job = job

    def acknowledge(self) -> None:
        """Let the helper forget it, as it is safe on the canvas; takes 2 s at most, and cannot fail."""
        _within(LET_GO_S, self._job.forget)


def last_result(facts: Facts) -> tuple[str, str, tuple[int, int, int], bytearray, Kept] | None:
    """Return label, dtype, shape and samples of the last picture that GIMP asked for and did not acknowledge, or None.

    The `Kept` lets the helper forget it. Without a helper there is none. Raises `Trouble`, also when one does not answer.
    """
    try:
        found = helper(facts, start=False)
    except Trouble as trouble:
        if trouble.code == "no_helper" and not facts.endpoint.exists():
            return None
        raise
    mine = [
        job
        for job in asked(found.status)["jobs"]
        if job["state"] == "done" and job["priority"] == "interactive" and job["client"].startswith("gimp-")
    ]
    if not mine:
        return None
    last = mine[-1]  # they are told in the order in which they came
    height, width, channels = last["shape"]
    job = client.HelperJob(found, last["id"], last["dtype"], (height, width, channels))
    return last["label"], last["dtype"], job.shape, asked(job.result), Kept(job)


def _within(seconds: float, call: Callable[[], object]) -> None:
    """Make a call in a thread of its own and wait for it, but not longer; what goes wrong does not matter any more."""

    def quietly() -> None:
        with contextlib.suppress(Exception):
            call()

    thread = threading.Thread(target=quietly, name="deepdream's goodbye", daemon=True)
    thread.start()
    thread.join(seconds)
