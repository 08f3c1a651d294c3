"""EXIF changed in place: orientation and thumbnail, with not a byte of a MakerNote moved."""

from __future__ import annotations

import io
import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from deepdream_core.photo.exif import bare, orientation_of, upright, without_thumbnail

ORDERS = ["<", ">"]
MAKER_NOTE = b"Maker\0" + bytes(range(1, 60))


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 12), (200, 30, 60)).save(file, "JPEG")
    return file.getvalue()


def directory(order: str, at: int, entries: list[tuple[int, int, int, int | bytes]], next_offset: int = 0) -> bytes:
    """A classic directory with its long values behind it; numbers go into the entry."""
    table, tail = b"", b""
    tail_at = at + 2 + 12 * len(entries) + 4
    for tag, kind, count, value in entries:
        if isinstance(value, int):
            inline = struct.pack(order + {1: "B3x", 3: "H2x", 4: "I"}[kind], value)
        else:
            inline = struct.pack(order + "I", tail_at + len(tail))
            tail += value + bytes(len(value) % 2)
        table += struct.pack(order + "HHI", tag, kind, count) + inline
    return struct.pack(order + "H", len(entries)) + table + struct.pack(order + "I", next_offset) + tail


def camera_block(order: str, orientation: int = 6, *, thumbnail: bytes | None = None, after: bytes = b"") -> bytes:
    """A block as a camera writes it: IFD0, Exif with a MakerNote that knows its own offset, GPS, IFD1, thumbnail."""
    rational = struct.pack(order + "II", 300, 1), struct.pack(order + "II", 72, 1)

    def first(exif_at: int, gps_at: int, next_offset: int) -> bytes:
        return directory(order, 8, [
            (256, 4, 1, 4000), (257, 3, 1, 3000), (271, 2, 10, b"Box maker\0"), (274, 3, 1, orientation),
            (282, 5, 1, rational[0]), (283, 5, 1, rational[1]), (34665, 4, 1, exif_at), (34853, 4, 1, gps_at),
        ], next_offset)  # fmt: skip

    exif_at = 8 + len(first(0, 0, 0))

    def nested(note: bytes) -> bytes:
        entries: list[tuple[int, int, int, int | bytes]] = [
            (34855, 3, 1, 400), (37500, 7, len(note), note), (40962, 4, 1, 4000), (40963, 3, 1, 3000),
        ]  # fmt: skip
        return directory(order, exif_at, entries)

    note = MAKER_NOTE + struct.pack(order + "I", 0)
    note = MAKER_NOTE + struct.pack(order + "I", exif_at + nested(note).index(note))
    body = nested(note)
    gps_at = exif_at + len(body)
    body += directory(order, gps_at, [(2, 5, 3, struct.pack(order + "6I", 48, 1, 8, 1, 30, 1))])
    if thumbnail is None:
        return head(order) + first(exif_at, gps_at, 0) + body
    second_at = exif_at + len(body)

    def second(picture_at: int) -> bytes:
        return directory(order, second_at, [
            (259, 3, 1, 6), (282, 5, 1, rational[1]), (513, 4, 1, picture_at), (514, 4, 1, len(thumbnail)),
        ])  # fmt: skip

    picture_at = second_at + len(second(0))
    return head(order) + first(exif_at, gps_at, second_at) + body + second(picture_at) + thumbnail + after


def head(order: str) -> bytes:
    return (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)


def tags(block: bytes) -> Image.Exif:
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + block)
    return exif


def note_knows_its_place(block: bytes, order: str) -> bool:
    at = block.index(MAKER_NOTE)
    return struct.unpack_from(order + "I", block, at + len(MAKER_NOTE)) == (at,)


def test_the_prefix_goes_where_there_is_one() -> None:
    assert bare(b"Exif\0\0II*\0") == b"II*\0"
    assert bare(b"II*\0") == b"II*\0"


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_each_orientation_that_pillow_writes_is_read(order: str, orientation: int) -> None:
    exif = Image.Exif()
    exif.endian = order
    exif[ExifTags.Base.Orientation] = orientation
    assert orientation_of(bare(exif.tobytes())) == orientation


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_invalid_orientation_is_none(orientation: int) -> None:
    assert orientation_of(camera_block("<", orientation)) is None


@pytest.mark.parametrize(
    "block", [b"", b"II", b"II*\0", b"MM\0*\0\0\0\x08", b"II*\0\xff\xff\xff\xff", b"Exif\0\0II*\0"]
)
def test_an_unreadable_block_has_no_orientation_and_stays(block: bytes) -> None:
    assert orientation_of(block) is None
    assert upright(block, swapped=True) == block
    assert without_thumbnail(block) == (block, False)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_changes_the_orientation_alone(order: str, orientation: int) -> None:
    block = camera_block(order, orientation)
    turned = upright(block, swapped=False)
    assert turned == camera_block(order, 1)
    assert tags(turned)[ExifTags.Base.Orientation] == 1


