"""Every format × depth × mode × profile, EXIF with orientation 1…8, XMP and transparency: what comes in comes out.

Each source of `fidelity_sources` goes three ways: dreamed with strength 0, through the encoders without any change, and
through a dream of one small step. What comes out is read here without the product's code, and by another library than the
one the product uses for the format (HEIC excepted, for which there is but one).
"""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import imagecodecs
import numpy as np
import pillow_heif
import pillow_jxl
import pytest
import pyvips
import torch
from fidelity_sources import CODES, FEW, MAKER_NOTE, SOURCES, large, riff_chunks
from PIL import ImageCms

from deepdream_core.engine.engine import Engine
from deepdream_core.machine_settings import EngineSettings
from deepdream_core.photo import Receipt, read_photo, write_photo
from deepdream_core.settings import DreamSettings
from deepdream_core.work import batch, jobs
from deepdream_core.work.reporter import Reporter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fidelity_sources import Pixels, Source

    from deepdream_core.errors import DeepDreamError
    from deepdream_core.work.reporter import Done

SMALL_STEP = DreamSettings(
    layers={"relu1_1": 1.0}, natural=0.0, soft_limit=False, octaves=1, iterations=1, step=8.0, smooth=0, jitter=0,
    finest="full",
)  # fmt: skip
ALIKE, PLAIN = 0.0125, 0.035
"""Mean differences, 1.0 for white: encoding makes less than the first, a dream more than that and less than the second."""

RECIPE = "{http://ns.deepdream.local/recipe/1.0/}recipe"
TURNED_IN_XMP = "{http://ns.adobe.com/tiff/1.0/}Orientation"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
Tags = dict[str, tuple[Any, ...]]


# Reading, independently


@dataclass
class Seen:
    """A file as others see it.

    `pictures`: [H, W, C] as they are stored, C odd without transparency; each has in `white` the value of 1.0, and in
    `turns` the orientation that a viewer applies to it. `tags`: EXIF, as `IFD0/271`, `Exif/34855`, each page's in a TIFF.
    `coding`: whatever else has to stay.
    """

    pictures: list[Pixels]
    white: list[float]
    icc: list[bytes | None]
    tags: list[Tags]
    xmp: list[bytes | None]
    turns: list[int]
    coding: dict[str, Any] = field(default_factory=dict)

    @property
    def properties(self) -> list[dict[str, str]]:
        return [properties(packet) for packet in self.xmp]


def seen(data: bytes, ending: str) -> Seen:
    readers = {"jpg": jpeg, "png": png, "tif": tiff, "webp": webp, "avif": avif, "gif": gif, "bmp": bmp, "heic": heic}
    return readers.get(ending, jxl)(data)


def properties(packet: bytes | None) -> dict[str, str]:
    """The top-level properties of an XMP packet, with their values as canonical XML."""
    found: dict[str, str] = {}
    root = ElementTree.fromstring(packet.decode().strip("\0 \n")) if packet else ElementTree.Element("nothing")
    for node in root.iterfind(f".//{RDF}RDF/{RDF}Description"):
        found |= {name: value for name, value in node.attrib.items() if name != f"{RDF}about"}
        found |= {e.tag: ElementTree.canonicalize(ElementTree.tostring(e), strip_text=True) for e in node}
    return found


def directories(data: bytes, order: str) -> Iterator[tuple[int, int]]:
    """Offsets of the directories of a TIFF or EXIF block, and where each ends."""
    at = struct.unpack_from(order + "I", data, 4)[0]
    while at:
        end = at + 2 + 12 * struct.unpack_from(order + "H", data, at)[0]
        yield at, end
        at = struct.unpack_from(order + "I", data, end)[0]


def directory(data: bytes, at: int, order: str, name: str = "IFD0") -> Tags:
    """The tags of a directory and of those below it."""
    tags: Tags = {}
    nested = {34665: "Exif", 34853: "GPS", 40965: "Interoperability"}
    for number in range(struct.unpack_from(order + "H", data, at)[0]):
        place = at + 2 + 12 * number
        tag, kind, count = struct.unpack_from(order + "HHI", data, place)
        numbers = count * (2 if kind in (5, 10) else 1)
        code = CODES.get(kind, "B")
        size = struct.calcsize(f"={numbers}{code}")
        where = place + 8 if size <= 4 else struct.unpack_from(order + "I", data, place + 8)[0]
        assert where + size <= len(data), f"{name}/{tag} lies outside"
        if tag in nested:
            tags |= directory(data, struct.unpack_from(order + "I", data, where)[0], order, nested[tag])
        else:
            tags[f"{name}/{tag}"] = struct.unpack_from(f"{order}{numbers}{code}", data, where)
    return tags


