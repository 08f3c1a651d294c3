"""The layout of a drop folder: which files are taken, which preset they get, and where results and originals go.

Names only: no function here opens a file, and few access the disk.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deepdream_core.errors import SettingsError
from deepdream_core.machine.drop_folder import OWN
from deepdream_core.photo.formats import ENDINGS, RAW_ENDINGS
from deepdream_core.photo.recipe_storage import SIDECAR
from deepdream_core.work.ignore import Ignore

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from deepdream_core.machine_settings import FolderSettings

LONGEST_NAME = 255
"""Bytes that a name may have on nearly every file system."""

GUIDE = "guide"
"""The name of a folder of guides, at the top of a drop folder or of a preset's folder in it."""

WHY = ".why.txt"
"""The ending added to a failed original's full name, for the text that says why it failed."""

_LONGEST_ENDING = 32


@dataclass(frozen=True)
class Layout:
    """One drop folder: its `root`, an absolute path, its settings, the names of the presets, and the names to ignore."""

    root: Path
    settings: FolderSettings
    presets: Collection[str]
    ignore: Ignore

    @classmethod
    def of(cls, settings: FolderSettings, presets: Collection[str], ignore: Sequence[str] = ()) -> Layout:
        """Return the layout of the folder that the settings name; raises `SettingsError` if no home folder is known.

        `ignore` are the patterns of config.yaml, which are ignored besides the usual ones.
        """
        return cls(root_of(settings), settings, presets, Ignore(tuple(ignore)))

    @property
    def out(self) -> Path:
        """Where results go."""
        return self.root / "out"

    @property
    def done(self) -> Path:
        """Where originals go whose results are written."""
        return self.root / "done"

    @property
    def failed(self) -> Path:
        """Where originals go that cannot be dreamed."""
        return self.root / "failed"

    def relative(self, path: Path) -> Path:
        """Return the path relative to the root; raises `ValueError` for a path that is not below it."""
        inside = path.relative_to(self.root)
        if ".." in inside.parts:
            raise ValueError(f"{path} is outside {self.root}")
        return inside

    def preset_of(self, path: Path) -> str | None:
        """Return a picture's preset: that of the first folder below the root named like a preset, else the drop folder's.

        None means the defaults. Raises `ValueError` for a path that is not below the root.
        """
        place = self._preset_place(folders := self.relative(path).parts[:-1])
        return self.settings.preset if place is None else self._presets()[_composed(folders[place])]

    def _presets(self) -> dict[str, str]:
        # macOS may write é as e and an accent; to people that is the same name.
        return {_composed(name): name for name in self.presets}

    def _preset_place(self, folders: Sequence[str]) -> int | None:
        """Return which of these folders below the root is the first one named like a preset."""
        known = self._presets()
        return next((place for place, name in enumerate(folders) if _composed(name) in known), None)

    def guide_folders(self, path: Path) -> list[Path]:
        """Return where guides of a picture may be: in its preset's folder, or else in the root.

        A preset of this name keeps its folder. Raises `ValueError` for a path that is not below the root.
        """
        if GUIDE in self.presets:
            return []
        place = self._preset_place(folders := self.relative(path).parts[:-1])
        own = [] if place is None else [self.root.joinpath(*folders[: place + 1], GUIDE)]
        return [*own, self.root / GUIDE]

    def _in_guide_folder(self, parts: Sequence[str]) -> int | None:
        """Return which part of a path below the root is a folder of guides."""
        if GUIDE in self.presets:
            return None
        place = self._preset_place(parts)
        wanted = (0,) if place is None else (0, place + 1)
        return next((number for number in wanted if parts[number : number + 1] == (GUIDE,)), None)

    def why_no_guide(self, name: str) -> str | None:
        """Return why a file in a folder of guides is none, None if it is a guide."""
        return self.ignore.why(name) or _why_no_picture(name)

    def result_for(self, path: Path, ending: str) -> Path:
        """Return where the result of a picture goes if it is written with an `ending` such as `.png`.

        The name stays the same unless the ending belongs to another format than the name's own. Raises `ValueError` for a
        path that is not below the root.
        """
        wanted = self.out / self.relative(path)
        own, ending = wanted.suffix.lower(), ending.lower()
        if own == ending or (own in ENDINGS and ENDINGS[own] == ENDINGS.get(ending)):
            return wanted
        return wanted.with_name(fitted(wanted.stem, ending))

    def done_for(self, path: Path) -> Path:
        """Return where an original goes that is done; raises `ValueError` for a path that is not below the root."""
        return self.done / self.relative(path)

    def failed_for(self, path: Path) -> Path:
        """Return where an original goes that failed; raises `ValueError` for a path that is not below the root."""
        return self.failed / self.relative(path)

    def why_for(self, path: Path) -> Path:
        """Return the path of the text that says why an original failed: beside it in failed/.

        `path` is where the original was dropped or where it is in failed/, perhaps with a number. Raises `ValueError` for
        a path that is not below the root.
        """
        failed = path if self.relative(path).parts[:1] == (self.failed.name,) else self.failed_for(path)
        name = failed.name + WHY
        if len(os.fsencode(name)) > LONGEST_NAME:
            # Names that differ only in their last letters must not share a text.
            name = fitted(failed.name, f"~{hashlib.sha256(os.fsencode(failed.name)).hexdigest()[:8]}{WHY}")
        return failed.with_name(name)

    @staticmethod
    def numbered(path: Path, n: int, reserved: int = 0) -> Path:
        """Return `name (2).jpg` for `name.jpg` and 2, with a shorter stem if the name is too long; for 1 the path itself.

        `reserved` bytes are left free for what another file's name adds to this one.
        """
        if n == 1 and (not reserved or len(os.fsencode(path.name)) + reserved <= LONGEST_NAME):
            return path
        stem, ending = path.stem, path.suffix
        if len(os.fsencode(ending)) > _LONGEST_ENDING:
            stem, ending = path.name, ""
        return path.with_name(fitted(stem, f" ({n}){ending}" if n > 1 else ending, reserved))

    def _is_own(self, name: str) -> bool:
        """Return whether a name is one of our folders; the disk decides for names that differ only in case."""
        plain = name.casefold()
        if name in OWN or plain not in OWN:
            return name in OWN
        return _same(self.root / name, self.root / plain) or _one_name(self.root, name, plain)

    def passed_over(self, path: Path, is_folder: bool) -> bool:
        """Return whether a file is never taken or a folder never scanned; `ValueError` for a path not below the root."""
        return self.why_passed_over(path, is_folder) is not None

    def why_passed_over(self, path: Path, is_folder: bool = False) -> str | None:
        """Return why a file or folder is ignored, for example `is hidden`, or None if it is taken.

        Names in the text are quoted and escaped. Camera RAW is taken, and refused later with advice. Raises `ValueError`
        for a path that is not below the root.
        """
        parts = self.relative(path).parts
        if parts and self._is_own(parts[0]):
            return f"{'is' if len(parts) == 1 else 'is in'} one of this folder's own folders: {parts[0]}"
        place = self._in_guide_folder(parts)
        if place is not None and (is_folder or place + 1 < len(parts)):
            is_it = "is" if place + 1 == len(parts) else "is in"
            return f"{is_it} a folder of guides, which are followed and never dreamed"
        for number, part in enumerate(parts, 1):
            why = self.ignore.why(part)
            if why is not None:
                return why if number == len(parts) else f"is in {part!r}, which {why}"
        return None if is_folder or not parts else _why_no_picture(parts[-1])


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _why_no_picture(name: str) -> str | None:
    if name.lower().endswith(SIDECAR):
        return "is the recipe of the picture beside it"
    ending = Path(name).suffix.lower()
    if ending in ENDINGS or ending in RAW_ENDINGS:
        return None
    return f"does not have a picture's name: known endings are {', '.join(ENDINGS)}"


