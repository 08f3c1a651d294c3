"""Colours told in other places than a profile, profiles that do not fit, HDR, and samples that are no transparency."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import pillow_heif
import pytest
import tifffile
from fidelity_sources import press
from PIL import Image, ImageCms, ImageFilter
from skimage import data

from deepdream_core.errors import OutputError, PictureError
from deepdream_core.photo import WriteOptions, check_target, icc, read_photo, write_photo
from deepdream_core.photo.codecs import jxl as jxl_codec
from deepdream_core.photo.colour import srgb_profile, undated
from deepdream_core.photo.container import blocks_of
from deepdream_core.photo.container.bmff import code_points_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from deepdream_core.photo import Photo, Receipt

    Pixels = NDArray[Any]

ASTRONAUT: Pixels = np.asarray(  # blurred, so that lossy formats change little
    Image.fromarray(getattr(data, "astronaut")()[:432, :576]).filter(ImageFilter.GaussianBlur(18)).resize((64, 48))  # noqa: B009
)
GRAYS: Pixels = ASTRONAUT[..., 1]
ADOBE = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06, 0.3127, 0.3290)
P3 = (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.3290)
SRGB = srgb_profile()
WIDE = undated(bytes(imagecodecs.cms_profile(
    "rgb", whitepoint=(0.3127, 0.3290, 1.0), primaries=[0.68, 0.32, 1, 0.265, 0.69, 1, 0.15, 0.06, 1], gamma=1.8
)))  # fmt: skip
GRAY_18 = undated(bytes(imagecodecs.cms_profile("gray", whitepoint=(0.3457, 0.3585, 1.0), gamma=1.8)))


def read(path: Path) -> Photo:
    return read_photo(path, max_megapixels=10)


def changed(photo: Photo) -> Photo:
    """The photo with one pixel changed, so that it is encoded again."""
    frame = photo.frames[0]
    planes = frame.floats()
    planes[:, 0, 0] = 0.5 if planes[0, 0, 0] < 0.4 else 0.1
    return photo.with_frames([frame.with_floats(planes), *photo.frames[1:]])


def written(source: Path, ending: str, **options: Any) -> tuple[Path, Receipt]:
    target = source.with_name(f"out.{ending}")
    return target, write_photo(changed(read(source)), target, WriteOptions(**options), overwrite=True)


def told(receipt: Receipt) -> dict[str, str]:
    return {entry.part: str(entry) for entry in receipt}


def opened(path: Path) -> Image.Image:
    """A picture as a viewer gets it: by libraries alone, HEIC and JPEG XL among them."""
    if path.suffix == ".heic":
        return pillow_heif.open_heif(path)[0].to_pillow()
    return Image.open(path)


def profile_in(path: Path) -> bytes | None:
    if path.suffix == ".gif":  # Pillow passes over it
        return blocks_of(path.read_bytes(), "GIF").icc
    with opened(path) as image:
        profile: bytes | None = image.info.get("icc_profile")
        return profile


def shown(path: Path) -> Pixels:
    """What a viewer with colour management shows, in sRGB with 8 bits, [H, W, 3]; the first pixel apart."""
    if path.suffix == ".jxl":
        return np.asarray(imagecodecs.jpegxl_decode(path.read_bytes()))
    with opened(path) as image:
        profile = profile_in(path)
        plain = image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")
    return in_srgb(np.asarray(plain), profile)


def in_srgb(samples: Pixels, profile: bytes | None) -> Pixels:
    image = Image.fromarray(samples)
    if profile:
        space = {"RGB ": "RGB", "GRAY": "L"}[profile[16:20].decode()]
        assert image.mode == space, "pixels and profile are of two kinds"
        turned = ImageCms.profileToProfile(
            image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"),
            ImageCms.Intent.RELATIVE_COLORIMETRIC, outputMode="RGB", flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )  # fmt: skip
        assert turned is not None
        image = turned
    return np.asarray(image.convert("RGB")).astype(int)


def assert_alike(one: Pixels, other: Pixels, most: float = 2) -> None:
    """Say that two pictures look the same: on average, as lossy formats and palettes move single values."""
    assert np.abs(one.astype(int) - other).reshape(-1, 3)[1:].mean() <= most


# A fourth sample that is no transparency


def bmp(samples: Pixels, header: int, *, masks: bool = True, more: bytes = b"", kind: bytes = b"BGRs") -> bytes:
    """A BMP of 32 bits with a header of 40, 108 or 124 bytes; `more` is what follows the kind of colours in it."""
    height, width = samples.shape[:2]
    mask = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) if masks else bytes(16)
    body = struct.pack("<IiiHHIIiiII", header, width, height, 1, 32, 3 if masks else 0, 0, 2835, 2835, 0, 0)
    if header > 40:
        body = (body + mask + kind + more)[:header].ljust(header, b"\0")
        more = (body + more)[header:] if kind == b"DEBM" else b""
    pixels = samples[::-1, :, [2, 1, 0, 3]].tobytes()
    start = 14 + len(body)
    tail = start + len(pixels)
    return struct.pack("<2sIHHI", b"BM", tail, 0, 0, start) + body + pixels


@pytest.mark.parametrize(
    ("header", "masks"), [(40, False), (52, True), (56, True), (108, True), (108, False), (124, True)]
)
def test_a_bmp_whose_alpha_is_0_everywhere_is_opaque(tmp_path: Path, header: int, masks: bool) -> None:
    source = tmp_path / "a.bmp"
    source.write_bytes(bmp(np.dstack([ASTRONAUT, np.zeros_like(GRAYS)]), header, masks=masks))
    photo = read(source)
    assert np.array_equal(photo.frames[0].samples, ASTRONAUT)
    target, receipt = written(source, "jpg")
    assert_alike(shown(target), ASTRONAUT)
    assert not [entry for entry in receipt if entry.lost]


def test_a_bmp_with_a_real_alpha_keeps_it(tmp_path: Path) -> None:
    alpha = np.zeros_like(GRAYS)
    alpha[20:, 10:] = 90
    (tmp_path / "a.bmp").write_bytes(bmp(np.dstack([ASTRONAUT, alpha]), 108))
    found = read(tmp_path / "a.bmp").frames[0].alpha
    assert found is not None
    assert np.array_equal(found, alpha)


SELECTION: Pixels = np.zeros_like(GRAYS)
SELECTION[10:30, 5:40] = 200
INFRARED: Pixels = 255 - GRAYS
ALPHA: Pixels = GRAYS // 2 + 60


@pytest.mark.parametrize(
    ("planes", "kinds"),
    [
        ((*ASTRONAUT.transpose(2, 0, 1), SELECTION), (0,)),
        ((*ASTRONAUT.transpose(2, 0, 1), SELECTION, INFRARED), (0, 0)),
        ((*ASTRONAUT.transpose(2, 0, 1), ALPHA, SELECTION), (2, 0)),
        ((*ASTRONAUT.transpose(2, 0, 1), SELECTION, ALPHA, INFRARED), (0, 2, 0)),
        ((*ASTRONAUT.transpose(2, 0, 1), ALPHA, INFRARED), (1, 2)),
        ((GRAYS, SELECTION), (0,)),
        ((GRAYS, ALPHA, INFRARED), (2, 0)),
    ],
    ids=["rgb+0", "rgb+0+0", "rgb+2+0", "rgb+0+2+0", "rgb+1+2", "gray+0", "gray+2+0"],
)
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
def test_unspecified_samples_are_kept_and_do_not_count_as_transparency(
    tmp_path: Path, planes: tuple[Pixels, ...], kinds: tuple[int, ...], planar: Any, kind: str
) -> None:
    scale = {"u1": 1, "u2": 257, "f4": 1 / 255}[kind]
    stored = (np.stack(planes).astype(np.float64) * scale).astype(kind)
    colours = len(planes) - len(kinds)
    tifffile.imwrite(
        tmp_path / "a.tif", stored if planar == "separate" else stored.transpose(1, 2, 0), planarconfig=planar,
        photometric="rgb" if colours == 3 else "minisblack", extrasamples=kinds, metadata=None,
    )  # fmt: skip
    alphas = [place for place, kind in enumerate(kinds) if kind in (1, 2)][:1]
    order = [*range(colours), *(colours + place for place in alphas)]
    order += [colours + place for place in range(len(kinds)) if place not in alphas]
    frame = read(tmp_path / "a.tif").frames[0]
    assert (frame.alpha is not None) == bool(alphas)
    assert frame.samples.shape[2] == colours + len(alphas)
    target, receipt = written(tmp_path / "a.tif", "tif", strict=True)
    with tifffile.TiffFile(target) as tiff:
        page = tiff.pages[0].aspage()
        result = page.asarray()
        assert tuple(map(int, page.extrasamples)) == tuple(kinds[place - colours] for place in order[colours:])
    assert np.array_equal(result.reshape(-1, len(planes))[1:], stored[order].reshape(len(planes), -1).T[1:])
    more = len(kinds) - len(alphas)
    assert told(receipt)["extra channels"] == f"extra channels kept: {more} besides colour and alpha"


def test_a_saved_selection_does_not_limit_the_dream(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.dstack([ASTRONAUT, SELECTION]), photometric="rgb", extrasamples=(0,))
    frame = read(tmp_path / "a.tif").frames[0]
    dreamed = frame.with_floats(1 - frame.floats())
    assert np.array_equal(dreamed.samples, 255 - ASTRONAUT)
    assert dreamed.extra is not None
    assert np.array_equal(dreamed.extra[..., 0], SELECTION)


def twelve_bits(samples: Pixels) -> bytes:
    """Samples packed by twelve bits, each row from a byte's beginning (an even number of samples)."""
    even, odd = samples.reshape(-1, 2).T
    return np.stack([even >> 4, (even & 15) << 4 | odd >> 8, odd & 255], axis=1).astype(np.uint8).tobytes()


