"""Files in, files out: what is refused and how it is told; receipts; what a format cannot hold; whole or not at all."""

from __future__ import annotations

import io
import os
import struct
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import picture_file, pixels_of
from PIL import ExifTags, Image, ImageCms, JpegImagePlugin
from skimage import data
from test_photo_colour import WIDE

from deepdream_core.errors import OutputError, PictureError
from deepdream_core.photo import WriteOptions, check_target, read_photo, recipe_text, sidecar_of, write_photo
from deepdream_core.photo.convert import plan_for
from deepdream_core.photo.formats import FORMATS, format_named, recognised

if TYPE_CHECKING:
    from pathlib import Path

    from deepdream_core.photo import Photo, Receipt

ASTRONAUT = getattr(data, "astronaut")()  # noqa: B009
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def read(path: Path) -> Photo:
    return read_photo(path, max_megapixels=200)


def changed(photo: Photo) -> Photo:
    """The photo with other pixels: everything a little darker."""
    return photo.with_frames([frame.with_floats(frame.floats() * np.float32(0.9)) for frame in photo.frames])


def rgba_file(path: Path) -> Path:
    image = Image.fromarray(ASTRONAUT).resize((96, 72)).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize((96, 72)))
    image.save(path)
    return path


def exif(**tags: Any) -> bytes:
    block = Image.Exif()
    block[ExifTags.Base.Model] = "Box camera"
    for name, value in tags.items():
        block[getattr(ExifTags.Base, name)] = value
    return block.tobytes()


def told(receipt: Receipt) -> dict[str, str]:
    return {entry.part: str(entry) for entry in receipt}


def half(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "none.jpg", r"none\.jpg: no such file"),
        (lambda folder: folder, "is a folder"),
        (lambda folder: half(picture_file(folder / "a.jpg")), r"a\.jpg: truncated or damaged"),
        (lambda folder: half(picture_file(folder / "a.png")), r"a\.png: truncated or damaged"),
        (lambda folder: half(picture_file(folder / "a.tif")), r"a\.tif: truncated or damaged"),
        (lambda folder: half(picture_file(folder / "a.webp")), r"a\.webp: truncated or damaged"),
        (lambda folder: half(picture_file(folder / "a.bmp")), r"a\.bmp: truncated or damaged"),
        (lambda folder: picture_file(folder / "a.ppm"), r"a\.ppm: not a JPEG, PNG, .* or BMP picture"),
    ],
)
def test_bad_files_are_reported_with_name_and_reason(tmp_path: Path, make: Any, message: str) -> None:
    path = make(tmp_path)
    with pytest.raises(PictureError, match=message) as caught:
        read(path)
    assert path.name in str(caught.value)


