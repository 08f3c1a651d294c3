"""The record of what was installed, `DATA/manifest.json`: `uninstall` removes what it names and nothing else.

Each thing is recorded before it is created, so that a killed installation can be removed too; a recorded file that does not
exist does no harm. While a file is being replaced, `replacing` keeps its previous hash.
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
    """A newer installer wrote the record at `path`; `installer` is its path."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"a newer DeepDream wrote {path}")
        self.installer = path.parent / "app" / "current" / "source" / "install"


@dataclass
class Part:
    """What one part of the installation has created.

    `files`: hash of the written content, by path; `replacing`: hash of the content being replaced, by path; `folders`: our
    folders, each after its parents, removed when empty; `links`: their targets, by path; `trees`: folders that are entirely
    ours; `facts`: other data of the part.
    """

    files: dict[str, str] = field(default_factory=dict)
    replacing: dict[str, str] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    trees: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, words: Mapping[str, Any]) -> Part:
        """Return a part from its JSON, without malformed entries."""
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
        """Return the part as JSON: without empty fields, and with the facts beside the other fields."""
        words = asdict(self)
        words.pop("facts")
        return {key: value for key, value in words.items() if value} | self.facts

    def wrote(self, path: Path, content: bytes) -> bool:
        """Return whether we wrote this content to this file."""
        return digest(content) in (self.files.get(str(path)), self.replacing.get(str(path)))

    def altered(self) -> Iterator[str]:
        """Yield each file and link that is missing or differs from the record, with what is wrong with it."""
        for path, wanted in self.files.items():
            if problem := _problem(path, wanted):
                yield f"{path} {problem}"
        for path, target in self.links.items():
            leads_to = os.path.realpath(os.path.join(os.path.dirname(path), target))  # noqa: PTH118, PTH120
            if not os.path.islink(path) or os.path.realpath(path) != leads_to:  # noqa: PTH114
                yield f"{path} does not link to {target}"


class Manifest:
    """The record at `path` of what was installed in `home`; `dry_run`: never write it."""

    def __init__(self, path: Path, *, home: Path | None = None, dry_run: bool = False) -> None:
        self.path = path
        self.home = home
        self.dry_run = dry_run
        self.version = ""
        self.app: str | None = None
        self.clone: str | None = None
        self.parts: dict[str, Part] = {}
        self.exists = False
        """Whether the file exists."""
        self.damaged = ""
        """What is wrong with an invalid record."""

    @classmethod
    def read(cls, path: Path, *, home: Path | None = None, dry_run: bool = False) -> Manifest:
        """Return the record, empty if there is none; adjusts its paths if the home folder has moved to `home`.

        Raises `NewerManifestError`, and `OSError` if the file exists but is unreadable.
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
            manifest.damaged = "is damaged" if number in (None, FORMAT) else f"has an unknown format ({number!r:.20})"
            return manifest
        words = _moved(words, path, home)
        manifest.version = str(words.get("version", ""))
        manifest.app = words["app"] if isinstance(words.get("app"), str) else None
        manifest.clone = words["clone"] if isinstance(words.get("clone"), str) else None
        manifest.parts = {name: Part.read(part) for name, part in words["parts"].items() if isinstance(part, dict)}
        return manifest

    def part(self, name: str) -> Part:
        """Return a part, empty if it is not installed yet."""
        return self.parts.setdefault(name, Part())

    def save(self) -> None:
        """Write the record atomically, readable for this user only; raises OSError."""
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
            os.replace(new, self.path)  # noqa: PTH105  # atomic, on Windows too
        except OSError:
            with contextlib.suppress(OSError):
                new.unlink()
            raise


def _moved(words: dict[str, Any], path: Path, home: Path | None) -> dict[str, Any]:
    """Return a record with its paths adjusted to a home or data folder that has moved since."""
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
    """Return the record's hash of a content."""
    return hashlib.sha256(content).hexdigest()


def in_the_making(path: Path) -> Path:
    """Return a file's temporary name until it is complete; always the same, so that the next run replaces leftovers."""
    return path.with_name(f".{path.name}.deepdream-new")


def _problem(path: str, wanted: str) -> str:
    """Return what is wrong with a file whose content should have the hash `wanted`, or ""."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            same = digest(file.read()) == wanted
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"is unreadable ({error.strerror or error})"
    return "" if same else "was changed"


def _is_path(path: object) -> bool:
    return isinstance(path, str) and os.path.isabs(path)  # noqa: PTH117
