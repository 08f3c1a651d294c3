"""Animations as a viewer shows them: stored frames on a canvas, and frames reduced to the part that has changed.

Blending and disposal follow PNG, third edition (W3C, 2025), 13.16 and 11.3.6.2; GIF89a, section 23; WebP, RFC 9649, 2.7.1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from deepdream_core.photo.container.moving import Moving, Stored
from deepdream_core.photo.formats import FormatError
from deepdream_core.photo.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from deepdream_core.photo.container.moving import Disposal


def frames_of(moving: Moving, still: Callable[[bytes], NDArray[Any]], *, unused_alpha: bool) -> list[Frame]:
    """Return what a viewer shows of an animation, all frames with the same channels.

    `still` decodes a picture file to uint8 or uint16 [H, W, C]. `unused_alpha`: keep alpha if all stored frames have it,
    even if every pixel is opaque. Raises `FormatError` for a frame that is not as large as its header says.
    """
    stored = [_checked(still(frame.file), frame) for frame in moving.frames]
    first = [still(moving.still)] if moving.still is not None else []
    coloured = any(samples.shape[2] > 2 for samples in (*first, *stored))
    channels = 4 if coloured else 2
    shown = list(_composited(moving, [widened(samples, channels) for samples in stored]))
    full = np.iinfo(stored[0].dtype).max
    needed = (unused_alpha and all(samples.shape[2] % 2 == 0 for samples in (*first, *stored))) or any(
        (samples[..., -1] != full).any() for samples in (*shown, *(own for own in first if own.shape[2] % 2 == 0))
    )
    channels -= not needed
    frames = [Frame(widened(samples, channels), float(full)) for samples in first]
    timed = len(moving.frames) > 1 or first
    for frame in moving.frames:  # frees each canvas as soon as it is converted
        duration = frame.duration_ms if timed else None
        frames.append(Frame(widened(shown.pop(0), channels), float(full), duration_ms=duration))
    return frames


def _checked(samples: NDArray[Any], frame: Stored) -> NDArray[Any]:
    if samples.shape[:2] != (frame.height, frame.width):
        raise FormatError("a frame is not as large as its header says")
    return samples


def _composited(moving: Moving, stored: Sequence[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """Yield the canvas after each frame, [H, W, C] with alpha; it begins transparent and clips what is outside."""
    canvas = np.zeros((moving.height, moving.width, stored[0].shape[2]), stored[0].dtype)
    for frame, whole in zip(moving.frames, stored, strict=True):
        place = canvas[frame.top : frame.top + frame.height, frame.left : frame.left + frame.width]
        samples = whole[: place.shape[0], : place.shape[1]]
        before = place.copy() if frame.dispose == "restore" else None
        place[...] = over(samples, place) if frame.over else samples
        yield canvas.copy()
        if frame.dispose == "clear":
            place[...] = 0
        elif before is not None:
            place[...] = before


def over(source: NDArray[Any], backdrop: NDArray[Any]) -> NDArray[Any]:
    """Return `source` laid over `backdrop`, both uint8 or uint16 [H, W, C] with straight alpha last.

    Porter and Duff's "over", rounded to the nearest. Where the source is transparent, the backdrop stays bit for bit.
    """
    full = int(np.iinfo(source.dtype).max)
    laid = np.where(source[..., -1:] == 0, backdrop, source)
    soft = (source[..., -1] > 0) & (source[..., -1] < full) & (backdrop[..., -1] > 0)
    above, below = source[soft].astype(np.int64), backdrop[soft].astype(np.int64)
    own, rest = above[:, -1:] * full, below[:, -1:] * (full - above[:, -1:])
    total = own + rest  # alpha times `full`
    mixed = np.empty_like(above)
    mixed[:, :-1] = (above[:, :-1] * own + below[:, :-1] * rest + total // 2) // np.maximum(total, 1)
    mixed[:, -1:] = (total + full // 2) // full
    laid[soft] = mixed.astype(source.dtype)
    return laid


def widened(samples: NDArray[Any], channels: int) -> NDArray[Any]:
    """Return samples with another number of channels: gray becomes RGB, alpha is added as opaque or removed."""
    have = samples.shape[2]
    if have == channels:
        return samples
    colours = samples[..., : have - (have + 1) % 2]
    if channels >= 3 and colours.shape[2] == 1:
        colours = colours.repeat(3, axis=2)
    if channels % 2:
        return np.ascontiguousarray(colours)
    full = np.iinfo(samples.dtype).max
    alpha = samples[..., -1:] if have % 2 == 0 else np.full_like(samples[..., :1], full)
    return np.concatenate([colours, alpha], axis=2)


def reduced(
    frames: Sequence[Frame], still: Callable[[Frame], bytes], *, plays: int, still_first: bool, step: int = 1,
    whole: bool = False,
) -> Moving:  # fmt: skip
    """Return an animation with a stored frame for each of `frames`, even equal ones, no larger than what has changed.

    `still` encodes a picture file. Positions are multiples of `step`. `whole`: each frame replaces the one before.
    """
    width, height = frames[0].size
    shown = frames[1:] if still_first else frames
    stored: list[Stored] = []
    for number, frame in enumerate(shown):
        box = (0, 0, width, height)
        if number and not whole:
            box = _changed(shown[number - 1].samples, frame.samples, step)
        left, top, right, bottom = box
        part = replace(frame, samples=np.ascontiguousarray(frame.samples[top:bottom, left:right]))
        duration = 100.0 if frame.duration_ms is None else frame.duration_ms
        dispose: Disposal = "clear" if whole else "keep"
        stored.append(Stored(left, top, right - left, bottom - top, duration, dispose, False, still(part)))
    return Moving(width, height, plays, tuple(stored), still(frames[0]) if still_first else None)


def _changed(before: NDArray[Any], after: NDArray[Any], step: int) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the part that differs between pictures; one pixel if nothing does."""
    differs = (before != after).any(axis=2)
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    if not rows.size:
        return 0, 0, 1, 1
    left, top = int(columns[0]), int(rows[0])
    return left - left % step, top - top % step, int(columns[-1]) + 1, int(rows[-1]) + 1