def test_text_and_empty_files(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(PictureError, match=r"text\.jpg: not a JPEG"):
        read(tmp_path / "text.jpg")
    with pytest.raises(PictureError, match=r"empty\.jpg: the file is empty"):
        read(tmp_path / "empty.jpg")


@pytest.mark.parametrize(
    ("name", "head"),
    [("a.cr3", b"\0\0\0\x18ftypcrx \0\0\0\1"), ("a.raf", b"FUJIFILMCCD-RAW 0201"), ("a.cr2", b"II*\0\x10\0\0\0CR\2\0"),
     ("a.NEF", b"MM\0*\0\0\0\x08"), ("a.dng", b"II*\0\x08\0\0\0")],
)  # fmt: skip
def test_camera_raw_is_refused_with_what_to_export(tmp_path: Path, name: str, head: bytes) -> None:
    (tmp_path / name).write_bytes(head + bytes(200))
    with pytest.raises(PictureError, match=r"is camera RAW, .* — export a 16-bit TIFF from it"):
        read(tmp_path / name)


def test_formats_are_recognised_by_content_and_named_as_people_do(tmp_path: Path) -> None:
    jpeg = picture_file(tmp_path / "a.jpg")
    jpeg.rename(tmp_path / "a.png")
    assert read(tmp_path / "a.png").format == "JPEG"
    assert recognised(b"%PDF-1.7") is None
    named = {"jpg": "JPEG", ".TIF": "TIFF", "heif": "HEIC", "jpeg-xl": "JXL", "JPEG XL": "JXL", "webp": "WEBP"}
    assert {word: format_named(word) for word in named} == named
    assert format_named("exe") is None


def test_the_pixel_limit_holds_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = picture_file(tmp_path / "a.png", size=(1000, 1000))
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", lambda self: pytest.fail("decoded"))
    with pytest.raises(
        PictureError,
        match=r"1000×1000 is 1 megapixels, the limit is 0\.9 — if you trust the file, raise engine\.max_megapixels",
    ):
        read_photo(source, max_megapixels=0.9)


def test_the_pixel_limit_counts_all_frames(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (100, 100), colour) for colour in ("red", "green", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(PictureError, match="100×100 times 3 is"):
        read_photo(tmp_path / "a.gif", max_megapixels=0.02)


def test_a_huge_announced_size_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, "PNG")
    for side, message in ((60_000, "60000×60000 is 3600 megapixels"), (12_000, "too short for the size it announces")):
        bomb = bytearray(buffer.getvalue())
        bomb[16:24] = side.to_bytes(4, "big") * 2
        bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
        (tmp_path / "bomb.png").write_bytes(bomb)
        with pytest.raises(PictureError, match=message):
            read(tmp_path / "bomb.png")


def test_a_phones_second_picture_is_dropped_and_reported(tmp_path: Path) -> None:
    main, second = (Image.fromarray(ASTRONAUT).resize(size) for size in ((64, 48), (32, 24)))
    main.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[second])
    photo = read(tmp_path / "a.jpg")
    assert (photo.format, photo.size) == ("JPEG", (64, 48))
    receipt = write_photo(changed(photo), tmp_path / "b.jpg", overwrite=False)
    assert any("second picture" in entry.part and entry.lost for entry in receipt)
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.format == "JPEG"
    assert (tmp_path / "b.jpg").stat().st_size < (tmp_path / "a.jpg").stat().st_size * 1.5


def test_an_hdr_gain_map_is_dropped_and_reported(tmp_path: Path) -> None:
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about="" xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0" '
        b'xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="kept"/></rdf:RDF></x:xmpmeta>'
    )
    source = picture_file(tmp_path / "a.jpg", xmp=packet)
    source.write_bytes(source.read_bytes() + picture_file(tmp_path / "map.jpg", size=(24, 18)).read_bytes())
    receipt = write_photo(changed(read(source)), tmp_path / "b.jpg", overwrite=False)
    gain_map = next(entry for entry in receipt if "gain map" in entry.part)
    assert (gain_map.state, gain_map.lost) == ("dropped", True)
    with Image.open(tmp_path / "b.jpg") as image:
        assert b"hdrgm" not in image.info["xmp"]
        assert b'dc:source="kept"' in image.info["xmp"]


def test_the_thumbnail_of_the_old_picture_goes(tmp_path: Path) -> None:
    small = io.BytesIO()
    Image.fromarray(ASTRONAUT).resize((32, 24)).save(small, "JPEG")
    picture = small.getvalue()
    first = struct.pack(">H HHI4s I", 1, 272, 2, 4, b"Box\0", 26)
    second = struct.pack(">H HHII HHII I", 2, 513, 4, 1, 56, 514, 4, 1, len(picture), 0)
    block = b"MM\0*\0\0\0\x08" + first + second + picture
    source = picture_file(tmp_path / "a.jpg", exif=b"Exif\0\0" + block)
    with Image.open(source) as image:
        assert image.getexif().get_ifd(ExifTags.IFD.IFD1)
    receipt = write_photo(changed(read(source)), tmp_path / "b.jpg", overwrite=False)
    assert told(receipt)["thumbnail"] == "thumbnail dropped: it showed the old picture"
    with Image.open(tmp_path / "b.jpg") as image:
        assert not image.getexif().get_ifd(ExifTags.IFD.IFD1)
        assert image.getexif()[ExifTags.Base.Model] == "Box"


def test_jpeg_keeps_its_quantisation_and_subsampling(tmp_path: Path) -> None:
    source = picture_file(tmp_path / "a.jpg", quality=83, subsampling=1, progressive=True)
    write_photo(changed(read(source)), tmp_path / "b.jpg", overwrite=False)
    with Image.open(source) as before, Image.open(tmp_path / "b.jpg") as after:
        assert before.quantization == after.quantization  # type: ignore[attr-defined]
        assert JpegImagePlugin.get_sampling(before) == JpegImagePlugin.get_sampling(after) == 1
        assert after.info.get("progressive")


