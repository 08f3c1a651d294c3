"""Photographs for `test_fidelity`, written without the product's code: what a format can hold, one file for each way.

Pixels are written by another library than the one the product uses for the format: libvips (pyvips) for JPEG, PNG, WebP,
GIF, TIFF and AVIF, imagecodecs for APNG, BMP and AVIF without colour, libjxl's Rust binding (pillow_jxl) for JPEG XL. HEIC
has no second implementation on PyPI, so pillow_heif writes it here too. What libraries do not write, these lines do: EXIF,
XMP and profiles in JPEG, PNG, WebP and GIF, Multi-Picture files, and TIFF of every kind.
"""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any, Literal

import imagecodecs
import numpy as np
import pillow_heif
import pillow_jxl
import pyvips
from PIL import Image
from skimage import color, data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Pixels = NDArray[Any]
    Order = Literal["<", ">"]

ASTRONAUT: Pixels = getattr(data, "astronaut")()  # noqa: B009
WIDTH, HEIGHT = 40, 28
DURATIONS_MS = [50, 70, 120]


# The photograph


@cache
def photograph() -> Pixels:
    """A face, float64 [HEIGHT, WIDTH, 3] in 0…1 with steps finer than 16 bits: no orientation of it looks like another."""
    large = ASTRONAUT[20 : 20 + 7 * HEIGHT, 110 : 110 + 7 * WIDTH] / 255
    return np.asarray(large.reshape(HEIGHT, 7, WIDTH, 7, 3).mean(axis=(1, 3)) * 0.9 + 0.05)


def alpha() -> Pixels:
    """Float64 [HEIGHT, WIDTH]: nothing at the top left, half-way in the middle, full at the bottom."""
    ramp = np.linspace(-0.3, 1.4, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    return np.asarray(ramp.clip(0, 1))


def pixels(mode: str, kind: str = "u1", *, full: int | None = None) -> Pixels:
    """The photograph [H, W, C] in `gray`, `gray+alpha`, `rgb` or `rgba`; whole numbers reach to `full`."""
    colours = photograph()
    if mode.startswith("gray"):
        colours = colours.mean(axis=2, keepdims=True)
    if mode in ("gray+alpha", "rgba"):
        colours = np.dstack([colours, alpha()])
    if kind[0] == "f":
        return colours.astype(kind)
    return np.asarray(np.rint(colours * (full or np.iinfo(kind).max)).astype(kind))


# Metadata


@cache
def p3() -> bytes:
    """A profile like Display P3's, but with a plain gamma of 2.2, so that no other can be taken for it."""
    primaries = [0.680, 0.320, 1.0, 0.265, 0.690, 1.0, 0.150, 0.060, 1.0]
    return bytes(imagecodecs.cms_profile("rgb", whitepoint=(0.3127, 0.3290, 1.0), primaries=primaries, gamma=2.2))


@cache
def gray_profile() -> bytes:
    return bytes(imagecodecs.cms_profile("gray", whitepoint=(0.3457, 0.3585, 1.0), gamma=1.8))


@cache
def press() -> bytes:
    """A small CMYK profile of a made-up press: ICC.1:2001-04, a lut8Type from CMYK to Lab."""
    steps, lab = 5, []
    for cyan, magenta, yellow, black in itertools.product(np.linspace(0, 1, steps), repeat=4):
        paper = 1 - black * 0.95
        lab.append([(1 - cyan * 0.9) * paper, (1 - magenta * 0.85) * paper, (1 - yellow * 0.8) * paper])
    grid = color.rgb2lab(np.array(lab)[None])[0]
    coded = np.rint(grid * [2.55, 1, 1] + [0, 128, 128]).astype(np.uint8).tobytes()
    straight, white = bytes(range(256)), struct.pack(">3i", 63190, 65536, 54061)
    matrix = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 6) + b"Press\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"free\0",
        b"wtpt": b"XYZ " + bytes(4) + white,
        b"A2B0": b"mft1" + bytes([0, 0, 0, 0, 4, 3, steps, 0]) + matrix + straight * 4 + coded + straight * 3,
    }
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    size = 128 + len(table) + len(body)
    head = struct.pack(">I4sI4s4s4s6H", size, b"lcms", 0x02100000, b"prtr", b"CMYK", b"Lab ", 2026, 1, 1, 0, 0, 0)
    head += b"acsp" + bytes(28) + white
    return head.ljust(128, b"\0") + table + body


Value = bytes | tuple[int, ...] | list["Field"]
Field = tuple[int, int, Value]
"""Tag, kind (TIFF 6.0), and the value: text or bytes, numbers (rationals as pairs), or a directory."""

CODES = {1: "B", 3: "H", 4: "I", 5: "I", 9: "i", 10: "i", 12: "d"}
ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 2, 3, 4, 5, 7
MAKER_NOTE = b"Maker\0\1\2" + bytes(range(255, 190, -1))


def directory(order: str, at: int, fields: Sequence[Field], following: int = 0) -> bytes:
    """A directory that lies at `at`, with its long values and the directories below it right behind it."""
    table, tail = struct.pack(order + "H", len(fields)), b""
    tail_at = at + 2 + 12 * len(fields) + 4
    for tag, kind, value in sorted(fields, key=lambda one: one[0]):
        if isinstance(value, list):
            tail += bytes(len(tail) % 2)
            table += struct.pack(order + "HHII", tag, LONG, 1, tail_at + len(tail))
            tail += directory(order, tail_at + len(tail), value)
            continue
        packed = value if isinstance(value, bytes) else struct.pack(f"{order}{len(value)}{CODES[kind]}", *value)
        count = len(value) // 2 if kind in (5, 10) else len(value)
        table += struct.pack(order + "HHI", tag, kind, count)
        if len(packed) <= 4:
            table += packed.ljust(4, b"\0")
        else:
            tail += bytes(len(tail) % 2)
            table += struct.pack(order + "I", tail_at + len(tail))
            tail += packed
    tail += bytes(len(tail) % 2)
    return table + struct.pack(order + "I", following) + tail


