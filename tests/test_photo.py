"""Files in, files out: orientation applied; profile, EXIF and alpha kept; bad files told; writing whole or not at all."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import picture_file, pixels_of
from PIL import ExifTags, Image, ImageCms, ImageOps, JpegImagePlugin
from skimage import data

from deepdream_core import photo as photo_module
from deepdream_core.errors import OutputError, PictureError
from deepdream_core.photo import check_target, read_photo, write_photo

if TYPE_CHECKING:
    from pathlib import Path

    from deepdream_core.photo import Photo

ASTRONAUT = getattr(data, "astronaut")()  # noqa: B009
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def read(path: Path) -> Photo:
    return read_photo(path, max_megapixels=200)


def exif(orientation: int = 1) -> Image.Exif:
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = orientation
    tags[ExifTags.Base.Model] = "Box camera"
    tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] = 400
    return tags


@pytest.mark.parametrize("ending", ["png", "tif", "webp", "jpg"])
def test_profile_and_exif_survive(tmp_path: Path, ending: str) -> None:
    source = picture_file(tmp_path / f"a.{ending}", icc_profile=PROFILE, exif=exif().tobytes())
    write_photo(read(source), tmp_path / f"b.{ending}", overwrite=False)
    with Image.open(tmp_path / f"b.{ending}") as written, Image.open(source) as original:
        assert written.format == original.format
        assert written.info["icc_profile"] == PROFILE
        kept = written.getexif()
        assert kept[ExifTags.Base.Model] == "Box camera"
        assert kept.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] == 400
        written.load()


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_unchanged_pixels_come_back_to_the_bit(tmp_path: Path, ending: str) -> None:
    source = picture_file(tmp_path / f"a.{ending}")
    photo = read(source)
    write_photo(photo.with_floats(photo.floats()), tmp_path / f"b.{ending}", overwrite=False)
    assert np.array_equal(pixels_of(source), pixels_of(tmp_path / f"b.{ending}"))


def test_every_8_bit_value_survives_the_trip_through_floats() -> None:
    values = np.arange(256, dtype=np.uint8)
    photo = photo_module.Photo(
        np.stack([values] * 3, -1)[None], None, gray=False, format="PNG", icc=None, exif=None, jpeg={}
    )
    assert np.array_equal(photo.with_floats(photo.floats()).pixels, photo.pixels)
    assert photo.floats().max() == 1.0


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp"])
def test_orientation_is_applied_once(tmp_path: Path, ending: str, orientation: int) -> None:
    options: dict[str, Any] = {"lossless": True} if ending == "webp" else {"quality": 100} if ending == "jpg" else {}
    source = picture_file(tmp_path / f"a.{ending}", exif=exif(orientation), **options)
    with Image.open(source) as image:
        upright = np.array(ImageOps.exif_transpose(image))
    photo = read(source)
    assert np.array_equal(photo.pixels, upright)
    write_photo(photo, tmp_path / f"b.{ending}", overwrite=False)
    with Image.open(tmp_path / f"b.{ending}") as written:
        assert written.getexif().get(ExifTags.Base.Orientation, 1) == 1
        assert written.size == (upright.shape[1], upright.shape[0])
        assert np.abs(np.array(written).astype(int) - upright).mean() < 4


@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_survives(tmp_path: Path, ending: str, mode: str) -> None:
    image = Image.fromarray(ASTRONAUT).resize((40, 30)).convert(mode)
    image.putalpha(Image.linear_gradient("L").resize((40, 30)))
    image.save(tmp_path / f"a.{ending}", lossless=True)
    photo = read(tmp_path / f"a.{ending}")
    write_photo(photo, tmp_path / f"b.{ending}", overwrite=False)
    with Image.open(tmp_path / f"b.{ending}") as written:
        assert np.array_equal(np.array(written.convert("RGBA"))[..., 3], np.array(image)[..., -1])


@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_other_modes(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(ASTRONAUT).resize((40, 30)).convert(mode)
    image.save(tmp_path / "a.png")
    photo = read(tmp_path / "a.png")
    assert photo.gray == (mode != "P")
    assert np.array_equal(photo.pixels, np.array(image.convert("RGB")))
    write_photo(photo, tmp_path / "b.png", overwrite=False)
    assert np.array_equal(pixels_of(tmp_path / "b.png"), np.array(image.convert("RGB" if mode == "P" else "L")))


def test_a_palette_with_a_transparent_entry_keeps_it(tmp_path: Path) -> None:
    image = Image.fromarray(ASTRONAUT).resize((40, 30)).convert("P")
    image.save(tmp_path / "a.png", transparency=3)
    photo = read(tmp_path / "a.png")
    assert photo.alpha is not None
    assert np.array_equal(photo.alpha == 0, np.array(image) == 3)


def test_jpeg_keeps_its_quantisation_and_subsampling(tmp_path: Path) -> None:
    source = picture_file(tmp_path / "a.jpg", quality=83, subsampling=1, progressive=True)
    write_photo(read(source), tmp_path / "b.jpg", overwrite=False)
    with Image.open(source) as before, Image.open(tmp_path / "b.jpg") as after:
        assert before.quantization == after.quantization  # type: ignore[attr-defined]
        assert JpegImagePlugin.get_sampling(before) == JpegImagePlugin.get_sampling(after) == 1
        assert after.info.get("progressive")


def test_a_phones_two_picture_jpeg_gives_its_main_picture(tmp_path: Path) -> None:
    main, second = (Image.fromarray(ASTRONAUT).resize(size) for size in ((64, 48), (32, 24)))
    main.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[second])
    photo = read(tmp_path / "a.jpg")
    assert (photo.format, photo.pixels.shape) == ("JPEG", (48, 64, 3))


def half(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def deep_png(path: Path) -> Path:
    Image.fromarray(np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)).save(path)
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
        (lambda folder: picture_file(folder / "a.bmp"), "not a JPEG, PNG, WebP or TIFF picture"),
        (lambda folder: deep_png(folder / "deep.png"), "more than 8 bits"),
    ],
)
def test_bad_files_are_told_by_name_and_reason(tmp_path: Path, make: Any, message: str) -> None:
    path = make(tmp_path)
    with pytest.raises(PictureError, match=message) as caught:
        read(path)
    assert path.name in str(caught.value)


def test_text_and_empty_files(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(PictureError, match=r"text\.jpg: not a JPEG, PNG, WebP or TIFF picture"):
        read(tmp_path / "text.jpg")
    with pytest.raises(PictureError, match=r"empty\.jpg: the file is empty"):
        read(tmp_path / "empty.jpg")


def test_16_bit_rgb_is_refused_and_not_silently_flattened(tmp_path: Path) -> None:
    import tifffile

    tifffile.imwrite(tmp_path / "deep.tif", np.zeros((20, 20, 3), np.uint16), photometric="rgb")
    with pytest.raises(PictureError, match=r"deep\.tif: .*8 bits"):
        read(tmp_path / "deep.tif")


def test_animations_are_refused_for_now(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "green")]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:])
    with pytest.raises(PictureError, match=r"a\.webp: holds 2 pictures"):
        read(tmp_path / "a.webp")


def test_the_pixel_limit_holds_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = picture_file(tmp_path / "a.png", size=(1000, 1000))
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", lambda self: pytest.fail("decoded"))
    with pytest.raises(
        PictureError, match=r"1000×1000 is 1 megapixels, the limit is 0\.9 — raise engine\.max_megapixels"
    ):
        read_photo(source, max_megapixels=0.9)


def test_a_huge_announced_size_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, "PNG")
    bomb = bytearray(buffer.getvalue())
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2
    import zlib

    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    (tmp_path / "bomb.png").write_bytes(bomb)
    with pytest.raises(PictureError, match="60000×60000 is 3600 megapixels"):
        read(tmp_path / "bomb.png")


def test_nothing_is_overwritten_unless_asked(tmp_path: Path) -> None:
    photo = read(picture_file(tmp_path / "a.png"))
    (tmp_path / "b.png").write_text("precious")
    for attempt in (write_photo, check_target):
        with pytest.raises(OutputError, match=r"b\.png: exists already — give --overwrite"):
            attempt(photo, tmp_path / "b.png", overwrite=False)
    assert (tmp_path / "b.png").read_text() == "precious"
    write_photo(photo, tmp_path / "b.png", overwrite=True)
    assert np.array_equal(pixels_of(tmp_path / "b.png"), photo.pixels)


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = read(picture_file(tmp_path / "a.png"))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"b\.png: cannot be written: No space left on device — free some space"):
        write_photo(photo, tmp_path / "b.png", overwrite=False)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_lossless_webp_stays_lossless(tmp_path: Path) -> None:
    source = picture_file(tmp_path / "a.webp", lossless=True, exif=exif(), icc_profile=PROFILE)
    lossy = picture_file(tmp_path / "b.webp", quality=80)
    assert read(source).lossless
    assert not read(lossy).lossless
    write_photo(read(source), tmp_path / "c.webp", overwrite=False)
    assert np.array_equal(pixels_of(source), pixels_of(tmp_path / "c.webp"))


@pytest.mark.parametrize(("ending", "side"), [("jpg", 70_000), ("webp", 20_000)])
def test_a_format_that_cannot_hold_the_picture_is_told_before_the_work(tmp_path: Path, ending: str, side: int) -> None:
    photo = replace(read(picture_file(tmp_path / "a.png")), pixels=np.zeros((1, side, 3), np.uint8))
    for attempt in (check_target, write_photo):
        with pytest.raises(OutputError, match=r"(ends at [\d]+ pixels a side|cannot be encoded .*) — choose"):
            attempt(photo, tmp_path / f"b.{ending}", overwrite=False)
    assert not (tmp_path / f"b.{ending}").exists()


def test_exif_too_long_for_a_jpeg_is_told_before_the_work(tmp_path: Path) -> None:
    photo = replace(read(picture_file(tmp_path / "a.png")), exif=b"x" * 70_000)
    with pytest.raises(OutputError, match="EXIF is too long for a JPEG"):
        check_target(photo, tmp_path / "b.jpg", overwrite=False)


def test_jpeg_has_no_room_for_alpha(tmp_path: Path) -> None:
    photo = replace(read(picture_file(tmp_path / "a.png")), alpha=np.zeros((72, 96), np.uint8))
    with pytest.raises(OutputError, match=r"b\.jpg: JPEG has no transparency — choose an output that ends in \.png"):
        check_target(photo, tmp_path / "b.jpg", overwrite=False)


def test_a_missing_output_folder_is_made(tmp_path: Path) -> None:
    photo = read(picture_file(tmp_path / "a.png"))
    check_target(photo, tmp_path / "new" / "deep" / "b.png", overwrite=False)
    assert (tmp_path / "new" / "deep").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot be written: (Not a directory|File exists)"):
        check_target(photo, tmp_path / "file" / "b.png", overwrite=False)
