"""The installer's manifest, as the checks read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdream_core import __version__
from deepdream_core.doctor.check import INSTALL_AGAIN
from deepdream_core.errors import DeepDreamError
from deepdream_core.machine.manifest import Manifest, NewerManifestError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deepdream_core.machine.folders import UserFolders


class ManifestError(DeepDreamError):
    """The manifest is damaged, or a newer installer wrote it."""


def read(user: UserFolders) -> Manifest | None:
    """Return the manifest, None if there is none; raises `ManifestError`, and `OSError` if it is unreadable."""
    try:
        manifest = Manifest.read(user.manifest, home=user.home)
    except NewerManifestError as error:
        raise ManifestError(f"{error} than this {__version__}", "run that version's `deepdream doctor`") from None
    if manifest.damaged:
        raise ManifestError(f"{user.manifest} {manifest.damaged}", INSTALL_AGAIN)
    return manifest if manifest.exists else None


def first_of(altered: Iterable[str]) -> str:
    """Return in one line what is wrong with some files, or ""."""
    found = list(altered)
    if not found:
        return ""
    return f"{found[0]}, and {len(found) - 1} more" if len(found) > 1 else found[0]
