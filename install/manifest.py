"""The record of what was installed, `DATA/manifest.json`: `uninstall` removes what it names and nothing else.

Each thing is written down before it is made, so that an installation that was killed can be undone as well: what is named
and not there does no harm. A file that is being replaced keeps its former hash under `replacing` until that has happened.
"""

import contextlib
import hashlib
import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from trouble import Exit, InstallError

FORMAT = 1
PARTS = ("app", "gimp", "folder", "service")


@dataclass
class Part:
    """What one part of the installation has made.

    `files`: hash of what was written, by path; `replacing`: the hash of what is being replaced, by path; `folders`: made
    by us, each after those it lies in, removed when empty; `links`: their targets, by path; `trees`: folders that are ours
    with all that is in them; `facts`: what else the part needs to know.
    """

    files: dict[str, str] = field(default_factory=dict)
    replacing: dict[str, str] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    trees: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> "Part":
        """Return a part as it was written; what is malformed in it is left out."""
        part = cls()
        for name in ("files", "replacing", "links"):
            found = told.get(name)
            if isinstance(found, dict):
                setattr(part, name, {k: v for k, v in found.items() if _is_path(k) and isinstance(v, str)})
        for name in ("folders", "trees"):
            found = told.get(name)
            if isinstance(found, list):
                setattr(part, name, [path for path in found if _is_path(path)])
        known = {one.name for one in fields(cls)}
        part.facts = {key: value for key, value in told.items() if key not in known}
        return part

    def as_json(self) -> dict[str, Any]:
        """Return the part as it is written: what is empty is left out, the facts stand beside the rest."""
        told = asdict(self)
        told.pop("facts")
        return {key: value for key, value in told.items() if value} | self.facts

    def wrote(self, path: Path, content: bytes) -> bool:
        """Return whether this content of a file is one that we have written there."""
        return digest(content) in (self.files.get(str(path)), self.replacing.get(str(path)))


class Manifest:
    """The record at `path` of what lies in `home`; with `dry_run` it is never written."""

    def __init__(self, path: Path, *, home: Path | None = None, dry_run: bool = False) -> None:
        self.path = path
        self.home = home
        self.dry_run = dry_run
        self.version = ""
        self.app: str | None = None
        self.clone: str | None = None
        self.parts: dict[str, Part] = {}
        self.damaged = False
        """Whether there is a record that cannot be understood."""

    @classmethod
    def read(cls, path: Path, *, home: Path | None = None, dry_run: bool = False) -> "Manifest":
        """Return the record, an empty one if there is none; paths in a home folder that was moved to `home` follow it.

        Raises InstallError for a record of a newer installer, OSError if it is there and cannot be read.
        """
        manifest = cls(path, home=home, dry_run=dry_run)
        try:
            told = json.loads(path.read_bytes())
        except FileNotFoundError:
            return manifest
        except (ValueError, RecursionError):
            manifest.damaged = True
            return manifest
        number = told.get("manifest") if isinstance(told, dict) else None
        if isinstance(number, int) and number > FORMAT:
            own = path.parent / "app" / "current" / "source" / "install"
            raise InstallError(
                f"{path} was written by a newer DeepDream",
                f"use that one's installer: `python3 {shlex.quote(str(own))}`",
                Exit.ENVIRONMENT,
            )
        if not isinstance(told, dict) or number != FORMAT or not isinstance(told.get("parts"), dict):
            manifest.damaged = True
            return manifest
        told = _moved(told, path, home)
        manifest.version = str(told.get("version", ""))
        manifest.app = told["app"] if isinstance(told.get("app"), str) else None
        manifest.clone = told["clone"] if isinstance(told.get("clone"), str) else None
        manifest.parts = {name: Part.read(part) for name, part in told["parts"].items() if isinstance(part, dict)}
        return manifest

    def part(self, name: str) -> Part:
        """Return a part, an empty one if nothing of it was installed yet."""
        return self.parts.setdefault(name, Part())

    def save(self) -> None:
        """Write the record, whole or not at all, for this user's eyes; raises OSError."""
        if self.dry_run:
            return
        told = {
            "manifest": FORMAT,
            "home": str(self.home) if self.home else None,
            "data": str(self.path.parent),
            "version": self.version,
            "app": self.app,
            "clone": self.clone,
            "parts": {name: told for name, part in self.parts.items() if (told := part.as_json())},
        }
        new = in_the_making(self.path)
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(told, file, indent=1)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, self.path)  # noqa: PTH105  # over the old one, on Windows too
        except OSError:
            with contextlib.suppress(OSError):
                new.unlink()
            raise


def _moved(told: dict[str, Any], path: Path, home: Path | None) -> dict[str, Any]:
    """Return a record with the paths that it has now, where the home folder or the data in it has another name since."""
    pairs = [(told.get("data"), path.parent), (told.get("home"), home)]
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
            return {at(key): all_in(one) for key, one in value.items()}
        if isinstance(value, list):
            return [all_in(one) for one in value]
        return at(value) if isinstance(value, str) else value

    return dict(all_in(told)) if moves else told


def digest(content: bytes) -> str:
    """Return the hash by which the record knows a content."""
    return hashlib.sha256(content).hexdigest()


def in_the_making(path: Path) -> Path:
    """Return the name under which a file lies until it is whole: always the same, so that a killed run's is replaced."""
    return path.with_name(f".{path.name}.deepdream-new")


def _is_path(path: object) -> bool:
    return isinstance(path, str) and os.path.isabs(path)  # noqa: PTH117
