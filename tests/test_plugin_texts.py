"""That the plug-in's catalogues say everything the plug-in says, and nothing else, in every language.

`.venv/bin/python tests/test_plugin_texts.py` writes `sentences.py` and compiles each .po into its .mo.
"""

from __future__ import annotations

import ast
import gettext
import re
import string
import struct
from pathlib import Path

import helper_sentences
import pytest
from plugin_folder import helper_words

from deepdream_core import plugin_facts
from deepdream_core.config import builtin_config_path, load_config

PLUGIN = Path(__file__).resolve().parent.parent / "plugin" / "deepdream"
LANGUAGES = sorted(folder.name for folder in (PLUGIN / "locale").iterdir())
SENTENCES = PLUGIN / "sentences.py"
LETTER = re.compile(r"_([^\W\d_])")
"""In a label, the letter to press with Alt."""


def po(language: str, domain: str = "deepdream") -> Path:
    """The catalogue of a language: what the plug-in says, or in the domain `helper` what client and helper say."""
    return PLUGIN / "locale" / language / "LC_MESSAGES" / f"{domain}.po"


def texts() -> dict[str, str]:
    """Every text that is translated, and the file that says it: all `_("…")`, controls, presets and families.

    A text with forms for numbers is both of its English forms, with `\\0` between them, as in a compiled catalogue.
    """
    found: dict[str, str] = {}
    for file in sorted(PLUGIN.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("_", "ngettext")
                and isinstance(node.args[0], ast.Constant)
            ):
                forms = [str(each.value) for each in node.args if isinstance(each, ast.Constant)]
                found.setdefault("\0".join(forms), file.name)
    for control in plugin_facts.controls():
        words = control.get("words", {})
        labels = [label for word, (_value, label) in words.items() if (control["kind"], label) != ("list", word)]
        for text in (control["label"], control["description"], control["group"], *labels, *control.get("numbers", {})):
            found.setdefault(text, "settings.py")
    for preset in load_config(builtin_config_path()).presets.values():
        for text in filter(None, (preset.description, preset.family)):
            found.setdefault(text, "config.yaml")
    return found


def read_po(path: Path) -> dict[str, str]:
    """The texts of a catalogue and their translations; the empty text's is the header. Forms are parted by `\\0`."""
    entries: dict[str, str] = {}
    parts: dict[str, str] = {}
    at = ""
    for line in [*path.read_text("utf-8").splitlines(), 'msgid ""']:
        keyword, _space, rest = line.partition(" ")
        if keyword.startswith("msg"):
            if keyword == "msgid" and parts:
                text = "\0".join(parts[key] for key in parts if key.startswith("msgid"))
                assert text not in entries, f"twice: {text}"
                forms = [parts[key] for key in parts if key.startswith("msgstr")]
                entries[text] = "\0".join(forms) if all(forms) else ""
                parts = {}
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


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_text_is_translated_and_none_is_left_over(language: str) -> None:
    entries = read_po(po(language))
    said = {text for text in entries if text}
    assert (set(texts()) - said, said - set(texts())) == (set(), set())
    assert [text for text, meant in entries.items() if not meant] == []


def test_every_sentence_of_client_and_helper_is_translated(language: str) -> None:
    entries = read_po(po(language, "helper"))
    known, said = set(helper_sentences.sentences()), {text for text in entries if text}
    assert (known - said, said - known) == (set(), set())
    assert [text for text, meant in entries.items() if not meant] == []


@pytest.mark.parametrize("domain", ["deepdream", "helper"])
def test_a_translation_fits_its_text(language: str, domain: str) -> None:
    entries = read_po(po(language, domain))
    count = int(re.search(r"nplurals=(\d)", entries.pop(""))[1])  # type: ignore[index]
    for text, meant in entries.items():
        forms = meant.split("\0")
        assert len(forms) == (count if "\0" in text else 1), text
        for form in forms:
            assert _placeholders(form) == _placeholders(text.split("\0")[-1]), form
            assert form.count("_") == text.split("\0")[-1].count("_") or domain == "helper", form
            assert not form.endswith(" "), form


