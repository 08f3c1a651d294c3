"""Metadata set in the container: other readers find it, the pixels are the same to the bit, bad files are `ValueError`s."""

from __future__ import annotations

import contextlib
import io
import re
import struct
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms, ImageSequence, JpegImagePlugin
from PIL.PngImagePlugin import PngInfo
from skimage import data

from deepdream_core.photo.container import Blocks, blocks_of, mpf, with_blocks, with_xmp
from deepdream_core.photo.container import blocks as container_blocks
from deepdream_core.photo.container.png_text import text_chunk, text_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LONG_PROFILE = PROFILE + np.random.default_rng(1).bytes(200_001)
PACKET = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    b'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="%d"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
XMP, OTHER_XMP = PACKET % 4, PACKET % 5 + b" " * 100
PICTURE = Image.fromarray(getattr(data, "astronaut")()[:61, :83])  # noqa: B009
FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "JXL"]


def exif_block(model: str = "Box camera") -> bytes:
    tags = Image.Exif()
    tags[ExifTags.Base.Model] = model
    tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] = 400
    return tags.tobytes().removeprefix(b"Exif\0\0")


EXIF = exif_block()


def encoded(format: str, picture: Image.Image = PICTURE, **options: Any) -> bytes:
    if format == "JXL":
        imagecodecs = pytest.importorskip("imagecodecs", reason="JPEG XL is written with imagecodecs")
        return bytes(imagecodecs.jpegxl_encode(np.array(picture), lossless=True, **options))
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def opened(file: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(file))
    image.load()
    return image


def pixels(file: bytes, format: str) -> NDArray[Any]:
    if format == "JXL":
        imagecodecs = pytest.importorskip("imagecodecs", reason="JPEG XL is read with imagecodecs")
        return np.asarray(imagecodecs.jpegxl_decode(file))
    return np.array(opened(file))


def frames(file: bytes) -> list[tuple[NDArray[Any], Any]]:
    with Image.open(io.BytesIO(file)) as image:
        return [
            (np.array(frame.convert("RGBA")), frame.info.get("duration")) for frame in ImageSequence.Iterator(image)
        ]


def same_frames(one: bytes, other: bytes) -> bool:
    pairs = list(zip(frames(one), frames(other), strict=True))
    return len(pairs) > 1 and all(a[1] == b[1] and np.array_equal(a[0], b[0]) for a, b in pairs)


def full(format: str) -> Blocks:
    """All that a format has a place for."""
    return Blocks(
        icc=None if format == "JXL" else PROFILE,
        exif=None if format == "GIF" else EXIF,
        xmp=XMP,
        others={
            "JPEG": (("APP0", b"JFIF\0\1\2\1\0\x48\0\x48\0\0"), ("COM", b"a comment"), ("APP12", b"Ducky\0\1\0")),
            "PNG": (("pHYs", struct.pack(">IIB", 2835, 2835, 1)), ("tEXt", b"Author\0me"), text_chunk("mine", "é – 夢")),
            "WEBP": (("odd ", b"abc"),),
            "GIF": (("COM", b"a comment" * 100), ("APP", b"MGKIPTC0000something")),
            "JXL": (("xml ", b"<other/>"), ("uuid", b"0123456789abcdef")),
        }[format],
    )  # fmt: skip


def jpeg_segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def png_chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def box(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload) + 8) + kind + payload


def behind_header(format: str, file: bytes, added: bytes) -> bytes:
    """Put a block by hand where the format's metadata may begin."""
    place = {"JPEG": 2, "PNG": 33, "WEBP": 12, "GIF": 13 + 768, "JXL": 32}[format]
    whole = file[:place] + added + file[place:]
    return whole[:4] + struct.pack("<I", len(whole) - 8) + whole[8:] if format == "WEBP" else whole


@pytest.mark.parametrize("format", FORMATS)
def test_written_blocks_are_read_back_and_the_pixels_stay(format: str) -> None:
    file = encoded(format)
    written = with_blocks(file, format, full(format))
    assert blocks_of(written, format) == full(format)
    assert np.array_equal(pixels(written, format), pixels(file, format))
    assert with_blocks(written, format, full(format)) == written
    assert blocks_of(memoryview(written), format) == full(format)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("odd", [0, 1])