def test_quality_makes_lossy_files_smaller_and_leaves_lossless_ones(tmp_path: Path) -> None:
    photo = changed(read(picture_file(tmp_path / "a.png", size=(400, 300))))
    for ending in ("jpg", "webp", "avif", "heic", "jxl"):
        for quality in (30, 95):
            write_photo(photo, tmp_path / f"{quality}.{ending}", WriteOptions(quality=quality), overwrite=False)
        assert (tmp_path / f"30.{ending}").stat().st_size < 0.6 * (tmp_path / f"95.{ending}").stat().st_size
    write_photo(photo, tmp_path / "30.png", WriteOptions(quality=30), overwrite=False)
    assert np.array_equal(pixels_of(tmp_path / "30.png"), photo.frames[0].samples)


def test_nothing_changed_means_the_same_bytes_but_for_the_recipe(tmp_path: Path) -> None:
    source = picture_file(tmp_path / "a.jpg", exif=exif(Orientation=6), quality=60)
    photo = read(source)
    receipt = write_photo(photo, tmp_path / "b.jpg", overwrite=False)
    assert (tmp_path / "b.jpg").read_bytes() == source.read_bytes()
    assert told(receipt) == {"everything": "everything kept: no pixel has changed"}
    write_photo(photo, tmp_path / "c.jpg", recipe="a recipe", overwrite=False)
    assert np.array_equal(pixels_of(tmp_path / "c.jpg"), pixels_of(source))
    assert recipe_text(tmp_path / "c.jpg", max_megapixels=1) == "a recipe"


def test_a_source_that_changes_during_the_dream_is_refused(tmp_path: Path) -> None:
    photo = read(picture_file(tmp_path / "a.jpg"))
    picture_file(tmp_path / "a.jpg", "coffee")
    with pytest.raises(PictureError, match="changed while it was being dreamed"):
        write_photo(photo, tmp_path / "b.jpg", overwrite=False)
    assert not (tmp_path / "b.jpg").exists()


def test_transparency_is_laid_over_white_where_the_format_has_none(tmp_path: Path) -> None:
    photo = changed(read(rgba_file(tmp_path / "a.png")))
    receipt = write_photo(photo, tmp_path / "b.bmp", overwrite=False)
    assert told(receipt)["alpha"] == "alpha dropped: laid over white: BMP has no transparency"
    white = Image.new("RGBA", (96, 72), "white")
    white.alpha_composite(Image.fromarray(photo.frames[0].samples))
    assert np.abs(pixels_of(tmp_path / "b.bmp").astype(int) - np.array(white.convert("RGB"))).max() <= 1


def test_hidden_colours_do_not_reach_the_network_nor_change(tmp_path: Path) -> None:
    samples = np.full((40, 60, 4), (200, 120, 40, 255), np.uint8)
    samples[:, :30] = (0, 0, 0, 0)
    Image.fromarray(samples).save(tmp_path / "a.png")
    frame = read(tmp_path / "a.png").frames[0]
    planes = frame.floats()
    assert np.allclose(planes[:, :, :30], planes[:, :, 30:], atol=1e-6)
    dreamed = frame.with_floats(planes * np.float32(0.5))
    assert np.array_equal(dreamed.samples[:, :30], samples[:, :30])
    assert (dreamed.samples[:, 30:, :3] == (100, 60, 20)).all()
    assert np.array_equal(dreamed.samples[..., 3], samples[..., 3])


def test_a_wide_profile_becomes_srgb_where_there_is_no_place_for_it(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), (200, 80, 40)).save(tmp_path / "a.png", icc_profile=WIDE)
    receipt = write_photo(changed(read(tmp_path / "a.png")), tmp_path / "b.bmp", overwrite=False)
    assert told(receipt)["ICC"].startswith("ICC converted: colours converted to sRGB")
    darker = Image.new("RGB", (1, 1), (180, 72, 36))
    wide = ImageCms.ImageCmsProfile(io.BytesIO(WIDE))
    meant = ImageCms.profileToProfile(
        darker, wide, ImageCms.createProfile("sRGB"), ImageCms.Intent.RELATIVE_COLORIMETRIC
    )
    assert meant is not None
    assert np.abs(pixels_of(tmp_path / "b.bmp")[0, 0].astype(int) - np.array(meant)[0, 0]).max() <= 2


