"""Dreams from nothing: noise in place of a picture."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_core.errors import SettingsError
from deepdream_core.settings import DreamSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deepdream_core.photo import Photo
    from deepdream_core.settings import Config

BOOST = 4.0
"""`coarse_boost` for noise: nothing is there yet that a large shape could grow from; chosen by eye."""
_SIZE = re.compile(r"([1-9]\d{0,5})[xX×]([1-9]\d{0,5})", re.ASCII)


@dataclass(frozen=True)
class Noise:
    """Noise to dream from: its size in pixels, and its seed."""

    width: int
    height: int
    seed: int

    @property
    def label(self) -> Path:
        """What reports name in place of a file."""
        return Path(f"noise {self.width}x{self.height}")

    def photo(self, max_megapixels: float) -> Photo:
        """Return the noise as an 8-bit picture; raises `PictureError` when it is larger than `max_megapixels`."""
        from deepdream_core.noise import natural_noise
        from deepdream_core.photo import Frame, Photo
        from deepdream_core.photo.decoded import NO_BLOCKS, Coding, check_pixels

        check_pixels(self.width * self.height, str(self.label), max_megapixels, "give a smaller size, or")
        samples = natural_noise(self.width, self.height, self.seed)
        return Photo(
            frames=(Frame(samples, 255.0),), blocks=NO_BLOCKS, coding=Coding(), path=self.label, format="PNG",
            sha256=hashlib.sha256(samples.tobytes()).hexdigest(), recipe=None, untouched=False, noise=True,
        )  # fmt: skip


def size_of(text: str) -> tuple[int, int]:
    """Return width and height of `1024x768`; raises `SettingsError` for anything else."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise SettingsError(f"--noise {text[:40]!r} is not allowed", "write WIDTHxHEIGHT in pixels, such as 1024x768")
    return int(match[1]), int(match[2])


def with_boost(given: Mapping[str, Any], config: Config, preset: str) -> dict[str, Any]:
    """Return the settings given for a dream of noise, with more iterations at coarse octaves if nobody says how many."""
    default = DreamSettings.model_fields["coarse_boost"].default
    given_by_preset = preset in config.presets and "coarse_boost" in config.presets[preset].settings
    return dict(given) if given_by_preset or config.dream.coarse_boost != default else {"coarse_boost": BOOST, **given}