def test_another_reader_finds_the_written_blocks(format: str, odd: int) -> None:
    profile, packet = PROFILE + b"\0" * odd, XMP + b" " * odd
    blocks = Blocks(profile, exif_block("Box camera" + "s" * odd), packet)
    image = opened(with_blocks(encoded(format), format, blocks))
    assert image.info["icc_profile"] == profile
    assert image.info["exif"].removeprefix(b"Exif\0\0") == blocks.exif
    assert image.getexif()[ExifTags.Base.Model] == "Box camera" + "s" * odd
    assert image.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] == 400
    read = image.info["xmp"]
    assert (read.encode() if isinstance(read, str) else read) == packet


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_another_writers_blocks_are_found_replaced_and_removed(format: str) -> None:
    options: dict[str, Any] = {"icc_profile": PROFILE, "exif": b"Exif\0\0" + EXIF}
    if format == "PNG":
        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=True)
        options["pnginfo"] = text
    else:
        options["xmp"] = XMP
    file = encoded(format, **options)
    found = blocks_of(file, format)
    assert (found.icc, found.exif, found.xmp, found.dropped) == (PROFILE, EXIF, XMP, ())

    other = with_blocks(file, format, Blocks(LONG_PROFILE, exif_block("Other"), OTHER_XMP))
    assert opened(other).info["icc_profile"] == LONG_PROFILE
    assert blocks_of(other, format).for_another_format() == Blocks(LONG_PROFILE, exif_block("Other"), OTHER_XMP)

    bare = with_blocks(file, format, Blocks())
    assert blocks_of(bare, format).for_another_format() == Blocks()
    assert not {"icc_profile", "exif", "xmp"} & opened(bare).info.keys()
    assert np.array_equal(pixels(bare, format), pixels(file, format))


@pytest.mark.parametrize("format", FORMATS)
def test_exchanging_the_packet_leaves_every_other_block(format: str) -> None:
    file = with_blocks(encoded(format), format, full(format))
    changed = with_xmp(file, format, OTHER_XMP)
    assert blocks_of(changed, format) == replace(full(format), xmp=OTHER_XMP)
    assert np.array_equal(pixels(changed, format), pixels(file, format))
    assert with_xmp(changed, format, XMP) == file
    assert blocks_of(with_xmp(file, format, None), format) == replace(full(format), xmp=None)


@pytest.mark.parametrize("format", FORMATS)
def test_a_packet_is_put_into_a_file_without_one(format: str) -> None:
    file = encoded(format)
    written = with_xmp(file, format, XMP)
    assert blocks_of(written, format).xmp == XMP
    assert np.array_equal(pixels(written, format), pixels(file, format))


def test_no_format_is_guessed() -> None:
    with pytest.raises(ValueError, match="BMP"):
        blocks_of(b"II*\0", "BMP")
    for format in FORMATS:
        for other in set(FORMATS) - {format}:
            with pytest.raises(ValueError, match="not a"):
                blocks_of(encoded(other), format)


@pytest.mark.parametrize(
    ("format", "name"), [("JPEG", "APP16"), ("PNG", "IDAT"), ("WEBP", "VP8X"), ("GIF", "APP"), ("JXL", "jxlc")]
)
def test_a_block_without_a_place_is_refused(format: str, name: str) -> None:
    with pytest.raises(ValueError, match="no place"):
        with_blocks(encoded(format), format, Blocks(others=((name, b""),)))


# --- JPEG


@pytest.mark.parametrize("options", [{"progressive": True}, {"restart_marker_blocks": 1}, {"optimize": True}])
def test_jpeg_scans_of_all_kinds(options: dict[str, Any]) -> None:
    file = encoded("JPEG", **options)
    written = with_blocks(file + b"behind", "JPEG", full("JPEG"))
    assert np.array_equal(pixels(written, "JPEG"), pixels(file, "JPEG"))
    assert opened(written).info.get("progressive") == opened(file).info.get("progressive")
    assert written.endswith(file[-100:])


def test_a_long_profile_is_split_over_jpeg_segments() -> None:
    profile = np.random.default_rng(2).bytes(65_519 * 3)
    written = with_blocks(encoded("JPEG"), "JPEG", Blocks(icc=profile))
    assert written.count(b"ICC_PROFILE\0") == 3
    assert opened(written).info["icc_profile"] == profile
    with pytest.raises(ValueError, match="colour profile is too long"):
        with_blocks(encoded("JPEG"), "JPEG", Blocks(icc=bytes(65_519 * 255 + 1)))


@pytest.mark.parametrize("numbers", [[(1, 2)], [(1, 2), (1, 2)], [(0, 2), (1, 2)], [(1, 2), (2, 3)]])
def test_a_profile_with_a_missing_part_is_none(numbers: list[tuple[int, int]]) -> None:
    parts = b"".join(jpeg_segment(0xE2, b"ICC_PROFILE\0" + bytes(pair) + PROFILE[:50]) for pair in numbers)
    found = blocks_of(behind_header("JPEG", encoded("JPEG"), parts), "JPEG")
    assert found.icc is None
    assert found.dropped == ("damaged colour profile",)