def test_srgb_needs_no_place(tmp_path: Path) -> None:
    receipt = write_photo(
        changed(read(picture_file(tmp_path / "a.png", icc_profile=SRGB))), tmp_path / "b.bmp", overwrite=False
    )
    assert not [entry for entry in receipt if entry.lost]


def test_strict_refuses_what_would_lose_something_and_nothing_else(tmp_path: Path) -> None:
    photo = read(picture_file(tmp_path / "a.jpg", exif=exif()))
    strict = WriteOptions(strict=True)
    check_target(photo, tmp_path / "b.jpg", strict, overwrite=False)
    check_target(photo, tmp_path / "b.png", strict, overwrite=False)
    with pytest.raises(
        OutputError, match=r"b\.bmp: would lose something: EXIF dropped: BMP has no place for it — leave"
    ):
        check_target(photo, tmp_path / "b.bmp", strict, overwrite=False)


def test_strict_lets_a_picture_pass_that_is_not_going_to_change(tmp_path: Path) -> None:
    Image.fromarray(ASTRONAUT).convert("CMYK").save(tmp_path / "a.jpg")
    photo = read(tmp_path / "a.jpg")
    strict = WriteOptions(strict=True)
    check_target(photo, tmp_path / "b.jpg", strict, overwrite=False, will_change=False)
    with pytest.raises(OutputError, match="CMYK to sRGB"):
        check_target(photo, tmp_path / "b.jpg", strict, overwrite=False)


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp", "avif", "heic"])
def test_strip_leaves_nothing_private_and_the_colours_right(tmp_path: Path, ending: str) -> None:
    block = Image.Exif()
    block[ExifTags.Base.Artist] = "Anna Secret"
    block[ExifTags.Base.Orientation] = 6
    block.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><!-- Anna Secret --></x:xmpmeta>'
    source = picture_file(tmp_path / "a.jpg", exif=block.tobytes(), xmp=xmp, icc_profile=WIDE, comment="Anna Secret")
    target = tmp_path / f"b.{ending}"
    write_photo(changed(read(source)), target, WriteOptions(strip=True), overwrite=False)
    assert b"Anna" not in target.read_bytes()
    photo = read(target)
    assert photo.size == (72, 96)
    assert photo.blocks.icc == WIDE
    assert photo.blocks.xmp is None


@pytest.mark.parametrize("target", sorted(FORMATS))
@pytest.mark.parametrize("source", ["rgb16.tif", "rgba.png", "gray.jpg", "anim.gif", "pages.tif", "float.tif"])
def test_every_format_takes_every_picture_and_says_what_it_cost(tmp_path: Path, source: str, target: str) -> None:
    import tifffile

    deep = ASTRONAUT[:40, :60].astype(np.uint16) * 257
    match source:
        case "rgb16.tif":
            tifffile.imwrite(tmp_path / source, deep, photometric="rgb")
        case "float.tif":
            tifffile.imwrite(tmp_path / source, (deep / 65535).astype(np.float32), photometric="rgb")
        case "rgba.png":
            rgba_file(tmp_path / source)
        case "gray.jpg":
            Image.fromarray(ASTRONAUT).convert("L").save(tmp_path / source)
        case "anim.gif":
            frames = [Image.fromarray(np.roll(ASTRONAUT[:40, :60], shift, 1)) for shift in (0, 9)]
            frames[0].save(tmp_path / source, save_all=True, append_images=frames[1:], duration=80)
        case "pages.tif":
            with tifffile.TiffWriter(tmp_path / source) as writer:
                writer.write(deep, photometric="rgb")
                writer.write(ASTRONAUT[:30, :50, 0], photometric="minisblack")
    photo = changed(read(tmp_path / source))
    path = tmp_path / f"out{FORMATS[target].endings[0]}"
    receipt = write_photo(photo, path, recipe="r: 1\n", overwrite=False)
    back = read(path)
    assert back.format == target
    assert back.size == photo.size
    wanted = FORMATS[target]
    depth = next(entry for entry in receipt if entry.part in ("depth", "colours"))
    palette = target == "GIF" and source in ("rgba.png", "rgb16.tif", "float.tif", "pages.tif")
    assert depth.lost == (palette or photo.frames[0].depth not in wanted.depths)
    assert recipe_text(path, max_megapixels=200) == "r: 1\n"
    if len(photo.frames) > 1:
        frames_told = next(entry for entry in receipt if entry.part == "frames")
        assert (len(back.frames) == len(photo.frames)) == (frames_told.state != "dropped")
    difference = np.abs(back.frames[0].floats() - photo.frames[0].floats())
    if photo.frames[0].alpha is not None:
        difference = difference[:, photo.frames[0].alpha > 245]
    assert difference.mean() < 0.04


