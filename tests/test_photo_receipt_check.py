"""A receipt says what is in the file that was written: encoders that leave something out are found out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image
from skimage import data
from test_photo_colour import WIDE

from deepdream_core.errors import OutputError
from deepdream_core.photo import (
    Photo,
    WriteOptions,
    check_target,
    container,
    read_photo,
    recipe_text,
    sidecar_of,
    write_photo,
)
from deepdream_core.photo.codecs import codec_of, heic, tiff
from deepdream_core.photo.exif_values import resolution_of
from deepdream_core.photo.formats import ENDINGS
from deepdream_core.photo.frame import Frame

if TYPE_CHECKING:
    from pathlib import Path

    from deepdream_core.photo import Receipt

PICTURE = Image.fromarray(getattr(data, "astronaut")()[:48, :64])  # noqa: B009
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"/></rdf:RDF></x:xmpmeta>'
)
EVERY = ["jpg", "png", "tif", "webp", "avif", "heic", "gif", "bmp", "jxl"]


def source(path: Path, *, alpha: bool = False, **options: Any) -> Photo:
    """A PNG of 300 dpi with EXIF, XMP and a profile."""
    block = Image.Exif()
    block[ExifTags.Base.Model] = "Box camera"
    block[ExifTags.Base.Artist] = "Nobody"
    picture = PICTURE.convert("RGBA") if alpha else PICTURE
    if alpha:
        picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    picture.save(path, exif=block.tobytes(), icc_profile=WIDE, dpi=(300, 300), **options)
    file = path.read_bytes()
    path.write_bytes(container.with_xmp(file, "PNG", XMP))
    photo = read_photo(path, max_megapixels=10)
    return photo.with_frames([frame.with_floats(frame.floats() * np.float32(0.9)) for frame in photo.frames])


def entries(receipt: Receipt) -> list[str]:
    return [str(entry) for entry in receipt]


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("ending", EVERY)
def test_a_file_reports_what_was_written_into_it(ending: str, alpha: bool, tmp_path: Path) -> None:
    photo = source(tmp_path / "a.png", alpha=alpha)
    receipt = write_photo(photo, tmp_path / f"b.{ending}", overwrite=False)
    assert not any("file written" in entry or "without the tags" in entry for entry in entries(receipt))
    facts = codec_of(ENDINGS[f".{ending}"]).facts_of((tmp_path / f"b.{ending}").read_bytes())
    assert (facts.sizes, facts.depth) == (((64, 48),), "8")
    assert facts.alpha == (alpha and ending not in ("jpg", "bmp"))
    (blocks,) = facts.blocks
    kept = {entry.part for entry in receipt if entry.state == "kept"}
    assert {"ICC": blocks.icc is not None, "EXIF": blocks.exif is not None, "XMP": blocks.xmp is not None} == {
        part: part in kept for part in ("ICC", "EXIF", "XMP")
    }
    held = facts.dpi or (resolution_of(blocks.exif) if blocks.exif else None)
    assert (
        (held is None) == (ending == "gif") == any(entry.startswith("resolution dropped") for entry in entries(receipt))
    )


@pytest.mark.parametrize(("part", "gone"), [("ICC", {"icc": None}), ("EXIF", {"exif": None}), ("XMP", {"xmp": None})])
@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp", "avif", "heic"])
def test_metadata_that_an_encoder_leaves_out_are_reported_and_refused_when_strict(
    ending: str, part: str, gone: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = source(tmp_path / "a.png")
    if ending in ("jpg", "png", "webp"):
        whole = container.with_blocks
        monkeypatch.setattr(
            container, "with_blocks", lambda data, name, blocks: whole(data, name, replace(blocks, **gone))
        )
    elif ending == "tif":
        pages = tiff.encode
        monkeypatch.setattr(
            tiff, "encode",
            lambda frames, *rest: pages([replace(one, blocks=replace(one.blocks, **gone)) for one in frames], *rest),
        )  # fmt: skip
    else:
        module = codec_of(ENDINGS[f".{ending}"])
        encode: Any = module.encode

        def forgetful(*arguments: Any) -> Any:
            *before, blocks, quality = arguments
            return encode(*before, replace(blocks, **gone), quality)

        monkeypatch.setattr(module, "encode", forgetful)
    strict = WriteOptions(strict=True)
    check_target(photo, tmp_path / f"b.{ending}", strict, overwrite=False)
    told = f"{part} dropped: the written file lacks it"
    if (ending, part) == ("tif", "EXIF"):  # whose own tags look like EXIF
        told = "EXIF converted: without the tags 315, 272"
    with pytest.raises(OutputError, match=rf"b\.{ending}: would lose something: {told}"):
        write_photo(photo, tmp_path / f"b.{ending}", strict, overwrite=False)
    assert not (tmp_path / f"b.{ending}").exists()
    receipt = entries(write_photo(photo, tmp_path / f"b.{ending}", overwrite=False))
    assert told in receipt
    assert f"{part} kept" not in receipt


def test_single_tags_that_get_lost_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = source(tmp_path / "a.png")
    encode = heic.encode
    monkeypatch.setattr(heic, "encode", lambda frame, coding, blocks, *rest: encode(
        frame, coding, replace(blocks, exif=(blocks.exif or b"").replace(b"Nobody", b"Nobodx")), *rest))  # fmt: skip
    receipt = write_photo(photo, tmp_path / "b.heic", overwrite=False)
    assert "EXIF converted: without the tags 315" in entries(receipt)


def moving(photo: Photo, durations: list[float]) -> Photo:
    pictures = [np.roll(photo.frames[0].samples, 3 * number, axis=1) for number in range(len(durations))]
    frames = [Frame(samples, 255.0, duration_ms=time) for samples, time in zip(pictures, durations, strict=True)]
    return replace(photo, frames=tuple(frames), untouched=False)


@pytest.mark.parametrize("ending", ["png", "gif", "webp", "avif", "tif"])
def test_a_picture_that_is_missing_is_an_error(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = moving(source(tmp_path / "a.png"), [40, 50, 60])
    module = codec_of(ENDINGS[f".{ending}"])
    encode = module.encode
    monkeypatch.setattr(module, "encode", lambda frames, *rest: encode(frames[:2], *rest))
    with pytest.raises(OutputError, match=r"cannot be encoded \(the written file holds 2 pictures, not 3\)"):
        write_photo(photo, tmp_path / f"b.{ending}", overwrite=False)
    assert not (tmp_path / f"b.{ending}").exists()


@pytest.mark.parametrize("ending", EVERY)
def test_a_picture_of_another_size_is_an_error(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = source(tmp_path / "a.png")
    smaller = [replace(photo.frames[0], samples=photo.frames[0].samples[:40])]
    module = codec_of(ENDINGS[f".{ending}"])
    encode = module.encode
    monkeypatch.setattr(module, "encode", lambda _, *rest: encode(smaller, *rest))
    with pytest.raises(OutputError, match=r"cannot be encoded \(the written file holds pictures of another size\)"):
        write_photo(photo, tmp_path / f"b.{ending}", overwrite=False)


@pytest.mark.parametrize(
    ("ending", "durations", "told"),
    [
        ("png", [40, 33.25, 100_000], None),
        ("webp", [40, 33.25, 60], "timing converted: WebP counts in milliseconds"),
        ("gif", [40, 20, 700_000], "timing converted: 1 of 3 frames have another duration"),
        ("avif", [40, 0, 60], "timing converted: 1 of 3 frames have another duration"),
    ],
)
def test_times_are_those_of_the_file(ending: str, durations: list[float], told: str | None, tmp_path: Path) -> None:
    photo = moving(source(tmp_path / "a.png"), durations)
    receipt = entries(write_photo(photo, tmp_path / f"b.{ending}", overwrite=False))
    assert [entry for entry in receipt if entry.startswith("timing")] == ([told] if told else [])


def test_a_planned_loss_stays_reported_beside_a_found_one(tmp_path: Path) -> None:
    photo = moving(source(tmp_path / "a.png"), [40, 0, 60])
    photo = replace(photo, coding=replace(photo.coding, plays=3))
    receipt = entries(write_photo(photo, tmp_path / "b.avif", overwrite=False))
    assert [entry for entry in receipt if entry.startswith("timing")] == [
        "timing converted: DeepDream writes AVIF to play for ever",
        "timing converted: 1 of 3 frames have another duration",
    ]


def test_lost_extra_channels_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.dstack([np.array(PICTURE), np.arange(48 * 64, dtype=np.uint8).reshape(48, 64)])
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", extrasamples=[0], metadata=None)
    photo = read_photo(tmp_path / "a.tif", max_megapixels=10)
    photo = photo.with_frames([frame.with_floats(frame.floats() * np.float32(0.9)) for frame in photo.frames])
    assert "extra channels kept: 1 besides colour and alpha" in entries(
        write_photo(photo, tmp_path / "b.tif", overwrite=False)
    )
    encode = tiff.encode
    monkeypatch.setattr(tiff, "encode", lambda frames, *rest: encode(
        [replace(frame, extra=None, extra_kinds=()) for frame in frames], *rest))  # fmt: skip
    receipt = write_photo(photo, tmp_path / "c.tif", overwrite=False)
    assert "extra channels dropped: the written file lacks it" in entries(receipt)


def test_dropping_an_opaque_alpha_is_not_a_loss(tmp_path: Path) -> None:
    PICTURE.convert("RGBA").save(tmp_path / "a.png")
    photo = read_photo(tmp_path / "a.png", max_megapixels=10)
    photo = photo.with_frames([frame.with_floats(frame.floats() * np.float32(0.9)) for frame in photo.frames])
    receipt = write_photo(photo, tmp_path / "b.webp", WriteOptions(strict=True), overwrite=False)
    assert "alpha dropped: every pixel was opaque" in entries(receipt)


def test_a_recipe_that_the_encoder_leaves_out_is_written_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = source(tmp_path / "a.png")
    encode = heic.encode
    monkeypatch.setattr(heic, "encode", lambda frame, coding, blocks, *rest: encode(
        frame, coding, replace(blocks, xmp=None), *rest))  # fmt: skip
    receipt = write_photo(photo, tmp_path / "b.heic", recipe="seed: 1\n", overwrite=False)
    assert "recipe kept: beside the picture, in b.heic.dream.yaml" in entries(receipt)
    assert recipe_text(tmp_path / "b.heic", max_megapixels=10) == "seed: 1\n"
    assert sidecar_of(tmp_path / "b.heic").exists()


def test_reading_back_decodes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = []
    for ending in EVERY:
        write_photo(source(tmp_path / "a.png"), tmp_path / f"b.{ending}", overwrite=False)
        files.append((ENDINGS[f".{ending}"], tmp_path / f"b.{ending}"))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    monkeypatch.setattr("tifffile.TiffPage.asarray", lambda self: pytest.fail("decoded"))
    for name, path in files:
        assert codec_of(name).facts_of(path.read_bytes()).sizes == ((64, 48),)
