"""The messages between the helper and a worker process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from deepdream_core.link.npy import ArrayHeader
    from deepdream_core.link.view import View
    from deepdream_core.settings import DreamSettings


class Shared(NamedTuple):
    """An array in shared memory: the memory's name, the array's size and type."""

    name: str
    header: ArrayHeader


@dataclass(frozen=True)
class Open:
    """To the worker: begin this job at the first `Advance`."""

    job: str
    settings: DreamSettings
    arrays: dict[str, Shared]
    previews: bool


@dataclass(frozen=True)
class Advance:
    """To the worker: work on this job from now on, or on none."""

    job: str | None


@dataclass(frozen=True)
class Drop:
    """To the worker: forget this job. The worker answers with the event `dropped` when nothing of it runs."""

    job: str


@dataclass(frozen=True)
class Snapshot:
    """To the worker: write the picture so far, or a view of it, into an array. It answers with the event `snapshot`."""

    job: str
    into: Shared
    view: View | None = None


@dataclass(frozen=True)
class Load:
    """To the worker: load the model. The worker answers with the event `loaded` or `failed`."""


@dataclass(frozen=True)
class WorkerEvent:
    """From the worker: an event of a job, or of itself; `memory` is what it holds of its device's memory, in bytes."""

    job: str | None
    name: str
    data: dict[str, Any]
    memory: int