def test_metadata_of_another_format_is_carried_where_it_has_a_place(tmp_path: Path) -> None:
    source = picture_file(tmp_path / "a.jpg", exif=exif(Artist="Anna"), icc_profile=WIDE, comment="words")
    plan = plan_for(read(source), "JPEG", "TIFF")
    assert {str(entry) for entry in plan.receipt} >= {"EXIF kept", "ICC kept", "depth kept: 8 bits"}
    assert any(entry.part == "comment" and entry.lost for entry in plan.receipt)
    write_photo(changed(read(source)), tmp_path / "b.tif", overwrite=False)
    with Image.open(tmp_path / "b.tif") as image:
        assert image.getexif()[ExifTags.Base.Artist] == "Anna"
        assert image.info["icc_profile"] == WIDE


def test_exif_too_long_for_a_jpeg_is_reported(tmp_path: Path) -> None:
    photo = read(picture_file(tmp_path / "a.png"))
    long = replace(photo, blocks=replace(photo.blocks, exif=exif()[6:] + bytes(70_000)))
    receipt = write_photo(changed(long), tmp_path / "b.jpg", overwrite=False)
    assert told(receipt)["EXIF"] == "EXIF dropped: longer than a JPEG can hold"


def test_a_recipe_without_a_place_is_written_beside_the_picture(tmp_path: Path) -> None:
    photo = changed(read(picture_file(tmp_path / "a.png")))
    receipt = write_photo(photo, tmp_path / "b.bmp", recipe="kept: here\n", overwrite=False)
    assert told(receipt)["recipe"] == "recipe kept: beside the picture, in b.bmp.dream.yaml"
    assert sidecar_of(tmp_path / "b.bmp").read_text().startswith("kept: here\npicture: ")
    assert recipe_text(tmp_path / "b.bmp", max_megapixels=1) == "kept: here\n"


def test_a_recipe_beside_belongs_to_its_picture_alone(tmp_path: Path) -> None:
    photo = changed(read(picture_file(tmp_path / "a.png")))
    write_photo(photo, tmp_path / "b.bmp", recipe="first: 1\n", overwrite=False)
    assert read(tmp_path / "b.bmp").recipe == "first: 1\n"
    (tmp_path / "b.bmp").rename(tmp_path / "moved.bmp")
    with pytest.raises(OutputError, match=r"b\.bmp\.dream\.yaml: exists already"):
        check_target(photo, tmp_path / "b.bmp", overwrite=False, recipe=True)
    write_photo(changed(photo), tmp_path / "b.bmp", overwrite=True)
    assert recipe_text(tmp_path / "b.bmp", max_megapixels=1) is None
    write_photo(photo, tmp_path / "c.jpg", recipe="its own: 1\n", overwrite=False)
    sidecar_of(tmp_path / "c.jpg").write_text("another's: 1\n")
    assert recipe_text(tmp_path / "c.jpg", max_megapixels=1) == "its own: 1\n"


