"""What an environment was created for, in a small file inside it, so that a second run starts at once."""

import contextlib
import hashlib
import json
import os
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from errors import without_credentials

from deepdream_core.machine.folders import STAMP

INPUTS = ("pyproject.toml", "install/constraints.txt")


@dataclass(frozen=True)
class Stamp:
    """What an environment contains, or should contain.

    `root` is the clone's path, since environments cannot be moved; `python` is the version as in `3.11`; `inputs` is
    the hash of the files that name the packages; `torch_index` is a URL without its login, or empty for the default
    index; `complete` is False from before the first change until after the last.
    """

    root: str
    python: str
    inputs: str
    extras: tuple[str, ...]
    torch_index: str
    complete: bool = False

    @classmethod
    def wanted(cls, root: Path, extras: tuple[str, ...], torch_index: str) -> "Stamp":
        """Return the stamp that an environment should have now; raises OSError if an input cannot be read."""
        digest = hashlib.sha256()
        for name in INPUTS:
            with contextlib.suppress(FileNotFoundError):  # the file's reader reports that better
                digest.update((root / name).read_bytes())
            digest.update(b"\0")
        python = f"{sys.version_info[0]}.{sys.version_info[1]}"
        return cls(str(root), python, digest.hexdigest(), extras, without_credentials(torch_index))

    @classmethod
    def read(cls, venv: Path) -> "Stamp | None":
        """Return the stamp of an environment, or None if it has no valid one."""
        try:
            found = json.loads((venv / STAMP).read_text("utf-8"))
            stamp = cls(**(found | {"extras": tuple(found["extras"])}))
        except (OSError, ValueError, TypeError, KeyError):
            return None
        texts = (stamp.root, stamp.python, stamp.inputs, stamp.torch_index, *stamp.extras)
        return stamp if all(isinstance(text, str) for text in texts) and stamp.complete in (True, False) else None

    def write(self, venv: Path) -> None:
        """Write this stamp into an environment, atomically; raises OSError."""
        # No other process writes here: the caller holds the install lock.
        new = venv / (STAMP + ".new")
        try:
            new.write_text(json.dumps(asdict(self), indent=1) + "\n", "utf-8")
            os.replace(new, venv / STAMP)  # noqa: PTH105  # atomic, on Windows too
        except OSError:
            with contextlib.suppress(OSError):
                new.unlink()
            raise

    def finished(self) -> "Stamp":
        """Return this stamp for an environment that is complete."""
        return replace(self, complete=True)

    def serves(self, wanted: "Stamp") -> bool:
        """Return whether an environment with this stamp can be used unchanged; additional extras do not matter."""
        return (
            self.complete
            and set(wanted.extras) <= set(self.extras)
            and replace(self, extras=wanted.extras) == wanted.finished()
        )

    def can_become(self, wanted: "Stamp") -> bool:
        """Return whether pip can turn the environment into the wanted one, so that it need not be recreated.

        It cannot after a move, for another Python, or for another torch: 3 GB of torch's old requirements would stay, and
        pip does not distinguish builds of the same version.
        """
        mine = (self.root, self.python, self.torch_index)
        return mine == (wanted.root, wanted.python, wanted.torch_index)