@pytest.mark.parametrize("order", ORDERS)
def test_a_quarter_turn_exchanges_width_and_height(order: str) -> None:
    block = camera_block(order)
    turned = upright(block, swapped=True)
    exif = tags(turned)
    nested = exif.get_ifd(ExifTags.IFD.Exif)
    assert (exif[256], exif[257]) == (3000, 4000)
    assert (exif[282], exif[283]) == (72, 300)
    assert (nested[ExifTags.Base.ExifImageWidth], nested[ExifTags.Base.ExifImageHeight]) == (3000, 4000)
    assert len(turned) == len(block)
    assert note_knows_its_place(turned, order)
    note = block.index(MAKER_NOTE)
    assert turned[note:] == block[note:]
    assert upright(turned, swapped=True) == upright(block, swapped=False)


@pytest.mark.parametrize("order", ORDERS)
def test_a_thumbnail_at_the_end_is_cut_off(order: str) -> None:
    picture = jpeg()
    block = camera_block(order, thumbnail=picture)
    assert tags(block).get_ifd(ExifTags.IFD.IFD1)[513] == block.index(picture)
    without, had = without_thumbnail(block)
    assert had
    assert without == camera_block(order)
    assert not tags(without).get_ifd(ExifTags.IFD.IFD1)


def test_a_thumbnail_before_something_else_becomes_zeros() -> None:
    picture = jpeg()
    block = camera_block("<", thumbnail=picture, after=b"what a MakerNote may point to")
    without, had = without_thumbnail(block)
    assert had
    assert len(without) == len(block)
    assert picture not in without
    assert picture[20:60] not in without
    assert without.endswith(b"what a MakerNote may point to")
    assert without.startswith(camera_block("<"))
    assert note_knows_its_place(without, "<")


def test_a_thumbnail_that_claims_the_complete_block_removes_nothing_else() -> None:
    picture = jpeg()
    block = bytearray(camera_block("<", thumbnail=picture))
    at = block.index(struct.pack("<HHII", 513, 4, 1, block.index(picture)))
    struct.pack_into("<I", block, at + 8, 1)
    struct.pack_into("<I", block, at + 20, 0xFFFFFFFF)
    without, had = without_thumbnail(bytes(block))
    assert had
    assert without == camera_block("<")


def test_without_a_thumbnail_nothing_changes() -> None:
    block = camera_block("<")
    assert without_thumbnail(block) == (block, False)


@pytest.mark.parametrize("order", ORDERS)
def test_a_chain_that_comes_back_ends(order: str) -> None:
    block = bytearray(camera_block(order))
    next_at = 8 + 2 + 12 * 8
    struct.pack_into(order + "I", block, next_at, 8)
    assert without_thumbnail(bytes(block)) == (bytes(block), False)
    assert orientation_of(bytes(block)) == 6


def test_thousands_of_values_over_each_other_take_no_time() -> None:
    number, size = 65_535, 1 << 20
    entries = b"".join(struct.pack("<HHII", tag, 7, size - 8, 8) for tag in range(number))
    block = head("<") + struct.pack("<H", number) + entries + bytes(4) + bytes(size)
    started = time.process_time()
    without_thumbnail(block)
    upright(block, swapped=True)
    assert time.process_time() - started < 10


@given(st.data(), st.sampled_from(ORDERS))
def test_no_damage_raises_or_changes_a_length(data: st.DataObject, order: str) -> None:
    block = bytearray(camera_block(order, thumbnail=jpeg()))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(block) - 1))
        block[at] = data.draw(st.one_of(st.sampled_from([0, 1, 8, 255]), st.integers(0, 255)))
    damaged = bytes(block[: data.draw(st.integers(0, len(block)))])
    assert orientation_of(damaged) in (None, *range(1, 9))
    assert len(upright(damaged, swapped=True)) == len(damaged)
    without, had = without_thumbnail(damaged)
    assert len(without) <= len(damaged)
    assert had or without == damaged


@given(st.binary(max_size=200))
def test_no_bytes_raise(content: bytes) -> None:
    for block in (content, b"II*\0" + content, b"MM\0*\0\0\0\x08" + content, b"II+\0\x08\0\0\0" + content):
        orientation_of(block)
        upright(block, swapped=True)
        without_thumbnail(block)
