"""XMP packets: reading properties, and changing them without touching any other byte.

Follows the XMP specification, part 1 (ISO 16684-1:2019): a packet is RDF/XML in which each simple property is an element or
an attribute of a top-level `rdf:Description`, under any prefix. Properties inside others, such as an ingredient's, are left
alone.

Packets may be UTF-8, UTF-16 or UTF-32; a changed packet is UTF-8. Readers return None or False for a packet that they
cannot read: malformed, with a document type, or over 16 MiB. Editors raise `ValueError` for it.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepdream_core.photo.xml import (
    Attribute,
    Element,
    as_utf8,
    check_characters,
    edited,
    elements_of,
    escaped,
    removal,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deepdream_core.photo.xml import Edit

NAMESPACE = "http://ns.deepdream.local/recipe/1.0/"
"""The namespace of our property: a name, not an address."""

PREFIX = "deepdream"
"""The prefix that we write; other programs may use another."""

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DESCRIPTION, _LI = f"{{{_RDF}}}Description", f"{{{_RDF}}}li"
_ABOUT = (f"{{{_RDF}}}about", "about")  # early packets have no prefix
_RECIPE = f"{{{NAMESPACE}}}recipe"
_ORIENTATION = "{http://ns.adobe.com/tiff/1.0/}Orientation"
_THUMBNAILS = "{http://ns.adobe.com/xap/1.0/}Thumbnails"
_GAIN_MAPS = ("http://ns.adobe.com/hdr-gain-map/1.0/", "http://ns.apple.com/HDRGainMap/1.0/")
_DIRECTORY = "{http://ns.google.com/photos/1.0/container/}Directory"
_SEMANTIC = "{http://ns.google.com/photos/1.0/container/item/}Semantic"
_MOTION = tuple(f"{{http://ns.google.com/photos/1.0/camera/}}{name}" for name in ("MotionPhoto", "MicroVideo"))
_DEEPEST_ITEM = 6  # Directory, Seq, li, Item, Semantic, and a spare
_SPACE = b" \t\r\n"

_WHOLE = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/">\n <rdf:RDF xmlns:rdf="%s">%s\n </rdf:RDF>\n</x:xmpmeta>\n'
    b'<?xpacket end="w"?>'
)


@dataclass(frozen=True, slots=True)
class _Packet:
    """A parsed packet: its UTF-8, all elements, the `rdf:RDF` among them, and its top-level nodes."""

    source: bytes
    elements: list[Element]
    rdf: Element
    nodes: list[Element]

    def properties(self, name: str) -> list[Element | Attribute]:
        """Return the elements and attributes that are top-level properties called `name`."""
        found: list[Element | Attribute] = [a for node in self.nodes for a in node.attributes if a.name == name]
        found += [e for e in self.elements if e.name == name and e.parent and e.parent.parent is self.rdf]
        return found


def _read(xmp: bytes) -> _Packet:
    source = as_utf8(xmp)
    elements = elements_of(source)
    rdf = next((element for element in elements if element.name == f"{{{_RDF}}}RDF"), None)
    if rdf is None:
        raise ValueError("XML without rdf:RDF is not an XMP packet")
    return _Packet(source, elements, rdf, [element for element in elements if element.parent is rdf])


def _text(part: Element | Attribute) -> str | None:
    """Return the value of a simple property, None for a structure."""
    if isinstance(part, Attribute):
        return part.value
    return None if part.children else part.text


def orientation_of(xmp: bytes) -> int | None:
    """Return a packet's `tiff:Orientation`, 1…8 as EXIF numbers them, or None."""
    try:
        values = [_text(part) for part in _read(xmp).properties(_ORIENTATION)]
    except ValueError:
        return None
    value = (values[0] or "").strip() if values else ""
    return int(value) if value in tuple("12345678") else None