def test_parts_of_a_profile_may_come_in_any_order() -> None:
    parts = [jpeg_segment(0xE2, b"ICC_PROFILE\0" + bytes([n, 3]) + bytes([n]) * 9) for n in (2, 3, 1)]
    found = blocks_of(behind_header("JPEG", encoded("JPEG"), b"".join(parts)), "JPEG")
    assert found.icc == b"\1" * 9 + b"\2" * 9 + b"\3" * 9


def test_a_block_too_long_for_a_jpeg_has_a_message() -> None:
    file = encoded("JPEG")
    longest = XMP + b" " * (65_504 - len(XMP))
    assert blocks_of(with_xmp(file, "JPEG", longest), "JPEG").xmp == longest
    with pytest.raises(ValueError, match="XMP packet is too long for a JPEG"):
        with_xmp(file, "JPEG", longest + b" ")
    with pytest.raises(ValueError, match="EXIF is too long for a JPEG"):
        with_blocks(file, "JPEG", Blocks(exif=EXIF + bytes(65_536)))


def test_jpeg_density_comes_from_the_blocks() -> None:
    file = encoded("JPEG", dpi=(72, 72))
    source = encoded("JPEG", dpi=(300, 300))
    assert opened(with_blocks(file, "JPEG", blocks_of(source, "JPEG"))).info["dpi"] == (300, 300)


@pytest.mark.parametrize("keep_rgb", [False, True])
def test_no_jfif_header_changes_how_colours_are_read(keep_rgb: bool) -> None:
    file = encoded("JPEG", keep_rgb=keep_rgb)
    for blocks in (Blocks(), Blocks(exif=EXIF), full("JPEG"), blocks_of(encoded("JPEG"), "JPEG")):
        assert np.array_equal(pixels(with_blocks(file, "JPEG", blocks), "JPEG"), pixels(file, "JPEG"))


def test_the_colour_coding_of_cmyk_stays_with_the_pixels() -> None:
    file = encoded("JPEG", PICTURE.convert("CMYK"))
    assert b"Adobe" in file
    for blocks in (Blocks(), full("JPEG")):
        assert np.array_equal(pixels(with_blocks(file, "JPEG", blocks), "JPEG"), pixels(file, "JPEG"))


def irb(number: int, content: bytes, name: bytes = b"") -> bytes:
    named = bytes([len(name)]) + name
    padded = named + b"\0" * (len(named) % 2)
    return (
        b"8BIM"
        + struct.pack(">H", number)
        + padded
        + struct.pack(">I", len(content))
        + content
        + b"\0" * (len(content) % 2)
    )


def test_old_thumbnails_are_left_out_and_the_rest_of_photoshop_stays() -> None:
    caption, thumbnail, copyright_ = irb(1028, b"\x1c\2\x78\0\3abc", b"odd"), irb(1036, b"x" * 90_001), irb(1034, b"\1")
    resources = caption + thumbnail + copyright_
    halves = [resources[:60_000], resources[60_000:]]
    added = b"".join(jpeg_segment(0xED, b"Photoshop 3.0\0" + half) for half in halves)
    jfif = jpeg_segment(0xE0, b"JFIF\0\1\2\1\0\x48\0\x48\1\1abc") + jpeg_segment(0xE0, b"JFXX\0\x10" + b"y" * 99)
    file = b"\xff\xd8" + jfif + added + encoded("JPEG")[20:]
    found = blocks_of(file, "JPEG")
    assert found.others == (
        ("APP0", b"JFIF\0\1\2\1\0\x48\0\x48\0\0"),
        ("APP13", b"Photoshop 3.0\0" + caption + copyright_),
    )
    assert found.dropped == ("thumbnail of the old picture",)
    assert np.array_equal(pixels(with_blocks(file, "JPEG", found), "JPEG"), pixels(file, "JPEG"))
    assert with_xmp(with_xmp(file, "JPEG", XMP), "JPEG", None) == file

    raw = f"\n8bim\n{len(resources):8}\n{resources.hex()}\n".encode("ascii")
    png = behind_header("PNG", encoded("PNG"), png_chunk(b"zTXt", b"Raw profile type 8bim\0\0" + zlib.compress(raw)))
    text = text_of(blocks_of(png, "PNG"), "Raw profile type 8bim")
    assert text is not None
    assert bytes.fromhex(text.split(maxsplit=2)[2]) == caption + copyright_
    assert int(text.split()[1]) == len(caption + copyright_)


