"""The plug-in's texts, and numbers in them, in the user's language.

Standard library only and Python 3.9: GIMP brings its own Python.
"""

from __future__ import annotations

import gettext
import locale
from pathlib import Path

DOMAIN = "deepdream"
_FOLDER = Path(__file__).resolve().parent / "locale"
_catalogue = gettext.translation(DOMAIN, _FOLDER, fallback=True)
_sentences = gettext.translation("helper", _FOLDER, fallback=True)


def _(text: str) -> str:
    """Return a text in the user's language."""
    return _catalogue.gettext(text)


def ngettext(one: str, many: str, count: int) -> str:
    """Return the form of a text for `count` things in the user's language."""
    return _catalogue.ngettext(one, many, count)


def capitalized(text: str) -> str:
    """Return a text with a capital letter at its beginning."""
    return text[:1].upper() + text[1:]


def sentence(template: str) -> str:
    """Return a template of the client or helper in the user's language (see helper_words.py)."""
    return _sentences.gettext(template)


def number(value: float, digits: int = 0) -> str:
    """Return a number with so many decimals at most, with the decimal separator of the user's numbers."""
    text = f"{value:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if digits else text
    return text.replace(".", decimal_point())


def decimal_point() -> str:
    """Return what stands before decimals in the user's numbers; GTK has set the locale where there is a window."""
    return str(locale.localeconv()["decimal_point"]) or "."
