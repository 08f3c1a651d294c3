"""The command line's part for the hot folder: `watch`, `explain`, `retry`, `pause`, `resume`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="config.yaml over the built-in one")]


def watch(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[FOLDER]...", help="drop folders; without: those of config.yaml")
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="one line for each picture, as without a terminal, instead of a live table")
    ] = False,
    config: ConfigFile = None,
) -> None:
    """Dream every picture that is dropped into a folder, until Ctrl-C."""
    from deepdream_core.hotfolder.serve import watch as run

    run(folders or [], config, live=not plain and sys.stderr.isatty())


def explain(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="a file in a drop folder")],
    config: ConfigFile = None,
) -> None:
    """Say why a file in a drop folder is not done, or what it has become."""
    from deepdream_core.config import load_config
    from deepdream_core.hotfolder import explain as explaining
    from deepdream_core.hotfolder.shared_state import open_journal
    from deepdream_core.hotfolder.show import plain

    journal = open_journal()
    try:
        path = path.absolute()
        typer.echo(
            f"{plain(str(path))}: {explaining.explained(path, explaining.watched(load_config(config)), journal)}"
        )
    finally:
        journal.close()


def retry(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH]...", help="files in failed/, or that wait")
    ] = None,
    all_failed: Annotated[bool, typer.Option("--all", help="everything in failed/, and whatever waits")] = False,
    config: ConfigFile = None,
) -> None:
    """Put files from failed/ back, and try at once what waits."""
    from deepdream_core.config import load_config
    from deepdream_core.errors import OutputError, SettingsError
    from deepdream_core.hotfolder import explain as explaining
    from deepdream_core.hotfolder.show import plain

    if bool(paths) == all_failed:
        raise SettingsError("retry: give files, or --all", "`deepdream status` shows how many failed")
    try:
        given = [path.absolute() for path in paths or []]
        back = explaining.retried(given, explaining.watched(load_config(config)))
    except OSError as error:
        raise OutputError(f"{error.filename}: {error.strerror}", "check the name") from None
    for path in back:
        typer.echo(f"{plain(str(path))}: is tried again")
    if not back:
        typer.echo("nothing had failed; what waits is tried at once")


def pause() -> None:
    """Let the hot folders rest until `deepdream resume`; the picture that is being dreamed is finished."""
    from deepdream_core.hotfolder.shared_state import set_paused

    set_paused(True)
    typer.echo("the hot folders are paused; `deepdream resume` goes on")


def resume() -> None:
    """Let the hot folders go on after `deepdream pause`."""
    from deepdream_core.hotfolder.shared_state import set_paused

    set_paused(False)
    typer.echo("the hot folders go on")


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    for command in (watch, explain, retry, pause, resume):
        app.command()(command)