def test_extended_xmp_travels_unless_it_holds_the_picture_itself() -> None:
    extended = [
        b"http://ns.adobe.com/xmp/extension/\0" + digest * 32 + struct.pack(">II", 200, at) + part
        for digest, at, part in [
            (b"A", 0, b'xmlns:GImage="http://ns.google.com/photos/1.0/image/"'), (b"A", 100, b"x" * 100),
            (b"B", 0, b"settings"),
        ]
    ]  # fmt: skip
    file = behind_header("JPEG", encoded("JPEG"), b"".join(jpeg_segment(0xE1, payload) for payload in extended))
    found = blocks_of(file, "JPEG")
    assert [payload for name, payload in found.others if name == "APP1"] == extended[2:]
    assert found.dropped == ("depth map or unblurred picture (extended XMP)",)


def test_jpeg_with_fill_bytes_garbage_and_blocks_between_scans() -> None:
    file = encoded("JPEG", progressive=True)
    second_scan = file.index(b"\xff\xda", file.index(b"\xff\xda") + 2)
    table = file.rindex(b"\xff\xc4", 0, second_scan)
    odd = (
        b"\xff\xd8\xff\xff\xff" + file[3:20] + b"\xff" * 5 + file[20:table] + jpeg_segment(0xFE, b"late") + file[table:]
    )
    found = blocks_of(odd, "JPEG")
    assert ("COM", b"late") in found.others
    written = with_blocks(odd, "JPEG", found)
    assert written.index(b"late") < written.index(b"\xff\xda")
    assert np.array_equal(pixels(written, "JPEG"), pixels(file, "JPEG"))


def test_a_jpeg_without_its_end_mark_is_truncated() -> None:
    file = encoded("JPEG")
    for truncated in (file[:-2], file[:-1], file[:-2] + file):
        with pytest.raises(ValueError, match="truncated"):
            blocks_of(truncated, "JPEG")
    with pytest.raises(ValueError, match="ends before its picture"):
        blocks_of(file[:20], "JPEG")


@pytest.mark.parametrize(
    ("rest", "told"),
    [
        (b"\0" * 40, ()),
        (b"left by someone", ("15 bytes after the picture",)),
        (b"\0\0\0\x18ftypmp42\0\0\0\0isommp42", ("motion photo video",)),
        (b"\0\0\0\x18ftypmp42 SEFHxxxxSEFT", ("motion photo video", "camera data after the picture (Samsung)")),
        (b'\xff\xd8 hdrgm:Version="1.0"', ("HDR gain map",)),
    ],
)
def test_data_after_a_jpeg_are_reported(rest: bytes, told: tuple[str, ...]) -> None:
    file = encoded("JPEG")
    assert blocks_of(file + rest, "JPEG").dropped == told
    assert with_blocks(file + rest, "JPEG", blocks_of(file, "JPEG")) == file
    assert with_xmp(file + rest, "JPEG", XMP).endswith(file[-50:] + rest)


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (b"JP\0\1\0\0\0\1\0\0\0\x40jumb c2pa manifest", "content credentials (C2PA)"),
        (b"JP\0\1\0\0\0\1\0\0\0\x40jumb something", "JUMBF data"),
        (b"JP\0\1\0\0\0\1\0\0\0\x40RESI residual", "further image layer (APP11)"),
    ],
)
def test_certificates_of_the_old_pixels_are_left_out(payload: bytes, told: str) -> None:
    found = blocks_of(behind_header("JPEG", encoded("JPEG"), jpeg_segment(0xEB, payload)), "JPEG")
    assert found.dropped == (told,)
    assert all(name != "APP11" for name, _ in found.others)


def two_pictures(**options: Any) -> bytes:
    second = PICTURE.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((40, 30))
    return encoded("MPO", save_all=True, append_images=[second], **options)


@pytest.mark.parametrize("had_xmp", [False, True])
@pytest.mark.parametrize("behind_index", [False, True])
@pytest.mark.parametrize("xmp", [None, XMP, OTHER_XMP * 20])
def test_both_pictures_stay_where_the_index_says(had_xmp: bool, behind_index: bool, xmp: bytes | None) -> None:
    file = two_pictures(exif=EXIF)
    if had_xmp:
        file = with_xmp(file, "JPEG", OTHER_XMP)
    if had_xmp and behind_index:  # a packet behind the index moves the second picture against it
        packet = jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + OTHER_XMP)
        before, index, after = re.split(rb"(\xff\xe2..MPF\0.*?)(?=\xff[\xdb\xe1])", with_xmp(file, "JPEG", None), maxsplit=1, flags=re.DOTALL)  # noqa: E501 # fmt: skip
        order, count, entries = mpf.listed_pictures(memoryview(index)[4:])
        assert count == 2
        moved = bytearray(index)
        (offset,) = struct.unpack_from(order + "I", index, 4 + entries + 16 + 8)
        struct.pack_into(order + "I", moved, 4 + entries + 16 + 8, offset + len(packet))
        (size,) = struct.unpack_from(order + "I", index, 4 + entries + 4)
        struct.pack_into(order + "I", moved, 4 + entries + 4, size + len(packet))
        file = before + bytes(moved) + packet + after
    changed = with_xmp(file, "JPEG", xmp)
    assert blocks_of(changed, "JPEG").xmp == xmp
    with Image.open(io.BytesIO(file)) as old, Image.open(io.BytesIO(changed)) as new:
        assert (old.format, old.n_frames) == (new.format, new.n_frames) == ("MPO", 2)  # type: ignore[attr-defined]
        for frame in (0, 1):
            old.seek(frame)
            new.seek(frame)
            assert new.size == old.size
            assert np.array_equal(np.array(old), np.array(new))
        entries_of_new = new.mpinfo[0xB002]  # type: ignore[attr-defined]
    sizes, offset = [entry["Size"] for entry in entries_of_new], entries_of_new[1]["DataOffset"]
    assert sum(sizes) == len(changed)
    start = changed.index(b"MPF\0") + 4 + offset
    assert start == sizes[0]
    assert changed[start : start + 2] == b"\xff\xd8"