def camera(orientation: int) -> list[Field]:
    """What a camera tells: maker, resolution, orientation, exposure, a MakerNote, a place on earth."""
    return [
        (271, ASCII, b"Box makers\0"), (272, ASCII, b"Box camera II\0"), (274, SHORT, (orientation,)),
        (282, RATIONAL, (300, 1)), (283, RATIONAL, (72, 1)), (296, SHORT, (2,)), (306, ASCII, b"2026:05:04 03:02:01\0"),
        (315, ASCII, "Ana Müller\0".encode()),
        (34665, LONG, [
            (33434, RATIONAL, (1, 250)), (34855, SHORT, (400,)), (36864, UNDEFINED, b"0232"),
            (37500, UNDEFINED, MAKER_NOTE), (40962, LONG, (WIDTH,)), (40963, LONG, (HEIGHT,)),
            (42036, ASCII, b"35 mm f/2.8\0"),
        ]),
        (34853, LONG, [
            (0, 1, b"\2\3\0\0"), (1, ASCII, b"N\0"), (2, RATIONAL, (48, 1, 8, 1, 3012, 100)), (3, ASCII, b"E\0"),
            (4, RATIONAL, (11, 1, 34, 1, 1233, 100)),
        ]),
    ]  # fmt: skip


@cache
def exif(orientation: int, order: str = ">") -> bytes:
    """A camera's block with a thumbnail in a second directory, as most cameras write it."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    first = directory(order, 8, camera(orientation))
    second_at = 8 + len(first)
    small: bytes = _vips(pixels("rgb")[::3, ::3]).jpegsave_buffer(Q=60, keep="none")

    def second(picture_at: int) -> bytes:
        return directory(order, second_at, [(259, SHORT, (6,)), (513, LONG, (picture_at,)), (514, LONG, (len(small),))])

    first = directory(order, 8, camera(orientation), second_at)
    return head + first + second(second_at + len(second(0))) + small


@cache
def xmp(orientation: int | None = None) -> bytes:
    """A packet with a title in two languages, a rating, keywords, and perhaps `tiff:Orientation`."""
    turned = "" if orientation is None else f' tiff:Orientation="{orientation}"'
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
 <rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
   xmlns:dc="http://purl.org/dc/elements/1.1/" xmp:Rating="4"{turned}>
  <dc:title><rdf:Alt><rdf:li xml:lang="x-default">Launch &amp; day</rdf:li><rdf:li xml:lang="de">Flugtag</rdf:li></rdf:Alt>
  </dc:title>
  <dc:subject><rdf:Bag><rdf:li>space</rdf:li><rdf:li>portrait</rdf:li></rdf:Bag></dc:subject>
 </rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>""".encode()


@dataclass(frozen=True)
class Metadata:
    """What a source carries. `orientation` is what it has to be turned by, wherever that is told."""

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    orientation: int = 1


def _metadata(feature: str, icc: bytes | None) -> Metadata:
    """The metadata that a feature's name stands for."""
    if feature == "icc":
        return Metadata(icc=icc)
    if feature == "xmp":
        return Metadata(xmp=xmp())
    if feature == "xmp-turned":
        return Metadata(xmp=xmp(8), orientation=8)
    if feature.startswith("exif"):
        orientation = int(feature[4])
        return Metadata(exif=exif(orientation, "<>"[orientation % 2]), orientation=orientation)
    if feature == "all":
        return Metadata(icc, exif(6), xmp(6), 6)
    return Metadata()


EXIFS = tuple(f"exif{orientation}" for orientation in range(1, 9))
FEW = ("bare", "exif3", "all")
FEATURES = ("bare", "icc", "xmp", "xmp-turned", *EXIFS, "all")
"""`exif1`…`exif8` are a camera's block with that orientation, `xmp-turned` says it in XMP alone, `all` has everything.

`FEW` do for a variant (interlaced, compressed, animated …, with `_` in its name) of a kind that has them all.
"""


# Containers


def _jpeg(coded: bytes, carried: Metadata, more: Sequence[tuple[int, bytes]] = ()) -> bytes:
    """A JPEG with metadata before all that libvips has written."""
    segments = list(more)
    if carried.exif is not None:
        segments.append((0xE1, b"Exif\0\0" + carried.exif))
    if carried.xmp is not None:
        segments.append((0xE1, b"http://ns.adobe.com/xap/1.0/\0" + carried.xmp))
    if carried.icc is not None:
        segments.append((0xE2, b"ICC_PROFILE\0\1\1" + carried.icc))
    written = b"".join(bytes([0xFF, kind]) + struct.pack(">H", len(body) + 2) + body for kind, body in segments)
    return coded[:2] + written + coded[2:]


def _multi_picture(coded: bytes, carried: Metadata) -> bytes:
    """A Multi-Picture file as phones write it: the picture, and a second one that an index leads to (CIPA DC-007)."""
    second: bytes = _vips(pixels("gray")).jpegsave_buffer(Q=70, keep="none")

    def index(size: int, offset: int) -> tuple[int, bytes]:
        entries = struct.pack("<5I", 0x030000, size, 0, 0, 0)[:16] + struct.pack("<4I", 0, len(second), offset, 0)
        fields: list[Field] = [(45056, UNDEFINED, b"0100"), (45057, LONG, (2,)), (45058, UNDEFINED, entries)]
        return 0xE2, b"MPF\0II*\0" + struct.pack("<I", 8) + directory("<", 8, fields)

    size = len(_jpeg(coded, carried, [index(0, 0)]))
    mark = 2 + 4 + 4  # start of image, the segment's head and its name: offsets count from there
    return _jpeg(coded, carried, [index(size, size - mark)]) + second


