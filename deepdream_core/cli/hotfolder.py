"""The commands for the hot folder: `watch`, `explain`, `retry`, `pause`, `resume`."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003  # typer itself looks at the annotations
from typing import Annotated

import typer

from deepdream_core.cli.cluster import elsewhere
from deepdream_core.cli.options import ClusterAddress, ConfigFile  # noqa: TC001  # typer itself looks at the annotations


def watch(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FOLDER]...", readable=False, help="drop folders; default: those of config.yaml"),
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="print a line for each picture instead of a live table")
    ] = False,
    log: Annotated[
        Path | None,
        typer.Option(
            "--log", metavar="FILE", readable=False, help="write the lines into this file, as the service does"
        ),
    ] = None,
    cluster: ClusterAddress = None,
    config: ConfigFile = None,
) -> None:
    """Dream every picture that is dropped into a folder, until Ctrl-C."""
    from deepdream_core.hotfolder.serve import watch as run

    in_terminal = sys.stderr is not None and sys.stderr.isatty()  # None: a Windows program without a console
    live = in_terminal and not plain and log is None
    if cluster is not None:
        elsewhere(cluster, lambda _text: None, open=False)
    run(folders or [], config, live=live, log=log, cluster=cluster, elsewhere=elsewhere)


def explain(
    path: Annotated[Path, typer.Argument(metavar="PATH", readable=False, help="a file in a drop folder")],
    config: ConfigFile = None,
) -> None:
    """Say why a file in a drop folder is not dreamed yet, or what happened to it."""
    from deepdream_core.config import load_config
    from deepdream_core.hotfolder import explain as explaining
    from deepdream_core.hotfolder.shared_state import open_journal
    from deepdream_core.printable import printable

    journal = open_journal()
    try:
        text = explaining.explained(path, explaining.watched(load_config(config)), journal)
        print(f"{printable(str(path))}: {printable(text, lines=True)}")
    finally:
        journal.close()


def retry(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]...", readable=False, help="files that failed or wait, or folders of them"),
    ] = None,
    all_failed: Annotated[bool, typer.Option("--all", help="everything in failed/, and every waiting file")] = False,
    config: ConfigFile = None,
) -> None:
    """Put files from failed/ back, and try waiting files at once."""
    from deepdream_core.config import load_config
    from deepdream_core.errors import OutputError, SettingsError
    from deepdream_core.hotfolder.explain import watched
    from deepdream_core.hotfolder.retry import retried
    from deepdream_core.hotfolder.shared_state import open_journal
    from deepdream_core.printable import printable

    if bool(paths) == all_failed:
        raise SettingsError("retry: give files, or --all", "`deepdream status` shows how many failed")
    journal = open_journal()
    try:
        results = retried(paths or [], watched(load_config(config)), journal)
    except OSError as error:
        raise OutputError(f"{error.filename}: {error.strerror}", "check the name and the permissions") from None
    finally:
        journal.close()
    for path, what in results:
        print(f"{printable(str(path))}: {printable(what)}")
    if all_failed and not results:
        print("no file has failed; DeepDream tries waiting files at once")


def pause() -> None:
    """Pause the hot folders until `deepdream resume`; the current picture is finished first."""
    from deepdream_core.hotfolder.shared_state import set_paused

    set_paused(True)
    print("the hot folders are paused; `deepdream resume` continues")


def resume() -> None:
    """Continue after `deepdream pause`."""
    from deepdream_core.hotfolder.shared_state import set_paused

    set_paused(False)
    print("the hot folders continue")


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    for command in (watch, explain, retry, pause, resume):
        app.command()(command)
