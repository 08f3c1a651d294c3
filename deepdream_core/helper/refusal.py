"""What a client is told when its call is refused."""

from __future__ import annotations

from typing import Any


class RefusalError(Exception):
    """An HTTP status with a code for programs, and what happened and what to do next for people."""

    def __init__(self, status: int, code: str, what: str, next_step: str, **more: Any) -> None:
        what, next_step = (_sendable(text) for text in (what, next_step))
        super().__init__(what)
        self.status = status
        self.body = {"error": {"code": code, "what": what, "next_step": next_step, **more}}

    @property
    def headers(self) -> dict[str, str]:
        """`Retry-After` where the body says `retry_after`."""
        after = self.body["error"].get("retry_after")
        return {} if after is None else {"Retry-After": str(after)}


def _sendable(text: str) -> str:
    """Return a text without halves of characters, and not endless."""
    return text[:600].encode("utf-8", "backslashreplace").decode()
