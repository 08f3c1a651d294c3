"""What a HEIC, an AVIF or a motion photo holds besides its picture is told, refused by --strict, and claimed no more."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from skimage import data

from deepdream_core.errors import OutputError
from deepdream_core.photo import Photo, WriteOptions, check_target, read_photo, write_photo
from deepdream_core.photo.container.boxes import durations_of, others_in_words, picture_count, plays_of

if TYPE_CHECKING:
    from pathlib import Path

PICTURE = Image.fromarray(getattr(data, "astronaut")()[:48, :64])  # noqa: B009
MOVIE = b"\0\0\0\x18ftypmp42\0\0\0\0isommp42\0\0\0\x08mdat"


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def full(kind: bytes, content: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(kind, bytes([version]) + flags.to_bytes(3, "big") + content)


def changed(path: Path) -> Photo:
    photo = read_photo(path, max_megapixels=10)
    return photo.with_frames([frame.with_floats(frame.floats() * np.float32(0.9)) for frame in photo.frames])


def heic() -> bytes:
    import pillow_heif

    encoded = io.BytesIO()
    pillow_heif.from_pillow(PICTURE).save(encoded)
    return encoded.getvalue()


def avif() -> bytes:
    encoded = io.BytesIO()
    PICTURE.save(encoded, "AVIF")
    return encoded.getvalue()


@pytest.mark.parametrize("ending", ["heic", "avif"])
@pytest.mark.parametrize(
    ("added", "words"),
    [
        (
            box(b"mpvd", MOVIE) + box(b"sefd", bytes(20)),
            ["motion photo video", "camera data after the picture (Samsung)"],
        ),
        (struct.pack(">I4sQ", 1, b"mpvd", 16 + len(MOVIE)) + MOVIE, ["motion photo video"]),
        (struct.pack(">I4s", 0, b"mpvd") + MOVIE, ["motion photo video"]),
        (box(b"uuid", bytes.fromhex("d8fec3d61b0e483c92975828877ec481")), ["content credentials (C2PA)"]),
        (box(b"abcd", b"something"), ["abcd box"]),
        (b"\xff" * 4 + b"no box at all", ["17 bytes after the picture"]),
    ],
    ids=["Samsung", "64-bit size", "to the end", "credentials", "unknown", "no box"],
)
def test_data_after_the_picture_are_reported_and_refused_when_strict(
    ending: str, added: bytes, words: list[str], tmp_path: Path
) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_bytes({"heic": heic, "avif": avif}[ending]() + added)
    photo = changed(path)
    assert [(entry.part, entry.state, entry.lost) for entry in photo.changes] == [(w, "dropped", True) for w in words]
    with pytest.raises(OutputError, match=r"would lose something"):
        check_target(photo, tmp_path / f"b.{ending}", WriteOptions(strict=True), overwrite=False)
    check_target(photo, path.with_name(f"b.{ending}"), WriteOptions(strict=True), overwrite=False, will_change=False)


def test_a_plain_picture_has_nothing_to_tell() -> None:
    for encode in (heic, avif):
        view = memoryview(encode())
        assert (others_in_words(view, animated=False), picture_count(view)) == ([], 1)


def item(number: int, kind: bytes, more: bytes = b"", *, hidden: bool = False) -> bytes:
    return full(b"infe", struct.pack(">HH4s", number, 0, kind) + b"\0" + more, 2, int(hidden))


def test_items_and_auxiliary_pictures_are_reported_one_by_one() -> None:
    items = [
        item(1, b"grid"), item(2, b"hvc1", hidden=True), item(3, b"hvc1"), item(4, b"hvc1"), item(5, b"hvc1"),
        item(6, b"mime", b"application/rdf+xml\0"), item(7, b"mime", b"audio/wav\0"), item(8, b"tmap"),
        item(9, b"uri "), item(10, b"Exif"), item(11, b"hvc1"),
    ]  # fmt: skip
    references = box(b"thmb", struct.pack(">HHH", 3, 1, 1)) + box(b"auxl", struct.pack(">HHH", 4, 1, 1))
    references += box(b"dimg", struct.pack(">HHHH", 1, 2, 2, 5))
    kinds = [b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:2",
             b"urn:com:apple:photo:2018:aux:portraiteffectsmatte"]  # fmt: skip
    properties = b"".join(full(b"auxC", kind + b"\0") for kind in kinds)
    content = full(b"iinf", struct.pack(">H", len(items)) + b"".join(items)) + full(b"iref", references)
    view = memoryview(full(b"meta", content + box(b"iprp", box(b"ipco", properties))))
    assert others_in_words(view, animated=False) == [
        "item of the kind audio/wav", "HDR gain map", "item of another program", "depth map",
        "auxiliary picture (portraiteffectsmatte)",
    ]  # fmt: skip
    assert picture_count(view) == 2  # the grid and item 11; 3 is its thumbnail, 4 auxiliary, 2 and 5 its tiles


def test_a_films_tracks_are_reported_except_the_frames() -> None:
    def track(kind: bytes) -> bytes:
        return box(b"trak", box(b"mdia", full(b"hdlr", bytes(4) + kind + bytes(13))))

    view = memoryview(box(b"moov", track(b"pict") + track(b"auxv") + track(b"soun") + track(b"vide")))
    assert others_in_words(view, animated=False) == ["image sequence", "sound", "video"]
    assert others_in_words(view, animated=True) == ["sound", "video"]


def test_cut_boxes_raise_nothing() -> None:
    for whole in (heic(), avif()):
        for end in range(0, 600, 7):
            view = memoryview(whole)[:end]
            others_in_words(view, animated=False)
            picture_count(view)


XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:Container="http://ns.google.com/photos/1.0/container/" xmlns:Item="http://ns.google.com/photos/1.0/container/item/"
 GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1" GCamera:MicroVideo="1" GCamera:MicroVideoOffset="32" xmp:Rating="4">
<GCamera:MotionPhotoPresentationTimestampUs>5</GCamera:MotionPhotoPresentationTimestampUs>
<Container:Directory><rdf:Seq>
<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="Primary" Item:Mime="image/jpeg"/></rdf:li>
<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="MotionPhoto" Item:Length="32"/></rdf:li>
</rdf:Seq></Container:Directory></rdf:Description></rdf:RDF></x:xmpmeta>"""


