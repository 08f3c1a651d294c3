"""One error tree: what happened, what to do next, and the exit code of a program that ends with it.

::

    DeepDreamError          1
    ├── SettingsError       2   a wrong option, key of config.yaml, preset or layer name
    ├── PictureError        3   the input: missing, of an unknown kind, too large
    │   └── DamagedPictureError 3  empty, truncated or damaged: perhaps still being written
    ├── OutputError         4   the output: exists, no room, no permission
    ├── WeightsError        5   the weights file: missing, truncated, altered, of another network
    ├── DeviceError         6   the requested device or precision is not available
    │   └── OutOfMemoryError 6  even the smallest tile does not fit
    ├── NumericError        7   the network returned NaN or infinity
    ├── HelperError         8   the helper: does not run, cannot start, has another version, was lost
    └── ServiceError        9   the background service: not installed, failed, no service manager
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, ClassVar

from deepdream_core.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable


class DeepDreamError(Exception):
    """Something a user can cause or repair, in one line: `what` happened and the `next_step`."""

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, next_step: str = "") -> None:
        super().__init__(f"{what} — {next_step}" if next_step else what)
        self.what = what
        self.next_step = next_step

    def __str__(self) -> str:
        """Return the one line, with control characters (odd file names) escaped."""
        return printable(super().__str__())


class SettingsError(DeepDreamError):
    """An option, a key of config.yaml, a preset or a layer name is not valid."""

    exit_code = 2


class PictureError(DeepDreamError):
    """The input cannot be dreamed: it is missing, not a picture, broken or too large."""

    exit_code = 3


class DamagedPictureError(PictureError):
    """This file is not a complete picture: it is damaged, or still being written."""


class OutputError(DeepDreamError):
    """The output cannot be written: it exists, there is no room, no permission.

    `errno` is the system's error number if the disk or the folder refused, else None.
    """

    exit_code = 4

    def __init__(self, what: str, next_step: str = "", errno: int | None = None) -> None:
        super().__init__(what, next_step)
        self.errno = errno


class WeightsError(DeepDreamError):
    """The weights are missing, truncated, altered or of another network."""

    exit_code = 5


class DeviceError(DeepDreamError):
    """The requested device or precision is not available."""

    exit_code = 6


class OutOfMemoryError(DeviceError):
    """Even the smallest tile does not fit into the device's memory."""


class NumericError(DeepDreamError):
    """The network returned NaN or infinity."""

    exit_code = 7


class HelperError(DeepDreamError):
    """The helper does not run, cannot start, has another version, or was lost; `code` as in the helper's protocol."""

    exit_code = 8

    def __init__(self, what: str, next_step: str = "", code: str = "") -> None:
        super().__init__(what, next_step)
        self.code = code


class ServiceError(DeepDreamError):
    """The background service is not installed, has failed, or the system has no service manager."""

    exit_code = 9


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `did you mean X?` for the known word closest to `word`, or all known words when none is close."""
    names = [str(name) for name in known]
    close = get_close_matches(word, names, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(names)}"
