"""The sheet: the photograph and all its looks as one labelled picture."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from deepdream_core.photo.colour import srgb_profile

if TYPE_CHECKING:
    from pathlib import Path

    from deepdream_core.looks.board import Board

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_PAPER, _INK, _SOFT, _ACCENT, _EMPTY = "#f6f5f2", "#1d1c1a", "#6a6762", "#9a4a1f", "#e6e3dc"
_SHAPE = 1.4  # width to height of the whole, about that of a screen
_MOST_PIXELS, _LONGEST = 80e6, 60_000  # a JPEG's side is limited to 65,535
_NARROWEST = 160  # px of a column, so that names have room
_MOST_LINES = 3
_COMMENT = "deepdream looks "
_FACES = (
    "DejaVuSans.ttf", "segoeui.ttf", "Arial Unicode.ttf", "NotoSansCJK-Regular.ttc", "msyh.ttc", "YuGothM.ttc",
)  # fmt: skip
"""Fonts of Linux, Windows and macOS for letters that Pillow's built-in font lacks."""


def jpeg(board: Board) -> bytes:
    """Return the sheet as JPEG in sRGB; its comment names the photograph by its SHA-256."""
    image = _Layout(board).drawn()
    file = io.BytesIO()
    image.save(
        file,
        "JPEG",
        quality=90,
        subsampling=0,
        icc_profile=srgb_profile(),
        comment=f"{_COMMENT}{board.sha256}".encode(),
    )
    return file.getvalue()


def photograph_of(path: Path) -> str | None:
    """Return the SHA-256 of the photograph that the sheet at `path` shows, None where it is not one of our sheets."""
    try:
        with Image.open(path, formats=["JPEG"]) as image:
            comment = image.info.get("comment", b"")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    text = bytes(comment).decode("ascii", "replace")
    return text.removeprefix(_COMMENT) if text.startswith(_COMMENT) else None


@dataclass(frozen=True)
class _Cell:
    """A picture and its caption; `jpeg` is None for a missing look."""

    jpeg: bytes | None
    name: str
    about: str = ""
    family: str = ""


@dataclass(frozen=True)
class _Group:
    """Cells under a heading, in rows of `columns` where they are a table."""

    title: str
    cells: list[_Cell]
    columns: int | None = None


def _groups(board: Board) -> list[_Group]:
    """Return the photograph and the looks, by section where sections have headings."""
    groups: list[_Group] = []
    number = 0
    for section in board.choice.sections:
        cells = []
        for look in section.looks:
            tile = board.tiles.get(number)
            family = "" if board.choice.headed else section.title.upper()
            cells.append(_Cell(tile.jpeg if tile else None, look.name, look.about, family))
            number += 1
        groups.append(_Group(section.title, cells, section.columns))
    photograph = _Cell(board.original, "photograph")
    if board.choice.headed:
        return [_Group("", [photograph]), *groups]
    return [_Group("", [photograph, *(cell for group in groups for cell in group.cells)])]


def _font(face: str | None, size: float) -> Font:
    return ImageFont.load_default(size) if face is None else ImageFont.truetype(face, size)


@cache
def _face(letters: frozenset[str]) -> str | None:
    """Return the first font that has all these letters; None for Pillow's own font, also where no font has them."""
    for face in (None, *_FACES):
        try:
            font = _font(face, 20)
        except OSError:
            continue
        absent = bytes(font.getmask("\uffff"))  # the glyph for letters that the font lacks
        if all(bytes(font.getmask(letter)) != absent for letter in letters):
            return face
    return None