def test_extra_samples_are_turned_and_widened_with_the_picture(tmp_path: Path) -> None:
    twelve = np.dstack([ASTRONAUT, SELECTION]).astype(np.uint16) * 16
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(
            np.dstack([ASTRONAUT, SELECTION]), photometric="rgb", extrasamples=(0,), extratags=[(274, 3, 1, 6, True)]
        )
    frame = read(tmp_path / "a.tif").frames[0]
    assert frame.extra is not None
    assert np.array_equal(frame.extra[..., 0], np.rot90(SELECTION, -1))
    packed = twelve_bits(twelve)
    height, width = GRAYS.shape
    fields = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, 4, 150), (259, 3, 1, 1), (262, 3, 1, 2),
              (273, 4, 1, 158), (277, 3, 1, 4), (278, 3, 1, height), (279, 4, 1, len(packed)), (338, 3, 1, 0)]  # fmt: skip
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", len(fields))
    head += b"".join(struct.pack("<HHII", *field) for field in fields) + bytes(4)
    file = head.ljust(150, b"\0") + struct.pack("<4H", 12, 12, 12, 12) + packed
    (tmp_path / "twelve.tif").write_bytes(file)
    deep = read(tmp_path / "twelve.tif").frames[0]
    assert deep.extra is not None
    assert np.array_equal(deep.extra[..., 0], np.rint(twelve[..., 3] * (65_535 / 4095)).astype(np.uint16))