DIALOG = {
    "deepdream.py", "dialog.py", "gallery.py", "guide_row.py", "output_row.py", "rows.py", "settings.py",
    "viewer_buttons.py",
}  # fmt: skip
"""What makes the dialog's controls."""
OF_GIMP = {"": "rochls", "de": "zochgs", "pl": "poacls"}
"""The letters of the buttons that GIMP adds to it."""


def test_the_letters_to_press_are_different_ones() -> None:
    said = [text for text, where in texts().items() if where in DIALOG and LETTER.search(text) and "{" not in text]
    controls = [text for text in said if "DeepDream" not in text]
    in_sight = {control["label"] for control in plugin_facts.controls() if not control["folded"]}
    assert in_sight <= set(controls), "each row in sight has one; among the advanced ones there are too many"
    assert len(set(controls) - {control["label"] for control in plugin_facts.controls()}) == len(
        ("preset", "looks", "guide", "seed", "output", "advanced")
    )
    for language in ("", *LANGUAGES):
        entries = read_po(po(language)) if language else {}
        letters = [found[1].lower() for text in controls if (found := LETTER.search(entries.get(text, text)))]
        assert len(set(letters)) == len(letters), letters
        assert not set(letters) & set(OF_GIMP[language]), letters


def test_labels_of_the_dialog_that_differ_are_translated_by_words_that_differ(language: str) -> None:
    controls = plugin_facts.controls()
    labels = {text for text, where in texts().items() if where in DIALOG and LETTER.search(text)} | {"Result"}
    labels |= {control[part] for control in controls for part in ("label", "group")}
    entries = read_po(po(language))
    meant = {_word(text): _word(entries[text]) for text in labels}
    assert len(set(meant.values())) == len(meant), sorted(meant.values())


def _word(label: str) -> str:
    return label.replace("_", "").casefold()


@pytest.mark.parametrize("domain", ["deepdream", "helper"])
def test_the_compiled_catalogue_is_of_this_text(language: str, domain: str) -> None:
    path = po(language, domain)
    assert path.with_suffix(".mo").read_bytes() == compiled(read_po(path)), (
        "run .venv/bin/python tests/test_plugin_texts.py"
    )
    with path.with_suffix(".mo").open("rb") as file:
        catalogue = gettext.GNUTranslations(file)
    for text, meant in read_po(path).items():
        if "\0" not in text:
            assert catalogue.gettext(text) == meant


def test_the_plug_in_knows_the_sentences_that_client_and_helper_have_now() -> None:
    assert SENTENCES.read_text("utf-8") == sentences_file(), "run .venv/bin/python tests/test_plugin_texts.py"
    assert all(_placeholders(here) == _placeholders(there) or here for there, here in helper_words.IN_GIMP.items())


def sentences_file() -> str:
    """The plug-in's list of the sentences of client and helper."""
    lines = "".join(
        f"    {_quoted(text)},  # {source}\n" for text, source in sorted(helper_sentences.sentences().items())
    )
    return (
        '"""The sentences of client and helper, as templates; written by tests/test_plugin_texts.py."""\n\n'
        "from __future__ import annotations\n\n# fmt: off\n# ruff: noqa: E501\n"
        f"SENTENCES = (\n{lines})\n"
    )


def _quoted(text: str) -> str:
    return repr(text) if '"' in text else f'"{text}"'


def main() -> None:
    """Write what is made of the sources and of the .po files."""
    SENTENCES.write_text(sentences_file(), "utf-8")
    for path in sorted((PLUGIN / "locale").rglob("*.po")):
        path.with_suffix(".mo").write_bytes(compiled(read_po(path)))


if __name__ == "__main__":
    main()