def test_a_second_picture_is_reported_and_left_out_of_changed_pixels() -> None:
    file = two_pictures()
    found = blocks_of(file, "JPEG")
    assert found.dropped == ("second picture (MPF)",)
    written = with_blocks(file, "JPEG", found)
    assert opened(written).format == "JPEG"
    assert blocks_of(written, "JPEG").dropped == ()
    with_map = blocks_of(with_xmp(file, "JPEG", b'<x hdrgm:Version="1.0"/>'), "JPEG")
    assert with_map.dropped == ("HDR gain map",)


# --- PNG


def test_colour_chunks_of_a_png_travel_in_their_order() -> None:
    colours = (("cICP", bytes([12, 13, 0, 1])), ("gAMA", struct.pack(">I", 45_455)), ("cHRM", bytes(range(32))))
    later = (("tIME", bytes([7, 230, 1, 1, 1, 1, 1])), ("tEXt", b"Title\0Cat"))
    paletted = encoded("PNG", PICTURE.quantize(16))
    written = with_blocks(paletted, "PNG", Blocks(others=colours + later))
    assert blocks_of(written, "PNG").others == colours + later
    assert written.index(b"cICP") < written.index(b"PLTE") < written.index(b"IDAT")
    assert np.array_equal(pixels(written, "PNG"), pixels(paletted, "PNG"))


def test_a_profile_takes_the_place_of_what_the_encoder_says_about_colour() -> None:
    file = behind_header("PNG", encoded("PNG"), png_chunk(b"sRGB", b"\0") + png_chunk(b"gAMA", bytes([0, 0, 177, 143])))
    written = with_blocks(file, "PNG", Blocks(icc=PROFILE, others=(("sRGB", b"\0"),)))
    assert b"sRGB\0" not in written[:60]
    assert b"gAMA" not in written
    assert opened(written).info["icc_profile"] == PROFILE


@pytest.mark.parametrize("name", ["exif", "APP1"])
@pytest.mark.parametrize("compressed", [False, True])
def test_raw_profiles_are_read_by_content(name: str, compressed: bool) -> None:
    def raw(kind: str, block: bytes) -> tuple[str, str]:
        digits = re.sub("(.{72})", r"\1\n", block.hex())
        return f"Raw profile type {kind}", f"\n{kind}\n{len(block):8}\n{digits}\n"

    text = PngInfo()
    text.add_text(*raw(name, b"Exif\0\0" + EXIF), zip=compressed)
    text.add_text(*raw("xmp", XMP), zip=compressed)
    text.add_text(*raw("APP1", b"http://ns.adobe.com/xap/1.0/\0" + OTHER_XMP), zip=compressed)
    text.add_text(*raw("iptc", b"8BIM\4\4\0\0\0\0\0\0"), zip=compressed)
    text.add_text("Title", "Cat")
    file = encoded("PNG", pnginfo=text)
    found = blocks_of(file, "PNG")
    assert (found.exif, found.xmp) == (EXIF, XMP)
    assert len(found.others) == 2
    assert text_of(found, "Title") == "Cat"
    newer = blocks_of(with_xmp(file, "PNG", OTHER_XMP + b" "), "PNG")
    assert newer.xmp == OTHER_XMP + b" "
    assert newer.others == found.others