def with_orientation(xmp: bytes, value: int) -> bytes:
    """Return a packet whose `tiff:Orientation`, if it has one, is `value`; only the digit changes.

    Raises `ValueError` for a value that is not 1…8.
    """
    if value not in range(1, 9):
        raise ValueError(f"{value} is not an orientation")
    packet = _read(xmp)
    edits: list[Edit] = []
    for part in packet.properties(_ORIENTATION):
        if isinstance(part, Attribute):
            start, end = part.value_start, part.value_end
        else:
            start, end = part.open_end, part.close_start
        inner = packet.source[start:end]
        if inner.strip(_SPACE):
            start, end = start + len(inner) - len(inner.lstrip(_SPACE)), end - len(inner) + len(inner.rstrip(_SPACE))
            edits.append((start, end, b"%d" % value))
    return _changed(xmp, packet, edits)


def _changed(xmp: bytes, packet: _Packet, edits: Iterable[Edit]) -> bytes:
    """Return the packet with edits; without any, in its own encoding."""
    edits = list(edits)
    return edited(packet.source, edits) if edits else xmp


def recipe_of(xmp: bytes) -> str | None:
    """Return our property `recipe`, under any prefix and in any form that other programs have left, or None."""
    try:
        texts = [_text(part) for part in _read(xmp).properties(_RECIPE)]
    except ValueError:
        return None
    return next((text for text in texts if text is not None), None)


def with_recipe(xmp: bytes | None, text: str) -> bytes:
    """Return a packet with our property `recipe`, replacing an older one or in its own description.

    Makes a new packet for None or white space. Readers get `text` back exactly, with line breaks and tabs, but other
    programs may trim spaces at its ends. Raises `ValueError` for what XML cannot hold: control characters except tab, line
    feed and carriage return, surrogates, U+FFFE and U+FFFF.
    """
    check_characters(text)
    if xmp is None or not xmp.strip(_SPACE + b"\0"):
        return _WHOLE % (_RDF.encode(), _description(b"rdf", b"", text, declare=False))
    packet = _read(xmp)
    edits: list[Edit] = []
    replaced = False
    for part in packet.properties(_RECIPE):
        edit = None if replaced else _replacement(packet.source, part, text)
        replaced = replaced or edit is not None
        edits.append(edit or removal(packet.source, part))
    return edited(packet.source, edits if replaced else [*edits, _insertion(packet, text)])


def _description(prefix: bytes, about: bytes, text: str, *, declare: bool) -> bytes:
    declared = b' xmlns:%s="%s"' % (prefix, _RDF.encode()) if declare else b""
    ours = PREFIX.encode()
    return (
        b'\n  <%(rdf)s:Description%(declared)s %(rdf)s:about="%(about)s" xmlns:%(ours)s="%(namespace)s">\n'
        b"   <%(ours)s:recipe>%(text)s</%(ours)s:recipe>\n  </%(rdf)s:Description>"
    ) % {
        b"rdf": prefix, b"declared": declared, b"about": about, b"ours": ours,
        b"namespace": NAMESPACE.encode(), b"text": escaped(text),
    }  # fmt: skip


def _replacement(source: bytes, part: Element | Attribute, text: str) -> Edit | None:
    """Return the edit that replaces an old recipe, or None if it is more than a simple property."""
    if isinstance(part, Attribute):
        return part.value_start, part.value_end, escaped(text, attribute=True)
    if part.children or part.attributes:
        return None
    if not part.empty_tag:
        return part.open_end, part.close_start, escaped(text)
    return part.open_end - 2, part.open_end, b">%s</%s>" % (escaped(text), part.written.encode())


def _insertion(packet: _Packet, text: str) -> Edit:
    """Return the edit that adds a description after the last one, about the same thing, as RDF requires."""
    rdf, source = packet.rdf, packet.source
    prefix, colon, _ = rdf.written.rpartition(":")
    abouts = [a.value for node in packet.nodes for a in node.attributes if a.name in _ABOUT]
    about = escaped(abouts[0] if abouts else "", attribute=True)
    # where RDF is the default namespace, attributes still need a prefix
    description = _description(prefix.encode() or b"rdf", about, text, declare=not colon)
    if rdf.empty_tag:
        return rdf.open_end - 2, rdf.open_end, b">%s</%s>" % (description, rdf.written.encode())
    at = rdf.open_end + len(source[rdf.open_end : rdf.close_start].rstrip(_SPACE))
    return at, at, description