def test_a_failed_write_leaves_no_sidecar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = changed(read(picture_file(tmp_path / "a.png")))
    real, calls = os.fsync, []

    def full_at_the_second(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > 2:  # the sidecar and its folder go well
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full_at_the_second)
    with pytest.raises(OutputError, match="No space left"):
        write_photo(photo, tmp_path / "b.bmp", recipe="a: 1\n", overwrite=False)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_an_earlier_dreams_recipe_does_not_travel_on(tmp_path: Path) -> None:
    write_photo(changed(read(picture_file(tmp_path / "a.png"))), tmp_path / "b.png", recipe="first", overwrite=False)
    once = read(tmp_path / "b.png")
    assert once.recipe == "first"
    write_photo(changed(once), tmp_path / "c.png", overwrite=False)
    assert b"first" not in (tmp_path / "c.png").read_bytes()
    write_photo(changed(once), tmp_path / "d.png", recipe="second", overwrite=False)
    assert read(tmp_path / "d.png").recipe == "second"
    assert b"first" not in (tmp_path / "d.png").read_bytes()


def test_nothing_is_overwritten_unless_asked(tmp_path: Path) -> None:
    photo = read(picture_file(tmp_path / "a.png"))
    (tmp_path / "b.png").write_text("precious")
    for attempt in (write_photo, check_target):
        with pytest.raises(OutputError, match=r"b\.png: exists already — give --overwrite"):
            attempt(photo, tmp_path / "b.png", overwrite=False)
    assert (tmp_path / "b.png").read_text() == "precious"
    write_photo(photo, tmp_path / "b.png", overwrite=True)
    assert np.array_equal(pixels_of(tmp_path / "b.png"), photo.frames[0].samples)


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = read(picture_file(tmp_path / "a.png"))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"b\.png: cannot be written: No space left on device — free some space"):
        write_photo(photo, tmp_path / "b.png", overwrite=False)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(("ending", "side"), [("jpg", 70_000), ("webp", 20_000)])
def test_a_format_that_cannot_hold_the_size_is_reported_before_the_work(tmp_path: Path, ending: str, side: int) -> None:
    photo = read(picture_file(tmp_path / "a.png"))
    wide = changed(replace(photo, frames=(replace(photo.frames[0], samples=np.ones((1, side, 3), np.uint8)),)))
    for attempt in (check_target, write_photo):
        with pytest.raises(OutputError, match=r"(ends at [\d]+ pixels a side|cannot be encoded .*) — choose"):
            attempt(wide, tmp_path / f"b.{ending}", overwrite=False)
    assert not (tmp_path / f"b.{ending}").exists()


def test_a_missing_output_folder_is_made(tmp_path: Path) -> None:
    photo = read(picture_file(tmp_path / "a.png"))
    check_target(photo, tmp_path / "new" / "deep" / "b.png", overwrite=False)
    assert (tmp_path / "new" / "deep").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot be written: (Not a directory|File exists)"):
        check_target(photo, tmp_path / "file" / "b.png", overwrite=False)


def test_areas_without_a_frame_stay_transparent(tmp_path: Path) -> None:
    frames = [Image.new("RGBA", (60, 40)) for _ in range(2)]
    for number, frame in enumerate(frames):
        frame.paste(Image.fromarray(ASTRONAUT[:10, :20]), (10 + 5 * number, 10))
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True, duration=50)
    photo = read(tmp_path / "a.webp")
    for decoded, before in zip(photo.frames, frames, strict=True):
        assert decoded.alpha is not None
        assert np.array_equal(decoded.alpha, np.array(before)[..., 3])


def test_an_orientation_in_xmp_alone_is_applied_to_a_tiff(tmp_path: Path) -> None:
    import tifffile

    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF>'
        b"</x:xmpmeta>"
    )
    tags = [(700, 1, len(packet), packet, True)]
    tifffile.imwrite(tmp_path / "a.tif", ASTRONAUT[:30, :50], photometric="rgb", extratags=tags)
    photo = read(tmp_path / "a.tif")
    assert photo.size == (30, 50)
    assert np.array_equal(photo.frames[0].samples, np.rot90(ASTRONAUT[:30, :50], -1))


