"""What a setting's declaration holds besides its type, and what is read from it: words, schemas, errors."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from deepdream_core.errors import SettingsError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic_core import ErrorDetails

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


class Strict(BaseModel):
    """A frozen object whose values are checked and never converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Group(StrEnum):
    """What a dream setting is about: the heading that it is listed under."""

    LOOK = "Look"
    COLOUR = "Colour"
    PATTERN = "Pattern"
    ADVANCED = "Advanced"


@dataclass(frozen=True)
class Flag:
    """What the command line shows in place of a setting's value, and words to complete it, where its type does not say.

    A word may come with an explanation. `also` is a second name of the option.
    """

    metavar: str
    completions: tuple[str | tuple[str, str], ...] = ()
    also: str = ""


@dataclass(frozen=True)
class Control:
    """How the GIMP plug-in shows a setting: as an argument of its procedure, and as a row of its dialog.

    `label` has _ before the letter that goes with Alt. `place` counts the arguments, which scripts may give in this order:
    a new setting takes the next number. `argument` and `description` replace the setting's own name and sentence.

    For a number: `most` is the largest that can be given, a slider ends at `right` and is bent by `bend`, an arrow key
    moves it by `arrow`, and `numbers` stand for words such as auto. For a choice: `words` labels its words. While the
    switch `unless` is on, or the setting `needs` is empty, this setting has no effect. `folded`: its row is among the
    dialog's advanced ones.
    """

    label: str
    place: int
    argument: str = ""
    description: str = ""
    most: float = 1
    right: float | None = None
    arrow: float = 0.01
    bend: float = 1.0
    numbers: Mapping[str, int] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    unless: str = ""
    needs: str = ""
    folded: bool = False


def declared(model: type[BaseModel], key: str, kind: type[T]) -> T | None:
    """Return the `Flag`, `Control` or `Group` in a key's declaration, None where it has none."""
    return next((each for each in model.model_fields[key].metadata if isinstance(each, kind)), None)


@cache
def schemas_of(model: type[BaseModel]) -> dict[str, list[dict[str, Any]]]:
    """Return the JSON schemas of each key, one for each kind of value that it takes."""
    properties: dict[str, dict[str, Any]] = model.model_json_schema()["properties"]
    return {key: schema.get("anyOf", [schema]) for key, schema in properties.items()}


def kinds_of(model: type[BaseModel], key: str) -> set[str]:
    """Return the JSON types of the values that a key takes; none for an unknown key."""
    return {part.get("type", "string") for part in schemas_of(model).get(key, [])}


def words_of(model: type[BaseModel], key: str) -> list[str]:
    """Return the words that a key takes, such as auto, alone or in a list."""
    return [word for part in schemas_of(model)[key] for word in _choices(part) or _choices(part.get("items", {}))]


def allowed(model: type[BaseModel], key: str) -> str:
    """Return in words what values a key takes, from its declaration: `auto or a whole number from 1 to 40`."""
    return " or ".join(map(_in_words, schemas_of(model)[key]))


def number_or_text(text: str) -> int | float | str:
    """Return the number that a word of the command line is, else the word; the setting decides which it takes."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def validated(model: type[M], values: Mapping[str, Any], name: Callable[[str], str]) -> M:
    """Return the model made of `values`, or raise `SettingsError` with the key, the value and what is allowed.

    `name` turns a key into what the user wrote: its path in a file, or an option.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise _explained(model, error.errors()[0], name) from None


def _explained(model: type[BaseModel], problem: ErrorDetails, name: Callable[[str], str]) -> SettingsError:
    if not problem["loc"]:  # of no single key
        return SettingsError(*_split(problem))
    key, *inner = (str(part) for part in problem["loc"])
    path = name(key)
    named = [part for part in inner if part.startswith(_NAMES)]
    path = " ".join([path, *named]) if path.startswith("--") else ".".join([path, *named])
    if problem["type"] == "extra_forbidden":
        return SettingsError(f"{path}: unknown key", nearest(key, model.model_fields))
    if problem["type"] == "missing":
        return SettingsError(f"{path}: is missing", f"give it: {model.model_fields[key].description}")
    if problem["type"] == "value_error":
        what, next_step = _split(problem)
        return SettingsError(f"{path}: {what}", next_step)
    return SettingsError(f"{path}: {problem['input']!r:.80} is not allowed", f"allowed: {allowed(model, key)}")


def _split(problem: ErrorDetails) -> tuple[str, str]:
    """Return what a validator of ours says happened, and its next step, "" if it has none."""
    text = str(problem["ctx"]["error"])
    what, dash, next_step = text.rpartition(" — ")
    return (what, next_step) if dash else (text, "")


_NAMES = ("conv", "relu", "pool", "strongest", "weakest", "average")
"""How the names of layers and channels begin; the other parts of a place are the kinds of value that were tried."""


def _choices(schema: dict[str, Any]) -> list[str]:
    return list(schema.get("enum", [schema["const"]] if "const" in schema else []))


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def _in_words(schema: dict[str, Any]) -> str:
    if "allowed" in schema or "pattern" in schema:
        return str(schema.get("allowed") or schema["description"])
    if choices := _choices(schema):
        return ", ".join(map(str, choices))
    if schema.get("type") == "array":
        return f"a list of {_in_words(schema['items'])}"
    kinds = {
        "integer": "a whole number", "number": "a number", "boolean": "true or false", "string": "text", "null": "null",
    }  # fmt: skip
    if schema.get("minLength"):
        kinds["string"] = "text that is not empty"
    bounds = (("minimum", "from"), ("exclusiveMinimum", "above"), ("maximum", "up to"), ("exclusiveMaximum", "below"))
    limits = (f"{word} {_number(schema[bound])}" for bound, word in bounds if bound in schema)
    return " ".join([kinds[schema["type"]], *limits])
