"""What the helper and a worker process say to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from deepdream_core.link.wire import ArrayHeader
    from deepdream_core.settings import DreamSettings


class Shared(NamedTuple):
    """Where an array lies: the name of its shared memory, and what it is."""

    name: str
    header: ArrayHeader


@dataclass(frozen=True)
class Open:
    """To the worker: begin this job when you are told to advance it."""

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
    """To the worker: forget this job. Answered with `Told(job, "dropped")` as soon as nothing of it runs."""

    job: str


@dataclass(frozen=True)
class Snapshot:
    """To the worker: write the picture so far into an array. Answered with `Told(job, "snapshot")`."""

    job: str
    into: Shared


@dataclass(frozen=True)
class Load:
    """To the worker: load the model. Answered with `Told(None, "loaded")`, or `Told(None, "failed")`."""


@dataclass(frozen=True)
class Told:
    """From the worker: something about a job, or about itself; `memory` is what it holds of its device, in bytes."""

    job: str | None
    name: str
    data: dict[str, Any]
    memory: int