def exif_tags(block: bytes | None) -> Tags:
    """The tags of an EXIF block; `thumbnail` where a second directory leads to one, and the place of the MakerNote."""
    if not block:
        return {}
    bare = block.removeprefix(b"Exif\0\0")
    order = "<" if bare[:2] == b"II" else ">"
    (first, _), *later = directories(bare, order)
    tags = directory(bare, first, order)
    if b"Maker\0" in bare:
        tags["MakerNote lies at"] = (bare.index(b"Maker\0"),)
    for at, _ in later:
        second = directory(bare, at, order, "IFD1")
        start, size = second["IFD1/513"][0], second["IFD1/514"][0]
        assert bare[start : start + 2] == b"\xff\xd8"
        tags["thumbnail"] = (size,)
    return tags


def turn_of(tags: Tags, packet: bytes | None) -> int:
    told = tags.get("IFD0/274") or (int(properties(packet).get(TURNED_IN_XMP, 1)),)
    return int(told[0])


def by_vips(image: pyvips.Image, white: float | None = None) -> tuple[Pixels, float]:
    samples = image.numpy()
    samples = samples if samples.ndim == 3 else samples[..., None]
    return samples, white or (1.0 if samples.dtype.kind == "f" else float(np.iinfo(samples.dtype).max))


def blob(image: pyvips.Image, name: str) -> bytes | None:
    return bytes(image.get(name)) if name in image.get_fields() else None


def from_vips(image: pyvips.Image, white: float | None = None) -> Seen:
    """Everything about a still, or the frames of an animation below each other."""
    samples, full = by_vips(image, white)
    fields = image.get_fields()
    height = image.get("page-height") if "page-height" in fields else image.height
    pictures = [samples[top : top + height] for top in range(0, image.height, height)]
    tags, packet = exif_tags(blob(image, "exif-data")), blob(image, "xmp-data")
    coding = {name: image.get(name) for name in ("delay", "loop") if name in fields and len(pictures) > 1}
    turns = [turn_of(tags, packet)] * len(pictures)
    return Seen(pictures, [full] * len(pictures), [blob(image, "icc-profile-data")], [tags], [packet], turns, coding)


def jpeg(data: bytes) -> Seen:
    """Also its quantisation tables and sampling factors, and the second picture of a Multi-Picture file."""
    found = from_vips(pyvips.Image.jpegload_buffer(data))
    tables: dict[int, bytes] = {}
    at = 2
    while data[at + 1] != 0xDA:
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + size]
        if data[at + 1] == 0xDB:
            tables |= {body[place] & 15: body[place + 1 : place + 65] for place in range(0, len(body), 65)}
        if data[at + 1] in (0xC0, 0xC2):
            factors = [body[6 + 3 * component + 1] for component in range(body[5])]
            own = [tables[body[6 + 3 * component + 2]] for component in range(body[5])]
            found.coding |= {"sampling": factors, "tables": own, "progressive": data[at + 1] == 0xC2}
        if body.startswith(b"MPF\0"):
            entries = directory(body[4:], 8, "<", "MPF")["MPF/45058"]
            size, offset = struct.unpack_from("<II", bytes(entries), 20)
            start = at + 8 + offset
            found.coding["second"] = data[start : start + size]
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return found


def png(data: bytes) -> Seen:
    if b"acTL" not in data:
        return from_vips(pyvips.Image.pngload_buffer(data))
    stack = imagecodecs.apng_decode(data)
    still = from_vips(pyvips.Image.pngload_buffer(data))
    controls, place = [], 8
    while place < len(data):
        size, name = struct.unpack_from(">I4s", data, place)
        if name == b"fcTL":
            above, below = struct.unpack_from(">HH", data, place + 8 + 20)
            controls.append(above / below)
        if name == b"acTL":
            still.coding |= {"frames and loops": struct.unpack_from(">II", data, place + 8)}
        place += 12 + size
    still.coding["seconds"] = controls
    full = float(np.iinfo(stack.dtype).max)
    return replace(still, pictures=list(stack), white=[full] * len(stack), turns=still.turns * len(stack))