def test_texts_are_found_by_keyword() -> None:
    text = PngInfo()
    text.add_text("Latin", "é")
    text.add_text("Packed", "ü" * 50, zip=True)
    text.add_itxt("Wide", "夢", lang="ja", tkey="yume", zip=True)
    found = blocks_of(encoded("PNG", pnginfo=text), "PNG")
    assert [text_of(found, keyword) for keyword in ("Latin", "Packed", "Wide", "None")] == ["é", "ü" * 50, "夢", None]
    own = Blocks(others=(("iTXt", b"broken"), ("iTXt", b"deep\0\1\0\0\0no zlib"), text_chunk("deep", "dream\n")))
    assert text_of(own, "deep") == "dream\n"
    assert opened(with_blocks(encoded("PNG"), "PNG", own)).info["deep"] == "dream\n"


@pytest.mark.parametrize(("keyword", "text"), [("", "x"), (" a", "x"), ("a" * 80, "x"), ("夢", "x"), ("a", "x\0")])
def test_a_text_that_a_png_cannot_hold(keyword: str, text: str) -> None:
    with pytest.raises(ValueError, match="PNG"):
        text_chunk(keyword, text)


def test_damaged_and_pixel_bound_chunks_of_a_png_are_reported() -> None:
    bad = bytearray(png_chunk(b"tEXt", b"Title\0Cat"))
    bad[-1] ^= 1
    chunks = [
        bytes(bad), png_chunk(b"iCCP", b"x\0\0no zlib"), png_chunk(b"caBX", b"c2pa"), png_chunk(b"orNT", b"\1"),
        png_chunk(b"tEXt", b"Raw profile type exif\0\nexif\n 3\nzz"), png_chunk(b"eXIf", b"??"),
        png_chunk(b"iDOT", bytes(28)),
    ]  # fmt: skip
    found = blocks_of(behind_header("PNG", encoded("PNG"), b"".join(chunks)) + b"tail", "PNG")
    assert found == Blocks(dropped=(
        "damaged tEXt chunk", "damaged colour profile", "content credentials (C2PA)",
        "orNT chunk, which depends on the pixels", "damaged Raw profile type exif", "damaged EXIF",
        "4 bytes after the picture",
    ))  # fmt: skip


def test_apples_index_of_pixel_parts_goes_when_a_packet_behind_it_changes() -> None:
    index, packet = png_chunk(b"iDOT", bytes(28)), png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)
    before, behind = (behind_header("PNG", encoded("PNG"), added) for added in (packet + index, index + packet))
    assert b"iDOT" in with_xmp(before, "PNG", OTHER_XMP)
    assert b"iDOT" not in with_xmp(behind, "PNG", OTHER_XMP)


def test_compressed_metadata_of_a_png_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepdream_core.photo.container.png_text.LONGEST_INFLATED", 1 << 20)
    bomb = zlib.compress(bytes(5 << 20))
    chunks = png_chunk(b"iCCP", b"x\0\0" + bomb) + png_chunk(b"zTXt", b"XML:com.adobe.xmp\0\0" + bomb)
    found = blocks_of(behind_header("PNG", encoded("PNG"), chunks), "PNG")
    assert found == Blocks(dropped=("damaged colour profile", "damaged XML:com.adobe.xmp"))


def test_a_png_without_its_end_is_truncated() -> None:
    file = encoded("PNG")
    for cut in (12, 4, 1):
        with pytest.raises(ValueError, match="truncated"):
            blocks_of(file[:-cut], "PNG")


# --- WebP


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_simple_webp_gets_the_header_that_metadata_need(lossless: bool, mode: str) -> None:
    picture = PICTURE.convert("RGB")
    if mode == "RGBA":
        picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    file = encoded("WEBP", picture, lossless=lossless, exact=True)
    written = with_blocks(file, "WEBP", full("WEBP"))
    assert opened(written).mode == mode
    assert np.array_equal(pixels(written, "WEBP"), pixels(file, "WEBP"))
    flags, canvas = written[20], written[24:30]
    assert flags == 0x2C | (0x10 if mode == "RGBA" else 0)
    assert canvas == (82).to_bytes(3, "little") + (60).to_bytes(3, "little")
    assert int.from_bytes(written[4:8], "little") + 8 == len(written)
    bare = with_blocks(written, "WEBP", Blocks())
    assert bare[20] == flags & 0x10
    if mode == "RGB":
        assert with_blocks(file, "WEBP", Blocks()) == file


def test_webp_credentials_and_data_after_the_picture_are_reported() -> None:
    file = with_blocks(encoded("WEBP"), "WEBP", Blocks(others=(("C2PA", b"odd"),))) + b"tail"
    assert blocks_of(file, "WEBP") == Blocks(dropped=("content credentials (C2PA)", "4 bytes after the picture"))
    assert with_xmp(file, "WEBP", XMP).endswith(b"C2PA\3\0\0\0odd\0XMP " + struct.pack("<I", len(XMP)) + XMP
                                                + b"\0" * (len(XMP) % 2) + b"tail")  # fmt: skip


