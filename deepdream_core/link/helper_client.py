"""What a program asks of a helper: its status, to load the model, to stop, and to dream a picture.

Standard library only and Python 3.9, because the GIMP plug-in carries a copy of this folder.
"""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING, Any

from . import connection, errors
from .helper_job import HelperJob
from .npy import ArrayHeader, npy_header
from .wire import GUIDE_PIXELS, PRIORITIES, WireError

if TYPE_CHECKING:
    import http.client
    from collections.abc import Iterator, Mapping, Sequence

    from _typeshed import ReadableBuffer

    from .endpoint import Endpoint

CALL_S = 30.0  # for each step of a call
PRESETS_S = 5.0
Guide = tuple["ReadableBuffer", str, tuple[int, int, int]]
"""A guide's samples, dtype and shape, H×W×3 with at most `wire.GUIDE_PIXELS` pixels."""


class HelperClient:
    """A client of a helper that has proved that it knows the token of `endpoint`; `version` is the helper's.

    All methods raise `HelperLost`, `HelperRefused` or `HelperBusy`.
    """

    def __init__(self, endpoint: Endpoint, client: str, version: str) -> None:
        self.endpoint = endpoint
        self.client = client
        self.version = version

    def status(self) -> dict[str, Any]:
        """Return the status of the helper, its devices and its queue."""
        return self.call("GET", "/v1/status", 200)

    def presets(self) -> dict[str, Any]:
        """Return `presets` and `defaults` of config.yaml as it is now, as `deepdream.json` has them, and `problem`."""
        return self.call("GET", "/v1/presets", 200, limit_s=PRESETS_S)

    def warm(self, wait: bool = True, timeout_s: float = 120.0) -> dict[str, Any]:
        """Have the model loaded; with `wait` return {"workers": [...]} when it is loaded, else return at once.

        Raises `HelperRefused` with `exit_code` if it cannot be loaded, `HelperLost` if that takes longer than `timeout_s`.
        """
        return self.call("POST", "/v1/warm", 200 if wait else 202, {"wait": wait}, timeout_s)

    def shutdown(self) -> None:
        """Ask the helper to stop; it cancels its jobs and ends by itself."""
        self.call("POST", "/v1/shutdown", 202)

    def submit(
        self,
        pixels: ReadableBuffer,
        *,
        dtype: str,
        shape: tuple[int, int, int],
        priority: str,
        preset: str | None = None,
        settings: Mapping[str, Any] | None = None,
        mask: ReadableBuffer | None = None,
        mask_dtype: str | None = None,
        start: ReadableBuffer | None = None,
        guides: Sequence[Guide] = (),
        previews: bool = False,
        label: str = "",
    ) -> HelperJob:
        """Send a picture to be dreamed and return its job, which is cancelled unless its events are followed within 10 s.

        `pixels`: C-contiguous buffer of `dtype` (a key of `npy.DTYPES`, native little-endian) and `shape` H×W×C, C from 1
        gray, 2 gray+alpha, 3 RGB to 4 RGB+alpha. `mask`: H×W×1 of `mask_dtype`. `start`: H×W×3 float32 to dream on from.
        `guides`: those that the settings name, in their order. `priority`: one of `wire.PRIORITIES`. Nothing is copied.
        Raises `WireError` (a ValueError) before anything is sent if a buffer's length, a guide's size or a word is wrong.
        """
        if priority not in PRIORITIES:
            raise WireError(f"{priority!r} is not one of the priorities {', '.join(PRIORITIES)}")
        if len(label) > 200:
            raise WireError("a label of more than 200 characters")
        if (mask is None) != (mask_dtype is None):
            raise WireError("mask and mask_dtype go together")
        height, width, _ = shape = (shape[0], shape[1], shape[2])
        parts = {"pixels": _framed(pixels, dtype, shape)}
        if mask is not None and mask_dtype is not None:
            parts["mask"] = _framed(mask, mask_dtype, (height, width, 1))
        if start is not None:
            parts["start"] = _framed(start, "float32", (height, width, 3))
        for number, (samples, its_dtype, its_shape) in enumerate(guides):
            if its_shape[0] * its_shape[1] > GUIDE_PIXELS or its_shape[2] != 3:
                raise WireError(
                    f"a guide of {its_shape}: only height × width × 3 with {GUIDE_PIXELS} pixels can be sent"
                )
            parts[f"guide/{number}"] = _framed(samples, its_dtype, its_shape)
        request = {
            "client": self.client,
            "label": label,
            "priority": priority,
            "preset": preset,
            "settings": dict(settings or {}),
            "shape": list(shape),
            "dtype": dtype,
            "mask": mask_dtype,
            "start": start is not None,
            "previews": previews,
        }
        answer = self.call("POST", "/v1/jobs", 201, request)
        name = answer.get("id")
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
            raise self.lost(WireError("a job without a usable id"))
        job = HelperJob(self, name, dtype, shape)
        try:
            for part, body in parts.items():
                self.call("PUT", f"/v1/jobs/{name}/{part}", 204, body)
        except (errors.HelperRefused, errors.HelperBusy):
            with contextlib.suppress(errors.LinkError):
                job.cancel()
            raise
        return job

    def call(self, method: str, path: str, status: int, body: object = None, limit_s: float = CALL_S) -> dict[str, Any]:
        """Make one call and return the object in the answer, {} for none; `body` is JSON, or a tuple of pieces."""
        pieces = body if isinstance(body, tuple) else () if body is None else (_dumped(body),)
        kind = "application/octet-stream" if isinstance(body, tuple) else "application/json"
        headers = {"Content-Type": kind} if pieces else {}
        with self.opened(method, path, status, pieces, headers, limit_s) as response:
            return connection.read_object(response)

    @contextlib.contextmanager
    def opened(
        self,
        method: str,
        path: str,
        status: int,
        pieces: Sequence[bytes | memoryview] = (),
        headers: Mapping[str, str] | None = None,
        limit_s: float = CALL_S,
    ) -> Iterator[http.client.HTTPResponse]:
        """Make one call and yield its answer to be read, with `limit_s` for each step; translate foreign errors."""
        try:
            with connection.Connection(self.endpoint, limit_s) as opened:
                response = opened.ask(method, path, pieces, headers or {}, limit_s)
                if response.status != status:
                    raise _refusal(response, status)
                yield response
        except connection.FOREIGN as error:
            raise self.lost(error, limit_s) from None

    def lost(self, error: BaseException | str, limit_s: float = CALL_S) -> errors.HelperLost:
        """Return the error for a connection that failed."""
        reason = error if isinstance(error, str) else connection.reason(error, limit_s)
        return errors.HelperLost(f"lost the helper: {reason}", f"try again; its log is {self.endpoint.log}")


def _framed(buffer: ReadableBuffer, dtype: str, shape: tuple[int, int, int]) -> tuple[bytes | memoryview, ...]:
    begin = npy_header(dtype, shape)
    return begin, connection.flat(buffer, ArrayHeader(dtype, shape))


def _dumped(value: object) -> bytes:
    try:
        return json.dumps(value, allow_nan=False).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise WireError(f"settings that cannot be sent: {error}") from None


def _refusal(response: http.client.HTTPResponse, expected: int) -> errors.LinkError:
    """Return the error in an answer with another status than the expected one."""
    try:
        answer = connection.read_object(response)
    except connection.FOREIGN:
        answer = {}
    return errors.refusal(response.status, expected, answer, response.headers.get("Retry-After", ""))
