"""EXIF out of TIFF pages and into finished TIFF files, seen by the eyes of Pillow and tifffile."""

from __future__ import annotations

import io
import mmap
import struct
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, TiffImagePlugin

from deepdream_core.photo.exif import bare, orientation_of
from deepdream_core.photo.ifd import ASCII, BYTE, LONG, Layout, Value, directory_offsets, encoded, layout_of
from deepdream_core.photo.tiff_edit import exif_of_tiff, with_exif, with_tags, with_xmp

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from deepdream_core.photo.ifd import Fields, Order

ORDERS: list[Order] = ["<", ">"]
MAKER_NOTE = b"Maker\0" + bytes(range(100))
RNG = np.random.default_rng(0)
PAGES = [RNG.integers(0, 65536, (20 + 4 * number, 30, 3), dtype=np.uint16) for number in range(3)]


def rational(numerator: int, denominator: int) -> Any:
    return TiffImagePlugin.IFDRational(numerator, denominator)


def exif_block(order: Order = "<", **changed: Any) -> bytes:
    """EXIF with every nested directory, written by Pillow."""
    exif = Image.Exif()
    exif.endian = order
    exif[ExifTags.Base.Make] = "Box maker"
    exif[ExifTags.Base.Copyright] = "somebody"
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.XResolution] = rational(240, 1)
    exif[ExifTags.Base.YResolution] = rational(240, 1)
    exif[ExifTags.Base.XPTitle] = "Ein Titel".encode("utf-16-le")
    exif[ExifTags.Base.ImageWidth] = 9999
    exif[ExifTags.Base.BitsPerSample] = 3
    nested = exif.get_ifd(ExifTags.IFD.Exif)
    nested[ExifTags.Base.ISOSpeedRatings] = 400
    nested[ExifTags.Base.ExposureTime] = rational(1, 250)
    nested[ExifTags.Base.ExposureBiasValue] = rational(-1, 3)
    nested[ExifTags.Base.MakerNote] = MAKER_NOTE
    nested[ExifTags.Base.DateTimeOriginal] = "2024:05:06 07:08:09"
    nested[ExifTags.IFD.Interop] = {1: "R98"}
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    gps[ExifTags.GPS.GPSLatitudeRef] = "N"
    gps[ExifTags.GPS.GPSLatitude] = (rational(48, 1), rational(8, 1), rational(123, 10))
    for name, value in changed.items():
        exif[ExifTags.Base[name]] = value
    return bare(exif.tobytes())


def tiff(order: Order = "<", *, big: bool = False, pages: int = 1, **options: Any) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file, byteorder=order, bigtiff=big) as writer:
        for page in PAGES[:pages]:
            writer.write(page, photometric="rgb", metadata=None, **options)
    return file.getvalue()


def pages_of(content: bytes | bytearray) -> list[NDArray[np.uint16]]:
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        return [page.asarray() for page in file.pages]


def as_plain(exif: Image.Exif) -> dict[str, dict[int, Any]]:
    """Every descriptive value of an EXIF block or TIFF page, as Pillow reads it."""
    described = {tag: exif[tag] for tag in (ExifTags.Base.Make, ExifTags.Base.Copyright, 282, 283) if tag in exif}
    described |= {tag: bytes(exif[tag]) for tag in (ExifTags.Base.XPTitle,) if tag in exif}
    nested = dict(exif.get_ifd(ExifTags.IFD.Exif))
    nested.pop(ExifTags.IFD.Interop, None)
    folders = {"gps": dict(exif.get_ifd(ExifTags.IFD.GPSInfo)), "interop": dict(exif.get_ifd(ExifTags.IFD.Interop))}
    return {"first": described, "exif": nested, **folders}


def loaded(block: bytes) -> Image.Exif:
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + block)
    return exif


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("block_order", ORDERS)
def test_a_tifffile_page_gets_all_of_a_blocks_exif(order: Order, block_order: Order, big: bool) -> None:
    block = exif_block(block_order)
    assert as_plain(loaded(block))["interop"]
    source = tiff(order, big=big, iccprofile=b"a profile", software="the writer")
    written = with_exif(source, [block])
    assert np.array_equal(pages_of(written)[0], PAGES[0])
    with tifffile.TiffFile(io.BytesIO(written)) as file:
        found: dict[str, Any] = {tag.name: tag.value for tag in file.pages[0].tags}  # type: ignore[union-attr]
    assert found["ExifTag"]["ISOSpeedRatings"] == 400
    assert found["ExifTag"]["ExposureTime"] == (1, 250)
    assert found["ExifTag"]["ExposureBiasValue"] == (-1, 3)
    assert bytes(found["ExifTag"]["MakerNote"]) == MAKER_NOTE
    assert found["GPSTag"]["GPSLatitudeRef"] == "N"
    assert found["GPSTag"]["GPSLatitude"] == (48, 1, 8, 1, 123, 10)
    assert (found["Make"], found["Software"], found["Copyright"]) == ("Box maker", "the writer", "somebody")
    assert found["InterColorProfile"] == b"a profile"
    assert (found["ImageWidth"], found["BitsPerSample"]) == (30, (16, 16, 16))
    assert "Orientation" not in found
    again = exif_of_tiff(written, next(directory_offsets(written, layout_of(written))), layout_of(written))
    assert again is not None
    assert as_plain(loaded(again)) == as_plain(loaded(block))


