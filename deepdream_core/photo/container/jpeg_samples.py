"""Checks that a JPEG is of a supported kind and has all its samples (ITU-T T.81, annexes A, B, E and G)."""

from __future__ import annotations

import re
import struct

from deepdream_core.errors import PictureError
from deepdream_core.photo.container.jpeg_segments import FRAME_HEADERS, SOS, Segment, segments_of
from deepdream_core.photo.formats import FormatError

_DRI, _DNL = 0xDD, 0xDC
_LOSSLESS, _HIERARCHICAL, _JPEG_LS = (0xC3, 0xC7, 0xCB, 0xCF), (0xC5, 0xC6, 0xCD, 0xCE), 0xF7
_HUFFMAN_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), (0xC2, 0xC6, 0xCA, 0xCE)
_LOOKED_AHEAD = 16
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")


def demanding(view: memoryview) -> bytes | memoryview:
    """Return the first picture in a form that makes Pillow's decoder fail on a scan that is too short.

    libjpeg fills a short scan with gray if there is an end marker. So a picture of one scan is cut before it, with a few
    bytes that decoders look ahead. Checks that several scans together have all coefficients, and counts restart markers in
    every scan. Raises `FormatError` if something is missing, `PictureError` for an unsupported kind of JPEG.
    """
    segments, _ = segments_of(view)
    frame = next((segment for segment in segments if segment.marker in (*FRAME_HEADERS, _JPEG_LS)), None)
    if frame is None or frame.end - frame.body < 6:
        raise FormatError("the JPEG holds no picture")
    _refuse_rare(view, segments, frame)
    scans = [segment for segment in segments if segment.marker == SOS]
    _check_restarts(view, segments, frame)
    _check_scans(view, scans, frame)
    if len(scans) > 1 or frame.marker not in _HUFFMAN_SEQUENTIAL:
        return view
    return b"".join([view[: scans[0].end], bytes(_LOOKED_AHEAD)])


def _refuse_rare(view: memoryview, segments: list[Segment], frame: Segment) -> None:
    """Raise `PictureError` for a kind of JPEG that decoders for photographs do not support (T.81, table B.1)."""
    bits, height, _, components = struct.unpack_from(">BHHB", view, frame.body)
    if frame.marker == _JPEG_LS:
        kind = "is a JPEG-LS"
    elif frame.marker in _LOSSLESS:
        kind = "is a lossless JPEG"
    elif frame.marker in _HIERARCHICAL:
        kind = "is a hierarchical JPEG"
    elif bits != 8:
        kind = f"is a JPEG with {bits} bits"
    elif components not in (1, 3, 4):
        kind = f"is a JPEG with {components} components"
    elif not height and any(segment.marker == _DNL for segment in segments):
        kind = "is a JPEG that stores its height at its end"
    else:
        return
    raise PictureError(
        f"{kind}, which DeepDream cannot read", "export it as JPEG with 8 bits, or as PNG or TIFF with 16"
    )


def _check_scans(view: memoryview, scans: list[Segment], frame: Segment) -> None:
    """Raise `ValueError` unless the scans have every bit of every coefficient of every component (T.81, G.1.1)."""
    progressive = frame.marker in _PROGRESSIVE
    missing = {name: [True] * 64 if progressive else [True] for name in view[frame.body + 6 : frame.end : 3]}
    for scan in scans:
        count = view[scan.body]
        first, last, bits = view[scan.body + 1 + 2 * count : scan.body + 4 + 2 * count]
        for name in view[scan.body + 1 : scan.body + 1 + 2 * count : 2]:
            if name in missing and progressive:
                missing[name][first : last + 1] = [bool(bits & 15)] * (min(last, 63) + 1 - first)
            elif name in missing:
                missing[name] = [False]
    if any(any(coefficients) for coefficients in missing.values()):
        raise FormatError("the JPEG is truncated: scans are missing")


def _check_restarts(view: memoryview, segments: list[Segment], frame: Segment) -> None:
    """Raise `ValueError` if a scan has fewer restart markers than its size requires (T.81, A.2 and E.1.4)."""
    height, width = struct.unpack_from(">HH", view, frame.body + 1)
    factors = {
        view[at]: (view[at + 1] >> 4 or 1, view[at + 1] & 15 or 1) for at in range(frame.body + 6, frame.end - 2, 3)
    }
    most = [max((factor[side] for factor in factors.values()), default=1) for side in (0, 1)]
    interval = 0
    for segment in segments:
        if segment.marker == _DRI and segment.end - segment.body >= 2:
            interval = int.from_bytes(view[segment.body : segment.body + 2], "big")
        if segment.marker != SOS or not interval:
            continue
        names = view[segment.body + 1 : segment.body + 1 + 2 * view[segment.body] : 2]
        sides = factors.get(names[0], (1, 1)) if len(names) == 1 else (1, 1)
        units = 1
        for length, own, all_of in zip((width, height), sides, most, strict=True):
            units *= -(-length * own // (8 * all_of))
        if len(_RESTART.findall(view, segment.body, segment.end)) < -(-units // interval) - 1:
            raise FormatError("the JPEG is truncated: parts of a scan are missing")