# --- GIF


def test_gif_metadata_in_the_oldest_version() -> None:
    file = b"GIF87a" + encoded("GIF")[6:]
    assert with_blocks(file, "GIF", Blocks()) == file
    written = with_blocks(file + b"tail", "GIF", full("GIF"))
    assert written[:6] == b"GIF89a"
    assert written[-1:] == b";"
    assert blocks_of(file + b"tail", "GIF").dropped == ("4 bytes after the picture",)
    assert opened(written).info["comment"] == b"a comment" * 100


def test_a_gif_packet_in_sub_blocks_is_read_too() -> None:
    parts = b"".join(bytes([len(XMP[at : at + 255])]) + XMP[at : at + 255] for at in range(0, len(XMP), 255))
    added = b"\x21\xff\x0bXMP DataXMP" + parts + b"\0"
    assert blocks_of(behind_header("GIF", encoded("GIF"), added), "GIF").xmp == XMP


def test_a_gif_without_its_end_mark_is_truncated() -> None:
    with pytest.raises(ValueError, match="truncated"):
        blocks_of(encoded("GIF")[:-1], "GIF")


def test_a_gif_with_stray_bytes_is_taken() -> None:
    file = encoded("GIF")
    odd = behind_header("GIF", file, b"\0\0stray")
    assert blocks_of(with_blocks(odd, "GIF", full("GIF")), "GIF") == full("GIF")
    assert np.array_equal(pixels(with_blocks(odd, "GIF", full("GIF")), "GIF"), pixels(file, "GIF"))


@pytest.mark.parametrize("ending", range(0, 256, 5))
def test_a_gif_packet_ends_where_it_should_whatever_its_bytes(ending: int) -> None:
    for packet in (bytes([ending or 1]), XMP + bytes([ending or 1]) * 3):
        written = with_xmp(encoded("GIF"), "GIF", packet)
        assert blocks_of(written, "GIF").xmp == packet


def test_a_gif_says_what_it_cannot_hold() -> None:
    with pytest.raises(ValueError, match="no place for EXIF"):
        with_blocks(encoded("GIF"), "GIF", Blocks(exif=EXIF))
    with pytest.raises(ValueError, match="UTF-8"):
        with_xmp(encoded("GIF"), "GIF", XMP.decode().encode("utf-16"))


# --- animations


@pytest.mark.parametrize("format", ["PNG", "WEBP", "GIF"])
def test_animations_keep_frames_durations_and_loop(format: str) -> None:
    turned = [PICTURE.rotate(angle) for angle in (30, 60, 90)]
    options: dict[str, Any] = {"lossless": True} if format == "WEBP" else {}
    file = encoded(format, save_all=True, append_images=turned, duration=[70, 110, 150, 190], loop=3, **options)
    for written in (
        with_blocks(file, format, full(format)), with_blocks(file, format, Blocks()), with_xmp(file, format, XMP),
    ):  # fmt: skip
        assert same_frames(file, written)
        assert opened(written).info["loop"] == 3
    written = with_blocks(file, format, full(format))
    assert blocks_of(written, format) == full(format)
    if format == "GIF":
        assert written.index(b"NETSCAPE2.0") < written.index(b"XMP DataXMP")


# --- JPEG XL


def test_another_encoders_jpeg_xl_boxes() -> None:
    pytest.importorskip("pillow_jxl", reason="Pillow reads JPEG XL with pillow-jxl-plugin only")
    for compressed in (False, True):
        file = encoded_by_plugin(compress_metadata=compressed)
        assert (b"brob" in file) == compressed
        found = blocks_of(file, "JXL")
        assert (found.exif, found.xmp, found.icc) == (EXIF, XMP, None)
        written = with_blocks(encoded("JXL"), "JXL", found)
        assert np.array_equal(pixels(written, "JXL"), np.array(PICTURE))
        assert opened(written).getexif()[ExifTags.Base.Model] == "Box camera"
        changed = with_xmp(file, "JXL", OTHER_XMP)
        assert blocks_of(changed, "JXL") == replace(found, xmp=OTHER_XMP)
        assert np.array_equal(pixels(changed, "JXL"), pixels(file, "JXL"))


def encoded_by_plugin(**options: Any) -> bytes:
    file = io.BytesIO()
    PICTURE.save(file, "JXL", lossless=True, exif=b"Exif\0\0" + EXIF, xmp=XMP, **options)
    return file.getvalue()


