"""Animations: partial frames as viewers show them, by hand after the specifications; every frame written, even twins."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from deepdream_core.errors import PictureError
from deepdream_core.photo import Photo, read_photo, write_photo
from deepdream_core.photo.animation import over
from deepdream_core.photo.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ASTRONAUT = getattr(data, "astronaut")()  # noqa: B009

NONE = (0, 0, 0, 0)
RED, GREEN, BLUE, HALF_RED = (255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255), (255, 0, 0, 128)
OVER_GREEN = (128, 127, 0, 255)  # 255 · 128/255 red and 255 · 127/255 green, and nothing of it transparent
OVER_HALF_BLUE = (170, 0, 85, 192)  # alpha 128 + 128 · 127/255; red 255 · 128/191.75 of that, blue the rest


def read(path: Path) -> Photo:
    return read_photo(path, max_megapixels=10)


def changed(photo: Photo) -> Photo:
    return photo.with_frames([frame.with_floats(frame.floats() * np.float32(0.9)) for frame in photo.frames])


def shown(photo: Photo) -> list[list[tuple[int, ...]]]:
    """Each frame's first row, with alpha."""
    rows = [frame.samples[0] for frame in photo.frames]
    return [[(*pixel, 255)[:4] for pixel in row.tolist()] for row in rows]


# One row of pixels is enough: (left, pixels, disposal, over or instead)
Row = tuple[int, "Sequence[tuple[int, ...]]", int, bool]
KEEP, CLEAR, RESTORE = 0, 1, 2


