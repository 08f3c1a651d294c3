"""Directories of TIFF files: read as other programs read them, broken entries left out, nothing read beyond the end."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from deepdream_core.photo.ifd import (
    ASCII,
    IFD8,
    LONG,
    LONG8,
    RATIONAL,
    SHORT,
    UNDEFINED,
    Entry,
    Layout,
    Value,
    below,
    directory_at,
    directory_offsets,
    encoded,
    layout_of,
    value_of,
    values_of,
)

if TYPE_CHECKING:
    from deepdream_core.photo.ifd import Fields, Order

ORDERS: list[Order] = ["<", ">"]
LAYOUTS = [Layout(order, big, 16 if big else 8) for order in ORDERS for big in (False, True)]


def file_of(fields: Fields, layout: Layout, next_offset: int = 0) -> bytes:
    order = layout.order
    mark = b"II" if order == "<" else b"MM"
    head = struct.pack(order + "HHHQ", 43, 8, 0, 16) if layout.big else struct.pack(order + "HI", 42, 8)
    return mark + head + encoded(fields, layout.first, layout, next_offset)[0]


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ORDERS)
def test_a_file_reads_as_its_writer_says(order: Order, big: bool) -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file, byteorder=order, bigtiff=big) as writer:
        for number in range(3):
            writer.write(
                np.zeros((8, 8 + number), np.uint16), metadata=None, description=f"page {number}", rowsperstrip=2
            )
    content = file.getvalue()
    layout = layout_of(content)
    assert (layout.order, layout.big) == (order, big)
    with tifffile.TiffFile(io.BytesIO(content)) as theirs:
        pages: list[Any] = list(theirs.pages)
    ours = [directory_at(content, offset, layout) for offset in directory_offsets(content, layout)]
    assert [directory.offset for directory in ours] == [page.offset for page in pages]
    for directory, page in zip(ours, pages, strict=True):
        assert [(e.tag, e.kind, e.count, e.where) for e in directory.entries] == [
            (tag.code, tag.dtype, tag.count, tag.valueoffset) for tag in page.tags
        ]
        strips = directory.get(273)
        assert strips is not None
        assert strips.integers(content, order) == tuple(page.dataoffsets)
        assert strips.integer(content, order) == page.dataoffsets[0]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_written_values_read_back_the_same(layout: Layout) -> None:
    nested = {1: Value(SHORT, b"\0\1" * 9), 2: Value(ASCII, b"a\0")}
    fields: Fields = {
        700: Value(UNDEFINED, b"odd"),
        34665: nested,
        282: Value(RATIONAL, bytes(8)),
        270: Value(ASCII, b""),
    }
    content = file_of(fields, layout)
    directory = directory_at(content, layout.first, layout)
    assert [entry.tag for entry in directory.entries] == [270, 282, 700, 34665]
    found = below(content, directory, 34665, layout)
    assert found is not None
    assert found.offset % layout.alignment == 0
    assert values_of(content, found, layout, layout) == nested
    assert directory.next_offset == 0
    assert below(content, directory, 700, layout) is None


@pytest.mark.parametrize(
    "content", [b"", b"I", b"II", b"II*\0", b"JJ*\0\0\0\0\0", b"II+\0\x04\0\0\0" + bytes(8), b"MM*\0" + bytes(4)]
)
def test_a_file_that_is_not_a_tiff_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"II nor MM|beyond the end|its number is"):
        layout_of(content)


@pytest.mark.parametrize("kind", [0, 14, 99, 65535])
def test_an_entry_of_unknown_kind_is_left_out(kind: int) -> None:
    content = b"II*\0\x08\0\0\0" + struct.pack("<HHHIIHHIII", 2, 256, kind, 1, 1, 257, LONG, 1, 7, 0)
    directory = directory_at(content, 8, layout_of(content))
    assert [entry.tag for entry in directory.entries] == [257]


@pytest.mark.parametrize(("count", "offset"), [(4_294_967_295, 8), (3, 4_294_967_295), (100, 8)])
def test_a_value_beyond_the_end_is_left_out(count: int, offset: int) -> None:
    content = b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 256, LONG, count, offset, 0)
    assert directory_at(content, 8, layout_of(content)).entries == ()


@pytest.mark.parametrize("offset", [0, 7, 10, 25, 1 << 31, 1 << 63])
def test_a_directory_that_does_not_fit_is_refused(offset: int) -> None:
    content = b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 256, LONG, 1, 1, 0)
    with pytest.raises(ValueError, match=r"header|beyond|claims"):
        directory_at(content, offset, Layout("<", False, offset))


def test_a_bigtiff_cannot_claim_billions_of_entries() -> None:
    content = b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 1 << 62) + bytes(100)
    with pytest.raises(ValueError, match="more than it has"):
        directory_at(content, 16, layout_of(content))


def test_a_missing_next_offset_is_none() -> None:
    content = b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 256, LONG, 1, 1)
    assert directory_at(content, 8, layout_of(content)).next_offset == 0


def test_a_chain_that_comes_back_ends() -> None:
    layout = Layout("<", False, 8)
    content = file_of({256: Value(LONG, bytes(4))}, layout, next_offset=8)
    assert list(directory_offsets(content, layout)) == [8]


def test_the_first_entry_of_a_tag_counts() -> None:
    content = b"II*\0\x08\0\0\0" + struct.pack("<HHHIIHHIII", 2, 256, LONG, 1, 5, 256, LONG, 1, 7, 0)
    layout = layout_of(content)
    directory = directory_at(content, 8, layout)
    assert values_of(content, directory, layout, layout) == {256: Value(LONG, b"\5\0\0\0")}


@pytest.mark.parametrize(
    ("kind", "data", "turned"),
    [
        (SHORT, b"\1\2\3\4", b"\2\1\4\3"),
        (RATIONAL, b"\1\2\3\4\5\6\7\x08", b"\4\3\2\1\x08\7\6\5"),
        (12, b"\1\2\3\4\5\6\7\x08", b"\x08\7\6\5\4\3\2\1"),
        (UNDEFINED, b"\1\2\3", b"\1\2\3"),
        (129, b"\1\2\3", b"\1\2\3"),
    ],
)
def test_a_value_turns_round_element_by_element(kind: int, data: bytes, turned: bytes) -> None:
    little, big = LAYOUTS[0], LAYOUTS[2]
    entry = Entry(1, kind, Value(kind, data).count, 0, 0)
    assert value_of(data, entry, little, big) == Value(kind, turned)
    assert value_of(data, entry, little, little) == Value(kind, data)


@pytest.mark.parametrize("number", [0, (1 << 32) - 1, 1 << 32])
def test_an_eight_byte_integer_goes_where_it_fits(number: int) -> None:
    data = struct.pack(">Q", number)
    for kind, narrow in ((LONG8, LONG), (IFD8, 13)):
        value = value_of(data, Entry(1, kind, 1, 0, 0), Layout(">", True, 16), Layout("<", False, 8))
        assert value == (Value(narrow, struct.pack("<I", number)) if number < 1 << 32 else None)


def test_data_beyond_four_gigabytes_are_refused() -> None:
    with pytest.raises(ValueError, match="4 GiB"):
        encoded({270: Value(ASCII, b"longer than four\0")}, (1 << 32) - 10, Layout("<", False, 8))
    with pytest.raises(ValueError, match="not a value of kind 5"):
        encoded({282: Value(RATIONAL, b"\0\0\0")}, 8, Layout("<", False, 8))


@given(st.binary(max_size=300), st.sampled_from(LAYOUTS))
def test_no_bytes_raise_anything_but_a_value_error(content: bytes, layout: Layout) -> None:
    for offset in (8, 16, 20):
        try:
            directory = directory_at(content, offset, layout)
            values = values_of(content, directory, layout, layout)
            assert directory_at(file_of(values, layout), layout.first, layout).entries or not values
        except ValueError:
            continue
        for entry in directory.entries:
            assert len(entry.read(content)) == entry.size
            entry.integer(content, layout.order)