@pytest.mark.parametrize(("order", "big"), [("<", False), ("<", True), (">", False)])  # Pillow knows no MM BigTIFF
def test_pillow_reads_pixels_and_exif_of_the_result(order: Order, big: bool) -> None:
    file = io.BytesIO()
    pixels = (PAGES[0] >> 8).astype(np.uint8)
    tifffile.imwrite(
        file, pixels, byteorder=order, bigtiff=big, metadata=None, photometric="rgb", compression="deflate"
    )
    block = exif_block(">")
    written = with_exif(file.getvalue(), [block])
    with Image.open(io.BytesIO(written)) as image:
        assert np.array_equal(np.asarray(image), pixels)
        assert as_plain(image.getexif()) == as_plain(loaded(block))


def test_resolution_without_a_unit_is_in_inches() -> None:
    written = with_exif(tiff(), [exif_block()])
    with tifffile.TiffFile(io.BytesIO(written)) as file:
        page: Any = file.pages[0]
        assert page.tags["XResolution"].value == (240, 1)
        assert "ResolutionUnit" not in page.tags
    in_centimetres = with_exif(tiff(), [exif_block(ResolutionUnit=3)])
    with tifffile.TiffFile(io.BytesIO(in_centimetres)) as file:
        page = file.pages[0]
        assert page.tags["ResolutionUnit"].value == 3


@pytest.mark.parametrize("big", [False, True])
def test_each_page_gets_its_own(big: bool) -> None:
    blocks = [exif_block("<", Make="first"), None, exif_block(">", Make="third")]
    written = with_exif(tiff(pages=3, big=big), blocks)
    for page, original in zip(pages_of(written), PAGES, strict=True):
        assert np.array_equal(page, original)
    with tifffile.TiffFile(io.BytesIO(written)) as file:
        makes = [page.tags["Make"].value if "Make" in page.tags else None for page in file.pages]  # type: ignore[union-attr]
    assert makes == ["first", None, "third"]
    assert len(list(directory_offsets(written, layout_of(written)))) == 3


def test_a_later_page_alone_can_change() -> None:
    written = with_tags(tiff(pages=3), [{}, {315: Value(ASCII, b"a painter\0")}, {305: None}])
    with tifffile.TiffFile(io.BytesIO(written)) as file:
        pages: list[Any] = list(file.pages)
        assert [page.tags.get(315) and page.tags[315].value for page in pages] == [None, "a painter", None]
        assert [305 in page.tags for page in pages] == [True, True, False]
    assert all(np.array_equal(page, original) for page, original in zip(pages_of(written), PAGES, strict=True))


def test_nothing_of_the_file_moves() -> None:
    source = tiff(pages=2)
    written = with_exif(source, [exif_block(), exif_block()])
    changed = [at for at, (a, b) in enumerate(zip(source, written, strict=False)) if a != b]
    assert set(changed) <= {4, 5, 6, 7}  # where the header names the first page; the second is named by the new first


def test_a_bytearray_is_changed_itself() -> None:
    source = bytearray(tiff())
    assert with_exif(source, [exif_block()]) is source
    before = bytes(source)
    with pytest.raises(ValueError, match="1 pages, not 2"):
        with_exif(source, [exif_block(), exif_block()])
    assert source == before
    assert with_tags(source, []) == before


@pytest.mark.parametrize("order", ORDERS)
def test_xmp_reaches_both_readers(order: Order) -> None:
    packet = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    written = with_xmp(with_xmp(tiff(order), b"an older one, which is longer than the newer one"), packet)
    with tifffile.TiffFile(io.BytesIO(written)) as file:
        page: Any = file.pages[0]
        assert page.tags["XMP"].value == packet
    file8 = io.BytesIO()
    Image.new("L", (8, 8), 77).save(file8, "TIFF")
    with Image.open(io.BytesIO(with_xmp(file8.getvalue(), packet))) as image:
        assert image.info["xmp"] == packet
        assert image.getpixel((3, 3)) == 77


