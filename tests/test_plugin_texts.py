"""That the plug-in's German catalogue says everything the plug-in says, and nothing else.

`.venv/bin/python tests/test_plugin_texts.py` compiles deepdream.po into deepdream.mo.
"""

from __future__ import annotations

import ast
import gettext
import string
import struct
from pathlib import Path

import pytest

from deepdream_core import plugin_facts
from deepdream_core.config import builtin_config_path, load_config

PLUGIN = Path(__file__).resolve().parent.parent / "plugin" / "deepdream"
PO = PLUGIN / "locale" / "de" / "LC_MESSAGES" / "deepdream.po"
MO = PO.with_suffix(".mo")


def texts() -> dict[str, str]:
    """Every text that is translated, and the file that says it: all `_("…")`, controls, presets and families."""
    found: dict[str, str] = {}
    for file in sorted(PLUGIN.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "_"
                and isinstance(node.args[0], ast.Constant)
            ):
                found.setdefault(str(node.args[0].value), file.name)
    for control in plugin_facts.controls():
        words = control.get("words", {})
        labels = [label for word, (_value, label) in words.items() if (control["kind"], label) != ("list", word)]
        for text in (control["label"], control["description"], *labels, *control.get("numbers", {})):
            found.setdefault(text, "settings.py")
    for preset in load_config(builtin_config_path()).presets.values():
        for text in filter(None, (preset.description, preset.family)):
            found.setdefault(text, "config.yaml")
    return found


def read_po(path: Path) -> dict[str, str]:
    """The texts of a catalogue and their translations; the empty text's is the header."""
    entries: dict[str, str] = {}
    parts = {"msgid": "", "msgstr": ""}
    at = ""
    for line in [*path.read_text("utf-8").splitlines(), 'msgid ""']:
        keyword, _space, rest = line.partition(" ")
        if keyword in parts:
            if keyword == "msgid" and at:
                assert parts["msgid"] not in entries, f"twice: {parts['msgid']}"
                entries[parts["msgid"]] = parts["msgstr"]
            at, parts[keyword] = keyword, ast.literal_eval(rest)
        elif line.startswith('"'):
            parts[at] += ast.literal_eval(line)
        else:
            assert not line or line.startswith("#"), line
    return entries


def compiled(entries: dict[str, str]) -> bytes:
    """The catalogue as gettext's machine-readable file."""
    pairs = sorted((text.encode(), meant.encode()) for text, meant in entries.items() if meant)
    begin = 7 * 4
    data, tables = b"", ([], [])  # type: tuple[bytes, tuple[list[int], list[int]]]
    first = begin + 16 * len(pairs)
    for table, which in zip(tables, (0, 1), strict=True):
        for pair in pairs:
            table += [len(pair[which]), first + len(data)]
            data += pair[which] + b"\0"
    header = struct.pack("<7I", 0x950412DE, 0, len(pairs), begin, begin + 8 * len(pairs), 0, first)
    return header + struct.pack(f"<{4 * len(pairs)}I", *tables[0], *tables[1]) + data


def _placeholders(text: str) -> list[tuple[str, str]]:
    return sorted((name, spec or "") for _text, name, spec, _how in string.Formatter().parse(text) if name is not None)


def test_every_text_is_translated_and_none_is_left_over() -> None:
    catalogue = {text for text in read_po(PO) if text}
    assert catalogue == set(texts())
    assert all(read_po(PO).values())


@pytest.mark.parametrize("text", sorted(texts()))
def test_a_translation_fits_its_text(text: str) -> None:
    meant = read_po(PO)[text]
    assert _placeholders(meant) == _placeholders(text)
    assert meant.count("_") == text.count("_")
    assert not meant.endswith(" ")


def test_the_letters_to_press_are_different_ones() -> None:
    entries = read_po(PO)
    said = [
        text
        for text, where in texts().items()
        if where in ("deepdream.py", "settings.py") and "_" in text and "{" not in text
    ]
    controls = [text for text in said if "DeepDream" not in text]
    assert len(controls) == len(plugin_facts.controls()) + len(("preset", "seed", "output"))
    for language in (controls, [entries[text] for text in controls]):
        letters = [text[text.index("_") + 1].lower() for text in language]
        assert len(set(letters)) == len(letters), letters
        assert not set(letters) & set("rochls" if language is controls else "roahlsgz"), letters


def test_the_compiled_catalogue_is_of_this_text() -> None:
    assert MO.read_bytes() == compiled(read_po(PO)), "run .venv/bin/python tests/test_plugin_texts.py"
    with MO.open("rb") as file:
        catalogue = gettext.GNUTranslations(file)
    for text, meant in read_po(PO).items():
        assert catalogue.gettext(text) == meant


if __name__ == "__main__":
    MO.write_bytes(compiled(read_po(PO)))
