"""XML with the position of each part, so that a part can change while the others keep their bytes.

Follows XML 1.0 (fifth edition) and Namespaces in XML 1.0. Refuses document type declarations, which define entities, and
anything larger than a packet of a camera or editor. Parses without recursion, however deep the elements are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.parsers import expat

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LARGEST = 16 << 20
"""Bytes of the largest text that is read."""

_MOST_ELEMENTS = 250_000  # thousands of brush strokes are tens of thousands of elements; this many take a second

_ATTRIBUTE = re.compile(rb"""\s++([^\s=/>]++)\s*+=\s*+(?:"([^"]*+)"|'([^']*+)')""")
_TAG_END = re.compile(rb"\s*+/?>")
_NAME = re.compile(rb"[^\s/>]++")
_DECLARED = re.compile(r"""\A(<\?xml\s[^>]{0,200}?\bencoding\s{0,20}=\s{0,20})(["'])[A-Za-z][\w.-]*\2""")
_NO_CHARACTER = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_XML = "http://www.w3.org/XML/1998/namespace"

Edit = tuple[int, int, bytes]
"""Start and end of a part, and its replacement."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute: its name as `{namespace}local`, its value, and the positions of the value and of the attribute.

    `start` is before the space in front of it.
    """

    name: str
    value: str
    start: int
    value_start: int
    value_end: int
    end: int


@dataclass(slots=True, eq=False)
class Element:
    """An element: its name as `{namespace}local` and as `written`, and the positions of its tags.

    `start`…`open_end` is the start tag, `close_start`…`end` the end tag; of `<a/>` all but `start` are the same.
    `declared`: the namespace declarations in the start tag, with `xmlns…` as names and the namespaces as values. `text` is
    only set for an element without children.
    """

    name: str
    written: str
    start: int
    open_end: int
    parent: Element | None
    attributes: tuple[Attribute, ...]
    declared: tuple[Attribute, ...]
    children: int = 0
    text: str = ""
    close_start: int = 0
    end: int = 0

    @property
    def empty_tag(self) -> bool:
        """Whether the element is written as `<a/>`."""
        return self.close_start == self.open_end == self.end

    def ancestors(self) -> Iterator[Element]:
        """Yield the parent, its parent and so on."""
        element = self.parent
        while element:
            yield element
            element = element.parent


def as_utf8(text: bytes) -> bytes:
    """Return UTF-8, UTF-16 or UTF-32 text, recognised by byte order mark or first character, as UTF-8.

    Raises `ValueError` for another encoding and for a text that is too large.
    """
    if len(text) > LARGEST:
        raise ValueError(f"{len(text)} bytes of XML, more than {LARGEST}")
    encoding = _encoding(text)
    decoded = text.decode(encoding)  # checks UTF-8 too; raises a ValueError
    if encoding == "utf-8":
        return text
    return _DECLARED.sub(r"\1\2UTF-8\2", decoded.removeprefix("\ufeff")).encode()


def _encoding(text: bytes) -> str:
    marks = {
        b"\xff\xfe\0\0": "utf-32-le", b"\0\0\xfe\xff": "utf-32-be",
        b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be",
    }  # fmt: skip
    for mark, encoding in marks.items():
        if text.startswith(mark):
            return encoding
    zeros = "".join("-0"[byte == 0] for byte in text[:4])
    return {"-000": "utf-32-le", "000-": "utf-32-be", "-0-0": "utf-16-le", "0-0-": "utf-16-be"}.get(zeros, "utf-8")


def elements_of(text: bytes) -> list[Element]:
    """Return the elements of UTF-8 XML in the order of their start tags; raises `ValueError` if it is not well-formed.

    Ignores NULs at the end, which some programs write after a packet.
    """
    if len(text) > LARGEST:
        raise ValueError(f"{len(text)} bytes of XML, more than {LARGEST}")
    return _Reading(text.rstrip(b"\0")).elements


