"""JPEG XL's further channels: what its header says of them, and that none is lost unsaid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import imagecodecs
import numpy as np
import pytest

from deepdream_core.errors import OutputError, PictureError
from deepdream_core.photo import WriteOptions, check_target, read_photo
from deepdream_core.photo.codecs.jxl import decode
from deepdream_core.photo.container.jxl_header import codestream_of, header_of

if TYPE_CHECKING:
    from pathlib import Path

_PIXELS = np.random.default_rng(0).integers(0, 128, (12, 16, 4), np.uint8)
_INFO = 23
"""Bits before the only extra channel of a lossless picture of 16×12 pixels, 8 bits deep."""


def _with_channel(*info: int) -> bytes:
    """Return an RGBA picture whose fourth channel is described so: bits of an ExtraChannelInfo (ISO/IEC 18181-1, D.3.6)."""
    code = bytes(imagecodecs.jpegxl_encode(_PIXELS, lossless=True, usecontainer=False))
    bits = [byte >> place & 1 for byte in code[2:12] for place in range(8)]
    assert bits[_INFO] == 1, "all by default: alpha of 8 bits"
    end = _INFO + 1 + 5  # XYB or not, colours by default, no extensions (2), transforms by default
    changed = [*bits[:_INFO], 0, *info, *bits[_INFO + 1 : end]]
    changed += [0] * (-len(changed) % 8)
    packed = [sum(bit << place for place, bit in enumerate(changed[at : at + 8])) for at in range(0, len(changed), 8)]
    return code[:2] + bytes(packed) + code[2 + -(-end // 8) :]


_PLAIN = (0, 0, 0, 0, 0, 0, 0)
"""8 bits, no float, full size, no name."""
_DEPTH, _SELECTION, _BLACK = (1, 0), (0, 1, 1, 0, 0, 0), (0, 1, 0, 1, 0, 0)


@pytest.mark.parametrize("kind", [_DEPTH, _SELECTION])
def test_a_channel_that_is_not_transparency_is_reported(tmp_path: Path, kind: tuple[int, ...]) -> None:
    source = tmp_path / "a.jxl"
    source.write_bytes(_with_channel(*kind, *_PLAIN))
    photo = read_photo(source, max_megapixels=1)
    np.testing.assert_array_equal(photo.frames[0].samples, _PIXELS[..., :3])
    assert [str(entry) for entry in photo.changes if entry.lost] == [
        "extra channels dropped: 1 besides colour and alpha, which DeepDream cannot read"
    ]
    with pytest.raises(OutputError, match="extra channels"):
        check_target(photo, tmp_path / "b.png", WriteOptions(strict=True), overwrite=False)


def test_colours_that_are_multiplied_by_alpha_are_known_as_such() -> None:
    straight, multiplied = (decode(_with_channel(0, 0, *_PLAIN, bit), 1).frames[0] for bit in (0, 1))
    assert (straight.premultiplied, multiplied.premultiplied) == (False, True)
    np.testing.assert_array_equal(multiplied.samples, _PIXELS)


def test_inks_are_refused() -> None:
    with pytest.raises(PictureError, match="CMYK"):
        decode(_with_channel(*_BLACK, *_PLAIN), 1)


def test_channels_beside_gray_are_refused_by_name() -> None:
    planes = np.ascontiguousarray(_PIXELS[..., :3].transpose(2, 0, 1))
    with pytest.raises(PictureError, match="extra channels") as caught:
        decode(bytes(imagecodecs.jpegxl_encode(planes, planar=True, lossless=True)), 1)
    assert type(caught.value) is PictureError, "no damaged file, which a drop folder would wait for"


def test_a_deep_alpha_hides_nothing_of_the_header() -> None:
    code = bytes(imagecodecs.jpegxl_encode(_PIXELS.astype(np.uint16) * 257, lossless=True))
    header = header_of(codestream_of(code))
    assert (header.depth, header.alpha, header.lossless, header.others) == ("16", True, True, ())
