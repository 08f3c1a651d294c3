"""The calls that a reporter gets while pictures are dreamed; it decides how to show them, and by itself ignores them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from deepdream_core.engine.progress import Progress
    from deepdream_core.errors import DeepDreamError
    from deepdream_core.photo import Receipt
    from deepdream_core.work.backend import Backend


@dataclass(frozen=True)
class Done:
    """The result of a job."""

    source: Path
    target: Path
    seconds: float
    size: tuple[int, int]
    device: str
    precision: str
    receipt: Receipt


class Observer:
    """Follows the dream of one picture."""

    def note(self, text: str) -> None:
        """Report something that the user should know."""

    def frame(self, number: int, count: int) -> None:
        """Report that frame or page `number` of `count` is next."""

    def progress(self, progress: Progress) -> None:
        """Report a finished step; `fraction` is the share of all frames."""


class Reporter(Observer):
    """Follows a run."""

    def reading(self, source: Path, number: int, count: int) -> None:
        """Report that picture `number` of `count` is decoded next."""

    def loading(self) -> contextlib.AbstractContextManager[None]:
        """Return a context in which the engine is loaded."""
        return contextlib.nullcontext()

    def loaded(self, engine: Backend) -> None:
        """Report that the engine is ready."""

    def skipped(self, source: Path, why: str) -> None:
        """Report that a picture is skipped."""

    def writing(self, target: Path) -> None:
        """Report that the current picture is written next."""

    def done(self, done: Done) -> None:
        """Report the result of the current picture."""

    def failed(self, source: Path, error: DeepDreamError) -> None:
        """Report that the current picture failed; the run continues with the next one."""

    def finished(self, done: int, failed: int) -> None:
        """Report the end of the run."""
