"""The page: one HTML file that needs no network and no other file, and also stores the finished tiles."""

from __future__ import annotations

import base64
import hashlib
import io
import time
from dataclasses import dataclass, field
from functools import cache
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deepdream_core.looks.board import Board
    from deepdream_core.looks.choice import Look

_MADE_BY = "deepdream looks"
_HERE = Path(__file__).parent
_THUMBNAILS = _HERE.parent / "thumbnails"
_DATA = "data:image/jpeg;base64,"
_HEAD = 4096  # bytes that hold the generator of our pages


def html(board: Board) -> bytes:
    """Return the page as UTF-8."""
    return "".join(_parts(board)).encode("utf-8", "replace")


def _parts(board: Board) -> Iterator[str]:
    style, script = _text("page.css") + _tile_width(board), _text("page.js")
    title = f"{board.photo} – {board.choice.title}"
    yield f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="generator" content="{_MADE_BY}">
<meta name="deepdream-photo" content="{board.sha256}">
<meta name="deepdream-name" content="{escape(board.photo)}">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src '{_hash(style)}'; \
script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
"""
    if board.state == "working":
        yield '<noscript><meta http-equiv="refresh" content="5"></noscript>\n'
    width, height = board.full_size
    yield f"""<style>{style}</style>
</head>
<body{f' data-filled-at="{time.time() * 1000:.0f}"' if board.state == "working" else ""}>
<header>
<figure>{_image(board, board.original, f"The photograph {board.photo}", ' id="photograph"')}</figure>
<div>
<h1>{escape(board.photo)}</h1>
<p>{width} × {height} · {escape(board.choice.title)}</p>
<p role="status">{escape(board.status)}</p>
{_progress(board)}<p>Click a look to see it beside the photograph. Its command makes it at full size.</p>
</div>
</header>
<main class="{"headed" if board.choice.headed else "flowing"}">
"""
    number = 0
    for place, section in enumerate(board.choice.sections, start=1):
        table = f' class="table columns-{section.columns}"' if section.columns else ""
        label = f' aria-labelledby="section-{place}"' if section.title else ""
        yield f"<section{label}>\n"
        if section.title:
            yield f'<h2 id="section-{place}">{escape(section.title)}</h2>\n'
        yield f"<div{table}>\n"
        for look in section.looks:
            yield _figure(board, number, look, "" if board.choice.headed else section.title)
            number += 1
        yield "</div>\n</section>\n"
    if board.state != "done":
        for key, jpeg in board.spare.items():
            yield _image(board, jpeg, "", f' hidden data-key="{escape(key)}"') + "\n"
    tile = "×".join(map(str, board.size))
    yield f"""</main>
