"""What `python3 install` says it has laid down: its manifest, read and compared with what is there."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepdream_core import __version__
from deepdream_core.doctor.check import INSTALL_AGAIN
from deepdream_core.errors import DeepDreamError

NAME = "manifest.json"
FORMAT = 1


class ManifestError(DeepDreamError):
    """The manifest is damaged, or of an installer that this program does not know."""


@dataclass(frozen=True)
class Manifest:
    """`version` and `app` (the program's folder below the data folder) are empty where no program is installed."""

    version: str
    app: str
    parts: dict[str, dict[str, Any]]

    def files(self, part: str) -> dict[Path, str]:
        """Return the files of a part with the hashes of their contents."""
        return {Path(path): digest for path, digest in self.parts.get(part, {}).get("files", {}).items()}

    def altered(self, part: str) -> list[str]:
        """Return the files of a part that are missing or hold something else, each with what is the matter."""
        found = [
            f"{path} {trouble}" for path, digest in self.files(part).items() if (trouble := _trouble(path, digest))
        ]
        for place, target in self.parts.get(part, {}).get("links", {}).items():
            link = Path(place)
            if not link.is_symlink() or os.path.realpath(link) != os.path.realpath(link.parent / target):
                found.append(f"{link} does not lead to {target}")
        return found


def read(data: Path) -> Manifest | None:
    """Return the manifest in the data folder, None when there is none; raises `ManifestError`, and OSError unread."""
    path = data / NAME
    try:
        told = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):
        raise ManifestError(f"{path} is damaged", INSTALL_AGAIN) from None
    try:
        if isinstance(told["manifest"], int) and told["manifest"] > FORMAT:
            raise ManifestError(
                f"{path} was written by a newer DeepDream than this {__version__}",
                "look with that one: `deepdream doctor`",
            )
        if told["manifest"] != FORMAT:
            raise ManifestError(f"{path} is of another installer's kind ({told['manifest']!r:.20})", INSTALL_AGAIN)
        parts = {str(name): dict(part or {}) for name, part in told["parts"].items()}
        if not all(isinstance(part.get(key, {}), dict) for part in parts.values() for key in ("files", "links")):
            raise TypeError
        return Manifest(str(told.get("version") or ""), str(told.get("app") or ""), parts)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ManifestError(f"{path} is damaged", INSTALL_AGAIN) from None


def told(altered: list[str]) -> str:
    """Return in one line what is the matter with some files."""
    more = f", and {len(altered) - 1} more" if len(altered) > 1 else ""
    return f"{altered[0]}{more}"


def _trouble(path: Path, digest: str) -> str:
    try:
        same = hashlib.sha256(path.read_bytes()).hexdigest() == digest
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    return "" if same else "was changed"