def fitted(stem: str, rest: str, reserved: int = 0) -> str:
    """Return a name of both parts, the stem cut as short as it must be."""
    room = LONGEST_NAME - len(os.fsencode(rest)) - reserved
    while stem and len(os.fsencode(stem)) > room:
        stem = stem[:-1]
    return stem + rest


def root_of(settings: FolderSettings) -> Path:
    """Return a drop folder's path with `~` replaced; raises `SettingsError` if no home folder is known."""
    root = Path(os.path.expanduser(settings.path))
    if not root.is_absolute():
        raise SettingsError(f"{settings.path}: your home folder cannot be found", "set HOME, or write an absolute path")
    return root


def check(folders: Sequence[FolderSettings]) -> None:
    """Raise `SettingsError` for drop folders that would take files that are not theirs, or each other's files or results.

    A drop folder must not be the root of the disk, contain the home folder or be within another one. Its out/, done/ and
    failed/, which may be links, must not be, contain or be in a drop folder, except where they belong.
    """
    roots = [_real(root_of(folder)) for folder in folders]
    for folder, root in zip(folders, roots, strict=True):
        _check_alone(folder.path, root)
    numbers = range(len(folders))
    for first, other in itertools.combinations(numbers, 2):
        _check_apart((folders[first].path, roots[first]), (folders[other].path, roots[other]))
    for first, other, name in itertools.product(numbers, numbers, OWN):
        own = _real(root_of(folders[first]) / name)
        if first == other and own == roots[first] / name:
            continue
        if _within(own, roots[other]) or _within(roots[other], own):
            raise SettingsError(
                f"{folders[first].path}: its folder {name} is {own}, which is, contains or is in the drop folder "
                f"{folders[other].path}",
                f"point the link {name} to another folder, or remove it",
            )


def _check_alone(name: str, root: Path) -> None:
    next_step = "make a folder for pictures, for example ~/DeepDream"
    if root.parent == root:
        raise SettingsError(f"{name}: is the root of the disk", next_step)
    home = Path(os.path.expanduser("~"))
    if home.is_absolute() and _within(_real(home), root):
        raise SettingsError(f"{name}: is or contains your home folder {home}", next_step)
    if os.path.lexists(root) and not os.path.isdir(root):
        raise SettingsError(f"{name}: is a file, not a folder", next_step)


def _check_apart(first: tuple[str, Path], other: tuple[str, Path]) -> None:
    (name, root), (other_name, other_root) = first, other
    if _same(root, other_root):
        raise SettingsError(f"{other_name}: is the same folder as {name}", "give each folder once")
    for (inner, inside), (outer, around) in ((first, other), (other, first)):
        if _within(inside, around):
            raise SettingsError(f"{inner}: is in the drop folder {outer}", "use a folder outside it")


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _within(inner: Path, outer: Path) -> bool:
    """Return whether `inner` is `outer` or is in it."""
    return any(_same(path, outer) for path in (inner, *inner.parents))


def _one_name(folder: Path, name: str, other: str) -> bool:
    """Return whether a folder has both names but lists only `name`; their inodes may still differ."""
    try:
        return os.path.lexists(folder / other) and other not in (names := os.listdir(folder)) and name in names  # noqa: PTH208
    except OSError:
        return False


def _same(path: Path, other: Path) -> bool:
    """Return whether both are the same folder, even if its name can be written in several ways or it is mounted twice."""
    try:
        return path == other or path.samefile(other)
    except OSError:
        return False