def without_recipe(xmp: bytes) -> bytes | None:
    """Return a packet without our property and its description, if that holds nothing else; None if nothing is left."""
    packet = _read(xmp)
    parts = packet.properties(_RECIPE)
    if not parts:
        return xmp
    ours = Counter(id(part.parent) for part in parts if isinstance(part, Element))
    empty = [node for node in packet.nodes if _says_nothing_but(node, ours[id(node)])]
    if len(empty) == len(packet.nodes):
        return None
    emptied = [node for node in empty if ours[id(node)] or any(a.name == _RECIPE for a in node.attributes)]
    return edited(packet.source, [removal(packet.source, part) for part in (*parts, *emptied)])


def _says_nothing_but(node: Element, ours: int) -> bool:
    """Return whether a top-level node only has our properties: `ours` elements, or attributes."""
    others = any(a.name not in (*_ABOUT, _RECIPE) for a in node.attributes)
    return node.name == _DESCRIPTION and node.children == ours and not others


def has_gain_map(xmp: bytes) -> bool:
    """Return whether a packet describes a gain map: Ultra HDR's, Apple's, or an item of Google's container directory."""
    try:
        return bool(_gain_map_parts(_read(xmp)))
    except ValueError:
        return False


def without_gain_map(xmp: bytes) -> bytes:
    """Return a packet without a gain map's properties, directory items and declared prefixes.

    The directory's other items stay, even if only the picture is left.
    """
    packet = _read(xmp)
    parts = _gain_map_parts(packet)
    if parts:  # the prefixes are unused now, and some readers only look for their declaration
        parts += [d for element in packet.elements for d in element.declared if d.value in _GAIN_MAPS]
    return _changed(xmp, packet, [removal(packet.source, part) for part in parts])


def _gain_map_parts(packet: _Packet) -> list[Element | Attribute]:
    parts: list[Element | Attribute] = []
    for element in packet.elements:
        if _namespace(element.name) in _GAIN_MAPS:
            parts.append(element)
        parts += [a for a in element.attributes if _namespace(a.name) in _GAIN_MAPS]
    return parts + _items(packet, "GainMap")


def without_motion(xmp: bytes) -> bytes:
    """Return a packet without Google's properties and directory items for a video after the picture.

    Follows the Motion Photo format specification 1.0 and its predecessor, whose properties begin with MicroVideo.
    """
    packet = _read(xmp)
    parts: list[Element | Attribute] = [element for element in packet.elements if element.name.startswith(_MOTION)]
    parts += [a for element in packet.elements for a in element.attributes if a.name.startswith(_MOTION)]
    parts += _items(packet, "MotionPhoto")
    return _changed(xmp, packet, [removal(packet.source, part) for part in parts])


def _items(packet: _Packet, semantic: str) -> list[Element]:
    """Return the items of Google's container directory with this meaning."""
    items = []
    for element in packet.elements:
        owner = element.parent if element.name == _SEMANTIC else element
        texts = [_text(element)] if element.name == _SEMANTIC else []
        texts += [a.value for a in element.attributes if a.name == _SEMANTIC]
        if owner and any((text or "").strip() == semantic for text in texts) and (item := _item(owner)):
            items.append(item)
    return items


def _namespace(name: str) -> str:
    return name[1:].partition("}")[0] if name.startswith("{") else ""


def _item(owner: Element) -> Element | None:
    """Return the item of a container directory that an element is part of, usually the `rdf:li`, or None."""
    item = owner
    for ancestor in itertools.islice(owner.ancestors(), _DEEPEST_ITEM):
        if ancestor.name == _DIRECTORY:
            return item
        if ancestor.name == _LI:
            item = ancestor
    return None


def without_thumbnails(xmp: bytes) -> tuple[bytes, bool]:
    """Return a packet without `xmp:Thumbnails`, which show the old picture, and whether it had any."""
    packet = _read(xmp)
    parts = packet.properties(_THUMBNAILS)
    return _changed(xmp, packet, [removal(packet.source, part) for part in parts]), bool(parts)