def test_inks_and_palettes_with_a_further_sample(tmp_path: Path) -> None:
    inks = np.dstack([255 - ASTRONAUT, GRAYS // 9, SELECTION])
    tifffile.imwrite(tmp_path / "inks.tif", inks, photometric="separated", extrasamples=(0,), metadata=None)
    frame = read(tmp_path / "inks.tif").frames[0]
    assert (frame.samples.shape[2], frame.extra_kinds) == (3, (0,))
    assert frame.extra is not None
    assert np.array_equal(frame.extra[..., 0], SELECTION)


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "heic", "avif", "jxl", "gif", "bmp"])
def test_a_format_without_room_for_extra_samples_says_so(tmp_path: Path, ending: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.dstack([ASTRONAUT, SELECTION]), photometric="rgb", extrasamples=(0,))
    target, receipt = written(tmp_path / "a.tif", ending)
    assert told(receipt)["extra channels"].startswith("extra channels dropped: 1 besides colour and alpha")
    assert "alpha" not in told(receipt)
    assert_alike(shown(target), ASTRONAUT, 6)
    with pytest.raises(OutputError, match="extra channels dropped"):
        check_target(read(tmp_path / "a.tif"), target, WriteOptions(strict=True), overwrite=True)


# HDR, wherever it is told


def chunk(kind: bytes, payload: bytes) -> bytes:
    named = kind + payload
    return struct.pack(">I", len(payload)) + named + struct.pack(">I", zlib.crc32(named))


def png(path: Path, chunks: Sequence[tuple[bytes, bytes]] = (), pixels: Pixels = ASTRONAUT, **options: Any) -> Path:
    """A PNG with further chunks behind its header."""
    file = io.BytesIO()
    if pixels.dtype == np.uint16:
        file.write(imagecodecs.png_encode(pixels))
    else:
        Image.fromarray(pixels).save(file, "PNG", **options)
    coded = file.getvalue()
    path.write_bytes(coded[:33] + b"".join(chunk(*each) for each in chunks) + coded[33:])
    return path


def with_tag(profile: bytes, name: bytes, payload: bytes) -> bytes:
    """An ICC profile with one more tag, or with another value of one."""
    count = int.from_bytes(profile[128:132], "big")
    tags = [struct.unpack_from(">4sII", profile, 132 + 12 * number) for number in range(count)]
    values = {called: profile[start : start + length] for called, start, length in tags} | {name: payload}
    at = 132 + 12 * len(values)
    table, body = struct.pack(">I", len(values)), b""
    for called, value in values.items():
        table += struct.pack(">4sII", called, at + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    return struct.pack(">I", at + len(body)) + profile[4:128] + table + body


def cicp(primaries: int, transfer: int) -> bytes:
    return with_tag(SRGB, b"cicp", b"cicp" + bytes(4) + bytes([primaries, transfer, 0, 1]))


def saved(path: Path, profile: bytes, pixels: Pixels = ASTRONAUT) -> Path:
    """A picture with a profile, written by the format's library."""
    image = Image.fromarray(pixels)
    match path.suffix:
        case ".heic":
            pillow_heif.from_pillow(image).save(path, icc_profile=profile)
        case ".gif":
            image.save(path)
            coded = path.read_bytes()
            place = 13 + (3 << ((coded[10] & 7) + 1))
            parts = [profile[at : at + 255] for at in range(0, len(profile), 255)]
            body = b"".join(bytes([len(part)]) + part for part in parts) + b"\0"
            path.write_bytes(b"GIF89a" + coded[6:place] + b"\x21\xff\x0bICCRGBG1012" + body + coded[place:])
        case ".bmp":
            plain = bmp(np.dstack([pixels, np.zeros_like(pixels[..., 0])]), 124, kind=b"DEBM")
            where = struct.pack("<II", len(plain) - 14, len(profile))
            path.write_bytes(plain[:126] + where + plain[134:] + profile)
        case _:
            image.save(path, icc_profile=profile, quality=98)
    return path


REFUSED = r"is an HDR picture \({}\), which DeepDream cannot read — export it as SDR"


@pytest.mark.parametrize(("transfer", "kind"), [(16, "PQ"), (18, "HLG")])
@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp", "avif", "heic", "gif", "bmp"])
def test_hdr_is_refused_that_a_profile_tells(tmp_path: Path, ending: str, transfer: int, kind: str) -> None:
    with pytest.raises(PictureError, match=REFUSED.format(kind)):
        read(saved(tmp_path / f"a.{ending}", cicp(9, transfer)))
    assert read(saved(tmp_path / f"b.{ending}", cicp(1, 13))).size == (64, 48)


@pytest.mark.parametrize(("transfer", "kind"), [(16, "PQ"), (18, "HLG")])
def test_hdr_in_a_pngs_chunk_is_refused(tmp_path: Path, transfer: int, kind: str) -> None:
    code = (b"cICP", bytes([9, transfer, 0, 1]))
    both: dict[str, Any] = {"icc_profile": SRGB}
    for number, options in enumerate([{}, both]):
        with pytest.raises(PictureError, match=REFUSED.format(kind)):
            read(png(tmp_path / f"{number}.png", [code], **options))
    with pytest.raises(PictureError, match=REFUSED.format(kind)):
        read(png(tmp_path / "deep.png", [code], ASTRONAUT.astype(np.uint16) * 257))


@pytest.mark.parametrize(("transfer", "kind"), [(16, "PQ"), (18, "HLG")])
@pytest.mark.parametrize("ending", ["avif", "heic"])
def test_hdr_in_one_of_two_boxes_is_refused(tmp_path: Path, ending: str, transfer: int, kind: str) -> None:
    """A profile stands beside the code points, before or behind them."""
    coded = saved(tmp_path / f"a.{ending}", SRGB).read_bytes()
    nclx = struct.pack(">I4s4sHHHB", 19, b"colr", b"nclx", 9, transfer, 9, 128)
    for first in (True, False):
        if ending == "avif":  # its writer has put code points there
            at = coded.find(b"colrnclx") + 8
            file = coded[:at] + struct.pack(">HH", 9, transfer) + coded[at + 4 :]
        else:
            file = with_property(coded, nclx, first=first)
        (tmp_path / f"b.{ending}").write_bytes(file)
        with pytest.raises(PictureError, match=REFUSED.format(kind)):
            read(tmp_path / f"b.{ending}")
    (tmp_path / f"c.{ending}").write_bytes(
        file.replace(b"nclx" + struct.pack(">HH", 9, transfer), b"nclx" + struct.pack(">HH", 9, 13))
    )
    assert read(tmp_path / f"c.{ending}").blocks.icc == SRGB


@pytest.mark.parametrize("ending", ["avif", "heic"])
def test_code_points_of_another_item_say_nothing_of_the_main_picture(tmp_path: Path, ending: str) -> None:
    """As in a file with a gain map, whose brighter rendition is in PQ."""
    coded = saved(tmp_path / f"a.{ending}", SRGB).read_bytes()
    nclx = struct.pack(">I4s4sHHHB", 19, b"colr", b"nclx", 9, 16, 9, 128)
    (tmp_path / f"a.{ending}").write_bytes(with_property(coded, nclx, first=True, associated=False))
    assert read(tmp_path / f"a.{ending}").blocks.icc == SRGB


@pytest.mark.parametrize(("transfer", "kind"), [(16, "PQ"), (18, "HLG")])
@pytest.mark.parametrize("ending", ["avif", "heic"])
def test_hdr_is_refused_that_only_the_coded_picture_tells(
    tmp_path: Path, ending: str, transfer: int, kind: str
) -> None:
    path = tmp_path / f"a.{ending}"
    if ending == "avif":
        path.write_bytes(imagecodecs.avif_encode(ASTRONAUT, primaries=9, transfer=transfer, matrix=9))
    else:
        image = pillow_heif.from_pillow(Image.fromarray(ASTRONAUT))
        image.save(path, color_primaries=9, transfer_characteristics=transfer, matrix_coefficients=9)
    coded = path.read_bytes()
    assert coded.count(b"colrnclx") == 1
    path.write_bytes(coded.replace(b"colrnclx", b"freenclx"))
    with pytest.raises(PictureError, match=REFUSED.format(kind)):
        read(path)
    plain = saved(tmp_path / f"b.{ending}", b"").read_bytes()
    path.write_bytes(plain.replace(b"colrnclx", b"freenclx"))
    assert read(path).blocks.icc is None


def test_headers_of_coded_pictures_that_are_cut_off_or_wrong_are_an_error_and_nothing_else() -> None:
    av1 = bytes(imagecodecs.avif_encode(ASTRONAUT, primaries=9, transfer=16, matrix=9))
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(ASTRONAUT)).save(file, color_primaries=9, transfer_characteristics=16)
    random = np.random.default_rng(1)
    for coded in (av1, file.getvalue()):
        assert code_points_of(coded) == [(9, 16)]
        for end in range(min(len(coded), 700)):
            code_points_of(coded[:end])
        boxes = coded[: coded.find(b"mdat") + 40]
        for _ in range(300):
            broken = np.frombuffer(boxes.replace(b"colr", b"free"), np.uint8).copy()
            broken[random.integers(40, len(broken), 3)] = random.integers(0, 256, 3)
            code_points_of(broken.tobytes() + coded[len(boxes) :])


