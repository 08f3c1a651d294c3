"""Puts a preset into a user's config.yaml: text is inserted, so that the file's comments and order stay."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import yaml

from deepdream_core.atomic import write_whole
from deepdream_core.config import config_of
from deepdream_core.errors import OutputError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NAME = re.compile(r"\w(?:[\w .+-]{0,58}[\w+-])?")

TAKEN = {
    "save": "`deepdream presets save` saves one",
    "guide": "the hot folder looks for guides in a folder of that name",
    **dict.fromkeys(("out", "done", "failed"), "the hot folder has a folder of that name"),
}
"""Names that the command or the hot folder uses, and for what."""


def save_preset(name: str, body: Mapping[str, Any], own: Path, *, replace: bool) -> None:
    """Write a preset into the configuration file `own`, which is made if it is missing.

    `body` holds its description and settings. The file is replaced in one step, and only if it can then be loaded. Raises
    `SettingsError` for a name that is not allowed, is in `TAKEN` or, without `replace`, exists; `OutputError` if the disk
    refuses.
    """
    if not _NAME.fullmatch(name):
        raise SettingsError(f"a preset cannot be called {name!r:.80}", "use letters, digits, - and _, such as my-cats")
    if name in TAKEN:
        raise SettingsError(f"a preset cannot be called {name}: {TAKEN[name]}", "choose another name")
    try:
        text = own.read_bytes().decode("utf-8-sig") if os.path.lexists(own) else ""
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8"
        raise SettingsError(f"{own}: {reason}", "make it a readable config.yaml") from None
    if name in config_of(text.encode(), own).presets and not replace:
        raise SettingsError(f"there is already a preset {name}", "choose another name, or give --replace")
    before = yaml.safe_load(text) or {}
    after = {**before, "presets": {**(before.get("presets") or {}), name: dict(body)}}
    written = _with_preset(text, name, dict(body))
    try:
        right = yaml.safe_load(written) == after
    except yaml.YAMLError:
        right = False
    if not right:  # such as one that uses references
        raise SettingsError(
            f"{own}: its YAML is written in a way that DeepDream cannot add to",
            "paste `deepdream recipe --yaml`",
        )
    config_of(written.encode(), own).dream_settings(name, {})
    try:
        own.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{own.parent}: cannot be made: {error.strerror}", "make that folder", error.errno) from None
    write_whole(own, lambda file: file.write(written.encode()), overwrite=True)


def _with_preset(text: str, name: str, body: dict[str, Any]) -> str:
    """Return the text of a configuration with a preset, in place of the one of this name if there is one.

    What is inserted has the line ends of the first line.
    """
    start, inserted, end = _insertion(text, name, body)
    newline = "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"
    return text[:start] + inserted.replace("\n", newline) + text[end:]


def _insertion(text: str, name: str, body: dict[str, Any]) -> tuple[int, str, int]:  # noqa: PLR0911 - one for each way to write it
    """Return what is inserted, between which indices of the text; it stands in place of what is between them."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        return _at_the_end(text, _block({"presets": {name: body}}, 0))
    if root.flow_style:
        return _in_braces(text, root, "presets", {name: body})
    section = _value_of(root, "presets")
    if section is None:
        return _at_the_end(text, _block({"presets": {name: body}}, root.start_mark.column))
    key, presets = section
    if not isinstance(presets, yaml.MappingNode):  # nothing, or null
        colon = text.index(":", key.end_mark.index) + 1
        after = max(colon, presets.end_mark.index) if presets.value else colon
        line = text[after:].partition("\n")[0]
        begun = line.removesuffix("\r") + "\n"
        end = min(len(text), after + len(line) + 1)
        return colon, begun + _block({name: body}, key.start_mark.column + 2), end
    if presets.flow_style:
        return _in_braces(text, presets, name, body)
    old = _value_of(presets, name)
    column = presets.start_mark.column
    if old is not None:
        return _line_at(text, old[0].start_mark.index), _block({name: body}, column), _end_of(text, old[1])
    start = _line_at(text, presets.start_mark.index)
    return start, _block({name: body}, column), start


def _value_of(mapping: yaml.MappingNode, name: str) -> tuple[yaml.ScalarNode, yaml.Node] | None:
    return next(((key, value) for key, value in mapping.value if key.value == name), None)


def _block(tree: dict[str, Any], column: int) -> str:
    """Return the YAML of a mapping whose keys begin at a column."""
    lines = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=1000).splitlines(keepends=True)
    return "".join(" " * column + line for line in lines)


def _at_the_end(text: str, block: str) -> tuple[int, str, int]:
    before = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    return len(text), before + block, len(text)


def _in_braces(text: str, mapping: yaml.MappingNode, name: str, value: dict[str, Any]) -> tuple[int, str, int]:
    """Return a first key in a mapping in braces."""
    start = text.index("{", mapping.start_mark.index) + 1
    dumped = yaml.safe_dump({name: value}, sort_keys=False, allow_unicode=True, width=1 << 30, default_flow_style=True)
    return start, f"{dumped.strip()[1:-1]}{', ' if mapping.value else ''}", start


def _line_at(text: str, index: int) -> int:
    """Return where the line of an index begins."""
    return text.rfind("\n", 0, index) + 1


def _end_of(text: str, node: yaml.Node) -> int:
    """Return where the lines of a node's own content end: comments that follow belong to what comes next."""
    while isinstance(node, (yaml.MappingNode, yaml.SequenceNode)) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    end: int = node.end_mark.index
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        return end
    line = text.find("\n", end)
    return len(text) if line < 0 else line + 1