def apng(
    width: int, frames: Sequence[Row], *, still: Sequence[tuple[int, ...]] | None = None, kind: str = "B"
) -> bytes:
    """An animated PNG of RGBA, `kind` B for 8 bits and H for 16."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    def packed(pixels: Sequence[tuple[int, ...]]) -> bytes:
        return zlib.compress(b"\0" + b"".join(struct.pack(f">4{kind}", *pixel) for pixel in pixels))

    bits = 8 if kind == "B" else 16
    file = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, bits, 6, 0, 0, 0))
    file += chunk(b"acTL", struct.pack(">II", len(frames), 0))
    if still:
        file += chunk(b"IDAT", packed(still))
    number = 0
    for index, (left, pixels, disposal, lay) in enumerate(frames):
        control = struct.pack(">IIIIIHHBB", number, len(pixels), 1, left, 0, 3 + index, 100, disposal, lay)
        file += chunk(b"fcTL", control)
        number += 1
        if index == 0 and not still:
            file += chunk(b"IDAT", packed(pixels))
        else:
            file += chunk(b"fdAT", struct.pack(">I", number) + packed(pixels))
            number += 1
    return file + chunk(b"IEND", b"")


def webp(width: int, frames: Sequence[Row]) -> bytes:
    """An animated WebP, lossless, each frame coded alone."""
    parts = b""
    for left, pixels, disposal, lay in frames:
        coded = io.BytesIO()
        Image.fromarray(np.array([pixels], np.uint8)).save(coded, "WEBP", lossless=True, exact=True)
        body = struct.pack("<I", left // 2)[:3] + bytes(3) + struct.pack("<I", len(pixels) - 1)[:3] + bytes(3)
        body += struct.pack("<I", 40)[:3] + bytes([disposal | (0 if lay else 2)]) + coded.getvalue()[12:]
        parts += b"ANMF" + struct.pack("<I", len(body)) + body
    head = b"VP8X" + struct.pack("<I", 10) + bytes([0x12, 0, 0, 0]) + struct.pack("<I", width - 1)[:3] + bytes(3)
    whole = b"WEBP" + head + b"ANIM" + struct.pack("<I", 6) + bytes(6) + parts
    return b"RIFF" + struct.pack("<I", len(whole)) + whole


PALETTE = (NONE, RED, GREEN, BLUE)


def gif(width: int, frames: Sequence[tuple[int, Sequence[int], int]]) -> bytes:
    """A GIF whose colour 0 is transparent: each frame with its left, its colours and its disposal."""
    file = b"GIF89a" + struct.pack("<HHBBB", width, 1, 0x81, 3, 0) + bytes(v for colour in PALETTE for v in colour[:3])
    for left, colours, disposal in frames:
        file += b"\x21\xf9\4" + struct.pack("<BHBB", disposal << 2 | 1, 4, 0, 0)
        file += b"\x2c" + struct.pack("<HHHHB", left, 0, len(colours), 1, 0)
        codes = bytes([128, *colours, 129])  # with 7 bits a colour, each code is a byte until the table is full
        file += b"\7" + bytes([len(codes)]) + codes + b"\0"
    return file + b"\x3b"


def test_over_is_exact_and_leaves_what_it_does_not_cover() -> None:
    above = np.array([[HALF_RED, HALF_RED, HALF_RED, (9, 9, 9, 0), RED]], np.uint8)
    below = np.array([[GREEN, (0, 0, 255, 128), (7, 7, 7, 0), (1, 2, 3, 4), BLUE]], np.uint8)
    assert over(above, below)[0].tolist() == [
        [*OVER_GREEN], [*OVER_HALF_BLUE], [*HALF_RED], [1, 2, 3, 4], [*RED],
    ]  # fmt: skip
    deep = over(above.astype(np.uint16) * 257, below.astype(np.uint16) * 257)
    assert deep[0, 0].tolist() == [128 * 257, 127 * 257, 0, 65_535]


PARTIAL: list[Row] = [
    (0, [GREEN] * 6, KEEP, False),
    (2, [HALF_RED, HALF_RED], RESTORE, True),
    (4, [BLUE, NONE], CLEAR, False),
    (0, [HALF_RED, RED], KEEP, True),
    (4, [HALF_RED, NONE], KEEP, True),
]
PARTIAL_SHOWN = [
    [GREEN] * 6,
    [GREEN, GREEN, OVER_GREEN, OVER_GREEN, GREEN, GREEN],
    [GREEN, GREEN, GREEN, GREEN, BLUE, NONE],
    [OVER_GREEN, RED, GREEN, GREEN, NONE, NONE],
    [OVER_GREEN, RED, GREEN, GREEN, HALF_RED, NONE],
]


@pytest.mark.parametrize("kind", ["B", "H"])
def test_a_png_with_partial_frames_is_shown_as_specified(kind: str, tmp_path: Path) -> None:
    deep = [(left, [tuple(v * 257 for v in p) for p in pixels], how, lay) for left, pixels, how, lay in PARTIAL]
    (tmp_path / "a.png").write_bytes(apng(6, PARTIAL if kind == "B" else deep, kind=kind))
    photo = read(tmp_path / "a.png")
    factor = 257 if kind == "H" else 1
    assert shown(photo) == [[tuple(v * factor for v in pixel) for pixel in row] for row in PARTIAL_SHOWN]
    assert [frame.duration_ms for frame in photo.frames] == [30, 40, 50, 60, 70]
    assert photo.frames[0].depth == ("8" if kind == "B" else "16")


def test_a_pngs_first_frame_may_be_restored_to_nothing_and_its_still_picture_is_none_of_them(tmp_path: Path) -> None:
    frames: list[Row] = [(0, [RED, GREEN], RESTORE, False), (1, [HALF_RED], KEEP, True)]
    (tmp_path / "a.png").write_bytes(apng(2, frames, still=[BLUE, BLUE]))
    photo = read(tmp_path / "a.png")
    assert shown(photo) == [[BLUE, BLUE], [RED, GREEN], [NONE, HALF_RED]]
    assert photo.coding.still_first
    write_photo(changed(photo), tmp_path / "b.png", overwrite=False)
    back = read(tmp_path / "b.png")
    assert (shown(back), back.coding.still_first) == (shown(changed(photo)), True)


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.replace(b"fcTL" + struct.pack(">I", 1), b"fcTL" + struct.pack(">I", 2)),
        lambda file: file.replace(struct.pack(">IIII", 2, 1, 2, 0), struct.pack(">IIII", 2, 1, 5, 0)),
        lambda file: file.replace(b"acTL" + struct.pack(">I", 5), b"acTL" + struct.pack(">I", 6)),
    ],
    ids=["numbers in the wrong order", "beyond the canvas", "a frame too few"],
)
def test_an_animated_png_that_breaks_the_rules_is_reported(damage: Any, tmp_path: Path) -> None:
    file = bytearray(damage(apng(6, PARTIAL)))
    at = 8
    while at < len(file):  # the checksums are right, so that it is not they that tell
        end = at + 8 + int.from_bytes(file[at : at + 4], "big")
        file[end : end + 4] = struct.pack(">I", zlib.crc32(file[at + 4 : end]))
        at = end + 4
    (tmp_path / "a.png").write_bytes(file)
    with pytest.raises(PictureError, match="the animated PNG"):
        read(tmp_path / "a.png")


def test_a_webp_with_partial_frames_is_shown_as_specified(tmp_path: Path) -> None:
    frames: list[Row] = [
        (0, [GREEN] * 6, KEEP, False),
        (2, [HALF_RED, HALF_RED], CLEAR, True),
        (4, [BLUE, NONE], KEEP, False),
        (0, [HALF_RED, RED], KEEP, True),
    ]
    (tmp_path / "a.webp").write_bytes(webp(6, frames))
    assert shown(read(tmp_path / "a.webp")) == [
        [GREEN] * 6,
        [GREEN, GREEN, OVER_GREEN, OVER_GREEN, GREEN, GREEN],
        [GREEN, GREEN, NONE, NONE, BLUE, NONE],
        [OVER_GREEN, RED, NONE, NONE, BLUE, NONE],
    ]


def test_a_gif_with_partial_frames_is_shown_as_browsers_do(tmp_path: Path) -> None:
    frames = [
        (0, [2, 2, 2, 0], 0),
        (1, [1, 0, 3], 3),
        (1, [3, 3], 2),
        (3, [1, 1, 1], 4),  # beyond the canvas, and 4 is an old way to write 3
        (0, [0, 1], 1),
    ]
    (tmp_path / "a.gif").write_bytes(gif(4, frames))
    assert [[pixel if pixel[3] else NONE for pixel in row] for row in shown(read(tmp_path / "a.gif"))] == [
        [GREEN, GREEN, GREEN, NONE],
        [GREEN, RED, GREEN, BLUE],
        [GREEN, BLUE, BLUE, NONE],
        [GREEN, NONE, NONE, RED],
        [GREEN, RED, NONE, NONE],
    ]


def test_a_gif_whose_only_picture_is_smaller_or_larger_than_its_canvas(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(gif(4, [(1, [1, 2], 0)]))
    assert shown(read(tmp_path / "a.gif")) == [[NONE, RED, GREEN, NONE]]
    (tmp_path / "b.gif").write_bytes(gif(2, [(1, [1, 2], 0)]))
    assert shown(read(tmp_path / "b.gif")) == [[NONE, RED, GREEN]]


def test_a_transparent_colour_that_is_not_used_makes_no_alpha(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(gif(2, [(0, [1, 2], 1), (0, [0, 3], 1)]))
    photo = read(tmp_path / "a.gif")
    assert [frame.alpha for frame in photo.frames] == [None, None]
    assert shown(photo) == [[RED, GREEN], [RED, BLUE]]


DURATIONS = [100, 20, 250, 40, 40, 70]


def scene(alpha: bool) -> list[Image.Image]:
    """Six frames, of which the second, third and last are as the one before."""
    pictures = [Image.fromarray(np.roll(ASTRONAUT[:30, :41], shift, 1)) for shift in (0, 0, 0, 5, 9, 9)]
    for picture in pictures:
        if alpha:
            picture.putalpha(Image.linear_gradient("L").resize(picture.size).point(lambda v: 255 * (v > 90)))
    return pictures


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("target", ["png", "gif", "webp", "avif"])
def test_every_frame_keeps_its_time_even_if_it_equals_the_previous_one(
    target: str, alpha: bool, tmp_path: Path
) -> None:
    pictures = scene(alpha)
    pictures[0].save(tmp_path / "a.png")
    photo = read(tmp_path / "a.png")
    frames = tuple(
        Frame(np.array(picture), 255.0, duration_ms=float(time))
        for picture, time in zip(pictures, DURATIONS, strict=True)
    )
    receipt = write_photo(replace(photo, frames=frames, untouched=False), tmp_path / f"b.{target}", overwrite=False)
    assert "frames kept: 6 frames" in [str(entry) for entry in receipt]
    with Image.open(tmp_path / f"b.{target}") as image:
        assert getattr(image, "n_frames", 1) == 6
        for index, picture in enumerate(pictures):
            image.seek(index)
            image.load()
            assert image.info["duration"] == DURATIONS[index]
            after, before = (np.array(one.convert("RGBA"), np.float32) for one in (image, picture))
            assert np.abs(after - before)[before[..., 3] > 0].mean() < (8 if target in ("gif", "avif") else 1e-3)


def test_only_what_changes_is_stored_again(tmp_path: Path) -> None:
    one = ASTRONAUT[:64, :64]
    frames = [one.copy() for _ in range(4)]
    for number, frame in enumerate(frames):
        frame[20:24, 30 + number : 34 + number] = RED[:3]
    Image.fromarray(one).save(tmp_path / "a.png")
    photo = read(tmp_path / "a.png")
    photo = replace(photo, frames=tuple(Frame(frame, 255.0, duration_ms=50) for frame in frames), untouched=False)
    for target in ("png", "webp", "gif"):
        write_photo(photo, tmp_path / f"b.{target}", overwrite=False)
        write_photo(replace(photo, frames=photo.frames[:1]), tmp_path / f"one.{target}", overwrite=False)
        sizes = [(tmp_path / f"{name}.{target}").stat().st_size for name in ("one", "b")]
        assert sizes[1] < 1.3 * sizes[0]


def test_text_that_a_gif_draws_over_its_picture_is_reported(tmp_path: Path) -> None:
    file = gif(2, [(0, [1, 2], 1)])
    at = file.index(b"\x2c")
    text = b"\x21\x01\x0c" + struct.pack("<HHHHBBBB", 0, 0, 2, 1, 1, 1, 1, 2) + b"\2hi\0"
    (tmp_path / "a.gif").write_bytes(file[:at] + text + file[at:])
    photo = read(tmp_path / "a.gif")
    assert [entry.part for entry in photo.changes] == ["text drawn over the picture"]
    assert shown(photo) == [[RED, GREEN]]
