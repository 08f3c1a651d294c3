"""The command `deepdream doctor`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from deepdream_core.cli.options import ConfigFile  # noqa: TC001  # typer itself looks at the annotations


def doctor(
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
    fix: Annotated[bool, typer.Option("--fix", help="make the safe repairs and check again")] = False,
    config: ConfigFile = None,
) -> None:
    """Check everything DeepDream needs and say what to do; repair only with --fix. Exit code: the number of ✗."""
    from deepdream_core.doctor.all_checks import all_checks
    from deepdream_core.doctor.run import examine, report_for
    from deepdream_core.machine.folders import UserFolders

    try:
        user = UserFolders.here()
    except RuntimeError:  # the checks say what is missing
        user = UserFolders(dict(os.environ), sys.platform, Path(os.sep, "nonexistent"))
    raise typer.Exit(examine(all_checks(user, config), report_for(json), repair=fix))


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(doctor)