def with_property(coded: bytes, box: bytes, *, first: bool, associated: bool = True) -> bytes:
    """A HEIC or AVIF whose only item has one more property; boxes around it and the places of pixels are set right."""
    file = bytearray(coded)
    ipma, ipco = file.find(b"ipma") - 4, file.find(b"ipco") - 4
    count = file[ipma + 18]  # behind the header of 12 bytes, the number of items, and the item
    number = 1
    at = ipco + 8
    while at < ipco + int.from_bytes(file[ipco : ipco + 4], "big"):
        at += int.from_bytes(file[at : at + 4], "big")
        number += 1
    if associated:
        file[ipma + 18] += 1
        entry = ipma + 19 if first else ipma + 19 + count
        file[entry:entry] = bytes([number])
        for parent in (ipma, file.find(b"iprp") - 4, file.find(b"meta") - 4):
            file[parent : parent + 4] = (int.from_bytes(file[parent : parent + 4], "big") + 1).to_bytes(4, "big")
    end = at
    file[end:end] = box
    for parent in (ipco, file.find(b"iprp") - 4, file.find(b"meta") - 4):
        file[parent : parent + 4] = (int.from_bytes(file[parent : parent + 4], "big") + len(box)).to_bytes(4, "big")
    grown = len(file) - len(coded)
    iloc = file.find(b"iloc") + 4
    for place in range(iloc, iloc + 64):  # the pixels' offset, whatever size the fields before it have
        start = int.from_bytes(coded[place : place + 4], "big")
        if start == coded.find(b"mdat") + 4:
            file[place : place + 4] = (start + grown).to_bytes(4, "big")
            return bytes(file)
    raise AssertionError("the pixels' place is not found")


@pytest.mark.parametrize(("transfer", "kind"), [(16, "PQ"), (18, "HLG")])
def test_hdr_in_a_jpeg_xls_header_is_refused(tmp_path: Path, transfer: int, kind: str) -> None:
    (tmp_path / "a.jxl").write_bytes(jxl(9, transfer))
    with pytest.raises(PictureError, match=REFUSED.format(kind)):
        read(tmp_path / "a.jxl")
    (tmp_path / "b.jxl").write_bytes(jxl(1, 13))
    assert np.array_equal(read(tmp_path / "b.jxl").frames[0].samples, ASTRONAUT)


