"""Small whole pictures of every format and kind, with metadata inside, and what becomes of files: cut, flipped, spliced.

Everything is made from a seed, so that a file that failed once can be made again by its name.
"""

from __future__ import annotations

import io
import random
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import pillow_heif
import tifffile
from PIL import ExifTags, Image, ImageCms, PngImagePlugin
from skimage import data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

WIDTH, HEIGHT = 48, 40
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf='
    b'"http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'
    b' tiff:Orientation="1"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)


@dataclass(frozen=True)
class Sample:
    """A whole file. `ending` is its name's, `picture_end` where the last byte lies that the picture cannot do without."""

    name: str
    ending: str
    file: bytes
    picture_end: int
    picture_start: int = 0


@dataclass(frozen=True)
class Hostile:
    """A file made from a sample; `must_fail`: its picture is not whole any more, so that success would be a lie."""

    name: str
    ending: str
    file: bytes
    must_fail: bool = False


def _exif() -> bytes:
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = 6
    tags[ExifTags.Base.Model] = "Box camera"
    tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] = 400
    tags.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    return tags.tobytes()


EXIF = _exif()


def photograph(channels: int = 3, bits: int = 8, shift: int = 0) -> NDArray[Any]:
    """Part of a photograph, [HEIGHT, WIDTH, channels] with `bits` a channel; the fourth channel is a ramp."""
    whole = getattr(data, "astronaut")()  # noqa: B009
    part = whole[20 + shift : 20 + shift + 3 * HEIGHT : 3, 170 : 170 + 3 * WIDTH : 3]
    ramp = np.broadcast_to(np.linspace(0, 255, WIDTH).astype(np.uint8)[None, :, None], (HEIGHT, WIDTH, 1))
    samples = np.concatenate([part, ramp], axis=2)[..., {1: [0], 2: [0, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[channels]]
    if bits > 8:
        samples = (samples.astype(np.uint32) * ((1 << bits) - 1) // 255).astype(np.uint16)
    return np.ascontiguousarray(samples if channels > 1 else samples[..., 0])


def _saved(image: Image.Image, format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def _frames(count: int = 3, channels: int = 3) -> list[Image.Image]:
    return [Image.fromarray(photograph(channels, shift=40 * number)) for number in range(count)]


def samples() -> list[Sample]:
    """Return all samples, the same ones every time."""
    return [*_jpegs(), *_pngs(), *_tiffs(), *_webps(), *_avifs(), *_heics(), *_jxls(), *_gifs(), *_bmps()]


def _whole(name: str, ending: str, file: bytes, picture_start: int = 0) -> Sample:
    return Sample(name, ending, file, len(file), picture_start)


def _jpegs() -> Iterator[Sample]:
    rgb = Image.fromarray(photograph())
    everything = {"icc_profile": PROFILE, "exif": EXIF, "xmp": XMP, "comment": b"hello", "quality": 92}

    def sample(name: str, file: bytes) -> Sample:
        return Sample(f"jpeg-{name}", ".jpg", file, file.index(b"\xff\xd9", file.index(b"\xff\xda")) + 2,
                      file.index(b"\xff\xda"))  # fmt: skip

    yield sample("baseline", _saved(rgb, "JPEG", **everything))
    yield sample("progressive", _saved(rgb, "JPEG", progressive=True, **everything))
    yield sample("gray", _saved(rgb.convert("L"), "JPEG", exif=EXIF))
    yield sample("restarts", _saved(rgb, "JPEG", restart_marker_blocks=3, subsampling=0, **everything))
    yield sample("cmyk", _saved(rgb.convert("CMYK"), "JPEG", **everything))
    yield sample("mpo", _saved(rgb, "MPO", save_all=True, append_images=_frames(1), exif=EXIF))


def _pngs() -> Iterator[Sample]:
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XMP.decode())
    text.add_text("Title", "hello", zip=True)
    everything = {"icc_profile": PROFILE, "exif": EXIF, "pnginfo": text, "dpi": (300, 300)}
    rgb = Image.fromarray(photograph())

    def sample(name: str, file: bytes) -> Sample:
        return _whole(f"png-{name}", ".png", file, file.index(b"IDAT") - 4)

    yield sample("rgb", _saved(rgb, "PNG", **everything))
    yield sample("rgba", _saved(Image.fromarray(photograph(4)), "PNG"))
    yield sample("palette", _saved(rgb.quantize(64), "PNG", transparency=3, **everything))
    yield sample("bilevel", _saved(rgb.convert("1"), "PNG"))
    yield sample("interlaced", interlaced_png(photograph(3)))
    yield sample("16", bytes(imagecodecs.png_encode(photograph(3, 16))))
    yield sample("16-gray-alpha", bytes(imagecodecs.png_encode(photograph(2, 16))))
    yield sample("16-interlaced", interlaced_png(photograph(3, 16)))
    first, *more = _frames()
    yield sample("animated", _saved(first, "PNG", save_all=True, append_images=more, duration=80, **everything))


def png_chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def interlaced_png(pixels: NDArray[Any]) -> bytes:
    """An Adam7 PNG of RGB (PNG specification, 8.2); nobody but ImageMagick writes them today."""
    height, width, _ = pixels.shape
    rows = bytearray()
    for left, top, across, down in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
                                    (0, 1, 1, 2)):  # fmt: skip
        for row in pixels[top::down, left::across] if left < width else ():
            rows += b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes()
    header = struct.pack(">IIBBBBB", width, height, pixels.itemsize * 8, 2, 0, 0, 1)
    return b"".join([b"\x89PNG\r\n\x1a\n", png_chunk(b"IHDR", header), png_chunk(b"IDAT", zlib.compress(bytes(rows))),
                     png_chunk(b"IEND", b"")])  # fmt: skip


def _tiffs() -> Iterator[Sample]:
    def sample(name: str, pages: list[dict[str, Any]], **options: Any) -> Sample:
        stream = io.BytesIO()
        with tifffile.TiffWriter(stream, **options) as writer:
            for page in pages:
                writer.write(**{"metadata": None, "photometric": "rgb", "rowsperstrip": 16} | page)
        with tifffile.TiffFile(io.BytesIO(stream.getvalue())) as tiff:
            ends = [
                sum(span) for page in tiff.pages for span in zip(page.dataoffsets, page.databytecounts, strict=True)
            ]
            start = min(offset for page in tiff.pages for offset in page.dataoffsets)
        return Sample(f"tiff-{name}", ".tif", stream.getvalue(), max(ends), start)

    rgb = photograph()
    described = {
        "data": rgb,
        "iccprofile": PROFILE,
        "extratags": [(700, 1, len(XMP), XMP, True)],
        "resolution": (300, 300),
    }
    yield sample("none", [described])
    for compression in ("lzw", "adobe_deflate", "zstd", "packbits", "lzma"):
        yield sample(f"{compression}-strips", [{**described, "compression": compression}])
        deep = {"data": photograph(3, 16), "compression": compression, "predictor": compression != "packbits"}
        yield sample(f"{compression}-tiles-16", [{**deep, "tile": (16, 16)}])
    yield sample("jpeg-strips", [{**described, "compression": "jpeg", "compressionargs": {"level": 92}}])
    yield sample("jpeg-tiles", [{"data": rgb, "compression": "jpeg", "tile": (16, 16)}])
    yield sample("jpeg-gray", [{"data": photograph(1), "photometric": "minisblack", "compression": "jpeg"}])
    yield sample("float-tiles", [{"data": rgb.astype(np.float32) / 255, "tile": (32, 32), "compression": "adobe_deflate",
                                  "predictor": True}])  # fmt: skip
    yield sample("half-float", [{"data": (rgb / 255).astype(np.float16)}])
    bilevel = {"data": photograph(1) > 100, "photometric": "minisblack"}
    yield sample("bilevel", [bilevel])
    yield sample("bilevel-packbits", [{**bilevel, "compression": "packbits"}])
    palette = np.linspace(0, 65535, 3 * 256).astype(np.uint16).reshape(3, 256)
    yield sample("palette", [{"data": photograph(1), "photometric": "palette", "colormap": palette}])
    yield sample("alpha-planar", [{"data": np.ascontiguousarray(photograph(4).transpose(2, 0, 1)),
                                   "planarconfig": "separate", "extrasamples": ("unassalpha",)}])  # fmt: skip
    yield sample("cmyk", [{"data": photograph(4), "photometric": "separated", "compression": "lzw"}])
    yield sample("pages", [described, {"data": photograph(1), "photometric": "minisblack", "compression": "lzw"},
                           {"data": photograph(3, 16)}])  # fmt: skip
    yield sample("pyramid", [{**described, "subifds": 1}, {"data": rgb[::2, ::2], "subfiletype": 1}])
    yield sample("big", [{**described, "compression": "lzw"}, {"data": rgb}], bigtiff=True)
    yield sample("big-endian", [{**described, "compression": "lzw"}], byteorder=">")
    stripped = _saved(Image.fromarray(rgb), "TIFF", exif=EXIF, icc_profile=PROFILE)
    yield _whole("tiff-exif", ".tif", stripped)


def _webps() -> Iterator[Sample]:
    rgb = Image.fromarray(photograph())
    everything = {"icc_profile": PROFILE, "exif": EXIF, "xmp": XMP}
    first, *more = _frames()
    yield _whole("webp-lossy", ".webp", _saved(rgb, "WEBP"))
    yield _whole("webp-lossless", ".webp", _saved(rgb, "WEBP", lossless=True))
    yield _whole("webp-lossy-metadata", ".webp", _saved(rgb, "WEBP", **everything))
    yield _whole("webp-alpha", ".webp", _saved(Image.fromarray(photograph(4)), "WEBP", **everything))
    yield _whole("webp-alpha-lossless", ".webp", _saved(Image.fromarray(photograph(4)), "WEBP", lossless=True))
    yield _whole("webp-animated", ".webp", _saved(first, "WEBP", save_all=True, append_images=more, **everything))


def _avifs() -> Iterator[Sample]:
    everything = {"icc_profile": PROFILE, "exif": EXIF, "xmp": XMP, "speed": 10}
    first, *more = _frames()

    def sample(name: str, file: bytes) -> Sample:
        return _whole(f"avif-{name}", ".avif", file, file.index(b"mdat"))

    yield sample("rgb", _saved(first, "AVIF", **everything))
    yield sample("alpha", _saved(Image.fromarray(photograph(4)), "AVIF", **everything))
    yield sample("10", bytes(imagecodecs.avif_encode(photograph(3, 10), bitspersample=10, level=60, speed=10)))
    yield sample("animated", _saved(first, "AVIF", save_all=True, append_images=more, speed=10))


def _heics() -> Iterator[Sample]:
    def sample(name: str, mode: str, pixels: NDArray[Any], **options: Any) -> Sample:
        heif = pillow_heif.from_bytes(mode, (WIDTH, HEIGHT), pixels.tobytes())
        stream = io.BytesIO()
        heif.save(stream, quality=80, **options)
        return _whole(f"heic-{name}", ".heic", stream.getvalue(), stream.getvalue().index(b"mdat"))

    yield sample("8", "RGB", photograph(), icc_profile=PROFILE, exif=EXIF, xmp=XMP)
    yield sample("10", "RGB;10", photograph(3, 10), icc_profile=PROFILE)
    yield sample("alpha", "RGBA", photograph(4), exif=EXIF)
    yield sample("gray", "L", photograph(1))


def _jxls() -> Iterator[Sample]:
    everything = {"icc_profile": PROFILE, "exif": EXIF, "xmp": XMP}
    yield _whole("jxl-naked", ".jxl", bytes(imagecodecs.jpegxl_encode(photograph(), distance=1.0)))
    yield _whole("jxl-lossless", ".jxl", bytes(imagecodecs.jpegxl_encode(photograph(4), lossless=True)))
    yield _whole("jxl-16", ".jxl", bytes(imagecodecs.jpegxl_encode(photograph(3, 16), lossless=True)))
    yield _whole(
        "jxl-float", ".jxl", bytes(imagecodecs.jpegxl_encode(photograph().astype(np.float32) / 255, lossless=True))
    )
    import pillow_jxl  # noqa: F401  (registers itself)

    file = _saved(Image.fromarray(photograph()), "JXL", **everything)
    yield Sample("jxl-boxed", ".jxl", file, jxl_codestream_end(file))
    yield _whole("jxl-of-jpeg", ".jxl", bytes(imagecodecs.jpegxl_encode_jpeg(next(_jpegs()).file)))


def jxl_codestream_end(file: bytes) -> int:
    at = end = 0
    while at < len(file):
        size = int.from_bytes(file[at : at + 4], "big") or len(file) - at
        at += size
        if file[at - size + 4 : at - size + 8] in (b"jxlc", b"jxlp"):
            end = at
    return end


def _gifs() -> Iterator[Sample]:
    first, *more = _frames()
    see_through = Image.fromarray(photograph(1)).quantize(32)
    yield _whole("gif-single", ".gif", _saved(first.quantize(64), "GIF", comment=b"hello"))
    yield _whole("gif-interlaced", ".gif", _saved(see_through, "GIF", transparency=3, interlace=True))
    yield _whole("gif-animated", ".gif", _saved(first, "GIF", save_all=True, append_images=more, duration=70, loop=0))


def _bmps() -> Iterator[Sample]:
    rgb = Image.fromarray(photograph())
    bilevel = _saved(rgb.convert("1"), "BMP")
    yield Sample("bmp-1", ".bmp", bilevel, len(bilevel) - 2)  # rows are padded to four bytes
    yield _whole("bmp-8", ".bmp", _saved(rgb.quantize(200), "BMP"))
    yield _whole("bmp-24", ".bmp", _saved(rgb, "BMP", dpi=(300, 300)))
    yield _whole("bmp-32", ".bmp", _saved(Image.fromarray(photograph(4)), "BMP"))
    runs = run_length_bmp()
    yield Sample("bmp-rle", ".bmp", runs, len(runs) - 4)  # marks of ends say nothing where all rows are there


def run_length_bmp() -> bytes:
    """A BMP of runs (BI_RLE8)."""
    rows = b"".join(bytes([WIDTH // 2, row % 7, WIDTH // 2, 3]) + b"\0\0" for row in range(HEIGHT)) + b"\0\1"
    palette = b"".join(bytes([shade * 30, 10, 250 - shade * 20, 0]) for shade in range(8))
    info = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 8, 1, len(rows), 0, 0, 8, 0)
    start = 14 + len(info) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + info + palette + rows


# --- what a file consists of


@dataclass
class Parts:
    """Where a file's blocks lie (start, end), and its numbers that lead a decoder (offset, bytes, byte order)."""

    blocks: list[tuple[int, int]]
    numbers: list[tuple[int, int, str]]


def parts_of(sample: Sample) -> Parts:
    """Return the parts of a whole file, as its format has them."""
    kinds: dict[str, Callable[[bytes], Parts]] = {
        ".jpg": _jpeg_parts, ".png": _png_parts, ".tif": _tiff_parts, ".webp": _webp_parts, ".gif": _gif_parts,
        ".bmp": _bmp_parts, ".avif": _box_parts, ".heic": _box_parts, ".jxl": _box_parts,
    }  # fmt: skip
    return kinds[sample.ending](sample.file)


def _jpeg_parts(file: bytes) -> Parts:
    parts, at = Parts([], []), 2
    while file[at + 1] != 0xDA:
        length = int.from_bytes(file[at + 2 : at + 4], "big")
        parts.blocks.append((at, at + 2 + length))
        parts.numbers.append((at + 2, 2, "big"))
        if 0xC0 <= file[at + 1] <= 0xC2:
            parts.numbers += [(at + 5, 2, "big"), (at + 7, 2, "big"), (at + 9, 1, "big"), (at + 11, 1, "big")] * 2
        at += 2 + length
    end = file.index(b"\xff\xd9", at)
    starts = [place for place in range(at, end) if file[place] == 0xFF and file[place + 1] in (0xC4, 0xDA)]
    parts.blocks.extend(zip(starts, [*starts[1:], end], strict=True))
    return parts


def _png_parts(file: bytes) -> Parts:
    parts, at = Parts([], []), 8
    while at < len(file):
        length = int.from_bytes(file[at : at + 4], "big")
        parts.blocks.append((at, at + 12 + length))
        parts.numbers.append((at, 4, "big"))
        words = {b"IHDR": (0, 4), b"acTL": (0, 4), b"fcTL": (4, 8, 12, 16)}.get(file[at + 4 : at + 8], ())
        parts.numbers += [(at + 8 + word, 4, "big") for word in words] * 2
        if file[at + 4 : at + 8] == b"IHDR":
            parts.numbers += [(at + 8 + place, 1, "big") for place in range(8, 13)]
        at += 12 + length
    return parts


def _tiff_parts(file: bytes) -> Parts:
    parts = Parts([], [])
    with tifffile.TiffFile(io.BytesIO(file)) as tiff:
        order = "little" if tiff.byteorder == "<" else "big"
        word = 8 if tiff.is_bigtiff else 4
        parts.numbers.append((word, word, order))
        for page in tiff.pages:
            for tag in (page if isinstance(page, tifffile.TiffPage) else page.aspage()).tags:
                at, size = tag.offset, 4 + 2 * word
                parts.blocks.append((at, at + size))
                parts.numbers += [
                    (at, 2, order),
                    (at + 2, 2, order),
                    (at + 4, word, order),
                    (at + 4 + word, word, order),
                ]
                if tag.code in (256, 257, 258, 259, 262, 273, 277, 278, 279, 322, 323, 324, 325, 339):
                    parts.numbers += [(tag.valueoffset, 2 if int(tag.dtype) == 3 else 4, order)] * 2
    return parts


def _webp_parts(file: bytes) -> Parts:
    parts, at = Parts([], [(4, 4, "little")]), 12
    while at < len(file):
        name, length = file[at : at + 4], int.from_bytes(file[at + 4 : at + 8], "little")
        parts.blocks.append((at, at + 8 + length + length % 2))
        parts.numbers.append((at + 4, 4, "little"))
        sides = {b"VP8X": ((4, 3), (7, 3), (0, 1)), b"ANMF": ((0, 3), (3, 3), (6, 3), (9, 3), (20, 4)),
                 b"VP8 ": ((6, 2), (8, 2)), b"VP8L": ((1, 4),)}.get(name, ())  # fmt: skip
        parts.numbers += [(at + 8 + place, size, "little") for place, size in sides] * 2
        at += 8 + length + length % 2
    return parts


_WITH_BOXES = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0, b"dinf": 0,
               b"iinf": 6, b"iref": 4}  # fmt: skip
_OF_NUMBERS = {b"iloc", b"ispe", b"stsz", b"stco", b"stsc", b"stts", b"tkhd", b"ipma", b"pixi", b"pitm", b"infe", b"iref",
               b"av1C", b"hvcC", b"auxC", b"mdhd"}  # fmt: skip


def _box_parts(file: bytes) -> Parts:
    parts = Parts([], [])

    def walk(at: int, end: int) -> None:
        while at + 8 <= end:
            size, name = int.from_bytes(file[at : at + 4], "big") or end - at, file[at + 4 : at + 8]
            parts.blocks.append((at, at + size))
            parts.numbers.append((at, 4, "big"))
            if name in _OF_NUMBERS:
                parts.numbers.extend((place, 4, "big") for place in range(at + 8, at + size - 3, 2))
            if name in _WITH_BOXES:
                walk(at + 8 + _WITH_BOXES[name], at + size)
            at += max(size, 8)

    if file[4:8] in (b"ftyp", b"JXL "):
        walk(0, len(file))
    else:  # a bare codestream: its header
        parts.blocks.append((len(file) // 3, len(file) // 2))
        parts.numbers.extend((place, 4, "little") for place in range(2, 16))
    return parts


def _gif_parts(file: bytes) -> Parts:
    parts = Parts([], [(6, 2, "little"), (8, 2, "little"), (10, 1, "little"), (11, 1, "little")])
    at = 13 + (3 << ((file[10] & 7) + 1) if file[10] & 0x80 else 0)
    while file[at] != 0x3B:
        start = at
        if file[at] == 0x2C:
            parts.numbers += [(at + place, 2, "little") for place in (1, 3, 5, 7)] * 2 + [(at + 9, 1, "little")]
            at += 10 + (3 << ((file[at + 9] & 7) + 1) if file[at + 9] & 0x80 else 0) + 1
            parts.numbers.append((at - 1, 1, "little"))  # the code size
        else:
            at += 2
        while file[at]:
            parts.numbers.append((at, 1, "little"))
            at += 1 + file[at]
        at += 1
        parts.blocks.append((start, at))
    return parts


def _bmp_parts(file: bytes) -> Parts:
    fields = [(2, 4), (10, 4), (14, 4), *[(18, 4), (22, 4)] * 3, (26, 2), (28, 2), (30, 4), (34, 4), (46, 4)]
    pixels = int.from_bytes(file[10:14], "little")
    return Parts([(14, 54), (54, pixels), (pixels, len(file))], [(at, size, "little") for at, size in fields])


# --- what becomes of files

_NUMBERS = (0, 1, 2, 0x28, 9_000, 14_000, 0x3FFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFF0, 1 << 31, 1 << 24)


def _flipped(file: bytes, chance: random.Random, start: int = 0) -> bytes:
    changed = bytearray(file)
    for _ in range(chance.choice((1, 1, 3, 12, 60))):
        changed[chance.randrange(start, len(file))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _overwritten(file: bytes, chance: random.Random) -> bytes:
    length = min(chance.choice((1, 2, 4, 16, 64, 300)), len(file) // 2)
    at = chance.randrange(len(file) - length)
    filling = chance.choice((bytes(length), b"\xff" * length, chance.randbytes(length), b"\x80" * length))
    return file[:at] + filling + file[at + length :]


def _shifted(file: bytes, chance: random.Random) -> bytes:
    """Some bytes taken out, or put in."""
    at, length = chance.randrange(len(file)), chance.choice((1, 2, 3, 16, 200))
    return (
        file[:at] + file[at + length :] if chance.random() < 0.5 else file[:at] + chance.randbytes(length) + file[at:]
    )


def _renumbered(file: bytes, parts: Parts, chance: random.Random) -> bytes:
    changed = bytearray(file)
    for _ in range(chance.choice((1, 1, 2, 4))):
        at, size, order = chance.choice(parts.numbers)
        number = chance.choice(_NUMBERS) & ((1 << 8 * size) - 1)
        changed[at : at + size] = number.to_bytes(size, "little" if order == "little" else "big")
    return bytes(changed)


def _reordered(file: bytes, parts: Parts, chance: random.Random) -> bytes:
    """A block twice, missing, or in another's place."""
    start, end = chance.choice(parts.blocks)
    other, other_end = chance.choice(parts.blocks)
    way = chance.randrange(4)
    if way == 0:
        return file[:end] + file[start:end] * chance.choice((1, 1, 3, 40)) + file[end:]
    if way == 1:
        return file[:start] + file[end:]
    if way == 2 or not (end <= other or other_end <= start):
        return file[:start] + file[other:other_end] + file[end:]
    (first, first_end), (last, last_end) = sorted([(start, end), (other, other_end)])
    return file[:first] + file[last:last_end] + file[first_end:last] + file[first:first_end] + file[last_end:]


def _spliced(file: bytes, other: bytes, chance: random.Random) -> bytes:
    return file[: chance.randrange(8, len(file))] + other[chance.randrange(len(other)) :]


def _changed(way: str, sample: Sample, parts: Parts, other: bytes, chance: random.Random) -> bytes:
    file = sample.file
    if way == "run":
        return _overwritten(file, chance)
    if way == "shift":
        return _shifted(file, chance)
    if way == "number":
        return _renumbered(file, parts, chance)
    if way == "order":
        return _reordered(file, parts, chance)
    if way == "splice":
        return _spliced(file, other, chance)
    return _flipped(file, chance, sample.picture_start if way == "flip-late" else 0)


def _with_checksums(file: bytes) -> bytes:
    """A PNG whose chunks have the right checksums, so that decoders look further than that."""
    fixed, at = bytearray(file), 8
    while at + 12 <= len(fixed):
        length = int.from_bytes(fixed[at : at + 4], "big")
        if at + 12 + length > len(fixed):
            break
        fixed[at + 8 + length : at + 12 + length] = struct.pack(">I", zlib.crc32(fixed[at + 4 : at + 8 + length]))
        at += 12 + length
    return bytes(fixed)


def mutations(seed: int, cuts: int, others: int, whole: list[Sample] | None = None) -> Iterator[Hostile]:
    """Yield for each sample so many truncations, and so many files that became something else by chance."""
    whole = whole or samples()
    for sample in whole:
        chance = random.Random(f"{seed} {sample.name}")
        parts = parts_of(sample)
        file = sample.file
        places = {len(file) - 1, len(file) - 2, sample.picture_start + 1, sample.picture_end - 1}
        while len(places) < cuts:
            start = sample.picture_start if chance.random() < 0.75 else 0
            places.add(chance.randrange(start, sample.picture_end))
        for place in sorted(places):
            yield Hostile(f"{sample.name}-cut-{seed}-{place}", sample.ending, file[:place], place < sample.picture_end)
        alike = [other for other in whole if other.ending == sample.ending] if chance.random() < 0.8 else whole
        names = ["flip", "flip-late", "run", "shift", "number", "number", "number", "order", "splice"]
        for count in range(others):
            way = names[count % len(names)]
            changed = _changed(way, sample, parts, chance.choice(alike).file, chance)
            if sample.ending == ".png" and chance.random() < 0.8:
                changed = _with_checksums(changed)
            yield Hostile(f"{sample.name}-{way}-{seed}-{count}", sample.ending, changed)


# --- files made on purpose


def crafted() -> Iterator[Hostile]:
    """Yield files that somebody made so that a decoder would lie, loop, or eat all memory."""
    bad: dict[str, Callable[[Sample], Iterator[Hostile]]] = {
        ".jpg": _bad_jpegs, ".png": _bad_pngs, ".tif": _bad_tiffs, ".gif": _bad_gifs, ".bmp": _bad_bmps,
        ".webp": _bad_webps, ".avif": _bad_boxes, ".heic": _bad_boxes, ".jxl": _bad_jxls,
    }  # fmt: skip
    whole = {sample.name: sample for sample in samples()}
    for sample in whole.values():
        yield from _with_large_sides(sample)
        yield from bad[sample.ending](sample)
    yield from _bombs(whole)


def _put(file: bytes, at: int, number: int, size: int, order: str) -> bytes:
    return (
        file[:at]
        + (number & ((1 << 8 * size) - 1)).to_bytes(size, "big" if order == "big" else "little")
        + file[at + size :]
    )


def _with_large_sides(sample: Sample) -> Iterator[Hostile]:
    """Both sides as large as the limit allows, and far beyond it."""
    file, places = sample.file, list[tuple[int, int, str, int]]()
    if sample.ending == ".jpg":
        at = next(start for start, _ in _jpeg_parts(file).blocks if file[start + 1] in (0xC0, 0xC2))
        places = [(at + 5, 2, "big", 0), (at + 7, 2, "big", 0)]
    elif sample.ending == ".png":
        places = [(16, 4, "big", 0), (20, 4, "big", 0)]
    elif sample.ending == ".gif":
        places = [(6, 2, "little", 0), (8, 2, "little", 0)]
        start = next(start for start, _ in _gif_parts(file).blocks if file[start] == 0x2C)
        for side, name in ((60_000, "frame-huge"), (13_500, "frame-large")):
            wide = _put(file, start + 5, side, 2, "little")
            yield Hostile(f"{sample.name}-{name}", ".gif", _put(wide, start + 7, side, 2, "little"))
    elif sample.ending == ".bmp":
        places = [(18, 4, "little", 0), (22, 4, "little", 0)]
    elif sample.name.startswith("webp") and file[12:16] == b"VP8X":
        places = [(24, 3, "little", 1), (27, 3, "little", 1)]
    elif sample.name == "webp-lossy":
        places = [(26, 2, "little", 0), (28, 2, "little", 0)]
    elif sample.ending in (".avif", ".heic") and b"ispe" in file:
        at = file.index(b"ispe") + 8
        places = [(at, 4, "big", 0), (at + 4, 4, "big", 0)]
    elif sample.ending == ".tif":
        with tifffile.TiffFile(io.BytesIO(file)) as tiff:
            page: Any = tiff.pages[0]
            for codes in ((256, 257), (256, 257, 278), (322, 323)):
                if not all(code in page.tags for code in codes):
                    continue
                for side in (13_500, 65_520):
                    changed = file
                    for tag in (page.tags[code] for code in codes):
                        changed = _put(changed, tag.valueoffset, side, {3: 2, 4: 4, 16: 8}[int(tag.dtype)],
                                       "little" if tiff.byteorder == "<" else "big")  # fmt: skip
                    yield Hostile(f"{sample.name}-sides-{len(codes)}-{codes[0]}-{side}", ".tif", changed)
        return
    large = 700 if sample.ending == ".avif" else 13_500  # libavif scales a picture to the size that its box says
    for side in (large, 16_383, 0xFFFF, 0x7FFFFFFF):
        changed = file
        for at, size, order, less in places:
            changed = _put(changed, at, min(side, (1 << 8 * size) - 1) - less, size, order)
        if sample.ending == ".png":
            changed = _with_checksums(changed)
        if places:
            yield Hostile(f"{sample.name}-sides-{side}", sample.ending, changed)


def _bad_jpegs(sample: Sample) -> Iterator[Hostile]:
    file, end = sample.file, sample.picture_end
    for share in (1, 10, 50, 90):
        cut = sample.picture_start + (end - 2 - sample.picture_start) * share // 100
        lacks = (
            sample.name != "jpeg-progressive" or share < 90
        )  # nobody can tell, or see, that a last scan is cut short
        yield Hostile(f"{sample.name}-{share}-percent-and-end", ".jpg", file[:cut] + b"\xff\xd9", must_fail=lacks)
        yield Hostile(
            f"{sample.name}-{share}-percent-and-zeros", ".jpg", file[:cut] + bytes(len(file) - cut), must_fail=True
        )
        yield Hostile(f"{sample.name}-{share}-percent-and-another", ".jpg", file[:cut] + file, must_fail=True)
    yield Hostile(f"{sample.name}-no-end", ".jpg", file[: end - 2], must_fail=True)
    if sample.name == "jpeg-baseline":
        yield Hostile(f"{sample.name}-empty-segments", ".jpg", file[:2] + b"\xff\xe5\0\2" * 1_200_000 + file[2:])


def _bad_pngs(sample: Sample) -> Iterator[Hostile]:
    file = sample.file
    for kind in (b"IDAT", b"fdAT"):
        if kind not in file:
            continue
        at = file.index(kind) - 4
        length = int.from_bytes(file[at : at + 4], "big")
        before, samples, after = file[:at], file[at + 8 : at + 8 + length], file[at + 12 + length :]
        instead = {
            "half": png_chunk(kind, samples[: length // 2]),
            "nearly": png_chunk(kind, samples[: length - 6]),
            "zeros": png_chunk(kind, samples[: length // 2] + bytes(length - length // 2)),
            "gone": b"",
        }
        for name, chunk in instead.items():
            yield Hostile(f"{sample.name}-{kind.decode()}-{name}", ".png", before + chunk + after, must_fail=True)
        more = png_chunk(kind, samples + b"more")
        yield Hostile(f"{sample.name}-{kind.decode()}-more", ".png", before + more + after)


def _bad_tiffs(sample: Sample) -> Iterator[Hostile]:
    file = sample.file
    with tifffile.TiffFile(io.BytesIO(file)) as tiff:
        order = "little" if tiff.byteorder == "<" else "big"
        word = 8 if tiff.is_bigtiff else 4
        pages: list[Any] = list(tiff.pages)
        page = pages[0]
        last = pages[-1]
        next_at = last.offset + (8 if word == 8 else 2) + len(last.tags) * (4 + 2 * word)
        for number, target in enumerate({page.offset, last.offset, len(file) + 4, len(file) - 3, 7, 1}):
            yield Hostile(f"{sample.name}-chain-{number}", ".tif", _put(file, next_at, target, word, order))
        some = page.tags.get(339) or page.tags[262]  # becomes SubIFDs, or Exif, of the page's own directory
        for code in (330, 34665):
            loop = _put(_put(_put(file, some.offset, code, 2, order), some.offset + 2, 18 if word == 8 else 13, 2, order),
                        some.offset + 4, 1, word, order)  # fmt: skip
            yield Hostile(
                f"{sample.name}-loop-{code}", ".tif", _put(loop, some.offset + 4 + word, page.offset, word, order)
            )
        offsets, counts = (
            page.tags.get(code) or page.tags.get(code + 51 if code == 273 else code + 46) for code in (273, 279)
        )
        for tag in (page.tags[code] for code in (256, 257, 258, 277, 278, 322, 323) if code in page.tags):
            wide = page.tags[257 if tag.code == 256 else 256]  # becomes very wide: a number times bytes is many bytes
            for kind in (1, 2, 7, 12):  # BYTE, ASCII, UNDEFINED, DOUBLE
                odd = _put(_put(file, tag.offset + 2, kind, 2, order), wide.offset + 2, 4, 2, order)
                odd = _put(odd, wide.offset + 4 + word, 0x7FFFFFFF, 4, order)
                yield Hostile(f"{sample.name}-{tag.code}-kind-{kind}", ".tif", odd)
        for tag, numbers in (
            (offsets, (len(file) - 3, len(file) + 100, 0, 1 << 31)),
            (counts, (0, 3, len(file), 1 << 31)),
        ):
            size = {3: 2, 4: 4, 16: 8}[int(tag.dtype)]
            for number in numbers:
                changed = _put(file, tag.valueoffset, number, size, order)
                lone = int(page.compression) == 1 and len(page.dataoffsets) == 1 and tag is counts
                yield Hostile(
                    f"{sample.name}-{tag.code}-{number}", ".tif", changed, must_fail=not lone and number < 1 << 16
                )
            yield Hostile(f"{sample.name}-{tag.code}-none", ".tif", _put(file, tag.offset + 4, 0, word, order))
            yield Hostile(f"{sample.name}-{tag.code}-many", ".tif", _put(file, tag.offset + 4, 0xFFFFFFF, word, order))
    if "jpeg" in sample.name:
        frame = file.index(b"\xff\xc0", sample.picture_start)
        yield Hostile(f"{sample.name}-huge-strip", ".tif", _put(file, frame + 5, 0xFFDCFFDC, 4, "big"), must_fail=True)


def _bad_gifs(sample: Sample) -> Iterator[Hostile]:
    file = sample.file
    start, end = next(block for block in _gif_parts(file).blocks if file[block[0]] == 0x2C)
    for size in (0, 1, 9, 12, 255):
        yield Hostile(f"{sample.name}-code-size-{size}", ".gif", _put(file, start + 10, size, 1, "little"))
    yield Hostile(f"{sample.name}-half", ".gif", file[: (start + end) // 2] + b"\0\x3b", must_fail=True)
    tiny = b"\x2c" + bytes(4) + b"\1\0\1\0\0\2\2\x44\1\0"
    yield Hostile(f"{sample.name}-many-frames", ".gif", file[:-1] + tiny * 200_000 + b"\x3b", must_fail=True)


def _bad_bmps(sample: Sample) -> Iterator[Hostile]:
    file = sample.file
    if sample.name != "bmp-rle":
        row = (len(file) - int.from_bytes(file[10:14], "little")) // HEIGHT
        for rows in (1, 10, HEIGHT):
            yield Hostile(f"{sample.name}-{rows}-rows-short", ".bmp", file[: len(file) - rows * row], must_fail=True)
        yield Hostile(f"{sample.name}-one-row-more", ".bmp", _put(file, 22, HEIGHT + 1, 4, "little"), must_fail=True)
    else:
        for share in (10, 50, 90):
            yield Hostile(
                f"{sample.name}-{share}-percent", ".bmp", file[: 86 + (len(file) - 86) * share // 100], must_fail=True
            )
            half = file[: 86 + (len(file) - 86) * share // 100 // 6 * 6] + b"\0\1"
            yield Hostile(f"{sample.name}-{share}-percent-and-end", ".bmp", half)
        skips = b"\0\2\xff\xff" * 50_000
        yield Hostile(
            "bmp-rle-skips", ".bmp", _put(_put(file[:86] + skips, 18, 13_000, 4, "little"), 22, 13_000, 4, "little")
        )


def _bad_webps(sample: Sample) -> Iterator[Hostile]:
    file = sample.file
    for more in (2, 100, 0xFFFFFF00):
        longer = _put(file, 4, min(0xFFFFFFFF, len(file) - 8 + more), 4, "little")
        yield Hostile(f"{sample.name}-riff-{more}", ".webp", longer, must_fail=True)
    for name in (b"VP8 ", b"VP8L", b"ALPH", b"ANMF"):
        if (at := file.find(name)) > 0:
            length = int.from_bytes(file[at + 4 : at + 8], "little")
            short = _put(file, at + 4, length // 2 & ~1, 4, "little")
            short = short[: at + 8 + (length // 2 & ~1)] + short[at + 8 + length + length % 2 :]
            short = _put(short, 4, len(short) - 8, 4, "little")
            yield Hostile(f"{sample.name}-half-{name.decode().strip()}", ".webp", short, must_fail=True)
    if (at := file.find(b"ANMF")) > 0:
        for place, number in ((8, 0xFFFFFF), (8, 30), (14, 0xFFFFFF), (14, 13_000), (17, 13_000)):
            yield Hostile(f"{sample.name}-frame-{place}-{number}", ".webp", _put(file, at + place, number, 3, "little"))


def _bad_boxes(sample: Sample) -> Iterator[Hostile]:
    file = sample.file
    for name in (b"iloc", b"ipma", b"iref", b"iinf", b"pitm", b"stsz", b"stco", b"stsc"):
        if (at := file.find(name)) < 0:
            continue
        size = int.from_bytes(file[at - 4 : at], "big")
        for place in range(at + 8, at - 4 + size - 3, 2 if name in (b"iloc", b"stsc") else 4):
            yield Hostile(
                f"{sample.name}-{name.decode()}-{place}", sample.ending, _put(file, place, 0x7FFFFFFF, 4, "big")
            )
    at = file.index(b"mdat") - 4
    yield Hostile(f"{sample.name}-no-data", sample.ending, file[:at], must_fail=True)
    yield Hostile(f"{sample.name}-short-data", sample.ending, file[: at + 8] + file[at + 40 :], must_fail=True)


def _bad_jxls(sample: Sample) -> Iterator[Hostile]:
    file = sample.file
    if file[:2] == b"\xff\x0a":
        for bits in (0xFFFFFFFF, 0b11 << 1 | 13_500 << 3, 0b110):  # sizes up to 2^30, after a first bit of 0
            yield Hostile(f"{sample.name}-size-{bits}", ".jxl", file[:2] + bits.to_bytes(4, "little") + file[6:])
        half = len(file) // 2
        parts = [b"\0\0\0\x0cJXL \r\n\x87\n", b"\0\0\0\x14ftypjxl \0\0\0\0jxl "]
        one, other = file[:half], file[half:]
        first, last = (0, one), (1 << 31 | 1, other)
        orders = {"in-order": [first, last], "no-last": [first, (1, other)], "half": [first], "swapped": [last, first],
                  "half-as-last": [(1 << 31, one)], "twice": [first, first, last]}  # fmt: skip
        for name, pieces in orders.items():
            boxes = [struct.pack(">I4sI", len(piece) + 12, b"jxlp", number) + piece for number, piece in pieces]
            yield Hostile(
                f"{sample.name}-parts-{name}", ".jxl", b"".join([*parts, *boxes]), must_fail=name != "in-order"
            )


def _bombs(whole: dict[str, Sample]) -> Iterator[Hostile]:
    """Small files that unfold to very much."""
    zeros = zlib.compressobj(9)
    packed = b"".join([*(zeros.compress(bytes(1 << 20)) for _ in range(300)), zeros.flush()])
    png = whole["png-rgba"].file
    for kind, head in {
        b"zTXt": b"Comment\0\0",
        b"iCCP": b"profile\0\0",
        b"iTXt": b"XML:com.adobe.xmp\0\1\0\0\0",
    }.items():
        for times in (1, 40):
            bomb = png[:33] + png_chunk(kind, head + packed) * times + png[33:]
            yield Hostile(f"png-bomb-{kind.decode()}-{times}", ".png", bomb)
            deep = whole["png-16"].file
            yield Hostile(
                f"png-16-bomb-{kind.decode()}-{times}",
                ".png",
                deep[:33] + png_chunk(kind, head + packed) * times + deep[33:],
            )
    for bits, colours in ((8, 2), (16, 6), (1, 0), (8, 3)):
        header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, bits, colours, 0, 0, 0))
        file = png[:8] + header + png_chunk(b"IDAT", packed) + png_chunk(b"IEND", b"")
        yield Hostile(f"png-bomb-of-samples-{bits}-{colours}", ".png", file, must_fail=True)
    brotli = bytes(imagecodecs.brotli_encode(bytes(200 << 20)))
    boxed = whole["jxl-boxed"].file
    for name in (b"xml ", b"Exif", b"jumb"):
        box = struct.pack(">I4s4s", len(brotli) + 12, b"brob", name) + brotli
        yield Hostile(f"jxl-bomb-{name.decode().strip()}", ".jxl", boxed[:32] + box * 5 + boxed[32:])
    entity = b'<!DOCTYPE x [<!ENTITY a "' + b"a" * 100 + b'">' + b"".join(
        b'<!ENTITY %c "%s">' % (letter, b"&%c;" % (letter - 1) * 10) for letter in range(98, 110)
    ) + b"]><x:xmpmeta xmlns:x='adobe:ns:meta/'>&m;</x:xmpmeta>"  # fmt: skip
    rgb = Image.fromarray(photograph())
    for format, ending in (("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp"), ("AVIF", ".avif")):
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", entity.decode())
        options: dict[str, Any] = {"pnginfo": text} if format == "PNG" else {"xmp": entity}
        yield Hostile(f"{format.lower()}-xmp-entities", ending, _saved(rgb, format, **options))
        deep = b"".join(b"<a>" for _ in range(100_000)).replace(b"</x:", b"")
        options = (
            {"xmp": XMP.replace(b"<rdf:Description", deep[:60_000] + b"<rdf:Description")} if format != "PNG" else {}
        )
        if format != "PNG":
            yield Hostile(f"{format.lower()}-xmp-deep", ending, _saved(rgb, format, **options))


def foreign() -> Iterator[Hostile]:
    """Yield files of formats that are none of ours, under our names; nobody may try to open them."""
    rgb = Image.fromarray(photograph())
    files: dict[str, bytes] = {
        "svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9"/></svg>',
        "pdf": b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF",
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%id) (r) file\n%%EOF",
        "psd": b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\x09\0\0\0\x09\0\x08\0\3" + bytes(200),
        "mpeg": b"\0\0\1\xb3\x02\0\x18\x15\xff\xff\xe0\x18" + bytes(100),
        "mp4": b"\0\0\0\x18ftypmp42\0\0\0\0isommp42" + bytes(100),
        "crw-movie": b"\0\0\0\x18ftypcrx \0\0\0\0crx isom" + bytes(100),
        "wmf": b"\xd7\xcd\xc6\x9a\0\0" + bytes(100),
        "xpm": b'/* XPM */\nstatic char *x[] = {"1 1 1 1", "a c red", "a"};',
        "text": b"just a letter\n" * 20,
        "html": b"<!DOCTYPE html><html><body>404</body></html>",
        "zip": b"PK\3\4" + bytes(100),
        "elf": b"\x7fELF" + bytes(100),
        "riff-sound": b"RIFF\x24\0\0\0WAVEfmt " + bytes(40),
        "fits": b"SIMPLE  =                    T" + b" " * 2850,
        "jpeg2000-stream": b"\xff\x4f\xff\x51" + bytes(100),
        "jpeg-xr": b"II\xbc\1" + bytes(100),
        "openexr": b"v/1\1" + bytes(100),
        "hdr": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 4 +X 4\n" + bytes(64),
        "cr2": b"II*\0\x10\0\0\0CR\2\0" + bytes(100),
        "raf": b"FUJIFILMCCD-RAW 0201" + bytes(100),
        "three-bytes": b"\xff\xd8\xff",
        "one-byte": b"B",
        "empty": b"",
    }  # fmt: skip
    for format in ("ICO", "TGA", "PPM", "PCX", "SGI", "DDS", "ICNS", "JPEG2000", "QOI", "EPS", "PDF", "BLP", "SPIDER"):
        image = rgb.quantize(64) if format == "BLP" else rgb.convert("F") if format == "SPIDER" else rgb
        files[format.lower()] = _saved(image, format)
    for name, file in files.items():
        for ending in (".jpg", ".png", ".tif"):
            yield Hostile(f"foreign-{name}", ending, file, must_fail=True)
