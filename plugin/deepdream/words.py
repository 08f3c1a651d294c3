"""The plug-in's texts in the user's language."""

from __future__ import annotations

import gettext
from pathlib import Path

DOMAIN = "deepdream"
_catalogue = gettext.translation(DOMAIN, Path(__file__).resolve().parent / "locale", fallback=True)


def _(text: str) -> str:
    """Return a text in the user's language."""
    return _catalogue.gettext(text)