<footer>
<p>Patterns here are as large as in a picture of {tile} pixels. <code>--side 800</code> shows them as fine as the full
picture has them, and takes longer. The commands are meant for the folder in which this page was made.</p>
</footer>
{_DIALOG}<script>{script}</script>
</body>
</html>
"""


def _progress(board: Board) -> str:
    if board.state != "working":
        return ""
    return (
        f'<progress max="{len(board.choice.looks)}" value="{len(board.tiles)}" aria-label="looks done"></progress>\n'
        "<p>This page fills by itself.</p>\n"
    )


def _figure(board: Board, number: int, look: Look, family: str) -> str:
    tile, name = board.tiles.get(number), escape(look.name)
    if tile:
        alt = f"{board.photo} as {look.name}{f': {look.about}' if look.about else ''}"
        image = _image(board, tile.jpeg, alt, f' data-key="{escape(tile.key)}" loading="lazy"')
        picture = (
            f'<button type="button" class="picture" aria-label="{name}: larger, beside the photograph">{image}</button>'
        )
    else:
        why = board.failed.get(number, "to come" if board.state == "working" else "not dreamed yet")
        picture = f'<div class="picture missing">{_placeholder(board, look)}<span>{escape(why)}</span></div>'
    eyebrow = f'<p class="family">{escape(family)}</p>' if family else ""
    about = f'<p class="about">{escape(look.about)}</p>' if look.about else ""
    return f"""<figure>
{picture}
<figcaption>{eyebrow}<h3>{name}</h3>{about}
<div class="command"><code>{escape(board.commands[number])}</code>\
<button type="button" class="copy" aria-label="Copy the command for {name}">Copy</button></div>
</figcaption>
</figure>
"""


def _image(board: Board, jpeg: bytes, alt: str, more: str = "") -> str:
    width, height = board.size
    data = base64.b64encode(jpeg).decode("ascii")
    return f'<img{more} src="{_DATA}{data}" alt="{escape(alt)}" width="{width}" height="{height}">'


def _placeholder(board: Board, look: Look) -> str:
    """Return an image of the tile's size: the preset's thumbnail where the program has one, else an empty picture."""
    width, height = board.size
    data = _thumbnail(look.thumbnail) if look.thumbnail else None
    source = f"data:image/png;base64,{data}" if data else _EMPTY
    return f'<img src="{source}" alt="" width="{width}" height="{height}">'


_EMPTY = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"

_DIALOG = """<dialog aria-labelledby="larger-name">
<div class="pair">
<figure><img id="larger-was" alt="The photograph"><figcaption>photograph</figcaption></figure>
<figure><img id="larger-is" alt=""><figcaption id="larger-name"></figcaption></figure>
</div>
<p class="about" id="larger-about"></p>
<div class="command"><code id="larger-command"></code><button type="button" class="copy">Copy</button></div>
<nav><button type="button" id="larger-before" aria-label="The look before">←</button>
<button type="button" id="larger-after" aria-label="The next look">→</button>
<button type="button" id="larger-close">Close</button></nav>
</dialog>
<p id="said" role="status" aria-live="polite"></p>
"""


def _tile_width(board: Board) -> str:
    """Return the style that depends on the photograph's proportions: tiles of about the same area."""
    width, height = board.size
    wanted = min(max(270 * (width / height) ** 0.5, 200), 1400)
    columns = {section.columns for section in board.choice.sections if section.columns}
    tables = "".join(f".columns-{count} {{ --columns: {count}; }}\n" for count in sorted(columns))
    return f":root {{ --tile: {wanted:.0f}px; --shape: {width} / {height}; }}\n{tables}"


@cache
def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


@cache
def _thumbnail(preset: str) -> str | None:
    if not preset.replace("-", "").replace("_", "").isalnum():  # none of our files has another name
        return None
    try:
        return base64.b64encode((_THUMBNAILS / f"{preset}.png").read_bytes()).decode("ascii")
    except OSError:
        return None


def _hash(text: str) -> str:
    """Return the hash that allows this inline text under a content security policy (CSP level 3, section 2.3.1)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"


@dataclass
class Remembered:
    """The content of one of our pages: its photograph's SHA-256 and file name, and the tiles' JPEGs by key."""

    sha256: str
    photo: str = ""
    jpegs: dict[str, bytes] = field(default_factory=dict)


class _Reader(HTMLParser):
    """Extracts the marks and the tiles from a page."""

    def __init__(self) -> None:
        super().__init__()
        self.ours = False
        self.found = Remembered("")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "meta" and given.get("name") == "generator":
            self.ours = given.get("content") == _MADE_BY
        elif tag == "meta" and given.get("name") == "deepdream-photo":
            self.found.sha256 = given.get("content") or ""
        elif tag == "meta" and given.get("name") == "deepdream-name":
            self.found.photo = given.get("content") or ""
        elif tag == "img" and (key := given.get("data-key")) and (source := given.get("src") or "").startswith(_DATA):
            jpeg = base64.b64decode(source.removeprefix(_DATA))
            with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
                image.load()
            self.found.jpegs[key] = jpeg


def remembered(path: Path) -> Remembered | None:
    """Return the content of the page at `path`, None where it is damaged or not one of ours."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            if f'content="{_MADE_BY}"'.encode() not in head:
                return None
            text = (head + file.read()).decode("utf-8")
        reader = _Reader()
        reader.feed(text)
        reader.close()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # no text, no base64, no JPEG of ours
        return None
    return reader.found if reader.ours else None
