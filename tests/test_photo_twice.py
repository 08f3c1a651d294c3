"""Two of what should be one: the first counts, the rest is told and gone, and no old thumbnail stays anywhere."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from deepdream_core.errors import OutputError
from deepdream_core.photo import Photo, WriteOptions, check_target, read_photo, write_photo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PIXELS = np.indices((32, 48)).sum(axis=0).astype(np.uint8)[..., None].repeat(3, axis=2)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
OTHER = SRGB[:24] + b"\x07\xd0" + SRGB[26:]  # of another year
FIRST, SECOND = b"first-camera", b"other-camera"
THUMBNAIL = b"\xff\xd8old picture\xff\xd9"
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="%s"/></rdf:RDF></x:xmpmeta>'
)


def exif(make: bytes, padding: int = 0) -> bytes:
    """Return an EXIF block with a maker, a text of so many bytes, and a thumbnail."""
    texts = (make + b"\0", (b"d" * padding).ljust(8, b"\0"))
    second = 8 + 2 + 2 * 12 + 4
    values = second + 2 + 2 * 12 + 4
    first = struct.pack("<HHII", 271, 2, len(texts[0]), values)
    first += struct.pack("<HHII", 305, 2, len(texts[1]), values + len(texts[0]))
    shown = values + sum(map(len, texts))
    thumbnail = struct.pack("<HHIIHHII", 513, 4, 1, shown, 514, 4, 1, len(THUMBNAIL))
    directories = struct.pack("<H", 2) + first + struct.pack("<I", second) + struct.pack("<H", 2) + thumbnail + bytes(4)
    return b"II*\0" + struct.pack("<I", 8) + directories + b"".join(texts) + THUMBNAIL


def plain(form: str, **options: bytes) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(PIXELS).save(encoded, form, lossless=True, **options)
    return encoded.getvalue()


def jpeg(*segments: tuple[int, bytes]) -> bytes:
    return b"\xff\xd8" + b"".join(
        struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content for marker, content in segments
    ) + plain("JPEG")[2:]  # fmt: skip


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    file = plain("PNG")
    put = b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
    return file[:33] + put + file[33:]


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    """Return a WebP with these chunks behind its picture, whose header says that they may be there."""
    file = plain("WEBP", exif=b"Exif\0\0" + exif(b"x"), xmp=b"<x/>", icc_profile=SRGB)
    pieces, place = [], 12
    while place < len(file):
        size = int.from_bytes(file[place + 4 : place + 8], "little")
        piece = file[place : place + 8 + size + size % 2]
        pieces += [piece] if piece[:4] in (b"VP8X", b"VP8L") else []
        place += len(piece)
    pieces += [kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2) for kind, content in chunks]
    body = b"WEBP" + b"".join(pieces)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def icc_segments(profile: bytes) -> list[tuple[int, bytes]]:
    half = len(profile) // 2
    return [(0xE2, b"ICC_PROFILE\0\1\2" + profile[:half]), (0xE2, b"ICC_PROFILE\0\2\2" + profile[half:])]


ID, XMP_ID, XMP_KEYWORD = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"XML:com.adobe.xmp\0\0\0\0\0"
TOLD = {"exif": "second EXIF block", "xmp": "second XMP packet", "icc": "second colour profile"}
VALUES = {"exif": (exif(FIRST), exif(SECOND)), "xmp": (XMP % FIRST, XMP % SECOND), "icc": (SRGB, OTHER)}
FILES: dict[str, Callable[[bytes, bytes], bytes]] = {
    "exif.jpg": lambda *both: jpeg(*((0xE1, ID + block) for block in both)),
    "exif.png": lambda *both: png(*((b"eXIf", block) for block in both)),
    "exif.webp": lambda *both: webp(*((b"EXIF", block) for block in both)),
    "xmp.jpg": lambda *both: jpeg(*((0xE1, XMP_ID + packet) for packet in both)),
    "xmp.png": lambda *both: png(*((b"iTXt", XMP_KEYWORD + packet) for packet in both)),
    "xmp.webp": lambda *both: webp(*((b"XMP ", packet) for packet in both)),
    "icc.jpg": lambda *both: jpeg(*(segment for profile in both for segment in icc_segments(profile))),
    "icc.png": lambda *both: png(*((b"iCCP", b"icc\0\0" + zlib.compress(profile)) for profile in both)),
    "icc.webp": lambda *both: webp(*((b"ICCP", profile) for profile in both)),
}


def read(tmp_path: Path, name: str, file: bytes) -> Photo:
    (tmp_path / name).write_bytes(file)
    return read_photo(tmp_path / name, max_megapixels=10)


def written(photo: Photo, tmp_path: Path) -> bytes:
    """Return the file of a photo whose pixels have changed."""
    target = tmp_path / f"out{photo.path.suffix}"
    write_photo(
        photo.with_frames([frame.with_floats(1 - frame.floats()) for frame in photo.frames]), target, overwrite=True
    )
    return target.read_bytes()


@pytest.mark.parametrize("name", FILES)
def test_the_first_counts_and_the_rest_is_reported_and_removed(tmp_path: Path, name: str) -> None:
    what, _, ending = name.partition(".")
    photo = read(tmp_path, name, FILES[name](*VALUES[what]))
    assert [entry.detail for entry in photo.changes if entry.part == TOLD[what]] == ["readers use the first"]
    result = written(photo, tmp_path)
    for gone in (SECOND, THUMBNAIL):
        assert gone not in result
    again = read_photo(tmp_path / f"out.{ending}", max_megapixels=10).blocks
    assert again.icc == (SRGB if what == "icc" else None)
    assert again.xmp == (XMP % FIRST if what == "xmp" else None)
    assert (again.exif is not None and FIRST in again.exif) == (what == "exif")
    with pytest.raises(OutputError, match=TOLD[what]):
        check_target(photo, tmp_path / f"b.{ending}", WriteOptions(strict=True), overwrite=False)


@pytest.mark.parametrize("name", FILES)
def test_the_same_thing_twice_is_nothing_to_tell(tmp_path: Path, name: str) -> None:
    value = VALUES[name.partition(".")[0]][0]
    photo = read(tmp_path, name, FILES[name](value, value))
    assert not any(entry.part.startswith("second") for entry in photo.changes)


def test_two_long_exif_blocks_are_not_taken_for_one(tmp_path: Path) -> None:
    blocks = [exif(make, 64_000) for make in (FIRST, SECOND)]
    photo = read(tmp_path, "a.jpg", FILES["exif.jpg"](*blocks))
    result = written(photo, tmp_path)
    assert FIRST in result
    assert SECOND not in result
    assert any(entry.part == "second EXIF block" for entry in photo.changes)


def test_one_exif_block_in_two_segments_is_still_one(tmp_path: Path) -> None:
    block = exif(FIRST, 90_000)
    photo = read(tmp_path, "a.jpg", jpeg((0xE1, ID + block[:65_500]), (0xE1, ID + block[65_500:])))
    assert not any(entry.part.startswith("second") for entry in photo.changes)
    assert photo.blocks.exif is not None
    assert len(photo.blocks.exif) > 90_000


def test_a_second_png_chunk_of_a_unique_kind_is_reported(tmp_path: Path) -> None:
    gammas = [struct.pack(">I", value) for value in (45_455, 100_000)]
    photo = read(tmp_path, "a.png", png(*((b"gAMA", gamma) for gamma in gammas)))
    assert [entry.part for entry in photo.changes] == ["second gAMA chunk"]


def test_both_thumbnails_of_one_directory_go(tmp_path: Path) -> None:
    block = exif(FIRST)
    other = b"\xff\xd8another\xff\xd9"
    entries_at = block.index(struct.pack("<HHI", 513, 4, 1))
    begun = struct.unpack_from("<I", block, 34)[0]  # the second directory, moved to the end and given two more entries
    twice = struct.pack("<HHIIHHII", 513, 4, 1, len(block), 514, 4, 1, len(other))
    moved = struct.pack("<H", 4) + block[entries_at : entries_at + 24] + twice + bytes(4)
    whole = block[:34] + struct.pack("<I", len(block) + len(other)) + block[38:] + other + moved
    assert begun != len(block)
    result = written(read(tmp_path, "a.jpg", jpeg((0xE1, ID + whole))), tmp_path)
    assert THUMBNAIL not in result
    assert other not in result


def test_extended_xmp_of_another_packet_or_with_a_thumbnail_goes(tmp_path: Path) -> None:
    digests = [bytes([letter]) * 32 for letter in b"ABC"]
    note = b'xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="%s" dc:source' % digests[0]
    main = (XMP % FIRST).replace(b"dc:source", note)
    extension = b"http://ns.adobe.com/xmp/extension/\0"
    texts = [b"<own/>", b"<foreign/>", b"<xmpGImg:image>old</xmpGImg:image>"]
    parts = [(0xE1, extension + digest + struct.pack(">II", len(text), 0) + text)
             for digest, text in zip(digests, texts, strict=True)]  # fmt: skip
    photo = read(tmp_path, "a.jpg", jpeg((0xE1, XMP_ID + main), *parts))
    assert {entry.part for entry in photo.changes} == {"second extended XMP", "thumbnail"}
    result = written(photo, tmp_path)
    assert [text in result for text in texts] == [True, False, False]


def test_a_repeated_tiff_tag_is_reported(tmp_path: Path) -> None:
    encoded = io.BytesIO()
    with tifffile.TiffWriter(encoded) as writer:
        tags = [(700, 1, len(XMP % FIRST), XMP % FIRST, True), (65_000, 1, len(XMP % SECOND), XMP % SECOND, True)]
        writer.write(PIXELS, photometric="rgb", extratags=tags, metadata=None)
    codes = [struct.pack("<HHI", code, 1, len(XMP % SECOND)) for code in (65_000, 700)]
    file = encoded.getvalue().replace(codes[0], codes[1])
    photo = read(tmp_path, "a.tif", file)
    assert [entry.part for entry in photo.changes] == ["second XMP packet"]
    assert photo.blocks.xmp == XMP % FIRST
    assert SECOND not in written(photo, tmp_path)
