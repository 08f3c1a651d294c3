"""One job: what the client asked for, which arrays have arrived, its state, and its events."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from deepdream_core.link import wire
from deepdream_core.link.npy import ArrayHeader

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepdream_core.helper.shared import SharedArray
    from deepdream_core.settings import DreamSettings

_EVENTS_KEPT = 1024


class Priority(IntEnum):
    """The smaller, the more important."""

    INTERACTIVE = 0
    PREVIEW = 1
    BATCH = 2
    BACKGROUND = 3


REPLACED = (Priority.PREVIEW, Priority.BACKGROUND)
"""A client's new job of one of these takes the place of its older one, whose picture nobody waits for."""


class State(StrEnum):
    """The state of a job. `STOPPING`: it was cancelled and the device has not stopped yet."""

    CREATED = "created"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether the job has ended."""
        return self in (State.DONE, State.FAILED, State.CANCELLED)


class Event(NamedTuple):
    """One event of a job; `number` counts from 1."""

    number: int
    name: str
    data: dict[str, Any]


LARGEST_GUIDE = ArrayHeader("float32", (1000, wire.GUIDE_PIXELS // 1000, 3))


def guide_kinds(count: int) -> list[str]:
    """Return the names of a job's guides among its arrays."""
    return [f"guide {number}" for number in range(count)]


@dataclass(eq=False)
class Job:
    """A picture to dream. Times are seconds of the helper's clock.

    `announced` are the pixels, mask, start and guides that the client will send, of a guide the largest array until it has
    arrived; `arrived` those that it has sent. `device` is the
    device that has the job, and `begun` says whether its worker has begun; `lost_workers` counts workers that died before
    they had. `details`: the last event's data on the device, or on the job's end. `about` names the preset or layers.
    """

    id: str
    client: str
    label: str
    priority: Priority
    settings: DreamSettings
    about: str
    announced: dict[str, ArrayHeader]
    previews: bool
    created_at: float
    state: State = State.CREATED
    arrived: dict[str, SharedArray] = field(default_factory=dict)
    arrival: int = 0
    device: str | None = None
    begun: bool = False
    lost_workers: int = 0
    started_at: float | None = None
    ended_at: float | None = None
    details: dict[str, Any] = field(default_factory=dict)
    progress: dict[str, Any] = field(default_factory=dict)
    events: deque[Event] = field(default_factory=lambda: deque(maxlen=_EVENTS_KEPT))
    looking: asyncio.Lock = field(default_factory=asyncio.Lock)
    uploading: set[str] = field(default_factory=set)
    holders: int = 0
    attached: bool = False
    free_since: float = 0.0
    _count: int = 0
    _listeners: set[Callable[[], None]] = field(default_factory=set)

    @property
    def pixels(self) -> ArrayHeader:
        """What the picture is: size and type."""
        return self.announced["pixels"]

    @property
    def nbytes(self) -> int:
        """Bytes of shared memory that it holds or, until it has ended, will need."""
        taken = {kind: array.header for kind, array in self.arrived.items()} if self.state.ended else self.announced
        return sum(header.nbytes for header in taken.values())

    @property
    def complete(self) -> bool:
        """Whether everything announced has arrived."""
        return self.arrived.keys() == self.announced.keys()

    def publish(self, name: str, /, **data: Any) -> None:
        """Add an event and wake those who listen."""
        self._count += 1
        self.events.append(Event(self._count, name, data))
        for wake in self._listeners:
            wake()

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` at every event from now on; return a function that ends this."""
        self._listeners.add(wake)
        return lambda: self._listeners.discard(wake)

    def hold(self) -> None:
        """Count a connection that holds the job."""
        self.holders += 1

    def release(self, now: float) -> None:
        """Count a connection that no longer holds the job."""
        self.holders -= 1
        self.free_since = now

    def abandoned(self, now: float) -> bool:
        """Return whether the job has had no connection for too long."""
        limit = wire.REATTACH_WITHIN_S if self.attached else wire.ATTACH_WITHIN_S
        return self.holders == 0 and not self.state.ended and now - self.free_since > limit

    def drop_arrays(self) -> None:
        """Free its memory."""
        for array in self.arrived.values():
            array.close()
        self.arrived.clear()
