"""Values of the settings that say what to dream of: layers, guides and channels, each with a weight."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from deepdream_core.declaration import number_or_text
from deepdream_core.errors import PictureError, SettingsError
from deepdream_core.layers import LAYERS, Layer, find_layer

if TYPE_CHECKING:
    from pathlib import Path

MOST = 1000.0
"""The largest weight, of either sign."""

MOST_GUIDES, MOST_CHANNELS = 16, 1000

GUIDE_LADDER = ("relu3_1", "relu3_3", "relu4_2", "pool4")
"""The layers that a guide is followed at, from its texture to its figures."""

Weight = Annotated[float, Field(ge=-MOST, le=MOST)]


def known_layer(name: object) -> Layer:
    """Return the layer of this name; raises `ValueError` for another."""
    try:
        return find_layer(str(name))
    except SettingsError as error:
        raise ValueError(str(error)) from None


def _weighted(value: object, example: str) -> list[tuple[str, object]]:
    """Take a name, a list of names or a mapping of names to weights; return (name, weight) pairs."""
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        value = [value]
    if isinstance(value, list) and all(isinstance(name, (str, int)) for name in value):
        return [(str(name), 1.0) for name in value]
    if isinstance(value, dict):
        return [(str(name), weight) for name, weight in value.items()]
    raise ValueError(f"{value!r:.80} is not allowed — write {example}")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    weighted: dict[str, object] = {}
    for name, weight in pairs:
        if name in weighted:
            raise ValueError(f"{name} is given twice — give it once, with its weight")
        weighted[name] = weight
    return weighted


def _layer_weights(value: object) -> dict[str, object]:
    pairs = _weighted(value, "pool4, [relu3_3, pool4] or {relu3_3: 0.5, pool4: 1.0}")
    return _once([(known_layer(name).name, weight) for name, weight in pairs])


Layers = Annotated[
    dict[str, Weight],
    BeforeValidator(_layer_weights),
    Field(json_schema_extra={"allowed": f"layer names, each with a weight from {-MOST:g} to {MOST:g}"}),
]


@dataclass(frozen=True)
class Pick:
    """Channels to be picked for a photograph by their mean activation, at a layer or (None) at each that is dreamed of."""

    layer: str | None
    which: Literal["strongest", "weakest", "average"]
    count: int


_PICK = re.compile(r"(?:(\w+):)?(strongest|weakest|average):([1-9]\d{0,2})", re.ASCII)
_PICK_OF_ANY_COUNT = re.compile(r"(?:(\w+):)?(strongest|weakest|average)(?::.*)?", re.ASCII | re.DOTALL)
_CHANNEL = re.compile(r"(\w+):(\d{1,4})", re.ASCII)
_CHANNEL_EXAMPLE = "LAYER:NUMBER such as conv4_3:17, or strongest:8, weakest:8 or average:8"


def pick_of(name: str) -> Pick | None:
    """Return the pick that a channel's name stands for, such as `strongest:8`; None for a single channel."""
    match = _PICK.fullmatch(name.strip().lower())
    return Pick(match[1], match[2], int(match[3])) if match else None  # type: ignore[arg-type]


def picks_of_layers(channels: object) -> bool:
    """Say whether `channels`, as a user may write them, ask for a pick from the layers that are dreamed of."""
    names = [channels] if isinstance(channels, str) else channels if isinstance(channels, (list, dict)) else []
    return any(pick.layer is None for name in names if (pick := pick_of(str(name))))


def channel_of(name: str) -> tuple[str, int]:
    """Return layer and number of a channel such as `conv4_3:17`."""
    layer, _, number = name.partition(":")
    return layer, int(number)


def _channel(name: str) -> str:
    """Return a channel's or a pick's name with the layer's usual name; raises `ValueError` for what there is not."""
    word = name.strip().lower()
    if (counted := _PICK_OF_ANY_COUNT.fullmatch(word)) and not _PICK.fullmatch(word):
        most = known_layer(counted[1]).channels if counted[1] else max(layer.channels for layer in LAYERS)
        raise ValueError(_count_not_allowed(name, most, counted[2]))
    match = _PICK.fullmatch(word) or _CHANNEL.fullmatch(word)
    if match is None:
        raise ValueError(f"{name!r:.80} is not allowed — write {_CHANNEL_EXAMPLE}")
    if match[1] is None:
        return word
    layer = known_layer(match[1])
    if (pick := pick_of(word)) and pick.count > layer.channels:
        raise ValueError(_count_not_allowed(name, layer.channels, pick.which))
    if pick is None and int(match[2]) >= layer.channels:
        raise ValueError(
            f"{layer.name} has no channel {match[2]} — it has {layer.channels}, from 0 to {layer.channels - 1}"
        )
    return word.replace(match[1], layer.name, 1) if pick else f"{layer.name}:{int(match[2])}"


def _count_not_allowed(name: str, most: int, which: str) -> str:
    return f"{name!r:.80} is not allowed — give a count from 1 to {most}, such as {which}:8"


def _channel_weights(value: object) -> dict[str, object]:
    return _once([(_channel(name), weight) for name, weight in _weighted(value, _CHANNEL_EXAMPLE)])


Channels = Annotated[
    dict[str, Weight],
    BeforeValidator(_channel_weights),
    Field(
        max_length=MOST_CHANNELS,
        json_schema_extra={
            "allowed": f"at most {MOST_CHANNELS} channels, {_CHANNEL_EXAMPLE}, each weighted from {-MOST:g} to {MOST:g}"
        },
    ),
]


