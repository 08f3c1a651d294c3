"""The answer to a call that is refused."""

from __future__ import annotations

from typing import Any


class RefusalError(Exception):
    """An HTTP status, a code for programs, and for people what happened and what to do next."""

    def __init__(self, status: int, code: str, what: str, next_step: str, **more: Any) -> None:
        what, next_step = (_sendable(text) for text in (what, next_step))
        super().__init__(what)
        self.status = status
        self.body = {"error": {"code": code, "what": what, "next_step": next_step, **more}}

    @property
    def headers(self) -> dict[str, str]:
        """`Retry-After` if the body has `retry_after`."""
        after = self.body["error"].get("retry_after")
        return {} if after is None else {"Retry-After": str(after)}


def _sendable(text: str) -> str:
    """Return a text that can be sent: without lone surrogates, and not too long."""
    return text[:600].encode("utf-8", "backslashreplace").decode()