class _Layout:
    """The place of everything, in pixels; tiles shrink where the sheet would be too large."""

    def __init__(self, board: Board) -> None:
        self.board, self.groups = board, _groups(board)
        self.cells = [cell for group in self.groups for cell in group.cells]
        words = [board.photo, *(cell.name + cell.about + cell.family for cell in self.cells)]
        self.face = _face(frozenset("".join(words)))
        scale, beyond = 1.0, 2.0
        while beyond > 1 and scale > 0.01:
            self.tile = (max(1, round(board.size[0] * scale)), max(1, round(board.size[1] * scale)))
            self._measure()
            beyond = max(max(self.size) / _LONGEST, math.sqrt(math.prod(self.size) / _MOST_PIXELS))
            scale /= beyond * 1.02

    def _measure(self) -> None:
        """Compute all sizes from the tile's: letters, gaps, columns and the sheet."""
        self.width = max(self.tile[0], _NARROWEST)
        letters = min(max(13, round(min(self.width, max(self.tile)) / 18)), 40)
        self.large, self.medium = _font(self.face, letters * 2), _font(self.face, letters * 1.25)
        self.small, self.tiny = _font(self.face, letters), _font(self.face, letters * 0.85)
        self.gap, self.line = round(letters * 1.6), round(letters * 1.3)
        self.above = self.line if any(cell.family for cell in self.cells) else 0
        self.name_line = round(letters * 1.6)
        names = max(len(self._wrapped(cell.name, self.medium)) for cell in self.cells)
        lines = max(len(self._wrapped(cell.about, self.small)) for cell in self.cells)
        captions = self.above + names * self.name_line + lines * self.line
        self.row = self.tile[1] + round(letters * 0.6) + captions + self.gap
        self.title, self.heading = round(letters * 6.4), round(letters * 3.2)
        self.columns = self._columns()
        headings = self.heading * sum(bool(group.title) for group in self.groups)
        rows = sum(math.ceil(len(group.cells) / self.columns) for group in self.groups)
        self.size = (self.gap + self.columns * (self.width + self.gap), self.title + headings + rows * self.row)

    def _columns(self) -> int:
        table = next((group.columns for group in self.groups if group.columns), None)
        area = len(self.cells) * (self.width + self.gap) * self.row
        fit = max(1, round(math.sqrt(area * _SHAPE) / (self.width + self.gap)))
        most = max(len(group.cells) for group in self.groups)
        return table or math.ceil(most / math.ceil(most / fit))  # rows as full as they can be

    def drawn(self) -> Image.Image:
        """Return the whole picture."""
        image = Image.new("RGB", self.size, _PAPER)
        pen = ImageDraw.Draw(image)
        room = self.size[0] - 2 * self.gap
        under = self._fit(f"{self.board.choice.title} · {self.board.status}", self.small, room)
        pen.text((self.gap, self.gap * 0.7), self._fit(self.board.photo, self.large, room), _INK, self.large)
        pen.text((self.gap, self.title - self.line * 1.5), under, _SOFT, self.small)
        y = self.title
        for group in self.groups:
            if group.title:
                title = self._fit(group.title, self.medium, room)
                pen.text((self.gap, y + self.heading * 0.3), title, _INK, self.medium)
                y += self.heading
            for place, cell in enumerate(group.cells):
                row, column = divmod(place, self.columns)
                self._draw(cell, image, pen, self.gap + column * (self.width + self.gap), y + row * self.row)
            y += math.ceil(len(group.cells) / self.columns) * self.row
        return image

    def _draw(self, cell: _Cell, image: Image.Image, pen: ImageDraw.ImageDraw, x: int, y: int) -> None:
        if cell.jpeg is None:
            pen.rectangle((x, y, x + self.tile[0] - 1, y + self.tile[1] - 1), _EMPTY)
        else:
            with Image.open(io.BytesIO(cell.jpeg), formats=["JPEG"]) as tile:
                fits = tile.size == self.tile
                image.paste(tile if fits else tile.resize(self.tile, Image.Resampling.LANCZOS), (x, y))
        top = y + self.tile[1] + self.gap * 0.35
        pen.text((x, top), self._fit(cell.family, self.tiny), _ACCENT, self.tiny)
        top += self.above if cell.family else 0
        for text in self._wrapped(cell.name, self.medium):
            pen.text((x, top), text, _INK, self.medium)
            top += self.name_line
        for text in self._wrapped(cell.about, self.small):
            pen.text((x, top), text, _SOFT, self.small)
            top += self.line

    def _wrapped(self, text: str, font: Font) -> list[str]:
        """Return a text in lines of a column's width, the last line shortened where there are too many."""
        lines: list[str] = []
        for word in text.split():
            longer = f"{lines[-1]} {word}" if lines else word
            if lines and (len(lines) == _MOST_LINES or font.getlength(longer) <= self.width):
                lines[-1] = longer
            else:
                lines.append(word)
        return [self._fit(line, font) for line in lines]

    def _fit(self, text: str, font: Font, room: float | None = None) -> str:
        """Return a text shortened to `room`, by default a column's width."""
        room = room or self.width
        if font.getlength(text) <= room:
            return text
        while text and font.getlength(f"{text}…") > room:
            text = text[:-1]
        return f"{text.rstrip()}…"
