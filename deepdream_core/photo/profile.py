"""The profile of a decoded picture's colours, wherever the file describes it, and made to fit the pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from deepdream_core.photo import colour, icc
from deepdream_core.photo.colour_tags import by_exif, refuse_hdr
from deepdream_core.photo.receipt import Entry, converted, dropped, kept

if TYPE_CHECKING:
    from deepdream_core.photo.container import Blocks
    from deepdream_core.photo.decoded import Decoded
    from deepdream_core.photo.formats import Format
    from deepdream_core.photo.frame import Frame

_STEPS = 4096


def settled(decoded: Decoded) -> Decoded:
    """Return a decoded file with the profile of its colours, page by page; no profile means sRGB.

    A gray picture may have an RGB profile, which `for_pixels` converts on writing. Other profiles that do not fit the
    pixels go. `Blocks.described` stays if the profile was made from it. Raises `PictureError` for HDR.
    """
    in_pages = decoded.frames[0].blocks is not None
    groups = [[frame] for frame in decoded.frames] if in_pages else [list(decoded.frames)]
    frames: list[Frame] = []
    changes = list(decoded.changes)
    first: Blocks | None = None
    for group in groups:
        fit, blocks, entries = _settled(group, group[0].blocks or decoded.blocks)
        first = first or blocks
        frames += [replace(frame, blocks=blocks) for frame in fit] if in_pages else fit
        changes += [entry for entry in entries if entry not in changes]
    return replace(decoded, frames=tuple(frames), blocks=first or decoded.blocks, changes=tuple(changes))


def _settled(frames: list[Frame], blocks: Blocks) -> tuple[list[Frame], Blocks, list[Entry]]:
    embedded, described = blocks.icc, blocks.described
    entries: list[Entry] = []
    if embedded is not None:
        refuse_hdr(icc.hdr_of(embedded))
        space, gray = icc.space_of(embedded), frames[0].gray
        if space == "GRAY" and not gray and all(_is_neutral(frame) for frame in frames):
            frames = [_as_gray(frame) for frame in frames]
        elif not space or (space in ("GRAY", "RGB") and not colour.is_whole(embedded)):
            entries.append(dropped("ICC", "it is damaged, or not for pixels"))
            embedded = None
        elif space not in ("GRAY", "RGB") or (space == "GRAY" and not gray):
            entries.append(dropped("ICC", f"it is for {space}, and the picture is {'gray' if gray else 'RGB'}"))
            embedded = None
    if embedded is not None and not (described and described.over_icc):
        return frames, replace(blocks, described=None), entries
    if described is None and blocks.exif:
        described = by_exif(blocks.exif)
    made = described.profile(gray=frames[0].gray) if described else None
    counts = described is not None and (made is not None or described.over_icc)
    described = replace(described, embedded=embedded) if described and counts else None
    return frames, replace(blocks, icc=made, described=described), entries


def _is_neutral(frame: Frame) -> bool:
    red, green, blue = (frame.samples[..., channel] for channel in range(3))
    return np.array_equal(red, green) and np.array_equal(green, blue)


def _as_gray(frame: Frame) -> Frame:
    channels = [0] if frame.alpha is None else [0, 3]
    return replace(frame, samples=np.ascontiguousarray(frame.samples[..., channels]))


def for_pixels(profile: bytes, *, gray: bool) -> bytes | None:
    """Return a profile for gray or for RGB pixels: the same one, or one of the other kind with the same grays.

    None for a profile that is for neither.
    """
    space = icc.space_of(profile)
    if space == ("GRAY" if gray else "RGB"):
        return profile
    if space not in ("GRAY", "RGB"):
        return None
    curves = icc.curves_of(profile)
    if curves is None or any(curve != curves[0] for curve in curves):
        try:
            curves = [icc.table_curve(colour.luminance(profile, _STEPS))]
        except ValueError:
            return None
    name = icc.name_of(profile) or "colours of the picture"
    return icc.gray_profile(name, curves[0]) if gray else icc.rgb_profile(name, icc.SRGB_PRIMARIES, curves[:1])


def planned(
    first: Frame, blocks: Blocks, wanted: Format, depth: str, receipt: list[Entry], *, with_alpha: bool
) -> tuple[bytes | None, bytes | None]:
    """Return the profile to convert samples to for a format, if any, and the profile to write; add to `receipt`."""
    own, described = blocks.icc, blocks.described
    if described and described.only_in == wanted.name:  # its own blocks describe it, and stay
        own, described = described.embedded, None
    if own is None:
        return None, None
    if wanted.icc:
        gray = first.gray and _has_gray(wanted, first, with_alpha=with_alpha)
        if described and described.needs_depth and depth == "8" != first.depth:
            how = f"{described} to the curve of sRGB, which 8 bits need, with an ICC profile"
            receipt.append(converted("colour description", how))
            turned_to = colour.srgb_profile() if first.gray else described.for_8_bits(gray=False)
            return turned_to, described.for_8_bits(gray=gray)
        fit = for_pixels(own, gray=gray)
        replaced = any(entry.part == "colours" and entry.detail.find("to sRGB") > 0 for entry in receipt)
        if replaced:
            receipt.append(converted("ICC", "sRGB, like the colours now"))
        elif described:
            receipt.append(converted("colour description", f"to an ICC profile: {described}"))
        elif fit != own:
            how = "to gray, like the picture" if gray else f"to RGB, because {wanted.title} does not hold this gray"
            receipt.append(converted("ICC", how))
        elif not any(entry.part == "ICC" for entry in receipt):
            receipt.append(kept("ICC"))
        return None, fit
    if colour.is_srgb(own):
        receipt.append(dropped("ICC", f"it is sRGB, the default of {wanted.title}", lost=False))
        return None, None
    part, of = ("colour description", f" ({described})") if described else ("ICC", "")
    how = f"colours converted to sRGB{of}: DeepDream writes {wanted.title} without a profile"
    receipt.append(converted(part, how, lost=True))
    return colour.srgb_profile(), None


def _has_gray(wanted: Format, first: Frame, *, with_alpha: bool) -> bool:
    """Return whether a format writes a gray picture as gray."""
    transparent = first.alpha is not None and with_alpha
    return wanted.gray == "always" or (wanted.gray == "without alpha" and not transparent)
