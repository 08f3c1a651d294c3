"""Writes the tables of options into docs/options.md, from the program's declarations: `python docs/make_options.py`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from typer.main import get_command

from deepdream_core.cli.main import app
from deepdream_core.machine_settings import EngineSettings
from deepdream_core.settings import DreamSettings

PAGE = Path(__file__).resolve().parent / "options.md"
BEGIN, END = "<!-- made by docs/make_options.py -->", "<!-- end -->"


def tables() -> str:
    """Return a table for each group of options of `deepdream dream`, with a row for each option."""
    dream: Any = get_command(app)
    rows: dict[str, list[str]] = {}
    for option in dream.commands["dream"].params:
        if option.param_type_name == "option" and "--help" not in option.opts:
            words = [f"`{name}`" for name in (*option.opts, *option.secondary_opts)]
            cells = [
                ", ".join(words) + ("" if option.is_flag else f" `{option.metavar}`"),
                default(option),
                option.help,
            ]
            row = " | ".join(cell.replace("|", "\\|") for cell in cells)
            rows.setdefault(option.rich_help_panel or "Input, output and machine", []).append(f"| {row} |")
    head = "| option | default | what it does |\n|---|---|---|"
    return "\n\n".join("\n".join((f"### {group}\n", head, *lines)) for group, lines in rows.items())


def default(option: Any) -> str:
    """Return an option's default as a person would write it."""
    for model in (DreamSettings, EngineSettings):
        if option.name in model.model_fields:
            value = model.model_fields[option.name].default
            value = ", ".join(value) if isinstance(value, (dict, list)) else value
            if isinstance(value, bool):
                return "on" if value else "off"
            return "" if value == "" else f"`{value}`"
    if option.is_flag:
        return "on" if option.default else "off"
    shown = option.show_default if isinstance(option.show_default, str) else option.default
    return f"`{shown}`" if shown else ""


def page() -> str:
    """Return docs/options.md with the tables as they should be."""
    made = f"{BEGIN}\n\n{tables()}\n\n{END}"
    return re.sub(f"{BEGIN}.*{END}", lambda _: made, PAGE.read_text("utf-8"), flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