STORAGE = {
    254,
    256,
    257,
    258,
    259,
    262,
    266,
    273,
    277,
    278,
    279,
    284,
    317,
    320,
    322,
    323,
    324,
    325,
    338,
    339,
    700,
    34675,
}
"""TIFF tags that say how pixels lie in the file, and those read apart."""


def tiff(data: bytes) -> Seen:
    """Each page; its samples by libvips, or by hand where they are Lab or float of 16 or 64 bits."""
    order = "<" if data[:2] == b"II" else ">"
    found = Seen([], [], [], [], [], [])
    for number, (at, _) in enumerate(directories(data, order)):
        tags = directory(data, at, order)
        bits, kind = tags["IFD0/258"][0], tags.get("IFD0/339", (1,))[0]
        lab = tags["IFD0/262"][0] in (8, 9)
        if lab or (kind == 3 and bits != 32):
            samples, white = strips(data, tags, f"{order}{'u' if lab else 'f'}{bits // 8}"), 1.0
        else:
            samples, white = by_vips(pyvips.Image.tiffload_buffer(data, page=number))
        found.pictures.append(samples)
        found.white.append(white)
        found.icc.append(bytes(tags["IFD0/34675"]) if "IFD0/34675" in tags else None)
        found.xmp.append(bytes(tags["IFD0/700"]) if "IFD0/700" in tags else None)
        if (tags.get("IFD0/282"), tags.get("IFD0/283"), tags.get("IFD0/296")) == ((1, 1), (1, 1), (1,)):
            tags = {name: value for name, value in tags.items() if name not in ("IFD0/282", "IFD0/283", "IFD0/296")}
        found.tags.append(
            {name: value for name, value in tags.items() if name not in {f"IFD0/{tag}" for tag in STORAGE}}
        )
        found.turns.append(turn_of(tags, None))
        found.coding.setdefault("compression", []).append(tags["IFD0/259"])
        found.coding.setdefault("extra", []).append(tags.get("IFD0/338"))
    return found


def strips(data: bytes, tags: Tags, kind: str) -> Pixels:
    assert tags["IFD0/259"] == (1,)
    packed = b"".join(data[at : at + n] for at, n in zip(tags["IFD0/273"], tags["IFD0/279"], strict=True))
    width, height, channels = tags["IFD0/256"][0], tags["IFD0/257"][0], tags["IFD0/277"][0]
    return np.frombuffer(packed, kind).reshape(height, width, channels).astype(kind.lstrip("<>"))


def with_used_alpha(found: Seen) -> Seen:
    """Without a transparency that nothing makes use of: encoders of animations need it to store no more than changes."""
    alphas = [transparency(picture) for picture in found.pictures]
    if all(alpha is not None and alpha.min() == 255 for alpha in alphas):
        found.pictures = [picture[..., :-1] for picture in found.pictures]
    return found


def webp(data: bytes) -> Seen:
    found = from_vips(pyvips.Image.webpload_buffer(data, n=-1 if b"ANMF" in data else 1))
    found = with_used_alpha(found) if b"ANMF" in data else found
    inner = [name for name, _ in riff_chunks(data)] + [
        body[16:20] for name, body in riff_chunks(data) if name == b"ANMF"
    ]
    found.coding["lossless"] = b"VP8 " not in inner
    return found


def avif(data: bytes) -> Seen:
    """A sequence by imagecodecs, as libvips reads but the first picture of it; its times from the boxes."""
    image = pyvips.Image.heifload_buffer(data)
    bits = image.get("bits-per-sample") if "bits-per-sample" in image.get_fields() else 8
    white = float((1 << bits) - 1 << 16 - bits) if bits > 8 else None
    found = replace(from_vips(image, white), turns=[1])
    if data[8:12] == b"avis":
        stack = imagecodecs.avif_decode(data)
        found = replace(found, pictures=list(stack), white=[255.0] * len(stack), turns=[1] * len(stack))
        scale = struct.unpack_from(">I", data, data.index(b"mdhd") + 4 + 4 + 16)[0]
        at = data.index(b"stts") + 8
        counts = struct.iter_unpack(">II", data[at + 4 : at + 4 + 8 * struct.unpack_from(">I", data, at)[0]])
        found.coding["seconds"] = [delta / scale for count, delta in counts for _ in range(count)]
    return found