def _png(coded: bytes, carried: Metadata) -> bytes:
    """A PNG with metadata right after its header."""
    chunks = []
    if carried.icc is not None:
        chunks.append((b"iCCP", b"profile\0\0" + zlib.compress(carried.icc)))
    if carried.exif is not None:
        chunks.append((b"eXIf", carried.exif))
    if carried.xmp is not None:
        chunks.append((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + carried.xmp))
    return coded[:33] + b"".join(itertools.starmap(_chunk, chunks)) + coded[33:]


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _webp(coded: bytes, carried: Metadata) -> bytes:
    """An extended WebP with metadata in the order that its specification asks for."""
    chunks = list(riff_chunks(coded))
    flags = 0
    if chunks[0][0] == b"VP8X":
        flags, chunks = chunks[0][1][0], chunks[1:]
    elif chunks[0][0] == b"VP8L" and chunks[0][1][4] & 0x10:
        flags = 0x10
    flags |= bool(carried.icc) << 5 | bool(carried.exif) << 3 | bool(carried.xmp) << 2
    canvas = (WIDTH - 1).to_bytes(3, "little") + (HEIGHT - 1).to_bytes(3, "little")
    ends = [(b"EXIF", carried.exif), (b"XMP ", carried.xmp)]
    ordered = [(b"VP8X", bytes([flags, 0, 0, 0]) + canvas), (b"ICCP", carried.icc), *chunks, *ends]
    body = b"".join(
        name + struct.pack("<I", len(part)) + part + bytes(len(part) % 2) for name, part in ordered if part is not None
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def riff_chunks(coded: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 12
    while place < len(coded):
        size = int.from_bytes(coded[place + 4 : place + 8], "little")
        yield coded[place : place + 4], coded[place + 8 : place + 8 + size]
        place += 8 + size + size % 2


def _gif(coded: bytes, carried: Metadata) -> bytes:
    """A GIF with application extensions before its first picture (ICC.1:2010 annex B.6; XMP specification, part 3)."""
    start = 13 + (3 << (coded[10] & 7) + 1 if coded[10] & 0x80 else 0)
    added = b""
    if carried.icc is not None:
        parts = [carried.icc[at : at + 255] for at in range(0, len(carried.icc), 255)]
        added += b"!\xff\x0bICCRGBG1012" + b"".join(bytes([len(part)]) + part for part in parts) + b"\0"
    if carried.xmp is not None:
        added += b"!\xff\x0bXMP DataXMP" + carried.xmp + b"\1" + bytes(range(255, -1, -1)) + b"\0"
    return b"GIF89a" + coded[6:start] + added + coded[start:]


@dataclass(frozen=True)
class Page:
    """A TIFF page: samples [H, W, C], its PhotometricInterpretation, what extra samples mean, a palette [256, 3]."""

    samples: Pixels
    photometric: int
    extra: tuple[int, ...] = ()
    palette: Pixels | None = None
    bits: int | None = None
    carried: Metadata = field(default_factory=Metadata)
    fields: tuple[Field, ...] = ()


def tiff(pages: Sequence[Page], order: Order = "<") -> bytes:
    """A TIFF file with one uncompressed strip a page (TIFF 6.0)."""
    written = bytearray((b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 0))
    link = 4
    for page in pages:
        height, width, channels = page.samples.shape
        kind = page.samples.dtype
        bits = page.bits or kind.itemsize * 8
        ordered = page.samples.astype(kind.newbyteorder(order))
        strip = np.packbits(page.samples[..., 0], axis=1).tobytes() if bits == 1 else ordered.tobytes()
        strip_at = len(written)
        written += strip + bytes(len(strip) % 2)
        fields: list[Field] = [
            (256, LONG, (width,)), (257, LONG, (height,)), (258, SHORT, (bits,) * channels), (259, SHORT, (1,)),
            (262, SHORT, (page.photometric,)), (273, LONG, (strip_at,)), (277, SHORT, (channels,)),
            (278, LONG, (height,)), (279, LONG, (len(strip),)), (284, SHORT, (1,)),
            (339, SHORT, ({"u": 1, "i": 2, "f": 3}[kind.kind],) * channels), *page.fields,
        ]  # fmt: skip
        if page.extra:
            fields.append((338, SHORT, page.extra))
        if page.palette is not None:
            fields.append((320, SHORT, tuple(int(value) * 257 for value in page.palette.T.reshape(-1))))
        if page.carried.icc is not None:
            fields.append((34675, UNDEFINED, page.carried.icc))
        if page.carried.xmp is not None:
            fields.append((700, 1, page.carried.xmp))
        struct.pack_into(order + "I", written, link, len(written))
        link = len(written) + 2 + 12 * len(fields)
        written += directory(order, len(written), fields)
    return bytes(written)


# Libraries


def _vips(samples: Pixels, interpretation: str | None = None, carried: Metadata | None = None) -> pyvips.Image:
    """Samples as libvips has them, with metadata for its writers."""
    deep = samples.dtype == np.uint16
    named = {1: "grey16" if deep else "b-w", 2: "grey16" if deep else "b-w", 3: "rgb16" if deep else "srgb"}
    usual = "scrgb" if samples.dtype.kind == "f" and samples.shape[2] > 2 else named.get(samples.shape[2], named[3])
    made = pyvips.Image.new_from_array(np.ascontiguousarray(samples)).copy(interpretation=interpretation or usual)
    if carried is None:
        return made
    blobs = {"icc-profile-data": carried.icc, "exif-data": carried.exif and b"Exif\0\0" + carried.exif}
    for name, blob in (blobs | {"xmp-data": carried.xmp}).items():
        if blob is not None:
            made.set_type(pyvips.GValue.blob_type, name, blob)
    if carried.orientation != 1:
        made.set_type(pyvips.GValue.gint_type, "orientation", carried.orientation)
    return made


def rolled(mode: str) -> list[Pixels]:
    """Three pictures of an animation: the photograph as it wanders to the right."""
    return [np.roll(pixels(mode), 3 * number, axis=1) for number in range(len(DURATIONS_MS))]


def _film(frames: Sequence[Pixels]) -> pyvips.Image:
    """An animation as libvips has it: frames below each other."""
    film = _vips(np.concatenate(frames)).copy()
    film.set_type(pyvips.GValue.gint_type, "page-height", HEIGHT)
    film.set_type(pyvips.GValue.array_int_type, "delay", DURATIONS_MS)
    film.set_type(pyvips.GValue.gint_type, "loop", 2)
    return film


def _jxl_encoder(mode: str, *, lossless: bool) -> Any:
    make: Any = pillow_jxl.Encoder
    return make(
        mode=mode, lossless=lossless, quality=100 if lossless else 95, decoding_speed=0, effort=3, use_container=True,
        use_original_profile=False, num_threads=1,
    )  # fmt: skip


def _jxl(mode: str, samples: Pixels, carried: Metadata, *, lossless: bool) -> bytes:
    """A JPEG XL; in the lossy ones the box of the EXIF block lacks, as its library has it, where the block begins."""
    block = carried.exif and (bytes(4) if lossless else b"") + carried.exif
    encoder = _jxl_encoder(mode, lossless=lossless)
    blocks = {"exif": block, "xmp": carried.xmp, "jumb": None, "compress": False}
    return bytes(encoder(np.ascontiguousarray(samples).tobytes(), WIDTH, HEIGHT, jpeg_encode=False, **blocks))


def _jxl_from_jpeg(coded: bytes) -> bytes:
    """A JPEG packed without loss into a JPEG XL, which takes over its orientation and its profile."""
    encoder = _jxl_encoder("RGB", lossless=True)
    return bytes(encoder(coded, WIDTH, HEIGHT, jpeg_encode=True))


def _heic(mode: str, samples: Pixels, carried: Metadata) -> bytes:
    """A HEIC; its library turns the orientation of the EXIF block into the container's."""
    file = io.BytesIO()
    blocks = {"icc_profile": carried.icc, "exif": carried.exif, "xmp": carried.xmp}
    made = pillow_heif.from_bytes(mode, (WIDTH, HEIGHT), np.ascontiguousarray(samples).tobytes())
    made.save(file, quality=95, chroma=444, **{name: blob for name, blob in blocks.items() if blob is not None})
    return file.getvalue()


def _avif_gray(samples: Pixels, carried: Metadata) -> bytes:
    """An AVIF without colour, with metadata: only Pillow, which the product uses too, writes such."""
    file = io.BytesIO()
    blocks = {"icc_profile": carried.icc, "exif": carried.exif, "xmp": carried.xmp}
    given = {name: blob for name, blob in blocks.items() if blob is not None}
    Image.fromarray(samples[..., 0]).save(file, "AVIF", quality=95, subsampling="4:0:0", **given)
    return file.getvalue()


def _bmp(samples: Pixels, bits: int, palette: Sequence[tuple[int, int, int]]) -> bytes:
    """A BMP of palette indices, from the lowest row up."""
    rows = np.packbits(samples, axis=1) if bits == 1 else samples
    lines = b"".join(row.tobytes() + bytes(-len(row) % 4) for row in rows[::-1])
    colours = b"".join(bytes([blue, green, red, 0]) for red, green, blue in palette)
    start = 54 + len(colours)
    head = b"BM" + struct.pack("<IHHI", start + len(lines), 0, 0, start)
    info = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, bits, 0, len(lines), 2835, 2835, len(palette), 0)
    return head + info + colours + lines


# What each format can hold


@dataclass(frozen=True, eq=False)
class Kind:
    """One way to store a picture: format, depth and mode in `name`, and who writes it.

    `without` says for each feature why this kind cannot have it. `lossless`: pixels that did not change come back to the
    bit, those that nobody sees if they are `hidden_kept`. `soft_alpha`: the format's encoder does not keep transparency to
    the bit. `told` are the parts that a receipt has to name when pixels change, with what became of them, `becomes` the
    type and channels that the result has where they are not the source's. `truth`: the colours in sRGB, where the source
    has no RGB, [H, W, 3] in 0…1. `orientation_in` is where the orientation stands that counts: EXIF, else XMP (`exif`), a
    TIFF's `tag`, the `container`, into which writers bring EXIF's, or nowhere.
    """

    name: str
    ending: str
    write: Callable[[Metadata], bytes]
    icc: Callable[[], bytes] | None = p3
    without: Mapping[str, str] = field(default_factory=dict)
    lossless: bool = True
    hidden_kept: bool = True
    soft_alpha: bool = False
    told: frozenset[str] = frozenset()
    becomes: tuple[str, int] | None = None
    truth: Callable[[bytes | None], Pixels] | None = None
    orientation_in: str = "exif"
    frames: int = 1

    @property
    def format(self) -> str:
        return self.name.split("-", maxsplit=1)[0]

    @property
    def features(self) -> list[str]:
        return [feature for feature in (FEW if "_" in self.name else FEATURES) if feature not in self.without]


def _why(reason: str, *features: str) -> dict[str, str]:
    return dict.fromkeys(features, reason)


_NO_EXIF = (*EXIFS, "all")


_PRINTED = frozenset({"colours converted", "ICC converted"})


def _jpegs() -> Iterator[Kind]:
    def plain(mode: str, **options: Any) -> Callable[[Metadata], bytes]:
        return lambda carried: _jpeg(_vips(pixels(mode)).jpegsave_buffer(Q=92, keep="none", **options), carried)

    def inks(carried: Metadata) -> bytes:
        samples = np.dstack([255 - pixels("rgb"), np.zeros((HEIGHT, WIDTH), np.uint8)])
        return _jpeg(_vips(samples, "cmyk").jpegsave_buffer(Q=97, keep="none", subsample_mode="off"), carried)

    def two(carried: Metadata) -> bytes:
        return _multi_picture(_vips(pixels("rgb")).jpegsave_buffer(Q=92, keep="none"), carried)

    jpeg = partial(Kind, ending="jpg", lossless=False)
    yield jpeg("jpeg-8-gray", write=plain("gray"), icc=gray_profile)
    yield jpeg("jpeg-8-rgb", write=plain("rgb", subsample_mode="on"))
    yield jpeg("jpeg-8-rgb_444", write=plain("rgb", subsample_mode="off"))
    yield jpeg("jpeg-8-rgb_progressive", write=plain("rgb", interlace=True))
    yield jpeg("jpeg-8-rgb_phone", write=two, told=frozenset({"second picture (MPF) dropped"}))
    yield jpeg("jpeg-8-cmyk", write=inks, icc=press, told=_PRINTED, becomes=("u1", 3), truth=_printed)


def large(ending: str) -> bytes:
    """A photograph of 24 megapixels, with its grain: 8 bits as `jpg`, 16 as `tif` or `png`."""
    width, height = 6000, 4000
    small = pyvips.Image.new_from_array(ASTRONAUT[:340])
    grain = pyvips.Image.gaussnoise(width, height, mean=0, sigma=3, seed=1)
    grown = small.resize(width / small.width, vscale=height / small.height, kernel="cubic") + grain
    if ending == "jpg":
        return bytes(grown.cast("uchar").copy(interpretation="srgb").jpegsave_buffer(Q=92))
    deep = (grown * 257).cast("ushort").copy(interpretation="rgb16")
    if ending == "tif":
        return bytes(deep.tiffsave_buffer(compression="deflate", predictor="horizontal"))
    return bytes(deep.pngsave_buffer(compression=1, filter="up"))


def _printed(profile: bytes | None) -> Pixels:
    """What the inks of `inks` look like in sRGB: on the made-up press, or by the plain formula."""
    if profile is None:
        return photograph()
    return np.asarray(1 - (1 - photograph()) * [0.9, 0.85, 0.8])


def _pngs() -> Iterator[Kind]:
    def plain(samples: Pixels, **options: Any) -> Callable[[Metadata], bytes]:
        return lambda carried: _png(_vips(samples).pngsave_buffer(keep="none", **options), carried)

    def moving(frames: Sequence[Pixels]) -> Callable[[Metadata], bytes]:
        stack = np.stack(frames)
        stack = stack[..., 0] if stack.shape[3] == 1 else stack
        return lambda carried: _png(bytes(imagecodecs.apng_encode(stack, delay=70)), carried)

    def see_through(carried: Metadata) -> bytes:
        """One colour of it is transparent."""
        red, green, blue = (int(value) for value in pixels("rgb")[5, 7])
        coded = _png(_vips(pixels("rgb")).pngsave_buffer(keep="none"), carried)
        at = coded.index(b"IDAT") - 4
        return coded[:at] + _chunk(b"tRNS", struct.pack(">3H", red, green, blue)) + coded[at:]

    png = partial(Kind, ending="png")
    shades = frozenset({"depth converted"})
    yield png("png-1-gray", write=plain(pixels("gray", full=1) * 255, bitdepth=1), icc=gray_profile, told=shades)
    for bits in (2, 4):
        yield png(f"png-{bits}-gray", write=plain(pixels("gray"), bitdepth=bits), icc=gray_profile, told=shades)
    coloured = frozenset({"colours converted"})
    yield png("png-4-palette", write=plain(pixels("rgb"), palette=True, bitdepth=4), told=shades | coloured)
    yield png("png-8-palette", write=plain(pixels("rgb"), palette=True), told=coloured)
    yield png("png-8-palette+alpha", write=plain(pixels("rgba"), palette=True), told=coloured)
    yield png("png-8-rgb_one_colour_transparent", write=see_through)
    yield png("png-8-rgb_interlaced", write=plain(pixels("rgb"), interlace=True))
    yield png("png-16-rgb_interlaced", write=plain(pixels("rgb", "u2"), interlace=True))
    for kind, mode in itertools.product(("u1", "u2"), ("gray", "gray+alpha", "rgb", "rgba")):
        icc = gray_profile if mode.startswith("gray") else p3
        yield png(f"png-{DEPTHS[kind]}-{mode}", write=plain(pixels(mode, kind)), icc=icc)
    yield png("png-8-rgb_animated", write=moving(rolled("rgb")), frames=3)
    yield png("png-8-rgba_animated", write=moving(rolled("rgba")), frames=3)
    deep = moving([np.roll(pixels("rgb", "u2"), 3 * number, axis=1) for number in range(3)])
    yield png("png-16-rgb_animated", write=deep, frames=3)


DEPTHS = {"u1": "8", "u2": "16", "u4": "32", "f2": "half", "f4": "float", "f8": "double"}


def _tiffs() -> Iterator[Kind]:
    tif = partial(Kind, ending="tif", orientation_in="tag")
    photometric = {"gray": 1, "gray+alpha": 1, "rgb": 2, "rgba": 2}

    def own(samples: Pixels, shown: int, carried: Metadata, **more: Any) -> bytes:
        turned = carried.orientation if carried.orientation != 1 or carried.exif else None
        fields = camera(turned or 1) if carried.exif else [(274, SHORT, (1,))]  # as libvips writes it
        page = Page(samples, shown, carried=carried, fields=tuple(fields), **more)
        return tiff([page], ">" if carried.orientation % 2 else "<")

    def written(mode: str, kind: str) -> Callable[[Metadata], bytes]:
        """By libvips where there is no EXIF, and it knows the type; else by `tiff`."""
        samples = pixels(mode, kind)
        extra = (2,) if "a" in mode[3:] and mode != "gray" else ()

        def write(carried: Metadata) -> bytes:
            if carried.exif is None and kind in ("u1", "u2", "u4", "f4") and not (kind == "u4" and extra):
                return bytes(_vips(samples, carried=replace(carried, orientation=1)).tiffsave_buffer())
            return own(samples, photometric[mode], carried, extra=extra)

        return write

    def packed(kind: str, **options: Any) -> Callable[[Metadata], bytes]:
        return lambda carried: bytes(_vips(pixels("rgb", kind), carried=carried).tiffsave_buffer(**options))

    for kind, mode in itertools.product(DEPTHS, photometric):
        icc = gray_profile if mode.startswith("gray") else p3
        yield tif(f"tiff-{DEPTHS[kind]}-{mode}", write=written(mode, kind), icc=icc)
    for kind in ("u1", "u2", "f4"):
        colours, cover = pixels("rgb", "f8"), alpha()[..., None]
        multiplied = np.dstack([colours * cover, cover])
        full = 1 if kind == "f4" else np.iinfo(kind).max
        samples = (multiplied * full).astype(kind) if kind == "f4" else np.rint(multiplied * full).astype(kind)
        yield tif(f"tiff-{DEPTHS[kind]}-rgba_premultiplied", write=partial(own, samples, 2, extra=(1,)))
    indices, palette = _indexed()
    coloured = frozenset({"colours converted"})
    yield tif("tiff-8-palette", write=partial(own, indices, 3, palette=palette), told=coloured)
    yield tif(
        "tiff-1-gray", write=partial(own, pixels("gray", full=1), 1, bits=1), icc=gray_profile,
        told=frozenset({"depth converted"}),
    )  # fmt: skip
    yield tif("tiff-8-gray_white_is_0", write=partial(own, 255 - pixels("gray"), 0), icc=gray_profile)
    for kind in ("u1", "u2"):
        full = np.iinfo(kind).max
        inks = np.dstack([full - pixels("rgb", kind), np.zeros((HEIGHT, WIDTH), kind)])
        name, after = DEPTHS[kind], (kind, 3)
        yield tif(
            f"tiff-{name}-cmyk", write=partial(own, inks, 5), icc=press, told=_PRINTED, becomes=after, truth=_printed
        )
        no_icc = _why("Lab is no device's colours; a profile has no meaning for it", "icc", "all")
        for standard, shown in (("cie", 8), ("icc", 9)):
            write = partial(own, _lab(kind, signed=standard == "cie"), shown)
            yield tif(
                f"tiff-{name}-{standard}lab",
                write=write,
                without=no_icc,
                told=_PRINTED,
                becomes=after,
                truth=_photograph,
            )
    no_exif = _why("libvips, which compresses these, writes no EXIF into a TIFF", *EXIFS, "all")
    yield tif("tiff-8-rgb_lzw", write=packed("u1", compression="lzw", predictor="horizontal"), without=no_exif)
    yield tif("tiff-16-rgb_deflate_tiled", write=packed("u2", compression="deflate", tile=True), without=no_exif)
    yield tif("tiff-float-rgb_deflate", write=packed("f4", compression="deflate", predictor="float"), without=no_exif)
    yield tif("tiff-8-rgb_packbits", write=packed("u1", compression="packbits"), without=no_exif)
    yield tif("tiff-8-rgb_pages", write=_pages, frames=3)


def _photograph(profile: bytes | None) -> Pixels:
    return photograph()


def _indexed() -> tuple[Pixels, Pixels]:
    """The photograph as indices [H, W, 1] into a palette [256, 3] of 6 × 7 × 6 colours."""
    levels = np.array([6, 7, 6])
    steps = np.rint(photograph() * (levels - 1)).astype(int)
    indices = (steps[..., 0] * 7 + steps[..., 1]) * 6 + steps[..., 2]
    colours = np.stack(np.meshgrid(*(np.linspace(0, 255, count) for count in levels), indexing="ij"), -1).reshape(-1, 3)
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(colours)] = np.rint(colours)
    return indices[..., None].astype(np.uint8), palette


