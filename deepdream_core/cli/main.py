"""The command `deepdream`. It imports torch only to dream, so that help and wrong options answer at once."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Annotated

os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looking for them reads every installed package

import typer

from deepdream_core import __version__
from deepdream_core.cli import (
    bench,
    channels,
    cluster,
    doctor,
    dream,
    helper,
    hotfolder,
    listings,
    looks,
    service,
    streams,
    weights,
)
from deepdream_core.cli.options import INTERRUPTED
from deepdream_core.errors import DeepDreamError, SettingsError
from deepdream_core.printable import printable

app = typer.Typer(
    name="deepdream",
    help="DeepDream: let a neural network's patterns grow out of photographs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (dream, listings, channels, weights, bench, helper, looks, hotfolder, doctor, service, cluster):
    group.register(app)

COMPLETE = "_DEEPDREAM_COMPLETE"
"""A shell asks for completions through this variable, and the installer for the script that makes the shell ask."""
UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # click's, which typer may carry inside itself


def _print_version(wanted: bool) -> None:
    if wanted:
        import importlib.metadata

        parts = [f"{name} {importlib.metadata.version(name)}" for name in ("torch", "torchvision")]
        python = ".".join(map(str, sys.version_info[:3]))
        print(f"deepdream {__version__} (Python {python}, {', '.join(parts)})")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    pass


def run() -> int:
    """Run the command line and return its exit code; every error a user can cause is one line on stderr."""
    if COMPLETE in os.environ:  # a shell asks; typer prepares for that only where it adds its own options
        from typer._completion_classes import completion_init

        completion_init()
    try:
        code = int(app(standalone_mode=False, prog_name="deepdream") or 0)
        sys.stdout.flush()  # here, where an error can still be reported
        return code
    except DeepDreamError as error:
        return _complain(str(error), error.exit_code)
    except UsageError as error:
        help_was_shown = type(error).__name__ == "NoArgsIsHelpError"
        message = getattr(error, "format_message", error.__str__)()
        return SettingsError.exit_code if help_was_shown else _complain(f"{message} — see: deepdream --help", 2)
    except (KeyboardInterrupt, typer.Abort):
        with contextlib.suppress(OSError):
            print("stopped", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:  # a broken pipe has no reader to inform
        return 1 if isinstance(error, BrokenPipeError) else _complain(_in_words(error), 1)
    finally:
        streams.flush()


def _in_words(error: OSError) -> str:
    """Return what the system refused: a file, or the output."""
    why = error.strerror or str(error)
    if error.filename is None:
        return f"output cannot be written: {why}"
    return f"{printable(os.fsdecode(error.filename))}: {why} — check that path and its permissions"


def _complain(text: str, code: int) -> int:
    with contextlib.suppress(OSError):
        sys.stdout.flush()  # earlier output comes first
    with contextlib.suppress(OSError):  # nobody reads it
        typer.secho("error: ", err=True, nl=False, fg=typer.colors.RED, bold=True)
        print(" ".join(text.split("\n")), file=sys.stderr)
    return code