def gif(data: bytes) -> Seen:
    found = with_used_alpha(from_vips(pyvips.Image.gifload_buffer(data, n=-1)))
    start = data.find(b"!\xff\x0bXMP DataXMP")
    if start >= 0:
        found.xmp = [data[start + 14 : data.index(b"\1\xff\xfe\xfd", start)]]
    start = data.find(b"!\xff\x0bICCRGBG1012")
    if start >= 0:
        found.icc, at = [b""], start + 14
        while data[at]:
            found.icc[0] = (found.icc[0] or b"") + data[at + 1 : at + 1 + data[at]]
            at += 1 + data[at]
    return found


def bmp(data: bytes) -> Seen:
    samples = imagecodecs.bmp_decode(data)
    return Seen([samples if samples.ndim == 3 else samples[..., None]], [255.0], [None], [{}], [None], [1])


def heic(data: bytes) -> Seen:
    image = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False, hdr_to_16bit=False)
    samples = np.asarray(image)
    info = image.info
    return Seen(
        [samples if samples.ndim == 3 else samples[..., None]],
        [float((1 << info["bit_depth"]) - 1)],
        [info.get("icc_profile")],
        [exif_tags(info.get("exif"))],
        [info.get("xmp")],
        [1],
    )


def jxl(data: bytes) -> Seen:
    """Without the box that rebuilds a JPEG, so that its pixels come out, which are turned already."""
    at = data.find(b"jbrd") - 4
    size = int.from_bytes(data[at : at + 4], "big") if at >= 0 else 0
    _, info, samples, icc, boxes = pillow_jxl.Decoder(num_threads=1)(data[:at] + data[at + size :] if size else data)
    found = {bytes(box.box_type): bytes(box.data) for box in boxes}
    compressed = [bytes(box.data) for box in boxes if box.box_type == b"brob"]
    found |= {body[:4]: bytes(imagecodecs.brotli_decode(body[4:])) for body in compressed}
    kind = {"I;16": "<u2", "F": "<f4"}.get(info.mode, "u1")
    channels = {"LA": 2, "RGB": 3, "RGBA": 4}.get(info.mode, 1)
    shaped = np.frombuffer(bytes(samples), kind).reshape(info.height, info.width, channels)
    block = found.get(b"Exif")
    return Seen(
        [shaped],
        [1.0 if kind == "<f4" else float(np.iinfo(kind).max)],
        [bytes(icc) if icc else None],
        [exif_tags(block and block.removeprefix(bytes(4)))],
        [found.get(b"xml ")],
        [1],
    )


# Comparing


def upright(picture: Pixels, orientation: int) -> Pixels:
    """The picture as a viewer shows it (EXIF 2.32, Orientation)."""
    rows = picture.swapaxes(0, 1) if orientation >= 5 else picture
    return {
        1: rows, 2: np.fliplr(rows), 3: np.rot90(rows, 2), 4: np.flipud(rows),
        5: rows, 6: np.fliplr(rows), 7: np.rot90(rows, 2), 8: np.flipud(rows),
    }[orientation]  # fmt: skip


def colours(picture: Pixels, white: float) -> Pixels:
    """Its visible colours as [H, W, 3] in 0…1; what is transparent is black."""
    scaled = picture.astype(np.float64) / white
    rgb = scaled[..., :3] if scaled.shape[2] > 2 else scaled[..., :1].repeat(3, 2)
    return rgb if scaled.shape[2] % 2 else rgb * (scaled[..., -1:] > 0.02)


def distance(one: Pixels, other: Pixels) -> float:
    return float(np.abs(one - other).mean()) if one.shape == other.shape else float("inf")


def transparency(picture: Pixels) -> Pixels | None:
    return None if picture.shape[2] % 2 else picture[..., -1]