def test_lost_tiff_tags_are_reported(tmp_path: Path) -> None:
    import tifffile

    tags = [(65000, 2, 6, b"mine\0\0", True), (33550, 12, 3, (1.0, 1.0, 0.0), True)]
    tifffile.imwrite(tmp_path / "a.tif", ASTRONAUT[:30, :50], photometric="rgb", extratags=tags)
    receipt = write_photo(changed(read(tmp_path / "a.tif")), tmp_path / "b.tif", overwrite=False)
    assert told(receipt)["TIFF tags 65000"] == "TIFF tags 65000 dropped"
    with tifffile.TiffFile(tmp_path / "b.tif") as tiff:
        assert tiff.pages.first.tags.valueof(33550) == (1.0, 1.0, 0.0)


@pytest.mark.parametrize("target", ["png", "jpg", "tif", "bmp", "webp", "avif", "heic"])
def test_resolution_goes_along(tmp_path: Path, target: str) -> None:
    source = picture_file(tmp_path / "a.jpg", dpi=(300, 300))
    write_photo(changed(read(source)), tmp_path / f"b.{target}", overwrite=False)
    back = read(tmp_path / f"b.{target}")
    block = Image.Exif()
    block.load(back.blocks.exif or b"")
    dpi = back.coding.dpi or (float(block[282]), float(block[283]))
    assert np.allclose(dpi, 300, atol=0.1)
    tifffile_written = tmp_path / "again.png"
    write_photo(changed(back), tifffile_written, overwrite=False)
    if target == "tif":
        assert np.allclose(read(tifffile_written).coding.dpi or 0, 300, atol=0.1)


def test_how_often_an_animation_runs_means_the_same_in_every_format(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.roll(ASTRONAUT[:20, :30], shift, 1)) for shift in (0, 5)]
    cases: tuple[tuple[str, dict[str, Any], int], ...] = (
        ("once.gif", {}, 1), ("ever.gif", {"loop": 0}, 0), ("thrice.gif", {"loop": 2}, 3), ("twice.webp", {"loop": 2}, 2),
        ("twice.png", {"loop": 2}, 2),
    )  # fmt: skip
    for name, options, plays in cases:
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=40, **options)
        photo = changed(read(tmp_path / name))
        assert photo.coding.plays == plays
        for ending in ("gif", "webp", "png"):
            path = tmp_path / f"{name}.{ending}"
            write_photo(photo, path, overwrite=False)
            assert read(path).coding.plays == plays, path.name


def test_a_png_animations_still_picture_is_not_a_frame_in_other_formats(tmp_path: Path) -> None:
    still, *frames = [Image.fromarray(np.roll(ASTRONAUT[:20, :30], shift, 1)) for shift in (0, 5, 9)]
    still.save(tmp_path / "a.png", save_all=True, append_images=frames, default_image=True, duration=40)
    photo = changed(read(tmp_path / "a.png"))
    receipt = write_photo(photo, tmp_path / "b.webp", overwrite=False)
    back = read(tmp_path / "b.webp")
    assert len(back.frames) == 2
    assert told(receipt)["still picture"].startswith("still picture dropped")
    assert np.abs(back.frames[0].floats() - photo.frames[1].floats()).mean() < 0.02
    write_photo(photo, tmp_path / "b.jpg", overwrite=False)
    assert np.abs(read(tmp_path / "b.jpg").frames[0].floats() - photo.frames[0].floats()).mean() < 0.02


def test_pages_made_of_frames_all_have_the_profile(tmp_path: Path) -> None:
    import tifffile

    frames = [Image.fromarray(np.roll(ASTRONAUT[:20, :30], shift, 1)) for shift in (0, 5)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:], duration=40, icc_profile=WIDE)
    write_photo(changed(read(tmp_path / "a.png")), tmp_path / "b.tif", overwrite=False)
    with tifffile.TiffFile(tmp_path / "b.tif") as tiff:
        assert [page.aspage().tags.valueof(34675) for page in tiff.pages] == [WIDE, WIDE]


def test_an_hdr_picture_is_refused_in_a_line(tmp_path: Path) -> None:
    import pillow_heif

    heif = pillow_heif.from_bytes("RGB;10", (8, 8), bytes(8 * 8 * 6))
    heif.save(tmp_path / "a.heic", color_primaries=9, transfer_characteristics=16)
    with pytest.raises(
        PictureError, match=r"a\.heic: is an HDR picture \(PQ\), which DeepDream cannot read — export it as SDR"
    ):
        read(tmp_path / "a.heic")
