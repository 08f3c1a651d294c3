"""What libpng, libtiff and browsers show is read, with a word; what is not supported is told as what it is."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import pillow_heif
import pytest
from PIL import Image
from skimage import data

from deepdream_core.errors import DamagedPictureError, PictureError
from deepdream_core.photo import Photo, read_photo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

SCENE: NDArray[np.uint8] = getattr(data, "astronaut")()[100:140, 150:198]  # noqa: B009
HEIGHT, WIDTH = SCENE.shape[:2]


def read(tmp_path: Path, name: str, file: bytes) -> Photo:
    (tmp_path / name).write_bytes(file)
    return read_photo(tmp_path / name, max_megapixels=10)


def told(photo: Photo) -> list[str]:
    return [str(entry) for entry in photo.changes]


# --- PNG


def chunk(kind: bytes, payload: bytes, *, intact: bool = True) -> bytes:
    checksum = zlib.crc32(kind + payload) ^ (not intact)
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", checksum)


def png(rows: bytes, *, depth: int = 8, before: bytes = b"", behind: bytes = b"", interlaced: int = 0) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, 2, 0, 0, interlaced))
    samples = chunk(b"IDAT", zlib.compress(rows) + behind)
    return b"\x89PNG\r\n\x1a\n" + header + before + samples + chunk(b"IEND", b"")


def rows_of(depth: int = 8) -> tuple[bytes, bytes]:
    """Return the rows of SCENE as a PNG packs them, and one of them."""
    samples = SCENE if depth == 8 else (SCENE.astype(">u2") * 257)
    rows = [b"\0" + row.tobytes() for row in samples]
    return b"".join(rows), rows[0]


@pytest.mark.parametrize("depth", [8, 16])
def test_samples_behind_the_last_row_are_passed_over(tmp_path: Path, depth: int, capfd: Any) -> None:
    rows, one = rows_of(depth)
    for file in (
        png(rows + one, depth=depth), png(rows, depth=depth, behind=b"\0"), png(rows + one * 30, depth=depth),
    ):  # fmt: skip
        photo = read(tmp_path, "a.png", file)
        assert np.array_equal(photo.frames[0].samples, SCENE if depth == 8 else SCENE.astype(np.uint16) * 257)
        assert told(photo) == ["surplus samples dropped: beyond the last row, which readers ignore"]
        assert not any(entry.lost for entry in photo.changes)
    assert capfd.readouterr().err == ""


def test_a_png_with_too_little_or_damaged_samples_is_refused_all_the_same(tmp_path: Path) -> None:
    rows, one = rows_of()
    whole = png(rows + one)
    place = whole.index(b"IDAT") + 4
    damaged = bytearray(whole)
    damaged[place + 1000] ^= 1
    for file in (png(rows[:-1]), png(rows[:-1], behind=b"\0"), whole[:-20], bytes(damaged), png(rows + bytes(4 << 20))):
        with pytest.raises(DamagedPictureError):
            read(tmp_path, "a.png", file)


def test_a_text_with_a_wrong_checksum_is_skipped_and_reported(tmp_path: Path) -> None:
    rows, _ = rows_of()
    for kind in (b"tEXt", b"gAMA", b"tIME"):
        photo = read(tmp_path, "a.png", png(rows, before=chunk(kind, b"Software\0x", intact=False)))
        assert np.array_equal(photo.frames[0].samples, SCENE)
        assert told(photo) == [f"damaged {kind.decode()} chunk dropped"]


def test_a_text_longer_than_pillow_bears_stays(tmp_path: Path) -> None:
    text = b"Comment\0\0" + zlib.compress(b"eyes " * 400_000)
    photo = read(tmp_path, "a.png", png(rows_of()[0], before=chunk(b"zTXt", text)))
    assert ("zTXt", text) in photo.blocks.others


def test_a_damaged_transparency_is_skipped_and_reported_as_a_loss(tmp_path: Path) -> None:
    colour = struct.pack(">HHH", *(int(value) for value in SCENE[0, 0]))
    rows, _ = rows_of()
    assert read(tmp_path, "a.png", png(rows, before=chunk(b"tRNS", colour))).frames[0].alpha is not None
    for before in (chunk(b"tRNS", colour, intact=False), chunk(b"tRNS", colour[:4])):
        photo = read(tmp_path, "a.png", png(rows, before=before))
        assert np.array_equal(photo.frames[0].samples, SCENE)
        assert [entry.part for entry in photo.changes if entry.lost] == ["transparency"]


def test_a_transparency_of_more_colours_than_the_palette_has_is_passed_over(tmp_path: Path) -> None:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 1, 8, 3, 0, 0, 0))
    palette, samples = bytes((9, 0, 0, 0, 9, 0)), chunk(b"IDAT", zlib.compress(b"\0\0\1\1\0"))
    for count, channels in ((2, 4), (3, 3)):
        parts = (header, chunk(b"PLTE", palette), chunk(b"tRNS", bytes(count)), samples, chunk(b"IEND", b""))
        photo = read(tmp_path, "a.png", b"\x89PNG\r\n\x1a\n" + b"".join(parts))
        assert photo.frames[0].samples.shape[2] == channels
    assert [entry.part for entry in photo.changes if entry.lost] == ["transparency"]


@pytest.mark.parametrize("depth", [8, 16])
def test_a_wrong_checksum_around_intact_samples_is_ignored_and_reported(tmp_path: Path, depth: int) -> None:
    file = png(rows_of(depth)[0], depth=depth)
    place = file.index(b"IEND") - 5
    photo = read(tmp_path, "a.png", file[:place] + bytes([file[place] ^ 1]) + file[place + 1 :])
    assert np.array_equal(photo.frames[0].samples, SCENE if depth == 8 else SCENE.astype(np.uint16) * 257)
    assert told(photo) == ["wrong checksum dropped: the samples are intact"]


def test_a_critical_chunk_with_a_wrong_checksum_is_damage(tmp_path: Path) -> None:
    file = bytearray(png(rows_of()[0]))
    file[29] ^= 1
    with pytest.raises(DamagedPictureError, match="damaged"):
        read(tmp_path, "a.png", bytes(file))


def test_the_png_of_iphone_apps_is_refused_by_name(tmp_path: Path) -> None:
    file = png(rows_of()[0])
    with pytest.raises(PictureError, match="Xcode") as caught:
        read(tmp_path, "a.png", file[:8] + chunk(b"CgBI", bytes(4)) + file[8:])
    assert not isinstance(caught.value, DamagedPictureError)


# --- JPEG


def jpeg_of_kind(marker: int, *, bits: int = 8, components: int = 3, height: int = HEIGHT) -> bytes:
    """Return a JPEG whose frame header says so; what follows it does not matter."""
    encoded = io.BytesIO()
    Image.fromarray(SCENE).save(encoded, "JPEG")
    file = encoded.getvalue()
    place = file.index(b"\xff\xc0")
    header = struct.pack(">BHHB", bits, height, WIDTH, components) + b"".join(
        bytes([number + 1, 0x11, 0]) for number in range(components)
    )
    frame = struct.pack(">BBH", 0xFF, marker, 2 + len(header)) + header
    end = place + 2 + int.from_bytes(file[place + 2 : place + 4], "big")
    return file[:place] + frame + file[end:]


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        (imagecodecs.jpeg8_encode(SCENE.astype(np.uint16) * 16, bitspersample=12), "is a JPEG with 12 bits"),
        (imagecodecs.jpeg8_encode(SCENE, lossless=True), "is a lossless JPEG"),
        (imagecodecs.ljpeg_encode(SCENE[..., 0]), "is a lossless JPEG"),
        (imagecodecs.jpegls_encode(SCENE[..., 0]), "is a JPEG-LS"),
        (jpeg_of_kind(0xC5), "is a hierarchical JPEG"),
        (jpeg_of_kind(0xC1, bits=12), "is a JPEG with 12 bits"),
        (jpeg_of_kind(0xCB), "is a lossless JPEG"),
        (jpeg_of_kind(0xC0, components=2), "is a JPEG with 2 components"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)  # fmt: skip
def test_a_rare_kind_of_jpeg_is_refused_by_name_and_not_as_damaged(tmp_path: Path, file: bytes, kind: str) -> None:
    with pytest.raises(PictureError) as caught:
        read(tmp_path, "a.jpg", file)
    assert not isinstance(caught.value, DamagedPictureError)
    assert caught.value.what == f"{tmp_path / 'a.jpg'}: {kind}, which DeepDream cannot read"
    assert "export it" in caught.value.next_step


# --- TIFF


def tiff(
    parts: list[bytes], *, compression: int = 1, rows: int = 16, tile: int = 0, counts: list[int] | None = None
) -> bytes:
    """Return a TIFF of the size of SCENE made of these strips or tiles; an empty one is left out as GDAL does."""
    starts = [8 + sum(map(len, parts[:number])) if part else 0 for number, part in enumerate(parts)]
    entries = {256: [WIDTH], 257: [HEIGHT], 258: [8, 8, 8], 259: [compression], 262: [2], 277: [3]}
    sizes = counts or [len(part) for part in parts]
    entries |= {322: [tile], 323: [tile], 324: starts, 325: sizes} if tile else {273: starts, 278: [rows], 279: sizes}
    samples = b"".join(parts)
    directory_at = 8 + len(samples)
    values_at = directory_at + 2 + 12 * len(entries) + 4
    table, values = b"", b""
    for tag, numbers in sorted(entries.items()):
        packed = struct.pack(f"<{len(numbers)}I", *numbers)
        place = packed if len(numbers) == 1 else struct.pack("<I", values_at + len(values))
        values += packed if len(numbers) > 1 else b""
        table += struct.pack("<HHI", tag, 4, len(numbers)) + place
    head = b"II*\0" + struct.pack("<I", directory_at)
    return head + samples + struct.pack("<H", len(entries)) + table + bytes(4) + values


def strips(compression: int, *, last: int) -> list[bytes]:
    """Return SCENE in strips of 16 rows, the last with so many."""
    tall = np.concatenate([SCENE, SCENE])
    packed: dict[int, Callable[[Any], Any]] = {
        1: bytes, 5: imagecodecs.lzw_encode, 7: imagecodecs.jpeg_encode, 8: zlib.compress,
        32773: imagecodecs.packbits_encode, 50000: imagecodecs.zstd_encode,
    }  # fmt: skip
    cuts = [tall[:16], tall[16:32], tall[32 : 32 + last]]
    return [bytes(packed[compression](cut if compression == 7 else cut.tobytes())) for cut in cuts]


@pytest.mark.parametrize("compression", [1, 5, 7, 8, 32773, 50000])
def test_a_last_strip_as_high_as_the_others_is_cut(tmp_path: Path, compression: int) -> None:
    photo = read(tmp_path, "a.tif", tiff(strips(compression, last=16), compression=compression))
    assert photo.size == (WIDTH, HEIGHT)
    difference = np.abs(photo.frames[0].samples.astype(int) - SCENE)
    assert difference.mean() < 6 if compression == 7 else difference.max() == 0
    assert not any(entry.lost for entry in photo.changes)


def test_one_strip_higher_than_the_picture_is_cut(tmp_path: Path) -> None:
    tall = zlib.compress(np.concatenate([SCENE, SCENE[:8]]).tobytes())
    photo = read(tmp_path, "a.tif", tiff([tall], compression=8, rows=48))
    assert np.array_equal(photo.frames[0].samples, SCENE)
    assert told(photo) == ["surplus samples dropped: rows beyond the last, which readers ignore"]


def test_a_last_strip_whose_size_is_rounded_up_beyond_the_end_is_read(tmp_path: Path) -> None:
    parts = strips(1, last=8)
    photo = read(tmp_path, "a.tif", tiff(parts, counts=[*(len(part) for part in parts[:2]), 1 << 16]))
    assert np.array_equal(photo.frames[0].samples, SCENE)
    assert told(photo) == ["sizes of strips dropped: they are wrong, so DeepDream calculated them"]


def test_the_only_strip_may_say_nothing_of_its_size(tmp_path: Path) -> None:
    for compression, part in ((1, SCENE.tobytes()), (8, zlib.compress(SCENE.tobytes()))):
        photo = read(tmp_path, "a.tif", tiff([part], compression=compression, rows=HEIGHT, counts=[0]))
        assert np.array_equal(photo.frames[0].samples, SCENE)


def test_strips_that_lack_samples_are_refused_all_the_same(tmp_path: Path) -> None:
    parts = strips(8, last=7)
    for file in (
        tiff(parts, compression=8),
        tiff([*strips(8, last=16)[:2], strips(8, last=16)[2][:-9]], compression=8),
        tiff(strips(1, last=8), counts=[0, *(len(part) for part in strips(1, last=8)[1:])]),
        tiff(strips(1, last=8), counts=[1 << 16, *(len(part) for part in strips(1, last=8)[1:])]),
    ):
        with pytest.raises(DamagedPictureError):
            read(tmp_path, "a.tif", file)


@pytest.mark.parametrize("compression", [1, 8])
def test_sparse_strips_and_tiles_are_zeros(tmp_path: Path, compression: int) -> None:
    pack = bytes if compression == 1 else zlib.compress
    expected = SCENE.copy()
    expected[16:32] = 0
    parts = [pack(SCENE[at : at + 16].tobytes()) for at in range(0, HEIGHT, 16)]
    parts[1] = b""
    photo = read(tmp_path, "a.tif", tiff(parts, compression=compression))
    assert np.array_equal(photo.frames[0].samples, expected)
    assert told(photo) == ["1 of 3 strips dropped: not in the file, which means zeros"]

    wide = np.pad(SCENE, ((0, 8), (0, 0), (0, 0)))
    parts = [pack(wide[y : y + 16, x : x + 16].tobytes()) for y in range(0, 48, 16) for x in range(0, 48, 16)]
    parts[4] = b""
    expected = SCENE.copy()
    expected[16:32, 16:32] = 0
    photo = read(tmp_path, "a.tif", tiff(parts, compression=compression, tile=16))
    assert np.array_equal(photo.frames[0].samples, expected)
    assert told(photo) == ["1 of 9 tiles dropped: not in the file, which means zeros"]


def test_a_tiff_of_nothing_but_holes_is_not_there_yet(tmp_path: Path) -> None:
    with pytest.raises(DamagedPictureError, match="missing"):
        read(tmp_path, "a.tif", tiff([b""] * 3, compression=8))


# --- others


def test_a_bmp_that_holds_a_jpeg_is_refused_by_name(tmp_path: Path) -> None:
    encoded = io.BytesIO()
    Image.fromarray(SCENE).save(encoded, "BMP")
    for place, value in ((30, 4), (30, 5), (28, 2)):
        file = bytearray(encoded.getvalue())
        file[place] = value
        with pytest.raises(PictureError, match="is a kind of BMP that DeepDream cannot read") as caught:
            read(tmp_path, "a.bmp", bytes(file))
        assert not isinstance(caught.value, DamagedPictureError)


def test_a_heic_without_hevc_is_refused_by_name(tmp_path: Path) -> None:
    encoded = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(SCENE)).save(encoded, quality=90)
    file = encoded.getvalue()
    assert read(tmp_path, "a.heic", file).size == (WIDTH, HEIGHT)
    for kind, name in ((b"vvc1", "VVC"), (b"jpeg", "JPEG"), (b"unci", "uncompressed samples")):
        with pytest.raises(PictureError, match=f"is a HEIC coded as {name}, which DeepDream cannot read") as caught:
            read(tmp_path, "b.heic", file.replace(b"hvc1", kind))
        assert not isinstance(caught.value, DamagedPictureError)
