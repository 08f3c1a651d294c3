"""The record of what was installed, `DATA/manifest.json`: `uninstall` removes what it names and nothing else.

Each thing is written down before it is made, so that an installation that was killed can be undone as well: what is named
and not there does no harm. A file that is being replaced keeps its former hash under `replacing` until that has happened.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FORMAT = 1


class NewerManifestError(Exception):
    """The record at `path` was written by a newer installer than this one; `installer` is where that one is."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} was written by a newer DeepDream")
        self.installer = path.parent / "app" / "current" / "source" / "install"


@dataclass
class Part:
    """What one part of the installation has made.

    `files`: hash of what was written, by path; `replacing`: the hash of what is being replaced, by path; `folders`: made
    by us, each after its parents, removed when empty; `links`: their targets, by path; `trees`: folders that are ours
    with all that is in them; `facts`: what else the part needs to know.
    """

    files: dict[str, str] = field(default_factory=dict)
    replacing: dict[str, str] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    trees: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, words: Mapping[str, Any]) -> Part:
        """Return a part as it was written; what is malformed in it is left out."""
        part = cls()
        for name in ("files", "replacing", "links"):
            found = words.get(name)
            if isinstance(found, dict):
                setattr(part, name, {k: v for k, v in found.items() if _is_path(k) and isinstance(v, str)})
        for name in ("folders", "trees"):
            found = words.get(name)
            if isinstance(found, list):
                setattr(part, name, [path for path in found if _is_path(path)])
        known = {known.name for known in fields(cls)}
        part.facts = {key: value for key, value in words.items() if key not in known}
        return part

    def as_json(self) -> dict[str, Any]:
        """Return the part as it is written: what is empty is left out, the facts are beside the rest."""
        words = asdict(self)
        words.pop("facts")
        return {key: value for key, value in words.items() if value} | self.facts

    def wrote(self, path: Path, content: bytes) -> bool:
        """Return whether this content of a file is one that we have written there."""
        return digest(content) in (self.files.get(str(path)), self.replacing.get(str(path)))

    def altered(self) -> Iterator[str]:
        """Yield each file and link that is missing or differs from the record, with what is wrong with it."""
        for path, wanted in self.files.items():
            if problem := _problem(path, wanted):
                yield f"{path} {problem}"
        for path, target in self.links.items():
            leads_to = os.path.realpath(os.path.join(os.path.dirname(path), target))  # noqa: PTH118, PTH120
            if not os.path.islink(path) or os.path.realpath(path) != leads_to:  # noqa: PTH114
                yield f"{path} does not lead to {target}"


class Manifest:
    """The record at `path` of what was installed in `home`; with `dry_run` it is never written."""

    def __init__(self, path: Path, *, home: Path | None = None, dry_run: bool = False) -> None:
        self.path = path
        self.home = home
        self.dry_run = dry_run
        self.version = ""
        self.app: str | None = None
        self.clone: str | None = None
        self.parts: dict[str, Part] = {}
        self.exists = False
        """Whether there is a file."""
        self.damaged = ""
        """What is wrong with a record that cannot be understood."""

    @classmethod
    def read(cls, path: Path, *, home: Path | None = None, dry_run: bool = False) -> Manifest:
        """Return the record, an empty one if there is none; paths in a home folder that was moved to `home` follow it.

        Raises `NewerManifestError`, and `OSError` if the file exists and cannot be read.
        """
        manifest = cls(path, home=home, dry_run=dry_run)
        try:
            content = path.read_bytes()
            manifest.exists = True
            words = json.loads(content)
        except FileNotFoundError:
            return manifest
        except (ValueError, RecursionError):
            manifest.damaged = "is damaged"
            return manifest
        number = words.get("manifest") if isinstance(words, dict) else None
        if isinstance(number, int) and number > FORMAT:
            raise NewerManifestError(path)
        if not isinstance(words, dict) or number != FORMAT or not isinstance(words.get("parts"), dict):
            manifest.damaged = "is damaged" if number in (None, FORMAT) else f"is of an unknown kind ({number!r:.20})"
            return manifest
        words = _moved(words, path, home)
        manifest.version = str(words.get("version", ""))
        manifest.app = words["app"] if isinstance(words.get("app"), str) else None
        manifest.clone = words["clone"] if isinstance(words.get("clone"), str) else None
        manifest.parts = {name: Part.read(part) for name, part in words["parts"].items() if isinstance(part, dict)}
        return manifest

    def part(self, name: str) -> Part:
        """Return a part, an empty one if nothing of it was installed yet."""
        return self.parts.setdefault(name, Part())

    def save(self) -> None:
        """Write the record, whole or not at all, for this user's eyes; raises OSError."""
        if self.dry_run:
            return
        words = {
            "manifest": FORMAT,
            "home": str(self.home) if self.home else None,
            "data": str(self.path.parent),
            "version": self.version,
            "app": self.app,
            "clone": self.clone,
            "parts": {name: written for name, part in self.parts.items() if (written := part.as_json())},
        }
        new = in_the_making(self.path)
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(words, file, indent=1)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, self.path)  # noqa: PTH105  # over the old one, on Windows too
        except OSError:
            with contextlib.suppress(OSError):
                new.unlink()
            raise


def _moved(words: dict[str, Any], path: Path, home: Path | None) -> dict[str, Any]:
    """Return a record with the paths that it has now, where the home folder or the data in it has another name since."""
    pairs = [(words.get("data"), path.parent), (words.get("home"), home)]
    moves = [
        (was, str(now))
        for was, now in pairs
        if isinstance(was, str) and _is_path(was) and was != os.sep and now and was != str(now)
    ]

    def at(text: str) -> str:
        for was, now in moves:
            if text == was or text.startswith(was + os.sep):
                return now + text[len(was) :]
        return text

    def all_in(value: Any) -> Any:  # whatever JSON can hold
        if isinstance(value, dict):
            return {at(key): all_in(content) for key, content in value.items()}
        if isinstance(value, list):
            return [all_in(content) for content in value]
        return at(value) if isinstance(value, str) else value

    return dict(all_in(words)) if moves else words


def digest(content: bytes) -> str:
    """Return the hash by which the record knows a content."""
    return hashlib.sha256(content).hexdigest()


def in_the_making(path: Path) -> Path:
    """Return the name of a file until it is complete: always the same, so that a killed run's is replaced."""
    return path.with_name(f".{path.name}.deepdream-new")


def _problem(path: str, wanted: str) -> str:
    """Return what is wrong with a file whose content should have the hash `wanted`, "" if nothing is."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            same = digest(file.read()) == wanted
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    return "" if same else "was changed"


def _is_path(path: object) -> bool:
    return isinstance(path, str) and os.path.isabs(path)  # noqa: PTH117
