"""A job that a helper has accepted: its events, its picture so far, its result, its end.

Standard library only and Python 3.9, because the GIMP plug-in carries a copy of this folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import connection, errors
from .npy import ArrayHeader
from .wire import WireError

if TYPE_CHECKING:
    from collections.abc import Generator

    from _typeshed import WriteableBuffer

    from .helper_client import HelperClient
    from .view import View


@dataclass(frozen=True)
class Event:
    """An event of a job: its name and data as in the protocol."""

    name: str
    data: dict[str, Any]


class HelperJob:
    """A job that the helper has accepted; its result has the `dtype` and `shape` of the pixels sent."""

    def __init__(self, client: HelperClient, name: str, dtype: str, shape: tuple[int, int, int]) -> None:
        self.id = name
        self.dtype = dtype
        self.shape = shape
        self._client = client
        self._path = f"/v1/jobs/{name}"

    def events(self, timeout_s: float = 30.0, *, hold: bool = False) -> Generator[Event, None, None]:
        """Yield the job's events up to and including `done`; following them is what keeps the job alive.

        Raises `JobFailed` or `JobCancelled` for the other ends, `HelperLost` if not even a ping came for `timeout_s`. A
        broken connection is opened once more. Closing the generator closes the connection, which cancels the job.

        With `hold` the generator goes on after `done`, and meanwhile the helper keeps the result; it ends with the job.
        """
        last, path = -1, f"{self._path}/events{'?hold=1' * hold}"
        done = False
        for attempt in ("first", "again"):
            headers = {"Accept": "text/event-stream", **({"Last-Event-ID": str(last)} if last >= 0 else {})}
            try:
                with self._client.opened("GET", path, 200, (), headers, timeout_s) as response:
                    for number, name, data in connection.read_events(response):
                        if number is not None:
                            if number <= last:
                                continue  # known from before the connection broke
                            last = number
                        if name == "failed":
                            raise errors.failure(data)
                        if name == "cancelled":
                            raise errors.cancellation(data)
                        yield Event(name, data)
                        done = name == "done"
                        if done and not hold:
                            return
                    if done:
                        return
            except errors.HelperRefused as error:
                if attempt == "first":
                    raise
                raise self._client.lost(f"the connection broke, and the new one was refused: {error.what}") from None
        raise self._client.lost("the connection broke twice")

    def result_into(self, buffer: WriteableBuffer) -> None:
        """Write the result into a writable C-contiguous buffer of exactly its length; an error may leave it half-written.

        Raises `WireError` for another buffer, `HelperRefused` if there is no result (code not_ready, conflict or gone).
        """
        self._fetch("/result", buffer, ArrayHeader(self.dtype, self.shape))

    def result(self) -> bytearray:
        """Return the result's samples, little-endian and C-ordered."""
        buffer = bytearray(ArrayHeader(self.dtype, self.shape).nbytes)
        self.result_into(buffer)
        return buffer

    def so_far_into(self, buffer: WriteableBuffer) -> bool:
        """Write the picture so far like `result_into`, or return False if there is none yet."""
        return self._fetched_so_far("", buffer, ArrayHeader(self.dtype, self.shape))

    def _fetched_so_far(self, query: str, buffer: WriteableBuffer, expected: ArrayHeader) -> bool:
        try:
            self._fetch(f"/result?so_far=1{query}", buffer, expected)
        except errors.HelperRefused as error:
            if error.code == "not_ready":
                return False
            raise
        return True

    def view(self, view: View) -> bytearray | None:
        """Return a view of the result or of the picture so far, uint8, or None if there is no picture yet."""
        header = view.header(self.shape[2])
        samples = bytearray(header.nbytes)
        return samples if self._fetched_so_far(f"&{view.query}", samples, header) else None

    def change(self, priority: str, label: str) -> None:
        """Give the job another priority and label."""
        self._client.call("PATCH", self._path, 204, {"priority": priority, "label": label})

    def cancel(self) -> None:
        """Cancel the job, or forget a finished one; a job that the helper does not know is fine, too."""
        try:
            self._client.call("DELETE", self._path, 204)
        except errors.HelperRefused as error:
            if error.status != 404:
                raise

    def forget(self) -> None:
        """Let the helper forget the result after it is fetched."""
        self.cancel()

    def _fetch(self, call: str, buffer: WriteableBuffer, expected: ArrayHeader) -> None:
        samples = connection.flat(buffer, expected)
        if samples.readonly:
            raise WireError("a buffer that cannot be written to")
        with self._client.opened("GET", self._path + call, 200) as response:
            connection.read_array(response, expected, samples)