def jxl(primaries: int, transfer: int) -> bytes:
    """A lossless JPEG XL that tells its colours in the header (ISO/IEC 18181-1, annex E), not by the default."""
    coded = bytes(imagecodecs.jpegxl_encode(ASTRONAUT, lossless=True, effort=3, usecontainer=False))
    assert coded[:2] == b"\xff\x0a"
    bits = [byte >> place & 1 for byte in coded[2:64] for place in range(8)]
    short = bits[0]
    sides = 1 + (5 if short else 2 + (9, 13, 18, 30)[bits[1] + 2 * bits[2]])
    sides += 3 + (0 if any(bits[sides : sides + 3]) else 5)
    end = sides + 2 + 1 + 2 + 1 + 2 + 1  # no default, no extra fields, 8 bits, small buffers, no more channels, no XYB
    assert bits[sides:end] == [0, 0, 0, 0, 0, 1, 0, 0, 0]
    assert bits[end] == 1  # the default colours, behind which are no extensions and the default transform
    described = [0, 0, *enum(0), *enum(1), *enum(primaries), 0, *enum(transfer), *enum(1), 0, 0, 1]
    header = bits[:end] + described
    header += [0] * (-len(header) % 8)
    packed = bytes(sum(header[at + place] << place for place in range(8)) for at in range(0, len(header), 8))
    return coded[:2] + packed + coded[2 + -(-(end + 4) // 8) :]


def enum(value: int) -> list[int]:
    selector, start, count = (value, 0, 0) if value < 2 else (2, 2, 4) if value < 18 else (3, 18, 6)
    return [selector & 1, selector >> 1, *((value - start) >> place & 1 for place in range(count))]


@pytest.mark.parametrize(
    ("name", "curve", "kind"),
    [("Rec. ITU-R BT.2100 PQ", None, "PQ"), ("ITU-R BT.2020 Reference Display HLG", None, "HLG"),
     ("SMPTE ST 2084, BT.2020", None, "PQ"), ("a camera", icc.pq, "PQ"), ("a camera", icc.hlg, "HLG"),
     ("a camera", None, None), ("HLGraphics", None, None), ("a camera", lambda steps: steps**2.6, None)],
)  # fmt: skip
def test_hdr_profiles_from_before_the_tag_are_known_by_name_or_curve(
    tmp_path: Path, name: str, curve: Callable[[Pixels], Pixels] | None, kind: str | None
) -> None:
    table = icc.SRGB_CURVE if curve is None else icc.table_curve(curve(np.linspace(0, 1, 1024)))
    path = saved(tmp_path / "a.jpg", icc.rgb_profile(name, P3, [table]))
    if kind is None:
        assert read(path).blocks.icc
    else:
        with pytest.raises(PictureError, match=REFUSED.format(kind)):
            read(path)


def test_hdr_on_a_later_page_is_refused(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(ASTRONAUT, photometric="rgb", iccprofile=SRGB)
        writer.write(ASTRONAUT, photometric="rgb", iccprofile=cicp(9, 16))
    with pytest.raises(PictureError, match=REFUSED.format("PQ")):
        read(tmp_path / "a.tif")


# Colours told elsewhere than in a profile


def chrm(chromaticities: Sequence[float]) -> tuple[bytes, bytes]:
    x_and_y = [*chromaticities[6:], *chromaticities[:6]]
    return b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in x_and_y))


def gama(exponent: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(100_000 / exponent))


def meant(pixels: Pixels, chromaticities: Sequence[float], exponent: float | None) -> Pixels:
    """What the pixels look like in sRGB, by the formulas alone; no exponent for the curve of sRGB."""
    xy = np.array(chromaticities).reshape(4, 2)
    to_xyz = colours_of(xy)
    from_xyz = np.linalg.inv(colours_of(np.array([0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290]).reshape(4, 2)))
    signal = pixels / np.iinfo(pixels.dtype).max
    curve = np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    light = np.clip((curve if exponent is None else signal**exponent) @ (from_xyz @ to_xyz).T, 0, 1)
    shown = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    result: Pixels = np.rint(shown * 255).astype(int)
    return result


def colours_of(xy: Pixels) -> Pixels:
    """The matrix from RGB to XYZ of primaries and white (D65 in all these tests, so that nothing has to be adapted)."""
    xyz = np.stack([xy[:, 0] / xy[:, 1], np.ones(4), (1 - xy.sum(axis=1)) / xy[:, 1]])
    result: Pixels = xyz[:, :3] * np.linalg.solve(xyz[:, :3], xyz[:, 3])
    return result


STANDARD = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
TARGETS = ("jpg", "png", "tif", "webp", "heic", "avif", "gif", "bmp", "jxl")
DESCRIBED = {
    "gamma 1": ([gama(1.0)], STANDARD, 1.0),
    "gamma 1.8": ([gama(1.8)], STANDARD, 1.8),
    "wide": ([gama(2.2), chrm(ADOBE)], ADOBE, 2.2),
    "primaries alone": ([chrm(P3)], P3, None),
    "code points": ([(b"cICP", b"\x0c\x0d\0\1")], P3, None),
    "code points before a profile": ([(b"cICP", b"\x0c\x0d\0\1"), gama(1.0)], P3, None),
    "code points that nobody knows": ([(b"cICP", b"\x02\x02\0\1"), gama(1.8)], STANDARD, 1.8),
    "sRGB before gamma": ([(b"sRGB", b"\0"), gama(1.0), chrm(ADOBE)], STANDARD, None),
    "sRGB's own gamma": ([gama(2.2), chrm(STANDARD)], STANDARD, None),
    "no colours": ([gama(2.2), chrm([0.0] * 8)], STANDARD, None),
}


@pytest.mark.parametrize("strip", [False, True], ids=["", "strip"])
@pytest.mark.parametrize("ending", TARGETS)
@pytest.mark.parametrize("case", DESCRIBED)
def test_colours_described_by_a_pngs_chunks_are_kept(tmp_path: Path, case: str, ending: str, strip: bool) -> None:
    chunks, chromaticities, exponent = DESCRIBED[case]
    options: dict[str, Any] = {"icc_profile": WIDE} if case == "code points before a profile" else {}
    source = png(tmp_path / "a.png", chunks, **options)
    target, receipt = written(source, ending, strip=strip)
    truth = meant(ASTRONAUT, chromaticities, exponent)
    plain = chromaticities == STANDARD and exponent is None
    words = told(receipt)
    if ending == "png":
        assert [chunk in target.read_bytes() for _, chunk in chunks] == [True] * len(chunks)
        assert profile_in(target) == options.get("icc_profile")
        return
    assert_alike(shown(target), truth, 6 if ending == "gif" else 3)
    assert ("colour description" in words) == (not plain)
    assert "ICC" not in words
    if not plain and ending in ("bmp", "jxl"):
        assert words["colour description"].startswith("colour description converted: colours converted to sRGB (")
    elif not plain:
        assert words["colour description"].startswith("colour description converted: to an ICC profile: ")


@pytest.mark.parametrize("pixels", [ASTRONAUT.astype(np.uint16) * 257, GRAYS, GRAYS.astype(np.uint16) * 257])
def test_gamma_counts_in_deep_and_in_gray_pngs(tmp_path: Path, pixels: Pixels) -> None:
    source = png(tmp_path / "a.png", [gama(1.0)], pixels)
    gray = pixels if pixels.ndim == 3 else pixels[..., None].repeat(3, 2)
    for ending in ("jpg", "bmp", "webp"):
        target, receipt = written(source, ending)
        assert_alike(shown(target), meant(gray, STANDARD, 1.0), 3)
        turned = pixels.dtype == np.uint16 and ending != "bmp"
        assert ("which 8 bits need" in told(receipt)["colour description"]) == turned


@pytest.mark.parametrize(("pixels", "ending"), [(ASTRONAUT, "jpg"), (GRAYS, "jpg"), (GRAYS, "webp")])
def test_linear_light_gets_even_steps_where_8_bits_hold_few_dark_ones(
    tmp_path: Path, pixels: Pixels, ending: str
) -> None:
    dark = np.rint((pixels / 255 / 8) ** 2.2 * 65_535).astype(np.uint16)
    source = png(tmp_path / "a.png", [gama(1.0), chrm(P3)], dark)
    target, _ = written(source, ending)
    kinds_fit(target)
    truth = meant(dark if dark.ndim == 3 else dark[..., None].repeat(3, 2), P3 if dark.ndim == 3 else STANDARD, 1.0)
    assert_alike(shown(target), truth, 1)
    with Image.open(target) as image:
        assert len(np.unique(np.asarray(image)[..., -1])) > 8


def test_narrow_range_is_what_it_says(tmp_path: Path) -> None:
    narrow = np.rint(ASTRONAUT * (219 / 255) + 16).astype(np.uint8)
    source = png(tmp_path / "a.png", [(b"cICP", b"\1\x0d\0\0")], narrow)
    target, _ = written(source, "bmp")
    assert_alike(shown(target), ASTRONAUT, 2)


def exif(space: int | None, index: bytes | None, more: Sequence[tuple[int, tuple[int, ...]]] = ()) -> bytes:
    """A block with colour space, interoperability index, and rationals of the first directory."""
    values = b""
    own: list[bytes] = []
    folder = [] if space is None else [struct.pack("<HHIHH", 40961, 3, 1, space, 0)]
    base = 8 + 2 + 12 * (len(more) + 1) + 4
    for tag, numbers in more:
        own.append(struct.pack("<HHII", tag, 5, len(numbers) // 2, base + len(values)))
        values += struct.pack(f"<{len(numbers)}I", *numbers)
    at = base + len(values)
    if index is not None:
        below = at + 2 + 12 * (len(folder) + 1) + 4
        folder.append(struct.pack("<HHII", 40965, 4, 1, below))
    own.append(struct.pack("<HHII", 34665, 4, 1, at))
    block = b"II*\0\x08\0\0\0" + struct.pack("<H", len(own)) + b"".join(sorted(own)) + bytes(4) + values
    block += struct.pack("<H", len(folder)) + b"".join(folder) + bytes(4)
    if index is not None:
        block += struct.pack("<H", 1) + struct.pack("<HHI4s", 1, 2, 4, index) + bytes(4)
    return block


def ratios(values: Sequence[float]) -> tuple[int, ...]:
    return tuple(number for value in values for number in (round(value * 10_000), 10_000))


BY_EXIF = {
    "R03": (exif(65535, b"R03\0"), ADOBE, 563 / 256),
    "R03 without a colour space": (exif(None, b"R03\0"), ADOBE, 563 / 256),
    "2": (exif(2, None), ADOBE, 563 / 256),
    "primaries": (exif(65535, b"R98\0", [(318, ratios(P3[6:])), (319, ratios(P3[:6]))]), P3, 2.2),
    "sRGB": (exif(1, b"R98\0"), STANDARD, None),
    "sRGB and R03": (exif(1, b"R03\0"), STANDARD, None),
    "uncalibrated": (exif(65535, b"R98\0"), STANDARD, None),
    "cut off": (exif(65535, b"R03\0")[:30], STANDARD, None),
}


@pytest.mark.parametrize("strip", [False, True], ids=["", "strip"])
@pytest.mark.parametrize("ending", TARGETS)
@pytest.mark.parametrize("case", BY_EXIF)
def test_colours_described_by_exif_are_kept(tmp_path: Path, case: str, ending: str, strip: bool) -> None:
    block, chromaticities, exponent = BY_EXIF[case]
    source = tmp_path / "a.jpg"
    Image.fromarray(ASTRONAUT).save(source, exif=b"Exif\0\0" + block, quality=98, subsampling=0)
    with Image.open(source) as image:
        before = np.asarray(image)
    target, receipt = written(source, ending, strip=strip)
    assert_alike(shown(target), meant(before, chromaticities, exponent), 6 if ending == "gif" else 3)
    assert ("colour description" in told(receipt)) == (chromaticities != STANDARD)


@pytest.mark.parametrize("ending", ["png", "tif", "webp", "heic"])
def test_exif_describes_colours_in_every_container_unless_the_container_does(tmp_path: Path, ending: str) -> None:
    block = exif(65535, b"R03\0")
    path = tmp_path / f"a.{ending}"
    image = Image.fromarray(ASTRONAUT)
    if ending == "tif":
        tifffile.imwrite(path, ASTRONAUT, photometric="rgb")
        from deepdream_core.photo import tiff_edit

        path.write_bytes(tiff_edit.with_exif(bytearray(path.read_bytes()), [block]))
    elif ending == "heic":
        pillow_heif.from_pillow(image).save(
            path, exif=b"Exif\0\0" + block, color_primaries=2, transfer_characteristics=2
        )
    else:
        image.save(path, exif=b"Exif\0\0" + block, lossless=True)
    profile = read(path).blocks.icc
    assert profile is not None
    assert_alike(in_srgb(ASTRONAUT, profile), meant(ASTRONAUT, ADOBE, 563 / 256))
    if ending == "png":
        assert read(png(tmp_path / "s.png", [(b"sRGB", b"\0")], exif=b"Exif\0\0" + block)).blocks.icc is None
        assert read(png(tmp_path / "i.png", icc_profile=WIDE, exif=b"Exif\0\0" + block)).blocks.icc == WIDE


@pytest.mark.parametrize("ending", ["tif", "jpg", "bmp"])
def test_a_tiffs_own_description_counts(tmp_path: Path, ending: str) -> None:
    source = tmp_path / "a.tif"
    steps = np.linspace(0, 1, 256)
    one = tuple(int(value) for value in np.rint(65_535 * steps**1.5))
    tags: list[Any] = [(318, 5, 2, ratios(P3[6:]), True), (319, 5, 6, ratios(P3[:6]), True)]
    tifffile.imwrite(source, ASTRONAUT, photometric="rgb", metadata=None, extratags=tags)
    assert_alike(shown(written(source, ending)[0]), meant(ASTRONAUT, P3, 2.2))
    for table in (one, one * 3):
        with_curve = [*tags, (301, 3, len(table), table, True)]
        tifffile.imwrite(source, ASTRONAUT, photometric="rgb", metadata=None, extratags=with_curve)
        assert_alike(shown(written(source, ending)[0]), meant(ASTRONAUT, P3, 1.5))
    tifffile.imwrite(source, GRAYS, photometric="minisblack", metadata=None, extratags=[(301, 3, 256, one, True)])
    assert_alike(shown(written(source, ending)[0]), meant(GRAYS[..., None].repeat(3, 2), STANDARD, 1.5))
    tifffile.imwrite(source, ASTRONAUT, photometric="rgb", metadata=None, extratags=[(301, 3, 5, one[:5], True)])
    assert read(source).blocks.icc is None


@pytest.mark.parametrize("as_chromaticities", [True, False])
def test_a_bmps_endpoints_count(tmp_path: Path, as_chromaticities: bool) -> None:
    columns = colours_of(np.array(P3).reshape(4, 2)).T
    points = [(x, y, 1 - x - y) for x, y in np.array(P3[:6]).reshape(3, 2)] if as_chromaticities else columns
    fixed = struct.pack("<9I", *(round(float(value) * (1 << 30)) for point in points for value in point))
    more = fixed + struct.pack("<3I", *[round(1.8 * 65_536)] * 3)
    opaque = np.dstack([ASTRONAUT, np.full_like(GRAYS, 255)])
    for kind, truth in ((bytes(4), meant(ASTRONAUT, P3, 1.8)), (b"BGRs", ASTRONAUT)):
        (tmp_path / "a.bmp").write_bytes(bmp(opaque, 108, kind=kind, more=more))
        for ending in ("png", "bmp"):
            assert_alike(shown(written(tmp_path / "a.bmp", ending)[0]), truth)
    (tmp_path / "a.bmp").write_bytes(bmp(opaque, 108, kind=bytes(4)))
    assert read(tmp_path / "a.bmp").blocks.icc is None
    profile = read(saved(tmp_path / "b.bmp", WIDE)).blocks.icc
    assert profile == WIDE


def test_code_points_in_boxes_are_read(tmp_path: Path) -> None:
    pillow_heif.from_pillow(Image.fromarray(ASTRONAUT)).save(
        tmp_path / "a.heic", color_primaries=12, transfer_characteristics=13
    )
    before = np.asarray(opened(tmp_path / "a.heic"))
    for ending in ("jpg", "bmp"):
        target, receipt = written(tmp_path / "a.heic", ending)
        assert_alike(shown(target), meant(before, P3, None))
        assert "Display P3 by code points" in told(receipt)["colour description"]


def test_nothing_changed_means_the_same_bytes_whatever_describes_the_colours(tmp_path: Path) -> None:
    sources = [
        png(tmp_path / "a.png", [(b"cICP", b"\x0c\x0d\0\1")]),
        saved(tmp_path / "b.jpg", WIDE, GRAYS),
        saved(tmp_path / "c.webp", GRAY_18),
    ]
    (tmp_path / "d.bmp").write_bytes(bmp(np.dstack([ASTRONAUT, np.zeros_like(GRAYS)]), 108))
    tifffile.imwrite(tmp_path / "e.tif", np.dstack([ASTRONAUT, SELECTION]), photometric="rgb", extrasamples=(0,))
    for source in (*sources, tmp_path / "d.bmp", tmp_path / "e.tif"):
        target = source.with_stem("out")
        write_photo(read(source), target, overwrite=True)
        assert target.read_bytes() == source.read_bytes()


# A profile of another kind than the pixels


def kinds_fit(path: Path) -> None:
    profile = profile_in(path)
    assert profile is not None
    with opened(path) as image:
        assert icc.space_of(profile) == ("GRAY" if image.mode in ("L", "LA", "I;16") else "RGB")


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp", "heic", "gif"])
@pytest.mark.parametrize("source", ["gray.jpg", "gray.png", "palette.png", "gray.tif", "gray.gif", "gray.webp"])
@pytest.mark.parametrize("profile", [GRAY_18, WIDE, SRGB], ids=["gray", "wide", "sRGB"])
def test_gray_pictures_get_a_profile_that_fits(tmp_path: Path, source: str, profile: bytes, ending: str) -> None:
    path = tmp_path / source
    if source == "palette.png":
        image = Image.fromarray(GRAYS).quantize(256)
        image.save(path, icc_profile=profile)
    elif source == "gray.webp":
        Image.fromarray(GRAYS).save(path, icc_profile=profile, lossless=True)
    else:
        saved(path, profile, GRAYS)
    target, receipt = written(path, ending)
    kinds_fit(target)
    neutral = GRAYS[..., None].repeat(3, 2)
    truth = in_srgb(GRAYS, profile) if profile == GRAY_18 else in_srgb(neutral, profile)
    assert_alike(shown(target), truth, 3)
    assert told(receipt)["ICC"].startswith(("ICC kept", "ICC converted: to "))
    assert not [entry for entry in receipt if entry.lost and entry.part == "ICC"]


def test_gray_with_alpha_and_a_profile_converts_to_formats_without_it(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([GRAYS, ALPHA]), "LA").save(tmp_path / "a.png", icc_profile=GRAY_18)
    for ending in ("webp", "heic", "avif", "png", "tif"):
        kinds_fit(written(tmp_path / "a.png", ending)[0])


@pytest.mark.parametrize("ending", ["jpg", "webp", "png", "tif"])
def test_a_profile_for_other_pixels_is_left_out_and_reported(tmp_path: Path, ending: str) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for number, (profile, pixels) in enumerate(
        [
            (GRAY_18, ASTRONAUT),
            (press(), ASTRONAUT),
            (press(), GRAYS),
            (lab, ASTRONAUT),
            (b"no profile", ASTRONAUT),
            (WIDE[:300], ASTRONAUT),
            (WIDE[:300], GRAYS),
        ]
    ):
        source = saved(tmp_path / f"{number}.png", profile, pixels)
        target, receipt = written(source, ending)
        assert profile_in(target) is None
        dropped = [entry for entry in receipt if entry.part == "ICC"]
        assert [(entry.state, entry.lost) for entry in dropped] == [("dropped", True)]
        assert_alike(shown(target), pixels if pixels.ndim == 3 else pixels[..., None].repeat(3, 2), 3)


def test_a_profile_in_imagemagicks_older_form_counts(tmp_path: Path) -> None:
    text = b"Raw profile type icc\0\nicc\n%8d\n%s\n" % (len(WIDE), WIDE.hex().encode())
    assert profile_in(written(png(tmp_path / "a.png", [(b"tEXt", text)]), "jpg")[0]) == WIDE
    assert profile_in(written(png(tmp_path / "b.png", [(b"tEXt", text)], icc_profile=SRGB), "jpg")[0]) == SRGB


def test_inks_with_a_profile_for_something_else_say_so(tmp_path: Path) -> None:
    Image.fromarray(ASTRONAUT).convert("CMYK").save(tmp_path / "a.jpg", icc_profile=WIDE)
    _, receipt = written(tmp_path / "a.jpg", "jpg")
    assert "without the profile, which is not for CMYK" in next(
        entry.detail for entry in receipt if entry.part == "colours"
    )


def test_another_description_counts_if_the_profile_does_not_fit(tmp_path: Path) -> None:
    source = png(tmp_path / "a.png", [gama(1.0)], icc_profile=press())
    assert_alike(shown(written(source, "bmp")[0]), meant(ASTRONAUT, STANDARD, 1.0))


def test_every_page_of_a_tiff_has_a_profile_that_fits(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(ASTRONAUT, photometric="rgb", iccprofile=WIDE)
        writer.write(GRAYS, photometric="minisblack", iccprofile=WIDE)
    target, _ = written(tmp_path / "a.tif", "tif")
    with tifffile.TiffFile(target) as tiff:
        profiles = [page.aspage().iccprofile for page in tiff.pages]
    assert profiles[0] == WIDE
    assert profiles[1] is not None
    assert_alike(in_srgb(GRAYS, profiles[1]), in_srgb(GRAYS[..., None].repeat(3, 2), WIDE))


def test_a_profile_of_tables_becomes_a_gray_one_of_the_same_light(tmp_path: Path) -> None:
    """Not a matrix and curves: what gray means has to be asked of the tables."""
    gains = with_tag(with_tag(WIDE, b"gTRC", icc.gamma_curve(1.5)), b"bTRC", icc.gamma_curve(2.0))
    target, _ = written(saved(tmp_path / "a.png", gains, GRAYS), "jpg")
    luma = np.array([0.2126, 0.7152, 0.0722])
    truth = in_srgb(GRAYS[..., None].repeat(3, 2), gains) @ luma
    assert np.abs(shown(target)[..., 0] - truth).mean() < 3


def test_the_test_reads_what_it_means(tmp_path: Path) -> None:
    """The decoder's own view of a JPEG XL's header agrees with what `jxl` wrote into it."""
    assert icc.hdr_of(jxl_codec._profile(jxl(9, 16)) or b"") == "PQ"