@dataclass(slots=True)
class _Reading:
    """The state of a parser in a text."""

    source: bytes
    elements: list[Element] = field(default_factory=list)
    _open: list[Element] = field(default_factory=list)
    _pending: list[str] = field(default_factory=list)
    _bound: dict[str, list[str]] = field(default_factory=lambda: {"xml": [_XML], "": [""]})

    def __post_init__(self) -> None:
        parser = expat.ParserCreate("utf-8")
        parser.ordered_attributes = True
        parser.buffer_text = True
        parser.buffer_size = max(len(self.source), 1)
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.StartElementHandler = lambda name, pairs: self._start(name, pairs, parser.CurrentByteIndex)
        parser.EndElementHandler = lambda _: self._end(parser.CurrentByteIndex)
        parser.CharacterDataHandler = self._pending.append
        try:
            parser.Parse(self.source, True)
        except expat.ExpatError as error:
            raise ValueError(f"not well-formed: {error}") from None

    def _start(self, written: str, pairs: list[str], start: int) -> None:
        if len(self.elements) == _MOST_ELEMENTS:
            raise ValueError(f"more than {_MOST_ELEMENTS} elements")
        self._pending.clear()
        found = []
        at = _matched(_NAME, self.source, start + 1).end()
        for value in pairs[1::2]:
            match = _matched(_ATTRIBUTE, self.source, at)
            quoted = 2 if match.start(2) >= 0 else 3
            found.append(Attribute(match[1].decode(), value, at, match.start(quoted), match.end(quoted), match.end()))
            at = match.end()
        open_end = _matched(_TAG_END, self.source, at).end()
        declared = tuple(item for item in found if item.name == "xmlns" or item.name.startswith("xmlns:"))
        for item in declared:
            self._bound.setdefault(item.name[6:], []).append(item.value)
        attributes = tuple(
            Attribute(self._named(a.name, ""), a.value, a.start, a.value_start, a.value_end, a.end)
            for a in found
            if a.name != "xmlns" and not a.name.startswith("xmlns:")
        )
        parent = self._open[-1] if self._open else None
        if parent:
            parent.children += 1
        default = self._bound[""][-1]
        element = Element(self._named(written, default), written, start, open_end, parent, attributes, declared)
        self.elements.append(element)
        self._open.append(element)

    def _named(self, written: str, default: str) -> str:
        prefix, colon, local = written.rpartition(":")
        if not colon:
            return f"{{{default}}}{local}" if default else local
        spaces = self._bound.get(prefix)
        if not spaces or not spaces[-1]:
            raise ValueError(f"the prefix of {written} stands for no namespace")
        return f"{{{spaces[-1]}}}{local}"

    def _end(self, at: int) -> None:
        element = self._open.pop()
        if self.source[element.open_end - 2 : element.open_end] == b"/>":
            element.close_start = element.end = element.open_end
        else:
            element.close_start = at
            element.end = self.source.index(b">", at) + 1
        if not element.children:
            element.text = "".join(self._pending)
        self._pending.clear()
        for item in element.declared:
            self._bound[item.name[6:]].pop()


def _refuse_doctype(*_: object) -> None:
    raise ValueError("a document type declaration")


def _matched(pattern: re.Pattern[bytes], source: bytes, at: int) -> re.Match[bytes]:
    match = pattern.match(source, at)
    if not match:  # expat has read this tag, so the error is here, not in the text
        raise ValueError(f"no tag at byte {at}")
    return match


def edited(source: bytes, edits: Iterable[Edit]) -> bytes:
    """Return a text with parts replaced; of nested edits, the outermost counts."""
    pieces, at = [], 0
    for start, end, replacement in sorted(edits, key=lambda edit: (edit[0], -edit[1])):
        if start >= at:
            pieces += [source[at:start], replacement]
            at = end
    return b"".join((*pieces, source[at:]))


def removal(source: bytes, part: Element | Attribute) -> Edit:
    """Return the edit that removes an attribute, or an element and the white space before it."""
    if isinstance(part, Attribute):
        return part.start, part.end, b""
    start = part.start
    while start and source[start - 1] in b" \t\r\n":
        start -= 1
    return start, part.end, b""


def check_characters(text: str) -> None:
    """Raise `ValueError` for characters that XML cannot hold: control characters except tab and line breaks, surrogates."""
    if match := _NO_CHARACTER.search(text):
        raise ValueError(f"U+{ord(match[0]):04X} at {match.start()} cannot be written in XML")


def escaped(text: str, *, attribute: bool = False) -> bytes:
    """Return a text escaped for an element's content, or for an attribute in quotes of either kind.

    Escapes what readers would change: a carriage return becomes a line feed, and in attributes tabs and line feeds become
    spaces.
    """
    replaced: dict[str, str | int | None] = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#xD;"}
    if attribute:
        replaced |= {'"': "&quot;", "'": "&#39;", "\t": "&#x9;", "\n": "&#xA;"}
    return text.translate(str.maketrans(replaced)).encode()