def _lab(kind: str, *, signed: bool) -> Pixels:
    """The photograph in L*a*b* under D50, as TIFF holds it: a* and b* signed (CIELab) or from 128 upwards (ICCLab)."""
    lab = _lab_d50()
    full, one = np.iinfo(kind).max, 1 if kind == "u1" else 256
    lightness = np.rint(lab[..., :1] / 100 * full)
    chroma = np.rint((lab[..., 1:] + (0 if signed else 128)) * one)
    return np.concatenate([lightness, chroma], axis=2).astype(np.int64).astype(kind)


def _lab_d50() -> Pixels:
    """The photograph's L*a*b* relative to D50, adapted from sRGB's D65 by Bradford's matrix (Lindbloom)."""
    linear = np.where(photograph() <= 0.04045, photograph() / 12.92, ((photograph() + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
    return np.asarray(color.xyz2lab(linear @ np.array(to_xyz).T, illuminant="D50"))


def _pages(carried: Metadata) -> bytes:
    """Three pages: the photograph, a smaller gray one of 16 bits, a transparent one in floating point."""
    turned = carried.orientation
    fields = tuple(camera(turned)) if carried.exif else ()
    second = Metadata(gray_profile() if carried.icc else None, xmp=xmp() if carried.xmp else None)
    note: tuple[Field, ...] = ((270, ASCII, b"Page two\0"), (274, SHORT, (3,))) if carried.exif else ()
    return tiff([
        Page(pixels("rgb"), 2, carried=carried, fields=fields),
        Page(pixels("gray", "u2")[4:, :30], 1, carried=second, fields=note),
        Page(pixels("rgba", "f4")[:20], 2, extra=(2,)),
    ])  # fmt: skip


def _webps() -> Iterator[Kind]:
    for mode, lossless in itertools.product(("rgb", "rgba"), (True, False)):
        options = {"lossless": lossless, "Q": 100 if lossless else 92, "exact": True, "keep": "none"}
        named = f"{mode}-{'lossless' if lossless else 'lossy'}"
        kept = partial(Kind, ending="webp", lossless=lossless)

        def still(carried: Metadata, mode: str = mode, options: dict[str, Any] = options) -> bytes:
            return _webp(_vips(pixels(mode)).webpsave_buffer(**options), carried)

        def moving(carried: Metadata, mode: str = mode, options: dict[str, Any] = options) -> bytes:
            return _webp(_film(rolled(mode)).webpsave_buffer(**options), carried)

        yield kept(f"webp-8-{named}", write=still)
        yield kept(f"webp-8-{named}_animated", write=moving, frames=3, hidden_kept=False)


def _avifs() -> Iterator[Kind]:
    def still(mode: str, bits: int) -> Callable[[Metadata], bytes]:
        samples = pixels(mode, "u1" if bits == 8 else "u2")
        options = {"compression": "av1", "bitdepth": bits, "Q": 95, "effort": 2, "subsample_mode": "off"}
        return lambda carried: bytes(_vips(samples, carried=carried).heifsave_buffer(**options))

    def moving(mode: str) -> Callable[[Metadata], bytes]:
        full = imagecodecs.AVIF.PIXEL_FORMAT.YUV444
        return lambda _: bytes(imagecodecs.avif_encode(np.stack(rolled(mode)), level=95, speed=8, pixelformat=full))

    avif = partial(Kind, ending="avif", lossless=False, soft_alpha=True, orientation_in="container")
    yield avif("avif-8-gray", write=partial(_avif_gray, pixels("gray")), icc=gray_profile)
    for bits, mode in itertools.product((8, 10, 12), ("rgb", "rgba")):
        told = frozenset({"depth converted"} if bits > 8 else ())
        becomes = ("u1", len(mode)) if bits > 8 else None
        yield avif(f"avif-{bits}-{mode}", write=still(mode, bits), told=told, becomes=becomes)
    bare = _why("imagecodecs, the only other writer of AVIF sequences, writes no metadata", *FEATURES[1:])
    for mode in ("rgb", "rgba"):
        yield avif(f"avif-8-{mode}_animated", write=moving(mode), without=bare, frames=3)


def _gifs() -> Iterator[Kind]:
    reasons = _why("GIF has no place for EXIF", *EXIFS)
    gif = partial(
        Kind, ending="gif", hidden_kept=False, without=reasons, told=frozenset({"colours converted"}), orientation_in=""
    )

    def still(samples: Pixels) -> Callable[[Metadata], bytes]:
        return lambda carried: _gif(_vips(samples).gifsave_buffer(keep="none", dither=0), carried)

    def moving(frames: Sequence[Pixels]) -> Callable[[Metadata], bytes]:
        return lambda carried: _gif(_film(frames).gifsave_buffer(keep="none", dither=0), carried)

    yield gif("gif-8-gray", write=still(pixels("gray")), told=frozenset())
    yield gif("gif-8-palette", write=still(pixels("rgb")))
    yield gif("gif-8-palette+alpha", write=still(pixels("rgba")))
    yield gif("gif-8-palette_animated", write=moving(rolled("rgb")), frames=3)
    yield gif("gif-8-palette+alpha_animated", write=moving(rolled("rgba")), frames=3)


def _bmps() -> Iterator[Kind]:
    nothing = _why("BMP has no place for metadata", *FEATURES[1:])
    bmp = partial(Kind, ending="bmp", without=nothing, orientation_in="")
    indices, palette = _indexed()
    colours = [(int(red), int(green), int(blue)) for red, green, blue in palette]
    black_and_white = _bmp(pixels("gray", full=1)[..., 0], 1, [(0, 0, 0), (255, 255, 255)])
    yield bmp("bmp-1-gray", write=lambda _: black_and_white, told=frozenset({"depth converted"}))
    coloured = frozenset({"colours converted"})
    yield bmp("bmp-8-palette", write=lambda _: _bmp(indices[..., 0], 8, colours), told=coloured)
    yield bmp("bmp-8-gray", write=lambda _: bytes(imagecodecs.bmp_encode(pixels("gray")[..., 0])))
    yield bmp("bmp-8-rgb", write=lambda _: bytes(imagecodecs.bmp_encode(pixels("rgb"))))
    yield bmp(
        "bmp-8-rgba", write=lambda _: bytes(imagecodecs.bmp_encode(pixels("rgba"))), told=frozenset({"alpha dropped"}),
        becomes=("u1", 3), truth=lambda _: photograph() * alpha()[..., None] + 1 - alpha()[..., None],
    )  # fmt: skip


def _heics() -> Iterator[Kind]:
    heic = partial(Kind, ending="heic", lossless=False, soft_alpha=True, orientation_in="container, even from XMP")
    for bits, mode in itertools.product((8, 10, 12), ("gray", "rgb", "rgba")):
        samples = pixels(mode, "u1" if bits == 8 else "u2", full=(1 << bits) - 1)
        named = {"gray": "L", "rgb": "RGB", "rgba": "RGBA"}[mode] + (f";{bits}" if bits > 8 else "")
        icc = gray_profile if mode == "gray" else p3
        yield heic(f"heic-{bits}-{mode}", write=partial(_heic, named, samples), icc=icc)


def _jxls() -> Iterator[Kind]:
    no_icc = _why("pillow_jxl writes no profile but a JPEG's; see jxl-8-rgb-from-jpeg", "icc")
    jxl = partial(Kind, ending="jxl", icc=None, without=no_icc, orientation_in="")
    for mode, named in (("gray", "L"), ("gray+alpha", "LA"), ("rgb", "RGB"), ("rgba", "RGBA")):
        yield jxl(f"jxl-8-{mode}", write=partial(_jxl, named, pixels(mode), lossless=True))
    yield jxl("jxl-8-rgb-lossy", write=partial(_jxl, "RGB", pixels("rgb"), lossless=False), lossless=False)
    yield jxl("jxl-8-rgba-lossy", write=partial(_jxl, "RGBA", pixels("rgba"), lossless=False), lossless=False)
    told = frozenset({"depth converted", "ICC converted"})
    linear = partial(jxl, told=told, becomes=("u1", 1), truth=_lit)  # which pillow_jxl says of all but 8 bits
    yield linear("jxl-16-gray", write=partial(_jxl, "I;16", pixels("gray", "u2"), lossless=True))
    yield linear("jxl-float-gray", write=partial(_jxl, "F", pixels("gray", "f4"), lossless=True))

    def from_jpeg(carried: Metadata) -> bytes:
        coded = _vips(pixels("rgb")).jpegsave_buffer(Q=95, keep="none", subsample_mode="off")
        return _jxl_from_jpeg(_jpeg(coded, carried))

    # decoded by two builds of libjxl, which round differently what JPEG's cosines make
    yield Kind("jxl-8-rgb-from-jpeg", "jxl", from_jpeg, lossless=False, orientation_in="container")


def _lit(profile: bytes | None) -> Pixels:
    """The gray photograph taken for linear light, in sRGB's curve (IEC 61966-2-1)."""
    light = pixels("gray", "f8")
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055).repeat(3, axis=2)


KINDS: list[Kind] = [
    kind for kinds in (_jpegs, _pngs, _tiffs, _webps, _avifs, _gifs, _bmps, _heics, _jxls) for kind in kinds()
]
"""Every way to store a picture that is tested."""


NOT_BUILT: dict[str, str] = {
    "jpeg with transparency, palette or 16 bits": "JPEG holds none; 12 bits are not read",
    "png-1, -2, -4 with transparency": "PNG holds it only as one colour or in a palette; png-8 has both",
    "webp gray, gray+alpha, palette": "WebP stores RGB and RGBA only",
    "avif and heic gray+alpha": "libheif and libavif store it as RGBA, which is built",
    "avif and heic palette, CMYK, Lab, float": "they hold none",
    "heic with several pictures": "only the main one is read, and the others are told as dropped",
    "jxl-16 and jxl-float in colour": "pillow_jxl writes and reads more than 8 bits in gray alone",
    "jxl animated, CMYK, palette": "refused by the product, or not held",
    "gif with half transparency": "GIF knows transparent or not",
    "bmp with 16 bits, compressed": "no library here writes them",
    "tiff palette+alpha, CMYK+alpha": "baseline TIFF has neither; the product drops what CMYK's would be, and tells",
    "tiff-float CMYK and Lab": "refused by the product with the reason",
    "tiff 16-bit Lab of libvips": "signed numbers, which are refused with the reason; built here as TIFF has it",
}
"""What is missing above, and why."""


@dataclass(frozen=True)
class Source:
    """A file of a kind with a feature."""

    kind: Kind
    feature: str

    def __str__(self) -> str:
        """Return its name: `png-16-rgba-exif6`."""
        return f"{self.kind.name}-{self.feature}"

    @cached_property
    def carried(self) -> Metadata:
        """What the writers were given; `orientation` is what the picture has to be turned by."""
        given = _metadata(self.feature, self.kind.icc and self.kind.icc())
        if "exif1" in self.kind.without:
            given = replace(given, exif=None)
        everywhere = self.kind.orientation_in in ("exif", "container, even from XMP")
        if everywhere or (self.kind.orientation_in and given.exif is not None):
            return given
        return replace(given, orientation=1)

    def bytes(self) -> bytes:
        if self not in _WRITTEN:
            _WRITTEN[self] = self.kind.write(self.carried)
        return _WRITTEN[self]


_WRITTEN: dict[Source, bytes] = {}
SOURCES: list[Source] = [Source(kind, feature) for kind in KINDS for feature in kind.features]
