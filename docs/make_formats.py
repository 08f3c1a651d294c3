"""Writes the table of picture formats into docs/photographs.md, from their declarations: `python docs/make_formats.py`."""

from __future__ import annotations

import re
from pathlib import Path

from deepdream_core.photo.formats import FORMATS, Format

PAGE = Path(__file__).resolve().parent / "photographs.md"
BEGIN, END = "<!-- made by docs/make_formats.py -->", "<!-- end -->"
HEAD = """\
| format | endings | bits read | bits written | transparency | profile | EXIF | XMP | several pictures |
|---|---|---|---|---|---|---|---|---|"""


def table() -> str:
    """Return a row for each format."""
    return "\n".join([HEAD, *(row(format) for format in FORMATS.values())])


def row(format: Format) -> str:
    """Return what a format can hold."""
    written = "256 colours" if format.palette else ", ".join(format.depths)
    transparency = {"full": "✓", "none": ""}.get(format.alpha, format.alpha)
    profile = "✓" if format.icc else "becomes sRGB"
    marks = ["✓" if held else "" for held in (format.exif, format.xmp)]
    endings = " ".join(f"`{ending}`" for ending in format.endings)
    cells = [format.title, endings, format.reads, written, transparency, profile, *marks, format.sequence]
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"


def page() -> str:
    """Return docs/photographs.md with the table as it should be."""
    made = f"{BEGIN}\n\n{table()}\n\n{END}"
    return re.sub(f"{BEGIN}.*{END}", lambda _: made, PAGE.read_text("utf-8"), flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
