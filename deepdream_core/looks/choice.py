"""Which looks a sheet shows, as data: every preset by family, every layer by block, or channels of one layer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepdream_core.errors import SettingsError
from deepdream_core.layers import LAYERS, Layer, find_layer
from deepdream_core.settings import as_option

if TYPE_CHECKING:
    from deepdream_core.settings import Config, DreamSettings

PRESET = "classic"
"""The preset that `deepdream dream` uses without `--preset`."""
MOST = 400
"""The most looks on one sheet; more take hours, and nobody compares them."""
_BLOCKS = ("colours and edges", "fine textures", "patterns", "parts of things", "things")


@dataclass(frozen=True)
class Look:
    """One way to dream. `options` are the words after `deepdream dream PHOTO` that make it.

    `thumbnail`: the preset whose picture is shown until the look is dreamed.
    """

    name: str
    about: str
    settings: DreamSettings
    options: tuple[str, ...]
    thumbnail: str | None = None


@dataclass(frozen=True)
class Section:
    """Looks that belong together. `columns`: the number of columns of their table, None for no table."""

    title: str
    looks: tuple[Look, ...]
    columns: int | None = None


@dataclass(frozen=True)
class Choice:
    """Everything that one sheet shows. `suffix` is added to the photo's name before its ending."""

    suffix: str
    title: str
    sections: tuple[Section, ...]

    @property
    def looks(self) -> tuple[Look, ...]:
        """All looks in the order shown."""
        return tuple(look for section in self.sections for look in section.looks)

    @property
    def headed(self) -> bool:
        """Whether sections have headings; small sections would waste space, so they flow together."""
        return any(section.columns for section in self.sections) or len(self.looks) >= 3 * len(self.sections)


def of_presets(config: Config) -> Choice:
    """Return all presets by family, in the order of config.yaml; those without a family come last."""
    sections = []
    for family, names in config.families().items():
        looks = (
            Look(name, config.presets[name].description, config.dream_settings(name, {}), option("preset", name), name)
            for name in names
        )
        sections.append(Section(family, tuple(looks)))
    return Choice(".looks", "presets", tuple(sections))


def of_layers(config: Config, preset: str | None) -> Choice:
    """Return all layers by block, each alone in the settings of a preset; raises `SettingsError` for an unknown preset."""
    base = () if preset is None else option("preset", preset)
    blocks: list[list[Look]] = [[] for _ in _BLOCKS]
    for layer in LAYERS:
        settings = config.dream_settings(preset or PRESET, {"layers": {layer.name: 1.0}})
        about = f"{layer.channels} channels that see {layer.receptive_field} px each"
        blocks[int(layer.name[4]) - 1].append(Look(layer.name, about, settings, (*base, *option("layers", layer.name))))
    sections = (
        Section(f"Block {number}: {title}", tuple(looks))
        for number, (title, looks) in enumerate(zip(_BLOCKS, blocks, strict=True), start=1)
    )
    return Choice(f".looks-layers{of_preset(preset)}", f"layers, as {preset or PRESET}", tuple(sections))


def of_channels(config: Config, preset: str | None, layer: str, channels: str) -> Choice:
    """Return channels of a layer, given as `0-63,100`, each alone in the settings of a preset.

    Raises `SettingsError` for what there is not, and for more than `MOST` channels.
    """
    found = find_layer(layer)
    base = () if preset is None else option("preset", preset)
    looks = []
    for number in _numbers(channels, found):
        channel = f"{found.name}:{number}"
        settings = config.dream_settings(preset or PRESET, {"channels": {channel: 1.0}})
        looks.append(Look(str(number), "", settings, (*base, *option("channels", channel))))
    title = f"channels of {found.name}, as {preset or PRESET}"
    return Choice(f".looks-channels-{found.name}{of_preset(preset)}", title, (Section("", tuple(looks)),))


def _numbers(text: str, layer: Layer) -> list[int]:
    numbers: dict[int, None] = {}
    for part in text.split(","):
        match = _NUMBERS.fullmatch(part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise SettingsError(
                f"--channels {text[:40]!r} is not allowed", "write numbers and ranges, such as 0-63,100,200-210"
            )
        if last >= layer.channels:
            raise SettingsError(
                f"--channels: {layer.name} has no channel {last}",
                f"it has {layer.channels}, from 0 to {layer.channels - 1}",
            )
        numbers |= dict.fromkeys(range(first, last + 1))
    if len(numbers) > MOST:
        raise SettingsError(f"--channels: {len(numbers)} looks, and {MOST} are the most", "give fewer channels")
    return list(numbers)


_NUMBERS = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?", re.ASCII)


def of_preset(preset: str | None) -> str:
    """Return the part of a sheet's name for a preset; unusual characters of a user's own preset become _."""
    return "" if preset is None else "-" + re.sub(r"[^\w-]", "_", preset)


def option(key: str, value: object) -> tuple[str, ...]:
    """Return the words that set `key` on the command line: `--octave-scale 1.3`, `--no-clamp`."""
    name = as_option(key)
    if isinstance(value, bool):
        return (name if value else f"--no-{name.removeprefix('--')}",)
    return (f"{name}={value}",) if str(value).startswith("-") else (name, str(value))