@pytest.mark.parametrize("order", ORDERS)
def test_a_page_of_pillows_gives_its_exif(order: Order, tmp_path: Path) -> None:
    exif = loaded(exif_block())
    for tag in (256, 258):
        del exif[tag]
    file = tmp_path / "a.tif"
    Image.new("RGB", (8, 8)).save(file, exif=exif)
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        layout = layout_of(mapped)
        block = exif_of_tiff(mapped, layout.first, layout)
    assert block is not None
    assert orientation_of(block) == 6
    found = loaded(block)
    assert not {256, 257, 258, 259, 262, 273, 278, 279, 330} & set(found)
    assert as_plain(found)["exif"] == as_plain(exif)["exif"]
    assert as_plain(found)["gps"] == as_plain(exif)["gps"]


def test_a_bigtiffs_long_integers_become_shorter_where_they_fit() -> None:
    layout = Layout("<", big=True, first=16)
    nested = {34855: Value(16, struct.pack("<Q", 800)), 37393: Value(16, struct.pack("<Q", 1 << 40))}
    fields: Fields = {271: Value(ASCII, b"Box maker\0"), 256: Value(LONG, b"\1\0\0\0"), 34665: nested}
    file = b"II+\0\x08\0\0\0" + struct.pack("<Q", 16) + encoded(fields, 16, layout)[0]
    block = exif_of_tiff(file, 16, layout_of(file))
    assert block is not None
    found = loaded(block)
    assert found[ExifTags.Base.Make] == "Box maker"
    assert dict(found.get_ifd(ExifTags.IFD.Exif)) == {34855: 800}


def test_a_page_without_exif_has_none() -> None:
    fields = {256: Value(LONG, b"\1\0\0\0"), 257: Value(LONG, b"\1\0\0\0")}
    file = b"II*\0\x08\0\0\0" + encoded(fields, 8, Layout("<", False, 8))[0]
    assert exif_of_tiff(file, 8, layout_of(file)) is None


def test_a_directory_that_points_at_itself_ends() -> None:
    fields = {34665: Value(LONG, struct.pack("<I", 8)), 34853: Value(LONG, struct.pack("<I", 8))}
    file = b"II*\0\x08\0\0\0" + encoded({**fields, 40965: fields[34665]}, 8, Layout("<", False, 8))[0]
    assert exif_of_tiff(file, 8, layout_of(file)) is None


def test_values_over_each_other_are_refused_quickly() -> None:
    number, size = 60_000, 1 << 20
    table = b"".join(struct.pack("<HHII", tag, BYTE, size - 8, 8) for tag in range(number))
    exif_at = 8 + 2 + 12 + 4
    file = b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 34665, 4, 1, exif_at, 0)
    file += struct.pack("<H", number) + table + bytes(4 + size)
    started = time.process_time()
    with pytest.raises(ValueError, match="overlap"):
        exif_of_tiff(file, 8, layout_of(file))
    assert time.process_time() - started < 5


def test_a_large_file_is_copied_once_at_most() -> None:
    source = bytearray(tiff()) + bytes(64 << 20)
    started = time.process_time()
    with_exif(source, [exif_block()])
    assert time.process_time() - started < 1


def damaged(data: st.DataObject, content: bytes | bytearray) -> bytes:
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at] = data.draw(st.one_of(st.sampled_from([0, 1, 8, 255]), st.integers(0, 255)))
    return bytes(changed[: data.draw(st.integers(0, len(changed)))])


@given(st.data(), st.sampled_from(ORDERS), st.booleans())
def test_damage_raises_nothing_but_a_value_error(data: st.DataObject, order: Order, big: bool) -> None:
    pixels = np.zeros((2, 2), np.uint8)
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, byteorder=order, bigtiff=big, metadata=None)
    block = exif_block()
    for source, exif in (
        (damaged(data, with_exif(file.getvalue(), [block])), block),
        (file.getvalue(), damaged(data, block)),
    ):
        try:
            layout = layout_of(source)
            for offset in directory_offsets(source, layout):
                exif_of_tiff(source, offset, layout)
            written = with_exif(source, [exif])
        except ValueError:
            continue
        assert len(written) < len(source) + 2 * len(exif) + len(source) + 100


def test_written_files_cause_no_warning_in_readers() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        written = with_xmp(with_exif(tiff(pages=2), [exif_block(), exif_block()]), b"<a/>")
        assert len(pages_of(written)) == 2
