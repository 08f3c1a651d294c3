"""The commands for the background service: `service start`, `stop`, `status`, `logs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from deepdream_core.service.interface import Manager, Part

service = typer.Typer(
    no_args_is_help=True, help="Start, stop and inspect the background service: hot folder and helper."
)


def _manager() -> Manager:
    from deepdream_core.service.manager import manager_of

    return manager_of()


@service.command()
def start() -> None:
    """Start the service, even after the system gave up on it. It starts by itself at login."""
    manager = _manager()
    manager.start()
    _print(manager.parts())


@service.command()
def stop() -> None:
    """Stop the service until the next login or start; nothing is lost."""
    _manager().stop()
    print("stopped; it starts again at the next login, or with `deepdream service start`")


@service.command()
def status(
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Show what runs, since when, what failed and what to do about it."""
    _print(_manager().parts(), as_json=json)


@service.command()
def logs(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="keep printing new lines until Ctrl-C")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=100_000, help="number of lines")] = 100,
) -> None:
    """Print the service's log."""
    _manager().logs(lines, follow=follow)


def _print(parts: list[Part], *, as_json: bool = False) -> None:
    """Print the state of the parts; raises `ServiceError` when a part is unhealthy."""
    import dataclasses
    import json

    from deepdream_core.errors import ServiceError
    from deepdream_core.printable import printable
    from deepdream_core.service.interface import not_installed

    if as_json:
        print(json.dumps({"parts": [dataclasses.asdict(part) for part in parts]}))
    elif all(part.state == "missing" for part in parts):
        raise not_installed()
    else:
        for part in parts:
            print(printable(_line(part)))
    unhealthy = [part for part in parts if not part.healthy]
    if unhealthy and as_json:
        raise typer.Exit(ServiceError.exit_code)
    if unhealthy:
        needs = "needs" if len(unhealthy) == 1 else "need"
        raise ServiceError(
            f"the {' and the '.join(part.name for part in unhealthy)} {needs} help", unhealthy[0].next_step
        )


def _line(part: Part) -> str:
    from deepdream_core.work.report import clock

    words = {"starts": "is starting", "stopped": "is stopped", "failed": "has failed", "missing": "is missing"}
    line = f"{part.name}: {words.get(part.state, part.state)}"
    if part.since_s is not None:
        line += f" for {clock(part.since_s)}" if part.state in ("runs", "waits") else f", {clock(part.since_s)} ago"
    if part.pid:
        line += f" (process {part.pid})"
    line += f": {part.about}" if part.about else ""
    return line + (f" — {part.next_step}" if part.next_step else "")


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.add_typer(service, name="service")