def equal(one: list[Pixels], other: list[Pixels]) -> bool:
    same = (a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    return len(one) == len(other) and all(same)


def fates(receipt: Receipt) -> set[str]:
    """What a receipt tells of that was not simply kept."""
    return {f"{entry.part} {entry.state}" for entry in receipt if entry.state != "kept"}


# The three ways


class Quiet(Reporter):
    """A reporter that remembers receipts and errors."""

    def __init__(self) -> None:
        self.receipts: list[Receipt] = []
        self.errors: list[DeepDreamError] = []

    def done(self, done: Done) -> None:
        self.receipts.append(done.receipt)

    def failed(self, source: Path, error: DeepDreamError) -> None:
        self.errors.append(error)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """On one thread: pictures this small are done before others have heard of them."""
    threads = torch.get_num_threads(), pyvips.voperation.concurrency_get()
    torch.set_num_threads(1)
    pyvips.voperation.concurrency_set(1)
    yield Engine(EngineSettings(device="cpu"))
    torch.set_num_threads(threads[0])
    pyvips.voperation.concurrency_set(threads[1])


@dataclass
class Trip:
    """A source, what came of it, and the receipt."""

    before: Seen
    after: Seen
    receipt: Receipt


def files(source: Source, tmp_path: Path) -> tuple[Path, Path]:
    picture = tmp_path / f"picture.{source.kind.ending}"
    picture.write_bytes(source.bytes())
    return picture, tmp_path / f"picture.dream.{source.kind.ending}"


@cache
def original(source: Source) -> Seen:
    return seen(source.bytes(), source.kind.ending)


def trip(source: Source, result: Path, receipt: Receipt) -> Trip:
    return Trip(original(source), seen(result.read_bytes(), source.kind.ending), receipt)


def dreamed(source: Source, tmp_path: Path, engine: Engine, settings: DreamSettings) -> Trip:
    picture, result = files(source, tmp_path)
    reporter = Quiet()
    batch.run([jobs.Job(picture, tmp_path)], settings, lambda: engine, reporter, max_megapixels=10)
    assert not reporter.errors
    return trip(source, result, reporter.receipts[0])


def encoded_again(source: Source, tmp_path: Path) -> Trip:
    """Read and written, no sample changed, but as if some were."""
    picture, result = files(source, tmp_path)
    photo = replace(read_photo(picture, max_megapixels=10), untouched=False)
    return trip(source, result, write_photo(photo, result, overwrite=False))


every_source = pytest.mark.parametrize("source", SOURCES, ids=str)
a_few_of_each_kind = pytest.mark.parametrize("source", [one for one in SOURCES if one.feature in FEW], ids=str)


def check_source(source: Source, before: Seen) -> None:
    """A source carries what its name says, as others read it: else nothing that is compared with it would mean a thing."""
    given = source.carried
    assert len(before.pictures) == source.kind.frames
    if (
        source.kind.format != "jxl" or given.icc is not None
    ):  # JPEG XL always has a profile, made up from what its codestream says
        assert before.icc[0] == given.icc
    assert before.properties[0] == properties(given.xmp)
    if given.exif:
        told = before.tags[0]
        assert told["IFD0/272"] == tuple(b"Box camera II\0")
        assert told["Exif/34855"] == (400,)
        assert told["Exif/37500"] == tuple(MAKER_NOTE)
        assert told["GPS/1"] == tuple(b"N\0")
        if source.kind.name != "avif-8-gray":  # Pillow, which writes this kind, leaves it out
            assert ("thumbnail" in told) == (source.kind.format != "tiff")
    if source.kind.orientation_in == "exif":
        assert before.turns[0] == given.orientation


def same_metadata(source: Source, way: Trip) -> None:
    """Profile, EXIF and XMP are the source's, but orientation is 1, thumbnail and recipe apart."""
    before, after = way.before, way.after
    quarter = source.carried.orientation >= 5
    assert [told.get("IFD0/274", (1,)) for told in after.tags] == [(1,)] * len(after.tags)
    expected = [fit(told, quarter=quarter and not number) for number, told in enumerate(before.tags)]
    found = [fit(told) for told in after.tags]
    if (
        source.kind.name == "avif-8-gray"
    ):  # Pillow, which writes these sources, leaves the orientation out of their EXIF, and
        for told in (*found, *expected):  # puts it into a block made again when it reads them
            told.pop("MakerNote lies at", None)
    assert found == expected
    assert not any("thumbnail" in told for told in after.tags)
    packets = after.properties
    packets[0].pop(RECIPE, None)
    assert packets == [packet | dict.fromkeys(packet.keys() & {TURNED_IN_XMP}, "1") for packet in before.properties]
    if source.kind.format == "jxl" or (source.kind.truth is not None and source.kind.format != "bmp"):
        assert after.icc[0] is not None
        named = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(after.icc[0])))
        assert named.strip().endswith(("sRGB", "sRGB built-in", "Rel_SRG"))
    else:
        assert after.icc == before.icc
    same = {name: value for name, value in before.coding.items() if name not in GONE}
    if source.kind.becomes is None or source.kind.format == "png":
        assert after.coding == same