def test_googles_motion_photo_loses_the_video_and_its_properties(tmp_path: Path) -> None:
    PICTURE.save(tmp_path / "a.jpg", xmp=XMP)
    with (tmp_path / "a.jpg").open("ab") as file:
        file.write(MOVIE)
    photo = changed(tmp_path / "a.jpg")
    with pytest.raises(OutputError, match="motion photo video dropped"):
        check_target(photo, tmp_path / "b.jpg", WriteOptions(strict=True), overwrite=False)
    receipt = write_photo(photo, tmp_path / "b.jpg", overwrite=False)
    assert any(str(entry).startswith("motion photo video dropped") for entry in receipt)
    after = (tmp_path / "b.jpg").read_bytes()
    assert b"ftypmp42" not in after
    assert not any(name in after for name in (b"GCamera:Motion", b"GCamera:Micro", b'"MotionPhoto"'))
    assert b'xmp:Rating="4"' in after
    assert b'Item:Semantic="Primary"' in after


def test_an_untouched_motion_photo_keeps_its_video(tmp_path: Path) -> None:
    PICTURE.save(tmp_path / "a.jpg", xmp=XMP)
    with (tmp_path / "a.jpg").open("ab") as file:
        file.write(MOVIE)
    photo = read_photo(tmp_path / "a.jpg", max_megapixels=10)
    write_photo(photo, tmp_path / "b.jpg", overwrite=False)
    assert (tmp_path / "b.jpg").read_bytes() == (tmp_path / "a.jpg").read_bytes()


@pytest.mark.parametrize(("whole", "flags", "plays"), [(0xFFFFFFFF, 1, 0), (300, 1, 3), (250, 1, 3), (100, 0, 1)])
def test_how_long_and_how_often_a_sequence_runs(whole: int, flags: int, plays: int) -> None:
    times = full(b"stts", struct.pack(">IIIII", 2, 2, 1, 1, 3))
    media = full(b"hdlr", bytes(4) + b"pict" + bytes(13)) + full(b"mdhd", struct.pack(">IIII", 0, 0, 30, 5))
    media += box(b"minf", box(b"stbl", times))
    head = full(b"tkhd", struct.pack(">IIIII", 0, 0, 1, 0, whole))
    edits = box(b"edts", full(b"elst", struct.pack(">III", 1, 100, 0), 0, flags))
    view = memoryview(box(b"moov", box(b"trak", head + edits + box(b"mdia", media))))
    assert durations_of(view) == [1000 / 30, 1000 / 30, 100]
    assert plays_of(view) == plays


def test_an_avif_is_read_with_its_times_and_keeps_them(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.roll(np.array(PICTURE), shift, 1)) for shift in (0, 4, 9)]
    frames[0].save(tmp_path / "a.avif", save_all=True, append_images=frames[1:], duration=[40, 33, 70])
    photo = changed(tmp_path / "a.avif")
    assert ([frame.duration_ms for frame in photo.frames], photo.coding.plays) == ([40, 33, 70], 0)
    receipt = write_photo(photo, tmp_path / "b.avif", WriteOptions(strict=True), overwrite=False)
    assert not [entry for entry in receipt if entry.part == "timing"]
