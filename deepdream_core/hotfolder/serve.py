"""`deepdream watch`: from the locks to the last line of the log."""

from __future__ import annotations

import logging
import signal
import sys
import time
from functools import partial
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING, Any

from deepdream_core.config import builtin_config_path, load_config, user_config_path
from deepdream_core.errors import DeepDreamError, OutputError, SettingsError
from deepdream_core.hotfolder import shared_state
from deepdream_core.hotfolder.daemon import Daemon
from deepdream_core.hotfolder.engines import no_cluster
from deepdream_core.hotfolder.heartbeat import Pulse
from deepdream_core.hotfolder.layout import check, root_of
from deepdream_core.machine_settings import FolderSettings
from deepdream_core.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from deepdream_core.hotfolder import engines
    from deepdream_core.settings import Config
    from deepdream_core.work.backend import Backend

    Elsewhere = Callable[[str, Callable[[str], None]], engines.Elsewhere]
    Screen = tuple[Callable[[str], None], Callable[[dict[str, Any]], None], Callable[[], None]]

STATE_EVERY_S = 1.0
LOG_LIMIT = 1_000_000
RELOAD = getattr(signal, "SIGHUP", None)


def watch(
    folders: Sequence[Path],
    config: Path | None,
    *,
    live: bool,
    log: Path | None = None,
    cluster: str | None = None,
    elsewhere: Elsewhere = no_cluster,
) -> None:
    """Watch the named folders, or those of the configuration, until Ctrl-C or SIGTERM; SIGHUP reloads the configuration.

    `cluster` is the address of the folders' cluster, in place of what the configuration says; `elsewhere` opens clusters.
    `live`: show a table instead of a line for each picture; `log`: write the lines into this file, including the error that
    ends the daemon. Raises `SettingsError` for a folder that cannot be watched or is watched already, `OutputError` if the
    journal or the log cannot be used.
    """
    if log is None:
        _watch(folders, config, partial(_screen, live), cluster, elsewhere)
        return
    say = _logged(log)
    try:
        _watch(folders, config, lambda: (say, lambda _state: None, lambda: None), cluster, elsewhere)
    except DeepDreamError as error:
        say(f"error: {error}")
        raise


def _watch(
    folders: Sequence[Path],
    config: Path | None,
    screen: Callable[[], Screen],
    cluster: str | None,
    elsewhere: Elsewhere,
) -> None:
    locks = shared_state.Locks()

    def load() -> tuple[Config, Sequence[FolderSettings]]:
        pulse.reloading()
        loaded = load_config(config)
        wanted = [_settings_of(path, loaded) for path in folders] or loaded.folders
        if not wanted:
            raise SettingsError("no folder to watch", "name one, or give `folders` in config.yaml")
        if cluster is not None:
            wanted = [folder.model_copy(update={"cluster": cluster}) for folder in wanted]
        check(wanted)
        locks.hold([root_of(folder) for folder in wanted])
        return loaded, wanted

    journal = shared_state.open_journal()
    say, show, close = screen()
    pulse = Pulse(say)
    if journal.notice:
        say(journal.notice)
    changes = _Changes(config)

    def shown(state: dict[str, Any]) -> None:
        changes.check(daemon, state)
        pulse.show(state)
        show(state)

    def beat() -> None:
        pulse.beat(daemon.problem)

    try:
        daemon = Daemon(
            load, journal, lambda before: _opened_engine(before, config), say, shown, paused=shared_state.is_paused,
            beat=beat, elsewhere=lambda address: elsewhere(address, say),
        )  # fmt: skip
        before = _signals(daemon)
        try:
            say(f"watching {', '.join(map(str, daemon.roots))}; press Ctrl-C to stop; nothing is lost")
            daemon.run()
        finally:
            pulse.stopping()
            for number, handler in before.items():
                signal.signal(number, handler)
    finally:
        shared_state.remove_state()
        close()
        journal.close()
        locks.release()


class _Changes:
    """What the daemon checks once a second besides its folders: edits of the configuration, and `deepdream retry`."""

    def __init__(self, config: Path | None) -> None:
        self._files = (builtin_config_path(), config or user_config_path())
        self._versions, self._nudge = self._seen(), shared_state.nudged()
        self._next = 0.0

    def _seen(self) -> list[tuple[int, int] | None]:
        seen: list[tuple[int, int] | None] = []
        for file in self._files:
            try:
                status = file.stat()
                seen.append((status.st_size, status.st_mtime_ns))
            except OSError:
                seen.append(None)
        return seen

    def check(self, daemon: Daemon, state: dict[str, Any]) -> None:
        """Check and write the state, if it is time to."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + STATE_EVERY_S
        shared_state.write_state(state)
        versions, nudge = self._seen(), shared_state.nudged()
        if versions != self._versions:
            self._versions = versions
            daemon.reload()
        if nudge != self._nudge:
            self._nudge = nudge
            daemon.nudge()


def _settings_of(path: Path, config: Config) -> FolderSettings:
    """Return the settings of a folder from the command line: those in the configuration, or the defaults."""
    path = path.absolute()
    for folder in config.folders:
        if root_of(folder) == path:
            return folder
    return FolderSettings(path=str(path))


def _signals(daemon: Daemon) -> dict[int, Any]:
    """Handle signals for the daemon; return the handlers from before.

    Signals that nohup or a script's & made us ignore stay ignored; SIGTERM always counts.
    """
    wanted: dict[int, Callable[[int, object], None]] = {
        signal.SIGTERM: lambda *_: daemon.stop(),
        signal.SIGINT: lambda *_: daemon.stop(),
    }
    if RELOAD is not None:
        wanted[RELOAD] = lambda *_: daemon.reload()
    return {
        number: signal.signal(number, handler)
        for number, handler in wanted.items()
        if number == signal.SIGTERM or signal.getsignal(number) is not signal.SIG_IGN
    }


def _opened_engine(before: Backend | None, config: Path | None) -> Backend:
    """Return the helper as an engine: `before` if there is one; the helper is started if none runs.

    Raises `DeepDreamError` as `remote` does.
    """
    from deepdream_core.work import remote

    if isinstance(before, remote.RemoteEngine):
        before.refresh()
        return before
    # The log need not say that other jobs come first.
    return remote.RemoteEngine(lambda: remote.connect(start=True, config=config), lambda _text: None)


def _screen(live: bool) -> Screen:
    """Return functions that print a line, show the state, and end both."""
    if live:
        from deepdream_core.hotfolder.terminal import Table

        table = Table()
        return table.say, table.show, table.close

    def say(text: str) -> None:
        print(printable(text), file=sys.stderr, flush=True)

    return say, lambda _state: None, lambda: None


def _logged(path: Path) -> Callable[[str], None]:
    """Return a function that writes a line into a rotating log file; raises `OutputError`."""
    log = logging.getLogger("deepdream.hotfolder.lines")
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(path, maxBytes=LOG_LIMIT, backupCount=3, encoding="utf-8", errors="replace")
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}", "give another file with --log") from None
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    log.addHandler(handler)
    logging.raiseExceptions = False  # a full disk must not stop the daemon
    return lambda text: log.info("%s", printable(text))