GONE = {"second"}
"""What a receipt tells to be dropped: a phone's second picture."""

TURNED = [("IFD0/256", "IFD0/257"), ("IFD0/282", "IFD0/283"), ("Exif/40962", "Exif/40963")]


def fit(tags: Tags, *, quarter: bool = False) -> Tags:
    """EXIF tags for upright pixels: no thumbnail, no orientation, after a quarter turn width and height exchanged."""
    fitting = {name: value for name, value in tags.items() if name not in ("thumbnail", "IFD0/274")}
    for across, down in TURNED:
        if quarter and across in tags and down in tags:
            fitting[across], fitting[down] = tags[down], tags[across]
    return fitting


def told_of(source: Source, before: Seen) -> set[str]:
    """What a receipt has to tell, and nothing but that."""
    told = set(source.kind.told)
    if any(turn != 1 for turn in before.turns) or source.carried.orientation != 1:
        told.add("orientation converted")
    if "thumbnail" in before.tags[0]:
        told.add("thumbnail dropped")
    if source.kind.format == "jxl" and source.carried.icc is not None:
        told.add("ICC converted")
    return told


def same_mode(source: Source, way: Trip) -> None:
    """Type and channels stay, gray stays gray; all levels of deep pictures are in use."""
    for before, after in zip(way.before.pictures, way.after.pictures, strict=True):
        kind, channels = source.kind.becomes or (before.dtype.str[1:], before.shape[2])
        assert after.dtype == np.dtype(kind)
        assert is_gray(after) == is_gray(before)
        if source.kind.format not in ("gif", "bmp"):  # their readers make colours of gray, and transparency of none
            assert after.shape[2] == channels
        if after.dtype.itemsize > 1 and way.after.white[0] != 255:
            assert len(np.unique(after[..., 0])) > 256


def is_gray(picture: Pixels) -> bool:
    return picture.shape[2] < 3 or bool((picture[..., :3] == picture[..., :1]).all())


def originals(source: Source, before: Seen) -> Iterator[tuple[Pixels, Pixels | None]]:
    """The colours [H, W, 3] in 0…1 and the transparency of each picture as a viewer shows it."""
    for picture, white, turn in zip(before.pictures, before.white, before.turns, strict=True):
        shown = upright(picture, turn)
        if source.kind.format == "jxl" and source.carried.icc is not None:
            yield in_srgb(shown, source.carried.icc), None
        elif source.kind.truth is not None:
            yield upright(source.kind.truth(source.carried.icc), turn), None
        else:
            yield colours(shown, white), transparency(shown)


def in_srgb(picture: Pixels, profile: bytes) -> Pixels:
    """Colours of 8 bits in sRGB instead of their own profile, as LittleCMS within libvips has them."""
    image = pyvips.Image.new_from_array(picture).copy(interpretation="srgb")
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    turned = image.icc_transform("srgb", embedded=True, intent="relative", black_point_compensation=True)
    return colours(turned.numpy(), 255)


def check_transparency(source: Source, way: Trip) -> None:
    for (_, before), picture in zip(originals(source, way.before), way.after.pictures, strict=True):
        after = transparency(picture)
        if source.kind.format == "bmp" or (before is None and source.kind.format == "gif"):
            assert after is None or after.min() == 255
        elif source.kind.soft_alpha:
            assert (before is None) == (after is None)
            if before is not None and after is not None:
                assert np.abs(before / before.max() - after / after.max()).mean() < ALIKE
        else:
            assert (before is None) == (after is None)
            assert before is None or after is None or np.array_equal(before, after)


