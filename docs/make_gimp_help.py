"""Writes the page that Help opens in GIMP, from docs/gimp.md: `python docs/make_gimp_help.py`."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from PIL import Image

if TYPE_CHECKING:
    from markdown_it.token import Token

DOCS = Path(__file__).resolve().parent
SOURCE = DOCS / "gimp.md"
PAGE = DOCS.parent / "plugin" / "deepdream" / "help" / "en" / "index.html"

LAYOUT = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --line: #8884; --soft: #8881; }}
body {{ font: 1rem/1.55 system-ui, sans-serif; max-width: 46rem; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; }}
h1, h2, h3 {{ line-height: 1.25; margin: 2em 0 .5em; }}
h1 {{ margin-top: 0; }}
h1 img {{ width: 2.5rem; height: 2.5rem; vertical-align: middle; margin-right: .5rem; border: 0; }}
img {{ max-width: 100%; height: auto; border: 1px solid var(--line); border-radius: 4px; }}
li {{ margin: .35em 0; }}
code {{ font-size: .92em; background: var(--soft); padding: .1em .3em; border-radius: 3px; overflow-wrap: anywhere; }}
pre {{ background: var(--soft); border: 1px solid var(--line); border-radius: 4px; padding: .8em 1em; overflow-x: auto; }}
pre code {{ background: none; padding: 0; overflow-wrap: normal; }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; }}
th, td {{ border: 1px solid var(--line); padding: .35em .7em; text-align: left; vertical-align: top; }}
nav ul {{ columns: 2; padding-left: 1.2em; }}
nav li {{ margin: 0 0 .35em; break-inside: avoid; }}
</style>
</head>
<body>
<main>
{body}</main>
</body>
</html>
"""


def page() -> str:
    """Return docs/gimp.md as one HTML file; links to other pages, which are not laid beside it, become plain text."""
    tokens = MarkdownIt("commonmark").enable("table").parse(SOURCE.read_text("utf-8"))
    headings: list[tuple[str, str]] = []
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            text = tokens[place + 1].content
            token.attrSet("id", re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-"))
            headings += [(str(token.attrGet("id")), text)] if token.tag == "h2" else []
        token.children = _offline(token.children or []) if token.type == "inline" else token.children
    renderer = MarkdownIt("commonmark").enable("table")
    body: str = renderer.renderer.render(tokens, renderer.options, {})
    title = tokens[1].content
    contents = "".join(f'<li><a href="#{anchor}">{escape(text)}</a></li>\n' for anchor, text in headings)
    end = body.index("</h1>") + len("</h1>\n")
    body = body[:end] + f"<nav><ul>\n{contents}</ul></nav>\n" + body[end:]
    body = re.sub(r"(<h1[^>]*>)", r'\1<img src="../../icon.svg" alt="">', body, count=1)
    return LAYOUT.format(title=escape(f"{title} – DeepDream"), body=body)


def pictures() -> list[str]:
    """Return the names of the pictures of the page, which lie in docs/."""
    return re.findall(r"!\[[^\]]*\]\(([\w.-]+)\)", SOURCE.read_text("utf-8"))


def _offline(tokens: list[Token]) -> list[Token]:
    kept, inside = [], 0
    for token in tokens:
        if token.type == "link_open" and not str(token.attrGet("href")).startswith("#"):
            inside += 1
        elif token.type == "link_close" and inside:
            inside -= 1
        else:
            if token.type == "image":
                token.attrSet("src", str(Path(str(token.attrGet("src"))).with_suffix(".png")))
            kept.append(token)
    return kept


def main() -> None:
    """Write the page, and its pictures with 256 colours, which is enough and a third of the bytes."""
    PAGE.write_text(page(), "utf-8")
    for name in pictures():
        with Image.open(DOCS / name) as picture:
            picture.convert("RGB").quantize(256).save(PAGE.with_name(name).with_suffix(".png"), optimize=True)


if __name__ == "__main__":
    main()