def _guide(value: object) -> dict[str, Any]:
    """Take `FILE`, `FILE=WEIGHT`, `FILE@LAYER=WEIGHT` or a mapping; return a whole mapping, checked."""
    if isinstance(value, str):
        value = _guide_in_words(value)
    if not isinstance(value, Mapping) or not isinstance(value.get("file"), str) or not value["file"]:
        what = "a guide has no file" if isinstance(value, Mapping) else f"{value!r:.80} is not allowed"
        raise ValueError(f"{what} — write {_GUIDE_EXAMPLE}")
    guide = {"weight": 1.0, "layers": {}, "sha256": None, **value}
    if unknown := sorted(set(guide) - {"file", "weight", "layers", "sha256"}):
        raise ValueError(f"{unknown[0]}: unknown key — a guide has file, weight, layers")
    weight = guide["weight"]
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not -MOST <= weight <= MOST:
        raise ValueError(f"the guide's weight {weight!r:.40} is not allowed — give a number from {-MOST:g} to {MOST:g}")
    layers = _layer_weights(guide["layers"])
    for name, share in layers.items():
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not -MOST <= share <= MOST:
            raise ValueError(
                f"{name}: the weight {share!r:.40} is not allowed — give a number from {-MOST:g} to {MOST:g}"
            )
    if guide["sha256"] is not None and not re.fullmatch("[0-9a-f]{64}", str(guide["sha256"])):
        raise ValueError("the guide's sha256 is not one — leave it out")
    return {**guide, "weight": float(weight), "layers": {name: float(share) for name, share in layers.items()}}  # type: ignore[arg-type]


_GUIDE_EXAMPLE = "FILE, FILE=WEIGHT or FILE@LAYER=WEIGHT, such as cat.jpg=0.5"
_GUIDE = re.compile(
    r"(?P<file>.+?)(?:@(?P<layer>[A-Za-z]\w+|\d+))?(?:=(?P<weight>[-+.0-9eE]+|[^=@./\\]*))?", re.DOTALL | re.ASCII
)


def _guide_in_words(text: str) -> dict[str, Any]:
    """Return what the words say; where no ending such as .jpg is before @NUMBER or =WORD, that is part of the name."""
    match = _GUIDE.fullmatch(text)
    file, layer, weight = match.group("file", "layer", "weight") if match else (text, None, None)
    number = None if weight is None else number_or_text(weight)
    if not PurePath(file).suffix and ((layer or "").isdigit() or isinstance(number, str)):
        return {"file": text}
    weighted = {} if number is None else {"weight": number}
    return {"file": file, **weighted, **({"layers": {known_layer(layer).name: 1.0}} if layer else {})}


def guide_keys(value: object) -> set[str]:
    """Return which keys of a guide are given by its words, or by a mapping."""
    return set(_guide_in_words(value) if isinstance(value, str) else value if isinstance(value, Mapping) else ())


def _guides(value: object) -> list[dict[str, Any]]:
    return [_guide(each) for each in (value if isinstance(value, list) else [value])]


Guides = Annotated[
    list[dict[str, Any]],
    BeforeValidator(_guides),
    Field(max_length=MOST_GUIDES),
    WithJsonSchema(
        {
            "type": "array",
            "maxItems": MOST_GUIDES,
            "items": {
                "anyOf": [
                    {"type": "string", "minLength": 1},
                    {
                        "type": "object",
                        "properties": {
                            "file": {"type": "string", "minLength": 1},
                            "weight": {"type": "number", "minimum": -MOST, "maximum": MOST},
                            "layers": {"type": "object", "additionalProperties": {"type": "number"}},
                            "sha256": {"anyOf": [{"type": "string", "pattern": "^[0-9a-f]{64}$"}, {"type": "null"}]},
                        },
                        "required": ["file"],
                        "additionalProperties": False,
                    },
                ]
            },
            "allowed": f"a list of {_GUIDE_EXAMPLE}",
        }
    ),
]


def placed(guides: object, folder: Path) -> object:
    """Return guides as a file in `folder` names them with their paths made absolute; anything else unchanged."""
    if isinstance(guides, list):
        return [placed(each, folder) for each in guides]
    if isinstance(guides, Mapping) and isinstance(guides.get("file"), str):
        return {**guides, "file": placed(guides["file"], folder)}
    return str(folder.absolute() / os.path.expanduser(guides)) if isinstance(guides, str) and guides else guides


def check_guide(file: str, size: tuple[int, int], name: str, seen_at: int | Literal["octave"]) -> None:
    """Raise `PictureError` for a guide of `size` (width, height) that is smaller than what the layer sees at once.

    `seen_at` is the setting `guide_size`.
    """
    sees = find_layer(name).receptive_field
    if min(size) < sees:
        raise PictureError(
            f"{file}: {size[0]}×{size[1]} px are too few for a guide at {name}, which sees {sees} px at once",
            "give a larger guide, or an earlier layer",
        )
    if seen_at != "octave" and seen_at < sees:
        raise PictureError(
            f"a guide of {seen_at} px is too small for {name}, which sees {sees} px at once",
            f"raise --guide-size to {sees}, or name an earlier layer",
        )


def guide_layers(figures: float) -> dict[str, float]:
    """Return the layers to follow a guide at, each with a weight: 0 is texture, 1 figures; between two layers, both.

    Near a layer, within a twentieth of the way to the next, that layer alone.
    """
    at = figures * (len(GUIDE_LADDER) - 1)
    if abs(at - round(at)) <= 0.05:
        return {GUIDE_LADDER[round(at)]: 1.0}
    return {name: 1 - abs(at - number) for number, name in enumerate(GUIDE_LADDER) if abs(at - number) < 1}