@every_source
def test_strength_0_changes_nothing(source: Source, tmp_path: Path, engine: Engine) -> None:
    """Pixels to the bit, profile and EXIF to the byte, XMP but for the recipe; times, loops, pages, coding."""
    way = dreamed(source, tmp_path, engine, SMALL_STEP.model_copy(update={"strength": 0.0}))
    before, after = way.before, way.after
    check_source(source, before)
    assert fates(way.receipt) == set()
    assert equal(after.pictures, before.pictures)
    assert (after.icc, after.tags, after.turns) == (before.icc, before.tags, before.turns)
    assert after.coding == before.coding
    told = after.properties
    added = told[0].pop(RECIPE, None)
    assert told == before.properties
    beside = (tmp_path / f"picture.dream.{source.kind.ending}.dream.yaml").exists()
    assert beside == (source.kind.format in ("bmp", "avif", "heic"))
    assert beside == (added is None)


def checked(source: Source, way: Trip) -> Iterator[tuple[Pixels, Pixels]]:
    """Check all but the pixels; yield each picture's colours, before and after."""
    assert fates(way.receipt) == told_of(source, way.before)
    same_metadata(source, way)
    same_mode(source, way)
    check_transparency(source, way)
    for (original, _), picture, white in zip(
        originals(source, way.before), way.after.pictures, way.after.white, strict=True
    ):
        yield original, colours(picture, white)


@every_source
def test_a_small_dream_changes_pixels_a_little_and_nothing_else(source: Source, tmp_path: Path, engine: Engine) -> None:
    way = dreamed(source, tmp_path, engine, SMALL_STEP)
    for original, dream in checked(source, way):
        flat = source.kind.name.split("-")[1] in ("1", "2")  # black and white have no room to grow in
        assert (0 if flat else ALIKE) < distance(original, dream) < PLAIN
        others = [distance(upright(original, turn), dream) for turn in range(2, 9)]
        assert min(others) > 2 * PLAIN


@a_few_of_each_kind
def test_encoders_alone_change_nothing_where_they_need_not(source: Source, tmp_path: Path) -> None:
    way = encoded_again(source, tmp_path)
    for original, again in checked(source, way):
        assert distance(original, again) < ALIKE
        if source.kind.name in ("jxl-16-gray", "jxl-float-gray"):  # no more is lost than by rounding at the very end
            assert np.abs(original - again).max() < 0.75 / 255
        if source.kind.lossless and source.kind.truth is None and source.kind.becomes is None:
            assert np.array_equal(original, again)
    if source.kind.lossless and source.kind.truth is None and source.kind.becomes is None and source.kind.hidden_kept:
        turned = zip(way.before.pictures, way.before.turns, strict=True)
        assert equal(way.after.pictures, [upright(picture, turn) for picture, turn in turned]) or (
            source.kind.format == "bmp"  # its reader makes colours of a palette of grays
        )


# What it costs


DREAM_OF_NOTHING = """
import sys
import time
from pathlib import Path
import numpy as np
from deepdream_core.photo import read_photo, write_photo
started = time.monotonic()
photo = read_photo(Path(sys.argv[1]), max_megapixels=100)
planes = photo.frames[0].floats()
planes *= np.float32(0.98)
photo = photo.with_frames([photo.frames[0].with_floats(planes)])
del planes
write_photo(photo, Path(sys.argv[2]), overwrite=False)
print(time.monotonic() - started)
"""

MEASURED = """
import resource
import subprocess
import sys
subprocess.run([sys.executable, "-c", *sys.argv[1:]], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""A small process between, as a new one is charged with the memory of the one it comes from."""


@pytest.mark.slow("24 megapixels")
@pytest.mark.parametrize("ending", ["jpg", "tif", "png"])
def test_24_megapixels_take_less_than_a_gigabyte(tmp_path: Path, ending: str) -> None:
    """What it took is printed; `-rP` shows it."""
    pytest.importorskip("resource")
    picture, result = tmp_path / f"large.{ending}", tmp_path / f"result.{ending}"
    picture.write_bytes(large(ending))
    command = [sys.executable, "-c", MEASURED, DREAM_OF_NOTHING, str(picture), str(result)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    seconds, peak = float(told[0]), int(told[1]) * (1 if sys.platform == "darwin" else 1024)
    print(f"{seconds:.1f} s, {peak / 1e6:.0f} MB")
    assert peak < 1e9
    assert pyvips.Image.new_from_file(str(result)).width == 6000