def test_jpeg_xl_boxes_of_all_sizes() -> None:
    naked = encoded("JXL")
    start = encoded("JXL", usecontainer=True)[:32]
    xml = struct.pack(">I4sQ", 1, b"xml ", 16 + len(XMP)) + XMP
    file = start + box(b"jumb", b"c2pa") + xml + box(b"jhgm", b"map") + struct.pack(">I4s", 0, b"jxlc") + naked
    found = blocks_of(file, "JXL")
    assert found == Blocks(xmp=XMP, dropped=("content credentials (C2PA)", "HDR gain map"))
    for written in (with_blocks(file, "JXL", full("JXL")), with_xmp(file, "JXL", OTHER_XMP)):
        assert np.array_equal(pixels(written, "JXL"), np.array(PICTURE))
    assert b"jumb" in with_xmp(file, "JXL", None)
    assert with_blocks(naked, "JXL", Blocks()) == naked
    last = start + box(b"jxlc", naked) + struct.pack(">I4s", 0, b"xml ") + XMP
    assert blocks_of(with_xmp(last, "JXL", OTHER_XMP), "JXL").xmp == OTHER_XMP


def test_compressed_boxes_of_a_jpeg_xl_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    imagecodecs = pytest.importorskip("imagecodecs", reason="Brotli is unpacked with imagecodecs")
    monkeypatch.setattr("deepdream_core.photo.container.jxl.LONGEST_INFLATED", 1 << 20)
    start = encoded("JXL", usecontainer=True)
    for packed in (imagecodecs.brotli_encode(bytes(9 << 20)), b"damaged"):
        found = blocks_of(start + box(b"brob", b"xml " + packed), "JXL")
        assert found == Blocks(dropped=("compressed xml box (damaged or too long)",))


# --- hostile files

SAMPLES = {format: with_blocks(encoded(format), format, full(format)) for format in FORMATS[:4]}
SAMPLES["JPEG"] = with_xmp(two_pictures(progressive=True, exif=EXIF, icc_profile=PROFILE), "JPEG", XMP)


def sample(format: str) -> bytes:
    if format not in SAMPLES:
        SAMPLES[format] = with_blocks(encoded(format), format, full(format))
    return SAMPLES[format]


def only_value_errors(file: bytes, format: str) -> None:
    with contextlib.suppress(ValueError):
        found = blocks_of(file, format)
        with_xmp(file, format, OTHER_XMP)
        with_xmp(file, format, None)
        with_blocks(file, format, full(format))
        with_blocks(file, format, found)


@pytest.mark.parametrize("format", FORMATS)
@given(
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12),
    cut=st.floats(0, 1),
)
@example(changes=[], cut=1)
def test_damaged_files_are_value_errors_and_nothing_else(
    format: str, changes: list[tuple[float, int]], cut: float
) -> None:
    whole = sample(format)
    head = min(len(whole), 700) if cut < 0.5 else len(whole)  # what matters most stands in front
    file = bytearray(whole)
    for place, value in changes:
        file[int(place * head)] = value
    only_value_errors(bytes(file[: int(len(file) * (1 if cut > 0.7 else cut))]), format)


@pytest.mark.parametrize("format", FORMATS)
def test_every_truncation_is_a_value_error_or_fine(format: str) -> None:
    whole = sample(format)
    for length in [*range(900), *range(900, len(whole), 97)]:
        only_value_errors(whole[:length], format)


@pytest.mark.parametrize("format", FORMATS)
@given(tail=st.binary(max_size=300))
def test_arbitrary_bytes_behind_the_first(format: str, tail: bytes) -> None:
    for length in (0, 8, 12, 20, 32):
        only_value_errors(sample(format)[:length] + tail, format)


@pytest.mark.parametrize(
    ("format", "block"),
    [
        ("JPEG", b"\xff\xe5\0\2"), ("PNG", png_chunk(b"teSt", b"")), ("WEBP", b"abcd\0\0\0\0"), ("GIF", b"\x21\xfe\0"),
        ("JXL", box(b"free", b"")),
    ],
)  # fmt: skip
def test_millions_of_empty_blocks_are_refused(format: str, block: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    module = {"JPEG": "jpeg_segments", "PNG": "png_chunks"}.get(format, format.lower())
    monkeypatch.setattr(f"deepdream_core.photo.container.{module}.MOST_BLOCKS", 100)
    assert container_blocks.MOST_BLOCKS > 100
    start = encoded("JXL", usecontainer=True) if format == "JXL" else encoded(format)
    with pytest.raises(ValueError, match="too many"):
        blocks_of(behind_header(format, start, block * 101), format)


def test_the_readers_agree_about_quantisation_after_an_edit() -> None:
    file = encoded("JPEG", quality=83)
    old, new = opened(file), opened(with_blocks(file, "JPEG", full("JPEG")))
    assert isinstance(old, JpegImagePlugin.JpegImageFile)
    assert isinstance(new, JpegImagePlugin.JpegImageFile)
    assert old.quantization == new.quantization
